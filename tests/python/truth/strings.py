# SPDX-License-Identifier: MIT
"""Text, bytes, buffers, arrays, integers: kept, grown, converted."""
numbers = [str(i) for i in range(1000)]
joined = ",".join(numbers)
parts = joined.split(",")
upper = [p * 3 for p in parts]
wide = ["\u4e16" * i for i in range(100)]
emoji = ["\U0001f600" + p for p in parts[:100]]
formatted = [f"{i:05d}-{i!r}" for i in range(200)]
grown = ""
for i in range(2000):
    grown += "x"
replaced = joined.replace("1", "one")
encoded = [p.encode() for p in parts]
raw = bytes(10000)
array = bytearray()
for i in range(5000):
    array.append(i & 255)
array2 = bytearray(100)
array2 += b"x" * 3000
del array2[:50]
views = [memoryview(raw)[i:] for i in range(50)]
bs = b""
for i in range(300):
    bs += b"yy"
import io
buffer = io.BytesIO()
for i in range(100):
    buffer.write(b"z" * 100)
text = io.StringIO()
for i in range(100):
    text.write("z" * 100)
value = text.getvalue()
import array as arraymodule
ints = arraymodule.array("q")
for i in range(1000):
    ints.append(i)
ints2 = arraymodule.array("d", range(1000))
interned = [__import__("sys").intern("name_%d" % i) for i in range(300)]
digits = [10 ** i for i in range(200)]
shifted = 1 << 100000
decoded = [e.decode() for e in encoded]
hexed = raw[:300].hex()
translated = joined.translate({49: "ONE"})
import re
found = re.findall(r"\d+", joined)
pattern = re.compile(r"(a|b)*c{3,5}(?P<name>x)")
matches = [pattern.search("abcccx") for i in range(50)]
utf8 = "\xe9" * 1000
utf8.encode()
hash_ = {utf8: 1}
zero = [b"" for i in range(10)]
