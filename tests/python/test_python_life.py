# SPDX-License-Identifier: MIT
"""What real programs do with an interpreter: it is accounted for, and they notice nothing.

Each program runs without us first. Output, messages and exit status must be the same under
heapglass, and the parts of its ledger must sum to the whole. HG_TEST_DEPTH is how deep the
deepest recursion goes (50000); in a build with deep checks, which looks at all frames at every
allocation, 5000 take long enough.
"""
import os

import harness

DEPTH = int(os.environ.get("HG_TEST_DEPTH", 50000))

KEYS = ["live_bytes", "live_blocks", "total_bytes", "total_blocks", "peak_bytes", "peak_blocks"]


class Case(harness.Case):
    def same(self, text, *options, kinds=("line", "stack", "thread", "domain"), peak_within=0,
             **settings):
        """Run `text` with and without us, and have a look at its ledger: the Run."""
        plain = self.plain(text, **settings)
        run = self.watch(text, *options, status=None, **settings)
        self.assertEqual((run.process.returncode, run.process.stdout, run.process.stderr),
                         (plain.returncode, plain.stdout, plain.stderr))
        self.whole(run.ledger, kinds, peak_within)
        return run

    def whole(self, ledger, kinds=("line", "stack", "thread", "domain"), peak_within=0):
        """The parts are the whole, however it is cut; nothing was lost."""
        whole = None
        for kind in kinds:
            report = harness.report(ledger, "--by", kind)
            totals = {key: report["totals"][key] for key in KEYS}
            whole = whole or totals
            with self.subTest(by=kind):
                self.assertEqual(totals, whole)
                self.assertEqual({key: sum(row[key] for row in report["rows"]) for key in KEYS},
                                 totals)
                self.assertEqual(set(report["lost"].values()), {0})
                self.assertEqual(report["unread"], [])
                if [process["state"] for process in report["processes"]] == ["ended"]:
                    self.assertEqual(report["processes"][0]["live_bytes"], totals["live_bytes"])
                    self.assertLessEqual(
                        abs(report["processes"][0]["peak_bytes"] - totals["peak_bytes"]),
                        peak_within)

    def stacks(self, run, *options, what="live_blocks"):
        """{lines of the program, the caller's first: live blocks} of its own stacks."""
        found = {}
        for row in run.report("--by", "stack", "--live", *options)["rows"]:
            lines = [frame["line"] for frame in row["stack"]
                     if frame["file"] == str(run.program)]
            if row["file"] == str(run.program) and row["live_blocks"]:
                key = tuple(lines)
                found[key] = found.get(key, 0) + row[what]
        return found

    def live(self, run, number, *options):
        """(bytes, blocks) live of one line of the program, its children's included."""
        row = run.line(number, "--live", *options)
        return row.get("live_bytes", 0), row.get("live_blocks", 0)


# In 3.14 the first names of one's own make the table of a module's names grow, by 400 bytes
# that belong to that line; so programs whose lines are weighed make their names before.

