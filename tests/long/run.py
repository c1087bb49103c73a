#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run programs of Debian's packages under whole stacks and alone, and compare what they say.

    tests/long/run.py [--minutes 60] [--command build/heapglass] [NAME...]

They take turns until the time is over, on Debian's python3; each is larger than the last time
round. One whose package is missing is named and left out.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
BENCH = HERE.parents[1] / "bench/programs"
# name: (what it must import, its words for a size)
PROGRAMS = {
    "django": ("django", lambda n: [BENCH / "django_shop.py", 20 * n]),
    "pandas": ("pandas", lambda n: [BENCH / "pandas_sales.py", n, 2000]),
    "json": ("json", lambda n: [BENCH / "jsondocs.py", 10 * n]),
    "compiling": ("ast", lambda n: [BENCH / "compiling.py", 10 * n]),
    "sqlalchemy": ("sqlalchemy", lambda n: [HERE / "orm.py", 200 * n]),
    "jinja": ("jinja2", lambda n: [HERE / "templates.py", 50 * n]),
    "lxml": ("lxml", lambda n: [HERE / "documents.py", 50 * n]),
    "asyncio": ("asyncio", lambda n: [HERE / "server.py", 200 * n]),
}


def run(words, folder):
    """(status, output, errors) of a command, in an environment that is always the same."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTHON", "LD_", "MALLOC_", "HEAPGLASS_"))}
    env.update(PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
    done = subprocess.run([str(word) for word in words], env=env, cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=1200)
    return done.returncode, done.stdout, done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--command", default=HERE.parents[1] / "build/heapglass", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PROGRAMS))
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in PROGRAMS]
    if unknown:
        parser.error(f"no program {unknown[0]}; there are: {', '.join(PROGRAMS)}")
    programs = {}
    for name in args.names or PROGRAMS:
        module = PROGRAMS[name][0]
        if run([PYTHON, "-c", f"import {module}"], "/")[0]:
            print(f"{name} is left out: {PYTHON} cannot import {module}", flush=True)
        else:
            programs[name] = PROGRAMS[name][1]
    end = time.monotonic() + 60 * args.minutes
    size, runs, differing = 0, 0, 0
    while programs and time.monotonic() < end:
        size += 1
        for name, words in programs.items():
            with tempfile.TemporaryDirectory(prefix="heapglass-long-") as folder:
                alone = [PYTHON, *words(size)]
                watched = [args.command.resolve(), "run", "-o", f"{folder}/long.hg", "--", *alone]
                expected, found = run(alone, folder), run(watched, folder)
            runs += 1
            if expected[0] != 0 or expected != found:
                differing += 1
                print(f"{name}, size {size}: alone {expected}\nwatched {found}"[:4000], flush=True)
            if time.monotonic() >= end:
                break
    print(f"{len(programs)} programs, {runs} runs, {differing} of them with another output")
    return 1 if differing or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
