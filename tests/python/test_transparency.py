# SPDX-License-Identifier: MIT
"""A program under Heapglass is the same program: nobody outside or inside can tell.

Most tests run a program twice, as it is and under `heapglass run`, in the same surroundings, and
compare what came out of it. `same()` is that; "Witness" asks one program all it can find out.
"""
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import zipapp
from pathlib import Path

import harness

NOBODY = 65534
ROOT = os.geteuid() == 0
BUILD = Path(harness.COMMAND).parent
LIBRARY = BUILD / "libheapglass-preload.so"

# What most programs here do besides: enough to fill some pools, and to say so.
QUIET = "keep = [bytes(1000) for number in range(5000)]\n"
WORK = QUIET + "print('kept', len(keep))\n"


def limit(kind, soft, hard=None):
    """For preexec_fn: lower a limit."""
    return lambda: resource.setrlimit(kind, (soft, soft if hard is None else hard))


def hard(kind):
    return resource.getrlimit(kind)[1]


def nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def for_everybody(test):
    """Skip a test that somebody else is to run who cannot reach the files in question."""
    if subprocess.run(["/bin/sh", "-c", f"{harness.PYTHON} -c 0"], preexec_fn=nobody, cwd="/",
                      stderr=subprocess.DEVNULL).returncode:
        test.skipTest("others than root cannot reach this interpreter")
    test.dir.chmod(0o777)


def namespaces():
    """Whether this process may mount in a namespace of its own."""
    return ROOT and subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL
                                   ).returncode == 0


class Same(harness.Case):
    """Runs a program with and without us and compares."""

    def setUp(self):
        super().setUp()
        self.ledger = self.dir / "program.hg"

    def both(self, *command, options=(), ledger=None, **settings):
        """Run `command` as it is, then under us: both CompletedProcess."""
        ledger = ledger or self.ledger
        settings.setdefault("cwd", self.dir)
        plain = harness.call(*command, **settings)
        ours = harness.heapglass("run", "-o", ledger, *options, "--", *command, **settings)
        return plain, ours

    def same(self, text, *, python=(), args=(), status=0, **settings):
        """Claim that program `text` says and ends the same under us; the CompletedProcess."""
        program = self.write(text)
        return self.same_command(harness.PYTHON, *python, program, *args, status=status,
                                 **settings)

    def same_command(self, *command, status=0, **settings):
        plain, ours = self.both(*command, **settings)
        self.claim_same(plain, ours)
        self.assertEqual(ours.returncode, status, ours.stderr)
        return ours

    def claim_same(self, plain, ours):
        self.assertEqual((ours.returncode, ours.stdout, ours.stderr),
                         (plain.returncode, plain.stdout, plain.stderr))

    def live(self, ledger=None):
        """The live bytes of a ledger, which must be one that can be read."""
        return harness.report(ledger or self.ledger, "--live")["totals"]["live_bytes"]

    def watched(self, ledger=None, least=5_000_000):
        """Claim that the ledger tells of WORK."""
        self.assertGreater(self.live(ledger), least)


WITNESS = r"""
import gc
collections = [one["collections"] for one in gc.get_stats()]
modules_of_gc = gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()
import sys
modules = sorted(sys.modules)
import os
descriptors = {int(name): os.path.exists("/proc/self/fd/" + name)
               for name in os.listdir("/proc/self/fd")}
descriptors = sorted(fd for fd, there in descriptors.items() if there)
callbacks = len(gc.callbacks)
import atexit
exits = atexit._ncallbacks()
import ctypes, json, locale, resource, signal, stat, threading, tracemalloc, warnings
libc = ctypes.CDLL(None)

def proc(name):
    try:
        with open("/proc/self/" + name, "rb") as file:
            return file.read().decode("latin-1")
    except OSError as error:
        return type(error).__name__

VARIES = ("Vm", "Rss", "Pid", "Tgid", "NS", "Ngid", "PPid", "vol", "nonvol", "Hugetlb", "SigQ")
status = [line for line in proc("status").splitlines() if not line.startswith(VARIES)]
json.dump({
    "argv": [sys.argv, sys.orig_argv, sys.executable, proc("cmdline"), proc("comm"),
             os.readlink("/proc/self/exe")],
    "flags": [list(sys.flags), sys._xoptions, sys.warnoptions, sys.getdlopenflags(),
              sys.getrecursionlimit(), sys.getswitchinterval(), threading.stack_size()],
    "paths": [os.getcwd(), sys.path, sys.prefix, len(sys.path_hooks),
              [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path]],
    "modules": modules,
    "collector": [modules_of_gc, collections, callbacks],
    "exits": exits,
    "tools": [str(sys.gettrace()), str(sys.getprofile()), str(threading.gettrace()),
              tracemalloc.is_tracing(), sys.is_finalizing(), str(sys.unraisablehook),
              [sys.monitoring.get_tool(i) for i in range(6)] if hasattr(sys, "monitoring")
              else None],
    "warnings": str(warnings.filters),
    "locale": [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(),
               sys.getfilesystemencoding(), sys.stdout.encoding, sys.stderr.errors],
    "descriptors": [descriptors, [stat.S_IFMT(os.fstat(fd).st_mode) for fd in range(3)],
                    os.open(os.devnull, os.O_RDONLY)],
    "threads": [os.listdir("/proc/self/task") == [str(os.getpid())],
                threading.active_count(), proc(f"task/{os.getpid()}/children")],
    "limits": proc("limits"),
    "process": [status, proc("personality"), proc("oom_score_adj"), proc("timerslack_ns"),
                proc("coredump_filter"), os.nice(0), os.getppid(), os.getpgrp(), os.getsid(0),
                [libc.prctl(number, 0, 0, 0, 0) for number in (3, 7, 27, 39, 42)]],
    "signals": [[str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
                [int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
                libc.fegetround(), list(signal.getitimer(signal.ITIMER_REAL))],
    "environment": dict(os.environ),
    "sizes": [sys.getsizeof(one) for one in
              [[], (), {}, set(), 1.0, 7, "a", b"", object(), [1] * 10, list(range(50)),
               {i: i for i in range(100)}, {i for i in range(99)}, "\u65e5" * 5, 1 << 99]],
    "hash": [hash("x"), hash((1, "y"))],
    "pid": os.getpid(),
}, sys.stdout)
"""


