"""``record`` and ``replay``: what comes over the wire, kept and played again."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from aiohttp.typedefs import StrOrURL
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from yarl import URL

from rxllm.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseError,
    DecodeError,
    LimitExceededError,
    RecordingError,
    StreamInterruptedError,
    UnreadBody,
    excerpt,
)
from rxllm.flow import Emitter, Stream, clock_of, task_source
from rxllm.logs import logger
from rxllm.models import StreamInfo
from rxllm.sources import (
    MAX_ERROR_BYTES,
    Pace,
    Secrets,
    SessionLike,
    Ssl,
    Timing,
    from_http,
    from_websocket,
    info_of,
    refusal,
)
from rxllm.testing._wire_recordings import WireRecording, check_timing
from rxllm.wire import (
    DEFAULT_MAX_EVENT_BYTES,
    BodyFraming,
    Framing,
    ServerSentEvent,
    WireResponse,
    framing_of,
    media_types,
)

__all__ = ["record", "replay", "replay_reads"]

T = TypeVar("T")

RecordingLike: TypeAlias = WireRecording | str | os.PathLike[str]

# RFC 6455, section 7.4.1: 1000 is a normal closure, 0 and 1005 stand for one that gave no code.
_GOOD_CLOSES = frozenset({None, 0, 1000, 1005})


async def record(
    url: StrOrURL,
    path: str | os.PathLike[str],
    *,
    framing: Framing = "sse",
    json: Any = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    session: SessionLike | None = None,
    ssl: Ssl = True,
    proxy: StrOrURL | None = None,
) -> WireRecording:
    """Make one request, and record everything that comes back.

    A refused request and a lost connection are recorded, too, and raise no error. If the task is cancelled, the file
    has what had come. An application can also record its own requests: see ``record`` of ``rxllm.LLMClient`` and
    ``rxllm.from_sse``.

    Args:
        url: The URL of the request. With ``ws://`` and ``wss://``, the frames of a WebSocket are recorded.
        path: The file to write. An existing file is replaced, also where a link leads to it. A device or a pipe is not.
        framing: How the body of the answer is framed: see ``rxllm.from_http``.
        json: The body, any value that ``json.dumps`` accepts; over a WebSocket, the first frame.
        method: The HTTP method.
        headers: More request headers. They are not in the recording; if the server echoes them, the echo is blotted
            out.
        session: An ``aiohttp.ClientSession`` of your own, or a function that returns one; not closed.
        ssl: As in aiohttp: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy.

    Returns:
        The recording that was written.

    Raises:
        RecordingError: The file cannot be written.
    """
    path = await asyncio.to_thread(_free, Path(path))
    usual: dict[str, Any] = {"headers": headers, "session": session, "ssl": ssl, "proxy": proxy, "record": path}
    source: Observable[Any]
    if URL(str(url)).scheme in {"ws", "wss"}:
        source = from_websocket(url, send=() if json is None else (json,), **usual)
    else:
        source = from_http(url, framing=framing, json=json, method=method, check_content_type=False, **usual)
    try:
        await source.pipe(rx_ops.count())
    except (APIError, StreamInterruptedError, DecodeError, LimitExceededError) as error:
        logger.debug("the request that was recorded failed: {}", type(error).__name__)
    return await asyncio.to_thread(WireRecording.load, path)


def _free(path: Path) -> Path:
    """Remove what is to be replaced; gives where that was, if a link leads there."""
    try:
        if path.is_symlink():
            path = path.resolve()
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise RecordingError(f"{path}: not a file, but a device, a pipe or a socket")
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    return path


def replay(
    recording: RecordingLike,
    *,
    timing: Timing = "recorded",
    speed: float = 1.0,
    max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    check_content_type: bool = True,
    scheduler: abc.SchedulerBase | None = None,
) -> Stream[ServerSentEvent | str]:
    r"""Play a wire recording again without a network, as ``from_http`` or ``from_websocket`` would read it.

    The stream is cold, and can be paused. In virtual time (``run_virtual``) each read comes at the recorded
    microsecond, so time-outs happen as they did. It ends as the source ended: with the end or the same error. If the
    client had left, nothing more comes, because nothing more is known; in virtual time, waiting for more is a
    ``VirtualTimeError`` that says so. To replay over a loopback port, see ``WireRecording.answer``.

    Args:
        recording: The file, which is read at once, or a loaded recording.
        timing: ``"recorded"``: each read comes at the time after the subscription at which it had come after the
            request. ``"none"``: full speed. Reads that a pause has delayed come at once after it, as from a server.
        speed: How many times faster than recorded.
        max_event_bytes: As in ``from_http``.
        check_content_type: As in ``from_http``.
        scheduler: The scheduler for timers; by default that of the subscription, else the running loop.

    Returns:
        The events or lines of a recorded body, or the text frames of a recorded WebSocket, for ``operators.parse``. Its
        chunks have the ``stream`` that they had, as far as the recording tells of it.

    Raises:
        RecordingError: At once: there is no such file, or it is not a wire recording. As ``on_error``: more had come
            than the recording has, such as a frame that breaks the protocol, or data that the client refused.
        StreamInterruptedError: As ``on_error``: the connection was lost; or the recording has no end, because its
            process was killed.
        APIConnectionError: As ``on_error``: there was no answer.
        APIStatusError: As ``on_error``: the answer had a status of 400 or more.
        APIResponseError: As ``on_error``: the answer was not a stream with the requested framing.
        DecodeError: As ``on_error``: there was a binary frame.
        LimitExceededError: As ``on_error``: an event is larger than ``max_event_bytes``.
        ValueError: At once: ``timing`` is not one of these words, or ``speed`` is not positive.

    Example:
        >>> from rxllm import operators as ops
        >>> from rxllm.testing import WireRecording, replay, run_virtual
        >>> from rxllm.wire import WireEnd, WireRead, WireRequest, WireResponse
        >>> recording = WireRecording(
        ...     WireRequest("sse", "POST", "https://host/v1", "2025-01-31T12:00:00+00:00"),
        ...     WireResponse(0.1, 200),
        ...     (WireRead(0.2, b'data: {"choices": [{"delta": {"content": "Hi"}}]}'), WireRead(70, b"\n\n")),
        ...     WireEnd(70, "left"),
        ... )
        >>> async def main():
        ...     await replay(recording).pipe(ops.parse(), ops.timeout_per_chunk(10, first=60), ops.accumulate())
        >>> run_virtual(main())
        Traceback (most recent call last):
        rxllm.exceptions.ChunkTimeoutError: waited 60 s for the first chunk: 49 bytes came, but nothing of an answer
    """
    loaded = _loaded(recording)

    def decoder() -> _Decoder[Any]:
        _require_success(loaded)
        if loaded.request.transport == "websocket":
            return _Frames()
        framing = framing_of(loaded.request.transport)
        if check_content_type:
            _require_stream(loaded, framing)
        return _Items(loaded, framing, max_event_bytes, check=check_content_type)

    return _source(loaded, decoder, timing, speed, scheduler)


def replay_reads(
    recording: RecordingLike,
    *,
    timing: Timing = "recorded",
    speed: float = 1.0,
    scheduler: abc.SchedulerBase | None = None,
) -> Stream[bytes]:
    """Play the bytes of a wire recording again, read by read, for your own decoder.

    Everything else is as in ``replay``, but status and media type are not checked, so the body of an error comes, too.

    Args:
        recording: As in ``replay``.
        timing: As in ``replay``.
        speed: As in ``replay``.
        scheduler: As in ``replay``.

    Returns:
        The bytes of each read; for a WebSocket, the payload of each frame.

    Raises:
        RecordingError: As in ``replay``.
        StreamInterruptedError: As in ``replay``.
        APIConnectionError: As in ``replay``.
        ValueError: As in ``replay``.

    Example:
        >>> import rxllm
        >>> from rxllm.testing import WireRecording, replay_reads
        >>> from rxllm.wire import WireEnd, WireRead, WireRequest, WireResponse
        >>> request = WireRequest("sse", "POST", "https://host/v1", "2025-01-31T12:00:00+00:00")
        >>> recording = WireRecording(request, WireResponse(0, 200), (WireRead(0, b"data: 1"),), WireEnd(0, "eof"))
        >>> rxllm.run(replay_reads(recording))
        b'data: 1'
    """
    return _source(_loaded(recording), _Reads, timing, speed, scheduler)


def _loaded(recording: RecordingLike) -> WireRecording:
    return recording if isinstance(recording, WireRecording) else WireRecording.load(recording)


def _source(
    recording: WireRecording,
    decoder: Callable[[], _Decoder[T]],
    timing: Timing,
    speed: float,
    scheduler: abc.SchedulerBase | None,
) -> Stream[T]:
    check_timing(timing, speed)

    async def produce(emitter: Emitter[T]) -> None:
        pace = Pace(clock_of(scheduler, emitter.scheduler), speed) if timing == "recorded" else None
        await _play(recording, decoder, pace, emitter)

    return task_source(produce)


async def _play(
    recording: WireRecording,
    decoder: Callable[[], _Decoder[T]],
    pace: Pace | None,
    emitter: Emitter[T],
) -> None:
    async def until(at: float) -> None:
        if pace is not None:
            await pace.wait(at)

    last = recording.reads[-1].at if recording.reads else 0.0
    end = recording.end
    try:
        decoding = decoder()
    except APIError:
        # The source had read to the end before it said so.
        await until(last if end is None else end.at)
        raise
    began = _began(recording)
    stream = emitter.flow.stream = _stream_of(recording, began)
    emitter.flow.lingers = True  # what came behind an error is there, or the recording ends
    for each in recording.reads:
        await until(each.at)
        stream.received(
            len(each.data if isinstance(each.data, bytes) else each.data.encode(errors="replace")), began + each.at
        )
        await emitter.emit(decoding.take(each.data))
    if end is not None:
        await until(end.at)
        if end.ending in {"eof", "lost"}:
            items = decoding.close(in_good_order=end.ending == "eof")
            emitter.flow.strays = decoding.unread()
            await emitter.emit(items)
    await _finish(recording, emitter.count)
    decoding.check(emitter.count)


def _began(recording: WireRecording) -> float:
    try:
        return datetime.fromisoformat(recording.request.began).timestamp()
    except ValueError:
        raise RecordingError(f"{excerpt(recording.request.began)} is not a time at which a request can begin") from None


def _stream_of(recording: WireRecording, began: float) -> StreamInfo:
    """What is known of the request when the answer begins."""
    headers: Mapping[str, str] = {} if recording.response is None else recording.response.headers
    return info_of(URL(recording.request.url), headers, began, Secrets())


async def _finish(recording: WireRecording, events: int) -> None:
    """End as the recorded request did."""
    url, end = recording.request.url, recording.end
    if end is None:
        raise StreamInterruptedError(
            f"the recording stops after {len(recording.reads)} reads: its process was killed, or is still writing",
            events=events,
        )
    match end.ending:
        case "eof":
            return
        case "closed" if end.code in _GOOD_CLOSES:
            return
        case "closed":
            reason = f"closed with code {end.code} '{end.reason}'"
        case "lost" if recording.response is None:
            raise APIConnectionError(f"no answer from {url}: {end.error}")
        case "lost":
            reason = end.error or "no closing frame"
        case "limit":
            raise RecordingError(f"the recording of {url} was cut off after {len(recording.reads)} reads: more came")
        case _ if end.error is None:
            await _stay_silent()
        case _:
            raise RecordingError(f"the recording of {url} stops where the client refused what came: {end.error}")
    raise StreamInterruptedError(f"the connection to {url} was lost after {events} events: {reason}", events=events)


async def _stay_silent() -> NoReturn:
    """The client had left: of what the server would have said then, nothing is known."""
    while True:
        await asyncio.Event().wait()


class _Decoder(ABC, Generic[T]):
    """What a source makes of what it reads; by default, nothing comes with the end."""

    @abstractmethod
    def take(self, data: bytes | str) -> Sequence[T]:
        """Take what was read, or a frame."""

    def close(self, *, in_good_order: bool) -> Sequence[T]:  # noqa: ARG002 - others ask
        """Take note of the end."""
        return ()

    def unread(self) -> str | None:
        """What came and is not an item."""
        return None

    def check(self, count: int) -> None:
        """Refuse what ended in good order, after so many items, and was nothing."""


class _Reads(_Decoder[bytes]):
    """Takes reads as they are."""

    def take(self, data: bytes | str) -> tuple[bytes]:
        return (data if isinstance(data, bytes) else data.encode(),)


class _Items(_Decoder[Any]):
    """Takes a body as ``from_http`` does."""

    def __init__(self, recording: WireRecording, framing: BodyFraming, max_event_bytes: int, *, check: bool) -> None:
        self._recording = recording
        self._framing = framing
        self._decoder = framing.decoder(max_event_bytes=max_event_bytes)
        self._checks = check

    def take(self, data: bytes | str) -> Sequence[Any]:
        return self._framing.feed(self._decoder, data if isinstance(data, bytes) else data.encode())

    def close(self, *, in_good_order: bool) -> Sequence[Any]:
        return self._framing.end(self._decoder, in_good_order=in_good_order)[0]

    def unread(self) -> str | None:
        return self._framing.unread(self._decoder)

    def check(self, count: int) -> None:
        response = self._recording.response
        if self._checks and not count and response is not None and self.unread() is not None:
            raise _no_stream(self._recording, response, f"no {self._framing.called}")


class _Frames(_Decoder[str]):
    """Takes the frames of a WebSocket as ``from_websocket`` does."""

    def __init__(self) -> None:
        self._position = 0

    def take(self, data: bytes | str) -> tuple[str]:
        if isinstance(data, bytes):
            raise DecodeError(
                f"binary frame at position {self._position}, where text was expected: {excerpt(data)}",
                dialect="websocket",
                position=self._position,
                text=excerpt(data),
            )
        self._position += 1
        return (data,)


def _require_success(recording: WireRecording) -> None:
    """Check the status.

    Raises:
        APIStatusError: It is no success, and of a WebSocket not even an answer to the handshake.
        APIResponseError: The handshake of a WebSocket was answered as if it were an ordinary request.
    """
    response = recording.response
    if response is None or response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return
    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
        body = _start_of_body(recording)
        message = f"{response.status} from {recording.request.url}: {excerpt(body)}"
        raise refusal(message, response.status, response.headers, Secrets(), body=body)
    if recording.request.transport == "websocket":
        raise _no_stream(recording, response, "no WebSocket")


def _require_stream(recording: WireRecording, framing: BodyFraming) -> None:
    """Check the media type, and where that does not tell, the first bytes.

    Raises:
        APIResponseError: It is not a stream of that framing.
    """
    response = recording.response
    if response is None:
        return
    types = media_types([response.headers.get("content-type", "")])
    if framing.is_said_by(types):
        return
    ended = recording.end is not None and recording.end.ending == "eof"
    fits = framing.beginning().look(recording.body, ended=ended)
    if fits is None:
        fits = not ended or framing.may_be(types, recording.body.strip())
    if not fits:
        raise _no_stream(recording, response, framing.instead(types))


def _no_stream(recording: WireRecording, response: WireResponse, what: str) -> APIError:
    body = _start_of_body(recording)
    message = f"{recording.request.url} answered {response.status} with {what}: {excerpt(body)}"
    content_type = ", ".join(media_types([response.headers.get("content-type", "")]))
    error = refusal(message, response.status, response.headers, Secrets(), body=body, content_type=content_type)
    if isinstance(error, APIResponseError) and recording.request.transport != "websocket":
        began = _began(recording)
        stream = _stream_of(recording, began)
        for read in recording.reads:
            stream.received(len(read.data), began + read.at)
        error.unread = UnreadBody(recording.body.decode(errors="replace"), stream, None)
    return error


def _start_of_body(recording: WireRecording) -> str:
    return recording.body[:MAX_ERROR_BYTES].decode(errors="replace")
