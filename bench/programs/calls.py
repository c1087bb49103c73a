# SPDX-License-Identifier: MIT
"""Empty Python calls, which allocate nothing: what does being watched add to one?"""
import itertools
import sys


def nothing():
    pass


def work(rounds):
    for _ in itertools.repeat(None, rounds):  # which hands out no new numbers
        nothing(); nothing(); nothing(); nothing(); nothing()  # noqa: E702
        nothing(); nothing(); nothing(); nothing(); nothing()  # noqa: E702


work(int(sys.argv[1]))
print("done")
