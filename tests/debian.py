# SPDX-License-Identifier: MIT
"""Packages of a newer suite of Debian, unpacked into ~/.cache/heapglass.

Nothing is installed and no right is needed, but Debian's keys and the network.
"""
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Missing(Exception):
    """Why something cannot be had, in a line for people."""


def call(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise Missing(f"{os.path.basename(command[0])}: {last}")
    return done.stdout


def need(what, *tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Missing(f"no {what} on this machine, and {tool}, "
                          "which would help to get Debian's, is missing too")


def mirror():
    """Where this machine gets Debian from."""
    try:
        lines = call("apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)")
    except Missing:
        lines = ""
    uris = [line.split()[1] for line in lines.splitlines() if line.startswith("Debian ")]
    plain = [uri for uri in uris if "security" not in uri]
    return (plain or ["http://deb.debian.org/debian"])[0]


def download(suite, packages, state):
    """Unpack `packages` and all that they need into `state`/tree, which is returned."""
    for folder in "lists/partial", "archives/partial", "tree":
        (state / folder).mkdir(parents=True)
    # As if on a machine with no package at all, apt takes the C library too.
    (state / "status").touch()
    (state / "sources").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
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
    call(*apt, "install", "-y", "--download-only", "--no-install-recommends", *packages)
    for archive in sorted((state / "archives").glob("*.deb")):
        call("dpkg-deb", "-x", str(archive), str(state / "tree"))
    return state / "tree"


def unpacked(name, suite, *packages, finish=None):
    """The folder `name` with `packages` of `suite`, fetched unless it is there. finish(tree,
    folder) is called once, with the tree and the folder that it will be. Raises Missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "heapglass")
    target = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test jobs may want it at once
        if target.exists():
            return target
        need(packages[0], "apt-get", "dpkg-deb")
        print(f"fetching {packages[0]} from Debian {suite}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            tree = download(suite, packages, Path(scratch))
            if finish:
                finish(tree, target)
            tree.rename(target)
    return target
