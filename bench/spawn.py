# SPDX-License-Identifier: MIT
"""python3 -I -S spawn.py COMMAND...: run it; its own output last, "status user sys maxrss wall".

A program inherits the peak RSS of the process that forks it. So the fork is left to this,
which imports nothing and is smaller than any Python program that is measured.
"""
import posix
import sys
import time

read, write = posix.pipe()  # the program's output, of which only the end is kept
start = time.perf_counter()
pid = posix.fork()
if pid == 0:
    posix.dup2(write, 1)
    posix.close(read)
    posix.close(write)
    try:
        posix.execv(sys.argv[1], sys.argv[1:])
    except OSError as error:
        posix.write(2, f"{sys.argv[1]}: {error}\n".encode())
    posix._exit(127)
posix.close(write)
tail = b""
while True:
    part = posix.read(read, 65536)
    if not part:
        break
    tail = (tail + part)[-65536:]
_, status, usage = posix.wait4(pid, 0)
wall = time.perf_counter() - start
print(tail.decode("utf-8", "replace"), end="")
print(posix.waitstatus_to_exitcode(status), usage.ru_utime, usage.ru_stime, usage.ru_maxrss, wall)
