# SPDX-License-Identifier: MIT
"""CPython's free lists are off: every birth is a malloc, every death a free, and nobody notices.

Builds recycle_preload.c with the module under test and preloads it into HG_TEST_PYTHON, so what
is counted does not depend on the rest of Heapglass. HG_RECYCLE_PRELOAD names one built before.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness

ROOT = Path(__file__).resolve().parents[2]
ADAPT = ROOT / "src/adapt/cpython"
KNOWN = {(3, 11): 28, (3, 12): 28, (3, 13): 28, (3, 14): 39, (3, 15): 41}  # lists

ALL_OFF = b"free lists off (%d of %d)" % ((KNOWN.get(harness.version(), 0),) * 2)

# What a program under test has at hand: measure(f) tells how many blocks of each size f asks
# for and gives back, {(domain, size): (born, died)}, beside a loop that does nothing.
PRELUDE = """
import ctypes, gc, sys
lib = ctypes.PyDLL(None)
lib.recycle_how.restype = ctypes.c_char_p
lib.recycle_took_ns.restype = lib.recycle_leaked.restype = ctypes.c_long
lib.heir_of.argtypes, lib.heir_of.restype = [ctypes.c_void_p], ctypes.py_object
N = 1000

def count(f):
    f(); f()
    lib.counts_mark(0)
    f()
    lib.counts_mark(1)
    found = {}
    for domain, name in enumerate(["OBJ", "MEM"]):
        for size in range(1, 1024):
            pair = lib.counts_between(domain, 0, size), lib.counts_between(domain, 1, size)
            if any(pair):
                found[name, size] = pair
    return found

def nothing():
    for i in range(N): pass

