"""``from_websocket``: the text frames of a WebSocket as an observable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp.typedefs import StrOrURL
from yarl import URL

from rxllm.exceptions import (
    APIConnectionError,
    DecodeError,
    LimitExceededError,
    StreamInterruptedError,
    as_cause,
    excerpt,
)
from rxllm.flow import (
    BYTES_PER_TURN,
    ITEMS_PER_TURN,
    Emitter,
    Stream,
    check_count,
    check_seconds,
    task_source,
)
from rxllm.models import StreamInfo
from rxllm.sources import _http
from rxllm.sources._aiohttp_internals import cut_of, request_headers_of, say_close
from rxllm.sources._credentials import Headers, Secrets, drop_credentials, note_sent, origin_of, shown
from rxllm.sources._grace import GRACE_SECONDS, Grace, is_end_marker
from rxllm.sources._http import SessionLike, Ssl
from rxllm.sources._sending import answer_of
from rxllm.sources._wire_recorder import CLOSED, RecordTo, close_code_of, recorded

# RFC 6455, section 7.4.1: 1000 is a normal closure, 1005 one that gave no code.
_GOOD_CLOSES = frozenset({1000, 1005})
_TOO_BIG = 1009
# One counts as so many bytes: the loop gets a turn after as many of them as of items.
_PING_BYTES = BYTES_PER_TURN // ITEMS_PER_TURN
_HEADER_BYTES = 2
_PINGS = frozenset({aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG})


def from_websocket(
    url: StrOrURL,
    *,
    send: Sequence[Any] = (),
    headers: Mapping[str, str] | None = None,
    session: SessionLike | None = None,
    ssl: Ssl = True,
    proxy: StrOrURL | None = None,
    protocols: Sequence[str] = (),
    heartbeat: float | None = None,
    max_frame_bytes: int = 16 * 1024 * 1024,
    end_marker: str | None = "[DONE]",
    grace_period: float = GRACE_SECONDS,
    record: RecordTo | None = None,
) -> Stream[str]:
    """Connect, send, and emit each text frame (RFC 6455).

    Cold. While a consumer holds a pause the socket is not read, so that the TCP window closes. Dispose sends a
    closing frame and closes the connection at once, without waiting for the other side's.

    Args:
        url: ``ws://`` or ``wss://`` (``http`` and ``https`` mean the same).
        send: What to send after connecting, a text frame each: strings as they are, anything else as JSON.
        headers: Headers of the opening handshake. A redirect to another origin drops them, and the subprotocols.
        session: An ``aiohttp.ClientSession`` whose connector, cookies, headers and ``trust_env`` are used, or a
            function that returns one when the connection is made; it is not closed. Its proxy and its middlewares are
            not used: give ``proxy`` here.
        ssl: As aiohttp takes it: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy, as ``http://user:password@host:port``; without ``session`` the proxy settings of the
            environment are read.
        protocols: The subprotocols offered. One may be a key, so they are shown nowhere.
        heartbeat: Seconds between pings; a pong that does not come interrupts the stream. ``None`` for none. While a
            consumer holds a pause no pong is read, so a pause that is longer than this interrupts it, too.
        max_frame_bytes: The most bytes that one message may have.
        end_marker: The frame that says that nothing follows; ``None`` for none.
        grace_period: How many seconds the source waits at most for the other side to close once the answer is whole, or
            behind the end marker of one that is not: see ``from_sse``.
        record: Where to record each frame with its time: see ``from_sse``.

    Returns:
        The text frames, in order; completes when the other side closes normally (code 1000, or none).

    Raises:
        APIConnectionError: As ``on_error``, like all of these: no connection came about.
        APIStatusError: The handshake was refused.
        APIResponseError: The handshake was answered as if it were an ordinary request.
        StreamInterruptedError: The connection was lost, or closed with another code than 1000.
        DecodeError: A binary frame, or one that breaks the protocol.
        LimitExceededError: A message is larger than ``max_frame_bytes``, or a line in the head of the answer is
            larger than 64 KiB.
        RecordingError: The file to record to cannot be made or written.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once, like the last: a number is none of those.
        TypeError: A number is none.
    """
    check_count("max_frame_bytes", max_frame_bytes)  # a wrong argument is reported where it stands
    check_seconds("grace_period", grace_period, zero=True)
    if heartbeat is not None:
        check_seconds("heartbeat", heartbeat)
    request_headers = Headers.of({}, headers or {})
    frames = [frame if isinstance(frame, str) else json.dumps(frame) for frame in send]
    options = {"ssl": ssl, "protocols": protocols, "heartbeat": heartbeat, "max_msg_size": max_frame_bytes}
    options["autoping"] = False

    async def produce(emitter: Emitter[str]) -> None:
        asked = {"Sec-WebSocket-Protocol": ",".join(protocols)}
        secrets = emitter.flow.secrets = Secrets(request_headers, asked, public=request_headers.public)
        target = _http.parse_url(url)
        emitter.flow.stream = _http.info_of(target, {}, time.time(), secrets)
        used_proxy = _http.parse_proxy(proxy or (_http.environment_proxy(target) if session is None else None))
        async with _http.use_session(session) as client:
            note_sent(secrets, client, target, used_proxy)
            async with (
                recorded(record, "websocket", "GET", target, secrets) as log,
                _guarded(client, target, request_headers.public) as guarded,
                _closing(await _connect(guarded, target, request_headers, secrets, options, used_proxy)) as socket,
            ):
                secrets.add(request_headers_of(socket))
                await _send(socket, frames, target)
                frames_in = _Frames(socket, log.receiving(socket), emitter, target, Grace(grace_period, emitter.flow))
                await frames_in.emit(end_marker, max_frame_bytes)

    return task_source(produce)


@contextlib.asynccontextmanager
async def _guarded(
    session: aiohttp.ClientSession, url: URL, public: frozenset[str]
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session over the connector of the given one that drops credentials on the way to another origin.

    ``ws_connect`` follows redirects and takes no middleware of its own.
    """
    if session.closed:
        raise APIConnectionError(f"no answer from {shown(url)}: the session is closed")
    async with aiohttp.ClientSession(
        connector=session.connector,
        connector_owner=False,
        cookie_jar=session.cookie_jar,
        headers=session.headers,
        auth=session.auth,
        trust_env=session.trust_env,
        timeout=aiohttp.ClientTimeout(total=None, connect=_http.CONNECT_SECONDS),
        middlewares=(drop_credentials(origin_of(url), public),),
        **_http.SESSION_OPTIONS,
    ) as guarded:
        yield guarded


