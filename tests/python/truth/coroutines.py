# SPDX-License-Identifier: MIT
"""Coroutines, tasks, asynchronous generators and contexts."""
import asyncio
kept = []
async def leaf(n):
    held = [n] * n
    await asyncio.sleep(0)
    kept.append((n, float(n)))
    return held
async def branch(n):
    first = await leaf(n)
    second = [await leaf(i)
              for i in range(n)]
    return first, second
async def counted(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield [i, str(i + 1000)]
class Context:
    async def __aenter__(self):
        self.data = {"held": [1, 2]}
        return self
    async def __aexit__(self, *args):
        self.seen = args
async def main():
    got = [await branch(n) for n in range(10)]
    async for one in counted(50):
        got.append(one)
    async with Context() as context:
        got.append(context)
    for made in branch, leaf:
        tasks = [asyncio.create_task(made(n)) for n in range(10)]
        for task in tasks[:3]:
            task.cancel()
        # On one line: see test_truth.py about iterators of futures.
        got.append(await asyncio.gather(*tasks, return_exceptions=True))
    return got
results = asyncio.run(main())
generators = [leaf(n) for n in range(30)]
for one in generators[10:]:
    one.send(None)
for one in generators[:10]:
    one.close()
def plain():
    received = []
    while True:
        received.append((yield received[-1:]))
senders = [plain() for n in range(20)]
answers = [(next(one), one.send([1.5])) for one in senders]
