"""The parts of a choice, in dialects whose answers have some.

Rules:

1. A text is kept once, as that of the choice. A part knows from where to where it has said something of it.
2. A delta that names no part belongs to the one before. Content belongs to the last part that may have some: an
   operator that holds text back may give it when a call has begun.
3. Of several blocks at one place the last counts, and so it is with the identifier and the name of a part.
4. The state of a part is made anew only if that part has changed.
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

_BESIDE_CONTENT = ("reasoning_content", "reasoning", "refusal")
_REFUSAL = "refusal"
WITHOUT_CONTENT = frozenset[str]({*PartKind} - {PartKind.TEXT, PartKind.OTHER})
"""The kinds of parts that have no content. An operator that holds text back may give it when one has begun."""


class Run(NamedTuple):
    """What a part has said of a text: fragments, from one to before another."""

    field: str
    text: Text
    begin: int
    end: int

    def read(self) -> str:
        """The text."""
        return "".join(self.text.fragments[self.begin : self.end])


class PartState(NamedTuple):
    """A part as it was at one time.

    Attributes:
        place: Its index.
        kind: What it is.
        id: Its identifier.
        name: The name of the tool in it.
        content: What it had said of the content, from where to where; the first ``contents`` of them count.
        contents: How many these were.
        speaks_from: Since when it had the word: it may have said more of the content.
        runs: What it had said of other texts; the first ``length`` of them count.
        length: How many these were.
        open: What it was saying of them.
        own: What it had said that is nowhere else.
        own_length: How far that had grown.
        call: The call in it.
        block: The part in the provider's words.
        final: Whether that is finished.
    """

    place: int
    kind: str
    id: str | None
    name: str | None
    content: list[tuple[int, int]]
    contents: int
    speaks_from: int | None
    runs: list[Run]
    length: int
    open: tuple[Run, ...]
    own: Text
    own_length: int
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
        part = {"index": self.place, "kind": self.kind, "id": self.id, "name": self.name, "block": self.block}
        call = calls.get(self.call) if self.call is not None and self.kind == PartKind.TOOL_CALL else None
        if isinstance(call, ToolCall):
            said = {"id": call.id, "name": call.function.name, "text": call.function.arguments, "final": self.final}
        elif call is not None:
            # Whatever the block says: it must not go back.
            said = {"id": call.id or self.id, "name": call.name or self.name, "text": call.arguments, "final": False}
        else:
            said = {"text": self._text(content, length), "final": self.final}
        return MessagePart.model_validate({**part, **said})

    def _text(self, content: Text, length: int) -> str:
        spans = self.content[: self.contents]
        if self.speaks_from is not None:
            spans.append((self.speaks_from, length))
        said = ["".join(content.fragments[begin:end]) for begin, end in spans]
        # Reasoning within a text was put there by an operator: it is that of the message, and no text.
        is_text = self.kind == PartKind.TEXT
        runs = (*self.runs[: self.length], *self.open)
        said += [run.read() for run in runs if run.field == _REFUSAL or not is_text]
        return "".join((*said, self.own.read(self.own_length)))


@dataclass(slots=True, eq=False)
class _Part:
    """A part under way."""

    index: int
    kind: str = PartKind.OTHER
    id: str | None = None
    name: str | None = None
    content: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    runs: list[Run] = field(default_factory=list[Run])
    own: Text = field(default_factory=Text)
    call: int | None = None
    block: dict[str, Any] | None = None
    final: bool = False

    def describe(self, part: DeltaPart) -> int:
        """Take what a delta says of it; returns how many characters more are kept."""
        before = self._described()
        # A part may be begun by what says less of it than what follows.
        if part.kind != PartKind.OTHER:
            self.kind = part.kind
        self.id = part.id or self.id
        self.name = part.name or self.name
        text = part.text or ""
        if text:
            self.own.fragments.append(text)
        return len(text) + self._described() - before

    def _described(self) -> int:
        return len(self.kind) + len(self.id or "") + len(self.name or "")

    def finish(self, block: DeltaBlock) -> int:
        """Take a block; returns how many characters more are kept."""
        before = 0 if self.block is None else size_of(self.block)
        self.block, self.final = dict(block.block), block.final
        return size_of(self.block) - before


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
    # How far the other texts had grown when the current part went on.
    _begun: dict[str, int] = field(default_factory=dict[str, int])
    # Whose the content is that comes, and how far that had grown.
    _speaker: _Part | None = None
    _speaks_from: int = 0
    # Those that changed since their states were asked for, but for the current one and the speaker.
    _touched: set[int] = field(default_factory=set[int])
    _states: dict[int, PartState] = field(default_factory=dict[int, PartState])

    def is_at(self, part: DeltaPart) -> bool:
        """Whether that is what the last delta said of its part, and says nothing by itself."""
        return not part.text and (part is self._last or part == self._last)

    def go_on(self, part: DeltaPart) -> int:
        """Take note of which part the next pieces are; before they are taken. Returns how many characters it keeps.

        Raises:
            LimitExceededError: There are too many parts.
        """
        self._last = part
        current = self._current
        if current is None or current.index != part.index:
            self._leave()
            current = self._current = self._part_at(part.index)
            self._begun = {name: len(text) for name, text in self._beside_content()}
        size = current.describe(part)
        speaker = self._speaker
        if speaker is None or current.kind not in WITHOUT_CONTENT or speaker.kind in WITHOUT_CONTENT:
            self._give_word_to(current)
        return size

    def calls(self, call: GrowingCall | None) -> None:
        """Take note that the current part is a call."""
        if self._current is not None and self._current.call is None and call is not None:
            self._current.call = call.serial

    def finish(self, blocks: Sequence[DeltaBlock]) -> int:
        """Take blocks; returns how many characters more are kept.

        Raises:
            LimitExceededError: There are too many parts.
        """
        return sum([self._part_at(each.index).finish(each) for each in blocks])

    def states(self) -> tuple[PartState, ...]:
        """The parts as they are now, in the order in which they began; costs what changed since the last time."""
        self._touched.update(part.index for part in (self._current, self._speaker) if part is not None)
        for index in self._touched:
            self._states[index] = self._state_of(self._parts[index])
        self._touched.clear()
        return tuple(self._states.values())

    def _state_of(self, part: _Part) -> PartState:
        return PartState(
            part.index,
            part.kind,
            part.id,
            part.name,
            part.content,
            len(part.content),
            self._speaks_from if part is self._speaker else None,
            part.runs,
            len(part.runs),
            tuple(self._said()) if part is self._current else (),
            part.own,
            len(part.own),
            part.call,
            part.block,
            part.final,
        )

    def _leave(self) -> None:
        if self._current is not None:
            self._current.runs += self._said()
            self._touched.add(self._current.index)

    def _said(self) -> Iterator[Run]:
        """What the current part has said since it went on, but for content."""
        for name, text in self._beside_content():
            if len(text) > (begin := self._begun.get(name, 0)):
                yield Run(name, text, begin, len(text))

    def _give_word_to(self, part: _Part) -> None:
        speaker, grown = self._speaker, len(self.content)
        if part is speaker:
            return
        if speaker is not None:
            self._touched.add(speaker.index)
            if grown > self._speaks_from:
                speaker.content.append((self._speaks_from, grown))
        self._speaker, self._speaks_from = part, grown

    def _beside_content(self) -> Iterator[tuple[str, Text]]:
        """The other texts that parts say something of."""
        for name in _BESIDE_CONTENT:
            if (text := self.texts.get(name)) is not None:
                yield name, text

    def _part_at(self, index: int) -> _Part:
        """The part at a place, which is going to change."""
        part = self._parts.get(index)
        if part is None:
            if len(self._parts) >= MAX_PARTS:
                raise LimitExceededError(
                    f"the answer has more than {MAX_PARTS} parts", limit="max_parts", maximum=MAX_PARTS
                )
            part = self._parts[index] = _Part(index)
        self._touched.add(index)
        return part
