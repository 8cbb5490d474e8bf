r"""A block of an answer of the Messages API, as it grows.

Rules:

1. What is in a block that begins is the beginning of it. Texts grow by their deltas; a signature, and what a compaction
   comes to, are set. Citations are a list that grows.
2. The input of a tool is the JSON that its deltas come to; without any, that of the beginning; else ``{}``.
3. A call is one of ours only if the block is ``tool_use``. The input of a tool that the server runs is a text of its
   part, and never a call.
4. A server may cut a character in two, as ``\ud83d`` and ``\ude00``. The first half waits for the next piece.
5. A block whose input is not a JSON object is not finished: it was cut, or the model garbled it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rxllm.dialects._tool_input import input_in
from rxllm.dialects.anthropic._anthropic_citations import annotation_of
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    ToolCallDelta,
    is_list,
    is_object,
    make,
    without_lone_surrogates,
)


class TextPiece(msgspec.Struct, tag="text_delta", gc=False):
    """More of a text."""

    piece: str = msgspec.field(name="text")


class ThinkingPiece(msgspec.Struct, tag="thinking_delta", gc=False):
    """More of the reasoning."""

    piece: str = msgspec.field(name="thinking")


class InputPiece(msgspec.Struct, tag="input_json_delta", gc=False):
    """More of the input of a tool."""

    piece: str = msgspec.field(name="partial_json")


class BlockPiece(msgspec.Struct, tag="content_block_delta", gc=False):
    """More of a block: what nearly all events are."""

    index: int
    delta: TextPiece | ThinkingPiece | InputPiece


_CALL = "tool_use"
_KINDS = {
    "text": PartKind.TEXT,
    "thinking": PartKind.REASONING,
    "redacted_thinking": PartKind.REASONING,
    _CALL: PartKind.TOOL_CALL,
}
_PIECES: Mapping[str, Any] = {
    PartKind.TEXT: TextPiece,
    PartKind.REASONING: ThinkingPiece,
    PartKind.TOOL_CALL: InputPiece,
    PartKind.SERVER_TOOL: InputPiece,
}
INPUT_DELTA = "input_json_delta"
"""The delta that begins no block: a call has a name, too."""

TEXT_FIELDS: Mapping[str, str] = {"text_delta": "text", "thinking_delta": "thinking", INPUT_DELTA: "partial_json"}
"""The deltas that have a piece of a text or of input, and the field that it is in."""

_WHOLE_AT_ONCE = frozenset({"redacted_thinking", "fallback"})
_BEGUN_BY = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "compaction_delta": "compaction",
}
UNREADABLE = "INVALID_JSON"
"""The field in which Anthropic wants input that the model garbled."""


def kind_of(type_: str) -> PartKind:
    """What a block is, by its type."""
    if type_ in _KINDS:
        return _KINDS[type_]
    if type_.endswith("_tool_use"):
        return PartKind.SERVER_TOOL
    return PartKind.SERVER_RESULT if type_.endswith("tool_result") else PartKind.OTHER


def begun_by(delta: str) -> dict[str, Any] | None:
    """The block that a delta begins by itself; ``None`` if it needs one that has begun."""
    kind = _BEGUN_BY.get(delta)
    return None if kind is None else {"type": kind}


@dataclass(slots=True, eq=False)
class Block:
    """A block that has begun.

    Attributes:
        start: The block as it began.
        part: What its deltas say of the part that they are of.
        takes: The class of its usual deltas; ``None`` if it has none.
        plain: The same; ``None`` as long as half a character waits.
        call: Which of the calls it is, counted from 0; ``None`` if it is none.
        pieces: What has come of its text or input.
    """

    start: dict[str, Any]
    part: DeltaPart
    takes: Any
    call: int | None
    pieces: list[str] = field(default_factory=list[str])
    plain: Any = field(init=False)
    _half: str = ""
    _set: dict[str, Any] = field(default_factory=dict[str, Any])
    _citations: list[Any] = field(default_factory=list[Any])
    # The deltas that a block has which nobody knows: what they say is a text of its part.
    _grows: str = ""

    def __post_init__(self) -> None:
        self.plain = self.takes

    @classmethod
    def begin(cls, index: int, start: Mapping[str, Any], calls: int) -> Block:
        """A block that begins.

        Args:
            index: The place of its part.
            start: The block as it begins.
            calls: How many calls there were before.
        """
        type_ = start.get("type")
        kind = kind_of(type_ if isinstance(type_, str) else "")
        call_id, name = start.get("id") or start.get("tool_use_id"), start.get("name")
        part = make(
            DeltaPart,
            index=index,
            kind=str(kind),
            id=call_id if isinstance(call_id, str) else None,
            name=name if isinstance(name, str) else None,
        )
        takes = None if type_ in _WHOLE_AT_ONCE else _PIECES.get(kind)
        return cls(dict(start), part, takes, calls if kind == PartKind.TOOL_CALL else None)

    def is_begun_by(self, start: Mapping[str, Any]) -> bool:
        """Whether that is its beginning once more, and nothing else has come of it."""
        return self.start == start and not (self.pieces or self._set or self._citations)

    def fits(self, delta: str) -> bool:
        """Whether a delta is one of a block like this; one that nobody knows is. A block that nobody knows has any."""
        if self.part.kind == PartKind.OTHER and not self.is_whole:
            return delta not in TEXT_FIELDS or self._grows in {"", delta}
        if delta == INPUT_DELTA:
            return self.takes is InputPiece
        return self.start.get("type") == _BEGUN_BY.get(delta, self.start.get("type"))

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there when it begins."""
        return self.part.kind == PartKind.SERVER_RESULT or self.start.get("type") in _WHOLE_AT_ONCE

    def first_delta(self) -> Delta:
        """What the beginning says."""
        part = self.part
        if self.call is not None:
            function = FunctionCallDelta(name=part.name, arguments="")
            call = ToolCallDelta(index=self.call, id=part.id, type="function", function=function)
            return Delta(part=part, tool_calls=(call,))
        if self.is_whole:
            return Delta(part=part, blocks=(DeltaBlock(index=part.index, block=self.start),))
        citations = self.start.get("citations")
        known = [annotation_of(each, part.index) for each in citations if is_object(each)] if is_list(citations) else []
        name = {TextPiece: "text", ThinkingPiece: "thinking"}.get(self.takes, "")
        text = self.start.get(name)
        if not isinstance(text, str) or not text:
            return Delta(part=part, annotations=known or None)
        self.pieces.append(text)
        return self.delta(text).model_copy(update={"annotations": known or None})

    def delta(self, piece: str) -> Delta:
        """What a piece of its text or input says. The caller keeps the piece."""
        takes = self.takes
        delta: Delta
        if takes is TextPiece:
            delta = make(Delta, content=piece, part=self.part)
        elif takes is ThinkingPiece:
            delta = make(Delta, reasoning_content=piece, part=self.part)
        elif self.call is not None:
            function = make(FunctionCallDelta, arguments=piece)
            delta = make(Delta, tool_calls=(make(ToolCallDelta, index=self.call, function=function),), part=self.part)
        else:
            part = self.part
            delta = make(Delta, part=make(DeltaPart, index=part.index, kind=part.kind, text=piece))
        return delta

    def grow(self, kind: str, piece: str) -> Delta:
        """Take a piece of its text or input, in a delta of that kind. It may begin or end with half a character."""
        text = self._half + piece
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.plain = None if self._half else self.takes
        text = without_lone_surrogates(text.removesuffix(self._half))
        self.pieces.append(text)
        self._grows = kind
        return self.delta(text)

    def set(self, fields: Mapping[str, Any]) -> None:
        """Take a delta that sets fields."""
        self._set.update((name, value) for name, value in fields.items() if name != "type")

    def cite(self, citation: Mapping[str, Any]) -> Delta:
        """Take a citation."""
        self._citations.append(dict(citation))
        return Delta(part=self.part, annotations=[annotation_of(citation, self.part.index)])

    def last_delta(self) -> Delta:
        """What the end says: the whole block, and the input where no delta had it."""
        if self.is_whole:
            return Delta(part=self.part)
        # The other half never came.
        lost = without_lone_surrogates(self._half)
        self.pieces += [lost] if lost else []
        block, final = self._whole()
        blocks = (DeltaBlock(index=self.part.index, block=block, final=final),)
        said = lost or self._input_at_once(block)
        if not said:
            return Delta(part=self.part, blocks=blocks)
        return self.delta(said).model_copy(update={"blocks": blocks})

    def garbled(self) -> DeltaBlock | None:
        """The block of a call whose input is not a JSON object, as it can be sent back; else ``None``."""
        if self.call is None or self._whole()[1]:
            return None
        block = {**self.start, "input": {UNREADABLE: "".join(self.pieces)}}
        return DeltaBlock(index=self.part.index, block=block)

    def _whole(self) -> tuple[dict[str, Any], bool]:
        """The block as it is now, and whether it is finished."""
        made = {**self.start, **self._set}
        if self.takes is InputPiece or self._grows == INPUT_DELTA:
            value = self._input()
            return (made, False) if value is None else ({**made, "input": value}, True)
        if self.takes is not None:
            made["text" if self.takes is TextPiece else "thinking"] = "".join(self.pieces)
        elif self.pieces:
            name = TEXT_FIELDS[self._grows]
            made[name] = f"{made.get(name) or ''}{''.join(self.pieces)}"
        if self._citations:
            before = made.get("citations")
            made["citations"] = [*(before if is_list(before) else ()), *self._citations]
        return made, True

    def _input(self) -> Mapping[str, Any] | None:
        text = "".join(self.pieces)
        if not text.strip():
            begun = self.start.get("input")
            return begun if is_object(begun) else {}
        return input_in(text)

    def _input_at_once(self, block: Mapping[str, Any]) -> str:
        """The input, if no delta had it: a call always has one."""
        if self.takes is not InputPiece or "".join(self.pieces).strip():
            return ""
        if not block["input"] and self.call is None:
            return ""
        return msgspec.json.encode(block["input"]).decode()
