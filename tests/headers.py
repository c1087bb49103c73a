#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each header compiles alone; the public ones as C99 too. Says in TAP how it went."""
import os
import shlex
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wstrict-prototypes", "-Werror"]


def compiles(header, standard):
    command = [*shlex.split(os.environ.get("CC", "cc")), "-x", "c", "-fsyntax-only",
               f"-std={standard}", "-D_GNU_SOURCE", "-DHG_CHECK=2", "-I", TOP / "src",
               "-I", TOP / "include", *WARNINGS, "-"]
    done = subprocess.run(command, input=f'#include "{header}"\n', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def main():
    cases = [(path, "c17") for path in sorted(TOP.glob("src/**/*.h"))]
    cases += [(path, std) for path in sorted(TOP.glob("include/**/*.h")) for std in ("c99", "c17")]
    print(f"1..{len(cases)}")
    for number, (path, standard) in enumerate(cases, 1):
        good, said = compiles(path, standard)
        print(f"{'ok' if good else 'not ok'} {number} {path.relative_to(TOP)} as {standard}")
        if not good:
            print("\n".join("# " + line for line in said.splitlines()))


if __name__ == "__main__":
    sys.exit(main())
