# SPDX-License-Identifier: MIT
"""Which ledger is meant, which may be overwritten, and which are no ledgers."""
import json
import os
import signal
import struct
import subprocess
import time
import unittest

import case
import harness

HOLDER = "import time\nkeep = [0] * 100000\nprint('ready', flush=True)\ntime.sleep(600)\n"


class BadInput(case.Case):
    def test_what_is_no_ledger_is_named(self):
        ledger = self.waiting_ledger()
        good = ledger.read_bytes()
        (self.dir / "short.hg").write_bytes(good[:1000])
        (self.dir / "empty.hg").write_bytes(b"")
        (self.dir / "foreign.hg").write_bytes(b"import heapglass\n")
        (self.dir / "other.hg").write_bytes(good[:8] + struct.pack("<I", 99) + good[12:])
        (self.dir / "broken.hg").write_bytes(good[:24] + b"\x63" + good[25:])
        for name, says in [
            ("none.hg", "No such file"),
            (".", "is a directory"),
            ("short.hg", "is cut short"),
            ("empty.hg", "is not a ledger"),
            ("foreign.hg", "is not a ledger"),
            ("other.hg", "is a ledger of version 99"),
            ("broken.hg", "is damaged"),
            ("/dev/null", "is not a regular file"),
            ("4194304", "no process of this id"),
        ]:
            with self.subTest(name):
                self.refuses(1, says, "report", name)
                self.refuses(1, says, "plot", name)
                self.refuses(1, says, "snapshot", name, "-o", "copy.hg")
                self.refuses(1, says, "diff", name, name)

    @unittest.skipIf(os.getuid() == 0, "root reads everything")
    def test_a_ledger_that_may_not_be_read_is_named(self):
        self.waiting_ledger().chmod(0)
        self.refuses(1, "Permission denied", "report", "waiting.hg")

    def test_a_name_with_a_line_break_gives_one_line(self):
        self.refuses(1, "a?b", "report", "a\nb")

    def test_without_any_ledger_it_says_how_to_make_one(self):
        self.refuses(1, "heapglass run PROGRAM", "report")
        # Other programs of this user may be running, with ledgers of their own.
        self.assertTrue(self.does("list").startswith("    pid  state"))
        listed = json.loads(self.does("list", "--json"))["processes"]
        self.assertFalse([one for one in listed if one["ledger"].startswith(str(self.store))])

    def test_a_program_that_was_not_python_left_nothing(self):
        ledger = self.waiting_ledger()
        self.assertEqual(case.state_of(ledger), case.WAITING)
        self.refuses(1, '"true" was not a Python program', "report", ledger)
        self.refuses(1, "nothing was recorded", "plot", ledger)


class Overwriting(case.Case):
    def test_what_is_no_ledger_is_never_overwritten(self):
        victim = self.write("precious", "victim")
        (self.dir / "link").symlink_to("victim")
        self.waiting_ledger()
        for name, says in [
            ("victim", "is not a ledger, and only a sound ledger is overwritten"),
            ("link", "is a symbolic link"),
            (".", "is a folder"),
            ("no/such", "No such file or directory"),
        ]:
            with self.subTest(name):
                self.refuses(125, says, "run", "-o", name, "true")
        self.assertEqual(victim.read_text(), "precious")
        self.assertEqual(sorted(os.listdir(self.dir)), ["link", "victim", "waiting.hg"])

    def test_the_ledger_of_an_ended_program_is_and_its_children_go(self):
        ledger = self.waiting_ledger()
        child = self.dir / "waiting.hg.123"
        child.write_bytes(ledger.read_bytes())
        other = self.write("not ours", "waiting.hg.124")
        before = ledger.stat().st_ino
        self.waiting_ledger()
        self.assertNotEqual(ledger.stat().st_ino, before)
        self.assertFalse(child.exists())
        self.assertTrue(other.exists())

    def test_the_ledger_of_a_running_program_is_not(self):
        program = subprocess.Popen([harness.COMMAND, "run", "-o", "busy.hg", "sleep", "600"],
                                   env=self.environment, cwd=self.dir)
        try:
            while not (self.dir / "busy.hg").exists():
                time.sleep(0.01)
            self.refuses(125, f"the ledger of process {program.pid}", "run", "-o", "busy.hg",
                         "true")
            self.refuses(1, "has not become a Python program yet", "report", "busy.hg")
            self.refuses(1, "has not become a Python program yet", "report", str(program.pid))
        finally:
            program.kill()
            program.wait()

    def test_a_plot_does_not_overwrite_a_ledger(self):
        run = self.watch("pass")
        self.refuses(1, "would be lost", "plot", run.ledger, "-o", run.ledger)

    def test_where_files_may_not_be_large_nothing_is_lost(self):
        self.waiting_ledger()
        before = (self.dir / "waiting.hg").read_bytes()
        done = harness.call("sh", "-c", f"ulimit -f 4; exec {harness.COMMAND} "
                            "run -o waiting.hg echo on", env=self.environment, cwd=self.dir)
        self.assertEqual((done.returncode, done.stdout), (0, "on\n"))
        self.assertRegex(done.stderr, r"\Aheapglass: [^\n]*unwatched[^\n]*ulimit -f[^\n]*\n\Z")
        self.assertEqual((self.dir / "waiting.hg").read_bytes(), before)


