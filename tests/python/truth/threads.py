# SPDX-License-Identifier: MIT
"""Threads that take turns, pools of them, and what they leave behind."""
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
kept = {}
def work(n):
    mine = [bytes(i) for i in range(n)]
    kept[n] = [(i, float(i)) for i in range(n)]
    return mine
for n in range(50, 60):
    one = threading.Thread(target=work, args=[n])
    one.start()
    one.join()
local = threading.local()
def remember():
    local.text = "x" * 5000
    kept["local"] = [
        local.text * 2]
one = threading.Thread(target=remember)
one.start()
one.join()
todo, done = queue.Queue(), queue.Queue()
def serve():
    while True:
        n = todo.get()
        if n is None:
            return
        done.put([str(i) * n for i in range(n)])
server = threading.Thread(target=serve)
server.start()
answers = []
for n in range(30):
    todo.put(n)
    answers.append(done.get())
todo.put(None)
server.join()
with ThreadPoolExecutor(1) as pool:
    futures = [pool.submit(work, n) for n in range(5)]
    results = [future.result() for future in futures]
del futures, one, server, pool
