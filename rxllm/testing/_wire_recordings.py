"""``WireRecording``: what a source has recorded of one request, read from its file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from rxllm.exceptions import RecordingError, as_cause, excerpt
from rxllm.sources import Timing
from rxllm.testing._server_websocket import Opcode, encode_frame
from rxllm.testing.script import Answer, Close, Cut, Delay, Event, Raw, Reset, Stall, Step
from rxllm.wire import WireEnd, WireRead, WireRequest, WireResponse, decode_record

__all__ = ["WireRecording", "check_timing"]

# How a file of a sink begins: see rxllm.stores.
_SINK_STARTS = (b'{"stream":', b"SQLite format 3\0")
_HINT = "it holds items that a sink has recorded, which rxllm.from_recording plays"

_NO_CODE = 1005

# What tells the client something, and does not depend on how the body is sent.
_REPLAYED_HEADERS = (
    *("retry-after", "retry-after-ms", "x-should-retry"),
    *("x-request-id", "request-id", "x-ms-request-id", "cf-ray"),
)


def check_timing(timing: Timing, speed: float) -> None:
    """Refuse what is no timing.

    Raises:
        ValueError: ``timing`` is none, or ``speed`` is not positive.
    """
    if timing not in {"none", "recorded"}:
        raise ValueError(f"timing must be 'none' or 'recorded', not {timing!r}")
    if not speed > 0:
        raise ValueError(f"speed must be positive, not {speed}")


@dataclass(frozen=True, slots=True)
class WireRecording:
    r"""One request and what was read of its answer, as ``record`` and the ``record=`` of the sources keep it.

    Attributes:
        request: The request.
        response: The head of the answer; ``None`` if none came.
        reads: The reads, in order.
        end: The end; ``None`` if the process was killed, or is still writing.

    Example:
        >>> from rxllm.wire import WireEnd, WireRead, WireRequest, WireResponse
        >>> recording = WireRecording(
        ...     WireRequest("sse", "POST", "https://host/v1", "2025-01-31T12:00:00+00:00"),
        ...     WireResponse(0.1, 200, {"content-type": "text/event-stream"}),
        ...     (WireRead(0.2, b"data: 1\n"), WireRead(0.3, b"\n")),
        ...     WireEnd(0.4, "eof"),
        ... )
        >>> recording.body
        b'data: 1\n\n'
    """

    request: WireRequest
    response: WireResponse | None
    reads: Sequence[WireRead]
    end: WireEnd | None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a recording from its file, in the calling thread.

        An incomplete last line is ignored: the process was killed while it wrote.

        Args:
            path: The file.

        Returns:
            The recording.

        Raises:
            RecordingError: There is no such file, or it is not a wire recording. The message has the number of the
                wrong line and its beginning.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror or error}") from error
        # What follows the last line end is nothing, or a line that was being written.
        lines = content.split(b"\n")[:-1]
        draft = _Draft()
        for number, line in enumerate(lines, 1):
            try:
                draft.add(line)
            except ValueError as error:
                hint = _HINT if line.startswith(_SINK_STARTS) else f"{error}: {excerpt(line)}"
                raise RecordingError(
                    f"{path}: line {number} is not a record of a wire recording: {hint}"
                ) from as_cause(error)
        if draft.request is None:
            raise RecordingError(f"{path}: no wire recording: there is no whole line in it: {excerpt(content)}")
        return cls(draft.request, draft.response, tuple(draft.reads), draft.end)

    @property
    def body(self) -> bytes:
        """All bytes that were read; for a WebSocket, the payloads of its frames one after the other."""
        return b"".join(read.data.encode() if isinstance(read.data, str) else read.data for read in self.reads)

    def answer(self, *, timing: Timing = "recorded", speed: float = 1.0) -> Answer:
        """Return a script with which a ``ScriptedServer`` serves this recording again: the same reads, and the same
        end.

        Each read becomes a write; the network may join writes. A body that was compressed with gzip is compressed
        again. The end of the body is the same; a lost connection is cut (FIN) or reset (RST) as it was. If the client
        had left, the server sends nothing more until the new client leaves. A recording may stop early: its process was
        killed, there was more than it may hold, or the client refused what came. Then the answer ends in a cut.

        Args:
            timing: ``"recorded"``: each write comes at the time after the request at which the read had come.
                ``"none"``: at once.
            speed: How many times faster than recorded.

        Returns:
            A script for one request or several, over HTTP or WebSocket, as recorded.

        Raises:
            ValueError: ``timing`` is not one of these words, or ``speed`` is not positive.

        Example:
            >>> import asyncio, pathlib, tempfile, rxllm
            >>> from rxllm import operators as ops
            >>> from rxllm.testing import ScriptedServer, record
            >>> async def main():
            ...     path = pathlib.Path(tempfile.mkdtemp(), "late.jsonl")
            ...     async with ScriptedServer("It is late.") as model:
            ...         recording = await record(model.url, path, json={"messages": []})
            ...     async with ScriptedServer(recording.answer(speed=10)) as server:
            ...         completion = await rxllm.from_sse(server.url).pipe(ops.parse(), ops.accumulate())
            ...     print(completion.content)
            >>> asyncio.run(main())
            It is late.
        """
        check_timing(timing, speed)
        steps = _Steps(self, None if timing == "none" else speed)
        if self.response is None:
            # No head is sent. The status is there so that a handshake is none either.
            return Answer(steps, status=HTTPStatus.SERVICE_UNAVAILABLE, framing="none")
        headers = self.response.headers
        status = self.response.status
        return Answer(
            steps,
            status=HTTPStatus.OK if status == HTTPStatus.SWITCHING_PROTOCOLS else status,
            headers={name: headers[name] for name in _REPLAYED_HEADERS if name in headers},
            content_type=headers.get("content-type", "text/event-stream"),
            gzip="gzip" in headers.get("content-encoding", ""),
            # Between two pieces a client in the same loop gets to read.
            fragment=_in_one_piece,
        )


def _in_one_piece(data: bytes) -> tuple[bytes]:
    return (data,)


class _Steps:
    """The steps of a recording; each iteration plays it from its beginning, and is the clock's zero."""

    def __init__(self, recording: WireRecording, speed: float | None) -> None:
        self._recording = recording
        self._speed = speed

    def __iter__(self) -> Iterator[Step]:
        started = _now()
        for read in self._recording.reads:
            yield from self._until(read.at, started)
            yield self._step(read)
        end = self._recording.end
        if end is not None:
            yield from self._until(end.at, started)
        yield from self._end(end)

    def _until(self, at: float, started: float) -> Iterator[Step]:
        # By the clock each time: what single delays take too long does not add up.
        if self._speed is not None and (seconds := started + at / self._speed - _now()) > 0:
            yield Delay(seconds)

    def _step(self, read: WireRead) -> Step:
        if isinstance(read.data, str):
            return Event(read.data)
        if self._recording.request.transport == "websocket":
            return Raw(encode_frame(Opcode.BINARY, read.data))
        return Raw(read.data)

    def _end(self, end: WireEnd | None) -> Iterator[Step]:
        match end:
            case WireEnd(ending="eof"):
                return
            case WireEnd(ending="closed", code=code, reason=reason):
                # No frame can say that there was no code (RFC 6455, section 7.4.1).
                yield Close(code, reason) if code and code != _NO_CODE else Raw(encode_frame(Opcode.CLOSE))
            case WireEnd(ending="left", error=None):
                yield Stall()
            case WireEnd(reset=True):
                yield Reset()
            case _:
                yield Cut()


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Draft:
    """A recording as far as its lines were read."""

    def __init__(self) -> None:
        self.request: WireRequest | None = None
        self.response: WireResponse | None = None
        self.reads: list[WireRead] = []
        self.end: WireEnd | None = None
        self._at = 0.0

    def add(self, line: bytes) -> None:
        """Take the next line.

        Raises:
            ValueError: It is not a record, or none that can follow the ones before.
        """
        record = decode_record(line, "sse" if self.request is None else self.request.transport)
        if isinstance(record, WireRequest) is not (self.request is None) or self.end is not None:
            raise ValueError("it stands in the wrong place")
        match record:
            case WireRequest():
                self.request = record
            case WireResponse():
                self._follow(record.at, allowed=self.response is None)
                self.response = record
            case WireRead():
                self._follow(record.at, allowed=self.response is not None)
                self.reads.append(record)
            case _:
                self._follow(record.at, allowed=True)
                self.end = record

    def _follow(self, at: float, *, allowed: bool) -> None:
        if not allowed:
            raise ValueError("it stands in the wrong place")
        if at < self._at:
            raise ValueError("it is earlier than the line before")
        self._at = at