class Store(case.Case):
    def test_it_is_made_for_its_user_alone(self):
        self.does("run", "true")
        self.assertEqual(self.store.stat().st_mode & 0o777, 0o700)
        [ledger] = self.store.iterdir()
        self.assertRegex(ledger.name, r"\A\d{8}-\d{6}-\d+\.hg\Z")
        self.assertEqual(ledger.stat().st_mode & 0o777, 0o600)

    def test_one_with_a_relative_name_serves_programs_elsewhere(self):
        self.environment["HEAPGLASS_DIR"] = "store"
        self.does("run", "sh", "-c", "cd / && exec python3 -c 'x = 1'")
        self.assertIn("x = 1", self.does("report"))

    def test_one_that_is_open_to_others_is_refused(self):
        self.store.mkdir(0o755)
        self.store.chmod(0o755)
        self.refuses(125, "chmod 700", "run", "true")

    def test_one_that_is_a_link_is_refused(self):
        (self.dir / "real").mkdir(0o700)
        self.store.symlink_to("real")
        self.refuses(125, "is not a folder", "run", "true")

    def test_the_oldest_that_have_ended_go_when_it_is_full(self):
        for number in range(3):
            self.does("run", "true")
            newest = max(self.store.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            with open(newest, "r+b") as ledger:
                os.posix_fallocate(ledger.fileno(), 0, 100 << 20)
            newest.rename(self.store / f"{number}.hg")
        self.does("run", "true")
        names = sorted(path.name for path in self.store.iterdir())
        self.assertEqual(names[:2], ["1.hg", "2.hg"])
        self.assertEqual(len(names), 3)

    def test_the_newest_is_meant_without_a_name(self):
        self.does("run", "python3", "-c", "first = 1")
        self.does("run", "python3", "-c", "second = 2")
        program = json.loads(self.does("report", "--json"))["program"]
        self.assertEqual(program["command"], ["python3", "-c", "second = 2"])


class Running(case.Case):
    def setUp(self):
        super().setUp()
        self.write(HOLDER)
        self.program = subprocess.Popen(
            [harness.COMMAND, "run", "-o", "live.hg", "program.py"], cwd=self.dir,
            env=self.environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.program.stdout.close)
        self.addCleanup(self.program.wait)
        self.addCleanup(self.program.kill)
        self.assertEqual(self.program.stdout.readline(), "ready\n")
        self.pid = str(self.program.pid)
        harness.wait_until_asleep(self.pid)

    def test_a_running_program_is_found_by_its_pid(self):
        report = json.loads(self.does("report", self.pid, "--json"))
        self.assertEqual(report["moment"]["name"], "live")
        self.assertEqual(report["processes"][0]["state"], "running")
        rows = [row for row in report["rows"] if row["line"] == 2
                and row["file"].endswith("program.py")]
        self.assertGreaterEqual(rows[0]["live_bytes"], 800000)

    def test_it_is_listed_though_its_ledger_lies_elsewhere(self):
        listed = json.loads(self.does("list", "--json"))["processes"]
        self.assertIn(self.program.pid, [process["pid"] for process in listed])
        self.assertIn("program.py", self.does("list"))

    def test_a_snapshot_outlives_it_and_a_diff_tells_what_changed(self):
        self.does("snapshot", self.pid, "-o", "a.hg")
        self.program.send_signal(signal.SIGKILL)
        self.program.wait()
        self.assertIn("killed after about", self.does("report", "live.hg"))
        self.assertIn("a snapshot, taken after", self.does("report", "a.hg"))
        diff = json.loads(self.does("diff", "a.hg", "live.hg", "--json"))
        self.assertEqual(diff["totals"]["growth_bytes"], 0)
        self.assertEqual({row["status"] for row in diff["rows"]}, {"same"})
        self.assertIn("did not change", self.does("diff", "a.hg", "live.hg"))

    def test_a_plot_is_a_picture(self):
        self.does("plot", self.pid, "-o", "live.svg")
        text = (self.dir / "live.svg").read_text()
        self.assertTrue(text.startswith("<svg ") and text.endswith("</svg>\n"))
        self.assertEqual(self.does("plot", "live.hg").startswith("<svg "), True)
