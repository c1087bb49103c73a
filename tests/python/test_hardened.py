# SPDX-License-Identifier: MIT
"""heapglass run --hardened[=frees]: misuse of memory is found and named; all else is as it was."""
import harness

MISUSE = """
import ctypes

api = ctypes.pythonapi
take, give = api.PyMem_Malloc, api.PyMem_Free
libc = ctypes.CDLL(None)
for function in take, libc.malloc:
    function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
for function in give, libc.free:
    function.restype, function.argtypes = None, [ctypes.c_void_p]


def ask(bytes, function=take):
    return function(bytes)  # line 14


resize = api.PyMem_Realloc
resize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def main():
    TEXT


main()
"""
LINE = 14

# What is done, what is said of it, and for how many bytes.
CASES = [
    ("p = ask(21); ctypes.memset(p + 21, 0, 1); give(p)",
     "bytes behind a block were written to", 21),
    ("p = ask(1001); ctypes.memset(p + 1001, 65, 1); give(p)",
     "bytes behind a block were written to", 1001),
    ("p = ask(100001); ctypes.memset(p + 100001, 65, 1); give(p)",
     "bytes behind a block were written to", 100001),
    ("p = ask(1000001); ctypes.memset(p + 1000001, 65, 1); give(p)",
     "bytes behind a block were written to", 1000001),
    ("p = ask(100); give(p); give(p)", "a block was freed twice", 100),
    ("p = ask(100); give(p + 16)", "freed inside of a block, not at its start", 100),
    ("p = ask(100); give(p); ctypes.memset(p + 40, 65, 2)\n"
     "    for q in [ask(100) for i in range(9000)]: give(q)\n"
     "    for q in [ask(100) for i in range(9000)]: give(q)",
     "a freed block was written to", 100),
    ("p = ask(77, libc.malloc); ctypes.memset(p + 77, 65, 1); libc.free(p)",
     "bytes behind a block were written to", 77),
    ("p = ask(77, libc.malloc); libc.free(p); libc.free(p)", "a block was freed twice", 77),
]


class Misuse(harness.Case):
    def says(self, text, *options):
        run = self.watch(MISUSE.replace("TEXT", text), "--hardened", *options, status=-6)
        return run.program, run.process.stderr

    def test_each_kind_is_found_and_its_line_is_named(self):
        for text, what, bytes in CASES:
            with self.subTest(text):
                program, said = self.says(text)
                first, *rest = said.splitlines()
                self.assertEqual(first, f"heapglass: the heap is corrupt: {what}")
                self.assertRegex(rest[0], rf"^  block +0x[0-9a-f]+, {bytes} bytes asked for, ")
                owner = [i for i, line in enumerate(rest) if line.startswith("  allocated ")]
                stack = [line[14:] for line in rest[owner[0]:]]
                self.assertEqual(stack[0], f"{program}:{LINE} in ask")
                self.assertEqual(stack[1].rpartition(" in ")[2], "main")
                self.assertEqual(stack[-1].rpartition(" in ")[2], "<module>")

    def test_what_was_written_is_shown(self):
        said = self.says("p = ask(21); ctypes.memset(p + 23, 65, 3); give(p)")[1]
        self.assertIn("\n  written     offset 23: 41 41 41\n  noticed     when it was freed\n",
                      said)

    def test_by_line_the_line_is_all_that_is_known(self):
        program, said = self.says(CASES[0][0], "--lines")
        self.assertIn(f"\n  allocated   {program}:{LINE} in ask\n", said)

    def test_without_accounts_it_is_found_too(self):
        for text, what, _ in CASES:
            with self.subTest(text):
                said = self.says(text, "--untraced")[1]
                self.assertIn(f"heapglass: the heap is corrupt: {what}\n", said)
                self.assertIn("no accounts are kept of it\n", said)

    def test_a_check_of_the_heap_finds_what_was_not_freed_yet(self):
        text = ("keep = ask(21); ctypes.memset(keep + 21, 65, 1)\n"
                "    more = [bytearray(i) for i in range(20000)]")
        said = self.says(text, "--check-every", "20")[1]
        self.assertIn("\n  noticed     when the heap was checked\n", said)

    def test_the_end_finds_what_was_never_freed_or_is_in_quarantine(self):
        for text, what in ("keep = ask(100); ctypes.memset(keep + 100, 65, 1)",
                           "bytes behind a block were written to"), \
                ("p = ask(100); give(p); ctypes.memset(p + 40, 65, 2)",
                 "a freed block was written to"):
            for options in [], ["--lines"], ["--untraced"]:
                with self.subTest(text, options=options):
                    program, said = self.says(text, *options)
                    self.assertIn(f"heapglass: the heap is corrupt: {what}\n", said)
                    if options != ["--untraced"]:
                        self.assertIn(f"\n  allocated   {program}:{LINE} in ask\n", said)

    def test_without_the_option_nobody_looks(self):
        self.watch(MISUSE.replace("TEXT", CASES[0][0]))


