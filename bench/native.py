#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""malloc in C programs: ours beside the C library's, jemalloc, tcmalloc and mimalloc.

    bench/native.py [--build build] [--rounds N] [--kinds KIND,...] [--times]

Instructions are counted by callgrind, exactly; peak and remaining memory come from a run
without it. --times adds CPU seconds, the least of N interleaved runs: on a quiet machine only.
What is not installed is left out and named. The numbers are ratios to the C library's; the
last table has those to the newest mimalloc, Debian unstable's, which is fetched where it can be.
"""
import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests"))
from debian import Missing, unpacked  # noqa: E402

# name: (rounds under callgrind, rounds otherwise)
KINDS = {"churn": (200, 20000), "mixed": (200, 5000), "larson": (100, 10000),
         "handover": (400, 40000), "growth": (500, 5000), "large": (50, 2000),
         "births": (100, 1000), "phases": (200, 2000)}
LIB = "/usr/lib/x86_64-linux-gnu/"
OTHERS = {"jemalloc": LIB + "libjemalloc.so.2", "tcmalloc": LIB + "libtcmalloc_minimal.so.4",
          "mimalloc": LIB + "libmimalloc.so.2.0"}
NEWEST = "mimalloc 3"
THREADS = ["larson", "handover"]  # two at work; the others have one
# Over NEWEST, at most.
BARS = {"one thread": 1.00, "two threads": 0.85, "peak resident": 0.55}


def environment(library):
    env = {key: value for key, value in os.environ.items() if not key.startswith("HEAPGLASS")}
    env.pop("LD_PRELOAD", None)
    return dict(env, LD_PRELOAD=library) if library else env


def libraries_beside(ours):
    """Path by name; the C library's malloc, which all are compared with, has none."""
    found = {"C library": None, "heapglass": str(ours)}
    for name, path in OTHERS.items():
        if Path(path).exists():
            found[name] = path
        else:
            print(f"{name} is not installed", file=sys.stderr)
    try:
        tree = unpacked("libmimalloc3-sid", "sid", "libmimalloc3")
        found[NEWEST] = str(next(tree.rglob("libmimalloc.so.3")))
    except Missing as why:
        print(f"{NEWEST}: {why}", file=sys.stderr)
    return found


def instructions(work, kind, library):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out.name}",
                        "--soname-synonyms=somalloc=nouserintercepts", "--error-exitcode=9",
                        work, kind, str(KINDS[kind][0])], env=environment(library), check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return int(re.search(r"^(?:summary|totals): (\d+)", Path(out.name).read_text(), re.M)[1])


def run(work, kind, library):
    """(CPU seconds, peak KiB, what it printed)"""
    reader, writer = os.pipe()
    pid = os.posix_spawn(work, [work, kind, str(KINDS[kind][1])], environment(library),
                         file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{kind} under {library}: status {status}")
    peak = int(re.search(r"^peak (\d+)", said, re.M)[1])
    return usage.ru_utime + usage.ru_stime, peak, said


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def show(title, names, rows):
    """Rows of numbers by kind, as ratios to the first column's."""
    print(f"\n{title}\n{'':10}" + "".join(f"{name:>12}" for name in names))
    for kind, row in rows.items():
        print(f"{kind:10}{row[0]:>12,}" + "".join(f"{value / row[0]:12.2f}" for value in row[1:]))
    if len(rows) > 1:
        print(f"{'mean':10}{'':12}" + "".join(
            f"{mean([row[i] / row[0] for row in rows.values()]):12.2f}"
            for i in range(1, len(names))))


def over_newest(names, counts, peaks, seconds):
    """Geometric means of ours over the newest mimalloc's, beside the bars."""
    ours, newest = names.index("heapglass"), names.index(NEWEST)

    def ratio(rows, threads):
        wanted = [row for kind, row in rows.items()
                  if threads is None or (kind in THREADS) == threads]
        return f"{mean([row[ours] / row[newest] for row in wanted]):12.2f}" if wanted else " " * 12

    print(f"\nheapglass over {NEWEST}\n{'':14}{'bar':>8}{'instructions':>14}"
          + f"{'CPU time':>12}" * (seconds is not None))
    for name, threads in ("one thread", False), ("two threads", True):
        print(f"{name:14}{BARS[name]:8.2f}  {ratio(counts, threads)}"
              + (ratio(seconds, threads) if seconds else ""))
    print(f"{'peak resident':14}{BARS['peak resident']:8.2f}  {ratio(peaks, None)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=TOP / "build", type=Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--times", action="store_true")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    ours = options.build.resolve() / "libheapglass-preload.so"
    work = str(options.build.resolve() / "bench-native-work")
    subprocess.run(["ninja", "-C", options.build, "bench-native-work", ours.name], check=True,
                   stdout=subprocess.DEVNULL)
    libraries = libraries_beside(ours)
    names = list(libraries)

    counts = {kind: [instructions(work, kind, lib) for lib in libraries.values()]
              for kind in kinds}
    show("instructions", names, counts)
    seconds = {kind: [math.inf] * len(names) for kind in kinds}
    peaks = {kind: [0] * len(names) for kind in kinds}
    after = [0] * len(names)
    for _ in range(options.rounds if options.times else 1):
        for kind in kinds:
            for i, library in enumerate(libraries.values()):
                cpu, peak, said = run(work, kind, library)
                seconds[kind][i] = min(seconds[kind][i], cpu)
                peaks[kind][i] = max(peaks[kind][i], peak)
                if kind == "phases":
                    after[i] = int(re.search(r"^resident \d+ (\d+)", said, re.M)[1])
    show("peak resident KiB", names, peaks)
    if "phases" in kinds:
        show("resident KiB, one second after 95 % died in runs of 64", names, {"phases": after})
    if options.times:
        show("CPU milliseconds", names, {kind: [round(s * 1000) for s in row]
                                         for kind, row in seconds.items()})
    if NEWEST in libraries:
        over_newest(names, counts, peaks, seconds if options.times else None)


if __name__ == "__main__":
    main()
