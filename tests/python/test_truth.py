# SPDX-License-Identifier: MIT
"""Live bytes and blocks by line, and by stack, are what tracemalloc says.

The programs in truth/ are deterministic. They run

  - under heapglass with tracemalloc at work in the same process: both saw the same calls;
  - under heapglass twice, once with tracemalloc and once without;
  - on the interpreter alone with -X tracemalloc, against heapglass.

Where the two differ, a test tells the rule.
"""
import json
import os
from pathlib import Path

import harness

PROGRAMS = Path(__file__).with_name("truth")
NO_MALLOC = "--no-native"  # tracemalloc knows nothing of it

# Runs a program, with tracemalloc or without; prints [[line, ...], bytes, blocks] of its lines.
DRIVER = """
import gc, json, sys, tracemalloc
path, depth = sys.argv[1], int(sys.argv[2])
with open(path) as file:
    code = compile(file.read(), path, "exec")
space = {"__name__": "work"}
if depth and not tracemalloc.is_tracing():
    tracemalloc.start(depth)
exec(code, space)
gc.collect()
gc.disable()
if not depth:
    sys.exit()
snapshot = tracemalloc.take_snapshot()
tracemalloc.stop()
found = {}
for trace in snapshot.traces:
    if trace.traceback[-1].filename == path:
        key = tuple(frame.lineno for frame in trace.traceback if frame.filename == path)
        size, count = found.get(key, (0, 0))
        found[key] = size + trace.size, count + 1
print(json.dumps([(key, *value) for key, value in found.items()]))
"""


