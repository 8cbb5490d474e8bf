"""The other side: sends pre-rendered bytes, and notes what it sees. Runs in a process of its own.

    python -m tests.benchmarks.server

Prints its port, and ends when its standard input does. Paths are ``/HOW/…/chat/completions``:

====================  ==============================================================================
``/KIND/HOW/N``       an answer of N chunks as ``dialect_answer`` has them, ``HOW`` being ``blocks``,
                      writes of 64 KiB, or ``events``, one event a write
``/paced/N/RATE``     N content chunks, RATE a second; the text of the first is when it was due, on
                      the monotonic clock that all processes of the machine share
``/hang/NAME``        one chunk, and then nothing; when the client leaves, the time is noted
``/late/NAME``        an answer that begins after 50 ms, each twentieth after two seconds
``/report``           what was noted, as JSON
====================  ==============================================================================
"""

from __future__ import annotations

import asyncio
import heapq
import json
import sys
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

from rxllm.wire import AWS_FRAMES, EVENT_STREAM
from tests.benchmarks.dialects import dialect_answer
from tests.benchmarks.payload import BLOCK_BYTES, CONTENT, chunk, event, events

__all__ = ["main"]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_HEADS = {"bedrock-converse": _HEAD.replace(EVENT_STREAM.encode(), AWS_FRAMES.encode())}
LATE_EVERY = 20
LATE_SECONDS = 2.0
SOON_SECONDS = 0.05
_END = b"0\r\n\r\n"


def framed(data: bytes) -> bytes:
    """A chunk of a body (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@cache
def writes(kind: str, how: str, count: int) -> tuple[bytes, ...]:
    """An answer as it is written."""
    if how == "events":
        return tuple(framed(each) for each in dialect_answer(kind, count))
    body = b"".join(dialect_answer(kind, count))
    return tuple(framed(body[start : start + BLOCK_BYTES]) for start in range(0, len(body), BLOCK_BYTES))


class Notes:
    """What the server saw."""

    def __init__(self) -> None:
        self.connections = 0
        self.left: dict[str, float] = {}
        self.late: list[float] = []
        self.late_answers = 0

    def report(self) -> bytes:
        """Everything since the last report, as JSON."""
        late, self.late = sorted(self.late), []
        fields: dict[str, Any] = {"connections": self.connections, "left": self.left}
        if late:
            fields["late"] = {"p50": late[len(late) // 2], "p99": late[len(late) * 99 // 100]}
        return json.dumps(fields).encode()


class Pacer:
    """Sends the events of all paced answers, each in its own rhythm, from one task."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._due: list[tuple[float, int, Connection, int, float]] = []
        self._count = 0
        self._changed = asyncio.Event()
        self._pieces = [framed(event(chunk({"content": piece}))) for piece in CONTENT]
        self._end = b"".join(framed(each) for each in events(0)[-3:]) + _END

    def add(self, connection: Connection, count: int, rate: float) -> None:
        """Begin an answer."""
        now = time.monotonic()
        connection.write(_HEAD + framed(event(chunk({"content": repr(now)}))))
        self._count += 1
        heapq.heappush(self._due, (now + 1 / rate, self._count, connection, count - 1, 1 / rate))
        self._changed.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            if not self._due:
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(max(0.0, self._due[0][0] - time.monotonic()))
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._send(*heapq.heappop(self._due), now=now)

    def _send(self, due: float, number: int, connection: Connection, left: int, period: float, *, now: float) -> None:
        self._notes.late.append(now - due)
        if connection.closed:
            return
        if left == 0:
            connection.write(self._end)
            return
        connection.write(self._pieces[left % len(self._pieces)])
        heapq.heappush(self._due, (due + period, number, connection, left - 1, period))


class Connection(asyncio.Protocol):
    """One client's connection; its requests come one after the other."""

    def __init__(self, notes: Notes, pacer: Pacer) -> None:
        self._notes = notes
        self._pacer = pacer
        self._received = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._task: asyncio.Task[None] | None = None
        self._name: str | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write
        self._notes.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        if self._name is not None:
            self._notes.left[self._name] = time.monotonic()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        if len(rest) >= length:
            self._received = rest[length:]
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, path: str) -> None:
        match path.strip("/").split("/"):
            case [kind, ("blocks" | "events") as how, count, *_]:
                self._task = asyncio.create_task(
                    self._send((_HEADS.get(kind, _HEAD), *writes(kind, how, int(count)), _END))
                )
            case ["paced", count, rate, *_]:
                self._pacer.add(self, int(count), float(rate))
            case ["late", name, *_]:
                self._name = name
                self._task = asyncio.create_task(self._send_late())
            case ["hang", name, *_]:
                self._name = name
                self.write(_HEAD + framed(event(chunk({"content": "Hello"}))))
            case _:
                report = self._notes.report()
                self.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(report), report))

    async def _send_late(self) -> None:
        self._notes.late_answers += 1
        await asyncio.sleep(LATE_SECONDS if self._notes.late_answers % LATE_EVERY == 0 else SOON_SECONDS)
        self.write(_HEAD + framed(event(chunk({"content": "Hello"}, "stop")) + event(b"[DONE]")) + _END)

    async def _send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await self._writable.wait()
            self.write(piece)


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    notes = Notes()
    pacer = Pacer(notes)
    running = asyncio.create_task(pacer.run())
    async with await loop.create_server(lambda: Connection(notes, pacer), "127.0.0.1", 0, backlog=4096) as server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)
    running.cancel()


def main() -> None:
    asyncio.run(serve())


if __name__ == "__main__":
    main()
