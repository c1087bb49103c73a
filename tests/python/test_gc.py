# SPDX-License-Identifier: MIT
"""`heapglass gc`: what the interpreter's own collector did is what the interpreter says."""
import json
import subprocess
from collections import Counter
from pathlib import Path

import harness

GARBAGE = Path(__file__).parent / "truth" / "garbage.py"


def gc_of(ledger, *options):
    """The JSON of `heapglass gc`; fails if there is none."""
    done = harness.heapglass("gc", ledger, "--json", *options)
    if done.returncode:
        raise AssertionError(f"heapglass gc: {done.stderr or done.returncode}")
    return json.loads(done.stdout)


def latest(report, generation=2):
    """The latest collection of a generation."""
    return max((one for one in report["latest"] if one["generation"] == generation),
               key=lambda one: one["number"])


class Truth(harness.Case):
    """On a deterministic program, beside tracemalloc and gc.DEBUG_SAVEALL."""

    def program(self, *arguments):
        return json.loads(harness.call(harness.PYTHON, GARBAGE, *arguments).stdout)

    def watched(self, *options, arguments=()):
        ledger = self.dir / "garbage.hg"
        done = harness.heapglass("run", "-o", ledger, *options, "--", harness.PYTHON, GARBAGE,
                                 *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout), gc_of(ledger)

    def lines(self, *options):
        truth = {int(line): tuple(freed) for line, freed in self.program("lines").items()}
        _, report = self.watched(*options)
        ours = {}
        for row in report["rows"]:
            if row["file"] == str(GARBAGE):
                size, count = ours.get(row["line"], (0, 0))
                ours[row["line"]] = size + row["freed_bytes"], count + row["freed_blocks"]
        # Lines of finalizers have both: what they leave is more than what is freed.
        truth = {line: freed for line, freed in truth.items() if freed[1] > 0}
        self.assertEqual(ours, truth)

    @harness.needs_recycled
    def test_lines_are_those_of_tracemalloc(self):
        self.lines()

    @harness.needs_recycled
    def test_lines_without_stacks(self):
        self.lines("--lines")

    @harness.needs_recycled
    def test_types_are_those_of_saveall(self):
        truth = self.program("types")
        found, report = self.watched()
        self.assertEqual(found, truth["found"])
        self.assertEqual(latest(report)["found"], found)
        _, before = self.watched(arguments=["nothing"])
        ours = Counter()
        for sign, of in (1, report), (-1, before):
            for row in of["types"]:
                ours[row["type"].rpartition(".")[2]] += sign * row["freed_objects"]
        for name, count in truth["types"].items():
            self.assertEqual(ours[name], count, name)

    def test_sums_agree(self):
        _, report = self.watched()
        self.assertEqual(report["totals"]["freed_bytes"], report["collector"]["freed_bytes"])
        self.assertEqual(report["totals"]["freed_blocks"], report["collector"]["freed_blocks"])
        for key in "collections", "pause_ns", "found", "freed_bytes":
            self.assertEqual(sum(one[key] for one in report["generations"]),
                             report["collector"][key])
        self.assertLess(report["collector"]["pause_ns"], report["collector"]["run_ns"])
        self.assertLessEqual(report["collector"]["pause_median_ns"],
                             report["collector"]["pause_max_ns"])

    def test_instances_by_line_on_every_version(self):
        run = self.watch("import gc\n"
                         "gc.collect()\n"
                         "gc.disable()\n"
                         "class Node:\n"
                         "    __slots__ = ('me', 'load')\n"
                         "for _ in range(1000):\n"
                         "    node = Node()\n"
                         "    node.me = node\n"
                         "    node.load = bytes(1000)\n"
                         "del node\n"
                         "print(gc.collect(), gc.collect())\n")
        report = gc_of(run.ledger)
        self.assertEqual(run.process.stdout, "1000 0\n")
        rows = {row["line"]: (row["freed_bytes"], row["freed_blocks"])
                for row in report["rows"] if row["file"] == str(run.program)}
        self.assertEqual(rows[7], (1000 * (16 + 16 + 16), 1000))
        size, count = rows[9]
        if harness.version() < (3, 11):  # and the tuple of the argument, from a free list
            size, count = size - 48, count - 1
        self.assertEqual((size, count), (1000 * 1033, 1000))
        self.assertIn({"type": "Node", "freed_objects": 1000, "freed_bytes": 48000},
                      report["types"])
        self.assertEqual(latest(report)["found"], 0)
        if harness.version() >= (3, 11):  # else what rests in free lists goes, too
            self.assertEqual(latest(report)["freed_blocks"], 0)
        self.assertGreater(latest(report)["visited"], 1000)


