#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The preload library exports what exports.txt names; the others, the API and nothing else.

Of an archive, every name that is not local is meant.
"""
import re
import subprocess
import sys
from pathlib import Path


def exported(library):
    which = "--extern-only" if library.endswith(".a") else "--dynamic"
    out = subprocess.run(["nm", which, "--defined-only", "--format=posix", library],
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line.split()[0].partition("@")[0] for line in out.splitlines() if " " in line]


def main(preload, *libraries):
    lines = Path(__file__).with_suffix(".txt").read_text().splitlines()
    allowed = [line for line in lines if line and not line.startswith("#")]
    status = 0
    for library in preload, *libraries:
        names = exported(library)
        wrong = [name for name in names if not any(
            re.fullmatch(p, name) for p in (allowed if library == preload else [r"hg_\w+"]))]
        for name in wrong:
            print(f"{library} exports what it should not: {name}")
        print(f"{library}: {len(names)} names")
        status |= bool(wrong) or not names
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
