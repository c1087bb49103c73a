# SPDX-License-Identifier: MIT
"""Dicts of many kinds, and what is left of them."""
small = [{"a": i} for i in range(200)]
empty = [{} for i in range(200)]
big = {}
for i in range(3000):
    big[i] = i * 2
for i in range(2500):
    del big[i]
copy = dict(big)
merged = {**copy, "x": 1}
merged |= {str(i): i for i in range(100)}
text = {f"key{i}": [i] for i in range(500)}
views = [d.items() for d in small]
popped = [text.pop(f"key{i}") for i in range(100)]
import collections
counted = collections.Counter(i % 37 for i in range(1000))
default = collections.defaultdict(list)
for i in range(300):
    default[i % 31].append(float(i))
ordered = collections.OrderedDict((i, i) for i in range(100))
set_default = {}
for i in range(100):
    set_default.setdefault(i, []).append(i)
class D(dict):
    pass
subclass = [D(a=i) for i in range(50)]
for d in small:
    d["b"] = 1
    d["c"] = 2
    d["d"] = 3
    d["e"] = 4
    d["f"] = 5
    d["g"] = 6
