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
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"]
SUITES = {"3.13": "trixie", "3.14": "sid", "3.15": "sid"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
DESCRIBE = """
import json, platform, sys, sysconfig
print(json.dumps(["%d.%d" % sys.version_info[:2], platform.python_version(),
                  bool(sysconfig.get_config_var("Py_GIL_DISABLED"))]))
"""


class Missing(Exception):
    """Why an interpreter cannot be had, in a line for people."""


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
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "heapglass")
    target = cache / "-".join([f"python{version}", SUITES[version], *["tests"] * bool(extra)])
    python = target / f"usr/bin/python{version}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test jobs may want it at once
        if not python.exists():
            unpack(version, extra, target)
    return str(python)


def call(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise Missing(f"{os.path.basename(command[0])}: {last}")
    return done.stdout


def mirror():
    """Where this machine gets Debian from."""
    try:
        lines = call("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)")
    except Missing:
        lines = ""
    uris = [line.split()[1] for line in lines.splitlines() if line.startswith("Debian ")]
    plain = [uri for uri in uris if "security" not in uri]
    return (plain or ["http://deb.debian.org/debian"])[0]


def unpack(version, extra, target):
    """Lay Python `version`, `extra` packages and all they need out under `target`."""
    for tool in "apt-get", "dpkg-deb", "patchelf":
        if not shutil.which(tool):
            raise Missing(f"no Python {version} on this machine, and {tool}, "
                          "which would help to get Debian's, is missing too")
    print(f"fetching Python {version} from Debian {SUITES[version]}",
          file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        state = Path(scratch)
        for folder in "lists/partial", "archives/partial", "tree":
            (state / folder).mkdir(parents=True)
        # As if on a machine with no package at all, apt takes the C library too.
        (state / "status").touch()
        (state / "sources").write_text(
            f"deb [signed-by={KEYRING}] {mirror()} {SUITES[version]} main\n")
        apt = ["apt-get", "-qq"]
        for name, value in {
            "Dir::State": state, "Dir::State::lists": state / "lists",
            "Dir::State::status": state / "status",
            "Dir::Cache": state, "Dir::Cache::archives": state / "archives",
            "Dir::Etc::sourcelist": state / "sources", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null", "APT::Sandbox::User": "",
            "Acquire::Languages": "none", "Acquire::Retries": "3",
        }.items():
            apt += ["-o", f"{name}={value}"]
        call(*apt, "update")
        call(*apt, "install", "-y", "--download-only", "--no-install-recommends",
             f"python{version}", *extra)
        for package in sorted((state / "archives").glob("*.deb")):
            call("dpkg-deb", "-x", str(package), str(state / "tree"))
        relocate(state / "tree", target, version)
        shutil.rmtree(target, ignore_errors=True)
        (state / "tree").rename(target)
    if not describe(str(target / f"usr/bin/python{version}")):
        shutil.rmtree(target)
        raise Missing(f"Debian's Python {version} does not run on this machine")


def relocate(tree, target, version):
    """Make the interpreter in `tree` use the C library that will stand beside it in `target`.

    DT_RPATH, unlike DT_RUNPATH, also serves the modules that Python opens later.
    """
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
