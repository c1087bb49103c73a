#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run CPython's own test suite under `heapglass run`; whatever fails must fail without it too.

    tests/cpython/check.py [--python 3.11,3.13] [--part whole|large|small] [MODULE...]

Each module is a process. One that passes is done with. Of one that does not, the cases that
failed are asked of the interpreter alone, in the same environment, and those that it passes of
a second run under heapglass, for many tests fail now and then: what passes there is named in
the end and fails nothing. What then remains is a difference: known.txt lists those that must be,
each with its reason; any other fails the check.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import re
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(1, str(HERE.parent))

import interpreters  # noqa: E402  (found by the path above)

PASSED_STATUS = (0, 3, 4)  # 3: it left its environment changed; 4: no test could be run
WHOLE_MODULE = "(module)"


def read_list(name):
    """Lines of a text file beside this one, without comments."""
    lines = (line.partition("#")[0].strip() for line in (HERE / name).read_text().splitlines())
    return [line for line in lines if line]


@dataclass
class Known:
    """A line of known.txt: VERSIONS CASE REASON."""
    first: tuple
    last: tuple
    case: str  # may hold * and ?
    reason: str

    @classmethod
    def parse(cls, line):
        versions, case, reason = line.split(None, 2)
        first, _, last = versions.partition("-")
        return cls(numbers(first), numbers(last or first), case, reason)

    def covers(self, version, case):
        return self.first <= version <= self.last and fnmatch.fnmatchcase(case, self.case)


def numbers(version):
    return tuple(int(part) for part in version.split(".")[:2])


@dataclass
class Outcome:
    """How a module went: the cases that did not pass, and how many were run."""
    status: int
    failed: set = field(default_factory=set)
    tests: int = 0
    text: str = ""

    @property
    def passed(self):
        return self.status in PASSED_STATUS and not self.failed


@dataclass
class Verdict:
    """A module's outcome under heapglass, and what of it the interpreter alone passes."""
    ours: Outcome
    differing: set = field(default_factory=set)  # failed twice
    once: set = field(default_factory=set)       # failed, then passed


