#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The preload library exports what exports.txt names and nothing else."""
import re
import subprocess
import sys
from pathlib import Path


def main(library):
    lines = Path(__file__).with_suffix(".txt").read_text().splitlines()
    allowed = [line for line in lines if line and not line.startswith("#")]
    out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    names = [line.split()[0].partition("@")[0] for line in out.splitlines()]
    wrong = [name for name in names if not any(re.fullmatch(p, name) for p in allowed)]
    for name in wrong:
        print(f"exported, and tests/exports.txt does not know it: {name}")
    print(f"{len(names)} names are exported")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
