# SPDX-License-Identifier: MIT
"""Small allocations under a stack of constant depth: deep.py ROUNDS DEPTH."""
import sys


def pair(i):
    return [i, (i, i + 1)]


def record(i):
    return {"id": i, "pair": pair(i)}


def bottom(rounds):
    kept = [None] * 4096
    for i in range(rounds):
        kept[i & 4095] = (record(i), [i])
    return sum(item is not None for item in kept)


def down(depth, rounds):
    if depth <= 0:
        return bottom(rounds)
    return down(depth - 1, rounds)


# module, down..., bottom, record and pair make DEPTH frames
print(down(int(sys.argv[2]) - 5, int(sys.argv[1])))
