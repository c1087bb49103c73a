# SPDX-License-Identifier: MIT
"""Small objects that come and go: tuples, lists, dicts, sets, some kept for long.

churn.py ROUNDS KEPT
"""
import sys


def work(rounds, size):
    kept = [None] * size
    seed = 1
    for i in range(rounds):
        pair = (i, seed)
        row = [pair, i, None]
        row.append(pair)
        record = {"id": i, "row": row, "name": str(seed)}
        tags = {i & 7, seed & 31}
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        kept[seed % size] = (record, tags) if i & 1 else row
    return sum(item is not None for item in kept), seed


print(work(int(sys.argv[1]), int(sys.argv[2])))
