"""Functions that make steps; those that make chunks, in the shape of OpenAI's ``chat.completion.chunk``.

(https://platform.openai.com/docs/api-reference/chat-streaming)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel

from rxllm.testing.script._steps import (
    Block,
    Burst,
    Chunk,
    Close,
    Comment,
    Cut,
    Delay,
    Event,
    HalfClose,
    Notify,
    Raw,
    Reset,
    Stall,
    Step,
    StepLike,
    WaitFor,
    sent_by,
)

__all__ = [
    "as_step",
    "block",
    "burst",
    "chunk",
    "close",
    "comment",
    "compact",
    "cut",
    "delay",
    "delta",
    "done",
    "error",
    "finish",
    "half_close",
    "keep_alive",
    "notify",
    "raw",
    "reasoning",
    "reset",
    "role",
    "stall",
    "steps_of",
    "text",
    "tool_call",
    "tool_call_delta",
    "usage",
    "wait_for",
]


def as_step(item: StepLike) -> Step:
    """Turn a plain value into the step that it stands for.

    >>> as_step(b": hello")
    Raw(data=b': hello')
    """
    match item:
        case str():
            return text(item)
        case bytes():
            return Raw(item)
        case BaseModel():
            return Chunk(item.model_dump(mode="json", exclude_unset=True))
        case Mapping():
            return Chunk(item)
        case _:
            return cast("Step", item)  # all kinds of ScriptStep that there are


def chunk(payload: Mapping[str, Any]) -> Chunk:
    """A chunk, sent as it is."""
    return Chunk(payload)


def delta(content: Mapping[str, Any], *, choice: int = 0, finish_reason: str | None = None) -> Chunk:
    """A chunk with this delta."""
    return _completion_chunk([{"index": choice, "delta": dict(content), "finish_reason": finish_reason}])


def block(content: Mapping[str, Any]) -> Block:
    """A complete block of an answer in the provider's format: of Anthropic's ``content``, or of the ``output`` of
    Responses.

    It is sent as the provider sends it, with its texts as deltas. Chat completions have no blocks.
    """
    return Block(dict(content))


def role(name: str = "assistant", *, choice: int = 0) -> Chunk:
    """The chunk that opens an answer."""
    return delta({"role": name, "content": ""}, choice=choice)


def text(content: str, *, choice: int = 0) -> Chunk:
    """A chunk with a piece of text."""
    return delta({"content": content}, choice=choice)


def reasoning(content: str, *, choice: int = 0) -> Chunk:
    """A chunk with a piece of reasoning, as vLLM, DeepSeek and llama.cpp send it."""
    return delta({"reasoning_content": content}, choice=choice)


def tool_call_delta(
    arguments: str | None = None,
    *,
    index: int = 0,
    id: str | None = None,
    name: str | None = None,
    choice: int = 0,
) -> Chunk:
    """A chunk with one fragment of a tool call. Arguments that are ``None`` are left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    opening = {} if id is None else {"id": id, "type": "function"}
    return delta({"tool_calls": [{"index": index, **opening, "function": function}]}, choice=choice)


def tool_call(
    name: str,
    arguments: Mapping[str, Any] | str,
    *,
    id: str = "call_0",
    index: int = 0,
    choice: int = 0,
    piece_length: int = 5,
) -> tuple[Chunk, ...]:
    """A complete tool call: a fragment with id and name, then the arguments in pieces of ``size`` characters."""
    encoded = arguments if isinstance(arguments, str) else json.dumps(arguments)
    pieces = (encoded[start : start + piece_length] for start in range(0, len(encoded), piece_length))
    return (
        tool_call_delta("", index=index, id=id, name=name, choice=choice),
        *(tool_call_delta(piece, index=index, choice=choice) for piece in pieces),
    )


def finish(reason: str = "stop", *, choice: int = 0) -> Chunk:
    """The last chunk of a choice."""
    return delta({}, choice=choice, finish_reason=reason)


