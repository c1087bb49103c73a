# SPDX-License-Identifier: MIT
"""Cyclic garbage of several kinds, dropped before one collection.

Without an argument it is collected. With "lines" or "types", what the interpreter itself says
of the collection is printed, as JSON: lines by tracemalloc, types by gc.DEBUG_SAVEALL. With
"nothing", nothing is made.
"""
import collections
import gc
import json
import sys
import weakref


class Pair:
    __slots__ = ("other", "load", "__weakref__")


class Tree:
    def __init__(self, parent):
        self.parent = parent
        self.children = set()
        self.load = bytes(700)


class Last:
    __slots__ = ("me", "load")

    def __del__(self):
        kept.append(len([bytes(n) for n in range(100, 200)]))
        self.load = None


kept, dead = [], []


def pairs(count):
    for number in range(count):
        one = Pair()
        two = Pair()
        one.other, two.other = two, one
        one.load = bytes(3000 + number)
        dead.append(weakref.ref(one, lambda _: bytearray(500)))


def add(root):
    leaf = Tree(root)
    root.children.add(leaf)


def trees(count):
    for _ in range(count):
        root = Tree(None)
        add(root)
        add(root)
        add(root)


def queues(count):
    for _ in range(count):
        queue = collections.deque()
        queue.append(queue)


def last_ones(count):
    for _ in range(count):
        last = Last()
        last.me = last
        last.load = bytearray(2000)


def build():
    pairs(200)
    trees(50)
    queues(70)
    last_ones(20)


def lines(snapshot):
    return {stat.traceback[0].lineno: (stat.size, stat.count)
            for stat in snapshot.filter_traces([tracemalloc.Filter(True, __file__)])
                                .statistics("lineno")}


gc.collect()
gc.disable()
if len(sys.argv) == 1:
    build()
    print(gc.collect())
elif sys.argv[1] == "nothing":
    print(gc.collect())
elif sys.argv[1] == "types":
    build()
    gc.set_debug(gc.DEBUG_SAVEALL)
    found = gc.collect()
    types = collections.Counter(type(one).__name__ for one in gc.garbage)
    gc.set_debug(0)
    print(json.dumps({"found": found, "types": types}))
else:
    import tracemalloc
    tracemalloc.start()
    build()
    before = lines(tracemalloc.take_snapshot())
    gc.collect()
    after = lines(tracemalloc.take_snapshot())
    print(json.dumps({line: [before[line][i] - after.get(line, (0, 0))[i] for i in (0, 1)]
                      for line in before if before[line] != after.get(line)}))
