"""How the content of an answer becomes writes: encoded, cut, framed, counted.

Nothing is kept back in user space: a write waits until the kernel has taken all of it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from rxllm.testing._server_http import encode_event
from rxllm.testing._server_request import ReceivedRequest
from rxllm.testing.script import Answer, Fragment, Sent, Stall, as_step

__all__ = ["Encoder", "Hangup", "Outlet", "body_length"]

MAX_WRITE_BYTES = 1 << 16


class Hangup(Exception):  # noqa: N818 - no error: the script says so
    """The script ends the connection."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Encoder:
    """Turns steps into the content of a body."""

    def __init__(self, answer: Answer) -> None:
        self._line_end = answer.line_end
        # 31: the largest window, in gzip's container (zlib manual, deflateInit2).
        self._compressor = zlib.compressobj(wbits=31) if answer.gzip else None

    def __call__(self, step: Sent) -> bytes:
        data = encode_event(step, self._line_end)
        if self._compressor is None:
            return data
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """What ends the content."""
        return b"" if self._compressor is None else self._compressor.flush()


def body_length(answer: Answer) -> int:
    """The length of the whole body, what stands behind a cut counted too."""
    encode = Encoder(answer)
    steps = [as_step(item) for item in answer.steps]
    if any(isinstance(step, Stall) and step.keep_alive is not None for step in steps):
        raise ValueError("keep-alives without end have no length: give the answer another framing")
    return sum(len(encode(step)) for step in steps if isinstance(step, Sent)) + len(encode.end())


class Outlet:
    """Writes a body: cuts it, frames it, counts it."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        request: ReceivedRequest,
        answer: Answer,
        *,
        frame: Callable[[bytes], bytes],
    ) -> None:
        self._writer = writer
        self._request = request
        self._cut_after = answer.cut_after
        self._delay = answer.delay_per_write
        self._cut = _cutter(answer.fragment)
        self._apart = answer.fragment is not None
        self._frame = frame

    async def send(self, data: bytes) -> None:
        """Send content."""
        for piece in self._cut(data):
            # An empty chunk would end the body (RFC 9112, section 7.1).
            if piece:
                await self.write(self._frame(piece))

    async def write(self, data: bytes) -> None:
        """Write bytes of the body as they are on the wire."""
        room = len(data) if self._cut_after is None else self._cut_after - self._request.bytes_written
        view = memoryview(data)[:room]
        if self._delay and self._request.bytes_written:
            await asyncio.sleep(self._delay)
        for start in range(0, len(view), MAX_WRITE_BYTES):
            part = view[start : start + MAX_WRITE_BYTES]
            self._writer.write(part)
            await self._writer.drain()
            self._request.bytes_written += len(part)
        if len(view) < len(data):
            raise Hangup(reset=False)
        if self._apart:
            await _let_peer_read()


def _cutter(fragment: Fragment) -> Callable[[bytes], Iterable[bytes]]:
    match fragment:
        case None:
            return lambda data: (data,)
        case int():
            return lambda data: (data[start : start + fragment] for start in range(0, len(data), fragment))
        case Sequence():
            return _PositionCutter(fragment)
        case _:
            return fragment


class _PositionCutter:
    """Cuts at positions counted from the start of the body."""

    def __init__(self, positions: Sequence[int]) -> None:
        self._positions = sorted(positions)
        self._offset = 0

    def __call__(self, data: bytes) -> Iterable[bytes]:
        start, self._offset = self._offset, self._offset + len(data)
        cuts = [position - start for position in self._positions if start < position < self._offset]
        return [data[begin:end] for begin, end in pairwise((0, *cuts, len(data)))]


async def _let_peer_read() -> None:
    # In the first turn of the loop the selector finds the peer's socket readable, in the second the peer has read.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
