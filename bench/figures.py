# SPDX-License-Identifier: MIT
"""Figures beside the programs: memory that goes back, memory of the accounts, time to ask."""
import os
import statistics
import subprocess
import time

import catalogue
import measure

VARIANTS = [v for v in catalogue.VARIANTS if not v.name.startswith("tm")]
OBJECTS = 2_600_000  # some 500 MB of them
FILES = 120          # of the standard library; more than a million blocks


def release(runner, count):
    """RSS in KiB by (kind, variant): (built, a second after 95 % have died)."""
    found = {}
    for kind in "runs", "random":
        program = catalogue.Program(f"release {kind}", "release.py", [kind, count], [], [])
        for variant in VARIANTS:
            if variant.name in ("stock", "untraced", "lines", "stacks"):
                output = runner.spend(variant, program, program.size)["output"]
                found[kind, variant.name] = tuple(map(int, output[-1].split()))
    return found


def milliseconds(words, times):
    """The median time that a command takes from start to end."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        done = subprocess.run(words, env=measure.environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        taken.append(1000 * (time.perf_counter() - start))
        if done.returncode:
            raise measure.Failed(f"{' '.join(words)}: {done.stderr}")
    return statistics.median(taken)


def asking(runner, files, times):
    """Milliseconds of snapshot, diff and report, on a running program with many live blocks."""
    program = catalogue.Program("holding", "holding.py", [files], [], [])
    default = next(v for v in VARIANTS if v.name == "stacks")
    first, second = (os.path.join(runner.ledgers, name) for name in ("first.hg", "second.hg"))
    held = subprocess.Popen(runner.words(default, program, program.size), text=True,
                            env=measure.environment(), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
    pid = str(held.pid)  # heapglass makes room for the program, so this is the program
    try:
        held.stdout.readline()
        found = {"snapshot": milliseconds([runner.command, "snapshot", pid, "-o", first], times)}
        held.stdin.write("\n")
        held.stdin.flush()
        held.stdout.readline()
        milliseconds([runner.command, "snapshot", pid, "-o", second], 1)
        found["diff"] = milliseconds([runner.command, "diff", first, second], times)
        found["report"] = milliseconds([runner.command, "report", second], times)
        found["ledger_kib"] = os.stat(second).st_size / 1024
    finally:
        held.stdin.close()
        held.wait()
    return found


def measured(runner, quick):
    """All of them, as a dictionary that JSON takes."""
    count = OBJECTS // 10 if quick else OBJECTS
    rss = release(runner, count)
    return {
        "release": {f"{kind} {name}": pair for (kind, name), pair in rss.items()},
        "bytes_a_block": {name: 1024 * (rss["runs", name][0] - rss["runs", "untraced"][0]) / count
                          for name in ("lines", "stacks")},
        "ms": asking(runner, FILES // 10 if quick else FILES, 3 if quick else 9),
    }


def row(text, value, bar, unit="", name="bar"):
    mark = "!" if value > bar and name == "bar" else ""
    return f"{text:<58}{value:>8.2f}{unit}{mark:<2}  ({name} {bar:g}{unit})"


def lines(found):
    """What `measured` gave, for people."""
    yield "beside these"
    for kind, text in ("runs", "in runs of 64"), ("random", "at random"):
        stock = found["release"][f"{kind} stock"][1]
        for name in "untraced", "stacks":
            yield row(f"RSS 1 s after 95 % died {text}, {name}",
                      found["release"][f"{kind} {name}"][1] / stock,
                      *((0.28,) if kind == "runs" else (0.30, "", "stretch")))
    for name, value in found["bytes_a_block"].items():
        yield row(f"bytes of accounts for a live block, {name}", value, 8)
    for name, bar in ("snapshot", 20), ("diff", 20), ("report", 1000):
        yield row(f"{name}, over a million live blocks", found["ms"][name], bar, " ms")
    yield ""
