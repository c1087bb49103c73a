# SPDX-License-Identifier: MIT
"""Lists, tuples, sets: grown, shrunk, sorted, copied, dropped."""
keep = [None] * 1000
grown = []
for i in range(1000):
    grown.append(i)
nested = [[j for j in range(i)] for i in range(50)]
grown.sort(key=lambda x: -x)
copy = grown[10:500]
copy += [1000 + i for i in range(300)]
copy.extend(range(5000, 5300))
del copy[5:200]
tuples = [(i, i + 1000) for i in range(500)]
tmp = None
for i in range(300):
    tmp = (i, i)
    tuples.append((i, tmp))
sets = [{i, i + 1} for i in range(100)]
frozen = [frozenset(range(i)) for i in range(40)]
inserted = []
for i in range(100):
    inserted.insert(0, float(i))
empties = [[] for i in range(100)]
one = [[i] for i in range(100)]