class Witness(harness.Case):
    """What a program can find out about itself, one test for each kind."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="heapglass-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name).resolve()
        program = cls.folder / "witness.py"
        program.write_text(WITNESS, encoding="utf-8")
        words = [harness.PYTHON, "-X", "utf8", "-W", "once", str(program), "a b", "", "--", "-o"]
        cls.plain = cls.ask(words)
        run = [harness.COMMAND, "run", "-o", str(cls.folder / "witness.hg")]
        cls.ours = cls.ask([*run, "--", *words])
        cls.others = [cls.ask([*run, option, "--", *words])
                      for option in ("--lines", "--untraced", "--no-recycled")]

    @classmethod
    def ask(cls, words):
        environment = dict(os.environ, PYTHONHASHSEED="0", SOME_THING="as it was")
        with subprocess.Popen(words, env=environment, cwd=cls.folder, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            out = process.communicate(timeout=harness.TIMEOUT)[0]
        found = json.loads(out)
        found["started as"] = process.pid
        return found

    def claim(self, key):
        for ours in (self.ours, *self.others):
            self.assertEqual(ours[key], self.plain[key])

    def test_the_process_id_is_that_of_the_command(self):
        for ours in (self.ours, *self.others):
            self.assertEqual(ours["pid"], ours["started as"])

    def test_arguments_and_names_are_the_same(self):
        self.claim("argv")

    def test_flags_and_settings_are_the_same(self):
        self.claim("flags")

    def test_the_working_folder_and_paths_are_the_same(self):
        self.claim("paths")

    def test_the_same_modules_are_loaded(self):
        self.claim("modules")

    def test_the_collector_ran_as_often_and_calls_nobody(self):
        self.claim("collector")

    def test_nothing_is_registered_for_the_exit(self):
        self.claim("exits")

    def test_no_hook_for_tracing_is_taken(self):
        self.claim("tools")

    def test_warnings_are_filtered_alike(self):
        self.claim("warnings")

    def test_locale_and_encodings_are_the_same(self):
        self.claim("locale")

    def test_no_descriptor_is_open_besides(self):
        self.claim("descriptors")

    def test_there_is_one_thread_and_no_child(self):
        self.claim("threads")
        self.assertEqual(self.ours["threads"], [True, 1, ""])

    def test_limits_are_the_same(self):
        self.claim("limits")

    def test_the_kernel_tells_the_same_of_the_process(self):
        self.claim("process")

    def test_signals_are_disposed_alike(self):
        self.claim("signals")

    def test_objects_have_the_same_size_and_hash(self):
        self.claim("sizes")
        self.claim("hash")

    def test_the_environment_has_our_variables_more_and_no_other(self):
        plain, *ours = ({name: value for name, value in found["environment"].items()
                         if name != "LD_PRELOAD" and not name.startswith("HEAPGLASS_")}
                        for found in (self.plain, self.ours, *self.others))
        self.assertEqual(ours, [plain] * 4)


class Inside(Same):
    """What a program does with the interpreter goes as it goes without us."""

    def test_audit_hooks_hear_the_same(self):
        self.same("import sys\n"
                  "heard = []\n"
                  "sys.addaudithook(lambda name, args: heard.append((name, len(args))))\n"
                  "import json, decimal\n"
                  "json.loads('[1, 2]')\n"
                  "exec(compile('x = 1', 'made', 'exec'))\n"
                  "open('/dev/null').close()\n"
                  "print(heard)\n")

    def test_a_tracer_and_a_profiler_hear_the_same(self):
        self.same("import sys\n"
                  "heard = []\n"
                  "def hear(frame, event, arg):\n"
                  "    heard.append((frame.f_code.co_name, frame.f_lineno, event))\n"
                  "    return hear\n"
                  "def work(n):\n"
                  "    return [str(i) for i in range(n)] if n else work(n + 3)\n"
                  "sys.settrace(hear); sys.setprofile(hear)\n"
                  "work(0)\n"
                  "sys.settrace(None); sys.setprofile(None)\n"
                  "print(heard)\n")

    def test_tracemalloc_counts_the_same(self):
        self.same("import tracemalloc\n"
                  "tracemalloc.start(5)\n"
                  "keep = [None] * 100\n"
                  "for i in range(100):\n    keep[i] = bytes(10000)\n"
                  "snapshot = tracemalloc.take_snapshot()\n"
                  "line = [s for s in snapshot.statistics('lineno')\n"
                  "        if s.traceback[0].filename == __file__ and s.size > 10**6]\n"
                  "print(line)\n"
                  "del keep\n"
                  "print(tracemalloc.get_traced_memory()[0] < 100000)\n"
                  "tracemalloc.stop()\n"
                  "print(tracemalloc.is_tracing())\n")

    def test_the_collector_comes_at_the_same_moments(self):
        self.same("import gc, weakref\n"
                  "class Thing:\n"
                  "    def __init__(self, n): self.n, self.me = n, self\n"
                  "    def __del__(self): print('del', self.n)\n"
                  "for n in range(2000):\n"
                  "    thing = Thing(n)\n"
                  "    weakref.finalize(thing, print, 'finalize', n)\n"
                  "gc.collect()\n"
                  "print(gc.collect(), gc.garbage)\n"
                  "last = Thing('last')\n", options=["--untraced"])

    def test_a_function_returns_to_where_it_was_called(self):
        """What its locals do when they die is done in its caller, which has not gone on yet."""
        self.same("import weakref\n"
                  "class Thing:\n"
                  "    def __del__(self): seen.append([self])\n"
                  "def each(things):\n"
                  "    thing = Thing()\n"
                  "    others = [Thing(), {1: 'one'}]\n"
                  "    reference = weakref.ref(thing, seen.append)\n"
                  "    yield_or_not = iter(others)\n"
                  "def stream(things):\n"
                  "    thing = Thing()\n"
                  "    yield each(things)\n"
                  "def caller(count):\n"
                  "    for number in range(count):\n"
                  "        each([number]), each(number)\n"
                  "        for thing in stream([number]): last = each(things=thing)\n"
                  "    return last\n"
                  "seen = []\n"
                  "print(caller(300), len(seen))\n")

    def test_an_exception_is_printed_the_same(self):
        self.same("def f(n):\n    return f(n - 1) if n else {}['no such key']\n"
                  "try:\n    f(5)\nexcept KeyError:\n    raise ValueError('größer')\n", status=1)

    def test_recursion_ends_at_the_same_depth(self):
        self.same("import sys\n"
                  "def down(n):\n"
                  "    global deepest\n    deepest = n\n    down(n + 1)\n"
                  "for limit in 200, 1000, 20000:\n"
                  "    sys.setrecursionlimit(limit)\n"
                  "    try:\n        down(0)\n"
                  "    except RecursionError as error:\n        print(deepest, error)\n")

    def test_recursion_through_c_ends_the_same(self):
        self.same("class Deep:\n    def __repr__(self): return repr(self.inner)\n"
                  "deep = Deep(); deep.inner = deep\n"
                  "try:\n    repr(deep)\nexcept RecursionError as error:\n"
                  "    print(str(error).partition(' (used ')[0])\n"  # so many kB, from 3.14 on
                  "nested = []\n"
                  "for i in range(100000): nested = [nested]\n"
                  "try:\n    repr(nested)\nexcept RecursionError as error:\n"
                  "    print(str(error).partition(' (used ')[0])\n"
                  "del nested\nprint('gone')\n")

    def test_threads_with_the_smallest_stack_work(self):
        self.same("import sys, threading\n"
                  "threading.stack_size(32768 if sys.version_info < (3, 14) else 65536)\n"
                  "def work():\n"
                  "    keep.append([bytes(size) for size in range(0, 3000, 7)])\n"
                  "    keep.append({str(n): [n] for n in range(1000)})\n"
                  "    keep.append(sorted(map(str, range(1000)), key=lambda s: (len(s), s)))\n"
                  "    keep.append(bytes(5_000_000))\n"
                  "keep = []\n"
                  "threads = [threading.Thread(target=work) for n in range(20)]\n"
                  "for thread in threads: thread.start()\n"
                  "for thread in threads: thread.join()\n"
                  "print(len(keep))\n")

    def test_an_allocation_by_the_c_api_is_aligned_and_grows(self):
        self.same("import ctypes\n"
                  "api = ctypes.pythonapi\n"
                  "for kind in 'PyMem_', 'PyMem_Raw', 'PyObject_':\n"
                  "    take, more, give = (getattr(api, kind + name)\n"
                  "                        for name in ('Malloc', 'Realloc', 'Free'))\n"
                  "    take.restype = more.restype = ctypes.c_void_p\n"
                  "    for size in [*range(0, 1200), 5000, 70000, 3 << 20, 70 << 20]:\n"
                  "        block = take(ctypes.c_size_t(size))\n"
                  "        assert block and block % 16 == 0, (kind, size)\n"
                  "        ctypes.memset(block, 65, size)\n"
                  "        for new in size * 2 + 1, size // 3, size:\n"
                  "            block = more(ctypes.c_void_p(block), ctypes.c_size_t(new))\n"
                  "            assert block and block % 16 == 0\n"
                  "        kept = min(size, size // 3)\n"
                  "        assert ctypes.string_at(block, kept) == b'A' * kept, (kind, size)\n"
                  "        give(ctypes.c_void_p(block))\n"
                  "    give(None)\n"
                  "print('aligned')\n")

    def test_faulthandler_says_the_same(self):
        text = ("import ctypes, faulthandler, sys\n"
                "faulthandler.enable()\n"
                "def inner():\n    ctypes.string_at(8)\n"
                "inner()\n")
        self.claim_same_but_addresses(text, -signal.SIGSEGV)

    def test_faulthandler_dumps_threads_from_its_own(self):
        self.claim_same_but_addresses(
            "import faulthandler, time\n"
            "faulthandler.dump_traceback_later(0.3, exit=True)\n"
            + WORK + "time.sleep(30)\n", 1)

    def claim_same_but_addresses(self, text, status):
        plain, ours = self.both(harness.PYTHON, self.write(text))
        for done in plain, ours:
            done.stderr = re.sub("0x[0-9a-f]+", "0x", done.stderr)
        self.claim_same(plain, ours)
        self.assertEqual(ours.returncode, status)
        self.assertIn("most recent call first", ours.stderr)

    def test_a_subinterpreter_works(self):
        self.same("try:\n    import _xxsubinterpreters as sub\n"
                  "except ImportError:\n    import _interpreters as sub\n"
                  "for n in range(3):\n"
                  "    one = sub.create()\n"
                  "    sub.run_string(one, 'keep = [bytes(1000) for n in range(2000)];'\n"
                  "                        'import json; print(json.dumps([1]), flush=True)')\n"
                  "    sub.destroy(one)\n" + WORK)
        self.watched()

    def test_the_interpreter_may_be_started_isolated(self):
        for options in ["-I"], ["-S"], ["-E"], ["-I", "-S", "-E", "-B", "-u", "-O"], ["-bb"]:
            with self.subTest(options):
                self.same("import sys\nprint(sys.flags, sys.path)\n" + WORK, python=options)
                self.watched()

    def test_import_times_are_told_of_the_same_modules(self):
        plain, ours = self.both(harness.PYTHON, "-X", "importtime", "-c", "import json")
        names = [re.findall(r"\| +(\S+)$", done.stderr, re.M) for done in (plain, ours)]
        self.assertEqual(*names)
        self.assertGreater(len(names[0]), 10)

    def test_verbose_says_the_same(self):
        plain, ours = self.both(harness.PYTHON, "-v", "-c", "import json")
        for done in plain, ours:
            # Collections come at other moments, so the last one meets modules in another order.
            lines = re.sub("0x[0-9a-f]+", "0x", done.stderr).splitlines()
            ends = sorted(line for line in lines if line.startswith("# destroy"))
            done.stderr = [line for line in lines if not line.startswith("# destroy")] + ends
        self.claim_same(plain, ours)

    def test_the_program_may_come_from_standard_input(self):
        self.same_command(harness.PYTHON, "-", "a", input="import sys\nprint(sys.argv)\n",
                          stdin=None)

    def test_os_exit_keeps_the_status_and_the_ledger(self):
        self.same("import os\n" + WORK + "import sys\nsys.stdout.flush()\nos._exit(77)\n",
                  status=77)
        self.watched()

    def test_every_exit_status_is_the_programs(self):
        for status in 0, 1, 2, 3, 99, 125, 126, 127, 128, 255:
            with self.subTest(status):
                self.same_command(harness.PYTHON, "-c", f"raise SystemExit({status})",
                                  status=status)

    def test_a_message_of_system_exit_goes_to_standard_error(self):
        done = self.same("raise SystemExit('that is all')\n", status=1)
        self.assertEqual(done.stderr, "that is all\n")


class Displaced(Same):
    """With another allocator in our place the program runs unchanged, and the report says so."""

    def first_lines(self):
        done = harness.heapglass("report", self.ledger)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_pythonmalloc_is_obeyed_and_named(self):
        for value in "default", "malloc", "malloc_debug", "pymalloc", "pymalloc_debug", "debug":
            with self.subTest(value):
                self.same(WORK, env=dict(os.environ, PYTHONMALLOC=value))
                self.assertIn("PYTHONMALLOC", self.first_lines().splitlines()[0])

    def test_development_mode_is_obeyed_and_named(self):
        self.same("import sys\nprint(sys.flags.dev_mode)\nopen('/dev/null')\n" + WORK,
                  python=["-X", "dev"])
        self.assertIn("-X dev", self.first_lines().splitlines()[0])

    def test_development_mode_by_environment_is_obeyed_and_named(self):
        self.same(WORK, env=dict(os.environ, PYTHONDEVMODE="1"))
        self.assertRegex(self.first_lines().splitlines()[0], "PYTHONDEVMODE|-X dev")

    def test_resident_memory_is_told_all_the_same(self):
        self.same(WORK, env=dict(os.environ, PYTHONMALLOC="malloc"))
        self.assertRegex(self.first_lines(), r"(?i)resident|RSS")
        picture = harness.heapglass("plot", self.ledger)
        self.assertEqual((picture.returncode, picture.stderr), (0, ""))

    def test_a_wrong_pythonmalloc_is_the_interpreters_error(self):
        plain, ours = self.both(harness.PYTHON, "-c", "print(1)",
                                env=dict(os.environ, PYTHONMALLOC="no such"))
        self.claim_same(plain, ours)
        self.assertEqual(ours.returncode, 1)

    def test_an_ignored_environment_displaces_nothing(self):
        self.same(WORK, python=["-E"], env=dict(os.environ, PYTHONMALLOC="debug"))
        self.watched()


class Ends(Same):
    """How a program ends is told to who started it, and to the ledger."""

    def test_a_deadly_signal_kills_as_before(self):
        for name in "SIGSEGV", "SIGTERM", "SIGABRT", "SIGKILL", "SIGINT", "SIGHUP", "SIGBUS":
            with self.subTest(name):
                number = getattr(signal, name)
                self.same(f"import os, signal\n{WORK}import sys\nsys.stdout.flush()\n"
                          f"signal.signal({number}, signal.SIG_DFL) if {number} != 9 else 0\n"
                          f"os.kill(os.getpid(), {number})\n", status=-number)
                self.watched()

    def test_a_crash_in_c_kills_as_before(self):
        for call in "ctypes.string_at(8)", "ctypes.CDLL(None).abort()":
            with self.subTest(call):
                text = f"import ctypes\n{WORK}import sys\nsys.stdout.flush()\n{call}\n"
                plain, ours = self.both(harness.PYTHON, self.write(text))
                self.claim_same(plain, ours)
                self.assertLess(ours.returncode, 0)
                self.watched()

    def test_an_interrupt_is_a_keyboard_interrupt(self):
        self.same("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n",
                  status=-signal.SIGINT)

    def test_a_signal_from_outside_reaches_the_program(self):
        program = self.write("import signal, sys, time\n"
                             "def stop(*_):\n    print('stopped'); sys.exit(5)\n"
                             "signal.signal(signal.SIGTERM, stop)\n"
                             "print('ready', flush=True)\ntime.sleep(60)\n")
        with subprocess.Popen([harness.COMMAND, "run", "-o", self.ledger, "--", harness.PYTHON,
                               program], stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.stdout.read(), "stopped\n")
        self.assertEqual(process.returncode, 5)

    def test_it_stops_and_goes_on(self):
        program = self.write("import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                             + WORK)
        with subprocess.Popen([harness.COMMAND, "run", "-o", self.ledger, "--", harness.PYTHON,
                               program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            process.send_signal(signal.SIGSTOP)
            pid, status = os.waitpid(process.pid, os.WUNTRACED)
            self.assertTrue(os.WIFSTOPPED(status))
            self.assertLess(self.live(), 5_000_000)  # a stopped program's accounts can be read
            process.send_signal(signal.SIGCONT)
            out = process.communicate("\n", timeout=harness.TIMEOUT)[0]
        self.assertEqual((out, process.returncode), ("kept 5000\n", 0))
        self.watched()

    def test_a_blocked_and_an_ignored_signal_stay_so(self):
        def prepare():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        self.same("import os, signal\n"
                  "os.kill(os.getpid(), signal.SIGHUP)\n"
                  "os.kill(os.getpid(), signal.SIGUSR1)\n"
                  "print(signal.sigpending(), signal.getsignal(signal.SIGHUP))\n",
                  preexec_fn=prepare, restore_signals=False)

    def test_a_broken_pipe_ends_it_as_before(self):
        found = []
        for words in [], [harness.COMMAND, "run", "-o", self.ledger, "--"]:
            with subprocess.Popen([*words, harness.PYTHON, "-c", "while True: print('y' * 99)"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                process.stdout.readline()
                process.stdout.close()
                found.append((process.stderr.read(), process.wait()))
        self.assertEqual(*found)

    def test_the_last_words_are_in_order(self):
        self.same("import atexit, sys, threading\n"
                  "class Last:\n    def __del__(self): print('del', flush=True)\n"
                  "last = Last()\nlast.me = last\nsys.last_one = last\n"
                  "atexit.register(print, 'exit')\n"
                  "threading.Thread(target=print, args=['thread']).start()\n"
                  "threading.Thread(target=threading.Event().wait, daemon=True).start()\n")


class Streams(Same):
    """Standard streams, descriptors and the terminal are the program's own."""

    def test_standard_input_goes_to_the_program(self):
        self.same("import sys\nprint(sys.stdin.read()[::-1])\n", input="some text\n", stdin=None)

    def test_binary_goes_through_unchanged(self):
        data = bytes(range(256)) * 500
        program = self.write("import shutil, sys\n"
                             "shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)\n")
        ours = self.same_command(harness.PYTHON, program, input=data, stdin=None, text=False)
        self.assertEqual(ours.stdout, data)

    def test_inherited_descriptors_stay_open(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.same("import os, sys\n"
                  "print(os.write(int(sys.argv[1]), b'x'), sorted(os.listdir('/proc/self/fd')))\n",
                  args=[writer], pass_fds=[writer])
        self.assertEqual(os.read(reader, 9), b"xx")

    def test_closed_standard_streams_stay_closed(self):
        text = ("import os, sys\n"
                "def open_ones():\n"
                "    for fd in range(20):\n"
                "        try: os.fstat(fd)\n"
                "        except OSError: continue\n"
                "        yield fd\n"
                "found = list(open_ones()), [s is None for s in (sys.stdin, sys.stdout, "
                "sys.stderr)]\n"
                "with open(sys.argv[1], 'w') as file: file.write(repr(found))\n"
                + QUIET)
        program, found = self.write(text), []
        for closed in [0], [1], [2], [0, 1], [0, 1, 2], [1, 2]:
            for ours in False, True:
                words = [harness.PYTHON, str(program), str(self.dir / "found")]
                if ours:
                    words[:0] = [harness.COMMAND, "run", "-o", str(self.ledger), "--"]
                actions = [(os.POSIX_SPAWN_CLOSE, fd) for fd in closed]
                pid = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                found.append((status, (self.dir / "found").read_text()))
                (self.dir / "found").unlink()
            self.assertEqual(*found[-2:], closed)
            self.watched()

    def test_a_program_may_close_all_descriptors(self):
        self.same("import os, sys\n"
                  "print('before', flush=True)\n"
                  "os.closerange(0, 65536)\n"
                  "import json, decimal\n"
                  + QUIET +
                  "os._exit(len(keep) % 251)\n", status=5000 % 251)
        self.watched()

    def test_a_program_that_closed_everything_may_open_files_again(self):
        self.same("import os, sys, tempfile\n"
                  "os.closerange(3, 65536)\n"
                  "files = [tempfile.TemporaryFile() for n in range(50)]\n"
                  + WORK +
                  "for file in files: file.write(b'x' * 5000); file.flush()\n"
                  "print([file.fileno() for file in files], sum(file.tell() for file in files))\n")
        self.watched()

    def test_it_has_the_terminal(self):
        text = ("import os, sys\n"
                "print(os.isatty(0), os.isatty(1), os.isatty(2), os.tcgetpgrp(0) == os.getpgrp(),"
                " os.getsid(0) == os.getpid(), os.get_terminal_size(), input('name? '))\n")
        self.assertEqual(*self.on_terminal(text, b"Ada\n"))

    def test_control_c_on_the_terminal_interrupts_it(self):
        text = ("import time\n"
                "try:\n    print('ready', flush=True)\n"
                # One long sleep would miss a signal that comes just before it.
                "    for _ in range(250): time.sleep(0.1)\n"
                "except KeyboardInterrupt:\n    print('interrupted'); raise SystemExit(3)\n")
        plain, ours = self.on_terminal(text, b"\x03", wait_for=b"ready\r\n")
        self.assertEqual(ours, plain)
        self.assertEqual(ours[0], 3)

    def on_terminal(self, text, typed, wait_for=b"?"):
        """(exit status, what the terminal showed) of a program, plain and under us."""
        program, found = self.write(text), []
        for words in [], [harness.COMMAND, "run", "-o", str(self.ledger), "--"]:
            words = [*words, harness.PYTHON, str(program)]
            to_type = typed
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(words[0], words)
            shown, end = b"", time.monotonic() + 30
            while time.monotonic() < end:
                if select.select([terminal], [], [], 0.1)[0]:
                    try:
                        part = os.read(terminal, 4096)
                    except OSError:
                        break
                    if not part:
                        break
                    shown += part
                    if to_type and wait_for in shown:
                        os.write(terminal, to_type)
                        to_type = b""
            os.close(terminal)
            found.append((os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown))
        return found


class Names(Same):
    """Any name that a file may have."""

    def copy_of_the_build(self, name):
        folder = self.dir / name
        folder.mkdir()
        shutil.copy2(harness.COMMAND, folder / "heapglass")
        shutil.copy2(LIBRARY, folder)
        return folder / "heapglass"

    def claim_named(self, name, function="work"):
        """A program of this name (bytes) is watched, and the report has Python's own name."""
        program = os.fsencode(self.dir) + b"/" + name
        with open(program, "wb") as file:
            file.write(f"def {function}(n):\n    return [bytes(1000) for i in range(n)]\n"
                       f"keep = {function}(5000)\n"
                       f"print(ascii({function}.__code__.co_filename))\n".encode())
        done = harness.call(harness.COMMAND, "run", "-o", self.ledger, "--",
                            harness.PYTHON, os.fsdecode(program))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        expected = eval(done.stdout)
        table = harness.report(self.ledger, "--live", "--by", "function")
        names = {(row["file"], row["function"]): row["live_bytes"] for row in table["rows"]}
        near = [key for key in names if key[0] == expected]
        self.assertTrue(near, f"{expected!r} is not in the report")
        self.assertIn(function, {key[1].partition(".")[0] for key in near})
        self.assertGreater(sum(names[key] for key in near), 5_000_000)
        shown = subprocess.run([harness.COMMAND, "report", self.ledger, "--live"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout
        return shown

    def test_names_of_every_width_are_pythons_own(self):
        for name in "größe.py", "日本語.py", "\U0001f40d.py", "a b:c;d'e\"f\\g.py", "tab\there.py":
            with self.subTest(name):
                self.claim_named(name.encode())

    def test_a_name_that_is_not_utf8_is_pythons_own(self):
        for name in b"latin-\xe9.py", b"\xff\xfe.py", b"cut-\xe2\x82.py":
            with self.subTest(name):
                self.claim_named(name)

    def test_a_name_with_control_characters_does_not_reach_the_terminal(self):
        shown = self.claim_named(b"red-\x1b[31m-line\nbreak.py")
        self.assertNotIn(b"\x1b", shown)
        self.assertNotIn(b"line\nbreak", shown)

    def test_functions_may_have_any_name(self):
        for function in "größe", "関数", "\U00010400":
            with self.subTest(function):
                self.claim_named(b"plain.py", function)

    def test_a_program_in_a_folder_with_spaces_and_colons(self):
        folder = self.dir / "a b:c d"
        folder.mkdir()
        program, ledger = folder / "my program.py", folder / "the ledger: one.hg"
        program.write_text(WORK)
        self.same_command(harness.PYTHON, program, ledger=ledger, cwd=folder)
        self.watched(ledger)
        rows = harness.report(ledger, "--live")["rows"]
        self.assertIn(str(program), {row["file"] for row in rows})

    def test_a_library_in_a_folder_with_spaces_and_colons(self):
        for name in "with space", "with:colon", "both : of them", "größe \U0001f40d", "$ORIGIN":
            with self.subTest(name):
                command = self.copy_of_the_build(name)
                program = self.write("import subprocess, sys\n" + WORK +
                                     "print(subprocess.run([sys.executable, '-c', 'print(2)']))\n")
                plain = harness.call(harness.PYTHON, program)
                ours = harness.call(command, "run", "-o", self.ledger, "--", harness.PYTHON,
                                    program)
                self.claim_same(plain, ours)
                self.watched()

    def test_a_library_reached_by_a_link_with_a_relative_name(self):
        self.copy_of_the_build("real")
        (self.dir / "heapglass").symlink_to("real/heapglass")
        done = harness.call("./heapglass", "run", "-o", "here.hg", "--", harness.PYTHON, "-c",
                            WORK, cwd=self.dir)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "kept 5000\n", ""))
        self.watched(self.dir / "here.hg")

    def test_another_preloaded_library_stays_in_use(self):
        source, other = self.dir / "other.c", self.dir / "other one.so"
        source.write_text("int getpid(void) { return 4242; }\n")
        plain_name = self.dir / "other.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", plain_name, source], check=True)
        for separator in "", ":", " ":
            with self.subTest(separator):
                value = str(plain_name) + (separator + "libm.so.6" if separator else "")
                ours = self.same("import os\nprint(os.getpid())\n" + WORK,
                                 env=dict(os.environ, LD_PRELOAD=value))
                self.assertTrue(ours.stdout.startswith("4242\n"))
                self.watched()

    def test_an_empty_preload_variable_is_no_harm(self):
        self.same(WORK, env=dict(os.environ, LD_PRELOAD=""))
        self.watched()

    def test_a_ledger_named_relatively_lies_where_the_command_was_given(self):
        program = self.write("import os\nos.chdir('/')\n" + WORK)
        done = harness.heapglass("run", "-o", "there.hg", "--", harness.PYTHON, program,
                                 cwd=self.dir)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.watched(self.dir / "there.hg")

    def test_a_program_named_relatively_keeps_its_source_lines(self):
        (self.dir / "sub").mkdir()
        self.write("import os\nos.chdir('/')\nkeep = ['x' * 999 for n in range(5000)]\n",
                   "sub/one.py")
        done = harness.heapglass("run", "-o", "there.hg", "--", harness.PYTHON, "sub/one.py",
                                 cwd=self.dir)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        shown = harness.heapglass("report", self.dir / "there.hg", "--live", cwd="/").stdout
        self.assertIn("keep = ['x' * 999 for n in range(5000)]", shown)

    def test_a_file_name_of_the_greatest_length(self):
        self.claim_named(b"n" * 252 + b".py")

    def test_a_path_near_the_greatest_length(self):
        deep = self.dir
        while len(str(deep)) < 3700:
            deep = deep / ("d" * 200)
        deep.mkdir(parents=True)
        (deep / "p.py").write_text(WORK)
        self.same_command(harness.PYTHON, deep / "p.py")
        self.watched()
        rows = harness.report(self.ledger, "--live")["rows"]
        self.assertIn(str(deep / "p.py"), {row["file"] for row in rows})


