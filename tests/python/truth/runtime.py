# SPDX-License-Identifier: MIT
"""Code made at run time, JSON, pickles, copies, weak references, libraries in C."""
import json
doc = json.dumps([{"id": i, "name": "n%d" % i, "tags": [str(i)] * 3, "x": i / 7}
                  for i in range(200)])
parsed = json.loads(doc)
again = [json.loads('{"a": [1, 2, 3.5], "b": {"c": null}}') for i in range(50)]
pretty = json.dumps(parsed, indent=1)
codes = [compile("x = [%d]\ny = x\ndef f(a): return a + 1\n" % i, "<made%d>" % i, "exec")
         for i in range(30)]
spaces = []
for code in codes:
    space = {}
    exec(code, space)
    spaces.append(space)
values = [eval("[%d, 'a%d']" % (i, i)) for i in range(50)]
import pickle
blob = pickle.dumps(parsed)
unpickled = pickle.loads(blob)
import copy
deep = copy.deepcopy(parsed[:50])
import weakref
class Node:
    pass
nodes = [Node() for i in range(100)]
refs = [weakref.ref(n) for n in nodes]
table = weakref.WeakValueDictionary((i, n) for i, n in enumerate(nodes))
weak = weakref.WeakKeyDictionary((n, [i]) for i, n in enumerate(nodes))
for n in nodes:
    n.self = n
del nodes[:50], n
import gc
gc.collect()
import decimal, fractions, datetime
decimals = [decimal.Decimal(i) / 7 for i in range(100)]
fracs = [fractions.Fraction(i, 7) for i in range(50)]
dates = [datetime.datetime(2020, 1, 1 + i % 28, i % 24) for i in range(100)]
import collections
deque = collections.deque()
for i in range(500):
    deque.append(float(i))
for i in range(300):
    deque.popleft()
import heapq
heap = []
for i in range(200):
    heapq.heappush(heap, (i * 7 % 50, i))
import struct
packed = [struct.pack("<qd", i, 1.5) for i in range(50)]
import xml.etree.ElementTree as ET
root = ET.Element("root")
for i in range(100):
    child = ET.SubElement(root, "child", id=str(i))
    child.text = "text %d" % i
xml = ET.tostring(root)
tree = ET.fromstring(xml)
import sqlite3
import zlib, hashlib
small = zlib.compress(doc.encode())
digest = [hashlib.sha256(b"x" * i).hexdigest() for i in range(20)]
import ctypes
bufs = [ctypes.create_string_buffer(i * 100) for i in range(30)]
import threading
locks = [threading.Lock() for i in range(50)]
local = threading.local()
local.x = [1, 2]
match [1, {"a": (2, 3)}]:
    case [x, {"a": y, **rest}]:
        matched = [x, y, rest]
