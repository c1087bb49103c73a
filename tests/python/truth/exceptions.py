# SPDX-License-Identifier: MIT
"""Exceptions, tracebacks, frames that outlive their calls."""
kept = []
def fail(n):
    local = [n] * 10
    if n:
        fail(n - 1)
    else:
        raise ValueError(
            "message",
            [n])
for i in range(30):
    try:
        fail(i)
    except ValueError as error:
        kept.append(error)
chained = []
for i in range(20):
    try:
        try:
            {}[i]
        except KeyError as error:
            raise RuntimeError(float(i)) from error
    except RuntimeError as error:
        chained.append(error)
def finally_(n):
    try:
        return [n]
    finally:
        kept.append((n, float(n)))
for i in range(20):
    finally_(i)
class Context:
    def __enter__(self):
        self.data = [1, 2]
        return self
    def __exit__(self, *args):
        self.seen = args
        return True
contexts = []
for i in range(20):
    with Context() as c:
        contexts.append(c)
        1 / 0
import traceback, sys
texts = [traceback.format_exception(e) for e in kept[:5] if isinstance(e, Exception)]
try:
    fail(90)
except ValueError:
    info = sys.exc_info()
frames = [sys._getframe() for i in range(10)]
notes = []
for i in range(10):
    e = Exception(i)
    e.add_note("note %d" % i)
    notes.append(e)
