# SPDX-License-Identifier: MIT
"""What C code takes from malloc belongs to the line of Python that called it."""
import os
import unittest

import harness

# The C library's own functions, from a line of Python; PyDLL keeps the interpreter's lock.
LIBC = """
import ctypes
libc = ctypes.PyDLL(None)
for name in "malloc", "calloc", "realloc", "aligned_alloc", "strdup":
    getattr(libc, name).restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.calloc.argtypes = libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
"""


class Case(harness.Case):
    def rows(self, run, *options, by="line"):
        return harness.report(run.ledger, "--live", "--by", by, *options)["rows"]

    def domains(self, run):
        return {row["domain"]: row for row in self.rows(run, by="domain")}


class Malloc(Case):
    def test_blocks_belong_to_the_line_that_asked(self):
        run = self.watch(LIBC + "def f(n):\n"
                         "    return libc.malloc(n)\n"
                         "kept = [f(100003) for i in range(10)]\n"
                         "more = [libc.calloc(1000, 77) for i in range(10)]\n"
                         "big = libc.malloc(50000000)\n"
                         "gone = libc.malloc(30000000)\n"
                         "libc.free(gone)\n")
        first = LIBC.count("\n") + 1
        for line, size, blocks in (first + 1, 1000030, 10), (first + 3, 770000, 10), \
                (first + 4, 50000000, 1):
            row = run.line(line, "--live")
            # Python's own objects on the line are small.
            self.assertGreaterEqual(row["live_bytes"], size)
            self.assertLess(row["live_bytes"], size + 2000)
            self.assertGreaterEqual(row["live_blocks"], blocks)
        self.assertLess(run.line(first + 5, "--live")["live_bytes"], 1000)
        self.assertGreaterEqual(run.line(first + 5, "--total")["total_bytes"], 30000000)

    def test_whole_stacks_lead_to_them(self):
        run = self.watch(LIBC + "def outer():\n"
                         "    return inner()\n"
                         "def inner():\n"
                         "    return libc.malloc(7777777)\n"
                         "x = outer()\n")
        row = max(self.rows(run, by="stack"), key=lambda row: row["live_bytes"])
        self.assertGreaterEqual(row["live_bytes"], 7777777)
        self.assertEqual([frame["function"] for frame in row["stack"]][-3:],
                         ["<module>", "outer", "inner"])

    def test_a_resized_block_belongs_to_who_resized_it(self):
        run = self.watch(LIBC + "a = libc.malloc(1000)\n"
                         "for n in range(2000, 3000001, 50000): a = libc.realloc(a, n)\n")
        line = LIBC.count("\n") + 1
        self.assertLess(run.line(line, "--live")["live_bytes"], 900)
        row = run.line(line + 1, "--live")
        self.assertGreaterEqual(row["live_bytes"], 2952000)
        self.assertLess(row["live_bytes"], 2955000)

    def test_threads_without_the_interpreters_lock_take_and_free(self):
        run = self.watch(LIBC.replace("PyDLL", "CDLL") + """
import threading
def work():
    for i in range(2000):
        libc.free(libc.malloc(5000 + i))
threads = [threading.Thread(target=work) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
kept = [libc.malloc(1000) for i in range(500)]
t = threading.Thread(target=lambda: [libc.free(p) for p in kept])
t.start()
t.join()
""")
        row = self.domains(run)["malloc"]
        self.assertLess(row["live_bytes"], 100000)
        self.assertGreater(row["total_blocks"], 8500)

    def test_who_lets_go_of_the_interpreters_lock_keeps_his_lines(self):
        text = LIBC.replace("PyDLL", "CDLL") + """
import threading
def inner(n):
    return libc.malloc(n)
def outer(n):
    return inner(n)
outer(1111111)
thread = threading.Thread(target=outer, args=(2222222,))
thread.start()
thread.join()
"""
        line = LIBC.count("\n") + 4
        for options in [], ["--lines"]:
            row = self.watch(text, *options).line(line, "--live")
            self.assertGreaterEqual(row["live_bytes"], 3333333)
        stacks = {tuple(f["function"] for f in row["stack"]): row["live_bytes"]
                  for row in self.rows(self.watch(text), by="stack")}
        self.assertGreaterEqual(stacks["<module>", "outer", "inner"], 1111111)
        bootstrap = [key for key in stacks if key[-3:] == ("Thread.run", "outer", "inner")
                     or key[-3:] == ("run", "outer", "inner")]
        self.assertGreaterEqual(stacks[bootstrap[0]], 2222222)

    def test_no_native_leaves_malloc_alone(self):
        text = LIBC + "big = libc.malloc(50000000)\n"
        run = self.watch(text, "--no-native")
        self.assertNotIn("malloc", self.domains(run))
        self.assertLess(run.line(LIBC.count("\n") + 1, "--live")["live_bytes"], 1000)

    def test_the_interpreters_own_accounts_are_the_same(self):
        text = LIBC + """
import json, re
doc = json.dumps([{"id": i, "x": i / 7} for i in range(2000)])
parsed = json.loads(doc)
libc.malloc.restype = None  # addresses differ in length
for i in range(1000): libc.malloc(i)
"""
        seen = []
        for options in [], ["--no-native"]:
            run = self.watch(text, *options, env=dict(os.environ, PYTHONHASHSEED="0"))
            domains = self.domains(run)
            # Not what is live: malloc may be who notices first that the end begins.
            seen.append({name: (domains[name]["total_bytes"], domains[name]["total_blocks"])
                         for name in ("obj", "mem", "raw")})
            # Nor the peak, which is that of the sum with malloc's.
            doc = run.line(LIBC.count("\n") + 3)
            seen[-1]["doc"] = doc["total_bytes"], doc["total_blocks"]
        self.assertEqual(*seen)

    def test_a_child_of_fork_has_what_it_inherited(self):
        run = self.watch(LIBC + """
import os
big = libc.malloc(20000000)
pid = os.fork()
if pid == 0:
    more = libc.malloc(3000000)
    libc.free(big)
    os._exit(0)
os.waitpid(pid, 0)
""", "--lines")
        children = [path for path in self.dir.glob("program.hg.*")]
        self.assertEqual(len(children), 1)
        rows = harness.report(children[0], "--live", "--no-children")["rows"]
        live = {row["line"]: row["live_bytes"] for row in rows if row["file"] == str(run.program)}
        line = LIBC.count("\n") + 3
        self.assertLess(live.get(line, 0), 1000)
        self.assertGreaterEqual(live[line + 3], 3000000)