class Malloc(harness.Case):
    PROGRAM = ("import gc, sqlite3\n"
               "class Node: pass\n"
               "def leave(count):\n"
               "    for _ in range(count):\n"
               "        one = Node(); one.me = one\n"
               "        one.load = sqlite3.connect(':memory:')\n"
               "leave(1)\n"
               "gc.collect()\n"
               "gc.disable()\n"
               "leave(20)\n"
               "gc.collect()\n")

    def freed(self, *options):
        run = self.watch(self.PROGRAM, *options)
        return sum(row["freed_bytes"] for row in gc_of(run.ledger)["rows"]
                   if row["file"] == str(run.program) and row["line"] == 6)

    def test_what_c_code_holds_for_garbage_is_counted(self):
        self.assertGreater(self.freed(), self.freed("--no-native") + 20 * 10000)


class Unseen(harness.Case):
    """The program sees nothing of it."""

    def same(self, text, *options, python=()):
        plain = self.plain(text, python=python)
        run = self.watch(text, *options, python=python, status=plain.returncode)
        self.assertEqual(run.process.stdout, plain.stdout)
        self.assertEqual(run.process.stderr, plain.stderr)
        return run

    def test_callbacks_are_the_programs(self):
        self.same("import gc\n"
                  "print(gc.callbacks)\n"
                  "def told(phase, info):\n"
                  "    print(phase, info['generation'], info['collected'], sorted(info)[:2])\n"
                  "class Broken:\n"
                  "    def __call__(self, phase, info): raise ValueError(phase)\n"
                  "    def __repr__(self): return 'broken'\n"
                  "def once(phase, info):\n"
                  "    print('once')\n"
                  "    gc.callbacks.remove(once)\n"
                  "gc.collect()\n"
                  "gc.callbacks += [told, once, Broken(), told]\n"
                  "a = []; a.append(a); del a\n"
                  "print(gc.collect(0), gc.collect(), len(gc.callbacks))\n"
                  "gc.callbacks.clear()\n"
                  "gc.collect()\n")

    def test_callbacks_at_the_end(self):
        self.same("import gc\n"
                  "gc.callbacks.append(lambda phase, info: print(phase))\n"
                  "gc.callbacks.append(lambda phase, info: print('two', phase))\n")

    def test_gc_imported_anew_has_the_same_list(self):
        self.same("import sys\n"
                  "assert 'gc' not in sys.modules\n"
                  "import gc\n"
                  "mine = gc.callbacks\n"
                  "del sys.modules['gc'], gc\n"
                  "import gc\n"
                  "print(gc.callbacks is mine, gc.callbacks, sys.getrefcount(mine))\n",
                  python=("-S", "-E"))

    def test_statistics_and_counts(self):
        self.same("import gc\n"
                  "class Node: pass\n"
                  "def turn(count):\n"
                  "    for _ in range(count):\n"
                  "        one = Node()\n"
                  "        one.me = one\n"
                  "gc.disable()\n"
                  "gc.collect()\n"
                  "before = gc.get_stats()\n"
                  "for generation in 0, 0, 1, 2, 0:\n"
                  "    turn(50)\n"
                  "    print(gc.collect(generation) >= 50, gc.garbage, gc.get_freeze_count())\n"
                  "print([now[key] - then[key] for now, then in zip(gc.get_stats(), before)\n"
                  "       for key in ('collections', 'collected', 'uncollectable')])\n")

    def test_no_object_of_ours_is_found(self):
        self.same("import gc\n"
                  "class Probe: pass\n"
                  "print([type(one) for one in gc.get_referrers(gc.callbacks)],\n"
                  "      sum(getattr(one, '__name__', '') == 'heapglass'\n"
                  "          for one in gc.get_objects()))\n")

    def test_a_finalizer_that_starts_and_stops_tracemalloc(self):
        self.same("import gc, tracemalloc\n"
                  "class Start:\n"
                  "    def __del__(self): tracemalloc.start()\n"
                  "class Stop:\n"
                  "    def __del__(self): tracemalloc.stop()\n"
                  "for kind in Start, Stop, Start, Stop:\n"
                  "    one = kind(); one.me = one; del one\n"
                  "    gc.collect()\n"
                  "    print(tracemalloc.is_tracing(), [bytes(n) for n in range(3)])\n")

    def test_threads_go_on_while_a_finalizer_waits(self):
        run = self.watch("import gc, threading\n"
                         "go, done = threading.Event(), threading.Event()\n"
                         "class Waits:\n"
                         "    def __del__(self):\n"
                         "        go.set()\n"
                         "        done.wait()\n"
                         "def work():\n"
                         "    mine = [bytes(n) for n in range(100, 600)]\n"
                         "    go.wait()\n"
                         "    del mine\n"
                         "    done.set()\n"
                         "other = threading.Thread(target=work)\n"
                         "other.start()\n"
                         "one = Waits(); one.me = one; del one\n"
                         "gc.collect()\n"
                         "other.join()\n")
        rows = gc_of(run.ledger)["rows"]
        self.assertEqual([row for row in rows
                          if row["file"] == str(run.program) and row["line"] == 8], [])


