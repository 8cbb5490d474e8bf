"""A producer process, two reader processes, one of them killed and back, and a stop from a third.

The producer asks the model and writes the answer to a log; nobody has to read it. Reader 2 is killed with -9 in the
middle and goes on where it was. Then this process, which neither writes nor reads, stops the answer.

    python examples/two_processes.py                                   a log in a file, for one machine
    python examples/two_processes.py --redis redis://localhost:6379    a log for many machines; needs rxllm[redis]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from _endpoint import MODELS, Endpoint
from _running import introduce, stoppable

import rxllm
from rxllm import ChatRequest, Message
from rxllm.sinks import printable

ANSWER = (
    "The moon pulls at the water of the sea, and the earth turns below. So there is high water where the moon stands, "
    "and on the other side of the earth as well. The sun pulls too, and at full and new moon both pull together. "
) * 10
KILL_AT, STOP_AT = 25, 60
LINE_CHARACTERS = 60

started: list[asyncio.subprocess.Process] = []


def open_log(where: str) -> rxllm.Log:
    """The log: in Redis, or in a file."""
    return rxllm.RedisLog(where) if where.startswith(("redis", "unix:")) else rxllm.SQLiteLog(where)


async def produce(server: Endpoint, where: str, stream: str) -> None:
    """Ask the model, and write what it answers to the log."""
    request = ChatRequest(model=server.model, messages=[Message.user("Why are there tides?")], max_tokens=400)
    async with server.connect(ANSWER) as client:
        production = open_log(where).produce(stream, client.chat_stream(request))
        await production.claimed()
        print("claimed", flush=True)
        ending = await production
    print(f"producer  {ending.kind}: the connection to the model is closed", flush=True)


async def read(where: str, stream: str, after: str | None) -> None:
    """Print each item with its position, as a line of JSON."""
    items = rxllm.from_log(open_log(where), stream, after=after, with_positions=True)
    try:
        async for item in items:
            print(json.dumps([str(item.position), item.item.text]), flush=True)
    except rxllm.StreamCancelledError as error:
        print(json.dumps([None, f"stopped by {error.by}: {error.reason}"]), flush=True)


async def start(*arguments: str) -> asyncio.subprocess.Process:
    """Run this file in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which ends the others
    )
    started.append(process)
    return process


async def end_all() -> None:
    """End the processes that still run."""
    for process in started:
        if process.returncode is None:
            send(process, signal.SIGTERM)
        await process.wait()


def send(process: asyncio.subprocess.Process, number: int) -> None:
    """Send a signal. asyncio would look first whether the process has ended, and its watcher would miss that end."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line that a process prints; nothing if it has ended."""
    return "" if process.stdout is None else (await process.stdout.readline()).decode().strip()


class Reader:
    """A reader process, and what it has printed."""

    def __init__(self, name: str, where: str, stream: str) -> None:
        self.items: list[tuple[str, str]] = []
        self.has = {number: asyncio.Event() for number in (KILL_AT, STOP_AT)}
        self._name = name
        self._place = where, stream
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Start it, take its lines, and show its text; returns when it has ended, or was killed."""
        try:
            await self._take_all()
        finally:
            for event in self.has.values():
                event.set()  # nobody waits for what does not come any more

    async def _take_all(self) -> None:
        after = [self.items[-1][0]] if self.items else []
        self._process = await start("--read", *self._place, *after)
        shown = ""
        while line := await line_of(self._process):
            position, text = json.loads(line)
            if position is None:
                self._show(shown)
                shown = text
                break
            self.items.append((position, text))
            shown += text
            if len(shown) > LINE_CHARACTERS:
                self._show(shown)
                shown = ""
            for number, event in self.has.items():
                if len(self.items) >= number:
                    event.set()
        self._show(shown)
        await self._process.wait()

    def kill(self) -> None:
        """Kill it with -9."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _show(self, text: str) -> None:
        print(f"{self._name}  {printable(text.lstrip())}")


async def main(server: Endpoint, where: str | None = None) -> None:
    """Start the processes, kill one, start it again, and stop the answer."""
    try:
        await show(server, where or str(Path(tempfile.mkdtemp(prefix="rxllm-")) / "log.db"))
    finally:
        await end_all()


async def show(server: Endpoint, where: str) -> None:
    """The same, with a log at some place."""
    stream = f"the answer {uuid4()}"
    producer = await start("--dialect", server.dialect, "--produce", where, stream)
    await line_of(producer)
    first, second = Reader("reader 1", where, stream), Reader("reader 2", where, stream)
    reading = [asyncio.create_task(reader.run()) for reader in (first, second)]
    try:
        await second.has[KILL_AT].wait()
        second.kill()
        await reading[1]
        print(f"\nreader 2 was killed behind {len(second.items)} items, and comes back\n")
        reading[1] = asyncio.create_task(second.run())

        await first.has[STOP_AT].wait()
        print("\nenough: this process stops the answer\n")
        await open_log(where).cancel(stream, "seen enough", by="a third process")
        await asyncio.gather(*reading)
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    print(await line_of(producer))
    await producer.wait()

    print(f"both readers have {len(first.items)} items, none lost, none twice: {first.items == second.items}")


def run() -> None:
    """Run what the arguments say; by default all of it."""
    parser = argparse.ArgumentParser(description="One producer, two readers, and a stop from a third process.")
    parser.add_argument("--redis", metavar="URL", help="a log in Redis instead of a file")
    parser.add_argument("--dialect", choices=list(MODELS), default=Endpoint.dialect, help="what the server speaks")
    parser.add_argument("--produce", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    server = Endpoint(arguments.dialect)
    if arguments.produce:
        rxllm.run(produce(server, *arguments.produce))
    elif arguments.read:
        where, stream, *after = arguments.read
        rxllm.run(read(where, stream, after[0] if after else None))
    else:
        introduce()
        rxllm.run(main(server, arguments.redis))


if __name__ == "__main__":
    with stoppable():
        run()
