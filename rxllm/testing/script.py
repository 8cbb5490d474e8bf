"""What the scripted chat server sends: steps, answers, and functions that make them.

Rules:

1. An answer is a sequence of steps. A step sends something, waits for something, or ends the connection.
2. Plain things are steps too: ``str`` is a chunk with a text delta, a mapping or a pydantic model is a chunk as
   it stands, ``bytes`` are bytes of the body.
3. A whole answer may be a plain thing as well: ``str`` is a realistic answer with that text, word by word;
   ``bytes`` are a recorded body; any other iterable holds steps, a generator is consumed while it is sent.
4. Steps and answers are immutable, so that one script answers many requests. A generator answers one.

Chunks have the shape of OpenAI's ``chat.completion.chunk``
(https://platform.openai.com/docs/api-reference/chat-streaming).

>>> from rxllm.testing import script
>>> broken = [script.text("Hel"), script.delay(0.1), "lo", script.cut()]
>>> busy = script.status(429, {"error": {"message": "slow down"}}, headers={"retry-after": "3"})
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from pydantic import BaseModel

__all__ = [
    "Answer",
    "Chunk",
    "Close",
    "Comment",
    "Cut",
    "Delay",
    "Event",
    "Flood",
    "Fragment",
    "Framing",
    "Notify",
    "Raw",
    "Reset",
    "Sent",
    "Stall",
    "Step",
    "StepLike",
    "WaitFor",
    "answer",
    "as_answer",
    "as_step",
    "chunk",
    "close",
    "comment",
    "cut",
    "delay",
    "delta",
    "done",
    "error",
    "finish",
    "flood",
    "keep_alive",
    "notify",
    "raw",
    "reasoning",
    "redirect",
    "reset",
    "role",
    "stall",
    "status",
    "text",
    "tool_call",
    "tool_call_delta",
    "usage",
    "wait_for",
    "words",
]


# Steps


@dataclass(frozen=True, slots=True)
class Chunk:
    """Sends a JSON object: the data of an event, or a text frame."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Sends an event with any data, or a text frame of it; what is ``None`` is left out."""

    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """Sends a comment line, which is no event; over a WebSocket, a ping frame."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Raw:
    """Sends bytes of the body as they are; over a WebSocket, bytes of the connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Delay:
    """Waits for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Waits until the event is set."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Notify:
    """Sets the event: the script has come this far."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Stall:
    """Sends nothing more until the peer leaves."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Ends the connection (FIN) although the answer is not whole."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets the connection (RST)."""


@dataclass(frozen=True, slots=True)
class Close:
    """Ends a WebSocket with a close frame (RFC 6455, section 7.4); over HTTP, the same as ``Cut``."""

    code: int = 1000
    reason: str = ""


Sent: TypeAlias = Chunk | Event | Comment | Raw
"""A step that sends something."""

Step: TypeAlias = Sent | Delay | WaitFor | Notify | Stall | Cut | Reset | Close

StepLike: TypeAlias = Step | str | bytes | Mapping[str, Any] | BaseModel
"""A step, or a plain thing that is turned into one."""


def as_step(item: StepLike) -> Step:
    """The step that a plain thing stands for.

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
            return item


# Steps by name


def chunk(payload: Mapping[str, Any]) -> Chunk:
    """A chunk as it stands."""
    return Chunk(payload)


def delta(content: Mapping[str, Any], *, choice: int = 0, finish_reason: str | None = None) -> Chunk:
    """A chunk with this delta."""
    return _completion_chunk([{"index": choice, "delta": dict(content), "finish_reason": finish_reason}])


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
    """A chunk with one fragment of a tool call; what is ``None`` is left out."""
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
    """A whole tool call: a fragment with id and name, then the arguments in pieces of so many characters."""
    encoded = arguments if isinstance(arguments, str) else json.dumps(arguments)
    pieces = (encoded[start : start + piece_length] for start in range(0, len(encoded), piece_length))
    return (
        tool_call_delta("", index=index, id=id, name=name, choice=choice),
        *(tool_call_delta(piece, index=index, choice=choice) for piece in pieces),
    )


def finish(reason: str = "stop", *, choice: int = 0) -> Chunk:
    """The last chunk of a choice."""
    return delta({}, choice=choice, finish_reason=reason)


def usage(prompt_tokens: int = 7, completion_tokens: int = 5) -> Chunk:
    """The chunk without choices that counts tokens."""
    counts = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    return _completion_chunk([], usage=counts)


def done() -> Event:
    """``[DONE]``, which ends the stream."""
    return Event("[DONE]")


def error(message: str, *, type: str = "server_error", code: str | int | None = None) -> Event:
    """An error object in the middle of the stream, in OpenAI's shape; use ``Event`` for another one."""
    return Event(_compact({"error": {"message": message, "type": type, "code": code}}))


def comment(content: str = "") -> Comment:
    """A comment line; over a WebSocket, a ping frame."""
    return Comment(content)


def keep_alive() -> Comment:
    """The comment that OpenRouter sends while it waits for a model."""
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
    """Sets the event when the script has come this far."""
    return Notify(event)


def stall() -> Stall:
    """Silence until the peer leaves."""
    return Stall()


def cut() -> Cut:
    """The end of the connection (FIN), in the middle of the answer."""
    return Cut()


def reset() -> Reset:
    """A reset of the connection (RST)."""
    return Reset()


def close(code: int = 1000, reason: str = "") -> Close:
    """A WebSocket close frame with this code."""
    return Close(code, reason)


