#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compare Python programs run alone, on Heapglass and under tracemalloc, all in one run.

    bench/run.py [--quick] [--python 3.11 --python 3.13,3.14] [--programs churn,json] [--variants stock,lines]

The variants take turns, so that what else the machine does meets them all. Times are CPU time
(user and system) of the program and the processes that it waited for.
"""
import argparse
import concurrent.futures
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "tests"))

import catalogue  # noqa: E402  (the path is set above)
import figures  # noqa: E402
import interpreters  # noqa: E402
import measure  # noqa: E402
import table  # noqa: E402


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:79]}", end="", file=sys.stderr, flush=True)


def choose(items, names, what):
    """Those of `items` whose names were asked for; a name may stand for several by its start."""
    if not names:
        return items
    names = names.split(",")
    for name in names:
        if not any(item.name.startswith(name) for item in items):
            sys.exit(f"bench: no {what} {name}; there are: {', '.join(i.name for i in items)}")
    exact = {item.name for item in items}
    return [item for item in items if item.name in names
            or any(item.name.startswith(name) for name in names if name not in exact)]


def time_all(runner, programs, variants, rounds, share):
    """Samples by (program, variant), taken in turns; the output must always be stock's."""
    samples = {}
    for number in range(rounds):
        for program in programs:
            size = [max(1, int(program.size[0] * share)), *program.size[1:]]
            turn = [v for v in variants if number < v.rounds]
            for variant in turn if number % 2 == 0 else turn[::-1]:
                progress(f"round {number + 1} of {rounds}: {program.name}, {variant.name}")
                sample = runner.spend(variant, program, size)
                samples.setdefault((program.name, variant.name), []).append(sample)
            outputs = {str(samples[program.name, v.name][-1].pop("output")) for v in turn}
            if len(outputs) > 1:
                raise measure.Failed(f"{program.name}: not the same output: {outputs}")
    return samples


def count_all(runner, programs, variants):
    """Instructions by (program, variant), two at a time: a count does not mind company."""
    counter = measure.counter()
    if not counter:
        print("bench: neither perf nor valgrind can count instructions here", file=sys.stderr)
        return {}
    pairs = [(program, variant) for program in programs for variant in variants if program.large]
    counts = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {pool.submit(runner.count, counter, v, p): (p.name, v.name) for p, v in pairs}
        for done in concurrent.futures.as_completed(jobs):
            counts[jobs[done]] = done.result()
            progress(f"instructions: {len(counts)} of {len(pairs)}, {', '.join(jobs[done])}")
    return counts


def bench(python, args, programs, variants):
    """Everything about one interpreter, as a dictionary to be printed and kept."""
    minor, version = interpreters.describe(python)
    mine = [p for p in programs if not p.needs
            or (minor == "3.11" and measure.imports(python, p.needs))]
    with measure.folder_for_ledgers() as ledgers:
        runner = measure.Runner(python, args.command, ledgers)
        for variant in variants:
            runner.prove(variant, mine[0])
        share = 0.25 if args.quick else args.share
        samples = time_all(runner, mine, variants, args.rounds, share) if args.rounds else {}
        counts = count_all(runner, mine, variants) if args.instructions else {}
        beside = figures.measured(runner, args.quick) if args.figures else None
    medians = {p.name: {v.name: {} for v in variants} for p in mine}
    for (program, variant), taken in samples.items():
        for key in "cpu", "rss", "wall":
            medians[program][variant][key] = statistics.median(s[key] for s in taken)
    for (program, variant), count in counts.items():
        medians[program][variant]["instructions"] = count
    result = {
        "python": python, "version": version, "rounds": args.rounds,
        "variants": [v.name for v in variants], "programs": [p.name for p in mine],
        "mean_of": [p.name for p in mine if p.mean], "medians": medians,
        "samples": [{"program": p, "variant": v, **s}
                    for (p, v), taken in samples.items() for s in taken],
    }
    if beside:
        result["figures"] = beside
    if ("calls", "stock") in samples and ("start", "stock") in samples:
        calls = next(p for p in mine if p.name == "calls").size[0] * share
        calls *= catalogue.CALLS_A_ROUND
        result["ns_a_call"] = {name: (taken["cpu"] - medians["start"][name]["cpu"]) / calls * 1e9
                               for name, taken in medians["calls"].items()}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", default=HERE.parent / "build/heapglass", type=Path)
    parser.add_argument("--python", action="append",
                        help="versions or paths, with commas, or once for each "
                             "(default: 3.11,3.13); a table of all comes last")
    parser.add_argument("--programs", help="only these, with commas")
    parser.add_argument("--variants", help="only these (stock is always there)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5; 0: no times)")
    parser.add_argument("--share", type=float, default=1.0, help="of the programs' full size")
    parser.add_argument("--quick", action="store_true", help="one round of a quarter, no counts")
    parser.add_argument("--no-instructions", dest="instructions", action="store_false")
    parser.add_argument("--no-figures", dest="figures", action="store_false",
                        help="only the programs")
    parser.add_argument("--list", action="store_true", help="list programs and variants")
    parser.add_argument("-o", "--output", type=Path, help="JSON (default: bench/results/TIME.json)")
    args = parser.parse_args()
    if args.list:
        for program in catalogue.PROGRAMS:
            about = (HERE / "programs" / program.file).read_text().split('"""')[1].splitlines()[0]
            print(f"{program.name:<11}{about}")
        for variant in catalogue.VARIANTS:
            print(f"{variant.name:<11}{variant.about}")
        return 0
    if args.quick:
        args.rounds, args.instructions = 1, False
    if args.programs or args.variants:
        args.figures = False
    args.command = str(args.command.resolve())
    programs = choose(catalogue.PROGRAMS, args.programs, "program")
    variants = choose(catalogue.VARIANTS, args.variants, "variant")
    if variants[0].name != "stock":
        variants.insert(0, catalogue.VARIANTS[0])
    if any(v.run is not None for v in variants) and not os.access(args.command, os.X_OK):
        sys.exit(f"bench: no {args.command}: build it first, with make")

    results = []
    for name in ",".join(args.python or ["3.11,3.13"]).split(","):
        try:
            python = name if "/" in name else interpreters.find(name)
            results.append(bench(python, args, programs, variants))
        except (interpreters.Missing, measure.Failed) as reason:
            progress("")
            sys.exit(f"bench: {reason}")
        progress("")
        print("\n".join(table.lines(results[-1])), flush=True)
        if "figures" in results[-1]:
            print("\n".join(figures.lines(results[-1]["figures"])), flush=True)
    if len(results) > 1:
        print("\n".join(table.versions(results)), flush=True)
    output = args.output or HERE / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": platform.platform(), "cpus": os.cpu_count(),
                                  "results": results}, indent=1) + "\n")
    print(f"all figures: {os.path.relpath(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