def usage(
    prompt_tokens: int = 7, completion_tokens: int = 5, *, cached_tokens: int = 0, reasoning_tokens: int = 0
) -> Chunk:
    """The chunk without choices that has the token counts.

    Args:
        prompt_tokens: Tokens of the request, including cached ones.
        completion_tokens: Tokens of the answer, including those of the reasoning.
        cached_tokens: How many tokens of the request were in the cache.
        reasoning_tokens: How many tokens of the answer were reasoning.
    """
    counts: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    if cached_tokens:
        counts["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    if reasoning_tokens:
        counts["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return _completion_chunk([], usage=counts)


def done() -> Event:
    """``[DONE]``, which ends the stream; ``message_stop`` for Anthropic, nothing for Responses."""
    return Event("[DONE]")


def error(message: str, *, type: str = "server_error", code: str | int | None = None) -> Event:
    """An error in the middle of the stream, in the form of the dialect. For another form, use ``Event``."""
    return Event(compact({"error": {"message": message, "type": type, "code": code}}))


def comment(content: str = "") -> Comment:
    """A comment line; over a WebSocket, a ping frame."""
    return Comment(content)


def keep_alive() -> Comment:
    """The comment that OpenRouter sends while it waits for a model; Anthropic sends an event named ``ping``."""
    return Comment("OPENROUTER PROCESSING")


def raw(data: bytes) -> Raw:
    """Bytes of the body as they are."""
    return Raw(data)


def delay(seconds: float) -> Delay:
    """A wait of so many seconds."""
    return Delay(seconds)


def wait_for(event: asyncio.Event) -> WaitFor:
    """A wait until the event is set."""
    return WaitFor(event)


def notify(event: asyncio.Event) -> Notify:
    """A step that sets the event when the script has come this far."""
    return Notify(event)


def stall(*, keep_alive: float | None = None) -> Stall:
    """Silence until the peer leaves, as from a server that has vanished.

    Args:
        keep_alive: Seconds before each comment (over a WebSocket, each ping). ``None``: no comments.
    """
    return Stall(keep_alive)


def cut() -> Cut:
    """The end of the connection (FIN), in the middle of the answer."""
    return Cut()


def half_close() -> HalfClose:
    """The end of the server's direction (FIN); the connection stays half-open until the peer leaves.

    A peer that does not close its side leaks a socket: see ``ReceivedRequest.peer_left``. TLS has no half-open
    connections (``asyncio.WriteTransport.can_write_eof``).
    """
    return HalfClose()


def reset() -> Reset:
    """A reset of the connection (RST)."""
    return Reset()


def close(code: int | None = 1000, reason: str = "") -> Close:
    """A WebSocket close frame with this code; ``None`` for a frame without a code (RFC 6455, section 7.1.5)."""
    return Close(code, reason)


def burst(*parts: StepLike | Iterable[StepLike]) -> Burst:
    r"""Several steps in one write, so probably in one read.

    Args:
        *parts: Steps that send something, or iterables of them, such as the result of ``answer``.

    Raises:
        TypeError: A step waits for something, or ends the connection.

    >>> burst("Hel", "lo") == Burst((text("Hel"), text("lo")))
    True
    """
    steps = [step for part in parts for step in steps_of(part)]
    for step in steps:
        if not sent_by(step):
            raise TypeError(f"{step!r} sends nothing: it cannot be part of a burst")
    return Burst(tuple(sent for step in steps for sent in sent_by(step)))


def steps_of(part: StepLike | Iterable[StepLike]) -> list[Step]:
    """Turn one or several plain values into steps.

    >>> steps_of(["Hel", b"x"]) == [text("Hel"), Raw(b"x")]
    True
    """
    if isinstance(part, str | bytes | Mapping | BaseModel) or not isinstance(part, Iterable):
        # Mappings and models can be iterated over, but that is not what they are here for.
        return [as_step(cast("StepLike", part))]
    return [as_step(item) for item in part]


def _completion_chunk(choices: list[dict[str, Any]], **fields: Any) -> Chunk:
    return Chunk(
        {
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": 1_750_000_000,
            "model": "scripted",
            "choices": choices,
            **fields,
        }
    )


def compact(value: Any) -> str:
    """JSON without needless spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
