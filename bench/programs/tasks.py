# SPDX-License-Identifier: MIT
"""Coroutines and generators: a small pipeline of asyncio tasks over queues."""
import asyncio
import sys


def numbers(start, count):
    for i in range(start, start + count):
        yield i, "n%d" % i


async def fetch(i):
    if i % 16 == 0:
        await asyncio.sleep(0)
    return {"id": i, "data": [i] * 4}


async def stage(source, target):
    while (item := await source.get()) is not None:
        answers = [await fetch(i) for i, _ in item]
        await target.put([(a["id"], sum(a["data"])) for a in answers])
    await source.put(None)
    await target.put(None)


async def work(rounds):
    source, target = asyncio.Queue(8), asyncio.Queue(8)
    stages = [asyncio.create_task(stage(source, target)) for _ in range(4)]

    async def feed():
        for i in range(rounds):
            await source.put(list(numbers(i * 50, 50)))
        await source.put(None)

    feeder = asyncio.create_task(feed())
    total = open_stages = len(stages)
    while open_stages:
        item = await target.get()
        if item is None:
            open_stages -= 1
        else:
            total += sum(value for _, value in item)
    await asyncio.gather(feeder, *stages)
    return total


print(asyncio.run(work(int(sys.argv[1]))))