class Ways(Same):
    """All the ways to name a program."""

    def run_on_path(self, *words, **settings):
        """heapglass run, with a folder in front of PATH whose python3 is the one under test."""
        folder = self.dir / "path"
        folder.mkdir(exist_ok=True)
        for name in "python3", "python":
            if not (folder / name).exists():
                (folder / name).write_text(f'#!/bin/sh\nexec {harness.PYTHON} "$@"\n')
                (folder / name).chmod(0o755)
        environment = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}")
        settings.setdefault("cwd", self.dir)
        return harness.heapglass("run", "-o", self.ledger, *words, env=environment, **settings)

    def claim_worked(self, done, out="kept 5000\n"):
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, out, ""))
        self.watched()

    def test_a_python_file_by_itself(self):
        self.write(WORK, "app.py")
        self.claim_worked(self.run_on_path("app.py"))
        self.claim_worked(self.run_on_path("--", "app.py"))
        self.claim_worked(self.run_on_path(self.dir / "app.py"))

    def test_a_python_file_has_its_arguments(self):
        self.write("import sys\nprint(sys.argv[1:])\n" + WORK, "app.py")
        self.claim_worked(self.run_on_path("app.py", "-o", "x", "--lines", "--", "-m"),
                          "['-o', 'x', '--lines', '--', '-m']\nkept 5000\n")

    def test_a_module(self):
        (self.dir / "package").mkdir()
        self.write("import sys\nprint(sys.argv[1:], __name__)\n" + WORK, "package/__main__.py")
        self.claim_worked(self.run_on_path("-m", "package", "-x", "--help"),
                          "['-x', '--help'] __main__\nkept 5000\n")
        self.claim_worked(self.run_on_path("--", "-m", "package", "-o"),
                          "['-o'] __main__\nkept 5000\n")

    def test_code(self):
        self.claim_worked(self.run_on_path("-c", WORK))

    def test_an_interpreter_by_name_is_that_of_the_path(self):
        done = self.run_on_path("--", "python3", "-c", "import sys; print(sys.executable)\n" + WORK)
        self.claim_worked(done, f"{harness.PYTHON}\nkept 5000\n")

    def test_a_folder_and_a_zip_with_a_main(self):
        (self.dir / "app").mkdir()
        self.write(WORK, "app/__main__.py")
        zipapp.create_archive(self.dir / "app", self.dir / "app.pyz",
                              interpreter=harness.PYTHON)
        self.same_command(harness.PYTHON, self.dir / "app")
        self.watched()
        self.same_command(harness.PYTHON, self.dir / "app.pyz")
        self.watched()
        self.same_command(self.dir / "app.pyz")
        self.watched()

    def test_a_script_that_names_its_interpreter(self):
        name = Path(harness.PYTHON).name
        folder = Path(harness.PYTHON).parent
        for first in f"#!{harness.PYTHON}", f"#!{harness.PYTHON} -I", f"#!/usr/bin/env {name}":
            with self.subTest(first):
                script = self.write(f"{first}\nimport sys\nprint(sys.argv, sys.flags)\n" + WORK,
                                    "tool")
                script.chmod(0o755)
                self.same_command(script, "x", "-y",
                                  env=dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}"))
                self.watched()

    def test_a_shell_script_that_execs_a_python_leaves_one_ledger(self):
        script = self.write(f"#!/bin/sh\nexec {harness.PYTHON} -c '{WORK.replace(chr(39), chr(34))}'"
                            "\n", "tool.sh")
        script.chmod(0o755)
        self.same_command(script)
        self.watched()
        self.assertEqual(sorted(p.name for p in self.dir.iterdir()), ["program.hg", "tool.sh"])

    def test_a_shell_that_starts_a_python_has_its_accounts(self):
        self.same_command("/bin/sh", "-c", f"{harness.PYTHON} -c \"$1\"; echo and $?", "sh", WORK)
        ledgers = list(self.dir.glob("program.hg*"))
        self.assertEqual(len(ledgers), 1, ledgers)
        done = harness.heapglass("report", ledgers[0], "--json", "--live")
        self.assertGreater(json.loads(done.stdout)["totals"]["live_bytes"], 5_000_000)

    def test_a_virtual_environment(self):
        subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", self.dir / "v env"],
                       check=True)
        python = self.dir / "v env/bin/python"
        self.same_command(python, "-c",
                          "import sys; print(sys.prefix, sys.base_prefix, sys.path, "
                          "sys.executable)\n" + WORK)
        self.watched()

    def test_a_file_is_run_by_the_active_virtual_environment(self):
        subprocess.run([harness.PYTHON, "-m", "venv", "--without-pip", self.dir / "venv"],
                       check=True)
        app = self.write("import sys\nprint(sys.prefix)\n" + WORK, "app.py")
        done = harness.heapglass("run", "-o", self.ledger, app, env=dict(
            os.environ, PATH=f"{self.dir}/venv/bin:{os.environ['PATH']}"))
        self.claim_worked(done, f"{self.dir}/venv\nkept 5000\n")

    def test_pyenvs_shim(self):
        shim = Path.home() / ".pyenv/shims/python3"
        folder = Path(harness.PYTHON).resolve().parents[1]
        if not shim.exists() or folder.parent.name != "versions":
            self.skipTest("this interpreter is not pyenv's")
        done = self.same_command(shim, "-c", "import sys; print(sys.executable)\n" + WORK,
                                 env=dict(os.environ, PYENV_VERSION=folder.name))
        self.assertIn(str(folder), done.stdout)
        self.watched()
        self.assertEqual([p.name for p in self.dir.glob("program.hg*")], ["program.hg"])

    def test_a_program_that_is_no_python_runs_too(self):
        self.same_command("/bin/echo", "a", "b c")
        self.same_command("/bin/sh", "-c", "echo $0 $1; exit 9", "x", "y", status=9)


