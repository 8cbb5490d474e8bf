"""The steps of a script: what each does, and nothing of how.

A step is frozen, so that one script answers many requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from rxllm.wire import HeaderValue

__all__ = [
    "Block",
    "Burst",
    "Chunk",
    "Close",
    "Comment",
    "Cut",
    "Delay",
    "Event",
    "Frame",
    "HalfClose",
    "Line",
    "Notify",
    "Raw",
    "Reset",
    "ScriptStep",
    "Sent",
    "Stall",
    "Step",
    "StepLike",
    "WaitFor",
    "Word",
    "sent_by",
]


class ScriptStep:
    """The base of all steps, so that a list of several kinds has a type."""

    __slots__ = ()


class Word(str, ScriptStep):
    """A piece of text; it stands for a chunk with that text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Chunk(ScriptStep):
    """Sends a JSON object: the data of an event, or a text frame."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event(ScriptStep):
    """Sends an event with any data, or a text frame with it. Fields that are ``None`` are left out."""

    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True)
class Line(Event):
    """Sends a line of text, in a body of JSON lines."""


@dataclass(frozen=True, slots=True)
class Frame(ScriptStep):
    """Sends a frame of AWS (``application/vnd.amazon.eventstream``)."""

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Comment(ScriptStep):
    """Sends a comment line, which is not an event; over a WebSocket, a ping frame."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Raw(ScriptStep):
    """Sends bytes of the body as they are; over a WebSocket, bytes of the connection."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Block(ScriptStep):
    """Sends a complete block of an answer, in the provider's format. Chat completions have no blocks."""

    block: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Burst(ScriptStep):
    """Sends several steps in one write."""

    steps: tuple[Chunk | Event | Frame | Comment | Raw | Block, ...]


@dataclass(frozen=True, slots=True)
class Delay(ScriptStep):
    """Waits for a number of seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor(ScriptStep):
    """Waits until the event is set."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Notify(ScriptStep):
    """Sets the event: the script has come this far."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Stall(ScriptStep):
    """Sends nothing more until the peer leaves, except keep-alives if the seconds between them are given."""

    keep_alive: float | None = None
    sends: Comment | Event | Frame | Raw = Comment("OPENROUTER PROCESSING")


@dataclass(frozen=True, slots=True)
class Cut(ScriptStep):
    """Ends the connection (FIN) although the answer is not whole."""


@dataclass(frozen=True, slots=True)
class HalfClose(ScriptStep):
    """Ends the server's direction (FIN) and keeps the other open until the peer leaves."""


@dataclass(frozen=True, slots=True)
class Reset(ScriptStep):
    """Resets the connection (RST)."""


@dataclass(frozen=True, slots=True)
class Close(ScriptStep):
    """Ends a WebSocket with a close frame (RFC 6455, section 7.4), with or without a code; over HTTP, like ``Cut``."""

    code: int | None = 1000
    reason: str = ""


Sent: TypeAlias = Chunk | Event | Frame | Comment | Raw | Block | Burst
"""A step that sends something."""

Step: TypeAlias = Sent | Delay | WaitFor | Notify | Stall | Cut | HalfClose | Reset | Close
"""Something that the server does."""

StepLike: TypeAlias = ScriptStep | str | bytes | Mapping[str, Any] | BaseModel
"""A step, or a plain thing that is turned into one."""


def sent_by(step: Step) -> tuple[Chunk | Event | Frame | Comment | Raw | Block, ...]:
    """What a step sends, one by one; nothing, if it waits for something or ends the connection.

    >>> sent_by(Burst((Comment("a"), Raw(b"b"))))
    (Comment(text='a'), Raw(data=b'b'))
    """
    match step:
        case Burst(steps):
            return steps
        case Chunk() | Event() | Frame() | Comment() | Raw() | Block():
            return (step,)
        case _:
            return ()