class Command(harness.Case):
    def test_a_forked_child_has_its_own(self):
        run = self.watch("import gc, os\n"
                         "class Node: pass\n"
                         "def leave(count):\n"
                         "    for _ in range(count):\n"
                         "        one = Node()\n"
                         "        one.me = one\n"
                         "gc.disable()\n"
                         "gc.collect()\n"
                         "leave(100)\n"
                         "if os.fork() == 0:\n"
                         "    leave(10)\n"
                         "    gc.collect()\n"
                         "else:\n"
                         "    os.wait()\n"
                         "    gc.collect()\n")
        def nodes(*options):
            return sum(row["freed_objects"] for row in gc_of(run.ledger, *options)["types"]
                       if row["type"] == "Node")
        self.assertEqual(nodes(), 210)
        self.assertEqual(nodes("--no-children"), 100)

    def test_a_snapshot_keeps_it(self):
        run = self.watch("import gc\n"
                         "one = []; one.append(one); del one\n"
                         "gc.collect()\n")
        copy = self.dir / "copy.hg"
        harness.heapglass("snapshot", run.ledger, "-o", copy)
        keys = "generations", "types", "latest", "totals"
        ours, theirs = gc_of(run.ledger), gc_of(copy)
        self.assertEqual([ours[key] for key in keys], [theirs[key] for key in keys])
        self.assertTrue(ours["latest"])

    def test_what_is_said(self):
        run = self.watch("import gc\n"
                         "keep = [[] for _ in range(300000)]\n"
                         "for _ in range(10):\n"
                         "    gc.collect()\n")
        done = harness.heapglass("gc", run.ledger)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("of full collections found nothing: gc.freeze()", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)

    def test_untraced(self):
        run = self.watch("import gc\ngc.collect()\n", "--untraced")
        done = harness.heapglass("gc", run.ledger)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not watched", done.stdout)
        self.assertFalse(gc_of(run.ledger)["collector"]["watched"])


class Collect(harness.Case):
    """`heapglass gc PID --collect`, of a program that has garbage and collects none itself."""

    GARBAGE = ("import gc, sys, time\n"
               "gc.disable()\n"
               "class Node: pass\n"
               "def leave(count):\n"
               "    for _ in range(count):\n"
               "        one = Node(); one.me = one; one.load = bytes(1000)\n"
               "gc.collect()\n"
               "leave(5000)\n"
               "def one(): return [0] * 3\n"
               "def two(): return {1: 2}\n"
               "print('ready', flush=True)\n")
    WORKS = ("import select\n"
             "while not select.select([sys.stdin], [], [], 0)[0]:\n"
             "    one(); two()\n"
             "print(gc.isenabled(), gc.callbacks, gc.get_stats()[2]['collections'])\n")

    def start(self, text, *options):
        program, self.ledger = self.write(text), self.dir / "program.hg"
        process = subprocess.Popen(
            [harness.COMMAND, "run", "-o", self.ledger, *options, "--", harness.PYTHON, program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop, process)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def stop(self, process):
        process.kill()
        process.communicate()

    def test_it_says_what_was_freed_and_by_which_lines(self):
        process = self.start(self.GARBAGE + self.WORKS)
        report = gc_of(process.pid, "--collect", "--trim")
        self.assertGreaterEqual(report["collected"]["found"], 5000)
        self.assertGreater(report["collected"]["given_bytes"], 1 << 20)
        self.assertGreater(report["collected"]["pause_ns"], 0)
        lines = {row["line"]: row for row in report["rows"]}
        self.assertGreaterEqual(lines[6]["freed_bytes"], 5000 * 1033)
        self.assertEqual({row["type"]: row["freed_objects"] for row in report["types"]}["Node"],
                         5000)
        self.assertEqual(report["generations"][2]["collections"], 1)
        again = gc_of(process.pid, "--collect")["collected"]
        self.assertEqual(again["found"], 0)
        out, _ = process.communicate("\n")
        self.assertRegex(out, r"\AFalse \[\] \d+\n\Z")

    def test_as_text(self):
        process = self.start(self.GARBAGE + self.WORKS)
        done = harness.heapglass("gc", process.pid, "--collect")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^collected \d+,\d+ objects, .* freed, in .*s$")
        self.assertNotIn("trimmed", done.stdout)

    def test_one_that_sleeps_says_so(self):
        process = self.start(self.GARBAGE + "sys.stdin.readline()\n"
                             "one(); time.sleep(0.2); one()\n"
                             "print(gc.get_stats()[2]['collections'])\n")
        harness.wait_until_asleep(process.pid)
        done = harness.heapglass("gc", process.pid, "--collect")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Aheapglass: \d+: has not answered within 5 s: .*\n\Z")

    def test_misuse(self):
        run = self.watch("print(1)\n")
        for arguments, status, says in (
                (["--trim"], 2, "--trim goes with --collect"),
                (["--collect"], 2, "--collect needs a PID"),
                ([run.ledger, "--collect"], 1, "does not run")):
            done = harness.heapglass("gc", *arguments)
            self.assertEqual((done.returncode, done.stdout), (status, ""), arguments)
            self.assertIn(says, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_untraced(self):
        process = self.start("import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n",
                             "--untraced")
        done = harness.heapglass("gc", process.pid, "--collect")
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not watched, so it hears nothing", done.stderr)
