# SPDX-License-Identifier: MIT
"""What C programs read by heapglass/ledger.h is what the command reports."""
import json
import os
import subprocess
import unittest
from pathlib import Path

import case

BUILD = Path(os.environ["HG_COMMAND"]).parent
BYS = ["line", "function", "file", "stack", "thread", "domain"]
MEASURES = [f"{moment}_{unit}" for moment in ("live", "peak", "total")
            for unit in ("bytes", "blocks")]

PROGRAM = """
import os, sys, threading
def keep(n):
    return [bytearray(n + i) for i in range(n)]
def deeper(n):
    return keep(n) if n % 7 == 0 else deeper(n - 1)
kept = [deeper(n) for n in range(40)]
thread = threading.Thread(target=lambda: kept.append(keep(30)))
thread.start()
thread.join()
if len(sys.argv) == 1:
    child = os.fork()
    kept.append(keep(50))
    if child:
        os.waitpid(child, 0)
"""


def place(row):
    return [row["file"] or "", str(-1 if row["line"] is None else row["line"]),
            row["function"] or ""]


class Same(case.Case):
    def setUp(self):
        super().setUp()
        self.program = self.write(PROGRAM, "program.py")

    def run_program(self, ledger, *args):
        self.does("run", "-o", ledger, "--", "/usr/bin/python3", str(self.program), *args)

    def rows(self, *words):
        """What C reads: lines, each a list of words."""
        done = subprocess.run([BUILD / "tests/cli/ledger-rows", *map(str, words)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.dir,
                              env=self.environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return [line.split("\t") for line in done.stdout.splitlines()]

    def test_all_rows_by_all_keys(self):
        self.run_program("a.hg")
        for number, by in enumerate(BYS):
            with self.subTest(by):
                told = json.loads(self.does("report", "a.hg", "--by", by, "--live", "--json"))
                expected = []
                for row in told["rows"]:
                    slot = row["thread"]["slot"] if by == "thread" else 0
                    expected.append(["row", *place(row), row.get("domain", ""),
                                     str(-1 if slot is None else slot),
                                     *(str(row[key]) for key in MEASURES)])
                    expected += [["frame", *place(frame)] for frame in row.get("stack", [])]
                read = self.rows(number, "a.hg")
                self.assertEqual([one for one in read if one[0] in ("row", "frame")], expected)
                self.assertGreaterEqual(len(expected), 2)
                self.assertEqual(read[0][1:], [str(told["totals"][key]) for key in MEASURES])

    def test_the_processes(self):
        self.run_program("a.hg")
        told = json.loads(self.does("report", "a.hg", "--json"))["processes"]
        read = [one[1:-1] for one in self.rows(0, "a.hg") if one[0] == "process"]
        keys = ["pid", "state", "command", "exit_status", "live_bytes", "peak_bytes"]
        self.assertEqual(read, [[str(one[key]) for key in keys] for one in told])
        self.assertEqual(len(read), 2)

    def test_growth_is_that_of_diff(self):
        self.run_program("a.hg", "alone")
        self.run_program("b.hg")
        told = json.loads(self.does("diff", "a.hg", "b.hg", "--by", "stack", "--json"))["rows"]
        read = [one[1:] for one in self.rows(3, "a.hg", "b.hg") if one[0] == "row"]
        # A row: place, domain, slot; live, peak and total before, and the same now.
        self.assertEqual([row[:3] for row in read], [place(row) for row in told])
        for one, row in zip(read, told):
            self.assertEqual(one[5:7], [str(row["before_bytes"]), str(row["before_blocks"])])
            self.assertEqual(one[11:13], [str(row["after_bytes"]), str(row["after_blocks"])])

    @unittest.skipUnless((BUILD / "examples/growth").exists(), "no examples were built")
    def test_the_example_names_the_line_that_grows(self):
        program = self.write("import time\nkeep = []\nprint('ready', flush=True)\n"
                             "while True:\n    keep.append(bytearray(100_000))\n"
                             "    time.sleep(0.01 + len(keep) / 10_000)\n", "grows.py")
        with subprocess.Popen([os.environ["HG_COMMAND"], "run", "-o", self.dir / "live.hg", "--",
                               "/usr/bin/python3", program], stdout=subprocess.PIPE,
                              env=self.environment) as running:
            try:
                running.stdout.readline()
                done = subprocess.run([BUILD / "examples/growth", str(running.pid), "1"],
                                      stdout=subprocess.PIPE, text=True, env=self.environment)
            finally:
                running.kill()
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout.splitlines()[2], r"\+\d{6,} +\+\d+  \S+grows.py:5 <module>")
