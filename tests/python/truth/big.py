# SPDX-License-Identifier: MIT
"""Large and huge blocks, and buffers that grow and shrink."""
buffers = [bytes(1 << i) for i in range(8, 23)]
arrays = [bytearray(100000 * i) for i in range(10)]
grow = bytearray()
for i in range(2000):
    grow += b"x" * 1000
shrink = bytearray(5000000)
del shrink[1000:]
lists = [[None] * (1 << i) for i in range(5, 20)]
text = "x"
while len(text) < 1000000:
    text += text
big_dict = dict.fromkeys(range(100000))
big_set = set(range(100000))
edges = [bytes(n) for s in range(9, 22) for n in range((1 << s) - 40, (1 << s) + 8)]
long = []
for i in range(200000):
    long.append(i)
while len(long) > 10:
    long.pop()
import array
a = array.array("b", bytes(3000000))
for n in (10, 100, 1000, 10000, 100000):
    a.extend(a[:n])