def measure(f):
    idle, busy = count(nothing), count(f)
    for key, (born, died) in idle.items():
        pair = busy.get(key, (0, 0))
        busy[key] = pair[0] - born, pair[1] - died
    return {key: pair for key, pair in busy.items() if max(pair) > N // 2}

def loop(statement, setup=""):
    space = {"N": N, "x": 1.5}
    exec(setup, space)
    exec("def f():\\n for i in range(N):\\n  " + statement.replace("; ", "\\n  "), space)
    return space["f"]
"""


def build(folder):
    """The preload library, built from the sources as they are now."""
    compiler = shutil.which(os.environ.get("CC", "cc").split()[0])
    if compiler is None:
        raise unittest.SkipTest("no C compiler")
    library = folder / "recycle_preload.so"
    sources = [*sorted(ADAPT.glob("recycle*.c")), ROOT / "src/base/panic.c",
               Path(__file__).with_name("recycle_preload.c")]
    subprocess.run([compiler, "-std=c17", "-D_GNU_SOURCE", "-DHG_CHECK=1", "-O2", "-g", "-fPIC",
                    "-shared", "-fvisibility=hidden", "-fno-strict-aliasing",
                    "-I", ROOT / "src", "-I", ROOT / "include", "-o", library, *sources, "-ldl", "-Wl,-z,nodelete"],
                   check=True)
    return library


class Case(harness.Case):
    @classmethod
    def setUpClass(cls):
        if harness.version() not in KNOWN:
            raise unittest.SkipTest("no table of the free lists of this version")
        folder = tempfile.TemporaryDirectory(prefix="heapglass-recycle-")
        cls.addClassCleanup(folder.cleanup)
        given = os.environ.get("HG_RECYCLE_PRELOAD")
        cls.library = Path(given) if given else build(Path(folder.name))

    def call(self, *command, mode="off", **options):
        env = dict(os.environ, LD_PRELOAD=str(self.library), HG_RECYCLE=mode)
        return harness.call(*command, env=env, cwd=self.dir, **options)

    def run_program(self, text, mode="off"):
        """What the program prints; it must end well and have nothing to complain of."""
        done = self.call(harness.PYTHON, self.write(PRELUDE + text), mode=mode)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def ask(self, expression, mode="off"):
        return eval(self.run_program(f"print(({expression}))\n", mode))


class Lists(Case):
    def test_all_are_off(self):
        self.assertEqual(self.ask("lib.recycle_how(), lib.recycle_watched()"),
                         (ALL_OFF, 1))

    def test_it_takes_less_than_3_ms(self):
        self.assertLess(min(self.ask("lib.recycle_took_ns()") for i in range(3)), 3e6)

    def test_nothing_is_left_behind(self):
        self.assertEqual(self.ask("lib.recycle_leaked()", mode="again"), 0)

    def test_on_again_they_recycle(self):
        self.assertEqual(self.ask("measure(loop('y = x * 3.0; z = [x, x]; d = {}'))",
                                  mode="undone"),
                         self.ask("measure(loop('y = x * 3.0; z = [x, x]; d = {}'))", mode="on"))

    def test_on_and_off_again_they_do_not(self):
        self.assertEqual(self.ask("measure(loop('y = x * 3.0'))", mode="again"),
                         {("OBJ", 24): (1000, 1000)})

    def test_no_object_of_ours_is_left(self):
        # Twice: whether a tuple is tracked depends on what the collector has seen of it.
        names = "gc.collect(), gc.collect(), sorted(type(o).__name__ for o in gc.get_objects())"
        self.assertEqual(self.ask(names)[2], self.ask(names, mode="on")[2])
        self.assertEqual(self.ask("gc.callbacks"), [])

    def test_no_collection_is_run(self):
        self.assertEqual(self.ask("[g['collections'] for g in gc.get_stats()][1:]"),
                         self.ask("[g['collections'] for g in gc.get_stats()][1:]", mode="on"))


class EachIsHeard(Case):
    def check(self, statement, expected, setup=""):
        self.assertEqual(self.ask(f"measure(loop({statement!r}, {setup!r}))"), expected)

    def pair(self):
        """The size of a tuple of two."""
        return 16 + self.ask("(1, 2).__sizeof__()")

    def test_floats(self):
        self.check("y = x * 3.0", {("OBJ", 24): (1000, 1000)})

    def test_tuples_of_each_length(self):
        head = 16 + self.ask("().__sizeof__()")
        for length in range(1, 22):
            with self.subTest(length=length):
                self.check(f"y = ({'x, ' * length})",
                           {("OBJ", head + 8 * length): (1000, 1000)})

    def test_lists(self):
        self.check("y = []", {("OBJ", 56): (1000, 1000)})

    def test_lists_with_items(self):
        self.check("y = [x, x, x]", {("OBJ", 56): (1000, 1000), ("MEM", 24): (1000, 1000)})

    def test_dicts(self):
        self.check("y = {}", {("OBJ", 64): (1000, 1000)})

    def keys_domain(self):
        return "MEM" if harness.version() >= (3, 13) else "OBJ"

    def test_dicts_with_keys(self):
        self.check("y = {'a': 1}",
                   {("OBJ", 64): (1000, 1000), (self.keys_domain(), 120): (1000, 1000)})

    def test_dicts_that_grow(self):
        self.check("y = {'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1}; y['f'] = 1",
                   {("OBJ", 64): (1000, 1000), (self.keys_domain(), 120): (1000, 1000),
                    (self.keys_domain(), 208): (1000, 1000)})

    def test_slices(self):
        one = ("OBJ", self.pair() - 8)  # its arguments
        self.check("y = slice(1)", {one: (1000, 1000), ("OBJ", 56): (1000, 1000)}
                   if one != ("OBJ", 56) else {one: (2000, 2000)})

    def test_what_only_3_14_recycles(self):
        for statement, setup in [("y = n + i", "n = 100000"), ("y = iter(n)", "n = []"),
                                 ("y = iter(n)", "n = ()"), ("y = range(3)", ""),
                                 ("y = iter(n)", "n = range(3)"), ("y = n.append", "n = []"),
                                 ("y = n.f", "class C:\n def f(self): pass\nn = C()")]:
            with self.subTest(statement=statement, setup=setup):
                found = self.ask(f"measure(loop({statement!r}, {setup!r}))")
                self.assertEqual(list(found.values()), [(1000, 1000)], found)

    def test_contexts(self):
        self.check("y = Context()", {("OBJ", 64): (1000, 1000)},
                   "from contextvars import Context")

    def test_helpers_of_asynchronous_generators(self):
        setup = """
async def numbers():
    for i in range(N): yield None
async def sum():
    async for i in numbers(): pass
def all():
    try: sum().send(None)
    except StopIteration: pass
"""
        found = self.ask(f"measure(loop('if i == 0: all()', {setup!r}))")
        self.assertGreaterEqual(min(found["OBJ", 40]), 1000)  # the values
        self.assertGreaterEqual(min(found["OBJ", 56]), 1000)  # the awaitables
        self.assertEqual(self.ask("lib.recycle_how()"), ALL_OFF)

    def test_after_a_full_collection(self):
        for action in ["gc.collect()", "gc.collect(); gc.collect()", "gc.freeze(); gc.collect()",
                       "keep = [[i] for i in range(300000)]"]:
            with self.subTest(action=action):
                found = self.run_program(f"""
f, g = loop('y = x * 3.0'), loop('y = (x, x)')
f(), g()
{action}
text = [str(i) for i in range(1000)]
print(measure(f), measure(g))
""")
                self.assertEqual(found, "{('OBJ', 24): (1000, 1000)} {('OBJ', %d): "
                                        "(1000, 1000)}\n" % self.pair())

    def test_right_after_a_full_collection(self):
        """Not one float is recycled, though the collector has just switched the list on."""
        if harness.version() == (3, 13):
            self.skipTest("there it takes an allocation")
        found = self.run_program("""
y = x = 1.5
def f():
    global y
    gc.collect()
    lib.counts_mark(0)
    for i in range(N): y = x * 3.0; y = x * 2.0
    lib.counts_mark(1)
f(); f()
print(lib.counts_between(0, 0, 24))
""")
        self.assertEqual(found, "2000\n")

    def test_in_a_collection(self):
        """What finalizers make while the collector runs is heard, too."""
        found = self.run_program("""
def finalizer(self): f()
f = loop('y = x * 3.0; z = (x, x)')
A = type('A', (), {'__del__': finalizer})
def cycle():
    a = A(); a.a = a; del a
    gc.collect()
print(measure(cycle))
""")
        found = eval(found)
        self.assertEqual(found["OBJ", 24], (1000, 1000))
        self.assertGreaterEqual(min(found["OBJ", self.pair()]), 1000)


class Nobody(Case):
    """... notices."""

    def test_deep_nesting_dies_without_a_deep_stack(self):
        for wrap in ["[x]", "(x,)", "{'a': x}", "{1: x}", "[({'a': x},)]", "D(a=x)", "L([x])"]:
            with self.subTest(wrap=wrap):
                self.run_program(f"""
class D(dict): pass
class L(list): pass
x = None
for i in range(1000000): x = {wrap}
del x
""")

    def test_heirs_of_the_slot_die_without_a_deep_stack(self):
        """Static types that took our function over from list or dict."""
        for base, wrap in [("list", "heir([x])"), ("dict", "heir(a=x)")]:
            with self.subTest(base=base):
                self.run_program(f"""
heir = lib.heir_of(id({base}))
x = None
for i in range(200000): x = {wrap}
del x
""", mode="off")

    def test_watchers_see_a_dict_die_and_may_keep_it(self):
        if harness.version() < (3, 12):
            self.skipTest("dicts have no watchers")
        self.run_program("""
DIED = 5
kept = []
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)
def watch(event, d, key, value):
    if event == DIED:
        assert type(d) is dict
        if len(kept) < 100: kept.append(d)
    return 0