async def _connect(  # noqa: PLR0917 - all that was found out
    session: aiohttp.ClientSession,
    url: URL,
    headers: Headers,
    secrets: Secrets,
    options: dict[str, Any],
    proxy: URL | None,
) -> aiohttp.ClientWebSocketResponse:
    if problem := headers.check():
        raise APIConnectionError(f"no request to {shown(url)}: {problem}")

    async def shake_hands() -> aiohttp.ClientWebSocketResponse:
        try:
            return cast(
                aiohttp.ClientWebSocketResponse, await session.ws_connect(url, headers=headers, proxy=proxy, **options)
            )
        except aiohttp.WSServerHandshakeError as error:
            status = error.status
            answered: Mapping[str, str] = error.headers or {}
            reason = secrets.scrub(error.message)
        # Outside the handler: the refusal holds the request with its headers, and must not be this one's context.
        message = f"{status} from {shown(url)}: {excerpt(reason)}"
        raise _http.refusal(message, status, answered, secrets, content_type=answered.get("Content-Type", ""))

    return await answer_of(url, secrets, shake_hands())


async def _send(socket: aiohttp.ClientWebSocketResponse, frames: Sequence[str], url: URL) -> None:
    try:
        for frame in frames:
            await socket.send_str(frame)
    except asyncio.CancelledError:
        cut_of(socket)()  # a closing frame would have to wait behind what the other side does not take
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise _http.lost(url, 0, "frames", str(error) or type(error).__name__) from as_cause(error)


