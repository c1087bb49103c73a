# SPDX-License-Identifier: MIT
"""Generators, closures, coroutines, deep calls, and C functions that call back."""
def generator(n):
    held = [n]
    for i in range(n):
        yield (i, held,
               float(i))
gens = [generator(i) for i in range(100)]
started = [next(g) for g in gens[5:]]
finished = [list(g) for g in gens[50:60]]
def closure(n):
    cell = [n]
    other = {n: n}
    def inner(x):
        nonlocal other
        other = [x, cell]
        return other
    return inner
closures = [closure(i) for i in range(100)]
results = [c(float(n)) for n, c in enumerate(closures)]
lambdas = [lambda x=i: [x] for i in range(100)]
called = [f() for f in lambdas]
def deep(n):
    here = [n]
    if n:
        return here, deep(n - 1)
    return here
nested = deep(150)
def args(*a, **k):
    return a, k
packed = [args(i, i + 1, x=i) for i in range(100)]
import functools, itertools, sys
partials = [functools.partial(args, i, y=2) for i in range(100)]
called2 = [p(7) for p in partials]
mapped = list(map(lambda x: [x], range(100)))
filtered = list(filter(lambda x: (x, [x])[0] % 2, range(100)))
sorted_ = sorted(range(100), key=lambda x: [x])
cached = functools.lru_cache(None)(lambda x: [x] * 10)
for i in range(100):
    cached(i)
reduced = functools.reduce(lambda a, b: a + [b], range(50), [])
chain = list(itertools.chain.from_iterable([i] * 3 for i in range(100)))
product = list(itertools.product(range(10), repeat=2))
zipped = list(zip(range(300, 400), map(str, range(100))))
enumerated = list(enumerate(map(float, range(100))))
grouped = {k: list(v) for k, v in itertools.groupby(range(100), key=lambda x: x // 10)}
tee = itertools.tee(map(float, range(100)), 3)
list(tee[0])
if sys.version_info[:2] == (3, 12):
    del tee  # 3.12.1 crashes, all by itself, if one is there at its end
genexp = (x for x in [float(i) for i in range(10)])
first = next(genexp)
async def coro(x):
    hold = [x]
    return [hold, x]
coros = []
for i in range(50):
    c = coro(i)
    try:
        c.send(None)
    except StopIteration as stop:
        coros.append(stop.value)
def delegating(n):
    got = yield from generator(n)
    return got
delegated = [delegating(i) for i in range(5, 50)]
pulled = [next(d) for d in delegated]
