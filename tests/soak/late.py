"""How late one hears of what happens to a log in another process: ``python -m tests.soak.late``.

In SQLite, and in a Redis server of its own. Prints for each

- how many seconds after the lease of a producer that was killed its reader is told that it is dead;
- how many milliseconds after somebody cancels a stream the server above sees its connection closed, which another
  process had opened.

Ends with 1 if that is more than a second, or more than 100 ms.
``--times`` says how often each is tried; ``--only sqlite`` takes one engine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from statistics import median

import rxllm
from rxllm.exceptions import StreamInterruptedError
from tests.logs.killed import open_log, producer, until_there_are
from tests.soak.logs import ENGINES, places

LEASES = (1.0, 2.0, 3.0)
MOST_SECONDS = 1.0
MOST_MILLISECONDS = 100.0

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n"

# Nothing more comes from the server: whoever reads from it waits in the read.
PRODUCER = """
import asyncio, sys, rxllm
from tests.logs.killed import open_log

where, url = sys.argv[1:]

async def main():
    await open_log(where).produce("stream", rxllm.from_sse(url))

asyncio.run(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.late", description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", choices=ENGINES)
    options = parser.parse_args()
    too_late = False
    for engine in [options.only] if options.only else ENGINES:
        with places(engine, 2 * options.times) as all_places:
            deaths = asyncio.run(all_at_once(all_places[: options.times]))
            print(
                f"{engine}: {len(deaths)} producers killed; reported after a lease of {LEASES} s and",
                spread(deaths, "s"),
            )
            cancels = [asyncio.run(closed_after_a_cancel(place)) for place in all_places[options.times :]]
            print(
                f"{engine}: {len(cancels)} streams cancelled; upstream closed after", spread(cancels, "ms"), flush=True
            )
            too_late |= max(deaths) > MOST_SECONDS or max(cancels) > MOST_MILLISECONDS
    return int(too_late)


def spread(values: Sequence[float], unit: str) -> str:
    return f"{max(values):.3f} {unit} at most, {median(values):.3f} {unit} in the middle"


async def all_at_once(places: Sequence[str]) -> list[float]:
    """How many seconds after the lease each of several dead producers is reported; one of each lease at a time."""
    told: list[float] = []
    for first in range(0, len(places), len(LEASES)):
        pairs = zip(places[first : first + len(LEASES)], LEASES, strict=False)
        told += await asyncio.gather(*[told_of_a_death(place, lease) for place, lease in pairs])
    return told


async def told_of_a_death(where: str, lease: float) -> float:
    """How many seconds after the death of a producer and its lease a reader is told."""
    log = open_log(where)
    async with producer(where, "run", lease=lease) as process:
        await until_there_are(log, 1)
        reading = asyncio.ensure_future(_end_of(log))
        await until_there_are(log, 20)
        process.kill()
        killed = time.monotonic()
        return await reading - killed - lease


async def _end_of(log: rxllm.Log) -> float:
    try:
        await rxllm.from_log(log, "stream")
    except StreamInterruptedError:
        return time.monotonic()
    raise AssertionError


async def closed_after_a_cancel(where: str) -> float:
    """How many milliseconds a server waits for its connection to be closed by the process that writes the stream."""
    closed: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        await reader.read()
        closed.set_result(time.monotonic())
        writer.close()

    log = open_log(where)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = "http://{}:{}/".format(*server.sockets[0].getsockname())
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PRODUCER, where, url)
    try:
        while not await _is_there(log):
            await asyncio.sleep(0.01)
        await until_there_are(log, 1)
        asked = time.monotonic()
        await log.cancel("stream", "enough")
        return (await closed - asked) * 1000
    finally:
        await process.wait()
        server.close()


async def _is_there(log: rxllm.Log) -> bool:
    return any(info.stream == "stream" for info in await log.list())


if __name__ == "__main__":
    sys.exit(main())
