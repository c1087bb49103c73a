# SPDX-License-Identifier: MIT
"""Allocators that are put before ours at run time: what code is called stays true."""
import shutil
import unittest
from pathlib import Path

import code_churn
import harness

STRANGER = "not what an allocator of the program's own holds"


class Allocators(harness.Case):
    def run_with(self, use, *options):
        if shutil.which("cc") is None:
            self.skipTest("no C compiler")
        library = self.dir / "allocators.so"
        done = harness.call("cc", "-O1", "-shared", "-fPIC", "-o", library,
                            Path(__file__).with_name("allocators.c"))
        self.assertEqual(done.returncode, 0, done.stderr)
        load = f"import ctypes; ctypes.CDLL({str(library)!r}).{use}()\n"
        run = self.watch(load + code_churn.PROGRAM, *options)
        self.assertEqual((run.process.stdout, run.process.stderr), (code_churn.OUTPUT, ""))
        return run

    def test_one_that_passes_on(self):
        for options in (), ("--lines",):
            run = self.run_with("use_one_that_passes_on", *options)
            code_churn.claim_true(self, run)
            self.assertNotIn(STRANGER, run.report()["watched"]["stacks_how"])

    def test_one_over_malloc(self):
        for options in (), ("--lines",):
            run = self.run_with("use_one_over_malloc", *options)
            code_churn.claim_true(self, run)
            self.assertNotIn(STRANGER, run.report()["watched"]["stacks_how"])
        run = self.run_with("use_one_over_malloc", "--no-native")
        code_churn.claim_true(self, run)
        self.assertIn(STRANGER, run.report()["watched"]["stacks_how"])

    def test_one_with_memory_of_its_own(self):
        for options in (), ("--lines",):
            run = self.run_with("use_one_with_memory_of_its_own", *options)
            code_churn.claim_true(self, run)
            self.assertIn(STRANGER, run.report()["watched"]["stacks_how"])


if __name__ == "__main__":
    unittest.main()
