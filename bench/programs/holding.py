# SPDX-License-Identifier: MIT
"""Hold more than a million blocks, the trees of the standard library; wait for two lines."""
import ast
import os
import sys


def trees(names):
    folder = os.path.dirname(os.__file__)
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            yield ast.parse(file.read())


names = sorted(name for name in os.listdir(os.path.dirname(os.__file__)) if name.endswith(".py"))
kept = [list(trees(names[:int(sys.argv[1])]))]
print("ready", flush=True)
sys.stdin.readline()
kept.append(list(trees(names[:4])))
print("more", flush=True)
sys.stdin.readline()
