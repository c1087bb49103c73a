# SPDX-License-Identifier: MIT
"""Threads that hand work on: what one allocates another frees, and each keeps some."""
import queue
import sys
import threading

WORKERS = 3
STOP = object()


def produce(out, rounds):
    for i in range(rounds):
        out.put([{"id": i * 40 + n, "body": "message %d" % (i * 40 + n), "hops": [i, n]}
                 for n in range(40)])
    for _ in range(WORKERS):
        out.put(STOP)


def consume(source, sums, me):
    kept, total = {}, 0
    while True:
        batch = source.get()
        if batch is STOP:
            break
        for message in batch:
            words = message["body"].split()
            message["hops"].append((me, words[1]))
            total += int(words[1])
            if message["id"] % 8 == 0:
                kept[message["id"] % 4096] = message
    sums[me] = (total, len(kept) > 0)


def work(rounds):
    channel, sums = queue.Queue(maxsize=64), {}
    workers = [threading.Thread(target=consume, args=(channel, sums, n)) for n in range(WORKERS)]
    for worker in workers:
        worker.start()
    produce(channel, rounds)
    for worker in workers:
        worker.join()
    return sum(total for total, _ in sums.values()), len(sums)


print(work(int(sys.argv[1])))
