"""What can be asked of a client, or of a pool of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
from reactivex import Observable

from rxllm import models, tools
from rxllm import operators as ops
from rxllm.flow import Stream
from rxllm.models import ChatCompletion, ChatRequest, MessageLike, StreamChunk, request_of
from rxllm.sources import Headers
from rxllm.typing import OperatorFunction

if TYPE_CHECKING:
    from rxllm.client._traces import Traces

Timeout: TypeAlias = aiohttp.ClientTimeout | float
"""aiohttp's time-outs, or how many seconds a whole answer may take."""

Asked: TypeAlias = ChatRequest | Mapping[str, Any]
"""A request, or a dictionary of its fields."""


class Chats(ABC):
    """What can be asked of a client, or of a pool of them."""

    # What it tells OpenTelemetry, if that is asked for.
    _traces: Traces | None = None

    @property
    def traces(self) -> Traces | None:
        """What it tells OpenTelemetry, if that is asked for."""
        return self._traces

    def _traced(self, request: ChatRequest, chunks: Stream[StreamChunk]) -> Stream[StreamChunk]:
        return chunks if self._traces is None else self._traces.answer(chunks, request)

    @abstractmethod
    def _stream(
        self, request: ChatRequest, headers: Mapping[str, str] | None, timeout: Timeout | None
    ) -> Stream[StreamChunk]:
        """Ask for an answer over server-sent events."""

    @abstractmethod
    def _websocket(self, request: ChatRequest) -> Stream[StreamChunk]:
        """Ask for an answer over a WebSocket."""

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
        headers = _hidden(headers)
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

        Cold: each subscription sends the request. Streaming and usage in the stream are switched on. A request that
        fails before anything of an answer came is sent again: see ``retries`` of the client.

        Args:
            request: What to ask: a ``ChatRequest``, or a dictionary of its fields. It may be left out where ``model``
                and ``messages`` are given.
            model: The model to ask, in place of that of ``request``.
            messages: The conversation so far, in place of that of ``request``.
            headers: Headers to send with this request, besides those of the client. They replace headers of the same
                name.
            timeout: Replaces the client's: aiohttp's time-outs, or how many seconds the whole request may take.
            **fields: More fields of the request, in place of those of ``request``: ``temperature=0``. See
                ``ChatRequest``; other fields go to the server unchanged.

        Returns:
            The chunks of the answer; completes when the answer is whole.

        Raises:
            Exception: As ``on_error``: what ``rxllm.from_sse`` and ``operators.parse`` raise.
            UnsupportedRequestError: At once, like all that follow: the API has no form for something in the request.
            TypeError: ``request`` is not a request.
            pydantic.ValidationError: A field is missing, or has a wrong type.
        """
        headers = _hidden(headers)
        asked = request_of(request, {"model": model, "messages": messages, **fields})
        return self._stream(asked, headers, timeout)

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
            UnsupportedRequestError: At once, like all that follow: the API has no form for something in the request, or
                cannot be used over WebSockets.
            TypeError: ``request`` is not a request.
        """
        asked = request_of(request, {"model": model, "messages": messages, **fields})
        return self._websocket(asked)

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
        """Ask for an answer, run the tools that the model calls and send their results back, until it calls no more.

        Cold: each subscription is a conversation of its own. A round is one request, its answer, and the calls in it.
        Its events are ``TextDelta`` and ``ReasoningDelta`` as they arrive; when the answer is whole, a
        ``ToolCallEvent`` for each call, a ``ToolResultEvent`` for each result, and ``RoundCompleted``. The last
        event is ``ChatCompleted``. All of it is paused while a consumer below holds a pause.

        Each request after the first has the whole conversation so far, results included. A ``tool_choice`` that forces
        a call (``"required"``, the name of a tool) holds for the first round only: then the model is free. A call
        is run once, and only when its answer is whole and was not cut by its length. Dispose closes the connection and
        cancels the tools that run; a function in a thread runs to its end. Calls in the older protocol
        (``function_call``) are not run.

        ``approve`` is asked before calls run: about each call of an answer that can be run, one after the other in
        their order. No call of the answer runs before all of them are decided. Each has an ``ApprovalRequested`` before
        it is asked about, and an ``ApprovalGiven`` behind it, with the decision:

        - ``Approved()`` or ``True``: the call runs.
        - ``Approved(arguments={…})``: it runs with these arguments, which are validated as the model's are. The model
          is told so in front of the result; its own call stays in the conversation as it wrote it.
        - ``Refused(reason="…")`` or ``False``: it does not run, and the model gets the reason as its result. That is no
          error, whatever ``on_error`` says.

        A person may take any time: neither ``timeout`` nor an ``operators.timeout_per_chunk`` directly behind this
        counts it. A limit of your own, such as ``asyncio.timeout``, does. If the conversation ends, ``approve`` is
        cancelled.

        Args:
            request: The first request, as in ``chat_stream``. Its ``tools`` are sent besides those of the registry, and
                replace those of the same name. If the model calls a tool that is not in the registry, it gets an error
                as the result.
            registry: The tools. Required.
            model: The model to ask.
            messages: The conversation so far.
            max_rounds: How many requests are sent at most, at least 1.
            max_concurrency: As in ``operators.run_tools``, like the three that follow.
            timeout: How many seconds a tool may take; any number if ``None``.
            on_error: Whether the model is told of a tool that failed, or the conversation fails.
            ordered: Whether results come in the order of the calls, or as they are ready.
            through: An operator for the chunks of each answer, such as ``operators.timeout_per_chunk(10)`` or
                ``operators.split_reasoning()``. To use several, put them together with ``reactivex.compose``.
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
            telemetry=None if self._traces is None else self._traces.telemetry,
        )
        run_tools(approve=approve)  # a wrong argument is reported where it stands
        events = chat_with_tools(ask, first, registry, run_tools, max_rounds=max_rounds, approve=approve)
        return events if self._traces is None else self._traces.conversation(events, first)


def _hidden(headers: Mapping[str, str] | None) -> Headers | None:
    """The headers, so that a traceback which shows variables shows no value of them."""
    return None if headers is None else Headers.of({}, headers)