api = ctypes.pythonapi
watcher = api.PyDict_AddWatcher(watch)
for i in range(300):
    d = {'a': i, 'b': [i]}
    api.PyDict_Watch(watcher, ctypes.py_object(d))
    del d
assert [d['a'] for d in kept] == list(range(100))
for d in kept:
    assert type(d) is dict and gc.is_tracked(d)
    api.PyDict_Unwatch(watcher, ctypes.py_object(d))
kept.clear(); del d
gc.collect()
""")

    def test_finalizers_may_do_anything_while_lists_die(self):
        self.run_program("""
import random
class Busy:
    def __del__(self):
        a = [1.5 * 2, (1, 2), {'a': [1]}, slice(1, 2)]
        b = {str(i): i for i in range(random.randrange(12))}
        if random.random() < .1: gc.collect()
        if random.random() < .2: kept.append(self)
        raise KeyError('of no consequence')
sys.unraisablehook = lambda *args: None
kept = []
random.seed(1)
for i in range(3000):
    x = [Busy(), {'a': Busy(), 1: (Busy(),)}, slice(Busy(), [Busy()])]
    y = {i: {'x': x}}
    y['y'] = y
    if len(kept) > 100: del kept[:]
gc.collect()
kept.clear()
""")

    def test_tables_that_were_asked_for_by_somebody_else(self):
        """Up to 3.12 the list of tables looks full for a moment; dicts may be born in it."""
        self.run_program("""
dicts, texts, n = [{} for i in range(400)], [], 159  # such a string has the size of a table
for i in range(300):
    some = dicts[:i % 150]
    a, b, c, rest = iter(some), iter(some), iter(some), iter(dicts[i % 150:])
    texts.append('x' * n)
    for d in a: d['a'] = 1
    for d in b: d.clear()
    for d in c: d['b'] = d
    texts.append('y' * n)
    for d in rest: d['z'] = 1
    for d in some: assert list(d) == ['b'], d
    texts.append('z' * n)
    for d in dicts: d.clear()
    if i % 50 == 0: gc.collect()
