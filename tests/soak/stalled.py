"""What followers of a log cost that stand still: ``python -m tests.soak.stalled``.

In SQLite, and in a Redis server of its own. One process writes a stream of 60 MB of chunks, as JSON; 100 followers in
another take one item each, and then nothing more. Prints by how many MB that process has grown, and ends with 1 if that
is more than 16.
``--followers`` and ``--megabytes`` say how much, ``--text`` how many characters a chunk has, ``--buffer`` how many
items ``iterate`` lets wait; ``--only sqlite`` takes one engine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from multiprocessing import get_context
from pathlib import Path

import rxllm
from rxllm import Log
from tests.logs.killed import open_log
from tests.soak.logs import ENGINES, places

MOST = 16.0

PRODUCER = """
import asyncio, sys, rxllm
from rxllm.stores import encode_item
from rxllm.testing import text_chunk
from tests.logs.killed import open_log

where, size, length = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def chunks(log):
    chunk = text_chunk("x" * length)
    bytes_of_one = len(bytes(encode_item(chunk)[1]))
    for _ in range(round(size / bytes_of_one)):
        yield chunk

async def main():
    log = open_log(where)
    await log.produce("stream", rxllm.from_async_iterable(lambda: chunks(log)))

asyncio.run(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.stalled", description=__doc__)
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--megabytes", type=int, default=60)
    parser.add_argument("--text", type=int, default=100)
    parser.add_argument("--buffer", type=int, default=64)
    parser.add_argument("--only", choices=ENGINES)
    options = parser.parse_args()
    # A process each: one uses the memory again that another engine has left.
    with ProcessPoolExecutor(mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        grown = [
            fresh.submit(measured_in, engine, options).result()
            for engine in ([options.only] if options.only else ENGINES)
        ]
    return int(max(grown) > MOST)


def measured_in(engine: str, options: argparse.Namespace) -> float:
    """By how many MB a process grows that follows a log of an engine."""
    size = options.megabytes * 1_000_000
    with places(engine, 1) as (where,):
        subprocess.run([sys.executable, "-c", PRODUCER, where, str(size), str(options.text)], check=True)
        return asyncio.run(measured(engine, open_log(where), options))


async def measured(engine: str, log: Log, options: argparse.Namespace) -> float:
    async with AsyncExitStack() as stack:
        # What the first one needs, every program that follows has.
        await stand_still(log, stack, options.buffer)
        (info,) = await log.list()
        before = resident()
        for _ in range(options.followers):
            await stand_still(log, stack, options.buffer)
        grown = resident() - before
        print(
            f"{engine}: {options.megabytes} MB in {info.items} chunks; "
            f"{options.followers} followers that stand still: {grown:.1f} MB",
            flush=True,
        )
    return grown


async def stand_still(log: Log, stack: AsyncExitStack, buffer: int) -> None:
    """Take one item, and let as many come as will."""
    stream = rxllm.from_log(log, "stream")
    await anext(await stack.enter_async_context(rxllm.iterate(stream, buffer_size=buffer)))
    for _ in range(5):
        await log.list()


def resident() -> float:
    """How many MB of memory this process has."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
