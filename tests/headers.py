#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each header compiles alone; the public ones as C99 and C++ too. Says in TAP how it went."""
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]


def compiles(header, standard):
    if standard.startswith("c++"):
        language = ["c++", "-x", "c++"]
    else:
        language = [*shlex.split(os.environ.get("CC", "cc")), "-x", "c", "-Wstrict-prototypes"]
    command = [*language, "-fsyntax-only", f"-std={standard}", "-D_GNU_SOURCE", "-DHG_CHECK=2",
               "-I", TOP / "src", "-I", TOP / "include", *WARNINGS, "-"]
    done = subprocess.run(command, input=f'#include "{header}"\n', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def main():
    cases = [(path, "c17") for path in sorted(TOP.glob("src/**/*.h"))]
    standards = ["c99", "c17"] + ["c++11"] * (shutil.which("c++") is not None)
    cases += [(path, std) for path in sorted(TOP.glob("include/**/*.h")) for std in standards]
    print(f"1..{len(cases)}")
    for number, (path, standard) in enumerate(cases, 1):
        good, said = compiles(path, standard)
        print(f"{'ok' if good else 'not ok'} {number} {path.relative_to(TOP)} as {standard}")
        if not good:
            print("\n".join("# " + line for line in said.splitlines()))


if __name__ == "__main__":
    sys.exit(main())