class Limits(Same):
    """Resources that the program, or who starts it, has limited."""

    FILL = ("keep = []\n"
            "try:\n"
            "    while len(keep) < 1_000_000: keep.append(bytes(1000))\n"
            "except MemoryError:\n"
            "    count = len(keep); keep.clear()\n"
            "print('survived', file=__import__('sys').stderr)\n"
            "print(count)\n")

    def test_little_address_space_from_the_start(self):
        for kib, share in (400_000, 0.75), (200_000, 0.7), (100_000, 0.6):
            with self.subTest(kib):
                plain, ours = self.both(
                    harness.PYTHON, self.write(self.FILL),
                    preexec_fn=limit(resource.RLIMIT_AS, kib << 10))
                self.assertEqual((ours.returncode, ours.stderr), (0, plain.stderr))
                self.assertGreater(int(ours.stdout), share * int(plain.stdout))

    def test_address_space_limited_by_the_program_itself(self):
        plain, ours = self.both(harness.PYTHON, self.write(
            WORK.replace("keep", "held") + "import resource\n"
            "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
            "resource.setrlimit(resource.RLIMIT_AS, (now + (100 << 20), -1))\n"
            + self.FILL))
        self.assertEqual((ours.returncode, ours.stderr), (0, plain.stderr))
        found = [int(done.stdout.splitlines()[-1]) for done in (plain, ours)]
        self.assertGreater(found[1], 0.85 * found[0])
        self.watched(least=4_000_000)

    def test_address_space_limited_to_what_there_is(self):
        plain, ours = self.both(harness.PYTHON, self.write(
            WORK + "import resource\n"
            "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, -1))\n"
            "print('small', [str(n) for n in range(20)][-1])\n"
            "for size in 10_000_000, 100_000_000:\n"
            "    try:\n        bytes(size); print('granted')\n"
            "    except MemoryError:\n        print('refused')\n"
            "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
            "again = [bytes(1000) for n in range(20000)]\n"
            "print(len(again))\n"))
        self.claim_same(plain, ours)
        self.assertEqual(ours.returncode, 0)
        self.watched(least=20_000_000)

    def test_little_data_from_the_start(self):
        for kib in 400_000, 100_000:
            with self.subTest(kib):
                plain, ours = self.both(
                    harness.PYTHON, self.write(self.FILL),
                    preexec_fn=limit(resource.RLIMIT_DATA, kib << 10))
                self.assertEqual((ours.returncode, ours.stderr), (0, plain.stderr))
                self.assertGreater(int(ours.stdout), 0.6 * int(plain.stdout))

    def test_a_thread_that_runs_out_of_memory_does_not_hurt_the_others(self):
        self.same("import resource, threading\n"
                  "threading.stack_size(1 << 20)\n"
                  "now = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
                  "resource.setrlimit(resource.RLIMIT_AS, (now + (150 << 20), -1))\n"
                  "refused, ready = [], threading.Barrier(3)\n"
                  "def fill():\n"
                  "    keep = []\n    ready.wait()\n"
                  "    try:\n        while True: keep.append(bytes(5000))\n"
                  "    except MemoryError:\n        keep = None\n        refused.append(1)\n"
                  "threads = [threading.Thread(target=fill) for n in range(3)]\n"
                  "for thread in threads: thread.start()\n"
                  "for thread in threads: thread.join()\n"
                  "print(len(refused))\n",
                  env=dict(os.environ, MALLOC_ARENA_MAX="1"))

    def test_no_file_may_grow_from_the_start(self):
        for size in 0, 512, 100 << 10:
            with self.subTest(size):
                plain, ours = self.both(harness.PYTHON, self.write(WORK),
                                        preexec_fn=limit(resource.RLIMIT_FSIZE, size))
                self.assertEqual((ours.returncode, ours.stdout), (0, plain.stdout))
                self.assertRegex(ours.stderr, r"\Aheapglass: [^\n]*: runs unwatched, [^\n]*\n\Z")
                self.assertFalse(self.ledger.exists())

    def test_file_size_limited_by_the_program_itself(self):
        self.same("import resource\n" + WORK +
                  "for size in 100_000, 0:\n"
                  "    resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))\n"
                  "    more = [[bytes(500) for n in range(1000)] for m in range(100)]\n"
                  "    for n in range(2000): exec(f'def f{n}(): return [bytes({n})]\\nf{n}()')\n"
                  "    try:\n"
                  "        with open('out', 'wb', buffering=0) as file:\n"
                  "            print(file.write(b'x' * 200_000))\n"
                  "    except OSError as error:\n        print(error)\n")
        self.watched(least=50_000_000)

    def test_few_descriptors(self):
        for count in 5, 8:
            with self.subTest(count):
                self.same(WORK + "import os\nprint(os.open('/dev/null', 0))\n",
                          preexec_fn=limit(resource.RLIMIT_NOFILE, count))
                self.watched()

    def test_no_descriptor_left(self):
        self.same("import os\n"
                  "taken = []\n"
                  "try:\n    while True: taken.append(os.open('/dev/null', 0))\n"
                  "except OSError as error:\n    print(error, taken[-1])\n" + WORK +
                  "for n in range(2000): exec(f'def f{n}(): return [bytes({n})]\\nf{n}()')\n",
                  preexec_fn=limit(resource.RLIMIT_NOFILE, 64))
        self.watched()

    def test_no_locked_memory(self):
        self.same(WORK, preexec_fn=limit(resource.RLIMIT_MEMLOCK, 0))
        self.watched()

    def test_everything_locked(self):
        self.same("import ctypes\nprint(ctypes.CDLL(None).mlockall(3))\n" + WORK)
        self.watched()

    def test_a_small_stack(self):
        self.same(WORK, preexec_fn=limit(resource.RLIMIT_STACK, 256 << 10))
        self.watched()

    def test_no_stack_limit(self):
        self.same(WORK, preexec_fn=limit(resource.RLIMIT_STACK, hard(resource.RLIMIT_STACK)))
        self.watched()

    @unittest.skipUnless(ROOT, "needs root, to become somebody without processes")
    def test_no_further_process(self):
        def prepare():
            # The limit counts all processes of a user: let it be one who has none.
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY - 1)
        for_everybody(self)
        self.same("import os, threading\n" + WORK +
                  "for start in os.fork, threading.Thread(target=print).start:\n"
                  "    try:\n        start()\n"
                  "    except (OSError, RuntimeError) as error:\n        print(error)\n",
                  preexec_fn=prepare)
        self.watched()

    def test_processor_time_runs_out_as_before(self):
        self.same("while True: keep = [bytes(99) for n in range(999)]\n",
                  preexec_fn=limit(resource.RLIMIT_CPU, 1, 5), status=-signal.SIGXCPU)
        self.live()


