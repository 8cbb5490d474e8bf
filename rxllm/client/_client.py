"""``LLMClient``: a source, a dialect and a key put together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.typedefs import StrOrURL
from pydantic import SecretStr
from reactivex import Observable
from yarl import URL

from rxllm import operators as ops
from rxllm.dialects import Dialect, get_dialect
from rxllm.models import ChatRequest, StreamChunk
from rxllm.sources import SessionLike, Ssl, from_sse, from_websocket
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES

__all__ = ["LLMClient"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class LLMClient:
    """Sends chat requests to a server and gives the answer as an observable of chunks.

    As an async context manager it keeps one session, so that streams share connections; otherwise each stream has a
    session of its own, opened and closed with it.

    Args:
        base_url: Where the API is, as ``https://host/v1``. By default ``OPENAI_BASE_URL`` of the environment, else
            OpenAI's own.
        api_key: Sent as ``Authorization: Bearer``. By default ``OPENAI_API_KEY`` of the environment; none is sent
            where none is set. Shown nowhere.
        dialect: What the server speaks: a name, or a dialect with options (``rxllm.dialects``).
        headers: Sent with each request.
        session: An ``aiohttp.ClientSession`` of your own, or a function that returns one; not closed.
        ssl: As aiohttp takes it: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy.
        timeout: aiohttp's time-outs: see ``rxllm.from_sse``.
        max_event_bytes: The most bytes that one event may have.

    Example:
        >>> LLMClient(base_url="http://127.0.0.1:8080/v1", api_key="secret")
        LLMClient(base_url='http://127.0.0.1:8080/v1', dialect='openai-chat')
    """

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
        timeout: aiohttp.ClientTimeout | None = None,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self._base_url = URL(base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL)
        key = api_key if api_key is not None else os.environ.get("OPENAI_API_KEY", "")
        self._api_key = key if isinstance(key, SecretStr) else SecretStr(key)
        self._dialect = get_dialect(dialect)
        self._headers = dict(headers or {})
        self._session = session
        self._own_session: aiohttp.ClientSession | None = None
        self._connection: dict[str, Any] = {"ssl": ssl, "proxy": proxy}
        self._timeout = timeout
        self._max_event_bytes = max_event_bytes

    def __repr__(self) -> str:
        shown = self._base_url.with_user(None).with_query(None)
        return f"LLMClient(base_url={str(shown)!r}, dialect={self._dialect.name!r})"

    async def __aenter__(self) -> Self:
        if self._session is None:
            self._own_session = aiohttp.ClientSession(trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._own_session is not None:
            await self._own_session.close()
            self._own_session = None

    def chat_stream(self, request: ChatRequest) -> Observable[StreamChunk]:
        """Ask for an answer over server-sent events.

        Cold: each subscription sends the request once. Streaming and usage in the stream are switched on.

        Args:
            request: What to ask.

        Returns:
            The chunks of the answer; completes when the answer is whole.

        Raises:
            Exception: As ``on_error``: what ``rxllm.from_sse`` and ``operators.parse`` raise.
        """
        return from_sse(
            self._url(),
            json=self._dialect.payload(request),
            headers=self._request_headers(),
            session=self._current_session,
            timeout=self._timeout,
            max_event_bytes=self._max_event_bytes,
            **self._connection,
        ).pipe(ops.parse(self._dialect))

    def websocket_stream(self, request: ChatRequest) -> Observable[StreamChunk]:
        """Ask for an answer over a WebSocket: the request is the first frame, each chunk a text frame.

        Cold: each subscription makes a connection.

        Args:
            request: What to ask.

        Returns:
            The chunks of the answer; completes when the answer is whole.

        Raises:
            Exception: As ``on_error``: what ``rxllm.from_websocket`` and ``operators.parse`` raise.
        """
        url = self._url()
        return from_websocket(
            url.with_scheme({"http": "ws", "https": "wss"}.get(url.scheme, url.scheme)),
            send=(self._dialect.payload(request),),
            headers=self._request_headers(),
            session=self._current_session,
            max_frame_bytes=self._max_event_bytes,
            **self._connection,
        ).pipe(ops.parse(self._dialect))

    def _url(self) -> URL:
        # Some servers want a version in the query.
        return self._base_url.joinpath(self._dialect.path.lstrip("/")).with_query(self._base_url.query)

    def _current_session(self) -> aiohttp.ClientSession | None:
        return self._session() if callable(self._session) else self._own_session or self._session

    def _request_headers(self) -> dict[str, str]:
        key = self._api_key.get_secret_value()
        return ({"Authorization": f"Bearer {key}"} if key else {}) | self._headers
