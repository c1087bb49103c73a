# SPDX-License-Identifier: MIT
"""3 million small objects, of which 95 % die: what RSS remains a second later?

release.py runs|random|none OBJECTS    prints RSS in KiB when built, and after the second
In "runs", 64 objects that were made one after the other live or die together.
"""
import random
import sys
import time


def rss_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def work(kind, count):
    sizes = [48, 100, 180, 240]
    objects = [bytes(sizes[i & 3]) for i in range(count)]
    built = rss_kib()
    draw = random.Random(5)
    if kind == "runs":
        for start in range(0, count, 64):
            if draw.random() >= 0.05:
                end = min(start + 64, count)
                objects[start:end] = [None] * (end - start)
    elif kind == "random":
        for i in range(count):
            if draw.random() >= 0.05:
                objects[i] = None
    time.sleep(1)
    return built, rss_kib()


print(*work(sys.argv[1], int(sys.argv[2])))
