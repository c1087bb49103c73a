# SPDX-License-Identifier: MIT
"""Build something big and drop it, again and again: a dict of numbers, a list of strings."""
import sys


def work(rounds):
    size = 0
    for number in range(rounds):
        table = {key: key * 3 + number for key in range(100_000, 220_000)}
        size += len(table)
        table = None
        words = ["word %d" % (n + number) for n in range(80_000)]
        size += len(",".join(words))
    return size


print(work(int(sys.argv[1])))