# The same where frees alone are checked.
FREES = [
    ("p = ask(100); give(p); give(p)", "a block was freed twice"),
    ("p = ask(100); q = ask(100); ask(100); give(p); give(q); give(p)",
     "a block was freed twice"),
    ("p = ask(100); give(p + 16)", "freed inside of a block, not at its start"),
    ("p = ask(100); give(p + 1)", "freed inside of a block, not at its start"),
    ("p = ask(4000); ask(4000); give(p); give(p)", "a block was freed twice"),
    ("p = ask(100); give(p); resize(p, 101)", "a freed block was resized"),
    ("p = ask(100); give(p); resize(p, 1000)", "a freed block was resized"),
    ("p = ask(77, libc.malloc); libc.free(p); libc.free(p)", "a block was freed twice"),
    ("p = ask(77, libc.malloc); libc.free(p + 16)", "freed inside of a block"),
    ("p = ask(100001); give(p); give(p)", "a block was freed twice"),
    ("p = ask(100001); give(p + 16)", "freed inside of a block, not at its start"),
    ("p = ask(100001); give(p + 65536)", "freed inside of a block, not at its start"),
]
OTHERS = [
    ("p = ask(1000001); give(p); give(p)", "did not return, or what was freed before"),
    ("p = ask(100001); resize(p + 65536, 10)", "no live block"),
    ("give(ctypes.addressof(ctypes.c_int.in_dll(api, 'Py_VerboseFlag')) & -16)",
     "did not return"),
]


class Frees(harness.Case):
    def says(self, text, *options):
        run = self.watch(MISUSE.replace("TEXT", text), "--hardened=frees", *options, status=-6)
        return run.program, run.process.stderr

    def test_each_wrong_free_is_stopped_and_its_line_is_named(self):
        for text, what in FREES:
            with self.subTest(text):
                program, said = self.says(text)
                first, *rest = said.splitlines()
                self.assertTrue(first.startswith(f"heapglass: the heap is corrupt: {what}"), said)
                owner = [line for line in rest if line.startswith("  allocated ")]
                self.assertEqual(owner, [f"  allocated   {program}:{LINE} in ask"])

    def test_so_it_is_by_line_and_without_accounts(self):
        for text, what in FREES:
            for options in ["--lines", "--no-recycled"], ["--untraced"]:
                with self.subTest(text, options=options):
                    self.assertIn(f"heapglass: the heap is corrupt: {what}",
                                  self.says(text, *options)[1])

    def test_what_is_no_block_of_a_pool_is_stopped(self):
        for text, what in OTHERS:
            for options in [], ["--untraced"]:
                with self.subTest(text, options=options):
                    self.assertRegex(self.says(text, *options)[1], rf"\Aheapglass: .*{what}")

    def test_nobody_looks_behind_blocks(self):
        self.watch(MISUSE.replace("TEXT", CASES[0][0]), "--hardened=frees")


BUSY = """
import collections, gc, json, os, re, threading, weakref

def work(n):
    made = collections.defaultdict(list)
    for i in range(n):
        made[i % 97].append({"name": "x" * (i % 300), "at": i, "sub": [i] * (i % 9)})
        if i % 7 == 0:
            made.pop(i % 89, None)
    text = json.dumps(made)
    words = re.findall(r"x+", text)
    return len(text), len(words), sum(map(len, json.loads(text).values()))

class Node:
    def __init__(self, other):
        self.other, self.me = other, self

def cycles(n):
    node = None
    for i in range(n):
        node = Node(node if i % 50 else None)
    seen = weakref.ref(node)
    del node
    gc.collect()
    return seen() is None

threads = [threading.Thread(target=work, args=(3000,)) for _ in range(4)]
for thread in threads: thread.start()
print(work(20000), cycles(20000))
for thread in threads: thread.join()
child = os.fork()
if child == 0:
    print(work(2000), flush=True)
    os._exit(0)
os.waitpid(child, 0)
big = bytearray()
for i in range(200):
    big += bytes(i * 100)
print(len(big))
"""


class Unchanged(harness.Case):
    def test_a_program_does_what_it_does(self):
        plain = self.plain(BUSY).stdout
        for options in ["--hardened"], ["--hardened", "--untraced"], \
                ["--hardened", "--lines", "--no-recycled"], \
                ["--hardened", "--check-every", "100"], ["--hardened=frees"], \
                ["--hardened=frees", "--untraced"], \
                ["--hardened=frees", "--lines", "--no-recycled"]:
            with self.subTest(options):
                run = self.watch(BUSY, *options)
                self.assertEqual((run.process.stdout, run.process.stderr), (plain, ""))

    def test_the_accounts_are_the_same(self):
        text = "keep = [bytes(100 + i % 50) for i in range(1000)]\ngone = [[] for i in range(99)]\n" \
               "del gone\n"
        lines = [self.watch(text, *options).line(1, "--live")
                 for options in ([], ["--hardened"], ["--hardened=frees"])]
        self.assertEqual(lines[0], lines[1])
        self.assertEqual(lines[0], lines[2])
        self.assertEqual(lines[0]["live_blocks"], 1002)

    def test_others_see_what_is_free(self):
        run = self.watch("""
import os, subprocess, sys
keep = [bytes(1000) for i in range(4000)]
more = [bytes(1000) for i in range(4000)]
del more
print(subprocess.run([sys.argv[1], "map", str(os.getpid()), "--json"], stdout=subprocess.PIPE,
                     text=True, check=True).stdout)
""", "--hardened", "--no-children", args=(harness.COMMAND,))
        self.assertIn('"live', run.process.stdout)