@dataclass(frozen=True, slots=True)
class Flood:
    """Very many text chunks, made while they are sent, so that they need no memory.

    Attributes:
        chunks: How many.
        size: The length of the text of each in characters, its number included.
    """

    chunks: int
    size: int = 4096

    def __iter__(self) -> Iterator[StepLike]:
        padding = "." * (self.size - 10)
        # JSON by hand: a flood is there to be fast.
        head, tail = _compact(text("@").payload).split("@")
        for number in range(self.chunks):
            yield Event(f"{head}{number:010}{padding}{tail}")
        yield finish()
        yield done()


def flood(total_bytes: int, *, size: int = 4096) -> Flood:
    """About so many bytes of text in chunks of ``size``; each text begins with its number, in ten digits.

    >>> sum(1 for _ in flood(200_000, size=1000))
    202
    """
    return Flood(total_bytes // size, size)


# Answers

Framing: TypeAlias = Literal["chunked", "length", "close", "none"]
"""How the end of a body is told (RFC 9112, section 6.3).

``"chunked"`` is chunked transfer coding; ``"length"`` a Content-Length that counts all steps, those behind a cut
too; ``"close"`` the end of the connection; ``"none"`` sends the steps and nothing else: they bring status line and
headers themselves.
"""

Fragment: TypeAlias = int | Sequence[int] | Callable[[bytes], Iterable[bytes]] | None
"""How a body is cut into writes.

``None`` is a write a step; a number, so many bytes a write; a sequence, the positions in the body where it is cut;
a function gets what a step sends and returns its pieces.
"""


@dataclass(frozen=True)
class Answer:
    """One HTTP response, or what is sent over one WebSocket.

    Attributes:
        steps: What happens, in order.
        status: The HTTP status. Over a WebSocket, anything but 200 is the answer to the handshake.
        headers: More response headers, or other values for those that are sent anyway.
        content_type: The media type of the body.
        framing: How the end of the body is told.
        line_end: What ends a line of the event stream.
        gzip: Whether the body is compressed, flushed after each step.
        fragment: How the body is cut into writes; each write is a chunk of the transfer coding. Between two of
            them a client in the same event loop gets to read, so that it sees the same pieces.
        delay_per_chunk: Seconds to wait before each event.
        cut_after: The connection ends after so many bytes of the body, those of the transfer coding counted.
        speaks_first: Over a WebSocket, do not wait for a first frame of the client.
    """

    steps: Iterable[StepLike] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "text/event-stream"
    framing: Framing = "chunked"
    line_end: Literal["\n", "\r", "\r\n"] = "\n"
    gzip: bool = False
    fragment: Fragment = None
    delay_per_chunk: float = 0.0
    cut_after: int | None = None
    speaks_first: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.fragment, int) and self.fragment < 1:
            raise ValueError(f"a write has one byte or more, not {self.fragment}")


def answer(
    *parts: StepLike | Iterable[StepLike], finish_reason: str | None = None, completion_tokens: int | None = None
) -> tuple[Step, ...]:
    """A whole, realistic answer: an opening chunk, the parts, a finish, the usage, ``[DONE]``.

    Args:
        *parts: Steps, or iterables of them such as ``tool_call`` returns.
        finish_reason: ``None`` says ``tool_calls`` if there are any, else ``stop``.
        completion_tokens: ``None`` counts a token a chunk.

    >>> len(answer("Hel", "lo"))
    6
    """
    steps = [step for part in parts for step in _steps_of(part)]
    tokens = sum(isinstance(step, Chunk) for step in steps) if completion_tokens is None else completion_tokens
    reason = finish_reason or ("tool_calls" if any(map(_has_tool_call, steps)) else "stop")
    return (role(), *steps, finish(reason), usage(completion_tokens=tokens), done())


def words(content: str) -> list[str]:
    """The text in pieces as a model sends them: each word with the space before it.

    >>> words("It is late.")
    ['It', ' is', ' late.']
    """
    return re.findall(r"\s*\S+|\s+$", content)


def status(
    code: int,
    body: Mapping[str, Any] | str | bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> Answer:
    """A whole answer that is no event stream.

    Args:
        code: The HTTP status.
        body: A mapping is sent as JSON.
        headers: More response headers.
        content_type: ``None`` is ``application/json`` for a mapping, else ``text/plain``.
    """
    usual = "application/json" if isinstance(body, Mapping) else "text/plain; charset=utf-8"
    encoded = _compact(body) if isinstance(body, Mapping) else body
    return Answer(
        steps=(Raw(encoded.encode() if isinstance(encoded, str) else encoded),),
        status=code,
        headers=dict(headers or {}),
        content_type=content_type or usual,
        framing="length",
    )


def redirect(location: str, *, code: int = 307) -> Answer:
    """A redirect to another address, of this server or of another one."""
    return status(code, headers={"location": location})


def as_answer(script: Answer | str | bytes | Iterable[StepLike]) -> Answer:
    """The answer that a plain thing stands for."""
    match script:
        case Answer():
            return script
        case str():
            return Answer(answer(*words(script)))
        case bytes():
            return Answer((Raw(script),))
        case _:
            return Answer(script)


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


def _steps_of(part: StepLike | Iterable[StepLike]) -> list[Step]:
    if isinstance(part, str | bytes | Mapping | BaseModel) or not isinstance(part, Iterable):
        # Mappings and models can be iterated over, but that is not what they are here for.
        return [as_step(cast("StepLike", part))]
    return [as_step(item) for item in part]


def _has_tool_call(step: Step) -> bool:
    choices: list[dict[str, Any]] = (step.payload.get("choices") or []) if isinstance(step, Chunk) else []
    return any("tool_calls" in (choice.get("delta") or ()) for choice in choices)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
