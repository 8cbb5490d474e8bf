"""The parts of a choice, in dialects whose answers have some.

Rules:

1. A text is kept once, as that of the choice. A part knows from where to where it has said something of it.
2. A delta that names no part belongs to the one before.
3. Of several blocks at one place the last counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rxllm.accumulators._size import size_of
from rxllm.accumulators._text import Text
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.exceptions import LimitExceededError
from rxllm.models import DeltaBlock, DeltaPart, IncompleteToolCall, MessagePart, PartKind, ToolCall

MAX_PARTS = 4096
"""How many parts a choice may have."""

_OTHER_TEXTS = ("reasoning_content", "refusal")


class Run(NamedTuple):
    """What a part has said of a text: fragments, from one to before another; ``None`` for as far as it has grown."""

    text: Text
    begin: int
    end: int | None


class PartState(NamedTuple):
    """A part as it was at one time."""

    place: int
    kind: str
    id: str | None
    name: str | None
    runs: tuple[Run, ...]
    call: int | None
    block: dict[str, Any] | None
    final: bool

    def build(self, calls: Mapping[int, ToolCall | IncompleteToolCall], content: Text, length: int) -> MessagePart:
        """The part as a model.

        Args:
            calls: What has become of the calls of the choice, by their serial numbers.
            content: The content of the choice.
            length: How far that had grown.
        """
        part = {"index": self.place, "kind": self.kind, "id": self.id, "name": self.name}
        text = "".join(_said_in(run, length if run.text is content else None) for run in self.runs)
        call = None if self.call is None else calls.get(self.call)
        if isinstance(call, ToolCall):
            part |= {"id": call.id, "name": call.function.name}
            text = call.function.arguments
        elif call is not None:
            text = call.arguments
        return MessagePart.model_validate({**part, "text": text, "block": self.block, "final": self.final})


def _said_in(run: Run, length: int | None) -> str:
    end = length if run.end is None else run.end
    return "".join(run.text.fragments[run.begin : end])


@dataclass(slots=True, eq=False)
class _Part:
    """A part under way."""

    index: int
    kind: str
    id: str | None
    name: str | None
    runs: list[Run] = field(default_factory=list[Run])
    own: Text = field(default_factory=Text)
    call: int | None = None
    block: dict[str, Any] | None = None
    final: bool = False


@dataclass(slots=True, eq=False)
class PartsFold:
    """The parts of one choice.

    Args:
        content: The content of the choice.
        texts: Its fields that grow as texts, too; they begin when something of them comes.
    """

    content: Text
    texts: Mapping[str, Text]
    _parts: dict[int, _Part] = field(default_factory=dict[int, _Part])
    _last: DeltaPart | None = None
    _current: _Part | None = None
    # How far the texts had grown when the current part went on.
    _begun: dict[str, int] = field(default_factory=dict[str, int])

    def is_at(self, part: DeltaPart) -> bool:
        """Whether that is the part that the last delta named, and says nothing by itself."""
        return part is self._last and not part.text

    def go_on(self, part: DeltaPart) -> int:
        """Take note of which part the next pieces are; before they are taken. Returns how many characters it keeps.

        Raises:
            LimitExceededError: There are too many parts.
        """
        self._last = part
        current = self._current
        if current is None or current.index != part.index:
            self._leave()
            current = self._current = self._part_at(part.index, part.kind)
            self._begun = {name: len(text) for name, text in self._grown()}
        # A part may be begun by what says less of it than what follows.
        current.kind = current.kind if part.kind == PartKind.OTHER else part.kind
        current.id = part.id or current.id
        current.name = part.name or current.name
        if part.text:
            current.own.fragments.append(part.text)
        return len(part.text or "")

    def calls(self, call: GrowingCall | None) -> None:
        """Take note that the current part is a call."""
        if self._current is not None and call is not None:
            self._current.call = call.serial

    def finish(self, blocks: Sequence[DeltaBlock]) -> int:
        """Take blocks; returns how many characters more are kept.

        Raises:
            LimitExceededError: There are too many parts.
        """
        size = 0
        for each in blocks:
            part = self._part_at(each.index, PartKind.OTHER)
            size += size_of(each.block) - (0 if part.block is None else size_of(part.block))
            part.block, part.final = dict(each.block), each.final
        return size

    def states(self) -> tuple[PartState, ...]:
        """The parts as they are now, in their order."""
        return tuple(self._state_of(part) for _, part in sorted(self._parts.items()))

    def _state_of(self, part: _Part) -> PartState:
        runs = [*part.runs]
        if part is self._current:
            runs += self._runs(is_over=False)
        if part.own:
            runs.append(Run(part.own, 0, len(part.own)))
        return PartState(part.index, part.kind, part.id, part.name, tuple(runs), part.call, part.block, part.final)

    def _leave(self) -> None:
        if self._current is not None:
            self._current.runs += self._runs(is_over=True)

    def _runs(self, *, is_over: bool) -> list[Run]:
        """What the current part has said since it went on."""
        runs: list[Run] = []
        for name, text in self._grown():
            begin = self._begun.get(name, 0)
            is_open = not is_over and text is self.content
            if is_open or len(text) > begin:
                runs.append(Run(text, begin, None if is_open else len(text)))
        return runs

    def _grown(self) -> Iterator[tuple[str, Text]]:
        """The texts that parts say something of."""
        yield "content", self.content
        for name in _OTHER_TEXTS:
            if (text := self.texts.get(name)) is not None:
                yield name, text

    def _part_at(self, index: int, kind: str) -> _Part:
        part = self._parts.get(index)
        if part is None:
            if len(self._parts) >= MAX_PARTS:
                raise LimitExceededError(
                    f"the answer has more than {MAX_PARTS} parts", limit="max_parts", maximum=MAX_PARTS
                )
            part = self._parts[index] = _Part(index, kind, None, None)
        return part