class Families(Same):
    """Children, of every making."""

    def child(self, text="[bytes(1000) for n in range(20_000)]"):
        """Statements for a child: allocate, say so, and end without cleaning up."""
        return (f"    more = {text}\n    print('child', len(more), flush=True)\n"
                "    os._exit(3)\n")

    WAIT = "print('ended', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)\n"

    def test_a_fork_that_nobody_was_told_of(self):
        self.same("import ctypes, os\n" + WORK + "import sys\nsys.stdout.flush()\n"
                  "pid = ctypes.PyDLL(None)._Fork()\n"
                  "if pid == 0:\n" + self.child() + self.WAIT)
        table = harness.report(self.ledger, "--live", "--no-children")
        self.assertGreater(table["totals"]["live_bytes"], 5_000_000)
        self.assertLess(table["totals"]["live_bytes"], 15_000_000)  # nothing of the child's

    def test_a_raw_clone_that_nobody_was_told_of(self):
        self.same("import ctypes, os, signal\n" + WORK + "import sys\nsys.stdout.flush()\n"
                  "pid = ctypes.PyDLL(None).syscall(56, int(signal.SIGCHLD), 0, 0, 0, 0)\n"
                  "if pid == 0:\n" + self.child() + self.WAIT)
        table = harness.report(self.ledger, "--live", "--no-children")
        self.assertGreater(table["totals"]["live_bytes"], 5_000_000)
        self.assertLess(table["totals"]["live_bytes"], 15_000_000)

    def test_a_forked_child_that_executes_something(self):
        self.same("import os, sys\n" + WORK + "sys.stdout.flush()\n"
                  "pid = os.fork()\n"
                  "if pid == 0: os.execv(sys.executable, [sys.executable, '-c', 'print(5)'])\n"
                  + self.WAIT)
        self.watched()

    def test_spawned_children(self):
        self.same("import os, subprocess, sys\n" + WORK + "sys.stdout.flush()\n"
                  "words = [sys.executable, '-c', 'import os; print(5, len(os.environ) > 0)']\n"
                  "pid = os.posix_spawn(words[0], words, os.environ)\n" + self.WAIT +
                  "print(subprocess.run(words, stdout=-1).stdout)\n"
                  "print(subprocess.run(words, stdout=-1, close_fds=False).stdout)\n"
                  "print(subprocess.run(words, stdout=-1, preexec_fn=os.getpid).stdout)\n"
                  "print(subprocess.run(words, stdout=-1, env={}).stdout)\n"
                  "print(subprocess.run('echo $((1+1))', stdout=-1, shell=True).stdout)\n"
                  "print(os.system('exit 3'), os.popen('echo x').read())\n")
        self.watched()

    def test_a_vforked_child_that_fails_to_execute(self):
        self.same("import subprocess\n" + WORK +
                  "for name in '/no/such', '/dev/null', '/':\n"
                  "    try:\n        subprocess.run([name])\n"
                  "    except OSError as error:\n        print(error)\n" + WORK)
        self.watched()

    def test_multiprocessing(self):
        for method in "fork", "spawn", "forkserver":
            with self.subTest(method):
                self.same("import multiprocessing, sys\n"
                          "def work(n): return len([bytes(1000) for i in range(n)])\n"
                          "if __name__ == '__main__':\n"
                          f"    multiprocessing.set_start_method('{method}')\n"
                          "    with multiprocessing.Pool(2) as pool:\n"
                          "        print(pool.map(work, range(100, 120)))\n"
                          f"    keep = work(5000)\n")

    def test_a_threaded_program_that_forks(self):
        self.same("import os, threading, warnings\n"
                  "warnings.simplefilter('ignore')\n"
                  "stop = threading.Event()\n"
                  "def churn():\n"
                  "    while not stop.is_set(): keep = [bytes(n) for n in range(2000)]\n"
                  "threads = [threading.Thread(target=churn) for n in range(3)]\n"
                  "for thread in threads: thread.start()\n"
                  "for n in range(10):\n"
                  "    pid = os.fork()\n"
                  "    if pid == 0:\n"
                  "        keep = [bytes(size) for size in range(3000)]\n"
                  "        os._exit(n)\n"
                  "    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
                  "stop.set()\n"
                  "for thread in threads: thread.join()\n" + WORK)
        self.watched()

    def test_a_daemon_outlives_its_parent(self):
        self.same("import os, sys\n" + WORK + "sys.stdout.flush()\n"
                  "read, write = os.pipe()\n"
                  "if os.fork() == 0:\n"
                  "    os.setsid()\n"
                  "    if os.fork() == 0:\n"
                  "        os.chdir('/'); os.closerange(5, 99)\n"
                  "        more = [bytes(1000) for n in range(3000)]\n"
                  "        os.write(write, b'daemon')\n"
                  "    os._exit(0)\n"
                  "os.close(write)\nos.wait()\nprint(os.read(read, 99))\n")
        self.watched()

    def test_a_program_that_replaces_itself(self):
        self.same("import os, sys\n" + WORK + "sys.stdout.flush()\n"
                  "if len(sys.argv) < 4:\n"
                  "    os.execv(sys.executable, [sys.executable, *sys.argv, 'again'])\n"
                  "print(len(sys.argv))\n")
        self.watched()
        self.assertEqual(len(list(self.dir.glob("program.hg*"))), 4)

    def test_a_program_that_fails_to_replace_itself_goes_on(self):
        self.same("import os\n" + WORK +
                  "for name in '/no/such', '/dev/null':\n"
                  "    try:\n        os.execv(name, ['x'])\n"
                  "    except OSError as error:\n        print(error)\n"
                  "more = [bytes(1000) for n in range(5000)]\n")
        self.watched(least=10_000_000)

    def test_a_child_with_no_place_for_its_ledger_is_not_hurt(self):
        program = ("import os, sys\n" + WORK + "sys.stdout.flush()\n"
                   "os.rename('there', 'gone')\n"
                   "pid = os.fork()\n"
                   "if pid == 0:\n" + self.child() + self.WAIT)
        (self.dir / "there").mkdir()
        plain = harness.call(harness.PYTHON, self.write(program), cwd=self.dir)
        (self.dir / "gone").rename(self.dir / "there")
        ours = harness.heapglass("run", "-o", "there/a.hg", "--", harness.PYTHON,
                                 self.dir / "program.py", cwd=self.dir)
        self.assertEqual((ours.returncode, ours.stdout), (plain.returncode, plain.stdout))
        self.assertLessEqual(len(ours.stderr.splitlines()), 1)
        self.watched(self.dir / "gone/a.hg")


