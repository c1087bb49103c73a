# SPDX-License-Identifier: MIT
"""The ledger of a program that was killed at any moment opens, and is whole.

What each thread was just doing may be missing: no more. HG_TEST_KILLS is how often each kind of
program is killed: 200 tell enough, 40 are for every day. The moments are the same each time.
"""
import os
import random
import signal
import subprocess
import time

import harness

KILLS = int(os.environ.get("HG_TEST_KILLS", 40))
KEYS = ["live_bytes", "live_blocks", "total_bytes", "total_blocks", "peak_bytes", "peak_blocks"]

# No block that the programs make is larger: so much is an operation, at most.
LARGEST = 1 << 16
# Each says "ready" and goes on for ever.
ONE = """
import random
def rise(n): return [bytes(random.randrange(4000)) for i in range(n)]
def fall(n): return fall(n - 1) if n else rise(100)
print("ready", flush=True)
while True:
    kept = [fall(random.randrange(30)) for i in range(random.randrange(50))]
    kept = {str(i): [i, float(i)] for i in range(random.randrange(300))}
    buffer = bytearray()
    for i in range(random.randrange(200)): buffer += b"x" * 100
    exec("\\n" * random.randrange(300) + "class A:\\n def f(self): return [self]\\nA().f()")
"""
FOUR = """
import random, sys, threading
sys.setswitchinterval(1e-5)
def rise(n): return [bytes(random.randrange(4000)) for i in range(n)]
def fall(n): return fall(n - 1) if n else rise(50)
def work():
    while True:
        mine = [fall(random.randrange(30)) for i in range(random.randrange(20))]
        mine = {str(i): [i, float(i)] for i in range(random.randrange(300))}
        theirs.append(mine)
        del theirs[:-10]
theirs = []
for i in range(4): threading.Thread(target=work).start()
print("ready", flush=True)
"""


class Killed(harness.Case):
    def kill(self, program, ledger, delay, *options):
        """Start the program, kill it `delay` seconds after it is ready: its pid."""
        process = subprocess.Popen([harness.COMMAND, "run", *options, "-o", ledger,
                                    harness.PYTHON, program], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        try:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            time.sleep(delay)
        finally:
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
        self.assertEqual((process.returncode, said), (-signal.SIGKILL, b""))
        return process.pid

    def check(self, ledger, pid, threads):
        report = harness.report(ledger, "--by", "line")
        (process,) = report["processes"]
        self.assertEqual((process["pid"], process["state"]), (pid, "killed"))
        sums = {key: sum(row[key] for row in report["rows"]) for key in KEYS}
        self.assertEqual(sums, {key: report["totals"][key] for key in KEYS})
        self.assertEqual(sum(count for what, count in report["lost"].items()
                             if what != "away_races"), 0)
        # The program's own count and that of its lines: an operation a thread.
        for key in "live_bytes", "peak_bytes":
            self.assertLessEqual(abs(process[key] - sums[key]), threads * LARGEST, key)
        for row in report["rows"]:
            self.assertGreaterEqual(row["total_bytes"], row["live_bytes"] - LARGEST, row)
            self.assertLess(row["live_bytes"], 1 << 40, row)
        return sums

    def many(self, text, threads, *options):
        program = self.write(text)
        chance = random.Random(42)
        for number in range(KILLS):
            ledger = self.dir / f"{number}.hg"
            pid = self.kill(program, ledger, chance.random() * 0.15, *options)
            with self.subTest(number=number):
                whole = self.check(ledger, pid, threads)
                for kind in "stack", "thread", "domain":
                    if kind == "stack" and options:
                        continue
                    report = harness.report(ledger, "--by", kind)
                    sums = {key: sum(row[key] for row in report["rows"]) for key in KEYS}
                    self.assertEqual(sums, whole, kind)
            ledger.unlink()

    def test_while_one_thread_allocates(self):
        self.many(ONE, 1)

    def test_while_four_threads_allocate(self):
        self.many(FOUR, 5)

    def test_while_it_keeps_lines_alone(self):
        self.many(FOUR, 5, "--lines")

    def test_while_it_starts(self):
        program = self.write("print('ready')\n")
        for number in range(KILLS):
            ledger = self.dir / f"{number}.hg"
            process = subprocess.Popen([harness.COMMAND, "run", "-o", ledger, harness.PYTHON,
                                        program], stdout=subprocess.DEVNULL)
            time.sleep(0.08 * number / KILLS)
            process.kill()
            status = process.wait()
            done = harness.heapglass("report", ledger, "--json")
            with self.subTest(number=number, status=status, exists=ledger.exists()):
                if done.returncode:  # it was killed before it was Python, or had a ledger
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                    self.assertNotRegex(done.stderr, "damaged|cut short")
                else:
                    harness.report(ledger)

    def test_what_was_held_is_told_of_a_program_that_was_killed(self):
        program = self.write("x, keep = b'x', [None] * 1000\n"
                             "for i in range(1000):\n"
                             "    keep[i] = x * 10000\n"
                             "print('ready', flush=True)\n"
                             "input()\n")
        ledger = self.dir / "held.hg"
        process = subprocess.Popen([harness.COMMAND, "run", "-o", ledger, harness.PYTHON,
                                    program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        running = harness.Run(None, program, ledger).line(3)
        process.kill()
        process.communicate()
        killed = harness.Run(None, program, ledger).line(3)
        self.assertEqual((killed["live_bytes"], killed["live_blocks"]), (1000 * 10033, 1000))
        self.assertEqual(running, killed)
