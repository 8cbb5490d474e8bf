"""The other side of the soak and of the storms: answers over HTTP and WebSockets. Runs in a process of its own.

    python -m tests.soak.server

Prints its port, and ends when its standard input does. What becomes of a request is the first part of its path,
``/FATE/v1/chat/completions``:

===========  ======================================================================
``good``     an answer that is whole, in a few writes
``slow``     the same, with a pause before each write
``status``   503
``cut``      half of an answer, and then the end of the connection
``reset``    half of an answer, and then a reset
``garbage``  half of an answer, and then what is none
``endless``  many chunks at once, and then one now and then, until the client leaves
===========  ======================================================================
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import sys
from collections.abc import Iterator

from rxllm.testing import script

__all__ = ["FATES", "TEXT", "main"]

FATES = ("good", "slow", "status", "cut", "reset", "garbage", "endless")
TEXT = [f"word{number} " for number in range(20)]
PAUSE_SECONDS = 0.002
ENDLESS_SECONDS = 0.05
BURST = 76


def payloads() -> list[str]:
    """The events of an answer."""
    chunks = [script.role(), *map(script.text, TEXT), script.finish(), script.usage()]
    return [*(json.dumps(chunk.payload) for chunk in chunks), "[DONE]"]


PAYLOADS = payloads()


def http(payload: str) -> bytes:
    """An event, as a chunk of a body."""
    event = f"data: {payload}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def frame(payload: str) -> bytes:
    """An event, as a frame of a WebSocket (RFC 6455, section 5.2)."""
    data = payload.encode()
    head = bytes([0x81, len(data)]) if len(data) < 126 else b"\x81\x7e" + len(data).to_bytes(2)
    return head + data


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
NORMAL_CLOSE = b"\x88\x02\x03\xe8"
EVENTS = {http: [http(each) for each in PAYLOADS], frame: [frame(each) for each in PAYLOADS]}
# An opcode that there is not.
GARBAGE = b"\x83\x02hi"


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self) -> None:
        self._received = b""
        self._timer: asyncio.Handle | None = None
        self._fate: str | None = None
        self._encode = http

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._encode is frame:
            # The first frame is the request; what else comes is a closing frame, or a pong.
            if self._fate is not None:
                self._begin(self._fate)
            elif data[0] & 0xF == 8:
                self._transport.close()
            return
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        fate = head.split(b"/", 2)[1].decode()
        if b"Sec-WebSocket-Key" in fields and fate != "status":
            self._transport.write(_upgrade(fields[b"Sec-WebSocket-Key"]))
            self._encode, self._fate = frame, fate
        elif len(body) >= int(fields.get(b"Content-Length", b"0")):
            self._received = b""
            self._begin(fate)

    def _begin(self, fate: str) -> None:
        self._fate = None
        if fate == "status":
            self._transport.write(REFUSAL)
            return
        if self._encode is http:
            self._transport.write(HEAD)
        pieces = self._pieces(fate)
        self._go_on(fate, pieces)

    def _pieces(self, fate: str) -> Iterator[bytes]:
        events = EVENTS[self._encode]
        if fate == "endless":
            yield b"".join(events[1:20] * (BURST // 19))
            while True:
                yield events[1]
        end = len(events) if fate in {"good", "slow"} else len(events) // 2
        for start in range(0, end, 8):
            yield b"".join(events[start : min(end, start + 8)])

    def _go_on(self, fate: str, pieces: Iterator[bytes]) -> None:
        if self._transport.is_closing():
            return
        if (piece := next(pieces, None)) is None:
            self._end(fate)
            return
        self._transport.write(piece)
        seconds = {"endless": ENDLESS_SECONDS, "slow": PAUSE_SECONDS}.get(fate, 0.0)
        self._timer = self._loop.call_later(seconds, self._go_on, fate, pieces)

    def _end(self, fate: str) -> None:
        over_http = self._encode is http
        match fate:
            case "reset":
                # To linger for no time at all makes close() send RST (socket(7)).
                opened: socket.socket = self._transport.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            case "cut":
                self._transport.close()
            case "garbage":
                self._transport.write(http("{this is none") if over_http else GARBAGE)
                self._transport.close()
            case _:
                self._transport.write(b"0\r\n\r\n" if over_http else NORMAL_CLOSE)


def _upgrade(key: bytes) -> bytes:
    digest = hashlib.sha1(key.strip() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return upgrade + b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"


async def serve() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096) as server:
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    asyncio.run(serve())


if __name__ == "__main__":
    main()
