"""A fast model in front of a database that takes 20 ms an item: nothing grows, and nothing is lost.

The server has 40 MB to send and could do so at once. When 8 chunks wait for the database the socket is not read, the
TCP window closes, and the server's writes stop until the database has caught up.

In other dialects it sends less: there a part of the answer goes on as a whole, too, once it is finished, so that the
memory holds it. The Responses API says all of it four times at the end.
"""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections.abc import Sequence

from _endpoint import Endpoint, endpoint
from _running import stoppable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, Ending, Message, StreamChunk
from rxllm import operators as ops
from rxllm.testing import ReceivedRequest, script

CHUNKS = 250
QUEUE = 8
MB = 1_000_000


class SlowDatabase:
    """A sink of one's own: ``open`` begins a stream, ``write`` takes a batch, ``close`` is told how it ended."""

    def __init__(self, seconds: float) -> None:
        self.rows: list[str] = []
        self._seconds = seconds

    async def open(self) -> SlowDatabase:
        """Begin a stream."""
        return self

    async def write(self, items: Sequence[StreamChunk], /) -> None:
        """Store a batch, one item after the other."""
        for chunk in items:
            await asyncio.sleep(self._seconds)
            # Each text of the scripted server begins with its number, in ten digits.
            self.rows.append("".join(choice.delta.content or "" for choice in chunk.choices)[:10])

    async def close(self, ending: Ending, /) -> None:
        """Take note of the end."""
        print(f"\nthe stream {ending.kind}")


class Gauges:
    """What is to be watched: the queue, the memory, and the server."""

    def __init__(self, database: SlowDatabase, size: int) -> None:
        self.requests: list[ReceivedRequest] = []
        self.passed = 0
        self.deepest = 0
        self.looks = 0
        self.stopped = 0
        self._database = database
        self._size = size
        tracemalloc.start()

    def answer(self, request: ReceivedRequest) -> script.Flood:
        """What the scripted server sends; called with the request, which says how the answer goes."""
        self.requests.append(request)
        return script.flood(CHUNKS * self._size, size=self._size)

    def passing(self, _: StreamChunk) -> None:
        """Count a chunk that has passed the tee."""
        self.passed += 1
        self.deepest = max(self.deepest, self.passed - len(self._database.rows))

    async def watch(self) -> None:
        """Look every 0.1 s; show it on one line of a terminal, or on a line a second."""
        while True:
            await asyncio.sleep(0.1)
            self.looks += 1
            self.stopped += any(request.blocked.is_set() for request in self.requests)
            if sys.stdout.isatty():
                print(f"\r{self._line()}\x1b[K", end="", flush=True)
            elif self.looks % 10 == 0:
                print(self._line(), flush=True)

    def _line(self) -> str:
        stored = len(self._database.rows)
        memory, peak = tracemalloc.get_traced_memory()
        line = f"stored {stored:3}, waiting {self.passed - stored}, memory {memory / MB:.1f} MB (peak {peak / MB:.1f})"
        for request in self.requests:
            line += f"; server sent {request.bytes_written / MB:4.1f} MB{', stopped' * request.blocked.is_set()}"
        return line


async def main(server: Endpoint) -> None:
    """Store a long answer and watch."""
    database = SlowDatabase(0.020 if server.takes_time else 0.001)
    gauges = Gauges(database, 160_000 if server.dialect == "openai-chat" else 60_000)
    request = ChatRequest(model=server.model, messages=[Message.user("Count to 250.")], max_tokens=200)
    async with server.connect(gauges.answer, delay_per_chunk=0) as client:
        watching = asyncio.create_task(gauges.watch())
        try:
            await client.chat_stream(request).pipe(
                ops.tee_to(database, buffer_size=QUEUE),
                rx_ops.do_action(gauges.passing),
            )
        finally:
            watching.cancel()

    print(f"{gauges.passed} chunks came, {len(database.rows)} are stored, at most {gauges.deepest} waited")
    if gauges.requests:
        whole = [row for row in database.rows if row] == [f"{number:010}" for number in range(CHUNKS)]
        print(f"the server's writes were stopped at {gauges.stopped} of {gauges.looks} looks")
        print(f"everything it sent is stored, in order: {whole}")


if __name__ == "__main__":
    with stoppable():
        rxllm.run(main(endpoint()))
