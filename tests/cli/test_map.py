# SPDX-License-Identifier: MIT
"""Where the memory of a process is: parts that sum to what the system says."""
import json
import os
import pathlib
import sys
import unittest
from multiprocessing import shared_memory

import case
import harness

WAIT = "\nprint('ready', flush=True)\nimport sys; sys.stdin.read()\n"
PROGRAMS = {
    "nothing": "",
    "small objects": "keep = [[i] for i in range(200000)]",
    "freed": "x = [[i] for i in range(300000)]\ndel x[::2], x",
    "sparse": "x = [bytearray(200) for i in range(100000)]\nx = x[::50]",
    "large": "x = [bytearray(200000) for i in range(100)]",
    "huge": "x = bytearray(b'x') * 50000000",
    "untouched": "import mmap\nx = mmap.mmap(-1, 1 << 28)\nx[0] = 1",
    "threads": ("import threading, time\n"
                "for i in range(5):\n"
                "    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()"),
    "deep": ("import sys, threading\nsys.setrecursionlimit(10000)\n"
             "def down(n):\n    return down(n - 1) if n else wait()\n"
             "def wait():\n    print('ready', flush=True)\n    sys.stdin.read()\n"
             "down(4000)"),
    "a file": "import mmap\nf = open(__file__)\nx = mmap.mmap(f.fileno(), 0, prot=1)\nx[0]",
    "modules": "import json, decimal, sqlite3, asyncio, unittest, email.message",
}


