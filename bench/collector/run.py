#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare collectors.  See bench/README.md.

CPU time throughout.  Boehm's collector runs with one marker, and is left out where
Debian's libgc-dev was not there when BUILD was set up; pythons that are not there are too.
"""
import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parents[1] / "tests"))

import interpreters  # noqa: E402  (the path is set above)

# The same graph, of CPython's objects: instances, dicts and lists with fields in the same
# proportions; leaves are floats, which its collector does not see.
PYTHON = """
import gc, random, sys, time
gc.disable()
n, shape = int(float(sys.argv[1])), sys.argv[2]
leaf, near = {"app": (60, 28), "rand": (0, 0), "tree": (100, 0)}[shape]
class C:
    __slots__ = ("a", "b", "c", "d", "at")
    def __init__(self): self.at = 0
    def put(self, x): setattr(self, "abcd"[self.at], x); self.at += 1
class D(dict):
    __slots__ = ()
    room = 8
    def put(self, x): self[len(self)] = x
class L(list):
    __slots__ = ()
    put = list.append
def used(o): return o.at if type(o) is C else len(o)
def room(o): return 8 if type(o) is D else 4
r = random.Random(1)
all = [r.choices((C, D, L), (5, 3, 2))[0]() for i in range(n)]
for i in range(1, n):
    while True:
        p = all[i - 1 - r.randrange(min(i, 64))]
        if used(p) < room(p): break
    p.put(all[i])
for i, o in enumerate(all):
    while used(o) < room(o):
        k = r.randrange(100)
        o.put(float(k) if k < leaf else
              all[min(n - 1, max(0, i - 64) + r.randrange(128))] if k < leaf + near else
              all[r.randrange(n)])
root = all[0]; del all
gc.collect()
t = []
for i in range(5):
    a = time.process_time(); assert gc.collect() == 0; t.append(time.process_time() - a)
print(sorted(t)[2] / n * 1e9)
"""


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env={**os.environ, "GC_MARKERS": "1"}).stdout


def pythons():
    found = {}
    for version in "3.11", "3.13":
        try:
            found[f"CPython {version}"] = interpreters.find(version)
        except interpreters.Missing:
            pass
    return found


def full_collections(folder, sizes):
    print("A full collection that finds nothing, ns a container")
    names = ["list layout", "heapglass", "Boehm", *pythons()]
    print(f"{'':14}" + "".join(f"{name:>14}" for name in names) + "   ours, times faster")
    for size in sizes:
        for graph in "app", "rand", "tree":
            line = output(folder / "bench-collector", size, graph)
            listed, ours = (float(x) for x in re.findall(r"(?:list|ours) +([\d.]+)", line))
            row = [listed, ours, None]
            if (folder / "bench-boehm").exists():
                row[2] = float(output(folder / "bench-boehm", size, graph).split()[1])
            for path in pythons().values():
                row.append(float(output(path, "-c", PYTHON, size, graph))
                           if float(size) <= 1e6 else None)
            print(f"{size:>8} {graph:5}" +
                  "".join(f"{x:14.1f}" if x is not None else f"{'-':>14}" for x in row) +
                  f"   {listed / ours:.2f} than the list layout")


def gcbench(folder, depth, rounds):
    print(f"\nGCBench, depth {depth}: ns a node, longest single allocation ms, peak RSS MB")
    for name in "malloc", "objects", "boehm", "objects-cyclic", "boehm-cyclic":
        program = folder / f"bench-gcbench-{name}"
        if not program.exists():
            continue
        runs = [output(program, depth).split() for _ in range(rounds)]
        ns = statistics.median(float(run[1]) for run in runs)
        longest = float(output(program, depth, "timed").split()[2])
        print(f"{name:16}{ns:8.1f}{longest:8.2f}{runs[0][3]:>8}")


def pauses(folder, sizes):
    print("""
A program with a large live heap and a cache of small cycles: CPU seconds, those of
the collector (wall), collections, and the longest request in CPU ms, by what it met
              step                 collections             a      end   a       most
      live      us  total coll.   full  other   young middle  full  slice none objects""")
    for objects, requests in sizes:
        for step in "1000", "0":
            words = output(folder / "bench-collector", "pauses", objects, requests, step)
            (live, step, total, collector, full, other, *longest, most) = words.split()
            print(f"{live:>10}{step:>8}{total:>7}{collector:>6}{full:>7}{other:>7}  " +
                  "".join(f"{ms:>7}" for ms in longest) + f"  +{most} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=HERE.parents[1] / "build", type=pathlib.Path,
                        help="a folder that meson set up (default: build)")
    parser.add_argument("--quick", action="store_true", help="small graphs, in seconds")
    args = parser.parse_args()
    subprocess.run(["ninja", "-C", args.build, "bench-collectors"], check=True,
                   stdout=subprocess.DEVNULL)
    folder = args.build / "bench" / "collector"
    quick = args.quick
    full_collections(folder, ["1e5"] if quick else ["1e4", "1e5", "1e6", "1e7"])
    gcbench(folder, "14" if quick else "18", 1 if quick else 5)
    pauses(folder, [("5e4", "2e5")] if quick else
           [("5e4", "2e5"), ("5e5", "2e6"), ("5e6", "2e6")])


main()
