"""A way between two sides that can be stopped: carries what comes to each FROM on to its TO, ports of loopback.

    relay.py FROM=TO...

While the process stands still (SIGSTOP), what is under way is neither done nor refused.
"""
import asyncio
import sys


async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def join(port, reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))


async def main():
    for words in sys.argv[1:]:
        source, target = map(int, words.split("="))
        await asyncio.start_server(lambda r, w, target=target: join(target, r, w), "127.0.0.1", source, backlog=100)
    await asyncio.Event().wait()


asyncio.run(main())