class Case(harness.Case):
    maxDiff = 4000

    def start(self, work, depth, *prefix):
        """stdout of the driver with the program at `work`; `prefix` are words before it."""
        driver = self.write(DRIVER, "driver.py")
        done = harness.call(*prefix, driver, work, depth, cwd=self.dir,
                            env=dict(os.environ, PYTHONHASHSEED="0"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def as_tracemalloc_says(self, work, depth, *prefix):
        """{lines, the caller's first: (bytes, blocks)}"""
        found = json.loads(self.start(work, depth, *prefix))
        return {tuple(lines): (size, count) for lines, size, count in found}

    def as_we_say(self, work, ledger, by):
        found = {}
        for row in harness.report(ledger, "--live", "--by", by)["rows"]:
            if row["file"] == str(work) and row["live_blocks"]:
                frames = row["stack"] if by == "stack" else [row]
                key = tuple(frame["line"] for frame in frames if frame["file"] == str(work))
                size, count = found.get(key, (0, 0))
                found[key] = size + row["live_bytes"], count + row["live_blocks"]
        return found

    def one_process(self, work, *options):
        """(what tracemalloc says, what we say) of one run."""
        ledger = self.dir / "one.hg"
        theirs = self.as_tracemalloc_says(work, 1, harness.COMMAND, "run", NO_MALLOC, *options,
                                          "-o", ledger, harness.PYTHON)
        return theirs, self.as_we_say(work, ledger, "line")

    def two_processes(self, work, depth, *options):
        """The same of two runs, each under heapglass."""
        run = harness.COMMAND, "run", NO_MALLOC, *options, "-o"
        theirs = self.as_tracemalloc_says(work, depth, *run, self.dir / "a.hg", harness.PYTHON)
        self.start(work, 0, *run, self.dir / "b.hg", harness.PYTHON)
        return theirs, self.as_we_say(work, self.dir / "b.hg", "line" if depth == 1 else "stack")

    def stock(self, work, *options):
        """What tracemalloc says without us, what we say without it."""
        theirs = self.as_tracemalloc_says(work, 1, harness.PYTHON, "-X", "tracemalloc=1")
        self.start(work, 0, harness.COMMAND, "run", NO_MALLOC, *options, "-o", self.dir / "c.hg",
                   harness.PYTHON)
        return theirs, self.as_we_say(work, self.dir / "c.hg", "line")


@harness.needs_recycled
class Programs(Case):
    """Every line of every program, to the byte."""

    def check(self, name):
        work = PROGRAMS / name
        theirs, ours = self.two_processes(work, 1)
        self.assertGreater(len(theirs), 10)
        self.assertEqual(ours, theirs)
        theirs, ours = self.two_processes(work, 1, "--lines")
        self.assertEqual(ours, theirs)
        theirs, ours = self.two_processes(work, 500)
        self.assertEqual(ours, theirs)
        theirs, ours = self.one_process(work)
        if harness.version() >= (3, 13):
            self.assertEqual(ours, theirs)
            return
        # tracemalloc.stop() forgets, up to 3.12, the tracebacks that it took from the RAW domain,
        # of 24 bytes each; so they are live, on the line that was at work.
        for line, (size, count) in ours.items():
            their_size, their_count = theirs.get(line, (0, 0))
            self.assertEqual(size - their_size, 24 * (count - their_count), line)
            self.assertLessEqual(theirs.keys(), ours.keys())

    def test_lists(self):
        self.check("lists.py")

    def test_dicts(self):
        self.check("dicts.py")

    def test_instances(self):
        self.check("instances.py")

    def test_strings(self):
        self.check("strings.py")

    def test_functions(self):
        self.check("functions.py")

    def test_exceptions(self):
        self.check("exceptions.py")

    def test_what_is_made_at_run_time(self):
        self.check("runtime.py")

    def test_threads(self):
        self.check("threads.py")

    def test_coroutines(self):
        self.check("coroutines.py")

    def test_imports(self):
        self.check("imports.py")

    def test_large_blocks(self):
        self.check("big.py")


class Rules(Case):
    """Where tracemalloc says something else."""

    def test_a_block_of_no_bytes_counts_as_one(self):
        work = self.write("import ctypes\n"
                          "malloc = ctypes.pythonapi.PyMem_Malloc\n"
                          "malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]\n"
                          "def get(): malloc(0), malloc(0), malloc(0)\n"
                          "get()\n"
                          "get = None\n", "work.py")
        theirs, ours = self.two_processes(work, 1)
        size, count = theirs[4,]
        self.assertEqual(ours[4,], (size + 3, count))

    def test_what_is_made_without_the_lock_has_no_frame(self):
        # LZMA asks for its 8 MB while Python's lock is free for others. tracemalloc takes the
        # lock to look; we never do.
        work = self.write("import lzma\n"
                          "data = lzma.compress(bytes(100000))\n"
                          "reader = lzma.LZMADecompressor()\n"
                          "text = reader.decompress(data[:-20])\n", "work.py")
        theirs, ours = self.two_processes(work, 1)
        self.assertEqual(theirs[3,], ours[3,])
        self.assertLess(ours[4,][0], 101000)
        self.assertGreater(theirs[4,][0], 8 << 20)
        unnamed = [row for row in harness.report(self.dir / "b.hg", "--live")["rows"]
                   if row["function"] == "(no Python frame)"]
        self.assertGreater(sum(row["live_bytes"] for row in unnamed),
                           theirs[4,][0] - 100033)

    # The program's own names fill a table, too; and lists that were recycled before
    # tracemalloc began are not known to it.
    GROWN = ("globals().update(dict.fromkeys(map(str, range(99)), [[] for i in range(99)]))\n")

    @harness.needs_recycled
    def test_stock_charges_recycled_tables_of_dicts_to_those_who_had_them_first(self):
        # A table is no object, so tracemalloc does not hear that it has a new owner. CPython
        # keeps 80 of them, of 120 bytes.
        work = self.write(self.GROWN +
                          "warm = [{'a': None} for i in range(200)]\n"
                          "warm = None\n"
                          "kept = [{'b': None} for i in range(100)]\n", "work.py")
        theirs, ours = self.stock(work)
        self.assertEqual(ours[4,][1] - theirs[4,][1], 80)
        self.assertEqual(ours[4,][0] - theirs[4,][0], 80 * 120)
        self.assertEqual(theirs[2,], (80 * 120, 80))
        self.assertNotIn((2,), ours)

    @harness.needs_recycled
    def test_without_such_tables_stock_says_what_we_say(self):
        work = self.write(self.GROWN +
                          "warm = [[[i], (i,), (i, i), float(i)] for i in range(300)]; del warm\n"
                          "numbers = [(i, float(i)) for i in range(500)]\n"
                          "text = ','.join('%d-%r' % pair for pair in numbers)\n"
                          "parts = text.split(',')\n"
                          "lists = [[part, [part]] for part in parts]\n"
                          "class Slots:\n"
                          "    __slots__ = 'x', 'y'\n"
                          "    def __init__(self, x):\n"
                          "        self.x = [x]\n"
                          "        self.y = (x, float(x))\n"
                          "many = [Slots(i) for i in range(400)]\n"
                          "def outer(n):\n"
                          "    cell = [n]\n"
                          "    return lambda: cell\n"
                          "closures = [outer(n) for n in range(300)]\n"
                          "buffer = bytearray()\n"
                          "for i in range(3000):\n"
                          "    buffer += b'x' * 100\n"
                          "shrunk = list(range(100000))\n"
                          "del shrunk[100:]\n"
                          "generators = [(i for i in str(n)) for n in range(300)]\n"
                          "started = [int(next(g)) + 0.5 for g in generators[::2]]\n"
                          "sets = [{n, n + 1} for n in range(200)]\n"
                          "big = [10 ** n for n in range(300)]\n", "work.py")
        theirs, ours = self.stock(work)
        for line in 1, 7:  # a class has tables
            del theirs[line,], ours[line,]
        self.assertEqual(ours, theirs)

    def test_unwatched_recycled_objects_stay_with_those_who_had_them_first(self):
        work = self.write("warm = [(i, None) for i in b'x' * 3000]\n"
                          "warm = None\n"
                          "kept = [(i, None) for i in b'x' * 3000]\n", "work.py")
        run = harness.COMMAND, "run", "--no-recycled", "-o", self.dir / "d.hg"
        self.start(work, 0, *run, harness.PYTHON)
        found = self.as_we_say(work, self.dir / "d.hg", "line")
        self.assertGreaterEqual(found[1,][1], 1900)  # 2000 of a length are kept
        self.assertLess(found[3,][1], 1110)
        self.assertEqual(harness.report(self.dir / "d.hg")["watched"]["recycled"], False)

    @harness.needs_recycled
    def test_what_modules_in_c_recycle_stays_with_those_who_had_it_first(self):
        # Up to 3.13 asyncio keeps iterators of futures, of 40 bytes, in a list that nobody can
        # reach.  tracemalloc hears when one is used again, but not when it rests.
        work = self.write("import asyncio\n"
                          "async def wait():\n"
                          "    await asyncio.gather(asyncio.sleep(0))\n"
                          "async def main():\n"
                          "    await wait()\n"
                          "    await asyncio.gather(asyncio.sleep(0))\n"
                          "asyncio.run(main())\n", "work.py")
        theirs, ours = self.two_processes(work, 1)
        if harness.version() < (3, 14):
            self.assertEqual((theirs.pop((6,)), ours.pop((3,))), ((40, 1), (40, 1)))
        self.assertEqual(ours, theirs)

    def test_a_frame_that_has_not_begun_is_its_callers(self):
        # Cells are made before the callee's first line: as tracemalloc has it, they are the
        # caller's in 3.11, for the frame is not complete, and so they are with us.
        work = self.write("def outer(value):\n"
                          "    def inner():\n"
                          "        return value\n"
                          "    return inner\n"
                          "kept = [None] * 100\n"
                          "for i in range(100):\n"
                          "    kept[i] = outer(i)\n", "work.py")
        theirs, ours = self.two_processes(work, 1)
        self.assertEqual(ours, theirs)
        theirs, ours = self.two_processes(work, 500)
        self.assertEqual(ours, theirs)


KEYS = ["live_bytes", "live_blocks", "total_bytes", "total_blocks", "peak_bytes", "peak_blocks"]


class Sums(Case):
    """Whichever way it is cut, the parts are the whole."""

    def cut(self, ledger, kind):
        report = harness.report(ledger, "--by", kind)
        sums = {key: sum(row[key] for row in report["rows"]) for key in KEYS}
        self.assertEqual(sums, {key: report["totals"][key] for key in KEYS}, kind)
        self.assertGreater(min(sums.values()), 0)
        for row in report["rows"]:
            for what in "live", "total", "peak":
                self.assertGreaterEqual(row[what + "_bytes"], row[what + "_blocks"], row)
            self.assertGreaterEqual(row["total_bytes"], row["live_bytes"], row)
            self.assertGreaterEqual(row["total_bytes"], row["peak_bytes"], row)
        return sums

    def check(self, text, *options):
        run = self.watch(text, *options)
        whole = self.cut(run.ledger, "line")
        for kind in "function", "file", "stack", "thread", "domain":
            if kind != "stack" or "--lines" not in options:
                self.assertEqual(self.cut(run.ledger, kind), whole)
        # Each process counts its own, too, beside its lines.
        report = run.report()
        for what in "live", "peak":
            counted = sum(process[what + "_bytes"] for process in report["processes"])
            inherited = sum(process["inherited_bytes"] for process in report["processes"])
            if not inherited:
                self.assertEqual(whole[what + "_bytes"], counted)
            self.assertGreaterEqual(whole[what + "_bytes"], counted - inherited)
        return run

    SHAPES = ("def rise(n): return [bytes(1000) for i in range(n)]\n"
              "def fall(n):\n"
              "    if n: return fall(n - 1)\n"
              "    return rise(200)\n"
              "for n in 10, 3000, 20, 1000:\n"
              "    kept = rise(n)\n"
              "    more = fall(n % 37)\n"
              "    kept = None\n"
              "import json\n"
              "text = json.dumps([{'n': n} for n in range(1000)])\n"
              "json.loads(text)\n")

    def test_of_a_program_that_rises_and_falls(self):
        self.check(self.SHAPES)

    def test_by_line_alone(self):
        self.check(self.SHAPES, "--lines")

    def test_without_recycled_objects(self):
        self.check(self.SHAPES, "--no-recycled")

    def test_of_threads(self):
        self.check("import threading\n"
                   "def work(n):\n"
                   "    for i in range(30):\n"
                   "        mine = [bytes(n) for n in range(300)]\n"
                   "        theirs[n] = [bytes(n) for n in range(100)]\n"
                   "theirs = {}\n"
                   "threads = [threading.Thread(target=work, args=[n]) for n in range(8)]\n"
                   "for thread in threads: thread.start()\n"
                   "for thread in threads: thread.join()\n")

    CHILDREN = ("import os, subprocess, sys\n"
                "def work(n):\n"
                "    return [bytes(n) for i in range(1000)]\n"
                "kept = [{i: bytes(5000)} for i in range(100)]\n"
                "if os.fork() == 0:\n"
                "    kept = None\n"
                "    more = work(300)\n"
                "    if os.fork() == 0:\n"
                "        more = work(70)\n"
                "        os._exit(0)\n"
                "    os.wait()\n"
                "    os._exit(0)\n"
                "os.wait()\n"
                "more = work(3)\n"
                "program = 'more = [bytes(100) for i in range(1000)]'\n"
                "subprocess.run([sys.executable, '-c', program], check=True)\n")

    @harness.needs_recycled
    def test_of_children(self):
        run = self.check(self.CHILDREN)
        report = run.report()
        self.assertEqual((len(report["processes"]), report["unread"]), (4, []))
        # 33 bytes besides their own. Each list is one object and one table, of 1100 pointers.
        row = run.line(3, "--live")
        self.assertEqual((row["live_bytes"], row["live_blocks"]),
                         (3 * (8800 + 56 + 33000) + 1000 * (300 + 70 + 3), 3 * 1002))

    @harness.needs_recycled
    def test_of_the_program_alone_when_its_children_are_left_out(self):
        run = self.check(self.CHILDREN)
        report = run.report("--no-children")
        (process,) = report["processes"]
        for what in "live_bytes", "peak_bytes":
            self.assertEqual(sum(row[what] for row in report["rows"]), process[what])
            self.assertEqual(report["totals"][what], process[what])
        row = run.line(3, "--live", "--no-children")
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (8800 + 56 + 36000, 1002))

    def test_of_pools_of_processes(self):
        for way in "fork", "spawn", "forkserver":
            with self.subTest(way):
                run = self.check("import multiprocessing\n"
                                 "def work(n): return len([bytes(n) for i in range(1000)])\n"
                                 "if __name__ == '__main__':\n"
                                 f"    way = multiprocessing.get_context('{way}')\n"
                                 "    with way.Pool(2) as pool:\n"
                                 "        pool.map(work, range(10))\n"
                                 "        pool.close(), pool.join()\n")
                self.assertGreaterEqual(len(run.report()["processes"]), 3)
                self.assertGreaterEqual(run.line(2)["total_blocks"], 10000)

    def test_of_programs_that_do_next_to_nothing(self):
        for text in "", "import json\n", "import subprocess\n", "import asyncio\n":
            with self.subTest(program=text):
                self.check(text)

    @harness.needs_recycled
    def test_the_peak_is_told_to_the_byte(self):
        run = self.check("x, places, i = b'x', [None] * 5000, 0\n"
                         "for i in range(100): places[i] = x * 1000\n"
                         "for i in range(100): places[i] = None\n"
                         "for i in range(1000): places[i] = x * 10000\n"
                         "for i in range(1000, 1500): places[i] = x * 1000\n"
                         "for i in range(500, 1000): places[i] = None\n"
                         "for i in range(2000, 2700): places[i] = x * 1000\n"
                         "for i in range(1500): places[i] = None\n"
                         "for i in range(3000, 3800): places[i] = x * 1000\n")
        found = {number: (run.line(number)["peak_bytes"], run.line(number)["live_bytes"])
                 for number in (2, 4, 5, 7, 9)}
        # The numbers themselves are objects from 257 on, of 32 bytes each; one is live.
        self.assertEqual(found, {2: (0, 0), 4: (1000 * 10033, 0), 5: (500 * 1033 + 32, 0),
                                 7: (0, 700 * 1033), 9: (0, 800 * 1033 + 32)})

    def test_the_peak_of_many_rises_is_the_highest(self):
        run = self.watch("x, places = b'x', [None] * 1000\n"
                         "for n in 100, 900, 300, 1000, 200, 999:\n"
                         "    for i in range(n):\n"
                         "        places[i] = x * 10000\n"
                         "    for i in range(n):\n"
                         "        places[i] = None\n")
        row = run.line(4)
        self.assertEqual((row["peak_bytes"], row["peak_blocks"]), (1000 * 10033, 1000))
        self.assertEqual((row["total_bytes"], row["total_blocks"]), (3499 * 10033, 3499))
        self.assertEqual((row["live_bytes"], row["live_blocks"]), (0, 0))

    def test_the_peak_of_a_buffer_that_grows_in_place(self):
        run = self.watch("buffer = bytearray(1)\n"
                         "for i in range(5000):\n"
                         "    buffer.extend(bytes(1000))\n"
                         "del buffer\n")
        row = run.line(3)
        self.assertGreater(row["peak_bytes"], 5000000)
        self.assertLess(row["peak_bytes"], 11250000)
        self.assertEqual(row["live_bytes"], 0)
