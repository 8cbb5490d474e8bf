"""What a process says of its streams: one JSON document, between the inspector and whoever asks it.

Rules:

1. ``format`` grows when what a field means changes. Fields that are new come without that: who does not know them
   passes them over.
2. Times are seconds up to now, as no two processes agree on a clock.
3. Names are those of code, models and hosts. There is no text of a message, unless the application asked for that.
4. Everything is bounded. What is left out is counted.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "FORMAT",
    "NAME_LENGTH",
    "Hold",
    "LoopReport",
    "Report",
    "Request",
    "SourceReport",
    "StageReport",
    "StreamReport",
]

FORMAT = 1
"""The version of the document."""

NAME_LENGTH = 100
"""How many characters of a name are told."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, in one line.

    Attributes:
        format: The version of the document that is understood.
        token: What shows that whoever asks could read the file of the process, where a port is no secret.
    """

    format: int = FORMAT
    token: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A pause.

    Attributes:
        by: Who holds it.
        seconds: For how long.
    """

    by: str
    seconds: float


class SourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a stream.

    Attributes:
        number: Tells it from the others of the process.
        name: The function that made it.
        seconds: How long ago it was subscribed to.
        items: How many items it has given.
        bytes: How many bytes of the body have come, if it reads from a network.
        silent: For how many seconds no byte has come.
        paused: How many seconds it was paused in all.
        holds: Who pauses it.
        dialect: What the answer is read in.
        model: The model that answers.
        host: Where the request went.
        request_id: The server's identifier of it.
        attempt: Which try it is.
    """

    number: int
    name: str
    seconds: float
    items: int
    bytes: int | None = None
    silent: float | None = None
    paused: float = 0.0
    holds: list[Hold] = []
    dialect: str | None = None
    model: str | None = None
    host: str | None = None
    request_id: str | None = None
    attempt: int = 1


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A place where items wait: an operator, or the consumer.

    Attributes:
        name: What it is called.
        waiting: How much waits, or is being dealt with.
        size: How much makes it pause the producer; ``None`` where nothing is counted.
        unit: What is counted.
        dropped: How many items a lossy one has dropped.
        holds: Who pauses it.
    """

    name: str
    waiting: int
    size: int | None = None
    unit: str = "items"
    dropped: int = 0
    holds: list[Hold] = []


class StreamReport(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline that somebody has subscribed to.

    Attributes:
        number: Tells it from the others of the process.
        seconds: How long ago that was.
        loop: The event loop that it lives in: an index into ``loops``.
        sources: Its sources, if they are ours.
        stages: Where items wait, from the source to the consumer.
        text: The last of its text, if the application has asked for that.
    """

    number: int
    seconds: float
    loop: int | None = None
    sources: list[SourceReport] = []
    stages: list[StageReport] = []
    text: str | None = None


class LoopReport(msgspec.Struct, frozen=True, kw_only=True):
    """An event loop.

    Attributes:
        thread: The thread that it runs in.
        running: Whether it runs.
        silent: For how many seconds it has not answered; 0 if it did.
        at: Where its thread stands in the code, if it did not answer: the innermost call, and the one of the
            application that led there.
    """

    thread: str
    running: bool
    silent: float = 0.0
    at: list[str] = []


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A process.

    Attributes:
        format: The version of this document.
        pid: The process.
        program: What it runs.
        version: That of the library.
        seconds: How long streams have been noted.
        streams: The streams, first those that are held, longest first, then the oldest.
        more: How many more there are.
        loops: The event loops that they live in.
    """

    format: int = FORMAT
    pid: int
    program: str
    version: str
    seconds: float
    streams: list[StreamReport] = []
    more: int = 0
    loops: list[LoopReport] = []
