# SPDX-License-Identifier: MIT
"""Instances with and without slots, data classes, classes made at run time."""
class Plain:
    def __init__(self, a, b):
        self.a = a
        self.b = [b]
class Slots:
    __slots__ = ("x", "y")
    def __init__(self, x):
        self.x = x
        self.y = (x,
                  float(x))
class Late:
    pass
plain = [Plain(i, i) for i in range(300)]
slots = [Slots(i) for i in range(300)]
late = []
for i in range(300):
    one = Late()
    one.first = i
    one.second = float(i)
    setattr(one, "n%d" % (i % 40), i)
    late.append(one)
for one in late[:100]:
    one.__dict__["more"] = 1
    del one.first
import dataclasses, enum
@dataclasses.dataclass
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list)
points = [Point(i) for i in range(200)]
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
from typing import NamedTuple
class Pair(NamedTuple):
    a: int
    b: float
pairs = [Pair(i, float(i)) for i in range(200)]
bound = [p.__init__ for p in plain[:100]]
class Prop:
    def __init__(self): self._v = 1.5
    @property
    def v(self):
        return [self._v * 3]
props = [Prop().v for i in range(50)]
made = [type("Made%d" % i, (Plain,), {"attr": i, "method": lambda self: i}) for i in range(20)]
objects = [cls(1, 2) for cls in made]
