"""A message of the Converse API, as its events make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._chunk_template import ChunkTemplate
from rxllm.dialects._kept import Kept
from rxllm.dialects.bedrock_converse._converse_blocks import CITATION, IMAGE, RESULT, Block, content_of_result
from rxllm.dialects.bedrock_converse._converse_pieces import INPUT, REASONING, TEXT
from rxllm.dialects.bedrock_converse._converse_usage import usage_of
from rxllm.exceptions import LimitExceededError
from rxllm.models import (
    Delta,
    DeltaBlock,
    Slots,
    StreamChoice,
    StreamChunk,
    ending_of,
    is_object,
)

MAX_BLOCKS = 4096
"""How many blocks a message may have."""

START, STOP, METADATA = "messageStart", "messageStop", "metadata"
BLOCK_START, BLOCK_DELTA, BLOCK_STOP = "contentBlockStart", "contentBlockDelta", "contentBlockStop"
EVENTS = frozenset({START, BLOCK_START, BLOCK_DELTA, BLOCK_STOP, STOP, METADATA})
"""The events of a message."""

_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
_TIER = "serviceTier"
# What chunks and choices say of themselves in other words.
_OWN = frozenset({*StreamChunk.__struct_fields__, *StreamChoice.__struct_fields__, "stopReason", _TIER})


class MisplacedError(ValueError):
    """An event comes where it cannot be."""


class GrowingMessage:
    """The message of one stream.

    Attributes:
        model: The model that is asked, or that a router has chosen.
        has_begun: Whether it has begun.
        kept: How much is kept of blocks that are open.
        stopped: Whether it has ended.
        reason: Why it ended, in the word of the server; ``""`` as long as it goes on.
        open: The blocks that have begun and not ended, by the index that the server gives them.
    """

    __slots__ = ("_calls", "_garbled", "_used", "has_begun", "kept", "model", "open", "reason", "stopped")

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.has_begun = False
        self.stopped = False
        self.reason = ""
        self.open: dict[int, Block] = {}
        self._used: set[int] = set()
        self._calls = 0
        self._garbled: list[DeltaBlock] = []
        self.kept = Kept("the blocks that are open have")

    @property
    def given_up(self) -> bool:
        """Whether its end says that there is no answer."""
        return _REASONS.get(self.reason) == "error" or ending_of(self.reason) == "truncated"

    def take(self, kind: str, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an event of a message.

        Args:
            kind: Which event.
            fields: What is in it.

        Returns:
            What it gives, one chunk at least.

        Raises:
            MisplacedError: It cannot come here.
            LimitExceededError: There is too much of something.
            TypeError: It is malformed.
        """
        chunks: list[StreamChunk] = []
        if kind == START:
            chunks = self._begin(fields)
        elif not self.has_begun:
            raise MisplacedError(f"no message has begun with {START}")
        elif kind == METADATA:
            chunks = [self._told(fields)]
        elif self.stopped:
            pass
        elif kind == BLOCK_START:
            chunks = self._begin_block(_index_in(fields), _object_in(fields, "start"))
        elif kind == BLOCK_DELTA:
            chunks = self._grow(_index_in(fields), _object_in(fields, "delta"))
        elif kind == BLOCK_STOP:
            chunks = self._end_block(_index_in(fields))
        else:
            chunks = self._stop(fields)
        return chunks or [self.chunk()]

    def chunk(self, *, slots: Slots | None = None, **fields: Any) -> StreamChunk:
        """A chunk of this message."""
        return StreamChunk(model=self.model, slots=slots, **fields)

    def _of(self, delta: Delta) -> StreamChunk:
        return self.chunk(choices=(StreamChoice(delta=delta),))

    def _begin(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        if self.has_begun and self._used and not self.stopped:
            raise MisplacedError("another message begins, and the one before has not ended")
        if self.has_begun:
            # Said once more before anything of it came, it is the same.
            return []
        self.has_begun = True
        role = fields.get("role")
        return [self._of(Delta(role=role if isinstance(role, str) else None))]

    def _begin_block(self, index: int, start: Mapping[str, Any]) -> list[StreamChunk]:
        member = next(iter(start), "")
        if not member:
            # It says no more than that one begins.
            return self._end_block(index)
        said = start[member]
        details: Mapping[str, Any] = said if is_object(said) else {}
        before = self.open.get(index)
        if before is not None and before.is_untouched and (before.member, before.start) == (member, details):
            return []
        if len(self._used) >= MAX_BLOCKS:
            raise LimitExceededError(
                f"the message has more than {MAX_BLOCKS} blocks", limit="max_blocks", maximum=MAX_BLOCKS
            )
        ended = self._end_block(index)
        place = max(self._used, default=-1) + 1 if index in self._used else index
        self._used.add(place)
        block = self.open[index] = Block.begin(place, member, details, self._calls)
        if block.call is not None:
            self._calls += 1
        self.kept.add(len(str(details)))
        return [*ended, self._of(block.first_delta())]

    def _grow(self, index: int, delta: Mapping[str, Any]) -> list[StreamChunk]:
        chunks: list[StreamChunk] = []
        for member, said in delta.items():
            if said is None:
                continue
            block = self.open.get(index)
            if block is None or not block.fits(member):
                if member == INPUT:
                    raise MisplacedError("it is input of a tool, and no block of a tool is open at its index")
                chunks += self._begin_block(index, {member: {}})
                block = self.open[index]
            chunks.append(self._of(self._said(block, member, said)))
        return chunks

    def _said(self, block: Block, member: str, said: Any) -> Delta:
        """What one member of a delta says."""
        self.kept.add(len(said) if isinstance(said, str) else len(str(said)))
        delta = block.reason(said) if member == REASONING and is_object(said) else Delta(part=block.part)
        piece = _piece_in(member, said)
        if piece is not None:
            self._make_plain(block, piece)
            return block.grow(piece)
        if member == RESULT:
            return block.result(content_of_result(said))
        if not is_object(said):
            raise TypeError(f"{member} is not an object")
        if member == CITATION:
            return block.cite(said)
        return block.picture(said) if member == IMAGE else delta

    def _make_plain(self, block: Block, piece: str) -> None:
        """Have chunks of the pieces that follow made at once."""
        name = block.grows_in
        if block.template is None and name is not None:
            block.template = ChunkTemplate(self._of(block.delta(piece)), name)

    def _end_block(self, index: int) -> list[StreamChunk]:
        block = self.open.pop(index, None)
        if block is None:
            return []
        if not self.open:
            self.kept.size = sum(len(str(each.block)) for each in self._garbled)
        if (garbled := block.garbled()) is not None:
            self._garbled.append(garbled)
        return [self._of(block.last_delta())]

    def _stop(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        reason = fields.get("stopReason")
        if not isinstance(reason, str) or not reason:
            raise TypeError("stopReason is not a word")
        chunks = [chunk for index in [*self.open] for chunk in self._end_block(index)]
        self.stopped, self.reason = True, reason
        # Those that were not cut: the model wrote no JSON.
        blocks = self._garbled if ending_of(reason) == "completed" else []
        choice = StreamChoice(
            delta=Delta(blocks=blocks or None),
            finish_reason=_REASONS.get(reason, reason),
            native_finish_reason=reason,
            **_extras_of(fields),
        )
        return [*chunks, self.chunk(choices=(choice,))]

    def _told(self, fields: Mapping[str, Any]) -> StreamChunk:
        """What the metadata say: what the message costs, and who answered."""
        usage, trace, tier = fields.get("usage"), fields.get("trace"), fields.get(_TIER)
        router = trace.get("promptRouter") if is_object(trace) else None
        chosen = router.get("invokedModelId") if is_object(router) else None
        if isinstance(chosen, str):
            self.model = chosen
        kind = tier.get("type") if is_object(tier) else None
        return self.chunk(
            usage=usage_of(usage) if is_object(usage) else None,
            slots=Slots(replaces_usage=True) if is_object(usage) else None,
            service_tier=kind if isinstance(kind, str) else None,
            **_extras_of(fields),
        )


def _extras_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _OWN and value is not None}


def _piece_in(member: str, said: Any) -> str | None:
    """The piece of a text or input in a delta; ``None`` if it has something else.

    Raises:
        TypeError: It is not a text.
    """
    if member == TEXT:
        piece = said
    elif member == INPUT:
        piece = said.get("input") if is_object(said) else None
    elif member == REASONING and is_object(said) and "text" in said:
        piece = said["text"]
    else:
        return None
    if not isinstance(piece, str):
        raise TypeError(f"{member} has no text")
    return piece


def _object_in(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if not is_object(value):
        raise TypeError(f"{name} is not an object")
    return value


def _index_in(fields: Mapping[str, Any]) -> int:
    """The index of a block. Some leave it out where it is 0, which is so by default in their languages."""
    index = fields.get("contentBlockIndex", 0)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise TypeError("contentBlockIndex is not an index")
    return index
