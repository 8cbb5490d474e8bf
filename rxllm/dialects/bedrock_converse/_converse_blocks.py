"""A block of an answer of the Converse API, as it grows.

Rules:

1. Only tools have an event that begins their block. A text and reasoning begin with their first delta.
2. A block that is finished is what the API takes back: pieces are joined, and so is the JSON of an input. A text with
   citations is ``citationsContent``.
3. A call is one of ours only if its block is a ``toolUse`` without a ``type``. The input of a tool that the server runs
   is a text of its part, and never a call.
4. A block whose input is not a JSON object is not finished: it was cut, or the model garbled it. Neither is one of a
   kind that nobody knows.
5. A server may cut a character in two. The first half waits for the next piece.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._chunk_template import ChunkTemplate
from rxllm.dialects._tool_input import input_in
from rxllm.dialects.bedrock_converse._converse_citations import annotation_of
from rxllm.dialects.bedrock_converse._converse_pieces import INPUT, REASONING, TEXT
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    ToolCallDelta,
    is_list,
    is_object,
    without_lone_surrogates,
)

RESULT, IMAGE, CITATION = "toolResult", "image", "citation"
"""Other deltas."""

UNREADABLE = "INVALID_JSON"
"""The field in which Anthropic's models want input that the model garbled."""

_KINDS: Mapping[str, PartKind] = {
    TEXT: PartKind.TEXT,
    CITATION: PartKind.TEXT,
    REASONING: PartKind.REASONING,
    INPUT: PartKind.TOOL_CALL,
    RESULT: PartKind.SERVER_RESULT,
    IMAGE: PartKind.IMAGE,
}


