# SPDX-License-Identifier: MIT
"""What cannot be done is said in one line that names the thing and the remedy, and harms nothing.

"One line" means: on standard error, beginning with "heapglass: ", with the name of the thing in
it and a hint behind "; ". The exit status is 1, or 2 for misuse; of `run` 125, 126 or 127, as of
env(1). Files that are no business of ours are as they were.
"""
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest
import xml.dom.minidom
from pathlib import Path

import harness

NOBODY = 65534
ROOT = os.geteuid() == 0
LIBRARY = Path(harness.COMMAND).parent / "libheapglass-preload.so"

KEEP = "keep = [bytes(1000) for number in range(5000)]\nprint('kept', len(keep))\n"
# Every distinct line of a caller is a node more in the tree: this needs a ledger of some MB.
GROW = ("print('begun', flush=True)\n"
        "for n in range(300):\n"
        "    lines = '\\n'.join(f'keep.append(bytes({n} + {m}))' for m in range(100))\n"
        "    keep = []\n"
        "    exec(compile(lines, f'made-{n}-' + 'x' * 500, 'exec'))\n"
        "print('done')\n")


class Case(harness.Case):
    """Knows what one clear line is."""

    def claim_line(self, done, thing, status):
        """`done` failed with this status, saying one line about `thing`, and nothing else."""
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("heapglass: "), done.stderr)
        self.assertIn(str(thing), done.stderr)
        # A message and, behind it, what to do.
        self.assertRegex(done.stderr, r"(; .|: name |wants |with -o|which program\?)")
        self.assertEqual(done.stdout, "")

    def claim_all_refuse(self, thing, other, status=1):
        """Every command that reads a ledger refuses `thing` like that; `other` is a good one."""
        copy = self.dir / "never.hg"
        for words in (["report", thing], ["report", "--json", thing], ["plot", thing],
                      ["diff", thing, other], ["diff", other, thing],
                      ["snapshot", thing, "-o", copy]):
            with self.subTest(words):
                self.claim_line(harness.heapglass(*words, timeout=20), thing, status)
                self.assertFalse(copy.exists())