class Frames(Case):
    """Whose is it, when frames do not simply call each other?"""

    def test_one_function_called_on_several_lines(self):
        run = self.same("keep = []\n"
                        "def make(): keep.append(bytes(100))\n"
                        "def several():\n"
                        "    make()\n"
                        "    make()\n"
                        "    make()\n"
                        "several()\n"
                        "several(); make()\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        for stack in (7, 4, 2), (7, 5, 2), (7, 6, 2), (8, 4, 2), (8, 5, 2), (8, 6, 2), (8, 2):
            self.assertEqual(found[stack], 1, stack)

    def test_a_generator_is_called_by_whoever_resumes_it(self):
        run = self.same("def generator():\n"
                        "    while True:\n"
                        "        yield bytes(100)\n"
                        "def first(): return next(source)\n"
                        "def second(): return next(source)\n"
                        "source = generator()\n"
                        "keep = [None] * 9\n"
                        "keep[0] = first()\n"
                        "keep[1] = second()\n"
                        "keep[2] = first()\n"
                        "keep[3] = next(source)\n"
                        "keep[4] = second()\n")
        found = self.stacks(run)
        for stack in (8, 4, 3), (9, 5, 3), (10, 4, 3), (11, 3), (12, 5, 3):
            self.assertEqual(found[stack], 1, stack)

    def test_generators_that_take_turns(self):
        run = self.same("def generator(n):\n"
                        "    for i in range(n):\n"
                        "        keep.append(bytes(1000))\n"
                        "        yield from inner(n)\n"
                        "def inner(n):\n"
                        "    keep.append(bytes(2000))\n"
                        "    yield\n"
                        "    keep.append(bytes(4000))\n"
                        "    yield\n"
                        "keep = []\n"
                        "sources = [generator(n) for n in range(20)]\n"
                        "while sources:\n"
                        "    for source in sources[:]:\n"
                        "        try: next(source)\n"
                        "        except StopIteration: sources.remove(source)\n"
                        "keep = keep[:]\n")
        count = sum(range(20))
        self.assertEqual(self.stacks(run)[14, 3], count)
        self.assertEqual(self.stacks(run)[14, 4, 6], count)
        self.assertEqual(self.stacks(run)[14, 4, 8], count)

    def test_throwing_into_and_closing_generators(self):
        run = self.same("keep = []\n"
                        "def generator():\n"
                        "    try: yield\n"
                        "    except ValueError: keep.append(bytes(1000))\n"
                        "    try: yield\n"
                        "    finally: keep.append(bytes(2000))\n"
                        "def use():\n"
                        "    source = generator()\n"
                        "    next(source)\n"
                        "    source.throw(ValueError())\n"
                        "    source.close()\n"
                        "for i in range(50): use()\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        self.assertEqual((found[12, 10, 4], found[12, 11, 6]), (50, 50))

    def test_a_generator_is_resumed_by_another_thread(self):
        run = self.same("import threading\n"
                        "keep = []\n"
                        "def generator():\n"
                        "    while True:\n"
                        "        keep.append(bytes(1000))\n"
                        "        yield\n"
                        "source = generator()\n"
                        "def resume(): next(source)\n"
                        "for i in range(30):\n"
                        "    resume()\n"
                        "    thread = threading.Thread(target=resume)\n"
                        "    thread.start(); thread.join()\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        self.assertEqual((found[10, 8, 5], found[8, 5]), (30, 30))

    @harness.needs_recycled
    def test_tasks_of_asyncio(self):
        run = self.same("import asyncio\n"
                        "keep = []\n"
                        "async def leaf(n):\n"
                        "    keep.append(bytes(1000))\n"
                        "    await asyncio.sleep(0)\n"
                        "    keep.append(bytes(2000))\n"
                        "    return n\n"
                        "async def branch(n):\n"
                        "    await leaf(n)\n"
                        "    return await leaf(n)\n"
                        "async def main():\n"
                        "    done = await asyncio.gather(*[branch(n) for n in range(100)])\n"
                        "    return sum(done)\n"
                        "print(asyncio.run(main()))\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        for stack in (14, 9, 4), (14, 9, 6), (14, 10, 4), (14, 10, 6):
            self.assertEqual(found[stack], 100, stack)

    @harness.needs_recycled
    def test_asynchronous_generators(self):
        run = self.same("import asyncio\n"
                        "keep = []\n"
                        "async def count(n):\n"
                        "    for i in range(n):\n"
                        "        keep.append(bytes(1000))\n"
                        "        yield i\n"
                        "        await asyncio.sleep(0)\n"
                        "async def use():\n"
                        "    async for i in count(20):\n"
                        "        keep.append(bytes(2000))\n"
                        "    return [i async for i in count(10)]\n"
                        "async def main():\n"
                        "    await asyncio.gather(use(), use(), use())\n"
                        "asyncio.run(main())\n"
                        "keep = keep[:]\n")
        self.assertEqual(self.live(run, 5), (3 * 30 * 1033, 3 * 30))
        self.assertEqual(self.live(run, 10), (3 * 20 * 2033, 3 * 20))
        self.assertEqual(self.stacks(run)[14, 9, 5], 60)

    def test_c_functions_that_call_back(self):
        run = self.same("import functools, re, itertools\n"
                        "keep = []\n"
                        "def call(x, *rest):\n"
                        "    keep.append(bytes(1000))\n"
                        "    return x\n"
                        "sorted(range(10), key=call)\n"
                        "list(map(call, range(20)))\n"
                        "functools.reduce(call, range(31))\n"
                        "re.sub('x', lambda match: call('y'), 'x' * 40)\n"
                        "min(range(50), key=functools.partial(call))\n"
                        "[*itertools.accumulate(range(61), call)]\n"
                        "class Hashed:\n"
                        "    def __hash__(self): return call(1)\n"
                        "{}[Hashed()] = 1\n"
                        "def outer(): return sorted([1, 2], key=lambda x: [*map(call, [x])])\n"
                        "outer()\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        for stack, count in [((6, 4), 10), ((7, 4), 20), ((8, 4), 30), ((9, 9, 4), 40),
                             ((10, 4), 50), ((11, 4), 60), ((14, 13, 4), 1),
                             ((16, 15, 15, 4), 2)]:
            self.assertEqual(found[stack], count, stack)

    def test_exceptions_leave_frames_behind(self):
        run = self.same("keep = []\n"
                        "def fail(n):\n"
                        "    if n == 0: raise ValueError\n"
                        "    try:\n"
                        "        fail(n - 1)\n"
                        "    finally:\n"
                        "        keep.append(bytes(1000))\n"
                        "def use():\n"
                        "    try: fail(20)\n"
                        "    except ValueError: keep.append(bytes(2000))\n"
                        "    keep.append(bytes(3000))\n"
                        "for i in range(20): use()\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        for depth in range(20):
            self.assertEqual(found[(12, 9, *[5] * depth, 7)], 20, depth)
        self.assertEqual((found[12, 10], found[12, 11]), (20, 20))

    def test_recursion_50_000_deep(self):
        run = self.same("import sys, threading\n"
                        "sys.setrecursionlimit(60000)\n"
                        "threading.stack_size(512 << 20)\n"
                        "keep = []\n"
                        "def fall(n):\n"
                        "    if n: fall(n - 1)\n"
                        "    keep.append(bytes(100))\n"
                        f"thread = threading.Thread(target=fall, args=[{DEPTH}])\n"
                        "thread.start(); thread.join()\n"
                        "print(len(keep))\n"
                        "keep = keep[:]\n", kinds=("line", "thread", "domain"))
        self.assertEqual(self.live(run, 7), ((DEPTH + 1) * 133, DEPTH + 1))

    @harness.needs_recycled
    def test_recursion_through_c_functions(self):
        run = self.same("import sys\n"
                        "keep = []\n"
                        "def fall(n):\n"
                        "    keep.append(bytes(100))\n"
                        "    if n: list(map(fall, [n - 1]))\n"
                        "fall(200)\n"
                        "print(len(keep))\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        for depth in 0, 1, 100, 200:
            self.assertEqual(found[(6, *[5] * depth, 4)], 1, depth)

    def test_recursion_until_the_limit(self):
        self.same("def fall(): [fall()]\n"
                  "for i in range(5):\n"
                  "    try: fall()\n"
                  "    except RecursionError: print('bottom')\n")

    def test_frames_that_outlive_their_call(self):
        run = self.same("import sys\n"
                        "def call(n):\n"
                        "    local = bytes(1000)\n"
                        "    return sys._getframe()\n"
                        "frames = [call(n) for n in range(100)]\n"
                        "print(sum(len(frame.f_locals['local']) for frame in frames))\n")
        self.assertEqual(self.live(run, 3), (100 * 1033, 100))


class Code(Case):
    """Code objects are born, die, and have any name."""

    def test_code_made_again_at_the_same_address(self):
        run = self.same("keep = []\n"
                        "seen = set()\n"
                        "for line in range(1, 501):\n"
                        "    code = compile('\\n' * line + 'keep.append(bytes(1000))',\n"
                        "                   'made.py', 'exec')\n"
                        "    seen.add(id(code))\n"
                        "    exec(code)\n"
                        "    del code\n"
                        "print(len(keep))\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "line", "--live")["rows"]
        found = {row["line"]: row["live_blocks"] for row in rows
                 if row["file"] == "made.py" and row["live_blocks"]}
        self.assertEqual(found, {line: 1 for line in range(2, 502)})

    def test_functions_made_again_at_the_same_address(self):
        run = self.same("import gc; keep = []\n"
                        "for line in range(1, 301):\n"
                        "    space = {'keep': keep}\n"
                        "    exec('\\n' * line + 'def f():\\n keep.append(bytes(1000))\\n'\n"
                        "         'def g():\\n f()\\n', space)\n"
                        "    space['f'](); space['g'](); space['g']()\n"
                        "    del space\n"
                        "keep = keep[:]; gc.collect()\n")
        rows = run.report("--by", "line", "--live")["rows"]
        found = {row["line"]: row["live_blocks"] for row in rows
                 if row["file"] == "<string>" and row["live_bytes"] >= 1033}
        self.assertEqual(found, {line: 3 for line in range(3, 303)})

    def test_files_of_any_name(self):
        names = ["", " ", "a b", "a:b", "a\nb", "\tq\"'\\", "\u00fcn\u00ef/\u4e16.py",
                 "\U0001f600", "x" * 4000, "<>", "/", "../..", "%s%n", "\x1b[31m"]
        run = self.same("import sys\n"
                        f"names = {names!a}\n"
                        "keep = []\n"
                        "for name in names:\n"
                        "    exec(compile('keep.append(bytes(1000))', name, 'exec'))\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "line", "--live")["rows"]
        found = {row["file"]: row["live_bytes"] for row in rows if row["live_bytes"] == 1033}
        self.assertEqual(found, {name: 1033 for name in names})

    def test_a_name_that_is_not_utf_8(self):
        run = self.same("keep = []\n"
                        "exec(compile('keep.append(bytes(1000))', 'a\\udcffb', 'exec'))\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "line", "--live")["rows"]
        self.assertEqual([row["line"] for row in rows if row["live_bytes"] == 1033], [1])

    def test_function_names_of_any_kind(self):
        run = self.same("keep = []\n"
                        "def make(): keep.append(bytes(1000))\n"
                        "for name in ['', ' ', 'a.b', '\\u4e16', '<lambda>', 'x' * 3000]:\n"
                        "    code = make.__code__.replace(co_name=name)\n"
                        "    try: code = code.replace(co_qualname=name)\n"
                        "    except TypeError: pass\n"
                        "    exec(code)\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "function", "--live")["rows"]
        found = {row["function"] for row in rows
                 if row["file"] == str(run.program) and row["live_bytes"] == 1033}
        self.assertEqual(found, {"", " ", "a.b", "\u4e16", "<lambda>", "x" * 3000})

    def test_lines_far_down_and_far_apart(self):
        run = self.same("keep = []\n"
                        "for far in 100, 300, 70000, 5000000:\n"
                        "    exec(compile('keep.append([\\n' + '\\n' * far + 'bytes(1000)])',\n"
                        "                 'far.py', 'exec'))\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "line", "--live")["rows"]
        found = {row["line"] for row in rows
                 if row["file"] == "far.py" and row["live_bytes"] == 1033}
        self.assertEqual(found, {102, 302, 70002, 5000002})

    def test_code_without_lines(self):
        self.same("code = compile('x = [bytes(1000)]', 'nowhere.py', 'exec')\n"
                  "exec(code.replace(co_linetable=b''))\n"
                  "print(len(x[0]))\n")

    def test_a_program_read_from_standard_input(self):
        plain = harness.call(harness.PYTHON, "-", input="print(len([0] * 1000))\n", stdin=None)
        ledger = self.dir / "input.hg"
        done = harness.heapglass("run", "-o", ledger, harness.PYTHON, "-",
                                 input="print(len([0] * 1000))\n", stdin=None)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, plain.stdout, ""))
        self.whole(ledger)


class Watched(Case):
    """Others look at the program too."""

    WORK = ("keep = []\n"
            "def make():\n"
            "    keep.append(bytes(1000))\n"
            "def several():\n"
            "    for i in range(10): make()\n"
            "    make()\n")

    def check_work(self, run, times=1):
        found = {}
        for stack, size in self.stacks(run, what="live_bytes").items():
            if stack[-1] == 3:  # where others may have left some bytes of their own
                found[stack[-2:]] = found.get(stack[-2:], 0) + size // 1033
        self.assertEqual(found, {(5, 3): 10 * times, (6, 3): times})

    def test_settrace(self):
        self.check_work(self.same(self.WORK +
                                  "import sys\n"
                                  "events = []\n"
                                  "def trace(frame, event, arg):\n"
                                  "    events.append((frame.f_lineno, event))\n"
                                  "    frame.f_locals\n"
                                  "    return trace\n"
                                  "sys.settrace(trace)\n"
                                  "several()\n"
                                  "sys.settrace(None)\n"
                                  "print(events)\n"
                                  "keep = keep[:]\n"))

    def test_a_debugger_that_jumps(self):
        run = self.same("import sys\n"
                        "keep = []\n"
                        "def jumps():\n"
                        "    keep.append(bytes(1000))\n"
                        "    keep.append(bytes(2000))\n"
                        "    keep.append(bytes(3000))\n"
                        "def trace(frame, event, arg):\n"
                        "    if event == 'line' and frame.f_lineno == 5: frame.f_lineno = 6\n"
                        "    return trace\n"
                        "sys.settrace(trace)\n"
                        "jumps()\n"
                        "sys.settrace(None)\n"
                        "print([len(item) for item in keep])\n"
                        "keep = keep[:]\n")
        found = self.stacks(run)
        self.assertEqual((found[11, 4], found.get((11, 5)), found[11, 6]), (1, None, 1))

    def test_setprofile(self):
        self.check_work(self.same(self.WORK +
                                  "import sys\n"
                                  "events = []\n"
                                  "sys.setprofile(lambda f, event, arg: events.append(event))\n"
                                  "several()\n"
                                  "sys.setprofile(None)\n"
                                  "print(events)\n"
                                  "keep = keep[:]\n"))

    def test_cprofile(self):
        self.check_work(self.same(self.WORK +
                                  "import cProfile, pstats\n"
                                  "profile = cProfile.Profile()\n"
                                  "profile.runcall(several)\n"
                                  "stats = pstats.Stats(profile).stats\n"
                                  "print(sorted((key[1:], value[:2])\n"
                                  "             for key, value in stats.items()))\n"
                                  "keep = keep[:]\n"))

    def test_sys_monitoring(self):
        if harness.version() < (3, 12):
            self.skipTest("there is no sys.monitoring before 3.12")
        self.check_work(self.same(self.WORK +
                                  "import sys\n"
                                  "events, m = [], sys.monitoring\n"
                                  "m.use_tool_id(3, 'test')\n"
                                  "def note(code, *rest): events.append((code.co_name, rest))\n"
                                  "for event in m.events.LINE, m.events.PY_START:\n"
                                  "    m.register_callback(3, event, note)\n"
                                  "m.set_events(3, m.events.LINE | m.events.PY_START)\n"
                                  "several()\n"
                                  "m.set_local_events(3, make.__code__, m.events.INSTRUCTION)\n"
                                  "m.set_events(3, m.events.NO_EVENTS)\n"
                                  "several()\n"
                                  "m.free_tool_id(3)\n"
                                  "print(events)\n"
                                  "keep = keep[:]\n"), times=2)

    def test_tracemalloc(self):
        self.check_work(self.same(self.WORK +
                                  "import tracemalloc\n"
                                  "tracemalloc.start(10)\n"
                                  "several()\n"
                                  "print(tracemalloc.get_traced_memory()[0] > 11000)\n"
                                  "tracemalloc.stop()\n"
                                  "keep = keep[:]\n"))

    def test_faulthandler_and_traceback_of_all_threads(self):
        self.same("import faulthandler, sys, traceback\n"
                  "def call(n):\n"
                  "    if n: return call(n - 1)\n"
                  "    with open('dump', 'w+') as file:\n"
                  "        faulthandler.dump_traceback(file)\n"
                  "        print(file.seek(0), *file.readlines()[1:])\n"
                  "    traceback.print_stack()\n"
                  "call(5)\n"
                  "print(len(sys._current_frames()))\n", cwd=self.dir)


class Ends(Case):
    """However it ends, the ledger tells what was held."""

    def state(self, run):
        (process,) = run.report()["processes"]
        return process["state"], process["exit_status"]

    def test_sys_exit(self):
        run = self.same("keep = bytes(100000)\nimport sys\nsys.exit(3)\n")
        self.assertEqual(self.state(run), ("ended", 3))
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_an_exception(self):
        run = self.same("keep = bytes(100000)\n1 / 0\n")
        self.assertEqual(self.state(run), ("ended", 1))
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_os_exit(self):
        run = self.same("keep = bytes(100000)\nimport os\nos._exit(7)\n")
        self.assertEqual(run.process.returncode, 7)
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_os_abort(self):
        run = self.same("keep = bytes(100000)\nimport os\nos.abort()\n")
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_a_segmentation_fault(self):
        run = self.same("keep = bytes(100000)\nimport ctypes\nctypes.string_at(0)\n")
        self.assertEqual(run.process.returncode, -11)
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_signals(self):
        for name in "SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGXCPU":
            with self.subTest(signal=name):
                # Under nohup a program starts with SIGHUP ignored.
                run = self.same("keep = bytes(100000)\nimport os, signal, time\n"
                                f"if signal.{name} == signal.SIGHUP:\n"
                                "    signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
                                f"os.kill(os.getpid(), signal.{name})\ntime.sleep(9)\n")
                self.assertLess(run.process.returncode, 0)
                self.assertEqual(self.live(run, 1), (100033, 1))

    def test_keyboard_interrupt_while_it_allocates(self):
        run = self.same("keep = bytes(100000)\nimport os, signal\n"
                        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
                        "interrupts = 0\n"
                        "for i in range(100):\n"
                        "    try:\n"
                        "        signal.setitimer(signal.ITIMER_REAL, 0.001 + i / 1e5)\n"
                        "        while True: [bytes(n) for n in range(100)]\n"
                        "    except KeyboardInterrupt: interrupts += 1\n"
                        "print(interrupts)\n")
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_handlers_that_allocate_inside_the_allocator(self):
        run = self.same("keep = []\nimport signal\n"
                        "def handler(*args):\n"
                        "    keep.append(bytes(1000))\n"
                        "signal.signal(signal.SIGALRM, handler)\n"
                        "signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)\n"
                        "while len(keep) < 300: [[n] for n in range(100)]\n"
                        "signal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
                        "del keep[300:]\n"
                        "keep = keep[:]\n")
        self.assertEqual(self.live(run, 4), (300 * 1033, 300))

    def test_what_finalizers_make_and_drop_is_not_live(self):
        run = self.same("keep = bytes(100000)\n"
                        "class Last:\n"
                        "    def __del__(self):\n"
                        "        global late\n"
                        "        late = [bytes(1000)] * 10\n"
                        "        print('last')\n"
                        "last = Last()\n")
        self.assertEqual(self.live(run, 1), (100033, 1))
        self.assertEqual(self.live(run, 5), (0, 0))

    def test_atexit_handlers_that_allocate(self):
        run = self.same("keep = bytes(100000)\nimport atexit\n"
                        "@atexit.register\n"
                        "def late():\n"
                        "    global more\n"
                        "    more = bytes(50000)\n"
                        "    print('late')\n")
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_daemon_threads_that_allocate_until_the_end(self):
        run = self.same("keep = bytes(100000)\nimport threading, time\n"
                        "def work():\n"
                        "    while True: [bytes(n) for n in range(300)]\n"
                        "for i in range(4): threading.Thread(target=work, daemon=True).start()\n"
                        "time.sleep(.2)\nprint('done')\n")
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_daemon_threads_that_sleep(self):
        run = self.same("keep = bytes(100000)\nimport threading, time\n"
                        "def work():\n"
                        "    mine = bytes(50000)\n"
                        "    time.sleep(100)\n"
                        "for i in range(4): threading.Thread(target=work, daemon=True).start()\n"
                        "time.sleep(.2)\nprint('done')\n")
        self.assertEqual(self.live(run, 4), (4 * 50033, 4))

    def test_threads_that_outlive_the_main_program(self):
        run = self.same("keep = bytes(100000)\nimport threading, time\n"
                        "def work():\n"
                        "    time.sleep(.2)\n"
                        "    late.append(bytes(50000))\n"
                        "    print('late')\n"
                        "late = []\n"
                        "threading.Thread(target=work).start()\n")
        self.assertEqual(self.live(run, 1), (100033, 1))
        self.assertEqual(self.live(run, 5)[0] // 50033, 1)

    def test_sys_exit_in_a_thread(self):
        run = self.same("keep = bytes(100000)\nimport threading, sys\n"
                        "thread = threading.Thread(target=sys.exit, args=[4])\n"
                        "thread.start(); thread.join()\nprint('alive')\n")
        self.assertEqual(self.state(run), ("ended", 0))
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_os_exit_in_a_thread(self):
        run = self.same("keep = bytes(100000)\nimport threading, os\n"
                        "thread = threading.Thread(target=os._exit, args=[4])\n"
                        "thread.start(); thread.join()\nprint('not alive')\n")
        self.assertEqual(run.process.returncode, 4)
        self.assertEqual(self.live(run, 1), (100033, 1))


class Threads(Case):
    def test_two_hundred_in_turn(self):
        run = self.same("import threading\n"
                        "keep = []\n"
                        "def work():\n"
                        "    keep.append(bytes(10000))\n"
                        "for i in range(200):\n"
                        "    thread = threading.Thread(target=work)\n"
                        "    thread.start(); thread.join()\n"
                        "keep = keep[:]\n")
        self.assertEqual(self.live(run, 4), (200 * 10033, 200))

    def test_two_hundred_at_once(self):
        run = self.same("import threading\n"
                        "keep = []\n"
                        "barrier = threading.Barrier(200)\n"
                        "def work():\n"
                        "    keep.append(bytes(10000))\n"
                        "    barrier.wait()\n"
                        "    keep.append(bytes(1000))\n"
                        "threads = [threading.Thread(target=work) for i in range(200)]\n"
                        "for thread in threads: thread.start()\n"
                        "for thread in threads: thread.join()\n"
                        "keep = keep[:]\n")
        self.assertEqual(self.live(run, 5), (200 * 10033, 200))
        self.assertEqual(self.live(run, 7), (200 * 1033, 200))

    def test_what_one_thread_made_another_drops(self):
        run = self.same("import threading, queue\n"
                        "items = queue.SimpleQueue()\n"
                        "def make():\n"
                        "    for i in range(20000):\n"
                        "        items.put(bytes(i % 700))\n"
                        "    items.put(None)\n"
                        "def drop():\n"
                        "    while items.get() is not None: pass\n"
                        "threads = [threading.Thread(target=f) for f in (make, drop) * 2]\n"
                        "for thread in threads: thread.start()\n"
                        "for thread in threads: thread.join()\n"
                        "print(items.empty())\n")
        self.assertEqual(self.live(run, 5), (0, 0))

    def test_switches_of_threads_at_every_chance(self):
        run = self.same("import sys, threading\n"
                        "sys.setswitchinterval(1e-6)\n"
                        "keep = [[None] * 3000 for i in range(4)]\n"
                        "def fall(n, mine):\n"
                        "    if n: return fall(n - 1, mine)\n"
                        "    mine.append(bytes(1000))\n"
                        "def work(mine):\n"
                        "    del mine[:]\n"
                        "    for i in range(1500): fall(i % 10, mine)\n"
                        "threads = [threading.Thread(target=work, args=[k]) for k in keep]\n"
                        "for thread in threads: thread.start()\n"
                        "for thread in threads: thread.join()\n"
                        "keep = [mine[:] for mine in keep]\n")
        found = self.stacks(run)
        for depth in range(10):
            self.assertEqual(found[(9, *[5] * depth, 6)], 600, depth)

    def test_thread_pools(self):
        run = self.same("import concurrent.futures\n"
                        "def work(n):\n"
                        "    return bytes(1000)\n"
                        "with concurrent.futures.ThreadPoolExecutor(8) as pool:\n"
                        "    keep = list(pool.map(work, range(500)))\n")
        self.assertEqual(self.live(run, 3), (500 * 1033, 500))

    def test_thread_locals_die_with_their_thread(self):
        run = self.same("import threading\n"
                        "local = threading.local()\n"
                        "def work():\n"
                        "    local.mine = bytes(10000)\n"
                        "for i in range(50):\n"
                        "    thread = threading.Thread(target=work)\n"
                        "    thread.start(); thread.join()\n"
                        "del thread\n")
        self.assertLess(self.live(run, 4)[0], 10000)

    def test_parts_of_threads_are_the_whole(self):
        run = self.same("import threading\n"
                        "keep = []\n"
                        "barrier = threading.Barrier(4)\n"
                        "def work():\n"
                        "    barrier.wait()\n"
                        "    keep.append(bytes(100000))\n"
                        "    barrier.wait()\n"
                        "threads = [threading.Thread(target=work) for i in range(4)]\n"
                        "for thread in threads: thread.start()\n"
                        "for thread in threads: thread.join()\n"
                        "keep = keep[:]\n")
        rows = run.report("--by", "thread", "--live")["rows"]
        large = [row for row in rows if row["live_bytes"] >= 100000]
        self.assertGreaterEqual(sum(row["live_bytes"] // 100033 for row in large), 4)


class Children(Case):
    """Each process has its ledger; a report sums them."""

    def whole(self, ledger, kinds=None, peak_within=0):
        super().whole(ledger, ("line", "stack", "thread"), peak_within)

    def processes(self, run):
        return run.report()["processes"]

    def test_fork(self):
        run = self.same("import os, sys; before = None\n"
                        "before = bytes(100000)\n"
                        "pid = os.fork()\n"
                        "if pid == 0:\n"
                        "    mine = bytes(50000)\n"
                        "    os._exit(0)\n"
                        "print(os.waitpid(pid, 0)[1])\n")
        self.assertEqual(len(self.processes(run)), 2)
        self.assertEqual(self.live(run, 5), (50033, 1))
        self.assertEqual(self.live(run, 5, "--no-children"), (0, 0))
        self.assertEqual(self.live(run, 2, "--no-children"), (100033, 1))

    def test_forks_in_a_row(self):
        run = self.same("import os; i = pid = mine = None\n"
                        "for i in range(30):\n"
                        "    pid = os.fork()\n"
                        "    if pid == 0:\n"
                        "        mine = bytes(50000)\n"
                        "        os._exit(0)\n"
                        "    os.waitpid(pid, 0)\n")
        self.assertEqual(len(self.processes(run)), 31)
        self.assertEqual(self.live(run, 5), (30 * 50033, 30))

    @harness.needs_recycled
    def test_fork_while_threads_allocate(self):
        run = self.same("import os, threading, warnings; i = pid = mine = None\n"
                        "warnings.simplefilter('ignore')\n"
                        "stop = False\n"
                        "def work():\n"
                        "    while not stop: [bytes(n) for n in range(300)]\n"
                        "threads = [threading.Thread(target=work) for i in range(3)]\n"
                        "for thread in threads: thread.start()\n"
                        "for i in range(20):\n"
                        "    pid = os.fork()\n"
                        "    if pid == 0:\n"
                        "        mine = bytes(50000); [[n] for n in range(10000)]\n"
                        "        os._exit(0)\n"
                        "    print(os.waitpid(pid, 0)[1])\n"
                        "stop = True\n"
                        "for thread in threads: thread.join()\n")
        self.assertEqual(self.live(run, 11), (20 * 50033, 20))

    def test_a_child_that_ends_as_python_does(self):
        run = self.same("import os, sys, atexit\n"
                        "keep = bytes(100000)\n"
                        "atexit.register(lambda: print('exit', flush=True))\n"
                        "pid = os.fork()\n"
                        "if pid == 0:\n"
                        "    mine = bytes(50000)\n"
                        "    sys.exit(3)\n"
                        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n")
        self.assertEqual(self.live(run, 6), (50033, 1))
        self.assertEqual(sorted(process["exit_status"] for process in self.processes(run)),
                         [0, 3])

    def test_multiprocessing(self):
        for method in "fork", "spawn", "forkserver":
            with self.subTest(method=method):
                run = self.same("import multiprocessing, sys\n"
                                "def work(n):\n"
                                "    keep.append(bytes(100000))\n"
                                "    return n * n\n"
                                "keep = []\n"
                                "if __name__ == '__main__':\n"
                                f"    multiprocessing.set_start_method({method!r})\n"
                                "    with multiprocessing.Pool(2) as pool:\n"
                                "        print(pool.map(work, range(8)))\n"
                                "        pool.close(); pool.join()\n")
                self.assertEqual(self.live(run, 3)[0] // 100033, 8)

    def test_processes_and_queues(self):
        run = self.same("import multiprocessing\n"
                        "def work(queue, event):\n"
                        "    mine = bytes(100000)\n"
                        "    queue.put(len(mine))\n"
                        "    event.wait()\n"
                        "if __name__ == '__main__':\n"
                        "    context = multiprocessing.get_context('spawn')\n"
                        "    queue, event = context.Queue(), context.Event()\n"
                        "    many = [context.Process(target=work, args=(queue, event))\n"
                        "            for i in range(2)]\n"
                        "    for one in many: one.start()\n"
                        "    print([queue.get() for one in many])\n"
                        "    event.set()\n"
                        "    for one in many: one.join()\n"
                        "    print([one.exitcode for one in many])\n")
        self.assertGreaterEqual(len(self.processes(run)), 3)

    def test_a_pool_of_processes(self):
        self.same("import concurrent.futures\n"
                  "def work(n): return [n] * n\n"
                  "if __name__ == '__main__':\n"
                  "    with concurrent.futures.ProcessPoolExecutor(2) as pool:\n"
                  "        print(list(map(len, pool.map(work, range(20)))))\n")

    def test_subprocess(self):
        run = self.same("import subprocess, sys\n"
                        "print(subprocess.check_output([sys.executable, '-c',\n"
                        "      'keep = bytes(700000); print(len(keep))'], text=True))\n"
                        "print(subprocess.run('exit 3', shell=True).returncode)\n"
                        "print(subprocess.run(['/bin/echo', 'x'], capture_output=True).stdout)\n"
                        "print(subprocess.run([sys.executable, '-c', 'import os; os.abort()'],\n"
                        "                     close_fds=False).returncode)\n")
        rows = run.report("--by", "line", "--live")["rows"]
        self.assertEqual(1, sum(row["live_bytes"] // 700033 for row in rows
                                if row["file"] == "<string>"))

    def test_a_subprocess_with_no_environment(self):
        self.same("import subprocess, sys\n"
                  "print(subprocess.run([sys.executable, '-c', 'print(len([0] * 1000))'],\n"
                  "                     env={}, capture_output=True))\n")

    def test_posix_spawn_and_vfork(self):
        self.same("import os, sys, subprocess\n"
                  "subprocess._USE_VFORK = True\n"
                  "for i in range(30):\n"
                  "    subprocess.run(['/bin/true'], check=True)\n"
                  "    pid = os.posix_spawn('/bin/true', ['true'], os.environ)\n"
                  "    print(os.waitpid(pid, 0)[1])\n"
                  "pid = os.posix_spawn(sys.executable, [sys.executable, '-c', 'print(1)'],\n"
                  "                     os.environ)\n"
                  "print(os.waitpid(pid, 0)[1])\n")

    def test_exec_of_python_by_python(self):
        run = self.same("import os, sys; keep = None\n"
                        "keep = bytes(100000)\n"
                        "if len(sys.argv) < 4:\n"
                        "    print(len(sys.argv), flush=True)\n"
                        "    os.execv(sys.executable, [sys.executable, *sys.argv, 'x'])\n"
                        "print('last')\n")
        self.assertEqual(run.process.stdout, "1\n2\n3\nlast\n")
        names = sorted(path.name for path in self.dir.glob("program.hg.*"))
        pid = self.processes(run)[0]["pid"]
        self.assertEqual(names, [f"program.hg.{pid}.{n}" for n in (1, 2, 3)])
        for name in names:
            (process,) = harness.report(self.dir / name, "--no-children")["processes"]
            self.assertEqual(process["state"], "replaced")
            rows = harness.report(self.dir / name, "--no-children", "--live")["rows"]
            self.assertIn(100033, [row["live_bytes"] for row in rows])
        self.assertEqual(self.live(run, 2, "--no-children"), (100033, 1))

    def test_an_exec_that_fails(self):
        run = self.same("import os, sys; keep = None\n"
                        "keep = bytes(100000)\n"
                        "for i in range(3):\n"
                        "    try: os.execv('/no/such/program', ['x'])\n"
                        "    except OSError as error: print(error)\n"
                        "more = bytes(50000)\n")
        self.assertEqual(self.live(run, 2), (100033, 1))
        self.assertEqual(self.live(run, 6), (50033, 1))

    def test_exec_of_something_else(self):
        run = self.same("import os\n"
                        "keep = bytes(100000)\n"
                        "os.execv('/bin/sh', ['sh', '-c', 'echo shell; exit 6'])\n")
        self.assertEqual((run.process.stdout, run.process.returncode), ("shell\n", 6))

    def test_exec_of_a_shell_that_runs_python(self):
        self.same("import os, sys\n"
                  "keep = bytes(100000)\n"
                  "command = f'{sys.executable} -c \"print(1)\"; exit 6'\n"
                  "os.execv('/bin/sh', ['sh', '-c', command])\n")

    def test_children_of_a_thread(self):
        run = self.same("import os, threading, warnings; i = pid = mine = None\n"
                        "warnings.simplefilter('ignore')\n"
                        "def work():\n"
                        "    pid = os.fork()\n"
                        "    if pid == 0:\n"
                        "        mine = bytes(50000)\n"
                        "        [[n] for n in range(1000)]\n"
                        "        os._exit(0)\n"
                        "    os.waitpid(pid, 0)\n"
                        "threads = [threading.Thread(target=work) for i in range(8)]\n"
                        "for thread in threads: thread.start()\n"
                        "for thread in threads: thread.join()\n")
        self.assertEqual(self.live(run, 6), (8 * 50033, 8))

    def test_what_a_child_drops_of_its_parents(self):
        run = self.same("import os, sys\n"
                        "keep = [bytes(1000) for i in range(100)]\n"
                        "pid = os.fork()\n"
                        "if pid == 0:\n"
                        "    del keep[50:]\n"
                        "    sys.exit()\n"
                        "print(os.waitpid(pid, 0)[1])\n")
        parent, child = self.processes(run)
        self.assertEqual((parent["inherited_bytes"], child["parent_pid"]), (0, parent["pid"]))
        own = harness.report(child["ledger"])["totals"]["live_bytes"]
        dropped = child["inherited_bytes"] + own - child["live_bytes"]
        self.assertGreaterEqual(dropped, 50 * 1033)


class Objects(Case):
    """The collector, weak references, pickles."""

    def test_cycles_that_are_collected(self):
        run = self.same("import gc\n"
                        "class Node: pass\n"
                        "for i in range(20):\n"
                        "    for j in range(100):\n"
                        "        one, two = Node(), Node()\n"
                        "        one.other, two.other, one.data = two, one, bytes(1000)\n"
                        "    gc.collect()\n"
                        "del one, two\n"
                        "print(gc.collect() > 0)\n")
        self.assertEqual(self.live(run, 6), (0, 0))

    @harness.needs_recycled
    def test_gc_freeze(self):
        run = self.same("import gc; i = None\n"
                        "keep = [None] * 200\n"
                        "for i in range(200): keep[i] = [bytes(100)]\n"
                        "gc.collect(); gc.freeze()\n"
                        "print(gc.get_freeze_count() > 200)\n"
                        "for i in range(50): gc.collect(i % 3)\n"
                        "gc.unfreeze(); gc.collect()\n")
        self.assertEqual(self.live(run, 3), (200 * (133 + 56 + 8), 200 * 3))

    def test_weak_references(self):
        run = self.same("import weakref, gc\n"
                        "class Node: pass\n"
                        "died = []\n"
                        "keep = [Node() for i in range(1000)]\n"
                        "table = weakref.WeakValueDictionary(enumerate(keep))\n"
                        "refs = [weakref.ref(node, died.append) for node in keep]\n"
                        "[weakref.finalize(node, died.append, 1) for node in keep[::2]]\n"
                        "del keep\n"
                        "gc.collect()\n"
                        "print(len(died), len(table))\n"
                        "table = refs = died = None\n"
                        "gc.collect()\n")
        self.assertEqual(self.live(run, 5), (0, 0))

    @harness.needs_recycled
    def test_pickles(self):
        run = self.same("import pickle, copy\n"
                        "data = {n: [str(n), (n, float(n)), {n}] for n in range(500)}\n"
                        "for protocol in range(6):\n"
                        "    again = pickle.loads(pickle.dumps(data, protocol))\n"
                        "    print(again == data, copy.deepcopy(again) == data)\n"
                        "again = None\n")
        self.assertLess(self.live(run, 4)[0], 1000)

    def test_resurrection(self):
        self.same("import gc\n"
                  "keep = []\n"
                  "class Phoenix:\n"
                  "    def __init__(self): self.me, self.data = self, bytes(1000)\n"
                  "    def __del__(self): keep.append(self)\n"
                  "for i in range(100):\n"
                  "    Phoenix()\n"
                  "    if i % 10 == 0: gc.collect()\n"
                  "gc.collect()\n"
                  "print(len(keep))\n"
                  "del keep[:]; gc.collect()\n")

    def test_a_program_that_runs_out_of_memory_once(self):
        run = self.same("keep = bytes(100000)\n"
                        "for i in range(5):\n"
                        "    try: x = [0] * (1 << 60)\n"
                        "    except MemoryError: print('memory')\n"
                        "    try: x = bytearray(1 << 62)\n"
                        "    except MemoryError: print('memory')\n")
        self.assertEqual(self.live(run, 1), (100033, 1))

    def test_subinterpreters(self):
        module = "_xxsubinterpreters" if harness.version() < (3, 13) else "_interpreters"
        run = self.same(f"import {module} as subs, sys; keep = None\n"
                        "keep = bytes(100000)\n"
                        "for i in range(3):\n"
                        "    sub = subs.create()\n"
                        "    getattr(subs, 'run_string', None)(sub, '''if True:\n"
                        "        keep = [bytes(1000) for i in range(100)]\n"
                        "        import json\n"
                        "        print(len(json.dumps(list(range(100)))), flush=True)''')\n"
                        "    subs.destroy(sub)\n", peak_within=128 << 10)
        self.assertEqual(self.live(run, 2), (100033, 1))
