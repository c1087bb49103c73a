# SPDX-License-Identifier: MIT
"""What the Python tests share: run a program under heapglass, ask what its ledger says.

    class Totals(harness.Case):
        def test_a_list_is_counted(self):
            run = self.watch("keep = [0] * 1000", "--lines")
            self.assertEqual(run.line(1)["live_bytes"], 8056)

A test by itself:  HG_TEST_PYTHON=python3.13 python3 -m unittest test_totals.Totals
"""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PYTHON = shutil.which(os.environ.get("HG_TEST_PYTHON", "python3.11"))
COMMAND = os.environ.get(
    "HG_COMMAND", str(Path(__file__).resolve().parents[2] / "build/heapglass"))
# A program's minute is long, but the machine may be busy and the build a slow one.
TIMEOUT = float(os.environ.get("HG_TEST_TIMEOUT", 120))


def version():
    """(3, 11), say: the minor version of the interpreter under test."""
    out = subprocess.run([PYTHON, "-Ic", "import sys; print(*sys.version_info[:2])"],
                         stdout=subprocess.PIPE, check=True, text=True).stdout
    return tuple(map(int, out.split()))


# Up to 3.10 CPython's free lists stay as they are.
needs_recycled = unittest.skipIf(version() < (3, 11), "recycled objects are not watched there")


def call(*command, **options):
    """subprocess.run() of a command: text captured, nothing to read, never without end."""
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE, "text": True, "timeout": TIMEOUT}
    return subprocess.run([str(word) for word in command], **{**settings, **options})


def heapglass(*words, **options):
    """Call the command, such as heapglass("report", ledger, "--by", "file")."""
    return call(COMMAND, *words, **options)


def wait_until_asleep(pid):
    """Until the process waits in the kernel: who has said that he is ready still runs a little,
    and on a busy machine that little comes late."""
    deadline, asleep = time.monotonic() + TIMEOUT, 0
    while asleep < 5:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0
        if time.monotonic() > deadline:
            raise AssertionError(f"process {pid} does not go to sleep: {state}")
        time.sleep(0.01)


def report(ledger, *options):
    """The JSON report of a ledger, as Python has it. Fails if there is none."""
    done = heapglass("report", ledger, "--json", *options)
    if done.returncode:
        raise AssertionError(f"heapglass report: {done.stderr or done.returncode}")
    return json.loads(done.stdout)


class Run:
    """A program that has run: `process` (CompletedProcess), `program` and `ledger` (paths)."""

    def __init__(self, process, program, ledger):
        self.process, self.program, self.ledger = process, program, ledger

    def report(self, *options):
        return report(self.ledger, *options)

    def line(self, number, *options):
        """Sum of the rows of one line of the program; {} where it holds nothing."""
        total = {}
        for row in self.report("--by", "line", *options)["rows"]:
            if row["file"] == str(self.program) and row["line"] == number:
                for key, value in row.items():
                    if key.endswith(("_bytes", "_blocks")):
                        total[key] = total.get(key, 0) + value
        return total


class Case(unittest.TestCase):
    """A test with a folder of its own, gone afterwards."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="heapglass-test-")
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name).resolve()

    def write(self, text, name="program.py"):
        path = self.dir / name
        path.write_text(text, encoding="utf-8")
        return path

    def watch(self, text, *options, python=(), args=(), status=0, **settings):
        """Run the program `text` under `heapglass run OPTIONS`.

        `python` are options of the interpreter, `args` the program's; the exit status must be
        `status` (None: any). Other settings are those of subprocess.run().
        """
        program, ledger = self.write(text), self.dir / "program.hg"
        done = heapglass("run", "-o", ledger, *options, "--", PYTHON, *python, program, *args,
                         **settings)
        if status is not None:
            self.assertEqual(done.returncode, status, done.stderr)
        return Run(done, program, ledger)

    def plain(self, text, *, python=(), args=(), **settings):
        """Run the same without us: the CompletedProcess."""
        return call(PYTHON, *python, self.write(text), *args, **settings)
