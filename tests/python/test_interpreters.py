# SPDX-License-Identifier: MIT
"""Interpreters with locks of their own run at the same time, and the accounts are right."""
import unittest

import harness

NEEDED = (3, 12)

# Runs the file that is the first argument in two interpreters at a time, each with its lock.
PROGRAM = """
import os, sys, threading
try:
    import _interpreters as subs
    run = subs.exec
except ImportError:
    import _xxsubinterpreters as subs
    run = subs.run_string
with open(sys.argv[1]) as file:
    text = file.read()
code = f"exec(compile({text!r}, {sys.argv[1]!r}, 'exec'), globals())"

def in_threads(*calls):
    threads = [threading.Thread(target=call[0], args=call[1:]) for call in calls]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

space = {}
def work():
    exec(compile(text, sys.argv[1], "exec"), space)

made = [subs.create() for _ in range(2)]
in_threads(*((run, one, code) for one in made), *((work,) for _ in sys.argv[2:]))
"""
END = "sys.stdout.flush(); os._exit(0)\n"  # what interpreters hold is freed when they end

HELD = """
keep = []
def leaf(n):
    return bytes(n)
def churn(n):
    for i in range(n):
        leaf(i % 700 + 2); [i] * 9; {"a": str(i)}
def held(n):
    for i in range(n):
        keep.append(leaf(2000))
        churn(30)
held(1000)
"""


@unittest.skipIf(harness.version() < NEEDED, "one lock for all interpreters there")
class AtTheSameTime(harness.Case):
    def work(self, text, *options, end=END, args=(), status=0):
        worker = self.write(text, "worker.py")
        run = self.watch(PROGRAM + end, *options, args=[worker, *args], status=status)
        self.assertEqual(run.process.stderr, "")
        run.program = worker
        return run

    def whole(self, run):
        """The rows are the whole."""
        report = run.report("--by", "line", "--live")
        for key in "live_bytes", "live_blocks", "total_bytes", "total_blocks":
            self.assertEqual(sum(row[key] for row in report["rows"]), report["totals"][key])
        self.assertEqual(set(report["lost"].values()), {0})
        return report

    def test_each_line_holds_what_it_took(self):
        for options in ["--lines"], []:
            with self.subTest(options):
                run = self.work(HELD, *options)
                row = run.line(4, "--live")
                self.assertEqual((row["live_bytes"], row["live_blocks"]), (2 * 2033000, 2000))
                self.assertEqual(row["total_blocks"], 2 * 31000)
                self.whole(run)

    def test_each_stack_holds_what_it_took(self):
        run = self.work(HELD)
        found = {}
        for row in run.report("--by", "stack", "--live")["rows"]:
            lines = tuple(frame["line"] for frame in row["stack"]
                          if frame["file"] == str(run.program))
            if lines[-1:] == (4,):
                found.setdefault(lines, []).append((row["live_bytes"], row["total_blocks"]))
        self.assertEqual(sorted(found), [(12, 10, 4), (12, 11, 7, 4)])
        self.assertEqual(sum(live for live, _ in found[12, 10, 4]), 2 * 2033000)
        self.assertEqual([sum(n) for n in zip(*found[12, 11, 7, 4])], [0, 60000])

    def test_the_main_interpreter_beside_them(self):
        run = self.work(HELD, args=["beside"])
        row = run.line(4, "--live")
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (3 * 2033000, 3000))
        self.whole(run)

    def test_code_that_dies(self):
        run = self.work("keep = []\n"
                        "for i in range(3000):\n"
                        "    names = {}\n"
                        "    exec(f'def f(n):\\n    return [n] * {i}', names)\n"
                        "    keep.append(str(names['f'](i))[:9] + 'padding')\n"
                        "    del names\n", args=["beside"])
        self.assertEqual(run.line(5, "--live")["live_blocks"] // 100, 3 * 3000 // 100)
        self.whole(run)

    def test_recursions_generators_and_exceptions(self):
        run = self.work("def deep(n):\n"
                        "    if n: return [deep(n - 1), bytes(50)]\n"
                        "    raise KeyError\n"
                        "def numbers(n):\n"
                        "    for i in range(n): yield str(i) * 5\n"
                        "keep = []\n"
                        "for i in range(200):\n"
                        "    try: deep(i)\n"
                        "    except KeyError: pass\n"
                        "    keep += list(numbers(50))\n", args=["beside"])
        self.assertEqual(run.line(5, "--live")["live_blocks"] // 100, 3 * 200 * 50 // 100)
        self.whole(run)

    def test_threads_come_and_go(self):
        run = self.work("import threading\n"
                        "keep = []\n"
                        "def take():\n"
                        "    keep.append(bytes(5000))\n"
                        "for i in range(300):\n"
                        "    one = threading.Thread(target=take)\n"
                        "    one.start(); one.join()\n")
        row = run.line(4, "--live")
        self.assertEqual(row["live_bytes"], 600 * 5033 + row["live_bytes"] % 5033)
        self.whole(run)

    def test_interpreters_come_and_go(self):
        self.work(HELD, end="for one in made: subs.destroy(one)\n"
                            "for n in range(20):\n"
                            "    made = [subs.create() for _ in range(2)]\n"
                            "    in_threads(*((run, one, 'x = [bytes(1000)] * 9;'\n"
                            "                 'y = [str(i) for i in range(9999)]') for one in made))\n"
                            "    for one in made: subs.destroy(one)\n"
                            "print(len(made))\n")

    def test_extension_modules_take_from_malloc(self):
        run = self.work("import zlib\n"
                        "keep = []\n"
                        "for i in range(100):\n"
                        "    zlib.compress(bytes(range(256)) * 99)\n"
                        "    keep.append(zlib.compressobj())\n")
        self.assertGreater(run.line(5, "--live")["live_bytes"], 2 * 100 * 200000)
        self.whole(run)

    def test_the_program_ends_well_with_interpreters_left(self):
        run = self.watch(PROGRAM + "print(len(made))\n", args=[self.write(HELD, "worker.py")])
        self.assertEqual(run.process.stdout, "2\n")
        self.whole(run)

    def test_untraced(self):
        run = self.work(HELD, "--untraced", args=["beside"])
        self.assertEqual(run.report()["processes"][0]["state"], "exited early")