class Shared(Case):
    """Has a small ledger: as the program left it, and packed."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="heapglass-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.home = Path(folder.name).resolve()
        cls.ledger, cls.packed = cls.home / "good.hg", cls.home / "packed.hg"
        done = harness.heapglass("run", "-o", cls.ledger, "--", harness.PYTHON, "-I", "-S", "-c",
                                 "keep = [bytes(1000) for n in range(100)]")
        assert done.returncode == 0, done.stderr
        done = harness.heapglass("snapshot", cls.ledger, "-o", cls.packed)
        assert done.returncode == 0, done.stderr
        cls.bytes = cls.packed.read_bytes()


class NoLedger(Shared):
    """Things that are no ledger."""

    def test_a_file_that_is_not_there(self):
        self.claim_all_refuse(self.dir / "nothing.hg", self.packed)

    def test_an_empty_file(self):
        thing = self.write("", "empty.hg")
        self.claim_all_refuse(thing, self.packed)

    def test_foreign_files(self):
        for name, data in (("text", b"hello\n" * 999), ("line", b"x"), ("zeros", bytes(100_000)),
                           ("ones", b"\xff" * 100_000),
                           ("program", Path(harness.COMMAND).read_bytes()),
                           ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
                           ("magic", self.bytes[:8]), ("twice", self.bytes[:8] * 1000)):
            with self.subTest(name):
                thing = self.dir / name
                thing.write_bytes(data)
                self.claim_all_refuse(thing, self.packed)
                self.assertEqual(thing.read_bytes(), data)

    def test_a_folder(self):
        self.claim_all_refuse(self.dir, self.packed)

    def test_a_pipe_does_not_hang(self):
        os.mkfifo(self.dir / "pipe")
        self.claim_all_refuse(self.dir / "pipe", self.packed)

    def test_a_socket_and_a_device(self):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(self.dir / "socket"))
            self.claim_all_refuse(self.dir / "socket", self.packed)
        self.claim_all_refuse("/dev/zero", self.packed)

    def test_links_that_lead_nowhere_or_in_circles(self):
        (self.dir / "nowhere").symlink_to("/no/such/file")
        (self.dir / "circle").symlink_to("circle")
        for name in "nowhere", "circle":
            self.claim_all_refuse(self.dir / name, self.packed)

    def test_a_path_that_is_too_long(self):
        self.claim_all_refuse("/" + "x" * 300, self.packed)
        self.claim_all_refuse("/x" * 5000, self.packed)

    def test_a_name_with_control_characters_does_not_reach_the_terminal(self):
        done = harness.heapglass("report", "/no/red-\x1b[31m\nname\r")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertNotIn("\x1b", done.stderr)

    @unittest.skipUnless(ROOT, "needs root, to become somebody else")
    def test_a_file_that_may_not_be_read(self):
        self.home.chmod(0o755)
        done = harness.call("/bin/cp", harness.COMMAND, self.home / "heapglass")
        self.assertEqual(done.returncode, 0)
        done = harness.call(self.home / "heapglass", "report", self.ledger, user=NOBODY)
        self.claim_line(done, self.ledger, 1)
        self.assertIn("Permission denied", done.stderr)

    def test_a_ledger_of_another_version(self):
        # The version is a number of four bytes behind the eight by which a ledger is known.
        thing = self.dir / "other.hg"
        for version in 0, 2, 77, 0xffffffff:
            with self.subTest(version):
                thing.write_bytes(self.bytes[:8] + version.to_bytes(4, "little")
                                  + self.bytes[12:])
                self.claim_all_refuse(thing, self.packed)
                said = harness.heapglass("report", thing).stderr
                self.assertIn(f"version {version}", said)

    def test_a_program_that_is_not_python_has_nothing_to_report(self):
        done = harness.heapglass("run", "-o", self.dir / "echo.hg", "--", "/bin/echo", "hello")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "hello\n", ""))
        self.claim_all_refuse(self.dir / "echo.hg", self.packed)


class Damaged(Shared):
    """Ledgers that were one."""

    def ask(self, words, thing):
        """Any command about a damaged ledger works, or refuses in one line; exit status."""
        done = subprocess.run([harness.COMMAND, *words], stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        err = done.stderr.decode()
        if done.returncode == 1:
            self.assertEqual((done.stdout, err.count("\n")), (b"", 1), err)
            self.assertTrue(err.startswith(f"heapglass: {thing}: "), err)
            self.assertIn("; ", err)
        else:
            self.assertEqual((done.returncode, err), (0, ""), words)
            if "--json" in words:
                json.loads(done.stdout)
            if words[0] == "plot":
                xml.dom.minidom.parseString(done.stdout)
        return done.returncode

    def test_a_ledger_that_was_cut_short_anywhere_is_refused(self):
        thing = self.dir / "cut.hg"
        thing.write_bytes(self.bytes)
        size = len(self.bytes)
        dense = set(range(0, 16384, 64)) | {size - n for n in (1, 2, 7, 8, 64, 4096)}
        for length in sorted(dense | set(range(0, size, 1024)), reverse=True):
            os.truncate(thing, length)
            self.assertEqual(self.ask(["report", thing], thing), 1, length)

    def test_a_running_programs_ledger_that_was_cut_short(self):
        thing = self.dir / "cut.hg"
        harness.call("/bin/cp", "--sparse=always", self.ledger, thing)
        size = thing.stat().st_size
        for part in range(60, 0, -1):
            os.truncate(thing, size * part // 61 & ~63)
            for words in ["report", thing], ["plot", thing]:
                self.ask(words, thing)

    def flipped(self, seed, count):
        """Ledgers with a few bits turned, most in bytes that are not zero."""
        thing, dice = self.dir / "flipped.hg", random.Random(seed)
        used = [place for place, byte in enumerate(self.bytes) if byte]
        for number in range(count):
            data = bytearray(self.bytes)
            for _ in range(dice.choice([1, 1, 2, 8])):
                place = dice.choice(used) if dice.random() < 0.8 else dice.randrange(len(data))
                data[place] ^= 1 << dice.randrange(8)
            thing.write_bytes(data)
            yield number, thing

    def test_bits_that_turned_over_never_break_the_reports(self):
        choices = [["report"], ["report", "--json"], ["report", "--json", "--by", "stack"],
                   ["report", "--by", "thread"], ["report", "--by", "domain", "--total"]]
        for number, thing in self.flipped(1, 500):
            self.ask([*choices[number % len(choices)], thing], thing)

    def test_bits_that_turned_over_never_break_the_plot(self):
        for _, thing in self.flipped(2, 150):
            self.ask(["plot", thing], thing)

    def test_bits_that_turned_over_never_break_diff_and_snapshot(self):
        for number, thing in self.flipped(3, 200):
            words = [["diff", self.packed, thing], ["diff", "--json", thing, self.packed],
                     ["snapshot", thing, "-o", self.dir / "copy.hg"]][number % 3]
            self.ask(words, thing)

    def test_words_of_extremes_never_break_a_report(self):
        thing, dice = self.dir / "extreme.hg", random.Random(4)
        words = [b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f", b"\0" * 7 + b"\x80",
                 b"\xff\xff\xff\x7f\0\0\0\0", len(self.bytes).to_bytes(8, "little")]
        for number in range(300):
            data, word = bytearray(self.bytes), dice.choice(words)
            place = dice.randrange(0, 4096 if number % 3 else len(data) - 8) & ~7
            data[place:place + 8] = word
            thing.write_bytes(data)
            self.ask([["report", "--json"], ["report"], ["plot"]][number // 3 % 3] + [thing],
                     thing)

    def test_a_ledger_that_shrinks_while_it_is_read(self):
        thing = self.dir / "shrinks.hg"
        for number in range(60):
            thing.write_bytes(self.bytes)
            with subprocess.Popen([harness.COMMAND, "report", thing], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                time.sleep(number * 0.0002)
                os.truncate(thing, 5000)
                out, err = process.communicate(timeout=60)
            self.assertIn(process.returncode, (0, 1), err)
            self.assertLessEqual(len(err.splitlines()), 1)


class Places(Shared):
    """The folder of the ledgers, in whatever state."""

    def setUp(self):
        super().setUp()
        self.place = self.dir / "ledgers"
        self.environment = dict(os.environ, HEAPGLASS_DIR=str(self.place))

    def ask(self, *words, **settings):
        return harness.heapglass(*words, env=self.environment, timeout=30, **settings)

    def listed(self):
        """What `list --json` says of this folder; other programs may be running."""
        done = self.ask("list", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {key: [one for one in found if one["ledger"].startswith(str(self.place))]
                for key, found in json.loads(done.stdout).items()}

    def test_without_any_ledger_each_command_says_how_to_make_one(self):
        for words in ["report"], ["plot"], ["snapshot", "-o", self.dir / "x.hg"]:
            with self.subTest(words):
                done = self.ask(*words)
                self.claim_line(done, "no ledger", 1)
                self.assertIn("heapglass run", done.stderr)
        self.assertFalse(self.place.exists())

    def test_without_any_ledger_the_list_is_short(self):
        done = self.ask("list")
        self.assertEqual(done.returncode, 0)
        done = self.ask("list", "--json")
        json.loads(done.stdout)

    def test_rubbish_between_the_ledgers_is_passed_over(self):
        self.place.mkdir(mode=0o700)
        shutil.copy(self.packed, self.place / "good.hg")
        (self.place / "text.hg").write_text("text")
        (self.place / "empty.hg").write_text("")
        (self.place / "folder.hg").mkdir()
        (self.place / "cut.hg").write_bytes(self.bytes[:5000])
        (self.place / "loop.hg").symlink_to("loop.hg")
        os.mkfifo(self.place / "pipe.hg")
        rubbish = sorted(self.place.iterdir())
        for words in ["report"], ["plot"]:
            with self.subTest(words):
                done = self.ask(*words)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.ask("list")
        self.assertEqual(done.returncode, 0)
        for path in rubbish:
            said = [line for line in done.stderr.splitlines() if str(path) in line]
            self.assertEqual(len(said), path.name != "good.hg", path)
            for line in said:
                self.assertRegex(line, "^heapglass: .*not listed; remove it")
        listed = self.listed()
        self.assertEqual([process["ledger"] for process in listed["processes"]],
                         [str(self.place / "good.hg")])
        self.assertEqual(sorted(unread["ledger"] for unread in listed["unread"]),
                         [str(path) for path in rubbish if path.name != "good.hg"])
        self.assertTrue(all(unread["why"] for unread in listed["unread"]))
        done = self.ask("run", "--", harness.PYTHON, "-c", KEEP)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "kept 5000\n", ""))
        self.assertEqual([path for path in rubbish if path.exists() or path.is_symlink()],
                         rubbish)

    @unittest.skipUnless(ROOT, "needs root, to become somebody else")
    def test_a_folder_that_may_not_be_read_is_not_an_empty_one(self):
        self.place.mkdir(mode=0o700)
        self.dir.chmod(0o711)
        for file in harness.COMMAND, LIBRARY:
            shutil.copy2(file, self.dir)
        for words in ["list"], ["report"], ["plot"], ["report", "4194303"], [
                "snapshot", "-o", "x.hg"], ["run", "true"]:
            with self.subTest(words):
                done = harness.call(self.dir / "heapglass", *words, env=self.environment,
                                    user=NOBODY, group=NOBODY, extra_groups=[])
                status = 125 if words[0] == "run" else 1
                self.claim_line(done, self.place, status)
                if status == 1:
                    self.assertIn("Permission denied", done.stderr)

    def test_a_zombie_does_not_run(self):
        ready = "print('ready', flush=True)\n"
        for text, state, status in ((ready + "import time\ntime.sleep(99)\n", "killed", None),
                                    (ready + "raise SystemExit(3)\n", "ended", 3)):
            words = ["run", "--", harness.PYTHON, self.write(text)]
            with subprocess.Popen([harness.COMMAND, *words], env=self.environment,
                                  stdout=subprocess.PIPE) as process:
                self.assertEqual(process.stdout.readline(), b"ready\n")
                if state == "killed":
                    process.kill()
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                (found,) = [one for one in self.listed()["processes"]
                            if one["pid"] == process.pid]
                self.assertEqual((found["state"], found["exit_status"]), (state, status))

    def test_a_program_whose_first_thread_has_ended_runs(self):
        program = self.write("import ctypes, threading, time\n"
                             "def work():\n"
                             "    while open('/proc/self/stat').read().split()[2] != 'Z': pass\n"
                             "    print('ready', flush=True)\n"
                             "    time.sleep(99)\n"
                             "threading.Thread(target=work).start()\n"
                             "ctypes.CDLL(None).pthread_exit(None)\n")
        with subprocess.Popen([harness.COMMAND, "run", harness.PYTHON, program],
                              env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            try:
                self.assertEqual(process.stdout.readline(), b"ready\n")
                states = [one["state"] for one in self.listed()["processes"]]
                self.assertEqual(states, ["running"])
            finally:
                process.kill()

    def test_a_file_where_the_folder_should_be(self):
        self.place.write_text("mine")
        self.claim_line(self.ask("run", "--", harness.PYTHON, "-c", KEEP), self.place, 125)
        self.assertEqual(self.place.read_text(), "mine")

    def test_a_folder_that_everybody_may_write_is_not_trusted(self):
        self.place.mkdir()
        self.place.chmod(0o777)
        done = self.ask("run", "--", harness.PYTHON, "-c", KEEP)
        if done.returncode:
            self.claim_line(done, self.place, 125)
        else:
            self.assertEqual(stat.S_IMODE(self.place.stat().st_mode) & 0o022, 0)

    def test_a_link_where_the_folder_should_be(self):
        (self.dir / "elsewhere").mkdir(mode=0o700)
        self.place.symlink_to("elsewhere")
        done = self.ask("run", "--", harness.PYTHON, "-c", KEEP)
        if done.returncode:
            self.claim_line(done, self.place, 125)

    @unittest.skipUnless(ROOT, "needs root, to give a folder away")
    def test_a_folder_of_somebody_else_is_not_used(self):
        self.place.mkdir(mode=0o700)
        os.chown(self.place, NOBODY, NOBODY)
        done = self.ask("run", "--", harness.PYTHON, "-c", KEEP)
        self.claim_line(done, self.place, 125)
        self.assertEqual(list(self.place.iterdir()), [])


class Outputs(Shared):
    """-o that names something else: refused, and the thing is as it was."""

    def claim_refused(self, thing, status=None):
        """`run` and `snapshot` refuse to write there."""
        program = self.write("open('ran', 'w')\n")
        done = harness.heapglass("run", "-o", thing, "--", harness.PYTHON, program, cwd=self.dir)
        self.claim_line(done, thing, 125)
        self.assertFalse((self.dir / "ran").exists(), "the program ran")
        self.claim_line(harness.heapglass("snapshot", self.packed, "-o", thing, cwd=self.dir),
                        thing, 1)

    def test_a_file_that_is_no_ledger_is_kept(self):
        for name, data in ("text", b"mine\n"), ("empty", b""), ("zeros", bytes(99999)), (
                "svg", b"<svg/>"), ("cut", self.bytes[:100]):
            with self.subTest(name):
                thing = self.dir / name
                thing.write_bytes(data)
                self.claim_refused(thing)
                self.assertEqual(thing.read_bytes(), data)

    def test_a_folder_is_kept(self):
        (self.dir / "folder").mkdir()
        self.claim_refused(self.dir / "folder")
        self.assertTrue((self.dir / "folder").is_dir())

    def test_a_folder_that_is_not_there_is_not_made(self):
        self.claim_refused(self.dir / "no folder/x.hg")
        self.assertFalse((self.dir / "no folder").exists())

    def test_below_a_file_nothing_is_made(self):
        thing = self.write("mine", "file")
        self.claim_refused(thing / "x.hg")
        self.assertEqual(thing.read_text(), "mine")

    def test_a_pipe_is_kept_and_does_not_hang(self):
        os.mkfifo(self.dir / "pipe")
        self.claim_refused(self.dir / "pipe")
        self.assertTrue((self.dir / "pipe").is_fifo())

    @unittest.skipUnless(ROOT, "needs root, to make a device")
    def test_a_device_is_kept(self):
        thing = self.dir / "null"
        os.mknod(thing, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        self.claim_refused(thing)
        self.assertTrue(thing.is_char_device())

    def test_a_link_is_not_followed(self):
        mine = self.write("mine", "file")
        for target in mine, self.dir / "nothing", self.packed:
            link = self.dir / "link"
            link.symlink_to(target)
            self.claim_refused(link)
            self.assertTrue(link.is_symlink())
            link.unlink()
        self.assertEqual(mine.read_text(), "mine")
        self.assertEqual(self.packed.read_bytes(), self.bytes)
        self.assertFalse((self.dir / "nothing").exists())

    def test_a_ledger_is_overwritten(self):
        thing = self.dir / "old.hg"
        shutil.copy(self.packed, thing)
        done = harness.heapglass("run", "-o", thing, "--", harness.PYTHON, "-c", KEEP)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "kept 5000\n", ""))
        self.assertGreater(harness.report(thing, "--live")["totals"]["live_bytes"], 5_000_000)

    def test_a_program_that_cannot_be_started_leaves_the_old_ledger(self):
        thing = self.dir / "old.hg"
        shutil.copy(self.packed, thing)
        for words in ["/no/such/program"], ["/dev/null"], [self.dir]:
            done = harness.heapglass("run", "-o", thing, "--", *words)
            self.assertIn(done.returncode, (126, 127))
            self.assertEqual(thing.read_bytes(), self.bytes)

    def test_a_plot_never_replaces_a_ledger_or_a_folder(self):
        thing = self.dir / "old.hg"
        shutil.copy(self.packed, thing)
        self.claim_line(harness.heapglass("plot", self.packed, "-o", thing), thing, 1)
        self.assertEqual(thing.read_bytes(), self.bytes)
        self.claim_line(harness.heapglass("plot", self.packed, "-o", self.dir), self.dir, 1)
        nowhere = self.dir / "no folder/x.svg"
        self.claim_line(harness.heapglass("plot", self.packed, "-o", nowhere), nowhere, 1)

    def test_a_plot_overwrites_a_plot(self):
        thing = self.dir / "out.svg"
        for ledger in self.packed, self.ledger:
            done = harness.heapglass("plot", ledger, "-o", thing)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
            xml.dom.minidom.parse(str(thing))

    def test_standard_output_that_takes_nothing_is_an_error(self):
        for words in (["report", self.packed], ["report", "--json", self.packed],
                      ["plot", self.packed], ["diff", self.packed, self.packed], ["list"],
                      ["--help"], ["run", "--help"]):
            with self.subTest(words), open("/dev/full", "w") as full:
                done = harness.heapglass(*words, stdout=full)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn("No space left", done.stderr)

    def test_a_reader_that_goes_away_is_no_drama(self):
        with subprocess.Popen([harness.COMMAND, "report", "--json", self.packed],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(10)
            process.stdout.close()
            err = process.stderr.read()
        self.assertIn(process.returncode, (1, -signal.SIGPIPE))
        self.assertLessEqual(len(err.splitlines()), 1)


class Programs(Case):
    """Programs that cannot be started, or not watched."""

    def setUp(self):
        super().setUp()
        self.ledger = self.dir / "program.hg"

    def claim_refused(self, program, status, about=None):
        done = harness.heapglass("run", "-o", self.ledger, "--", program, cwd=self.dir)
        self.claim_line(done, about or program, status)
        self.assertFalse(self.ledger.exists(), "a ledger of nothing")

    def script(self, text, name="script", mode=0o755):
        path = self.write(text, name)
        path.chmod(mode)
        return path

    def compiled(self, *options, name="program"):
        source = self.write("int main(void) { return 7; }\n", "program.c")
        done = harness.call("gcc", *options, "-o", self.dir / name, source)
        if done.returncode:
            self.skipTest(f"gcc {' '.join(options)} does not work here")
        return self.dir / name

    def test_a_program_that_is_not_there_is_127(self):
        for name in "./no-such", "/no/such/program", "no-such-name-in-the-path", "no-such.py":
            self.claim_refused(name, 127)

    def test_a_program_that_is_not_executable_is_126(self):
        self.claim_refused(self.script("#!/bin/sh\n", mode=0o644), 126)

    def test_what_cannot_be_found_has_the_status_of_env(self):
        (self.dir / "circle").symlink_to("circle")
        (self.dir / "circle.py").symlink_to("circle.py")
        file = self.write("mine", "file")
        for name in "./circle", file / "x", "./circle.py", "x" * 300:
            env = harness.call("/usr/bin/env", name, cwd=self.dir)
            self.assertEqual(env.returncode, 126)
            self.claim_refused(name, 126)
        path = f"{self.dir}:{os.environ['PATH']}"
        for name, status in ("circle", 126), ("circle.none", 127), ("", 127):
            env = harness.call("/usr/bin/env", name, env={"PATH": path})
            done = harness.heapglass("run", "-o", self.ledger, name, env={"PATH": path})
            self.assertEqual(env.returncode, status)
            self.claim_line(done, name or '""', status)
            self.assertFalse(self.ledger.exists())

    def test_scripts_that_lead_in_circles_are_126(self):
        one = self.script(f"#!{self.dir}/two\n", "one")
        two = self.script(f"#!{self.dir}/one\n", "two")
        for program in one, two:
            self.assertEqual(harness.call("/usr/bin/env", program).returncode, 126)
            self.claim_refused(program, 126)

    def test_a_folder_is_126(self):
        self.claim_refused(self.dir, 126)
        self.claim_refused("/", 126)

    def test_an_interpreter_that_is_missing_is_127(self):
        self.claim_refused(self.script("#!/no/such/interpreter\n"), 127)

    def test_a_statically_linked_program_is_refused(self):
        self.claim_refused(self.compiled("-static"), 125)

    def test_a_script_with_a_statically_linked_interpreter_is_refused(self):
        program = self.compiled("-static")
        self.claim_refused(self.script(f"#!{program}\n"), 125, program)

    def test_a_static_position_independent_program_is_refused(self):
        self.claim_refused(self.compiled("-static-pie"), 125)

    def test_programs_for_other_machines_are_refused(self):
        program = self.compiled()
        data = program.read_bytes()
        for name, place, new in ("32 bits", 4, b"\x01"), ("arm", 18, b"\xb7\x00"):
            with self.subTest(name):
                other = bytearray(data)
                other[place:place + len(new)] = new
                program.write_bytes(other)
                self.claim_refused(program, 125)

    @unittest.skipUnless(ROOT, "needs root, to make a program that gives rights")
    def test_a_program_that_gives_rights_is_refused(self):
        self.dir.chmod(0o777)
        for file in harness.COMMAND, LIBRARY:
            shutil.copy2(file, self.dir)
        for bit in stat.S_ISUID, stat.S_ISGID:
            program = self.compiled(name=f"gives-{bit}")
            program.chmod(0o755 | bit)
            done = harness.call(self.dir / "heapglass", "run", "-o", self.dir / "x.hg", program,
                                cwd=self.dir, user=NOBODY, group=NOBODY, extra_groups=[])
            self.claim_line(done, program, 125)
            self.assertFalse((self.dir / "x.hg").exists())

    def test_a_ledger_is_not_made_where_no_program_was_named(self):
        for words in [], ["--"], ["-o", self.ledger], ["-o", self.ledger, "--lines", "--"]:
            self.claim_line(harness.heapglass("run", *words), "program", 125)
        self.assertFalse(self.ledger.exists())

    def test_a_file_of_python_that_is_not_there_is_127_without_python(self):
        self.claim_refused(self.dir / "gone.py", 127)

    def test_no_python_in_the_path_is_said(self):
        program = self.write("print(1)\n")
        done = harness.heapglass("run", "-o", self.ledger, program,
                                 env={"PATH": str(self.dir)})
        self.claim_line(done, "python3", 127)

    def test_a_command_without_its_library_says_where_it_looked(self):
        shutil.copy2(harness.COMMAND, self.dir)
        environment = {k: v for k, v in os.environ.items() if k != "HEAPGLASS_PRELOAD"}
        done = harness.call(self.dir / "heapglass", "run", "-o", self.ledger, "--",
                            harness.PYTHON, "-c", KEEP, env=environment)
        self.claim_line(done, self.dir, 125)
        self.assertIn("libheapglass-preload.so", done.stderr)


class Displaced(Case):
    """Another allocator was asked for: nobody knows who holds what, and nothing is made up."""

    def claim_sizes_alone(self, what, python=(), **environment):
        run = self.watch(KEEP, python=python, env=dict(os.environ, **environment))
        self.assertEqual((run.process.stdout, run.process.stderr), ("kept 5000\n", ""))
        for words in [], ["--live"], ["--by", "stack"], ["--by", "domain", "--total"]:
            done = harness.heapglass("report", run.ledger, *words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines = done.stdout.splitlines()
            self.assertEqual(lines[0], f"not watched: {what} took our place")
            self.assertIn("watched   memory over time; not who holds it", lines)
            self.assertIn(f"run it without {what} for that", done.stdout)
            for word in "whole stacks", "recycled", "share", "blocks", "moment", "0 B":
                self.assertNotIn(word, done.stdout)
            self.assertRegex(done.stdout, "resident, at most +[0-9.]+ MiB")
        found = run.report()
        self.assertEqual((found["watched"]["displaced"], found["rows"]), (what, []))
        self.claim_line(harness.heapglass("diff", run.ledger, run.ledger), what, 1)
        plot = harness.heapglass("plot", run.ledger)
        self.assertEqual((plot.returncode, plot.stderr), (0, ""))

    def test_by_a_variable(self):
        for value in "malloc", "debug", "pymalloc":
            self.claim_sizes_alone("PYTHONMALLOC=" + value, PYTHONMALLOC=value)

    def test_by_an_option(self):
        self.claim_sizes_alone("-X dev", python=["-X", "dev"])
        self.claim_sizes_alone("PYTHONDEVMODE=1", PYTHONDEVMODE="1")


class FullDisks(Case):
    """Places that are too small for a ledger."""

    def setUp(self):
        super().setUp()
        self.place = self.dir / "small"
        self.place.mkdir()

    def mount(self, options):
        libc = ctypes.CDLL(None, use_errno=True)
        if not ROOT or libc.mount(b"heapglass-test", bytes(self.place), b"tmpfs", 0,
                                  options.encode()):
            self.skipTest("needs root, to mount a file system")
        self.addCleanup(libc.umount2, bytes(self.place), 2)

    def claim_unhurt(self, text, out, *, ledger=None):
        """The program says `out` and ends well; what we have to say is at most one line."""
        ledger = ledger or self.place / "program.hg"
        done = harness.heapglass("run", "-o", ledger, "--", harness.PYTHON, self.write(text))
        if done.returncode == 125:
            self.claim_line(done, ledger, 125)
            return None
        self.assertEqual((done.returncode, done.stdout), (0, out), done.stderr)
        self.assertLessEqual(len(done.stderr.splitlines()), 1, done.stderr)
        if done.stderr:
            self.assertIn(str(ledger), done.stderr)
            return None
        return harness.report(ledger, "--total")

    def test_where_no_file_can_be_large_the_program_runs_unwatched(self):
        # Standard error is a file as well, and it is full.
        ledger, out, err = (self.dir / name for name in ("program.hg", "out", "err"))
        out.write_bytes(b"")
        program = self.write("import os, signal\n"
                             "try: os.write(1, b'kept')\n"
                             "except OSError: pass\n"
                             "os._exit(7)\n")
        err.write_bytes(b"")
        for blocks in 0, 8, 279:
            limit = blocks * 1024
            words = [harness.COMMAND, "run", "-o", ledger, harness.PYTHON, program]
            done = harness.call(*words, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, limit)))
            self.assertEqual(done.returncode, 7)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertRegex(done.stderr, f"runs unwatched.*limited to {limit} bytes.*; raise")
            self.assertFalse(ledger.exists())
            with open(err, "ab") as full:
                done = harness.call(*words, stderr=full, preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (err.stat().st_size, ) * 2))
            self.assertEqual((done.returncode, done.stdout), (7, "kept"))

    def test_where_files_are_just_large_enough_the_program_is_watched(self):
        ledger = self.dir / "program.hg"
        done = harness.heapglass("run", "-o", ledger, harness.PYTHON, "-c", KEEP,
                                 preexec_fn=lambda: resource.setrlimit(
                                     resource.RLIMIT_FSIZE, (372 * 1024, ) * 2))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "kept 5000\n", ""))
        self.assertGreater(harness.report(ledger)["totals"]["total_bytes"], 5_000_000)

    def test_a_limit_of_file_size_does_not_bar_the_next_run(self):
        ledger = self.dir / "program.hg"
        words = ["run", "-o", ledger, "--", harness.PYTHON, "-c", KEEP]
        harness.heapglass(*words, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (8192, 8192)))
        done = harness.heapglass(*words)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "kept 5000\n", ""))

    def test_no_room_at_all(self):
        self.mount("size=64k,mode=700")
        (self.place / "full").write_bytes(bytes(65536))
        self.assertIsNone(self.claim_unhurt(KEEP, "kept 5000\n"))

    def test_room_for_the_first_pages_only(self):
        for kib in 4, 16, 64, 128, 256, 512, 1024:
            with self.subTest(kib):
                self.mount(f"size={kib}k,mode=700")
                self.claim_unhurt(KEEP + GROW, "kept 5000\nbegun\ndone\n")

    def test_room_for_a_part_of_the_tree(self):
        self.mount("size=2m,mode=700")
        table = self.claim_unhurt(KEEP + GROW, "kept 5000\nbegun\ndone\n")
        self.assertGreater(table["totals"]["total_bytes"], 5_000_000)
        # What found no room is in one row of its own, so that the rows add up.
        self.assertEqual(sum(row["total_bytes"] for row in table["rows"]),
                         table["totals"]["total_bytes"])

    def test_room_of_a_container(self):
        self.mount("size=64m,mode=700")
        self.assertGreater(self.claim_unhurt(KEEP, "kept 5000\n")["totals"]["total_bytes"],
                           5_000_000)

    def test_room_that_somebody_else_takes_meanwhile(self):
        self.mount("size=8m,mode=700")
        self.claim_unhurt("import errno\n" + KEEP +
                          f"with open('{self.place}/other', 'wb', buffering=0) as file:\n"
                          "    try:\n        while True: file.write(bytes(4096))\n"
                          "    except OSError as error:\n"
                          "        print(errno.errorcode[error.errno])\n" + GROW,
                          "kept 5000\nENOSPC\nbegun\ndone\n")

    def test_no_inode_left(self):
        self.mount("size=8m,nr_inodes=1,mode=700")
        self.assertIsNone(self.claim_unhurt(KEEP, "kept 5000\n"))

    def test_a_place_that_may_only_be_read(self):
        self.mount("mode=700")
        libc = ctypes.CDLL(None)
        self.assertEqual(libc.mount(None, bytes(self.place), None, 32 | 1, None), 0)
        self.assertIsNone(self.claim_unhurt(KEEP, "kept 5000\n"))

    def test_a_snapshot_that_finds_no_room_leaves_nothing(self):
        run = self.watch(KEEP)
        self.mount("size=16k,mode=700")
        done = harness.heapglass("snapshot", run.ledger, "-o", self.place / "copy.hg")
        self.claim_line(done, self.place / "copy.hg", 1)
        self.assertEqual(list(self.place.iterdir()), [])

    def test_a_plot_that_finds_no_room_leaves_nothing(self):
        run = self.watch(KEEP)
        self.mount("size=4k,mode=700")
        (self.place / "full").write_bytes(bytes(4096))
        done = harness.heapglass("plot", run.ledger, "-o", self.place / "out.svg")
        self.claim_line(done, self.place / "out.svg", 1)
        self.assertEqual([path.name for path in self.place.iterdir()], ["full"])

    def test_a_run_that_found_no_room_does_not_bar_the_next(self):
        self.mount("size=64k,mode=700")
        self.claim_unhurt(KEEP, "kept 5000\n")
        self.assertEqual(ctypes.CDLL(None).mount(None, bytes(self.place), None, 32,
                                                 b"size=64m"), 0)
        self.assertIsNotNone(self.claim_unhurt(KEEP, "kept 5000\n"))


class Misuse(Shared):
    """Words that make no sense."""

    def claim_misuse(self, thing, *words, status=2):
        with self.subTest(words):
            done = harness.heapglass(*words)
            self.claim_line(done, thing, status)

    def test_an_unknown_command(self):
        self.claim_misuse("frobnicate", "frobnicate")
        self.claim_misuse("--frobnicate", "--frobnicate")
        self.claim_misuse("Report", "Report")

    def test_no_command_shows_the_help_as_an_error(self):
        done = harness.heapglass()
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("usage: heapglass", done.stderr)

    def test_unknown_options(self):
        for command in "report", "plot", "snapshot", "diff", "list":
            self.claim_misuse("--frobnicate", command, "--frobnicate")
            self.claim_misuse("-Z", command, "-Z")
        self.claim_misuse("--frobnicate", "run", "--frobnicate", "true", status=125)
        self.claim_misuse("-Z", "run", "-Z", "true", status=125)

    def test_options_without_their_value(self):
        self.claim_misuse("--top", "report", "--top")
        self.claim_misuse("--by", "report", "--by")
        self.claim_misuse("-o", "plot", "-o")
        self.claim_misuse("-o", "snapshot", "-o")
        self.claim_misuse("-o", "run", "-o", status=125)

    def test_options_with_a_value_too_many(self):
        self.claim_misuse("--json", "report", "--json=yes", self.packed)

    def test_numbers_that_are_none(self):
        for number in ("x", "-1", "1.5", "", "1e3", "0x10", "10 ", "99999999999999999999", "-",
                       "+", "٣", "nan"):
            for command in ["report", self.packed], ["diff", self.packed, self.packed]:
                self.claim_misuse("--top", *command, "--top", number)

    def test_kinds_that_are_none(self):
        for kind in "lines", "", "LINE", "stack,line":
            self.claim_misuse("--by", "report", self.packed, "--by", kind)
            self.claim_misuse("--by", "diff", self.packed, self.packed, "--by", kind)

    def test_too_many_and_too_few_names(self):
        self.claim_misuse("report", "report", self.packed, self.packed)
        self.claim_misuse("snapshot", "snapshot", self.packed, self.packed, "-o", "x")
        self.claim_misuse("snapshot", "snapshot", self.packed)
        for names in [], [self.packed], [self.packed] * 3:
            self.claim_misuse("diff", "diff", *names)
        self.claim_misuse("list", "list", self.packed)

    def test_processes_without_a_ledger(self):
        for pid in os.getpid(), 1, 4194303, 99999999999999999999:
            with self.subTest(pid):
                self.claim_all_refuse(str(pid), self.packed)

    def test_an_ended_process_has_no_live_ledger_to_confuse(self):
        with subprocess.Popen(["/bin/true"]) as process:
            process.wait()
        self.claim_line(harness.heapglass("report", str(process.pid)), process.pid, 1)

    def test_empty_names(self):
        for words, status in ((["report", ""], 1), (["plot", ""], 1),
                              (["diff", "", self.packed], 1), (["snapshot", "", "-o", "x"], 1),
                              (["snapshot", self.packed, "-o", ""], 1),
                              (["plot", self.packed, "-o", ""], 1),
                              (["run", ""], 127), (["run", "-o", "", "true"], 125)):
            self.claim_misuse('heapglass: "": ', *words, status=status)


if __name__ == "__main__":
    unittest.main()