# mmap and its relatives: MAP_PRIVATE | MAP_ANONYMOUS is 34, PROT_READ | PROT_WRITE 3.
MAPS = LIBC + """
pointer, size = ctypes.c_void_p, ctypes.c_size_t
libc.mmap.restype = libc.mremap.restype = pointer
libc.mmap.argtypes = [pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [pointer, size]
libc.mremap.argtypes = [pointer, size, size, ctypes.c_int]
MIB = 1 << 20
def take(n, protection=3, flags=34, at=None):
    return libc.mmap(at, n, protection, flags, -1, 0)
"""
TAKE = MAPS.count("\n")


class Mappings(Case):
    """What programs map themselves, in whole pages; CPython maps its frames."""

    KEYS = "live_bytes", "live_blocks", "total_blocks"

    @classmethod
    def setUpClass(cls):
        cls.frames = dict.fromkeys(cls.KEYS, 0)

    def setUp(self):
        super().setUp()
        if not any(self.frames.values()):
            type(self).frames = self.mappings(self.watch(MAPS))

    def mappings(self, run):
        row = self.domains(run).get("mmap", dict.fromkeys(self.KEYS, 0))
        return {key: row[key] - self.frames[key] for key in self.KEYS}

    def mapped(self, text, *options):
        run = self.watch(MAPS + text, *options)
        found = self.mappings(run)
        return run, (found["live_bytes"], found["live_blocks"])

    def test_they_belong_to_the_line_that_asked(self):
        run, live = self.mapped("take(50 * MIB)\ntake(MIB - 5000)\nlibc.munmap(take(MIB), MIB)\n")
        self.assertEqual(live, ((50 << 20) + (1 << 20) - 4096, 2))
        row = run.line(TAKE, "--live")
        self.assertGreaterEqual(row["live_bytes"], live[0])
        self.assertLess(row["live_bytes"], live[0] + 2000)
        self.assertGreaterEqual(run.line(TAKE, "--total")["total_bytes"], (52 << 20) - 4096)

    def test_parts_can_go(self):
        _, live = self.mapped("a = take(10 * MIB)\n"
                              "libc.munmap(a, MIB)\n"
                              "libc.munmap(a + 9 * MIB, MIB)\n"
                              "libc.munmap(a + 4 * MIB, 2 * MIB)\n"
                              "libc.munmap(a - 100 * MIB, MIB)\n")
        self.assertEqual(live, (6 << 20, 2))
        _, live = self.mapped("a = take(10 * MIB)\nlibc.munmap(a, MIB)\n"
                              "b = take(MIB, at=a)\nlibc.munmap(a, 10 * MIB)\n")
        self.assertEqual(live, (0, 0))

    def test_one_in_the_place_of_another(self):
        run, live = self.mapped("a = take(10 * MIB)\n"
                                "def again(): libc.mmap(a + MIB, MIB, 3, 34 | 16, -1, 0)\n"
                                "again()\n")
        self.assertEqual(live, (10 << 20, 3))
        self.assertGreaterEqual(run.line(TAKE + 2, "--live")["live_bytes"], 1 << 20)
        _, live = self.mapped("a = take(10 * MIB)\ntake(MIB, 0, 34 | 16, a)\n")
        self.assertEqual(live, (9 << 20, 1))

    def test_one_that_is_resized_belongs_to_who_did_it(self):
        run, live = self.mapped("a = take(2 * MIB)\nb = libc.mremap(a, 2 * MIB, 20 * MIB, 1)\n"
                                "c = libc.mremap(b, 20 * MIB, 5 * MIB, 1)\n")
        self.assertEqual(live, (5 << 20, 1))
        self.assertGreaterEqual(run.line(TAKE + 3, "--live")["live_bytes"], 5 << 20)

    def test_reserved_address_space_and_files_are_no_memory(self):
        _, live = self.mapped("take(MIB << 10, 0)\ntake(MIB << 10, 3, 34 | 0x4000)\n"
                              "import os, tempfile\n"
                              "with tempfile.TemporaryFile() as file:\n"
                              "    file.truncate(MIB)\n"
                              "    libc.mmap(None, MIB, 3, 2, file.fileno(), 0)\n")
        self.assertEqual(live, (0, 0))

    def test_a_child_of_fork_has_what_it_inherited(self):
        run = self.watch(MAPS + "import os\n"
                         "def more(n): return take(n)\n"
                         "a = take(7 * MIB)\n"
                         "pid = os.fork()\n"
                         "if pid == 0: libc.munmap(a, 4 * MIB); b = more(3 * MIB)\n"
                         "else: os.waitpid(pid, 0)\n")
        child, = self.dir.glob("program.hg.*")
        rows = harness.report(child, "--live", "--no-children", "--by", "stack")["rows"]
        live = {len(row["stack"]): row["live_bytes"] for row in rows
                if row["stack"] and row["stack"][-1]["line"] == TAKE}
        self.assertLess(live.get(2, 0), 5000)  # the rest of what it inherited is not its own
        self.assertEqual(live[3] >> 20, 3)

    def test_a_mapping_that_failed(self):
        run, live = self.mapped("print(take(MIB << 30), take(0))\n")
        self.assertEqual(live, (0, 0))
        self.assertEqual(run.process.stdout.split(), [str(2 ** 64 - 1)] * 2)

    def test_threads_without_the_interpreters_lock(self):
        text = MAPS.replace("PyDLL", "CDLL") + """
import threading
def work():
    for i in range(300):
        libc.munmap(take(MIB), MIB)
    take(3 * MIB)
threads = [threading.Thread(target=work) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""
        found = self.mappings(self.watch(text))
        self.assertEqual((found["live_bytes"], found["live_blocks"]), (12 << 20, 4))
        # Each thread has frames of its own, for as long as it runs.
        self.assertEqual(found["total_blocks"], 1204 + 4 * self.frames["live_blocks"])

    def test_no_native_leaves_mmap_alone(self):
        run = self.watch(MAPS + "take(50 * MIB)\n", "--no-native")
        self.assertNotIn("mmap", self.domains(run))
        self.assertLess(run.line(TAKE, "--live")["live_bytes"], 2000)


def has(module):
    return harness.call(harness.PYTHON, "-c", f"import {module}").returncode == 0


class Extensions(Case):
    """Libraries of Debian's, where the interpreter under test has them."""

    def test_an_array_of_numpys(self):
        if not has("numpy"):
            raise unittest.SkipTest("this interpreter has no numpy")
        run = self.watch("import numpy\n"
                         "a = numpy.empty(5000000)\n"
                         "b = a + 1\n"
                         "del a\n")
        self.assertGreaterEqual(run.line(3, "--live")["live_bytes"], 40000000)
        self.assertLess(run.line(2, "--live")["live_bytes"], 10000)
        self.assertGreaterEqual(run.line(2, "--peak")["peak_bytes"], 40000000)

    def test_nine_tenths_of_the_growth_of_a_frame_are_on_its_lines(self):
        if not has("pandas"):
            raise unittest.SkipTest("this interpreter has no pandas")
        run = self.watch("""
import io, pandas
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
source = io.StringIO("a,b,c,d\\n" + "1234,5.25,77,name\\n" * 3000000)
pandas.read_csv(io.StringIO("a,b\\n1,x\\n"))
before = resident()
frame = pandas.read_csv(source)
print(resident() - before)
""")
        growth = int(run.process.stdout)
        held = sum(row["live_bytes"] for row in self.rows(run, by="stack")
                   if {"file": str(run.program), "line": 9, "function": "<module>"} in row["stack"])
        self.assertGreater(growth, 80000000)
        self.assertGreaterEqual(held, growth * 0.9)
        self.assertLessEqual(held, 100000000)
