"""What a protocol of serving is: the way from the items of a pipeline to what a client reads.

Rules:

1. A protocol is a value and has no state; each answer has a ``FrameWriter`` of its own, which has.
2. Frames are whole: what a method of a writer returns ends with the end of a frame, or is nothing.
3. A writer never raises for what came from a provider: an item that cannot be told ends the answer as failed.
4. The end is told once. Behind it a writer returns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from rxllm.serving._public_error import PublicError

EndKind: TypeAlias = Literal["completed", "stopped", "failed", "closing"]


@dataclass(frozen=True, slots=True)
class ServedEnd:
    """How a stream ended, for a client.

    Attributes:
        kind: ``"completed"``, ``"stopped"`` (by a stop or a cancellation), ``"failed"``, or ``"closing"`` if the server
            stops while the stream goes on.
        error: The public part of the error.
        reason: The reason for the stop, in the words of the application.
    """

    kind: EndKind
    error: PublicError | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of a request that protocols need.

    Attributes:
        body: The JSON object in the body of the request; empty if there is none.
        resumes: Whether the client can come back and go on where it was, because items come with their positions.
    """

    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resumes: bool = False


class FrameWriter(Protocol):
    """Writes one answer."""

    @property
    def over(self) -> bool:
        """Whether the end has been written: no more items are needed."""
        ...

    def begin(self) -> bytes:
        """Return what comes before everything else. Called once."""
        ...

    def write(self, items: Sequence[Any], /) -> bytes:
        """Return the frames for items: whole frames, or nothing.

        Raises:
            TypeError: An item cannot be served.
            RxllmError: An item does not belong to this answer.
        """
        ...

    def end(self, end: ServedEnd, /) -> bytes:
        """Return what comes at the end. Called once, also after ``write`` has raised.

        Raises:
            Exception: The protocol has a bug: the connection is closed, or the status is 500 if nothing was sent.
        """
        ...


class ServingProtocol(Protocol):
    """The form in which an answer is sent to a client. A protocol is a value: it has no state."""

    @property
    def name(self) -> str:
        """The name to choose it by."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of its answers besides those of every event stream."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether its clients can ask for a stream of a log from a position on; else they get all of it."""
        ...

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        ...

    def refusal(self, error: PublicError, /) -> bytes | str | None:
        """The body of an answer whose status is not 200: JSON as bytes, or a plain text.

        ``None`` if this is not an error for its clients: then the answer is empty, with the status 204.
        """
        ...


class WholeWriter(Protocol):
    """Writes one answer as one object, for a client that does not want a stream."""

    def add(self, items: Sequence[Any], /) -> None:
        """Take items; an answer may begin anew, since nothing is told yet."""
        ...

    def end(self, end: ServedEnd, /) -> bytes:
        """The answer, JSON. Called once, unless the pipeline failed.

        Raises:
            TypeError: An item cannot be served.
            RxllmError: The items are no answer.
        """
        ...


@runtime_checkable
class AnswersWhole(Protocol):
    """A ``ServingProtocol`` whose clients may ask for all of an answer at once."""

    def whole(self, asked: Asked, /) -> WholeWriter | None:
        """A writer of one object; ``None`` for a client that wants a stream."""
        ...
