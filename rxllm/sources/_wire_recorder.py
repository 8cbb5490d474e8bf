"""Records what a source reads, for a bug report that becomes a test. The format is in ``rxllm.wire``.

Rules:

1. Each request has a file of its own. No file is ever written over: a number is added to the name instead.
2. What is recorded are the bytes as the source's decoder gets them, whole and unchanged but for rule 3: transfer and
   content coding are undone. A body that nobody reads is not recorded.
3. Of the request there is method and URL without query; of the answer's headers, those listed here. What was sent and
   may be a credential is blotted out with as many asterisks, also where two reads share it, so that all lengths stay.
4. A read is in the file before anybody sees it, so that what a process was killed on can be read. A read that ends in
   what may be the beginning of a credential waits for the next one.
5. The file is opened, written and closed in a thread. Reading goes on when the read before is written: a slow disk
   slows down the server. When it cannot be written, the stream fails.
6. A source that does not record pays for a ``None`` a request, and nothing a read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, TypeAlias

import aiohttp
from yarl import URL

from rxllm import exceptions, wire
from rxllm.flow import wake
from rxllm.harmless import harmless
from rxllm.sources._aiohttp_internals import take_rest
from rxllm.sources._credentials import Secrets, shown
from rxllm.sources._spellings import begun_at_end, blot, find
from rxllm.stores import Worker

DEFAULT_MAX_RECORDING_BYTES = 64 * 1024 * 1024

# How the body is to be read, who answered, and what the provider wants to know of a report.
_HEADERS = (
    *("content-type", "content-encoding", "content-length", "transfer-encoding", "server", "via", "x-accel-buffering"),
    *("retry-after", "retry-after-ms", "x-should-retry"),
    *("x-request-id", "request-id", "x-ms-request-id", "x-correlation-id", "cf-ray"),
)

# RFC 6455, section 7.4.1: a connection that was lost without a closing frame.
_NOT_CLOSED = 1006
_NO_CODE = 1005
CLOSED = frozenset({aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED})


def close_code_of(message: aiohttp.WSMessage) -> int:
    """With which code the other side closed a WebSocket: 1005 for none, 1006 if it was lost (RFC 6455, section 7.4.1).

    The code is in the frame. What aiohttp says is of the connection, which may be gone when the frame is read.
    """
    return (message.data or _NO_CODE) if message.type is aiohttp.WSMsgType.CLOSE else _NOT_CLOSED


class WireRecorder:
    """Where a source records what it reads, and how much of it.

    Args:
        path: The file. Where there is one already, and for each further request, a number is added to the name:
            ``bug.jsonl``, ``bug-2.jsonl``, ``bug-3.jsonl``.
        max_bytes: The most bytes of reads in a file. What comes beyond is not recorded, and the file says so; the
            stream itself goes on.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_RECORDING_BYTES) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_bytes must be positive, not {max_bytes}")
        self.path: Path = Path(path)
        self.max_bytes = max_bytes
        self._open: set[asyncio.Future[None]] = set()

    async def wait_closed(self) -> None:
        """Wait until no file is open.

        A consumer that leaves, as ``operators.parse`` does at the end marker, has left a moment before the last line
        of the recording is written.
        """
        while self._open:
            await asyncio.wait(tuple(self._open))

    @contextmanager
    def writing(self) -> Generator[None]:
        """A file is open while the block runs."""
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open.add(closed)
        try:
            yield
        finally:
            self._open.discard(closed)
            wake(closed)

    def __repr__(self) -> str:
        return f"WireRecorder({str(self.path)!r}, max_bytes={self.max_bytes})"


RecordTo: TypeAlias = str | os.PathLike[str] | WireRecorder
"""Where to record what is read: a path, or a ``WireRecorder`` with a bound of your own."""


class NotRecorded:
    """What stands for a log where nothing is recorded."""

    answered = None
    rest_of = staticmethod(take_rest)

    def reading(self, _: aiohttp.ClientResponse) -> AbstractContextManager[None]:
        """Nothing to be noted."""
        return nullcontext()

    def receiving(
        self, socket: aiohttp.ClientWebSocketResponse
    ) -> Callable[[], Coroutine[Any, Any, aiohttp.WSMessage]]:
        """How to receive: as ever."""
        return socket.receive


NOT_RECORDED = NotRecorded()


@asynccontextmanager
async def recorded(
    record: RecordTo | None,
    transport: wire.WireTransport,
    method: str,
    url: URL,
    secrets: Secrets,
) -> AsyncGenerator[WireLog | NotRecorded]:
    """Record one request while the block runs, and how the block ended; nothing without ``record``.

    Raises:
        RecordingError: On entering: the file cannot be made. On leaving: it cannot be written.
    """
    if record is None:
        yield NOT_RECORDED
        return
    recorder = record if isinstance(record, WireRecorder) else WireRecorder(record)
    log = WireLog(recorder.path, transport, secrets, room=recorder.max_bytes)
    with recorder.writing():
        await log.open(method, url)
        try:
            yield log
        except BaseException as error:
            try:
                await log.close(error)
            except exceptions.RecordingError as failure:
                # What the stream itself failed with has precedence.
                error.add_note(harmless(f"recording it failed, too: {failure}"))
            raise
        else:
            await log.close(None)