class Map(case.Case):
    def start(self, text, *options, watched=True):
        self.write(text if "sys.stdin.read" in text else text + WAIT)
        words = [harness.COMMAND, "run", *options, "--"] if watched else []
        return self.start_waiting(*words, sys.executable, "program.py")

    def map(self, name):
        return json.loads(self.does("map", str(name), "--json"))

    def sums(self, program):
        found = self.map(program.pid)
        pages = int(pathlib.Path(f"/proc/{program.pid}/statm").read_text().split()[1])
        rss = pages * os.sysconf("SC_PAGESIZE")
        self.assertEqual(sum(found["parts"].values()), found["resident_bytes"])
        self.assertAlmostEqual(found["resident_bytes"], rss, delta=max(rss / 100, 2 << 20))
        return found

    def test_parts_sum_to_what_is_resident_and_little_is_unaccounted(self):
        for name, text in PROGRAMS.items():
            with self.subTest(name):
                found = self.sums(self.start(text))
                self.assertTrue(found["heap_opened"])
                self.assertEqual(found["parts"]["unread"], 0)
                self.assertLess(found["parts"]["unaccounted"], 2 << 20)

    def test_they_do_where_the_heap_is_hardened(self):
        for option in "--hardened", "--hardened=frees":
            for name in "small objects", "freed", "sparse", "large", "huge", "threads":
                with self.subTest(option, name=name):
                    found = self.sums(self.start(PROGRAMS[name], option))
                    self.assertEqual(found["parts"]["unread"], 0)
                    self.assertLess(found["parts"]["unaccounted"], 2 << 20)

    def test_what_is_in_quarantine_is_not_live(self):
        text = "x = [bytearray(400) for i in range(10000)]\nx = x[::2]"
        plain, hardened = (self.map(self.start(text, *options).pid)["parts"]
                           for options in ([], ["--hardened"]))
        self.assertAlmostEqual(plain["live"], hardened["live"], delta=200000)
        self.assertGreaterEqual(hardened["freed"], 1000000)

    def test_programs_that_are_not_watched_have_maps_too(self):
        program = self.start("x = [[i] for i in range(100000)]", watched=False)
        found = self.sums(program)
        self.assertFalse(found["heap_opened"])
        self.assertEqual(found["parts"]["live"], 0)
        self.assertGreater(found["parts"]["code"], 1 << 20)

    def test_a_heap_under_malloc_alone_needs_no_ledger(self):
        library = pathlib.Path(harness.COMMAND).parent / "libheapglass-preload.so"
        self.environment.update(LD_PRELOAD=str(library), PYTHONMALLOC="malloc")
        for hardened in "", "1", "frees":
            with self.subTest(hardened):
                self.environment["HEAPGLASS_HARDENED"] = hardened
                program = self.start("x = [[i] for i in range(300000)]\ndel x[1::2]",
                                     watched=False)
                found = self.sums(program)
                self.assertTrue(found["heap_opened"])
                parts = found["parts"]
                self.assertGreater(parts["live"], 150000 * (56 + 8))
                self.assertGreater(parts["freed"] + parts["free"], 1 << 20)
                self.assertLess(parts["unaccounted"], max(found["resident_bytes"] / 100, 2 << 20))

    def test_each_thing_is_where_it_belongs(self):
        live = self.map(self.start("x = bytearray(b'x') * 20000000").pid)["parts"]
        self.assertGreaterEqual(live["live"], 20000000)
        freed = self.map(self.start("x = [bytearray(400) for i in range(10000)]\n"
                                    "x = x[::2]").pid)["parts"]
        self.assertGreaterEqual(freed["freed"], 1000000)
        threads = self.map(self.start(PROGRAMS["threads"]).pid)
        names = [row["name"] for row in threads["rows"] if row["part"] == "stacks"]
        self.assertEqual(len([name for name in names if name.startswith("thread ")]), 5)
        self.assertIn("main thread", names)

    @unittest.skipIf(sys.version_info < (3, 11), "frames are blocks of the heap there")
    def test_frames_are_told_apart(self):
        shallow = self.map(self.start("").pid)["parts"]["frames"]
        deep = self.map(self.start(PROGRAMS["deep"]).pid)["parts"]["frames"]
        self.assertGreater(shallow, 0)
        self.assertGreater(deep, shallow + 200000)

    def test_the_heap_of_a_forked_child_is_its_own(self):
        program = self.start("x = bytearray(b'x') * 10000000\nimport os, sys\nr, w = os.pipe()\n"
                             "pid = os.fork()\nif not pid:\n    os.close(w)\n    os.read(r, 1)\n    os._exit(0)\n"
                             "print('ready', flush=True)\nprint(pid, flush=True)\n"
                             "sys.stdin.read()\nos.close(w)")
        child = int(program.stdout.readline())
        found = self.map(child)
        self.assertEqual(sum(found["parts"].values()), found["resident_bytes"])
        program.stdin.close()

    def test_text_is_for_people(self):
        program = self.start(PROGRAMS["threads"])
        text = self.does("map", str(program.pid))
        self.assertLessEqual(max(map(len, text.splitlines())), 80, text)
        for word in ("heap of Heapglass", "live blocks", "code", "static data", "stacks",
                     "main thread", "ledger of Heapglass"):
            self.assertIn(word, text)

    def test_shared_memory_that_nobody_uses_is_named(self):
        made = shared_memory.SharedMemory(create=True, size=1 << 20)
        self.addCleanup(made.unlink)
        made.buf[:] = b"x" * len(made.buf)
        program = self.start("")
        path = f"/dev/shm/{made.name}"
        self.assertNotIn(path, [left["name"] for left in self.map(program.pid)["left_behind"]])
        made.close()
        left = {left["name"]: left for left in self.map(program.pid)["left_behind"]}
        self.assertEqual(left[path]["bytes"], 1 << 20)
        self.assertIn(made.name, self.does("map", str(program.pid)))

    def test_of_an_ended_program_is_shown_what_its_ledger_knows(self):
        self.write("keep = bytearray(b'x') * 10000000")
        self.does("run", "-o", "ended.hg", sys.executable, "program.py")
        found = self.map("ended.hg")
        self.assertTrue(found["ended"])
        self.assertNotIn("parts", found)
        self.assertGreater(found["last_seen"]["live_bytes"], 10000000)
        self.assertIn("the process has ended", self.does("map", "ended.hg"))

    def test_bad_input_is_one_line(self):
        self.refuses(1, "there is no such process", "map", "4194304")
        self.refuses(1, "No such file", "map", "none.hg")
        self.refuses(2, "one process at a time", "map", "1", "2")
        self.refuses(2, "there is no option --nope", "map", "--nope")

    @unittest.skipUnless(os.getuid() == 0, "needs another user")
    def test_who_may_not_look_is_told(self):
        program = self.start("", watched=False)
        self.refuses(1, "may not be looked at", "map", str(program.pid),
                     user=65534, group=65534, extra_groups=[],
                     env=dict(self.environment, HEAPGLASS_DIR="/tmp/none-of-nobody"), cwd="/")
