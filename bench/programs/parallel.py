# SPDX-License-Identifier: MIT
"""One interpreter with its own lock in a thread, then two at a time: the least times of each.

Arguments: rounds of work, and how often all is done.
"""
import json
import sys
import threading
import time

try:
    import _interpreters as interpreters
    run = interpreters.exec
except ImportError:  # 3.12
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string

WORK = """
def leaf(n):
    return {"n": n, "text": str(n), "list": [n, n + 0.5, (n, n)]}

def tree(n):
    return [leaf(i) for i in range(n)]

def work(rounds):
    for _ in range(rounds):
        kept = tree(2000)
        total = sum(len(item["text"]) for item in kept)
        words = "".join(item["text"] for item in kept).split("1")
    return total, len(words)
"""


def measure(ids, rounds):
    """(seconds, CPU seconds of the threads) of so many rounds in each of them."""
    ready = threading.Barrier(len(ids) + 1)
    cpu = []

    def serve(one):
        ready.wait()
        begin = time.thread_time()
        run(one, f"work({rounds})")
        cpu.append(time.thread_time() - begin)

    threads = [threading.Thread(target=serve, args=[one]) for one in ids]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin, sum(cpu)


def main(rounds, times):
    ids = [interpreters.create() for _ in range(2)]
    for one in ids:
        run(one, WORK)
        run(one, "work(2)")
    taken = {1: [], 2: []}
    for _ in range(times):
        for count in taken:
            taken[count].append(measure(ids[:count], rounds))
    for one in ids:
        interpreters.destroy(one)
    print(json.dumps({count: [min(kind) for kind in zip(*pairs)]
                      for count, pairs in taken.items()}))


main(*map(int, sys.argv[1:]))
