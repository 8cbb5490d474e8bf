"""A server on a loopback port that answers each conversation with its attack, and keeps connections where it can."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from tests.attack.mutations import Attack

__all__ = ["Desk", "serving"]

GOOD_BYE = b'data: {"choices":[{"index":0,"delta":{"content":"Done."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PING_SECONDS = 0.05
# In how many turns of the loop a body is written at most: the source waits a second for its end, not for ever.
TURNS = 40


class Desk:
    """The attacks that are under way, by their number.

    Attributes:
        beats: The time, in whatever unit.
        written_at: When the server has last written something for a number.
    """

    def __init__(self) -> None:
        self.attacks: dict[int, Attack] = {}
        self.rounds: dict[int, int] = {}
        self.beats = 0
        self.written_at: dict[int, int] = {}

    def begin(self, sent: Attack) -> None:
        """Answer the first request of this number with this attack, and further ones with a farewell."""
        self.attacks[sent.number] = sent
        self.rounds[sent.number] = 0
        self.written_at[sent.number] = self.beats

    def end(self, number: int) -> None:
        """Forget a number."""
        del self.attacks[number], self.rounds[number], self.written_at[number]

    def note(self, number: int) -> None:
        """Note that the server has written something for a number."""
        if number in self.written_at:
            self.written_at[number] = self.beats

    def answer(self, number: int) -> Attack:
        """What the next request of this number is answered with."""
        self.rounds[number] += 1
        return self.attacks[number] if self.rounds[number] == 1 else Attack(number, GOOD_BYE)


class Attacker(asyncio.Protocol):
    """One connection."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._received = b""
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            return
        self._received = b""
        self._answer(self._desk.answer(int(json.loads(body)["model"])))

    def _answer(self, sent: Attack) -> None:
        head = ["HTTP/1.1 200 OK"]
        if sent.content_type is not None:
            head.append(f"content-type: {sent.content_type}")
        match sent.framing:
            case "chunked":
                head.append("transfer-encoding: chunked")
            case "length":
                head.append(f"content-length: {len(sent.body) + (0 if sent.ending == 'proper' else 50)}")
            case _:
                head.append("connection: close")
        self._transport.write("\r\n".join([*head, "", ""]).encode())
        pieces = self._pieces(sent)
        self._write(sent, pieces, max(8, len(pieces) // TURNS))

    def _pieces(self, sent: Attack) -> list[bytes]:
        if sent.raw is not None:
            return [sent.raw]
        if sent.framing != "chunked":
            return sent.pieces()
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in sent.pieces()]
        return [*pieces, b"0\r\n\r\n"] if sent.ending == "proper" else pieces

    def _write(self, sent: Attack, pieces: list[bytes], at_once: int) -> None:
        """Write a few at once, so that reads are cut in many ways."""
        if self._transport.is_closing():
            return
        now, later = pieces[:at_once], pieces[at_once:]
        self._transport.write(b"".join(now))
        self._desk.note(sent.number)
        then = partial(self._write, sent, later, at_once) if later else partial(self._end, sent)
        self._timer = self._loop.call_soon(then)

    def _end(self, sent: Attack) -> None:
        match sent.ending:
            case "silence":
                pass
            case "pings":
                self._ping(sent)
            case "reset":
                # To linger for no time at all makes close() send RST (socket(7)).
                opened: socket.socket = self._transport.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._transport.abort()
            case "proper" if sent.framing != "close" and sent.raw is None:
                pass
            case _:
                self._transport.close()

    def _ping(self, sent: Attack) -> None:
        ping = b": ping\n\n"
        self._transport.write(b"%x\r\n%s\r\n" % (len(ping), ping) if sent.framing == "chunked" else ping)
        self._timer = self._loop.call_later(PING_SECONDS, partial(self._ping, sent))


@asynccontextmanager
async def serving() -> AsyncGenerator[tuple[str, Desk]]:
    """The base URL of a server, and its desk."""
    desk = Desk()
    server = await asyncio.get_running_loop().create_server(lambda: Attacker(desk), "127.0.0.1", 0, backlog=4096)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", desk
