#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Find the CPythons that tests and benches run on.

    tests/interpreters.py VERSION...             print their paths, one a line
    tests/interpreters.py --summary [VERSION...] and say which is which, or why not
    tests/interpreters.py --debian VERSION...    only Debian's, fetched where need be

A version comes from pyenv, else from the machine, else from Debian's archive: the packages of
a newer suite are unpacked into ~/.cache/heapglass, with the C library they were built against,
and the program is told to use that. Nothing is installed and no right is needed, but Debian's
keys, patchelf and the network. CPython's own tests, where asked for, come in a tree beside it.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from debian import Missing, call, need, unpacked

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]
SUITES = {"3.13": "trixie", "3.14": "sid", "3.15": "sid"}
DESCRIBE = """
import json, platform, sys, sysconfig
print(json.dumps(["%d.%d" % sys.version_info[:2], platform.python_version(),
                  bool(sysconfig.get_config_var("Py_GIL_DISABLED"))]))
"""


def describe(path):
    """(minor version, full version) of a CPython with a GIL at `path`, or None."""
    done = subprocess.run([path, "-I", "-c", DESCRIBE], capture_output=True, text=True)
    if done.returncode:
        return None
    minor, full, no_gil = json.loads(done.stdout)
    return None if no_gil else (minor, full)


def installed(version):
    """Candidates on this machine, the best first."""
    def age(path):
        return [int(n) for n in re.findall(r"\d+", path.parts[-3])]

    if version == "3.11":  # Debian 12's own is what most people have
        yield "/usr/bin/python3.11"
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = root.glob(f"versions/{version}*/bin/python{version}")
    yield from map(str, sorted(found, key=age, reverse=True))
    for folder in "/usr/bin", "/usr/local/bin":
        yield f"{folder}/python{version}"


def find(version, fetch=True):
    """Path of an interpreter of `version`, such as "3.13". Raises Missing."""
    for path in installed(version):
        if os.access(path, os.X_OK) and (describe(path) or [""])[0] == version:
            return path
    if fetch and version in SUITES:
        return debian(version)
    raise Missing(f"no Python {version} on this machine")


def with_tests(version):
    """Path of an interpreter of `version` that has CPython's own tests. Raises Missing."""
    for path in installed(version):
        if os.access(path, os.X_OK) and (describe(path) or [""])[0] == version:
            code = "import importlib.util as u, sys; sys.exit(not u.find_spec('test.test_list'))"
            if not subprocess.run([path, "-I", "-c", code]).returncode:
                return path
    if version in SUITES:
        return fetched(version, f"libpython{version}-testsuite")
    raise Missing(f"no Python {version} on this machine has its test suite")


def debian(version):
    """Path of Debian's interpreter of `version`, from this machine or the archive."""
    path = f"/usr/bin/python{version}"
    if os.access(path, os.X_OK):
        return path
    if version not in SUITES:
        raise Missing(f"Python {version} is not installed")
    return fetched(version)


def fetched(version, *extra):
    """Path of Debian's interpreter of `version`, with `extra` packages, from the archive."""
    folder = "-".join([f"python{version}", SUITES[version], *["tests"] * bool(extra)])
    target = unpacked(folder, SUITES[version], f"python{version}", *extra,
                      finish=lambda tree, target: relocate(tree, target, version))
    python = str(target / f"usr/bin/python{version}")
    if not describe(python):
        shutil.rmtree(target)
        raise Missing(f"Debian's Python {version} does not run on this machine")
    return python


def relocate(tree, target, version):
    """Make the interpreter in `tree` use the C library that will stand beside it in `target`.

    DT_RPATH, unlike DT_RUNPATH, also serves the modules that Python opens later.
    """
    need(f"Python {version}", "patchelf")
    python = str(tree / f"usr/bin/python{version}")
    loader = os.path.basename(call("patchelf", "--print-interpreter", python).strip())
    libc = next(tree.glob("usr/lib/*/libc.so.6"))
    folder = target / libc.parent.relative_to(tree)
    call("patchelf", "--set-interpreter", str(folder / loader),
         "--force-rpath", "--set-rpath", str(folder), python)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", nargs="*", default=VERSIONS)
    parser.add_argument("--summary", action="store_true",
                        help="say which is which; a missing one is no failure")
    parser.add_argument("--debian", action="store_true", help="only Debian's packages")
    args = parser.parse_args()
    missing = 0
    for version in args.version:
        try:
            path = debian(version) if args.debian else find(version)
            print(f"Python {describe(path)[1]}: {path}" if args.summary else path)
        except Missing as reason:
            missing += 1
            print(f"Python {version} is missing: {reason}", flush=True,
                  file=sys.stdout if args.summary else sys.stderr)
    return 1 if missing and not args.summary else 0


if __name__ == "__main__":
    sys.exit(main())
