"""``LLMClient``: a source, a dialect and a key put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Self

import aiohttp
from aiohttp.typedefs import StrOrURL
from pydantic import SecretStr
from yarl import URL

from rxllm import dialects, sources
from rxllm import operators as ops
from rxllm.client._base_url import base_url_of
from rxllm.client._chats import Chats, Timeout
from rxllm.client._key import Key
from rxllm.dialects import (
    Dialect,
    Endpoint,
    RateLimitReader,
    WebSocketDialect,
    WireRequest,
    get_dialect,
    rate_limits_of,
)
from rxllm.exceptions import UnsupportedRequestError
from rxllm.flow import Stream, check_count, check_seconds
from rxllm.models import ChatRequest, StreamChunk
from rxllm.operators import map_error
from rxllm.resilience import Limits
from rxllm.sources import Headers, RecordTo, SessionLike, Ssl
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES

if TYPE_CHECKING:
    from rxllm.client._traces import Traces
    from rxllm.telemetry import OpenTelemetry


class LLMClient(Chats):
    """Sends chat requests to a server and gives the answer as an observable of chunks.

    As an async context manager it keeps one session, so that streams share connections; otherwise each stream has a
    session of its own, opened and closed with it.

    Args:
        base_url: The URL of the API, such as ``https://host/v1``, or the whole URL of the endpoint, with
            ``/chat/completions``. By default that of the environment, else that of the dialect: see ``Home`` in
            ``rxllm.dialects``. For ``"openai-chat"`` that is ``OPENAI_BASE_URL``, else OpenAI's own.
        api_key: The key. The dialect decides how it is sent, for example as ``Authorization: Bearer``. By default it is
            read from the environment, for ``"openai-chat"`` from ``OPENAI_API_KEY``. A key from the environment is sent
            only to the dialect's own base URL, to the base URL from the environment, and to this machine
            (``localhost``, ``127.0.0.1``). No error, log or ``repr`` shows it.
        dialect: The API that the server speaks: a name, or a dialect with options (``rxllm.dialects``).
        headers: Headers to send with each request.
        session: An ``aiohttp.ClientSession`` of your own, or a function that returns one. It is not closed.
        ssl: As in aiohttp: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy.
        timeout: For requests over HTTP: aiohttp's time-outs (see ``rxllm.from_sse``), or how many seconds a whole
            answer may take.
        max_event_bytes: The most bytes that one event may have.
        grace_period: How many seconds to wait for the end of the body when the answer is whole: see
            ``rxllm.from_sse``.
        record: The path of a file that records what is read; each request gets its own: see ``rxllm.from_sse``.
        retries: How often a request over HTTP is sent again at most, if it failed before anything of an answer came and
            another try may help. 0 for never. It waits as ``operators.retry_with_backoff`` does.
        limits: The limits that each request keeps to: ``rxllm.Limits``. Several clients may share them.
        telemetry: Whom to tell of answers, tries and tools: ``rxllm.telemetry.OpenTelemetry``, or ``True`` for one with
            the defaults. By default nobody.

    Raises:
        ValueError: ``base_url`` is empty or not an HTTP URL, a number is not positive, or there is no such dialect.
        MissingExtraError: ``telemetry=True``, and the package ``opentelemetry-api`` is not installed.

    Example:
        >>> LLMClient(base_url="http://127.0.0.1:8080/v1", api_key="secret")
        LLMClient(base_url='http://127.0.0.1:8080/v1', dialect='openai-chat')
    """

    # For the ``repr`` of one that is not complete.
    _base_url = URL()
    _dialect: Dialect = get_dialect("openai-chat")

    def __init__(
        self,
        *,
        base_url: StrOrURL | None = None,
        api_key: str | SecretStr | None = None,
        dialect: str | Dialect = "openai-chat",
        headers: Mapping[str, str] | None = None,
        session: SessionLike | None = None,
        ssl: Ssl = True,
        proxy: StrOrURL | None = None,
        timeout: Timeout | None = None,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        grace_period: float = sources.GRACE_SECONDS,
        record: RecordTo | None = None,
        retries: int = 2,
        limits: Limits | None = None,
        telemetry: OpenTelemetry | bool | None = None,
    ) -> None:
        try:
            self._dialect = get_dialect(dialect)
            self._base_url = base_url_of(base_url, self._dialect.home)
            self._key = Key.of(api_key, self._base_url, self._dialect.home)
            self._headers = Headers.of({}, headers or {})
            if proxy is None and session is None:
                proxy = sources.environment_proxy(self._base_url)
            check_count("max_event_bytes", max_event_bytes)
            check_seconds("grace_period", grace_period, zero=True)
            check_count("retries", retries, least=0)
            self._timeout = None if timeout is None else _timeout_of(timeout)
            self._traces = None if telemetry is None else self.traces_of(telemetry)
        except Exception as error:  # noqa: BLE001 - it is raised again
            del base_url, api_key, headers, proxy  # a traceback may show variables, also of what was called
            raise error.with_traceback(None) from None
        self._session = session
        self._own_session: aiohttp.ClientSession | None = None
        self._connection: dict[str, Any] = {"ssl": ssl, "proxy": proxy, "record": record, "grace_period": grace_period}
        self._max_event_bytes = max_event_bytes
        self._retry = ops.retry_with_backoff(retries + 1) if retries else None
        self._limits = limits

    @classmethod
    def for_host(cls, host: str, /, **options: Any) -> Self:
        """A client for a well-known host: with its address, the variable of its key, and what it takes.

        Args:
            host: The name of the host, as ``"groq"`` or ``"ollama"``: see ``rxllm.dialects.HOSTS``.
            **options: As for the constructor, without ``dialect``.

        Returns:
            The client. The key of the environment goes to this host and to no other: see ``api_key``.

        Raises:
            ValueError: No host has that name, or an option is none of those.

        Example:
            >>> LLMClient.for_host("groq", api_key="secret")
            LLMClient(base_url='https://api.groq.com/openai/v1', dialect='openai-chat')
        """
        try:
            return cls(dialect=dialects.get_host(host), **options)
        finally:
            options.clear()  # a traceback may show variables

    def __repr__(self) -> str:
        return f"LLMClient(base_url={sources.shown(self._base_url)!r}, dialect={self._dialect.name!r})"

    if TYPE_CHECKING:
        pass  # type checkers see that it has none of these
    else:

        def __enter__(self) -> NoReturn:
            raise TypeError("a client is used as 'async with', or without it from code that has no async")

        def __exit__(self, *_: object) -> None:
            """Not called."""

    async def __aenter__(self) -> Self:
        if self._own_session is not None:
            raise RuntimeError("this client is in use as a context manager already")
        if self._session is None:
            self._own_session = sources.open_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._own_session is not None:
            await self._own_session.close()
            self._own_session = None

    def _stream(
        self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Timeout | None
    ) -> Stream[StreamChunk]:
        once = self.once(request, headers, timeout)
        return self._traced(request, once if self._retry is None else once.pipe(self._retry))

    def _websocket(self, request: ChatRequest) -> Stream[StreamChunk]:
        return self._traced(request, self.websocket_once(request))

    def traces_of(self, telemetry: OpenTelemetry | bool) -> Traces | None:  # noqa: FBT001 - as it was given
        """What is told of its answers if that is given as ``telemetry``."""
        from rxllm.client._traces import Traces  # noqa: PLC0415 - only where it is asked for

        return Traces.of(telemetry, self._dialect.name, self._base_url)

    def once(
        self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Timeout | None
    ) -> Stream[StreamChunk]:
        """``chat_stream`` without another try."""
        wire = self._dialect.http_request(request, self._endpoint())
        sent = self._request_headers(wire, headers)
        chunks = sources.from_http(
            wire.url,
            framing=wire.framing,
            json=wire.body,
            method=wire.method,
            headers=sent,
            session=self._current_session,
            timeout=self._timeout if timeout is None else _timeout_of(timeout),
            max_event_bytes=self._max_event_bytes,
            end_marker=wire.end_marker,
            sign=wire.sign if self._traces is None else self._traces.telemetry.signer(wire.sign),
            **self._connection,
        ).pipe(ops.parse_answer(wire.reader or self._dialect, wire.repairs))
        return self._limited(request, chunks if wire.sign is not None else self._explained(chunks, sent))

    def websocket_once(self, request: ChatRequest) -> Stream[StreamChunk]:
        """``websocket_stream``."""
        dialect = self._dialect
        if not isinstance(dialect, WebSocketDialect):
            raise UnsupportedRequestError(
                f"{dialect.name} is not spoken over WebSockets", dialect=dialect.name, field="websocket"
            )
        wire = dialect.websocket_request(request, self._endpoint())
        sent = self._request_headers(wire)
        url = URL(wire.url)
        chunks = sources.from_websocket(
            url.with_scheme({"http": "ws", "https": "wss"}.get(url.scheme, url.scheme)),
            send=(wire.body,),
            headers=sent,
            session=self._current_session,
            max_frame_bytes=self._max_event_bytes,
            **self._connection,
        ).pipe(ops.parse_answer(dialect, wire.repairs))
        return self._limited(request, self._explained(chunks, sent))

    def _limited(self, request: ChatRequest, chunks: Stream[StreamChunk]) -> Stream[StreamChunk]:
        limits, dialect = self._limits, self._dialect
        if limits is None:
            return chunks
        read = dialect.rate_limits if isinstance(dialect, RateLimitReader) else rate_limits_of
        return chunks.pipe(ops.rate_limit(limits, tokens=limits.estimate(request), read=read))

    def _endpoint(self) -> Endpoint:
        return Endpoint(base_url=str(self._base_url), key=self._key.value)

    def _current_session(self) -> aiohttp.ClientSession | None:
        return self._session() if callable(self._session) else self._own_session or self._session

    def _request_headers(self, wire: WireRequest, own: Mapping[str, str] | None = None) -> Headers:
        """The headers of a request: the dialect's, those of the client, those of its own; the later ones count."""
        return Headers.of(Headers.of(wire.headers, self._headers, wire.public_headers), own or {})

    def _explained(self, chunks: Stream[StreamChunk], sent: Headers) -> Stream[StreamChunk]:
        """The chunks, or an error that tells of a key that is missing."""
        return chunks.pipe(map_error(self._key.explain)) if self._key.is_missing(sent) else chunks


def _timeout_of(timeout: Timeout) -> aiohttp.ClientTimeout:
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    check_seconds("timeout", timeout)
    return aiohttp.ClientTimeout(total=timeout, connect=min(timeout, sources.CONNECT_SECONDS))
