"""A message of the Messages API, as its events make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._kept import Kept
from rxllm.dialects.anthropic._anthropic_blocks import INPUT_DELTA, TEXT_FIELDS, Block, begun_by
from rxllm.dialects.anthropic._anthropic_usage import UsageFold
from rxllm.exceptions import LimitExceededError, excerpt
from rxllm.models import (
    WHOLE,
    Delta,
    DeltaBlock,
    Slots,
    StreamChoice,
    StreamChunk,
    ending_of,
    is_list,
    is_object,
    is_reason,
)

MAX_BLOCKS = 4096
"""How many blocks a message may have."""

_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_ENDS = WHOLE | {"paused"}
_EVENTS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)
# What a choice says of itself in other words.
_OWN_OF_CHOICE = frozenset(StreamChoice.__struct_fields__) - {"stop_reason"}


class MisplacedError(ValueError):
    """An event comes where it cannot be."""


class GrowingMessage:
    """The message of one stream.

    Attributes:
        has_begun: Whether it has.
        head: Its identifier, and the model that writes it now.
        open: The blocks that have begun and not ended, by the index that the server gives them.
        kept: How much is kept of blocks that are open.
        reason: Why it ended, in the word of the server; ``""`` if that has not been said.
    """

    __slots__ = (
        *("_calls", "_early", "_garbled", "_stopped", "_usage", "_used"),
        *("has_begun", "head", "kept", "open", "reason"),
    )

    def __init__(self) -> None:
        self.has_begun = False
        self.head: tuple[str | None, str | None] = (None, None)
        self.open: dict[int, Block] = {}
        self.reason = ""
        self._used: set[int] = set()
        self._calls = 0
        self._usage = UsageFold()
        self._stopped = False
        # A reason that came with the beginning: more may follow.
        self._early: Mapping[str, Any] | None = None
        self._garbled: list[DeltaBlock] = []
        self.kept = Kept("the blocks that are open have")

    @staticmethod
    def knows(kind: str) -> bool:
        """Whether that is an event of a message."""
        return kind in _EVENTS

    @property
    def finished(self) -> bool:
        """Whether nothing of it is missing."""
        return self._stopped or bool(self.reason and not self.open)

    @property
    def lacking(self) -> str:
        """What is missing of it, if no more events come; ``""`` if nothing is."""
        if self._stopped:
            return ""
        if self.open:
            return f"blocks {tuple(sorted(block.part.index for block in self.open.values()))} were open"
        return "" if self.reason or self._early is not None else "it had no stop_reason"

    @property
    def given_up(self) -> bool:
        """Whether its end says that the server gave up."""
        return bool(self.reason) and ending_of(self.reason) not in _ENDS

    def take(self, kind: str, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an event that it knows.

        Args:
            kind: Which event.
            fields: What is in it.

        Returns:
            What it gives, one chunk at least.

        Raises:
            MisplacedError: It cannot come here.
            LimitExceededError: There is too much of something.
            ValueError: It is malformed.
        """
        chunks: list[StreamChunk] = []
        if kind == "message_start":
            chunks = self._begin(_object_in(fields, "message"))
        elif not self.has_begun:
            raise MisplacedError("no message has begun with message_start")
        elif self._stopped:
            pass
        elif kind == "content_block_start":
            chunks = self._begin_block(_index_in(fields), _object_in(fields, "content_block"))
        elif kind == "content_block_delta":
            chunks = self._grow(_index_in(fields), _object_in(fields, "delta"))
        elif kind == "content_block_stop":
            chunks = self._end_block(_index_in(fields))
        elif kind == "message_delta":
            chunks = self._change(fields)
        else:
            chunks = self._stop()
        return chunks or [self.chunk()]

    def chunk(self, *, slots: Slots | None = None, **fields: Any) -> StreamChunk:
        """A chunk of this message."""
        return StreamChunk(id=self.head[0], model=self.head[1], slots=slots, **fields)

    def _of(self, delta: Delta) -> StreamChunk:
        return self.chunk(choices=(StreamChoice(delta=delta),))

    def _costing(self, usage: object, **fields: Any) -> StreamChunk:
        """A chunk with what the message costs by now."""
        known = self._usage.take(usage)
        return self.chunk(**fields, usage=known, slots=None if known is None else Slots(replaces_usage=True))

    def _begin(self, message: Mapping[str, Any]) -> list[StreamChunk]:
        new_id = _text_in(message, "id")
        if self.has_begun:
            # Said once more before anything of it came, it is the same.
            if self._stopped or (new_id == self.head[0] and not self._used):
                return []
            before, after = excerpt(self.head[0] or ""), excerpt(new_id or "")
            raise MisplacedError(f"message {after} begins, and message {before} has not ended")
        self.has_begun = True
        self.head = new_id, _text_in(message, "model")
        delta = _with_container(Delta(role=_text_in(message, "role")), message.get("container"))
        chunks = [self._costing(message.get("usage"), choices=(StreamChoice(delta=delta),))]
        content = message.get("content")
        for index, block in enumerate(content if is_list(content) else ()):
            chunks += [*self._begin_block(index, _object(block, "a block")), *self._end_block(index)]
        if is_reason(_text_in(message, "stop_reason")):
            self._early = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
        return chunks

    def _begin_block(self, index: int | None, start: Mapping[str, Any]) -> list[StreamChunk]:
        before = None if index is None else self.open.get(index)
        if before is not None and before.is_begun_by(start):
            return []
        if len(self._used) >= MAX_BLOCKS:
            raise LimitExceededError(
                f"the message has more than {MAX_BLOCKS} blocks", limit="max_blocks", maximum=MAX_BLOCKS
            )
        ended = [] if index is None else self._end_block(index)
        place = max(self._used, default=-1) + 1 if index is None or index in self._used else index
        self._used.add(place)
        block = Block.begin(place, start, self._calls)
        if block.call is not None:
            self._calls += 1
        if start.get("type") == "fallback" and is_object(to := start.get("to")):
            self.head = self.head[0], _text_in(to, "model") or self.head[1]
        self.open[place if index is None else index] = block
        return [*ended, self._of(block.first_delta())]

    def _block_at(self, index: int | None) -> Block | None:
        if index is None:
            return next(reversed(self.open.values()), None)
        return self.open.get(index)

    def _grow(self, index: int | None, delta: Mapping[str, Any]) -> list[StreamChunk]:
        kind = _text_in(delta, "type") or ""
        block = self._block_at(index)
        chunks: list[StreamChunk] = []
        if block is None or not block.fits(kind):
            start = begun_by(kind)
            if start is None:
                if kind == INPUT_DELTA:
                    raise MisplacedError("it is input of a tool, and no block of a tool is open at its index")
                return []
            chunks += self._begin_block(index, start)
            block = next(reversed(self.open.values()))
        said = self._said(block, kind, delta)
        return chunks if said is None else [*chunks, self._of(said)]

    def _said(self, block: Block, kind: str, delta: Mapping[str, Any]) -> Delta | None:
        """What a delta says; ``None`` if it is of a kind that nobody knows."""
        if kind in TEXT_FIELDS:
            piece = delta.get(TEXT_FIELDS[kind])
            if not isinstance(piece, str):
                raise TypeError(f"{kind} has no text")
            self.kept.add(len(piece))
            return block.grow(kind, piece)
        if kind == "citations_delta":
            citation = _object_in(delta, "citation")
            self.kept.add(len(str(citation)))
            return block.cite(citation)
        if kind in {"signature_delta", "compaction_delta"}:
            self.kept.add(len(str(delta)))
            block.set(delta)
            return Delta(part=block.part)
        return None

    def _end_block(self, index: int | None) -> list[StreamChunk]:
        block = self._block_at(index)
        if block is None:
            return []
        self.open = {place: each for place, each in self.open.items() if each is not block}
        if not self.open:
            self.kept.size = sum(len(str(each.block)) for each in self._garbled)
        if (garbled := block.garbled()) is not None:
            self._garbled.append(garbled)
        return [self._of(block.last_delta())]

    def _change(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        delta = fields.get("delta")
        said = {**(delta if is_object(delta) else {}), "context_management": fields.get("context_management")}
        return [self._costing(fields.get("usage"), choices=self._ended(said))]

    def _ended(self, said: Mapping[str, Any]) -> tuple[StreamChoice, ...]:
        """What is said of the end of the message, as a choice; none if nothing is."""
        reason = _text_in(said, "stop_reason")
        self.reason = reason if reason is not None and is_reason(reason) else self.reason
        more = {
            name: value
            for name, value in said.items()
            if value is not None and name not in _OWN_OF_CHOICE and name not in {"stop_reason", "container"}
        }
        blocks: list[DeltaBlock] = []
        if self.reason and ending_of(self.reason) == "completed":
            # They were not cut: the model wrote no JSON.
            blocks, self._garbled = self._garbled, []
        container = said.get("container")
        if not (reason or more or container):
            return ()
        return (
            StreamChoice(
                delta=_with_container(Delta(blocks=blocks or None), container),
                finish_reason=_REASONS.get(self.reason, self.reason) or None,
                native_finish_reason=self.reason or None,
                **more,
            ),
        )

    def _stop(self) -> list[StreamChunk]:
        chunks = [chunk for index in [*self.open] for chunk in self._end_block(index)]
        chunks += self.last_chunks()
        self._stopped = True
        return chunks

    def last_chunks(self) -> list[StreamChunk]:
        """What was said of the end at the beginning, if nothing else was said later."""
        early, self._early = self._early, None
        return [] if early is None or self.reason else [self.chunk(choices=self._ended(early))]


def _with_container(delta: Delta, container: object) -> Delta:
    return delta if container is None else delta.model_copy(update={"container": container})


def _object_in(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _object(fields.get(name), name)


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not is_object(value):
        raise TypeError(f"{name} is not an object")
    return value


def _text_in(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _index_in(fields: Mapping[str, Any]) -> int | None:
    """The index of a block; ``None`` if there is none."""
    index = fields.get("index")
    if index is not None and (not isinstance(index, int) or isinstance(index, bool) or index < 0):
        raise TypeError("index is not an index")
    return index
