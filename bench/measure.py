# SPDX-License-Identifier: MIT
"""One program, one variant, one interpreter: run it and say what that took."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """A run that did not end well; the text says which and how."""


def environment():
    """Ours, less what changes an interpreter or an allocator; the same hashes every time."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTHON", "MALLOC_", "LD_", "GLIBC_"))}
    return dict(env, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")


def imports(python, module):
    return not subprocess.run([python, "-c", f"import {module}"], env=environment(),
                              stderr=subprocess.DEVNULL).returncode


def folder_for_ledgers():
    """Where ledgers lie by default, they lie in memory; so do these."""
    shm = "/dev/shm"
    return tempfile.TemporaryDirectory(prefix="heapglass-bench-",
                                       dir=shm if os.access(shm, os.W_OK) else None)


class Runner:
    """Runs programs on one interpreter, under the given heapglass command."""

    def __init__(self, python, command, ledgers):
        self.python, self.command, self.ledgers = python, command, ledgers

    def words(self, variant, program, arguments, ledger="bench.hg"):
        words = [self.python, *variant.python, *program.words(arguments)]
        if variant.run is not None:
            path = os.path.join(self.ledgers, ledger)
            words = [self.command, "run", *variant.run, "-o", path, "--", *words]
        return words

    def spend(self, variant, program, arguments):
        """CPU seconds, peak RSS in KiB, wall seconds and the output of a run."""
        # -I -S: as small a process as Python can be, for its child inherits its peak RSS.
        done = subprocess.run([sys.executable, "-I", "-S", str(HERE / "spawn.py"),
                               *self.words(variant, program, arguments)],
                              env=environment(), stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        *output, last = done.stdout.splitlines() or [""]
        status, *figures = last.split() or ["no result"]
        if status != "0":
            raise Failed(f"{program.name}, {variant.name}: status {status}\n{done.stderr[-2000:]}")
        user, system, rss, wall = map(float, figures)
        return {"cpu": user + system, "rss": rss, "wall": wall, "output": output}

    def count(self, counter, variant, program):
        """Instructions between the small and the large run."""
        small, large = (counter(self.words(variant, program, size, f"count-{os.getpid()}-"
                                           f"{program.name}-{variant.name}.hg".replace(" ", "-")))
                        for size in (program.small, program.large))
        return large - small

    def prove(self, variant, program):
        """Fail unless a run under heapglass leaves a ledger that knows of the program."""
        if variant.run is None:
            return
        words = self.words(variant, program, program.small)
        subprocess.run(words, env=environment(), check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([self.command, "report", words[words.index("-o") + 1], "--json"],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise Failed(f"{variant.name} left no ledger: {done.stderr}")
        blocks = json.loads(done.stdout)["totals"].get("total_blocks", 0)
        if "--untraced" not in variant.run and blocks < 1000:
            raise Failed(f"{variant.name} recorded only {blocks} blocks")


def perf(words):
    """Instructions of a run, by the processor's own counter."""
    with tempfile.NamedTemporaryFile("r", suffix=".perf") as out:
        done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "-o", out.name,
                               "--", *words], env=environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        match = re.search(r"^(\d+),", out.read(), re.MULTILINE)
    if done.returncode or not match:
        raise Failed(f"perf stat {' '.join(words)}: {done.stderr[-2000:]}")
    return int(match[1])


def valgrind(words):
    """Instructions of a run, by cachegrind: slow, but the same whatever else goes on."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["valgrind", "--tool=cachegrind", "--cache-sim=no",
                               "--cachegrind-out-file=/dev/null", "--trace-children=yes",
                               f"--log-file={folder}/%p", *words], env=environment(),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        logs = [path.read_text(errors="replace") for path in Path(folder).iterdir()]
    # exec keeps the pid, so each log is of the last program that a process became.
    found = [re.search(r"I\s+refs:\s+([\d,]+)", log) for log in logs]
    if done.returncode or not any(found):
        raise Failed(f"valgrind {' '.join(words)}: status {done.returncode}\n"
                     f"{done.stderr[-1000:]}{''.join(logs)[-1000:]}")
    return sum(int(match[1].replace(",", "")) for match in found if match)


def counter():
    """The best way that this machine has to count instructions, or None."""
    if shutil.which("perf"):
        try:
            perf(["true"])
            return perf
        except Failed:
            pass
    return valgrind if shutil.which("valgrind") else None
