"""How the steps of a script become what a provider sends: one class a dialect, one object an answer.

Rules:

1. Steps that wait, end the connection or send bytes and comments go through as they are, and so do events of the
   provider's own.
2. An answer opens with the first thing that is said of it.
3. One part of the answer, a text or a call, is open at a time; what is not of it ends it.
4. The finish waits for the step behind it, since providers say finish and usage together. Only usage joins it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, TypeAlias

from rxllm.testing.script._answers import Answer, Refusal
from rxllm.testing.script._named_steps import as_step, compact, keep_alive
from rxllm.testing.script._pieces import (
    CallPiece,
    Counts,
    Done,
    Failed,
    Finish,
    Opened,
    Piece,
    TextKind,
    TextPiece,
    pieces_of,
    unsayable,
)
from rxllm.testing.script._steps import Block, Burst, Chunk, Comment, Event, Frame, Raw, Stall, Step, StepLike

__all__ = ["EventRenderer", "Part", "PartKind", "Renderer", "named_event"]

PartKind: TypeAlias = TextKind | Literal["call"]

# What is counted if the script says nothing of usage.
USUAL_PROMPT_TOKENS = 7


class Renderer(ABC):
    """Says the steps of a script in a dialect.

    Args:
        number: Which request of the server is answered.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    """The path of the endpoint."""
    base_path: ClassVar[str]
    """The path of what clients are given as base URL."""
    request_id_header: ClassVar[str]

    def __init__(self, number: int) -> None:
        self.number = number

    @property
    def request_id(self) -> str:
        """The identifier of the request."""
        return f"req-{self.number}"

    def rendered(self, answer: Answer) -> Answer:
        """The answer as the provider sends it."""
        steps = self.steps(answer.steps)
        if answer.refusal is not None:
            steps = (Raw(compact(self.error_body(answer.refusal, answer.status)).encode()),)
        return replace(answer, steps=steps, headers={self.request_id_header: self.request_id, **answer.headers})

    @abstractmethod
    def steps(self, steps: Iterable[StepLike]) -> Iterable[StepLike]:
        """The steps, with what the provider sends in the place of what they say."""

    @abstractmethod
    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """The body of an answer that is a refusal."""


@dataclass(slots=True)
class Part:
    """A part of an answer that is being sent.

    Attributes:
        index: Its place in the answer.
        kind: What it is.
        call: The call's index, identifier and name, as the script has them.
        texts: What has come of its text or arguments.
    """

    index: int
    kind: PartKind
    call: CallPiece = field(default_factory=lambda: CallPiece(0, None, None, None))
    texts: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        """All that has come."""
        return "".join(self.texts)

    def is_of(self, piece: TextPiece | CallPiece) -> bool:
        """Whether the piece goes on with this part."""
        if isinstance(piece, TextPiece):
            return piece.kind == self.kind
        return self.kind == "call" and piece.index == self.call.index and piece.id in {None, self.call.id}


def named_event(payload: dict[str, Any]) -> Event:
    """An event with JSON data that is named by its type."""
    return Event(compact(payload), event=payload["type"])


class EventRenderer(Renderer):
    """A dialect whose answers have parts that begin and end."""

    keep_alive: Comment | Event | Raw = keep_alive()

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._opened = False
        self._part: Part | None = None
        self._parts = 0
        self._said = 0
        self._counts: Counts | None = None
        self._reason: str | None = None

    @property
    def counts(self) -> Counts:
        """What usage says: what the script says of it, or a token for each piece."""
        return self._counts or Counts(USUAL_PROMPT_TOKENS, self._said)

    def steps(self, steps: Iterable[StepLike]) -> Iterator[Step]:
        """The steps, with the provider's events."""
        for item in steps:
            match as_step(item):
                case Burst(parts):
                    if sent := tuple(each for part in parts for each in self._rendered(part)):
                        yield Burst(sent)
                case (Block() | Chunk() | Comment() | Event() | Frame() | Raw()) as step:
                    yield from self._rendered(step)
                case step:
                    yield from self._finished()
                    yield replace(step, sends=self.keep_alive) if isinstance(step, Stall) else step
        yield from self._finished()

    def _rendered(
        self, step: Block | Chunk | Comment | Event | Frame | Raw
    ) -> Iterator[Event | Frame | Comment | Raw | Chunk | Block]:
        pieces = pieces_of(step, self.name)
        if pieces is None:
            yield from self._finished()
            yield self.keep_alive if step == keep_alive() else step
        for piece in pieces or ():
            yield from self._render(piece)

    def _render(self, piece: Piece) -> Iterator[Event]:
        if isinstance(piece, Counts):
            self._counts = piece
            return
        yield from self._finished()
        match piece:
            case Failed():
                yield from self.failed(piece)
            case Done():
                yield from self._end_part()
                yield from self.done()
            case _:
                if not self._opened:
                    self._opened = True
                    yield from self.opened()
                yield from self._render_content(piece)

    def _render_content(self, piece: Opened | TextPiece | CallPiece | Block | Finish) -> Iterator[Event]:
        match piece:
            case Opened():
                pass
            case Finish(reason):
                yield from self._end_part(cut=reason == "length")
                self._reason = reason
            case Block(block):
                yield from self._end_part()
                self._said += 1
                yield from self.block(self._next_index(), block)
            case _:
                yield from self._add(piece)

    def _add(self, piece: TextPiece | CallPiece) -> Iterator[Event]:
        part = self._part
        if part is None or not part.is_of(piece):
            yield from self._end_part()
            part = self._part = self._new_part(piece)
            yield from self.begun(part)
        text = piece.text if isinstance(piece, TextPiece) else piece.arguments
        if text is not None:
            part.texts.append(text)
            self._said += 1
            yield from self.added(part, text)

    def _new_part(self, piece: TextPiece | CallPiece) -> Part:
        if isinstance(piece, TextPiece):
            return Part(self._next_index(), piece.kind)
        if not (piece.id and piece.name):
            what = f"a piece of call {piece.index} that neither begins it, with id and name, nor follows its last piece"
            raise unsayable(self.name, what)
        return Part(self._next_index(), "call", piece)

    def _next_index(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _end_part(self, *, cut: bool = False) -> Iterator[Event]:
        part, self._part = self._part, None
        if part is not None:
            yield from self.ended(part, cut=cut)

    def _finished(self) -> Iterator[Event]:
        reason, self._reason = self._reason, None
        if reason is not None:
            yield from self.finished(reason)

    # What a dialect says

    @abstractmethod
    def opened(self) -> Iterable[Event]:
        """The answer begins."""

    @abstractmethod
    def begun(self, part: Part) -> Iterable[Event]:
        """A part begins; it is empty."""

    @abstractmethod
    def added(self, part: Part, text: str) -> Iterable[Event]:
        """A part goes on with this text."""

    @abstractmethod
    def ended(self, part: Part, *, cut: bool) -> Iterable[Event]:
        """A part ends; ``cut`` if the model ended in the middle of it."""

    @abstractmethod
    def block(self, index: int, block: dict[str, Any]) -> Iterable[Event]:
        """A whole block of the provider's own."""

    @abstractmethod
    def finished(self, reason: str) -> Iterable[Event]:
        """The model has ended; ``counts`` are known."""

    @abstractmethod
    def done(self) -> Iterable[Event]:
        """The stream is over."""

    @abstractmethod
    def failed(self, failed: Failed) -> Iterable[Event]:
        """An error of the server in the stream."""
