#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Two interpreters with locks of their own, in two threads: how much more than one?

    bench/parallel.py [--python 3.13,3.14] [--quick]

One interpreter does so many rounds of the work in one thread; then two of them do as many each,
at the same time. Throughput is rounds a second, and the ratio 2 where nobody waits for anybody.
The least time of several rounds counts, for a machine that does other things only adds to it.
"CPU" is the same by the threads' own CPU time, which needs no idle machine, but does not see
who sleeps until another is done.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent / "tests"))

import interpreters  # noqa: E402  (the path is set above)
import measure  # noqa: E402

BAR = 1.6
PROGRAM = HERE / "programs" / "parallel.py"
WAYS = {"stock": None, "untraced": ["--untraced"], "lines": ["--lines"], "stacks": []}


def times(python, command, options, rounds, times, ledgers):
    """{"1": [seconds, CPU seconds], "2": ...}: of one interpreter, and of two at a time."""
    words = [python, str(PROGRAM), str(rounds), str(times)]
    if options is not None:
        words = [command, "run", *options, "-o", os.path.join(ledgers, "two.hg"), "--", *words]
    done = subprocess.run(words, env=measure.environment(), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        raise measure.Failed(f"{' '.join(words)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", default=HERE.parent / "build/heapglass", type=Path)
    parser.add_argument("--python", default="3.13,3.14",
                        help="versions or paths, with commas (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=600, help="of the work (default: 600)")
    parser.add_argument("--times", type=int, default=7, help="of which the least counts")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.times = 15, 3
    print(f"{'':<12}{'one':>10}{'two':>10}{'throughput':>14}{'CPU':>8}   (bar: {BAR})")
    missed = False
    for name in args.python.split(","):
        try:
            python = name if "/" in name else interpreters.find(name)
            print(f"Python {interpreters.describe(python)[1]}")
            with measure.folder_for_ledgers() as ledgers:
                for way, options in WAYS.items():
                    took = times(python, str(args.command.resolve()), options, args.rounds,
                                 args.times, ledgers)
                    (one, one_cpu), (two, two_cpu) = took["1"], took["2"]
                    ratio = 2 * one / two
                    below = options is not None and ratio < BAR
                    missed = missed or below
                    print(f"  {way:<10}{one:>8.3f} s{two:>8.3f} s{ratio:>14.2f}"
                          f"{4 * one_cpu / two_cpu:>8.2f}" + ("!" if below else ""),
                          flush=True)
        except (interpreters.Missing, measure.Failed) as reason:
            sys.exit(f"bench: {reason}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