@dataclass(slots=True, eq=False)
class Block:
    """A block that has begun.

    Attributes:
        member: What it is, by the member that its beginning or its first delta has.
        start: What its beginning said of it.
        part: What its deltas say of the part that they are of.
        call: Which of the calls it is, counted from 0; ``None`` if it is none.
        pieces: What has come of its text or input.
        plain: In which delta its usual pieces come; ``""`` as long as half a character waits, or none has come.
        template: What makes chunks of these.
    """

    member: str
    start: Mapping[str, Any]
    part: DeltaPart
    call: int | None
    pieces: list[str] = field(default_factory=list[str])
    plain: str = ""
    template: ChunkTemplate | None = None
    _half: str = ""
    _signature: str | None = None
    _redacted: list[str] = field(default_factory=list[str])
    _citations: list[Any] = field(default_factory=list[Any])
    _content: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _source: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def begin(cls, place: int, member: str, start: Mapping[str, Any], calls: int) -> Block:
        """A block that begins.

        Args:
            place: The place of its part.
            member: What it is.
            start: What its beginning says.
            calls: How many calls there were before.
        """
        kind = _KINDS.get(member, PartKind.OTHER)
        if member == INPUT and start.get("type") is not None:
            kind = PartKind.SERVER_TOOL
        call_id, name = start.get("toolUseId"), start.get("name")
        part = DeltaPart(
            index=place,
            kind=str(kind),
            id=call_id if isinstance(call_id, str) else None,
            name=name if isinstance(name, str) else None,
        )
        return cls(
            TEXT if member == CITATION else member, dict(start), part, calls if kind == PartKind.TOOL_CALL else None
        )

    def fits(self, member: str) -> bool:
        """Whether a delta is one of a block like this."""
        return member == self.member or (member == CITATION and self.member == TEXT)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has come of it but its beginning."""
        return not (self.pieces or self._content or self._source)

    def first_delta(self) -> Delta:
        """What the beginning says."""
        if self.call is None:
            return Delta(part=self.part)
        function = FunctionCallDelta(name=self.part.name, arguments="")
        call = ToolCallDelta(index=self.call, id=self.part.id, type="function", function=function)
        return Delta(part=self.part, tool_calls=(call,))

    def delta(self, piece: str) -> Delta:
        """What a piece of its text or input says. The caller keeps the piece."""
        if self.member == TEXT:
            return Delta(content=piece, part=self.part)
        if self.member == REASONING:
            return Delta(reasoning_content=piece, part=self.part)
        if self.call is not None:
            function = FunctionCallDelta(arguments=piece)
            return Delta(tool_calls=(ToolCallDelta(index=self.call, function=function),), part=self.part)
        return Delta(part=DeltaPart(index=self.part.index, kind=self.part.kind, text=piece))

    @property
    def grows_in(self) -> str | None:
        """The field that its pieces are of, as ``ChunkTemplate`` has it; ``None`` if it has no usual ones."""
        names = {TEXT: "content", REASONING: "reasoning_content"}
        return "arguments" if self.call is not None else names.get(self.member)

    def grow(self, piece: str) -> Delta:
        """Take a piece of its text or input. It may begin or end with half a character."""
        text = self._half + piece
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.plain = "" if self._half or self.template is None else self.member
        text = without_lone_surrogates(text.removesuffix(self._half))
        self.pieces.append(text)
        return self.delta(text)

    def reason(self, said: Mapping[str, Any]) -> Delta:
        """Take what a delta of reasoning says beside text."""
        if isinstance(signature := said.get("signature"), str):
            self._signature = (self._signature or "") + without_lone_surrogates(signature)
        if isinstance(redacted := said.get("redactedContent"), str):
            self._redacted.append(without_lone_surrogates(redacted))
        return Delta(part=self.part)

    def cite(self, citation: Mapping[str, Any]) -> Delta:
        """Take a citation."""
        self._citations.append(dict(citation))
        return Delta(part=self.part, annotations=[annotation_of(citation, self.part.index)])

    def result(self, content: list[Any]) -> Delta:
        """Take some of the content of a result. Pieces of a text come one by one."""
        said: list[str] = []
        for each in filter(is_object, content):
            text = each.get("text")
            last = self._content[-1] if self._content else {}
            if isinstance(text, str) and [*last] == [*each] == ["text"]:
                last["text"] += text
            else:
                self._content.append(dict(each))
            said += [text] if isinstance(text, str) else []
        return Delta(part=DeltaPart(index=self.part.index, kind=self.part.kind, text="".join(said) or None))

    def picture(self, image: Mapping[str, Any]) -> Delta:
        """Take what comes of an image: its data, in one or several pieces, or where it is."""
        source = image.get("source")
        said: Mapping[str, Any] = source if is_object(source) else {}
        for name, value in said.items():
            before = self._source.get(name)
            both = isinstance(before, str) and isinstance(value, str) and name == "bytes"
            self._source[name] = _joined([before, value]) if both else value
        return Delta(part=self.part)

    def last_delta(self) -> Delta:
        """What the end says: the whole block, and the input where no delta had it."""
        # The other half never came.
        lost = without_lone_surrogates(self._half)
        self.pieces += [lost] if lost else []
        block, final = self._whole()
        blocks = (DeltaBlock(index=self.part.index, block=block, final=final),)
        said = lost or ("{}" if self.call is not None and not "".join(self.pieces).strip() else "")
        return (
            Delta(part=self.part, blocks=blocks) if not said else self.delta(said).model_copy(update={"blocks": blocks})
        )

    def garbled(self) -> DeltaBlock | None:
        """The block of a call whose input is not a JSON object, as it can be sent back; else ``None``."""
        if self.call is None or self._whole()[1]:
            return None
        block = {INPUT: {**self.start, "input": {UNREADABLE: "".join(self.pieces)}}}
        return DeltaBlock(index=self.part.index, block=block)

    def _whole(self) -> tuple[dict[str, Any], bool]:
        """The block as it is now, and whether it is finished."""
        text = "".join(self.pieces)
        if self.member == TEXT:
            made = {"content": [{"text": text}] if text else [], "citations": self._citations}
            return ({"citationsContent": made} if self._citations else {"text": text}), True
        if self.member == REASONING:
            return self._reasoning(text), True
        if self.member == INPUT:
            value = input_in(text if text.strip() else "{}")
            return {INPUT: self.start if value is None else {**self.start, "input": value}}, value is not None
        if self.member == RESULT:
            return {RESULT: {**self.start, "content": self._content}}, True
        if self.member == IMAGE:
            return {IMAGE: {**self.start, "source": self._source}}, bool(self._source)
        return {self.member: self.start}, False

    def _reasoning(self, text: str) -> dict[str, Any]:
        if self._redacted and not (text or self._signature):
            return {REASONING: {"redactedContent": _joined(self._redacted)}}
        signed = {} if self._signature is None else {"signature": self._signature}
        return {REASONING: {"reasoningText": {"text": text, **signed}}}


def _joined(pieces: list[Any]) -> str:
    """Bytes that came in several pieces, each in base64 by itself."""
    if len(pieces) == 1:
        return str(pieces[0])
    try:
        return base64.b64encode(b"".join(base64.b64decode(each, validate=True) for each in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def content_of_result(value: object) -> list[Any]:
    """The pieces of a result in a delta."""
    return value if is_list(value) else [value]
