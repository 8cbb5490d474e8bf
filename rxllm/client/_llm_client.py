"""``LLMClient``: a source, a dialect and a key put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeAlias

import aiohttp
from aiohttp.typedefs import StrOrURL
from pydantic import SecretStr
from reactivex import Observable
from yarl import URL

from rxllm import models, sources, tools
from rxllm import operators as ops
from rxllm.client._base_url import base_url_of
from rxllm.client._key import Key
from rxllm.dialects import Dialect, get_dialect
from rxllm.flow import Stream, check_count, check_seconds
from rxllm.models import ChatCompletion, ChatRequest, MessageLike, StreamChunk, request_of
from rxllm.operators import map_error
from rxllm.sources import Headers, RecordTo, SessionLike, Ssl
from rxllm.typing import OperatorFunction
from rxllm.wire import DEFAULT_MAX_EVENT_BYTES

Timeout: TypeAlias = aiohttp.ClientTimeout | float
"""aiohttp's time-outs, or how many seconds a whole answer may take."""

Asked: TypeAlias = ChatRequest | Mapping[str, Any]
"""A request, or a dictionary of its fields."""


class LLMClient:
    """Sends chat requests to a server and gives the answer as an observable of chunks.

    As an async context manager it keeps one session, so that streams share connections; otherwise each stream has a
    session of its own, opened and closed with it.

    Args:
        base_url: Where the API is, as ``https://host/v1``; the whole address of the endpoint, with
            ``/chat/completions``, will do. By default ``OPENAI_BASE_URL`` of the environment, else
            OpenAI's own.
        api_key: Sent as ``Authorization: Bearer``. By default ``OPENAI_API_KEY`` of the environment, but only to
            OpenAI's own API, to ``OPENAI_BASE_URL``, and to this machine (``localhost``, ``127.0.0.1``). Shown nowhere.
        dialect: What the server speaks: a name, or a dialect with options (``rxllm.dialects``).
        headers: Sent with each request.
        session: An ``aiohttp.ClientSession`` of your own, or a function that returns one; not closed.
        ssl: As aiohttp takes it: ``True``, an ``ssl.SSLContext``, a fingerprint, or ``False`` for no verification.
        proxy: The URL of a proxy.
        timeout: For requests over HTTP: aiohttp's time-outs (see ``rxllm.from_sse``), or how many seconds a whole
            answer may take.
        max_event_bytes: The most bytes that one event may have.
        grace_period: How many seconds a whole answer is waited for that does not end: see ``rxllm.from_sse``.
        record: Where to record what is read, each request in a file of its own: see ``rxllm.from_sse``.

    Raises:
        ValueError: ``base_url`` is empty or no URL over HTTP, or a number is not positive; there is no such dialect.

    Example:
        >>> LLMClient(base_url="http://127.0.0.1:8080/v1", api_key="secret")
        LLMClient(base_url='http://127.0.0.1:8080/v1', dialect='openai-chat')
    """

    _base_url = URL()

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
    ) -> None:
        self._dialect = get_dialect(dialect)
        url, fault = base_url_of(base_url, self._dialect.path)
        if fault:
            del base_url, api_key, headers, proxy  # a traceback may show variables
            raise ValueError(fault)
        self._base_url = url
        self._key = Key.of(api_key, url)
        self._headers = Headers.of({}, headers or {})
        self._session = session
        self._own_session: aiohttp.ClientSession | None = None
        if proxy is None and session is None:
            proxy = sources.environment_proxy(self._base_url)
        self._connection: dict[str, Any] = {"ssl": ssl, "proxy": proxy, "record": record, "grace_period": grace_period}
        check_count("max_event_bytes", max_event_bytes)
        check_seconds("grace_period", grace_period, zero=True)
        self._timeout = None if timeout is None else _timeout_of(timeout)
        self._max_event_bytes = max_event_bytes

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

    async def chat(
        self,
        request: Asked | None = None,
        *,
        model: str | None = None,
        messages: Sequence[MessageLike] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,  # noqa: ASYNC109 - aiohttp's, which knows what a time-out is about
        **fields: Any,
    ) -> ChatCompletion:
        """Ask for an answer and wait for the whole of it.

        Underneath it is streamed, as ``chat_stream(request).pipe(operators.accumulate())``.

        Args:
            request: What to ask, as in ``chat_stream``, like all of these.
            model: The model to ask.
            messages: The conversation so far.
            headers: Sent with this request.
            timeout: For this request.
            **fields: More fields of the request.

        Returns:
            The answer.

        Raises:
            EmptyStreamError: The server said that the answer was whole, and had sent nothing of it.
            Exception: What ``chat_stream`` and ``operators.accumulate`` raise; ``error.partial`` is what had come.
        """
        chunks = self.chat_stream(request, model=model, messages=messages, headers=headers, timeout=timeout, **fields)
        del request, messages, headers, fields  # a traceback may show variables
        return await chunks.pipe(ops.accumulate())

    def chat_stream(
        self,
        request: Asked | None = None,
        *,
        model: str | None = None,
        messages: Sequence[MessageLike] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        **fields: Any,
    ) -> Stream[StreamChunk]:
        """Ask for an answer over server-sent events.

        Cold: each subscription sends the request once. Streaming and usage in the stream are switched on.

        Args:
            request: What to ask: a ``ChatRequest``, or a dictionary of its fields. It may be left out where ``model``
                and ``messages`` are given.
            model: The model to ask, in place of that of ``request``.
            messages: The conversation so far, in place of that of ``request``.
            headers: Sent with this request, besides those of the client; of two with one name these count.
            timeout: For this request instead of the client's: aiohttp's time-outs, or how many seconds all of it may
                take.
            **fields: More fields of the request, in place of those of ``request``: ``temperature=0``. See
                ``ChatRequest``; others go to the server unchanged.

        Returns:
            The chunks of the answer; completes when the answer is whole.

        Raises:
            Exception: As ``on_error``: what ``rxllm.from_sse`` and ``operators.parse`` raise.
            TypeError: At once, like the last: ``request`` is none.
            pydantic.ValidationError: A field is missing, or of a type that is none of its.
        """
        asked = request_of(request, {"model": model, "messages": messages, **fields})
        sent = self._request_headers(headers)
        chunks = sources.from_sse(
            self._url(),
            json=self._dialect.payload(asked),
            headers=sent,
            session=self._current_session,
            timeout=self._timeout if timeout is None else _timeout_of(timeout),
            max_event_bytes=self._max_event_bytes,
            **self._connection,
        ).pipe(ops.parse(self._dialect))
        return self._explained(chunks, sent)

    def websocket_stream(
        self,
        request: Asked | None = None,
        *,
        model: str | None = None,
        messages: Sequence[MessageLike] | None = None,
        **fields: Any,
    ) -> Stream[StreamChunk]:
        """Ask for an answer over a WebSocket: the request is the first frame, each chunk a text frame.

        Cold: each subscription makes a connection.

        Args:
            request: What to ask, as in ``chat_stream``, like all of these.
            model: The model to ask.
            messages: The conversation so far.
            **fields: More fields of the request.

        Returns:
            The chunks of the answer; completes when the answer is whole.

        Raises:
            Exception: As ``on_error``: what ``rxllm.from_websocket`` and ``operators.parse`` raise.
            TypeError: At once: ``request`` is none.
        """
        asked = request_of(request, {"model": model, "messages": messages, **fields})
        url, sent = self._url(), self._request_headers()
        chunks = sources.from_websocket(
            url.with_scheme({"http": "ws", "https": "wss"}.get(url.scheme, url.scheme)),
            send=(self._dialect.payload(asked),),
            headers=sent,
            session=self._current_session,
            max_frame_bytes=self._max_event_bytes,
            **self._connection,
        ).pipe(ops.parse(self._dialect))
        return self._explained(chunks, sent)

    def chat_with_tools(
        self,
        request: Asked | None = None,
        registry: tools.ToolRegistry | None = None,
        *,
        model: str | None = None,
        messages: Sequence[MessageLike] | None = None,
        max_rounds: int = 10,
        max_concurrency: int = 8,
        timeout: float | None = None,
        on_error: tools.OnToolError = "send",
        ordered: bool = True,
        through: OperatorFunction[StreamChunk, StreamChunk] | None = None,
        approve: tools.Approve | None = None,
        **fields: Any,
    ) -> Stream[models.ChatEvent]:
        """Ask for an answer, run the tools that the model calls, send their results back, until it calls no more.

        Cold: each subscription is a conversation of its own. A round is one request and what is done about its answer.
        Its events are ``TextDelta`` and ``ReasoningDelta`` as they arrive; when the answer is whole, a
        ``ToolCallEvent`` for each call, a ``ToolResultEvent`` for each result, and ``RoundCompleted``. The last
        event is ``ChatCompleted``. All of it is paused while a consumer below holds a pause.

        Each request after the first carries all that was said before, results included. A ``tool_choice`` that forces a
        call (``"required"``, the name of a tool) holds for the first round only: then the model is free. A call
        is run once, and only when its answer is whole and was not cut by its length. Dispose closes the connection and
        cancels the tools that run; a function in a thread ends unheeded. Calls in the older protocol
        (``function_call``) are not run.

        ``approve`` is asked before calls run: about each call of an answer that can be run, one after the other in
        their order. No call of the answer runs before all of them are decided. Each has an ``ApprovalRequested`` before
        it is asked about, and an ``ApprovalGiven`` behind it, with the decision:

        - ``Approved()`` or ``True``: the call runs.
        - ``Approved(arguments={…})``: it runs with these arguments, which are validated as the model's are. The model
          is told so in front of the result; its own call stays in the conversation as it wrote it.
        - ``Refused(reason="…")`` or ``False``: it does not run, and the model gets the reason as its result. That is no
          error, whatever ``on_error`` says.

        A person may take any time: neither ``timeout`` nor ``operators.timeout_per_chunk`` directly behind this count
        it. A limit of your own, as ``asyncio.timeout``, does. Whatever ends the conversation cancels ``approve``.

        Args:
            request: The first request, as in ``chat_stream``. Its ``tools`` are sent besides those of the registry; of
                two with one name the request's wording counts. A call of one that is not in the registry is answered
                with an error.
            registry: The tools. It cannot be left out.
            model: The model to ask.
            messages: The conversation so far.
            max_rounds: How many requests are sent at most, at least 1.
            max_concurrency: As in ``operators.run_tools``, like the three that follow.
            timeout: How many seconds a tool may take; any number if ``None``.
            on_error: Whether the model is told of a tool that failed, or the conversation fails.
            ordered: Whether results come in the order of the calls, or as they are ready.
            through: What the chunks of each answer go through first, as ``operators.timeout_per_chunk(10)`` or
                ``operators.split_reasoning()``; several are put together by ``reactivex.compose``.
            approve: A coroutine function that is given a ``ToolCall`` and says whether it may run. Without one, all
                calls run.
            **fields: More fields of the request.

        Returns:
            The events of the conversation.

        Raises:
            LimitExceededError: As ``on_error``, like all but the last: the model calls tools in the last round still.
            TruncatedStreamError: An answer with calls in it was cut.
            ToolExecutionError: A tool failed, and ``on_error="raise"``.
            ApprovalError: ``approve`` raised. No call of the answer was run.
            TypeError: ``approve`` returned something else than a decision: no call of the answer was run. At once if it
                cannot be called.
            Exception: What ``chat_stream`` and ``through`` raise, in whichever round. The events of the rounds
                before have been emitted; ``error.partial`` is what there is of the present answer, a
                ``ChatCompletion``.
            ValueError: At once: an argument is not one of those, or the request asks for several answers (``n``).
            TypeError: At once: there is no request, or no registry.
        """
        first = request_of(request, {"model": model, "messages": messages, **fields})
        if registry is None:
            raise TypeError("chat_with_tools() needs the tools: write registry=ToolRegistry([…])")
        # Tools and the events of a conversation take a quarter of the time that importing the client took.
        from rxllm.client._chat_with_tools import chat_with_tools  # noqa: PLC0415

        def ask(request: ChatRequest) -> Observable[StreamChunk]:
            chunks = self.chat_stream(request)
            return chunks if through is None else chunks.pipe(through)

        run_tools = partial(
            ops.run_tools,
            registry,
            max_concurrency=max_concurrency,
            timeout=timeout,
            on_error=on_error,
            ordered=ordered,
        )
        run_tools(approve=approve)  # a wrong argument is reported where it stands
        return chat_with_tools(ask, first, registry, run_tools, max_rounds=max_rounds, approve=approve)

    def _url(self) -> URL:
        # Some servers want a version in the query.
        return self._base_url.joinpath(self._dialect.path.lstrip("/")).with_query(self._base_url.query)

    def _current_session(self) -> aiohttp.ClientSession | None:
        return self._session() if callable(self._session) else self._own_session or self._session

    def _request_headers(self, own: Mapping[str, str] | None = None) -> Headers:
        """The headers of a request, those of its own among them."""
        key = self._key.value.get_secret_value()
        usual = Headers.of({"Authorization": f"Bearer {key}"} if key else {}, self._headers)
        return Headers.of(usual, own or {})

    def _explained(self, chunks: Stream[StreamChunk], sent: Headers) -> Stream[StreamChunk]:
        """The chunks, or an error that tells of a key that is missing."""
        return chunks.pipe(map_error(self._key.explain)) if self._key.is_missing(sent) else chunks


def _timeout_of(timeout: Timeout) -> aiohttp.ClientTimeout:
    if isinstance(timeout, aiohttp.ClientTimeout):
        return timeout
    check_seconds("timeout", timeout)
    return aiohttp.ClientTimeout(total=timeout, connect=min(timeout, sources.CONNECT_SECONDS))