@dataclass(slots=True, repr=False)
class _Frames:
    """The frames that come; their ``repr`` shows nothing.

    Attributes:
        socket: The connection.
        receive: Gives the next message.
        emitter: Where text goes.
        url: Of the connection, for errors.
        grace: How long a whole answer is waited for.
    """

    socket: aiohttp.ClientWebSocketResponse
    receive: Callable[[], Coroutine[Any, Any, aiohttp.WSMessage]]
    emitter: Emitter[str]
    url: URL
    grace: Grace

    async def emit(self, end_marker: str | None, max_frame_bytes: int) -> None:
        """Emit text frames until the other side closes."""
        emitter = self.emitter
        stream: StreamInfo = emitter.flow.stream
        while True:
            await emitter.ready()
            message = await (self._receive_in_time() if self.grace.has_begun else self._receive())
            if message is None:
                return
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise _refusal(message, emitter.count, max_frame_bytes)
            size = len(message.data.encode(errors="replace"))
            stream.received(size, time.time())
            if is_end_marker(message.data, end_marker) and not self.grace.is_due:
                await self._await_close()
            await emitter.emit((message.data,), size)

    async def _receive(self) -> aiohttp.WSMessage | None:
        """The next message; ``None`` if the other side has closed as it should.

        Raises:
            StreamInterruptedError: It closed in another way, or the connection was lost.
        """
        stream: StreamInfo = self.emitter.flow.stream
        while (message := await self.receive()).type in _PINGS:
            stream.received(_HEADER_BYTES + len(message.data), time.time())
            if message.type is aiohttp.WSMsgType.PING:
                # If the connection is gone, that is told behind what arrived before, which may be a closing frame.
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self.socket.pong(message.data)
            await self.emitter.breathe(_PING_BYTES)
        if message.type not in CLOSED:
            return message
        code = close_code_of(message)
        if code in _GOOD_CLOSES:
            return None
        raise self._lost(f"closed with code {code} '{message.extra or ''}'")

    async def _receive_in_time(self) -> aiohttp.WSMessage | None:
        try:
            return await self.grace.within(self._receive())
        except TimeoutError as error:
            raise self._lost(str(error)) from error

    async def _await_close(self) -> None:
        """Wait until the other side closes, behind the end marker of an answer that is not whole, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.grace.seconds):
                while await self._receive() is not None:
                    await self.emitter.breathe()

    def _lost(self, reason: str) -> StreamInterruptedError:
        return _http.lost(self.url, self.emitter.count, "frames", reason)


@contextlib.asynccontextmanager
async def _closing(
    socket: aiohttp.ClientWebSocketResponse,
) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
    """Close the connection when the block is left, in whatever way, and wait for nobody."""
    cut = cut_of(socket)
    try:
        yield socket
    finally:
        say_close(socket)
        cut()
        await socket.close()  # which has nothing left to wait for


def _refusal(message: aiohttp.WSMessage, position: int, max_frame_bytes: int) -> Exception:
    """A frame that is no text, or breaks the protocol."""
    if message.type is aiohttp.WSMsgType.BINARY:
        return DecodeError(
            f"binary frame at position {position}, where text was expected: {excerpt(message.data)}",
            dialect="websocket",
            position=position,
            text=excerpt(message.data),
        )
    if getattr(message.data, "code", None) == _TOO_BIG:
        return LimitExceededError(
            f"frame {position} is larger than {max_frame_bytes} bytes", limit="max_frame_bytes", maximum=max_frame_bytes
        )
    return DecodeError(
        f"frame {position} breaks the protocol: {message.data}", dialect="websocket", position=position, text=""
    )
