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
        kind: ``"completed"``, ``"stopped"`` by somebody, ``"failed"``, or ``"closing"`` when the server stops while the
            stream goes on.
        error: What is said of the error.
        reason: Why it was stopped, in words of the application.
    """

    kind: EndKind
    error: PublicError | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for, as far as a protocol cares.

    Attributes:
        body: The JSON object in the body of the request; empty if there is none.
        resumes: Whether the client can come back and go on where it was: items come with their positions.
    """

    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resumes: bool = False


class FrameWriter(Protocol):
    """Writes one answer."""

    @property
    def over(self) -> bool:
        """Whether the end is told: nothing of the pipeline is needed any more."""
        ...

    def begin(self) -> bytes:
        """What stands before everything else. Called once."""
        ...

    def write(self, items: Sequence[Any], /) -> bytes:
        """What items become: whole frames, or nothing.

        Raises:
            TypeError: An item is nothing that can be served.
            RxllmError: It belongs to no answer.
        """
        ...

    def end(self, end: ServedEnd, /) -> bytes:
        """What stands at the end. Called once, also when ``write`` has raised.

        Raises:
            Exception: A mistake of the protocol: the connection breaks off, or the status is 500 if nothing was sent.
        """
        ...


class ServingProtocol(Protocol):
    """How an answer is told to a client. It is a value: it has no state."""

    @property
    def name(self) -> str:
        """The name it is chosen by."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of its answers beside those of every event stream."""
        ...

    @property
    def resumes(self) -> bool:
        """Whether its clients say from where on they want a stream of a log; else they get all of it."""
        ...

    def writer(self, asked: Asked, /) -> FrameWriter:
        """A writer for one answer."""
        ...

    def refusal(self, error: PublicError, /) -> bytes | str | None:
        """The body of an answer with another status than 200: JSON as bytes, or a plain text.

        ``None`` if that is no error for its clients: the answer is empty then, with the status 204.
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
            TypeError: An item is nothing that can be served.
            RxllmError: The items are no answer.
        """
        ...


@runtime_checkable
class AnswersWhole(Protocol):
    """A ``ServingProtocol`` whose clients may ask for all of an answer at once."""

    def whole(self, asked: Asked, /) -> WholeWriter | None:
        """A writer of one object; ``None`` for a client that wants a stream."""
        ...
