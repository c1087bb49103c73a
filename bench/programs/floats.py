# SPDX-License-Identifier: MIT
"""Floats and attributes: particles under gravity, with vectors that are objects."""
import sys


class Vector:
    def __init__(self, x, y, z):
        self.x = x
        self.y = y
        self.z = z

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def __mul__(self, factor):
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    @property
    def norm2(self):
        return self.x * self.x + self.y * self.y + self.z * self.z


class Body:
    def __init__(self, i):
        self.place = Vector(i * 1.5, i * -0.5 + 10, i * 0.25)
        self.speed = Vector(0.0, i * 0.01, -0.02 * i)
        self.mass = 1.0 + i % 7

    def step(self, others, dt):
        pull = Vector(0.0, 0.0, 0.0)
        for other in others:
            way = other.place - self.place
            pull = pull + way * (other.mass / (way.norm2 + 0.5) ** 1.5)
        self.speed = self.speed + pull * dt
        self.place = self.place + self.speed * dt


def work(rounds):
    bodies = [Body(i) for i in range(24)]
    for _ in range(rounds):
        for body in bodies:
            body.step([other for other in bodies if other is not body], 0.01)
    return round(sum(body.mass * body.speed.norm2 for body in bodies) / 2, 9)


print(work(int(sys.argv[1])))