class WireLog:
    """The recording of one request, while it is made."""

    def __init__(self, path: Path, transport: wire.WireTransport, secrets: Secrets, *, room: int) -> None:
        self._path = path
        # Bytes that may still be recorded; below 0, more came.
        self._room = room
        self._transport: wire.WireTransport = transport
        self._secrets = secrets
        self._blotter = Blotter(self._secrets)
        self._clock = asyncio.get_running_loop().time
        self._started = self._clock()
        self._worker = Worker()
        # Touched by the thread only.
        self._file: IO[bytes] | None = None
        # Noted, and not yet given to the thread.
        self._lines: list[bytes] = []
        self._answered = False
        self._last = 0.0
        self._end: wire.WireEnd | None = None
        self._closed: asyncio.Future[Any] | None = None
        self._take_rest: Callable[[], bytes] = bytes

    # Beginning and end

    async def open(self, method: str, url: URL) -> None:
        """Make the file and note the request."""
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._note(wire.WireRequest(self._transport, method, shown(url), began))
        try:
            await self._worker.run(self._open_file)
            await self.flush()
        except BaseException:
            await self._worker.stop(self._close_file)
            raise
        # The time that the disk took is none of the server's.
        self._started = self._clock()

    async def close(self, error: BaseException | None) -> None:
        """Note how it ended, and close the file."""
        self._note_reads(self._blotter.close())
        self._note_end(error)
        try:
            await self.flush()
        finally:
            await self._worker.stop(self._close_file)

    def _note_end(self, error: BaseException | None) -> None:
        if self._room < 0:
            return
        if not self._answered and isinstance(error, exceptions.APIStatusError | exceptions.APIResponseError):
            # The handshake of a WebSocket was refused.
            self._note(wire.WireResponse(self._now(), error.status))
            self._ended("eof")
        elif isinstance(error, exceptions.APIConnectionError | exceptions.StreamInterruptedError):
            cause = error.__cause__ or error
            self._ended("lost", error=_name_of(cause), reset=_is_reset(cause))
        name = type(error).__name__ if isinstance(error, Exception) else None
        end = self._end or wire.WireEnd(self._now(), "left", error=name)
        # What came together with a loss is read after it.
        self._note(replace(end, at=max(end.at, self._last)))

    def _ended(self, ending: wire.WireEnding, **details: Any) -> None:
        """How it ended is what was seen first."""
        self._end = self._end or wire.WireEnd(self._now(), ending, **details)

    # An answer over HTTP

    def answered(self, response: aiohttp.ClientResponse) -> None:
        """Note the head of an answer, and from now on what is read of its body."""
        self._answered = True
        # The session may have added something: a login of the environment, what a middleware brought.
        self._blotter = Blotter(self._secrets)
        found = {name: ", ".join(response.headers.getall(name, ())) for name in _HEADERS}
        headers = {name: self._secrets.scrub(value) for name, value in found.items() if value}
        self._note(wire.WireResponse(self._now(), response.status, headers))
        if response.connection is not None and response.connection.protocol is not None:
            self._closed = response.connection.protocol.closed
        self._take_rest = partial(take_rest, response.content)
        tapped: Any = _TappedReader(response.content, self)
        response.content = tapped

    @contextmanager
    def reading(self, response: aiohttp.ClientResponse) -> Generator[None]:
        """Note, on leaving, whether the body had ended.

        A consumer that leaves at the end marker does not read as far as that.
        """
        try:
            yield
        finally:
            if response.content.at_eof():
                self._ended("eof")

    async def reads(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Read, and note what came."""
        try:
            data = await read()
        except (aiohttp.ClientError, OSError) as error:
            closed = self._closed.exception() if self._closed is not None and self._closed.done() else None
            self._ended("lost", error=type(error).__name__, reset=_is_reset(closed) or _is_reset(error))
            await self.flush()
            raise
        if data:
            self.note_read(data)
        else:
            self._ended("eof")
        await self.flush()
        return data

    def rest_of(self, _: aiohttp.StreamReader) -> bytes:
        """Take what a body that has failed still holds, and note it."""
        data = self._take_rest()
        self.note_read(data)
        return data

    def note_read(self, data: bytes | str) -> None:
        """Note what was read."""
        self._note_reads(self._blotter.take(wire.WireRead(self._now(), data)))

    # A WebSocket

    def receiving(
        self, socket: aiohttp.ClientWebSocketResponse
    ) -> Callable[[], Coroutine[Any, Any, aiohttp.WSMessage]]:
        """How to receive, so that each frame is noted."""
        self._answered = True
        self._blotter = Blotter(self._secrets)
        self._note(wire.WireResponse(self._now(), HTTPStatus.SWITCHING_PROTOCOLS))

        async def receive() -> aiohttp.WSMessage:
            message = await socket.receive()
            self._note_message(message)
            await self.flush()
            return message

        return receive

    def _note_message(self, message: aiohttp.WSMessage) -> None:
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            self.note_read(message.data)
        elif message.type in CLOSED:
            code = close_code_of(message)
            if code == _NOT_CLOSED:
                # aiohttp does not tell in which way.
                self._ended("lost")
            else:
                self._ended("closed", code=code, reason=self._secrets.scrub(str(message.extra or "")))

    # Lines

    def _now(self) -> float:
        return self._clock() - self._started

    def _note_reads(self, reads: Iterable[wire.WireRead]) -> None:
        for read in reads:
            if self._room < 0:
                return
            self._room -= len(_bytes_of(read))
            if self._room < 0:
                self._note(wire.WireEnd(read.at, "limit"))
            else:
                self._last = read.at
                self._note(read)

    def _note(self, record: wire.WireRecord) -> None:
        self._lines.append(wire.encode_record(record, self._transport))

    async def flush(self) -> None:
        """Wait until all that was noted is in the file."""
        if self._lines:
            lines, self._lines = b"".join(self._lines), []
            await self._worker.run(partial(self._write, lines))

    # In the thread

    def _open_file(self) -> None:
        path = self._path
        number = 1
        try:
            while self._file is None:
                try:
                    # Unbuffered: what was written is in the system's hands, whatever becomes of this process.
                    self._file = path.open("xb", buffering=0)
                except FileExistsError:
                    number += 1
                    path = self._path.with_stem(f"{self._path.stem}-{number}")
        except OSError as error:
            raise _recording_error(path, error) from error

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        # A file that could not be written ends with what it holds.
        while rest and self._file is not None:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                self._close_file()
                raise _recording_error(self._path, error) from error

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _recording_error(path: Path, error: OSError) -> exceptions.RecordingError:
    return exceptions.RecordingError(f"{path}: {error.strerror or error}")


class _TappedReader:
    """The reader of a body, with a log of what it gives out."""

    def __init__(self, content: aiohttp.StreamReader, log: WireLog) -> None:
        self._content = content
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, size: int) -> bytes:
        return await self._log.reads(partial(self._content.read, size))


class Blotter:
    """Blots credentials out of reads, byte for byte, also where two of them share one.

    A credential may come in JSON, with escapes.
    """

    def __init__(self, secrets: Secrets) -> None:
        # As they stand in text, and in bytes that are looked at as if each were a character.
        self._words = {*secrets.words, *(word.encode(errors="replace").decode("latin-1") for word in secrets.words)}
        self._held: list[wire.WireRead] = []

    def take(self, read: wire.WireRead) -> list[wire.WireRead]:
        """Take the next read; returns those that can be passed on."""
        self._held.append(read)
        data = self._blotted(b"".join(map(_bytes_of, self._held)), was_cut=False)
        return self._release(data, len(data) - begun_at_end(data.decode("latin-1"), self._words))

    def close(self) -> list[wire.WireRead]:
        """What was held back, without what looks much like the beginning of one at its end."""
        data = self._blotted(b"".join(map(_bytes_of, self._held)), was_cut=True)
        return self._release(data, len(data))

    def _release(self, data: bytes, sure: int) -> list[wire.WireRead]:
        """Give this data to the reads that are held; returns those that end within so many bytes of it."""
        released: list[wire.WireRead] = []
        held: list[wire.WireRead] = []
        end = 0
        for read in self._held:
            start, end = end, end + len(_bytes_of(read))
            piece = data[start:end]
            # Text frames end with a character, and so do credentials.
            text_or_bytes = piece.decode(errors="replace") if isinstance(read.data, str) else piece
            (released if end <= sure else held).append(replace(read, data=text_or_bytes))
        self._held = held
        return released

    def _blotted(self, data: bytes, *, was_cut: bool) -> bytes:
        text = data.decode("latin-1")
        spans = find(text, self._words, was_cut=was_cut)
        return blot(text, spans, with_as_many="*").encode("latin-1") if spans else data


def _bytes_of(read: wire.WireRead) -> bytes:
    return read.data.encode() if isinstance(read.data, str) else read.data


def _name_of(error: BaseException) -> str:
    return error.name if isinstance(error, exceptions.WithheldError) else type(error).__name__


def _is_reset(error: BaseException | None) -> bool:
    """Whether a reset of the connection is at the bottom of an error."""
    while error is not None:
        if isinstance(error, ConnectionResetError):
            return True
        error = error.__cause__ or error.__context__
    return False
