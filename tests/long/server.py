# SPDX-License-Identifier: MIT
"""asyncio: a server that answers lines, and as many clients at a time as will do."""
import asyncio
import sys


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def ask(port, number, gate):
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        total = 0
        for n in range(5):
            writer.write(f"client {number} line {n}\n".encode())
            total += len(await reader.readline())
        writer.close()
        return total


async def main(count):
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gate = asyncio.Semaphore(50)
    print(sum(await asyncio.gather(*(ask(port, number, gate) for number in range(count)))))
    server.close()


asyncio.run(main(int(sys.argv[1])))
