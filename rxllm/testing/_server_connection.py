"""One connection of a scripted server.

Rules:

1. A connection is served by one task. It ends when the peer leaves, in whatever way, since nobody is left to
   answer; the transport is aborted then, so nothing lingers.
2. Nothing is kept back in user space: the transport's buffer limit is a byte, so a write waits until the kernel has
   taken all of it, and "blocked" means that the kernel's buffers are full.
3. Failures of a script or of the protocol are not handled: they end the task, and the server reports them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from rxllm.testing._server_http import RequestHead, frame_chunk, read_body, read_head, response_head
from rxllm.testing._server_outlet import Encoder, Hangup, Outlet, body_length
from rxllm.testing._server_request import Leaving, ReceivedRequest
from rxllm.testing._server_websocket import (
    MessageReader,
    Opcode,
    accept_headers,
    encode_close,
    encode_frame,
    encode_step,
)
from rxllm.testing.script import (
    Answer,
    Chunk,
    Close,
    Comment,
    Cut,
    Delay,
    Event,
    Frame,
    HalfClose,
    Notify,
    Raw,
    Reset,
    Sent,
    Stall,
    WaitFor,
    as_step,
    sent_by,
)

__all__ = ["Connection", "Host"]

MAX_HEAD_BYTES = 1 << 20
STEPS_A_TURN = 16


class Host(Protocol):
    """What a connection needs from its server."""

    def opened(self, connection: Connection) -> int:
        """Register a connection; returns its number."""
        ...

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""

    def watch(self, task: asyncio.Task[None]) -> None:
        """Wait for the task when the server stops, and report its failure."""

    def received(self, head: RequestHead, connection: int) -> ReceivedRequest:
        """Register a request."""
        ...

    def answer(self, request: ReceivedRequest) -> Answer:
        """What this request is answered with."""
        ...

    def announced_answer(self) -> Answer | None:
        """The next answer, if it does not depend on the request."""
        ...


class Connection(asyncio.StreamReaderProtocol):
    """Answers the requests that come on one connection, one after the other."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._request: ReceivedRequest | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # A message over a WebSocket is written whole before the answer to a ping is.
        self._sending = asyncio.Lock()
        loop = asyncio.get_running_loop()
        super().__init__(asyncio.StreamReader(limit=MAX_HEAD_BYTES, loop=loop), self._opened, loop=loop)

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        # Not 0: an empty buffer would count as full over TLS.
        writer.transport.set_write_buffer_limits(high=1, low=0)
        self._start(self._serve())
        self._number = self._host.opened(self)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        self._host.watch(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.abort()

    # What the transport says

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        super().pause_writing()
        if self._request is not None:
            self._request.set_blocked(True)

    def resume_writing(self) -> None:
        """The kernel has taken everything."""
        super().resume_writing()
        if self._request is not None:
            self._request.set_blocked(False)

    def eof_received(self) -> bool:
        """The peer has closed its side."""
        super().eof_received()
        self._peer_left("fin")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, because of the peer or of us."""
        super().connection_lost(exc)
        # Nobody waits for that, and asyncio would report it.
        vars(self)["_closed"].exception()
        self._peer_left("reset" if exc else "fin")
        self._host.closed(self)

    def _peer_left(self, by: Leaving) -> None:
        if self._request is not None:
            self._request.leave(asyncio.get_running_loop().time(), by)
        self.abort()

    def abort(self) -> None:
        """End everything at once."""
        self._request = None
        for task in self._tasks:
            task.cancel()
        self._writer.transport.abort()

    # Requests

    async def _serve(self) -> None:
        while await self._exchange():
            pass
        self._writer.close()

    async def _exchange(self) -> bool:
        """Answer one request; says whether another one may follow."""
        head = await read_head(self._reader)
        if head.upgrades_to_websocket:
            announced = self._host.announced_answer()
            if announced is None or announced.status == HTTPStatus.OK:
                await self._talk(head, speaks_first=announced is not None and announced.speaks_first)
                return False
        body = await read_body(self._reader, head.headers)
        request = self._host.received(head, self._number)
        request.body = body
        answer = self._host.answer(request)
        whole = await self._answer(request, self._respond(request, answer))
        return whole and head.keeps_alive and answer.framing in {"chunked", "length"}

    async def _answer(self, request: ReceivedRequest, respond: Coroutine[Any, Any, None]) -> bool:
        """Send an answer; says whether it ended without ending the connection."""
        self._request = request
        try:
            await respond
        except Hangup as hangup:
            if hangup.reset:
                self._reset()
            self._writer.close()
            return False
        else:
            return True
        finally:
            # Nobody has left and nobody has stopped the server.
            if self._request is request:
                self._request = None
                request.finish()

    def _reset(self) -> None:
        # To linger for no time at all makes close() send RST (socket(7)).
        opened: socket.socket = self._writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    # Answers over HTTP

    async def _respond(self, request: ReceivedRequest, answer: Answer) -> None:
        encode = Encoder(answer)
        headers = {"content-type": answer.content_type}
        match answer.framing:
            case "chunked":
                headers["transfer-encoding"] = "chunked"
            case "length":
                answer = replace(answer, steps=tuple(answer.steps))
                headers["content-length"] = str(body_length(answer))
            case _:
                headers["connection"] = "close"
        if answer.gzip:
            headers["content-encoding"] = "gzip"
        headers.update((name.lower(), value) for name, value in answer.headers.items())

        if answer.framing != "none":
            self._writer.write(response_head(answer.status, headers))
        chunked = answer.framing == "chunked"
        outlet = Outlet(self._writer, request, answer, frame=frame_chunk if chunked else bytes)
        if await self._play(request, answer, lambda step: outlet.send(encode(step))) is not None:
            raise Hangup(reset=False)
        await outlet.send(encode.end())
        await outlet.write(frame_chunk(b"") if chunked else b"")

    # Answers over a WebSocket

    async def _talk(self, head: RequestHead, *, speaks_first: bool) -> None:
        self._writer.write(response_head(HTTPStatus.SWITCHING_PROTOCOLS, accept_headers(head.headers)))
        request = self._begin(head, b"") if speaks_first else None
        messages = MessageReader(self._reader)
        while True:
            opcode, payload = await messages.read()
            match opcode:
                case Opcode.CLOSE:
                    # Either the answer to ours, or the peer leaves: then it waits for its own to be answered.
                    if self._request is not None or request is None:
                        self._writer.write(encode_frame(Opcode.CLOSE, payload))
                    self._peer_left("close frame")
                    return
                case Opcode.PING:
                    async with self._sending:
                        self._writer.write(encode_frame(Opcode.PONG, payload))
                        await self._writer.drain()
                case Opcode.TEXT | Opcode.BINARY:
                    if request is None:
                        request = self._begin(head, payload)
                    request.frames.append(payload.decode() if opcode is Opcode.TEXT else payload)
                case _:
                    # A pong needs no answer.
                    pass

    def _begin(self, head: RequestHead, body: bytes) -> ReceivedRequest:
        request = self._host.received(head, self._number)
        request.body = body
        self._start(self._answer_frames(request))
        return request

    async def _answer_frames(self, request: ReceivedRequest) -> None:
        answer = self._host.answer(request)
        if answer.status != HTTPStatus.OK:
            raise ValueError("the handshake is over: a function cannot answer a WebSocket's frame with a status")
        await self._answer(request, self._send_frames(request, answer))

    async def _send_frames(self, request: ReceivedRequest, answer: Answer) -> None:
        outlet = Outlet(self._writer, request, answer, frame=bytes)

        async def send(step: Sent) -> None:
            async with self._sending:
                await outlet.send(encode_step(step, answer.frame_size))

        close = await self._play(request, answer, send) or Close()
        async with self._sending:
            await outlet.write(encode_close(close.code, close.reason))

    # Scripts

    async def _play(
        self, request: ReceivedRequest, answer: Answer, send: Callable[[Sent], Awaitable[None]]
    ) -> Close | None:
        """Take the steps one after the other; returns how a WebSocket is to be closed, if the script says so."""
        for number, item in enumerate(answer.steps, 1):
            if number % STEPS_A_TURN == 0:
                # Neither drain nor a write to a quick peer waits: others would never get their turn.
                await asyncio.sleep(0)
            step = as_step(item)
            match step:
                case Delay() | WaitFor() | Notify():
                    await _wait(step)
                case Stall():
                    await _stall(step, partial(send, step.sends))
                case HalfClose():
                    await self._half_close()
                case Cut() | Reset():
                    raise Hangup(reset=isinstance(step, Reset))
                case Close():
                    return step
                case Comment() | Raw():
                    await send(step)
                case _:
                    if answer.delay_per_chunk:
                        await asyncio.sleep(answer.delay_per_chunk)
                    await send(step)
                    request.chunks_written += sum(isinstance(sent, Chunk | Event | Frame) for sent in sent_by(step))
        return None

    async def _half_close(self) -> None:
        if not self._writer.can_write_eof():
            raise ValueError("TLS has no half-open connection")
        self._writer.write_eof()
        await _until_cancelled()


async def _wait(step: Delay | WaitFor | Notify) -> None:
    match step:
        case Delay(seconds):
            await asyncio.sleep(seconds)
        case WaitFor(event):
            await event.wait()
        case _:
            step.event.set()


async def _stall(stall: Stall, keep_alive: Callable[[], Awaitable[None]]) -> None:
    while stall.keep_alive is not None:
        await asyncio.sleep(stall.keep_alive)
        await keep_alive()
    await _until_cancelled()


async def _until_cancelled() -> None:
    # Nobody sets it: the peer's leaving cancels the task.
    await asyncio.Event().wait()
