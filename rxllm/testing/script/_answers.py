"""Whole answers: what one request gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from rxllm.testing.script._named_steps import compact, done, finish, role, steps_of, text, usage
from rxllm.testing.script._steps import Chunk, Event, Raw, Step, StepLike, Word, sent_by

__all__ = [
    "Answer",
    "Flood",
    "Fragment",
    "Framing",
    "Refusal",
    "answer",
    "api_error",
    "as_answer",
    "flood",
    "redirect",
    "status",
    "words",
]

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


NO_SCRIPT = "no_script"
"""The kind of the server's own refusal, for want of a script. Dialects whose errors have no kind leave it out."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error instead of an answer.

    Attributes:
        message: What the server says.
        type: The kind of the error, in the provider's word; ``None`` for that of the status.
        code: OpenAI's code for it; ``None`` for the type, if that is given, else that of the status.
    """

    message: str
    type: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Answer:
    """One HTTP response, or everything that is sent over one WebSocket.

    Attributes:
        steps: What happens, in order.
        status: The HTTP status. Over a WebSocket, any status but 200 is the answer to the handshake.
        headers: More response headers. They replace those that are sent by default.
        content_type: The media type of the body.
        framing: How the end of the body is told.
        line_end: What ends a line of the event stream.
        gzip: Whether the body is compressed, flushed after each step. Over HTTP only.
        fragment: How the body is split into writes; each write is a chunk of the transfer coding. Between two writes, a
            client in the same event loop can read, so it sees the same pieces.
        delay_per_chunk: Seconds to wait before each event.
        delay_per_write: Seconds to wait before each write but the first, so that small fragments come slowly.
        cut_after: After how many bytes of the body, including the transfer coding, the connection ends.
        frame_size: The most bytes of one WebSocket frame; a longer message is split (RFC 6455, section 5.4). ``None``:
            one frame for each message.
        speaks_first: Whether to send over a WebSocket without waiting for a first frame of the client.
        refusal: An error as the body, in the form of the dialect. There are no steps then.
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
    delay_per_write: float = 0.0
    cut_after: int | None = None
    frame_size: int | None = None
    speaks_first: bool = False
    refusal: Refusal | None = None

    def __post_init__(self) -> None:
        if isinstance(self.fragment, int) and self.fragment < 1:
            raise ValueError(f"a write has one byte or more, not {self.fragment}")
        if self.frame_size is not None and self.frame_size < 1:
            raise ValueError(f"a frame has one byte or more, not {self.frame_size}")


def answer(
    *parts: StepLike | Iterable[StepLike], finish_reason: str | None = None, completion_tokens: int | None = None
) -> tuple[Step, ...]:
    """A complete, realistic answer: an opening chunk, the parts, a finish, the usage, ``[DONE]``.

    Args:
        *parts: Steps, or iterables of steps, such as the results of ``tool_call``.
        finish_reason: ``None`` means ``tool_calls`` if there are tool calls, else ``stop``.
        completion_tokens: ``None`` counts one token for each chunk.

    >>> len(answer("Hel", "lo"))
    6
    """
    steps = [step for part in parts for step in steps_of(part)]
    chunks = [sent for step in steps for sent in sent_by(step) if isinstance(sent, Chunk)]
    tokens = len(chunks) if completion_tokens is None else completion_tokens
    reason = finish_reason or ("tool_calls" if any(map(_has_tool_call, chunks)) else "stop")
    return (role(), *steps, finish(reason), usage(completion_tokens=tokens), done())


def words(content: str) -> list[Word]:
    """Split a text into pieces as a model sends them: each word with the space before it.

    >>> words("It is late.")
    ['It', ' is', ' late.']
    """
    return [Word(piece) for piece in re.findall(r"\s*\S+|\s+$", content)]


def status(
    code: int,
    body: Mapping[str, Any] | str | bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str | None = None,
) -> Answer:
    """A complete answer that is not an event stream.

    Args:
        code: The HTTP status.
        body: A mapping is sent as JSON.
        headers: More response headers.
        content_type: ``None`` means ``application/json`` for a mapping, else ``text/plain``.
    """
    usual = "application/json" if isinstance(body, Mapping) else "text/plain; charset=utf-8"
    encoded = compact(body) if isinstance(body, Mapping) else body
    return Answer(
        steps=(Raw(encoded.encode() if isinstance(encoded, str) else encoded),),
        status=code,
        headers=dict(headers or {}),
        content_type=content_type or usual,
        framing="length",
    )


def api_error(
    status: int,
    message: str,
    *,
    type: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """A complete answer that is an error, in the form of the dialect.

    Args:
        status: The HTTP status, 429 for example; Anthropic's status for an overload is 529.
        message: What the server says.
        type: The kind of the error, in the provider's word; ``None`` for that of the status.
        code: OpenAI's code for it; ``None`` for the type, if that is given, else that of the status. Anthropic has
            none.
        headers: More response headers, as ``{"retry-after": "3"}``.
    """
    return Answer(
        status=status,
        headers=dict(headers or {}),
        content_type="application/json",
        framing="length",
        refusal=Refusal(message, type, code),
    )


def redirect(location: str, *, code: int = 307) -> Answer:
    """A redirect to another URL, of this server or another."""
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


@dataclass(frozen=True, slots=True)
class Flood:
    """Very many text chunks. They are made while they are sent, so they need no memory.

    Attributes:
        chunks: How many.
        size: The length of each text in characters, including its number.
    """

    chunks: int
    size: int = 4096

    def __iter__(self) -> Iterator[StepLike]:
        padding = "." * (self.size - 10)
        # JSON by hand: a flood is there to be fast.
        head, tail = compact(text("@").payload).split("@")
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


def _has_tool_call(chunk: Chunk) -> bool:
    choices: list[dict[str, Any]] = chunk.payload.get("choices") or []
    return any("tool_calls" in (choice.get("delta") or ()) for choice in choices)
