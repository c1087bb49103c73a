# SPDX-License-Identifier: MIT
"""A running program gives free memory back when it is asked to."""
import re
import subprocess
import sys

import case
import harness

# Every 40th of many small objects stays: pages without any can go back.
BUSY = """
keep = [bytearray(200) for i in range(200000)]
keep = [b for i, b in enumerate(keep) if i // 80 % 40 == 0]
print("ready", flush=True)
while True:
    x = [[i] for i in range(1000)]
"""


class Trim(case.Case):
    def start(self, text):
        self.write(text)
        program = subprocess.Popen(
            [harness.COMMAND, "run", "-o", "live.hg", "--", sys.executable, "program.py"],
            cwd=self.dir, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        self.assertEqual(program.stdout.readline(), "ready\n")
        return str(program.pid)

    def test_a_busy_program_answers_and_says_how_much(self):
        pid = self.start(BUSY)
        said = self.does("trim", pid)
        self.assertRegex(said, r"\A[\d.]+ \w+ given back; resident [\d.]+ MiB, was [\d.]+ MiB\n\Z")
        now, was = re.findall(r"([\d.]+) MiB", said)[-2:]
        self.assertLessEqual(float(now), float(was))

    def test_who_sleeps_is_named(self):
        pid = self.start("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
        harness.wait_until_asleep(pid)
        self.refuses(1, "it sleeps", "trim", pid)

    def test_bad_input_is_one_line(self):
        self.write("pass")
        self.does("run", "-o", "ended.hg", sys.executable, "program.py")
        self.refuses(1, "does not run", "trim", "ended.hg")
        self.refuses(1, "no process of this id", "trim", "4194304")
        self.refuses(2, "name one running program", "trim")
        self.refuses(2, "name one running program", "trim", "1", "2")