class Suite:
    """CPython's tests for one interpreter."""

    def __init__(self, python, command, timeout):
        self.python, self.command, self.timeout = python, command, timeout
        self.minor, self.version = interpreters.describe(python)

    def modules(self):
        done = subprocess.run([self.python, "-m", "test", "--list-tests"], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise interpreters.Missing(f"Python {self.version} has no test suite: "
                                       f"{(done.stderr.splitlines() or ['?'])[-1]}")
        return done.stdout.split()

    def run(self, module, watched, cases=()):
        """Run a module, or some cases of it: an Outcome."""
        with tempfile.TemporaryDirectory(prefix="heapglass-cpython-") as folder:
            report = os.path.join(folder, "report.xml")
            # -j 1 would be another process still; the timeout is regrtest's own, so that it
            # shows where the test was.
            words = [self.python, "-m", "test", "--junit-xml", report,
                     "--timeout", str(self.timeout), "--tempdir", folder]
            for case in cases:
                words += ["-m", case]
            words.append(module)
            if watched:
                words[:0] = [self.command, "run", "-o", f"{folder}/program.hg", "--"]
            status, text = call(words, folder, self.timeout + 60)
            return outcome_of(module, status, text, report)

    def verdict(self, module):
        """What of a module fails, and of that what fails under heapglass alone."""
        ours = self.run(module, watched=True)
        if ours.passed:
            return Verdict(ours)
        alone = self.run(module, watched=False)
        suspects = ours.failed - alone.failed
        if not suspects:
            return Verdict(ours)
        again = self.run(module, watched=True)
        return Verdict(ours, suspects & again.failed, suspects - again.failed)


def call(words, folder, timeout):
    """(exit status, what was said) of a command in a process group that ends with it."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PYTHON", "HEAPGLASS_", "LD_", "MALLOC_"))}
    env.update(LC_ALL="C.UTF-8", TERM="dumb", HEAPGLASS_DIR=folder)
    with open(os.path.join(folder, "output"), "w+", errors="replace") as out:
        process = subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        out.seek(0)
        return status, out.read()


def outcome_of(module, status, text, report):
    outcome = Outcome(status, text=text)
    try:
        root = xml.parse(report).getroot()
    except (OSError, xml.ParseError):
        root = ()
    for case in root and root.iter("testcase"):
        outcome.tests += 1
        details = case.findall("failure") + case.findall("error")
        if details:
            # "test_x (test.test_y.Class.test_x)": of a fixture; "test.test_y.Class.test_x"
            name = re.sub(r" \[.*|\s*\(<?.*", "", case.get("name"), flags=re.S)
            outcome.failed.add(re.sub(r"^test\.", "", name))
            outcome.text += "".join(f"\n{name}\n{''.join(d.itertext())}\n" for d in details)
    if status not in PASSED_STATUS and not outcome.failed:
        outcome.failed.add(f"{module}.{WHOLE_MODULE}")
    return outcome


@dataclass
class Tally:
    """What is to be said of one interpreter in the end."""
    modules: int = 0
    tests: int = 0
    known: int = 0
    anyway: int = 0
    once: list = field(default_factory=list)
    new: list = field(default_factory=list)


def check(suite, modules, jobs, known, keep):
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(suite.verdict, module): module for module in modules}
        for done in concurrent.futures.as_completed(pending):
            module = pending[done]
            found = done.result()
            ours = found.ours
            tally.modules += 1
            tally.tests += ours.tests
            new = [case for case in sorted(found.differing)
                   if not any(k.covers(numbers(suite.minor), case) for k in known)]
            tally.known += len(found.differing) - len(new)
            tally.anyway += len(ours.failed - found.differing - found.once)
            tally.once += sorted(found.once)
            tally.new += new
            for case in new:
                print(f"Python {suite.minor}: {case} fails under heapglass alone", flush=True)
            if keep and not ours.passed:
                (keep / f"{suite.minor}-{module}.txt").write_text(
                    f"status {ours.status}\nfailed {sorted(ours.failed)}\n"
                    f"differing {sorted(found.differing)}\nonce {sorted(found.once)}\n"
                    f"{ours.text}")
            if sys.stderr.isatty():
                print(f"\r\033[K{suite.minor}: {tally.modules} of {len(modules)}, {module}",
                      end="", file=sys.stderr, flush=True)
    return tally


def choose(suite, part, names):
    """The modules to run, in the order of the suite."""
    there = suite.modules()
    if names:
        return [module for module in names if module in there or "." in module]
    if part == "whole":
        return there
    patterns = read_list(f"{part}.txt")
    # Since 3.12 the modules of a package are each one: "test.test_asyncio.test_tasks".
    return [m for m in there
            if any(fnmatch.fnmatchcase(m.removeprefix("test."), p) for p in patterns)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.11,3.13",
                        help="versions or paths, with commas (default: %(default)s)")
    parser.add_argument("--part", choices=["whole", "large", "small"], default="whole")
    parser.add_argument("--command", default=HERE.parents[1] / "build/heapglass", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=int, default=1200, help="seconds for a module")
    parser.add_argument("--keep", type=Path, help="a folder for what failing modules said")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    # What a shell starts in the background ignores it, and so would the tests of signals.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    known = [Known.parse(line) for line in read_list("known.txt")]
    status = 0
    for name in args.python.split(","):
        try:
            python = name if "/" in name else interpreters.with_tests(name)
            suite = Suite(python, str(args.command.resolve()), args.timeout)
            modules = choose(suite, args.part, args.modules)
        except interpreters.Missing as reason:
            print(f"Python {name} is skipped: {reason}", flush=True)
            continue
        tally = check(suite, modules, args.jobs, known, args.keep)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        print(f"Python {suite.version}: {tally.modules} modules, {tally.tests} tests; "
              f"{len(tally.new)} new differences, {tally.known} known, "
              f"{tally.anyway} fail anyway, {len(tally.once)} failed once", flush=True)
        for case in tally.once:
            print(f"Python {suite.minor}: {case} failed under heapglass, then passed",
                  flush=True)
        status = 1 if tally.new else status
    return status


if __name__ == "__main__":
    sys.exit(main())
