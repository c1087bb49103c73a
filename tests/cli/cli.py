#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run test_*.py of this folder and say in TAP how it went.

    tests/cli/cli.py build/heapglass [NAME...]

What is tested is the command, not what it counts: the programs run on the python3 of the PATH.
"""
import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ["HG_COMMAND"] = str(Path(sys.argv[1]).resolve())
os.environ["HG_TEST_PYTHON"] = "/usr/bin/python3"
sys.path[:0] = [str(HERE), str(HERE.parent / "python")]

from run import TapResult  # noqa: E402  (tests/python/run.py)


def main():
    names = sys.argv[2:]
    loader = unittest.TestLoader()
    if names:
        loader.testNamePatterns = [f"*{name}*" for name in names]
    suite = loader.discover(str(HERE), top_level_dir=str(HERE))
    print(f"1..{suite.countTestCases()}")
    unittest.TextTestRunner(resultclass=TapResult, verbosity=0).run(suite)


if __name__ == "__main__":
    main()