""")

    def test_threads(self):
        self.run_program("""
import threading
def work():
    for i in range(20000):
        d = {'a': (i, 1.5 * i), 'b': [i, slice(i)]}
        for k in 'cdefgh': d[k] = k
        if i % 4000 == 0: gc.collect()
threads = [threading.Thread(target=work) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
""")

    def test_fork(self):
        self.run_program("""
import os
pid = os.fork()
x = [[i, {'a': i}, (i, 1.5 * i)] for i in range(1000)]
gc.collect()
if pid: assert os.waitpid(pid, 0)[1] == 0
""")

    def test_the_end_without_recycle_on(self):
        self.run_program("x = [[i, {'a': i}, (i, 1.5 * i)] for i in range(1000)]\n"
                         "gc.collect()\nx = sys.modules['x'] = x\n", mode="forgotten")

    def test_tracemalloc(self):
        found = self.run_program("""
import tracemalloc
tracemalloc.start()
x = [(i, i * 1.5, [i], {'a': i}) for i in range(1000)]
gc.collect()
d = {'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1}; d['f'] = 1
assert tracemalloc.get_traced_memory()[0] > 300000
tracemalloc.stop()
print(measure(loop('y = x * 3.0')))
""")
        self.assertEqual(found, "{('OBJ', 24): (1000, 1000)}\n")

    def test_subinterpreters(self):
        module = {11: "_xxsubinterpreters", 12: "_xxsubinterpreters"}.get(
            harness.version()[1], "_interpreters")
        self.run_program(f"""
import {module} as subs, threading
code = '''if True:
    import gc
    for i in range(3000):
        d = {{"a": (i, 1.5 * i), "b": [i, slice(i)]}}
        for k in "cdefgh": d[k] = k
        if i % 1000 == 0: gc.collect()
'''
def work(sub):
    getattr(subs, 'run_string', getattr(subs, 'exec', None))(sub, code)
def here():
    f = loop('d = dict(a=i, b=slice(i)); d.update(c=1, d=2, e=3, f=4)')
    for i in range(10): f(); gc.collect()
made = [subs.create() for i in range(3)]
threads = [threading.Thread(target=work, args=[sub]) for sub in made]
threads.append(threading.Thread(target=here))
for t in threads: t.start()
for t in threads: t.join()
for sub in made: subs.destroy(sub)
print(measure(loop('y = x * 3.0')))
""")


class CPythonsOwnTests(Case):
    """Some of the interpreter's own tests, where it has them; HG_TEST_SLOW=1 for many."""

    FEW = ["test_list", "test_dict", "test_tuple", "test_float", "test_gc", "test_slice",
           "test_context", "test_asyncgen", "test_descr", "test_weakref", "test_set"]
    MANY = ["test_exceptions", "test_generators", "test_coroutines", "test_json", "test_copy",
            "test_deque", "test_itertools", "test_ordered_dict", "test_defaultdict",
            "test_functools", "test_collections", "test_dictviews", "test_userdict",
            "test_userlist", "test_module", "test_call", "test_builtin", "test_types",
            "test_class", "test_frame", "test_tracemalloc", "test_finalization", "test_atexit",
            "test_fork1", "test_threading", "test_faulthandler", "test_embed", "test_capi",
            "test_asyncio", "test_range", "test_structseq", "test_pickle", "test_marshal",
            "test_ast", "test_compile", "test_contextlib", "test_iter", "test_sort",
            "test_array", "test_memoryview", "test_ctypes", "test_decimal"]

    def outcomes(self, name, mode):
        done = self.call(harness.PYTHON, "-m", "test", "-v", name, mode=mode, timeout=1800)
        lines = (done.stdout + done.stderr).splitlines()
        said = [line for line in lines if line.endswith(("... ok", "... FAIL", "... ERROR"))]
        return done.returncode, sorted(said)

    def test_outcomes_are_the_same(self):
        if self.call(harness.PYTHON, "-c", "import test.test_list").returncode:
            self.skipTest("this interpreter came without its tests")
        slow = os.environ.get("HG_TEST_SLOW")
        for name in self.FEW + self.MANY if slow else self.FEW:
            with self.subTest(name=name):
                self.assertEqual(self.outcomes(name, "off"), self.outcomes(name, "on"))


if __name__ == "__main__":
    sys.exit(unittest.main())
