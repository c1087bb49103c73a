#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Build quickjs.c with Debian's libquickjs and run it: quickjs.py LIBHEAPGLASS.SO.

The package is this machine's, or that of a newer suite, unpacked. Status 77: there is none.
"""
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from debian import Missing, unpacked  # noqa: E402  (found by the path above)


def root():
    """The folder that the package lies in."""
    if Path("/usr/include/quickjs/quickjs.h").exists():
        return Path("/")
    return unpacked("libquickjs-trixie", "trixie", "libquickjs")


def build(library, folder):
    """The program's path."""
    package = root() / "usr"
    program = f"{folder}/quickjs"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                    "-I", TOP / "include", "-isystem", package / "include",
                    Path(__file__).with_suffix(".c"), next(package.glob("lib/*/quickjs/*.a")),
                    library, f"-Wl,-rpath,{library.parent}", "-lm", "-ldl", "-pthread",
                    "-o", program], check=True)
    return program


def main():
    library = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = build(library, folder)
        except Missing as reason:
            print(f"SKIPPED, QuickJS is missing: {reason}")
            return 77
        return subprocess.run([program]).returncode


if __name__ == "__main__":
    sys.exit(main())
