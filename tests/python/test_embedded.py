# SPDX-License-Identifier: MIT
"""CPython inside a C program is accounted for as the interpreter itself is."""
import os
import shutil
import unittest
from pathlib import Path

import code_churn
import harness

HERE = Path(__file__).resolve().parent
HELD = ("keep = []\n"
        "def take(): keep.append(bytes(10000))\n"
        "for n in range(100): take()\n"
        "print(len(keep))\n")


class Embedded(harness.Case):
    @classmethod
    def setUpClass(cls):
        """Words for the compiler, by python3-config beside the interpreter."""
        name = "python{}.{}-config".format(*harness.version())
        config = Path(os.path.realpath(harness.PYTHON)).parent / name
        if not config.exists() or shutil.which("cc") is None:
            raise unittest.SkipTest(f"no {name} for this interpreter")
        done = harness.call(config, "--embed", "--includes", "--ldflags")
        prefix = harness.call(harness.PYTHON, "-Ic",
                              "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))")
        cls.words = [*done.stdout.split(), f"-Wl,-rpath,{prefix.stdout.strip()}"]

    def setUp(self):
        super().setUp()
        self.program = self.dir / "embedded"
        done = harness.call("cc", HERE / "embedded.c", "-o", self.program, *self.words)
        if done.returncode:
            self.skipTest(f"cc: {(done.stderr.splitlines() or ['?'])[-1]}")

    def same(self, way, text=HELD):
        """Run it with and without us: the report by line of the script."""
        script, ledger = self.write(text), self.dir / "program.hg"
        env = dict(os.environ, PYTHONHOME=harness.call(
            harness.PYTHON, "-Ic", "import sys; print(sys.prefix)").stdout.strip())
        plain = harness.call(self.program, way, script, env=env)
        ours = harness.heapglass("run", "-o", ledger, "--", self.program, way, script, env=env)
        self.assertEqual((ours.returncode, ours.stdout, ours.stderr),
                         (plain.returncode, plain.stdout, plain.stderr))
        self.assertEqual(ours.returncode, 0, ours.stderr)
        return harness.Run(ours, script, ledger)

    def holds(self, run, times=1):
        row = run.line(2)
        self.assertEqual(row["live_blocks"] // 100, 1)
        self.assertGreaterEqual(row["live_bytes"], 100 * 10033)
        self.assertGreaterEqual(row["total_bytes"], times * 100 * 10033)
        self.assertIn("frames read in place, proved at start",
                      harness.heapglass("report", run.ledger).stdout)

    def test_by_its_configuration(self):
        self.holds(self.same("plain"))

    def test_isolated(self):
        self.holds(self.same("isolated"))

    def test_another_interpreter_with_the_same_lock(self):
        self.holds(self.same("another"), times=2)

    def test_started_again(self):
        self.same("twice")

    def test_an_allocator_that_the_program_chooses(self):
        for way in "malloc", "debug":
            with self.subTest(way):
                run = self.same(way)
                report = harness.heapglass("report", run.ledger).stdout
                self.assertIn("not watched: the program's own allocator took our place", report)

    def test_blocks_that_debug_hooks_wrap(self):
        self.holds(self.same("hooks"))
        code_churn.claim_true(self, self.same("hooks", code_churn.PROGRAM))

    @unittest.skipIf(harness.version() < (3, 12), "one lock for all interpreters there")
    def test_another_interpreter_with_its_own_lock(self):
        self.same("apart")
