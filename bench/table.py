# SPDX-License-Identifier: MIT
"""Results as a table of at most 100 columns."""
import statistics

import catalogue

NAME, COLUMN = 15, 10


def line(name, cells):
    return (name.ljust(NAME) + "".join(str(cell).rjust(COLUMN) for cell in cells)).rstrip()


def ratio(value, bar=None):
    """Two digits behind the point; "!" where a bar is missed."""
    if value is None:
        return ""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return text + ("!" if bar and value > bar[0] else "")


def limits(pairs):
    """Rows for the bars and the stretch goals that a table has."""
    for name, n in ("bar", 0), ("stretch", 1):
        if any(pair and pair[n] for pair in pairs):
            yield line(name, [f"{pair[n]:.2f}" if pair and pair[n] else "" for pair in pairs])


def table(title, key, unit, result):
    """Lines of one table. `result["medians"]` has, for each program, variant and key, a number."""
    medians, variants = result["medians"], result["variants"]
    version = ".".join(result["version"].split(".")[:2])
    measure = key if key in catalogue.BARS else None
    bars = [catalogue.bar(measure, name, version) if measure else None for name in variants]
    ratios = {name: [] for name in variants}
    rows, others = [], []
    for program in result["programs"]:
        stock = medians[program]["stock"].get(key)
        if not stock:
            continue
        own_bars = catalogue.BARS.get(f"{key} {program}", {})
        cells = [unit(stock)]
        for name in variants[1:]:
            value = medians[program].get(name, {}).get(key)
            cells.append(ratio(value and value / stock, own_bars.get(name)))
            if value and program in result["mean_of"]:
                ratios[name].append(value / stock)
        (rows if program in result["mean_of"] else others).append(line(program, cells))
    if not rows and not others:
        return
    yield line(title, variants)
    yield from rows
    means = [statistics.geometric_mean(r) if r else None for r in ratios.values()]
    if len(rows) > 1 and any(means):
        yield line("geometric mean", [ratio(m, b) for m, b in zip(means, bars)])
        worst = [catalogue.BARS["cpu worst"].get(name) if key == "cpu" else None
                 for name in variants]
        yield line("worst", [ratio(max(r, default=None), b)
                             for r, b in zip(ratios.values(), worst)])
        yield from limits(bars if measure else worst)
    if others:
        yield from others
    yield ""


def calls(result):
    """Lines on the price of being watched, for a call that allocates nothing."""
    per_call = result.get("ns_a_call")
    if per_call:
        bar = catalogue.BARS["ns a call"]
        cells = [f"{per_call['stock']:.1f} ns"]
        cells += [f"{per_call[name] - per_call['stock']:+.1f}"
                  + ("!" if per_call[name] - per_call["stock"] > bar[0] else "")
                  if name in per_call else "" for name in result["variants"][1:]]
        yield line("an empty call", cells)
        yield f"{'bar':<{NAME}}at most {bar[0]:+.1f} ns"
        yield ""


def mean(result, name, key):
    """Geometric mean of a variant's ratios to stock, over the programs that count; or None."""
    pairs = [(result["medians"][program].get(name, {}).get(key),
              result["medians"][program]["stock"].get(key)) for program in result["mean_of"]]
    ratios = [value / stock for value, stock in pairs if value and stock]
    return statistics.geometric_mean(ratios) if ratios else None


def versions(results):
    """Lines of means, a column for each interpreter."""
    yield 'Geometric means by version; ratios to stock; "!": a bar is missed'
    yield ""
    minors = [".".join(result["version"].split(".")[:2]) for result in results]
    for title, key in ("CPU time", "cpu"), ("instructions", "instructions"), ("peak RSS", "rss"):
        rows = []
        for name in results[0]["variants"][1:]:
            measure = key if key in catalogue.BARS else None
            cells = [ratio(mean(result, name, key),
                           catalogue.bar(measure, name, minor) if measure else None)
                     for result, minor in zip(results, minors)]
            if any(cells):
                rows.append(line(name, cells))
        if rows:
            yield line(title, [result["version"] for result in results])
            yield from rows
            yield ""


def lines(result):
    """All that is to be said of one interpreter's results."""
    yield f"Python {result['version']}, {result['python']}"
    rounds = f"medians of {result['rounds']} rounds; " if result["rounds"] else ""
    yield f'{rounds}ratios to stock; "!": a bar is missed'
    yield ""
    yield from table("CPU time", "cpu", lambda s: f"{s:.2f} s", result)
    yield from calls(result)
    yield from table("instructions", "instructions", lambda n: f"{n / 1e6:.0f} M", result)
    yield from table("peak RSS", "rss", lambda k: f"{k / 1024:.1f} MiB", result)
