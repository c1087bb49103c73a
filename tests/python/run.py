#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run test_*.py of this folder against one interpreter, and say in TAP how it went.

    tests/python/run.py --python 3.13 --command build/heapglass [NAME...]

The tests themselves run on the python3 that runs this; the interpreter that they start under
heapglass comes to them in HG_TEST_PYTHON, the command in HG_COMMAND. Ledgers without a name go to
a folder of the tests' own. Each test class is one process, two at a time. NAME is part of a test's name: test_report, or Totals.test_empty.
"""
import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import interpreters  # noqa: E402  (found by the path above)


class TapResult(unittest.TextTestResult):
    """Says "ok NAME" and the like on standard output; what people read goes to stderr."""

    def startTest(self, test):
        super().startTest(test)
        self.worst = ("ok", "")

    def mark(self, word, comment=""):
        if self.worst[0] == "ok":
            self.worst = (word, comment)

    def addError(self, test, err):
        super().addError(test, err)
        if not hasattr(test, "_testMethodName"):  # setUpClass and its like
            print(f"not ok {test.id()}", flush=True)
        else:
            self.mark("not ok")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.mark("not ok")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.mark("not ok")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.mark("not ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if not hasattr(test, "_testMethodName"):
            print(f"ok {test.id()} # SKIP {reason}", flush=True)
        else:
            self.mark("ok", f" # SKIP {reason}")

    def stopTest(self, test):
        super().stopTest(test)
        print(f"{self.worst[0]} {test.id()}{self.worst[1]}", flush=True)


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def run_here(names):
    """In the process of one class: run the tests of these names."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    unittest.TextTestRunner(resultclass=TapResult, verbosity=0).run(suite)


def run_class(names, env, timeout):
    """(outcomes, what it said besides) of the tests `names`, which are all of one class."""
    command = [sys.executable, "-m", "run", "--here", *names]
    process = subprocess.Popen(command, cwd=HERE, env=env, text=True, errors="replace",
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(timeout=timeout)
        reason = f"the tests exited with {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the programs that they had started
        out, err = process.communicate()
        reason = f"stopped after {timeout} s"
    outcomes = [line for line in out.splitlines() if line.startswith(("ok ", "not ok "))]
    if len(outcomes) < len(names) and not any("# SKIP" in line for line in outcomes):
        seen = {line.partition("ok ")[2].split(" ")[0] for line in outcomes}
        lost = [name for name in names if name not in seen]
        outcomes += [f"not ok {name} - {reason}" for name in lost]
    return outcomes, err


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.11", help="a version, or the path of one")
    parser.add_argument("--command", default=HERE.parents[1] / "build/heapglass", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=900, help="seconds for a class")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.here:
        return run_here(args.names)
    # A shell ignores these for what it starts in the background, and so would all programs.
    for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)

    try:
        python = args.python if "/" in args.python else interpreters.find(args.python)
    except interpreters.Missing as reason:
        print(f"1..0 # SKIP {reason}")
        return
    found = tests_of(unittest.defaultTestLoader.discover(str(HERE), top_level_dir=str(HERE)))
    classes = {}
    for test in found:
        name = test.id()
        if isinstance(test, unittest.loader._FailedTest):  # a module that cannot be imported
            name = test._testMethodName
        if not args.names or any(part in name for part in args.names):
            classes.setdefault(name.rpartition(".")[0], []).append(name)
    print(f"# {python}")
    number = 0
    folder = tempfile.TemporaryDirectory(prefix="heapglass-tests-")
    env = dict(os.environ, HG_TEST_PYTHON=python, HG_COMMAND=str(args.command.resolve()),
               HEAPGLASS_DIR=folder.name)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for outcomes, said in pool.map(lambda names: run_class(names, env, args.timeout),
                                       classes.values()):
            for line in outcomes:
                number += 1
                word, _, rest = line.partition("ok ")
                print(f"{word}ok {number} {rest}")
            if any(line.startswith("not ok") for line in outcomes):
                print("\n".join("# " + line for line in said.splitlines()))
            sys.stdout.flush()
    folder.cleanup()
    print(f"1..{number}")


if __name__ == "__main__":
    main()
