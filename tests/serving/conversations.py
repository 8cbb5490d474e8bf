"""Answers and conversations to serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import reactivex

from rxllm import operators as ops
from rxllm import serving
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatCompleted,
    ChatCompletion,
    ReasoningDelta,
    RoundCompleted,
    StreamChunk,
    TextDelta,
    ToolCall,
    ToolCallEvent,
    ToolInputDelta,
    ToolResult,
    ToolResultEvent,
)
from rxllm.serving import Asked, ServedEnd, ServingProtocol
from tests.recorded import each_of, streams

DIALECTS = ("openai-chat", "anthropic", "openai-responses")
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CALL = ToolCall.model_validate({"id": "c1", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}})


def completion(content: str, *, reason: str = "stop", **message: Any) -> ChatCompletion:
    """A whole answer."""
    choice = {"index": 0, "message": {"content": content, **message}, "finish_reason": reason}
    return ChatCompletion.model_validate({"choices": [choice], "usage": USAGE, "model": "m"})


CALLING = completion("Let me see.", reason="tool_calls", tool_calls=[CALL.model_dump()])
SAID = completion("It is sunny.")

FIRST_ROUND = (
    ReasoningDelta(round=1, text="Oslo, "),
    ReasoningDelta(round=1, text="then."),
    TextDelta(round=1, text="Let me "),
    TextDelta(round=1, text="see."),
    ToolInputDelta(round=1, index=0, id="c1", name="weather", text='{"city": '),
    ToolInputDelta(round=1, index=0, text='"Oslo"}'),
    ToolCallEvent(round=1, call=CALL),
)
ASKED = (*FIRST_ROUND, ApprovalRequested(round=1, call=CALL))
CONVERSATION = (
    *ASKED,
    ApprovalGiven(round=1, call=CALL, decision=Approved()),
    ToolResultEvent(round=1, result=ToolResult(call=CALL, content='{"sky": "clear"}')),
    RoundCompleted(round=1, completion=CALLING, messages=()),
    TextDelta(round=2, text="It is "),
    TextDelta(round=2, text="sunny."),
    RoundCompleted(round=2, completion=SAID, messages=()),
    ChatCompleted(round=2, completion=SAID, messages=()),
)
"""A conversation with a tool that is run here."""


def chunk(*choices: dict[str, Any], **fields: Any) -> StreamChunk:
    """A chunk of an answer."""
    return StreamChunk.from_wire({"id": "a", "created": 1, "model": "m", "choices": list(choices), **fields})


def delta(index: int = 0, *, reason: str | None = None, **fields: Any) -> StreamChunk:
    """A chunk with one choice."""
    return chunk({"index": index, "delta": fields, "finish_reason": reason})


def call_piece(index: int | None, text: str | None = None, **fields: Any) -> StreamChunk:
    """A chunk with a fragment of a call."""
    function = {
        key: value for key, value in (("name", fields.pop("name", None)), ("arguments", text)) if value is not None
    }
    return delta(tool_calls=[{"index": index, "function": function, **fields}])


ANSWER = (
    delta(role="assistant", content=""),
    delta(reasoning="Hm. "),
    delta(content="Hel"),
    delta(content="lo"),
    delta(reason="stop"),
    chunk(usage=USAGE),
)
CALLS = (
    delta(content="Two calls."),
    call_piece(0, id="c1", name="weather"),
    call_piece(0, '{"city": '),
    call_piece(0, '"Oslo"}'),
    # What many servers get wrong: the index once more, and all of it at once.
    call_piece(0, '{"city": "Rome"}', id="c2", name="weather"),
    delta(reason="tool_calls"),
    chunk(usage=USAGE),
)
"""An answer with calls for the client."""


def written(protocol: ServingProtocol, items: Iterable[object], end: ServedEnd | None = None, **body: Any) -> bytes:
    """What a client gets whose request has a body."""
    writer = protocol.writer(Asked(body=body))
    return writer.begin() + writer.write(tuple(items)) + writer.end(end or ServedEnd("completed"))


def framed(protocol: ServingProtocol, items: Iterable[object], error: Exception | None = None) -> bytes:
    """What a client gets of a pipeline that ends so."""
    source = reactivex.from_iterable(items)
    frames: list[bytes] = []
    serving.frames(
        source if error is None else reactivex.concat(source, reactivex.throw(error)), protocol=protocol
    ).subscribe(frames.append)
    return b"".join(frames)


every_recorded = each_of(streams(*DIALECTS), "dialect", "wire")


def read(wire: bytes, dialect: str) -> tuple[list[StreamChunk], list[Exception]]:
    """The chunks of a stream, and the error at its end."""
    chunks: list[StreamChunk] = []
    errors: list[Exception] = []
    reactivex.of(wire).pipe(ops.decode_sse(), ops.parse(dialect)).subscribe(chunks.append, errors.append)
    return chunks, errors