class Places(Same):
    """Where the ledger lies when nobody said, and what may happen to it there."""

    def anywhere(self, program, *, env=None, before=(), **settings):
        """Run without -o; (the plain CompletedProcess, ours)."""
        environment = dict(os.environ, **(env or {}))
        plain = harness.call(harness.PYTHON, program, env=environment, **settings)
        ours = harness.call(*before, harness.COMMAND, "run", "--", harness.PYTHON, program,
                            env=environment, **settings)
        return plain, ours

    def test_a_home_that_is_not_there(self):
        plain, ours = self.anywhere(self.write(WORK), env={
            "HOME": "/no/such/home", "XDG_RUNTIME_DIR": "/no/such/run",
            "HEAPGLASS_DIR": str(self.dir / "ledgers")})
        self.claim_same(plain, ours)
        found = [path for path in (self.dir / "ledgers").rglob("*") if path.is_file()]
        self.assertEqual(len(found), 1, found)
        self.watched(found[0])

    def test_folder_and_ledger_are_for_the_owner_alone(self):
        self.anywhere(self.write(WORK), env={"HEAPGLASS_DIR": str(self.dir / "ledgers")},
                      umask=0)
        self.assertEqual((self.dir / "ledgers").stat().st_mode & 0o7777, 0o700)
        for path in (self.dir / "ledgers").iterdir():
            self.assertEqual(path.stat().st_mode & 0o7777, 0o600)

    def test_a_folder_that_cannot_be_made_is_told(self):
        for place in "/proc/nowhere", "/dev/null/x", str(self.write("", "file")):
            with self.subTest(place):
                plain, ours = self.anywhere(self.write(WORK), env={"HEAPGLASS_DIR": place})
                self.assertEqual(len(ours.stderr.splitlines()), 1, ours.stderr)
                self.assertIn("heapglass: ", ours.stderr)
                self.assertIn(place, ours.stderr)
                if ours.returncode != 125:
                    self.assertEqual((ours.returncode, ours.stdout), (0, plain.stdout))

    def shared_memory(self, mount):
        """Run WORK where /dev/shm was treated by the shell command `mount`."""
        if not namespaces():
            self.skipTest("needs root, to mount a file system")
        script = (f"{mount} && unset HEAPGLASS_DIR XDG_RUNTIME_DIR && {harness.COMMAND} run -- "
                  f"{harness.PYTHON} {self.write(WORK)}; echo $?; {harness.COMMAND} report")
        return harness.call("unshare", "-m", "--propagation", "private", "sh", "-c", script,
                            env=dict(os.environ, TMPDIR=str(self.dir), HOME=str(self.dir)))

    def claim_watched_here(self, done):
        self.assertEqual(done.stdout.splitlines()[:2], ["kept 5000", "0"], done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertIn("MiB in", done.stdout)

    def test_no_shared_memory_at_all(self):
        self.claim_watched_here(self.shared_memory(
            "mkdir -p /dev/shm && mount -t tmpfs x /dev && mknod /dev/null c 1 3 && "
            "mknod /dev/urandom c 1 9"))

    def test_shared_memory_that_may_only_be_read(self):
        self.claim_watched_here(self.shared_memory("mount -t tmpfs -o ro x /dev/shm"))

    def test_shared_memory_of_a_container(self):
        self.claim_watched_here(self.shared_memory("mount -t tmpfs -o size=64m x /dev/shm"))

    def test_shared_memory_that_is_full(self):
        done = self.shared_memory("mount -t tmpfs -o size=64k x /dev/shm && "
                                  "head -c 65536 /dev/zero > /dev/shm/full")
        lines = done.stdout.splitlines()
        self.assertIn(lines[:2], (["kept 5000", "0"], ["125"]))
        self.assertIn("heapglass: /dev/shm/", done.stderr)

    def test_a_program_that_deletes_its_ledger(self):
        self.same("import glob, os\n" + WORK +
                  "for name in glob.glob('program.hg*'): os.unlink(name)\n"
                  "more = [bytes(1000) for n in range(20000)]\n"
                  "for n in range(2000): exec(f'def f{n}(): return [bytes({n})]\\nf{n}()')\n"
                  "pid = os.fork()\n"
                  "if pid == 0: os._exit(4)\n"
                  "print(os.wait()[1])\n")

    def test_a_program_that_moves_its_ledger(self):
        self.same("import os\n" + WORK +
                  "if os.path.exists('program.hg'): os.rename('program.hg', 'moved.hg')\n")
        self.watched(self.dir / "moved.hg")

    def test_two_programs_may_not_share_a_ledger(self):
        first = subprocess.Popen(
            [harness.COMMAND, "run", "-o", self.ledger, "--", harness.PYTHON, "-c",
             WORK + "import sys\nsys.stdout.flush()\nsys.stdin.read()\n" + WORK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(first.stdout.close)
        self.addCleanup(first.stderr.close)
        self.assertEqual(first.stdout.readline(), "kept 5000\n")
        second = harness.heapglass("run", "-o", self.ledger, "--", harness.PYTHON, "-c", WORK)
        out, err = first.communicate("", timeout=harness.TIMEOUT)
        self.assertEqual((first.returncode, out, err), (0, "kept 5000\n", ""))
        # Either the second was refused in one line, or it has a ledger and the first none.
        if second.returncode:
            self.assertEqual(len(second.stderr.splitlines()), 1, second.stderr)
            self.assertEqual(second.returncode, 125)
        else:
            self.assertEqual(second.stdout, "kept 5000\n")
        self.watched()


class Rights(Same):
    """Programs that give up rights."""

    @unittest.skipUnless(ROOT, "needs root, to become somebody else")
    def test_a_program_that_becomes_nobody(self):
        self.same("import os\n"
                  f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
                  "print(os.getresuid(), os.getresgid())\n" + WORK +
                  "for n in range(2000): exec(f'def f{n}(): return [bytes({n})]\\nf{n}()')\n"
                  "try:\n    os.listdir('/root')\nexcept OSError as error:\n    print(error)\n"
                  "pid = os.fork()\n"
                  "if pid == 0:\n"
                  "    more = [bytes(1000) for n in range(5000)]\n    os._exit(4)\n"
                  "print(os.wait()[1])\n")
        self.watched()

    @unittest.skipUnless(ROOT, "needs root, to become somebody else")
    def test_nobody_may_use_it(self):
        for_everybody(self)
        self.same("import os\nprint(os.getuid())\n" + WORK, preexec_fn=nobody,
                  env=dict(os.environ, HOME="/nonexistent"))
        self.assertEqual(self.ledger.stat().st_uid, NOBODY)
        self.watched()

    @unittest.skipUnless(ROOT, "needs root, to change the root folder")
    def test_a_program_that_changes_its_root(self):
        (self.dir / "jail").mkdir()
        self.same("import os\nos.chroot('jail'); os.chdir('/')\n"
                  "print(os.listdir('/'))\n" + WORK +
                  "for n in range(2000): exec(f'def f{n}(): return [bytes({n})]\\nf{n}()')\n")
        self.watched()

    @unittest.skipUnless(ROOT, "needs root, to change the root folder")
    def test_a_child_in_another_root_is_not_hurt(self):
        (self.dir / "jail").mkdir()
        plain, ours = self.both(harness.PYTHON, self.write(
            "import os, sys\n" + WORK + "sys.stdout.flush()\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    os.chroot('jail')\n"
            "    more = [bytes(1000) for n in range(5000)]\n"
            "    print('child', len(more), flush=True)\n    os._exit(4)\n"
            "print(os.wait()[1])\n"))
        self.assertEqual((ours.returncode, ours.stdout), (plain.returncode, plain.stdout))
        self.assertLessEqual(len(ours.stderr.splitlines()), 1, ours.stderr)
        self.watched()

    def test_a_program_without_new_rights(self):
        self.same("import ctypes\nprint(ctypes.CDLL(None).prctl(38, 1, 0, 0, 0))\n" + WORK)
        self.watched()

    def test_a_program_that_may_not_be_dumped(self):
        self.same("import ctypes\nprint(ctypes.CDLL(None).prctl(4, 0, 0, 0, 0))\n" + WORK)
        self.watched()


if __name__ == "__main__":
    unittest.main()
