"""A candidate of the Gemini API, as its parts arrive.

Rules:

1. Each part is one by itself, but for texts: those of one kind that follow one another are one part, unless one has a
   signature. That goes back on the very part that it came on, and may come on an empty text.
2. Code that the provider runs, and tools of it, are not calls of ours. A result belongs to the last code or tool before
   it, if it does not say to which.
3. No reason for the end is believed before the end of the stream: some come with each event, some before more code is
   run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects._chunk_template import ChunkTemplate
from rxllm.dialects.gemini._gemini_calls import Calls
from rxllm.dialects.gemini._gemini_citations import Citations
from rxllm.exceptions import LimitExceededError
from rxllm.models import Delta, DeltaBlock, DeltaPart, PartKind, StreamChoice, is_list, is_object, is_reason, make

MAX_PARTS_OF_CANDIDATE = 4096
"""How many parts a candidate may have."""

BLOCKED = "content_filter"
"""Why an answer ended that was not to be given."""

_FILTERS = (
    *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE", "JAILBREAK"),
)
_FAILURES = (
    *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    *("MALFORMED_RESPONSE", "OTHER"),
)
_REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(_FILTERS, BLOCKED),
    **dict.fromkeys(_FAILURES, "error"),
}
_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
_SERVER_TOOLS = {"executableCode": "code_execution", "toolCall": ""}
_SERVER_RESULTS = ("codeExecutionResult", "toolResponse")
_TEXT_KEYS = frozenset({"text", "thought"})
# What it says besides is an extra field of the choice, and must not stand in the place of ours.
_OWN = frozenset({"content", "finishReason", *StreamChoice.__struct_fields__})


@dataclass(slots=True, eq=False)
class OpenText:
    """A text that goes on.

    Attributes:
        part: What its deltas say of their part.
        thought: Whether it is reasoning.
        pieces: What has come of it.
        template: What makes its chunks; ``None`` until there is one.
    """

    part: DeltaPart
    thought: bool
    pieces: list[str] = field(default_factory=list[str])
    template: ChunkTemplate | None = None

    @property
    def field(self) -> str:
        """The field of the delta that it is in."""
        return "reasoning_content" if self.thought else "content"

    def delta(self, piece: str) -> Delta:
        """What a piece of it gives."""
        self.pieces.append(piece)
        delta: Delta = make(Delta, part=self.part, **{self.field: piece})
        return delta

    def block(self) -> DeltaBlock:
        """The part as it is now."""
        said = {"text": "".join(self.pieces), **({"thought": True} if self.thought else {})}
        return DeltaBlock(index=self.part.index, block=said)


@dataclass(slots=True, eq=False)
class Candidate:
    """One candidate.

    Attributes:
        index: Which.
        text: The text that goes on; ``None`` if none does.
        reason: Why it ended, as far as that was said.
    """

    index: int
    text: OpenText | None = None
    reason: str = ""
    _calls: Calls = field(init=False)
    _parts: int = 0
    _role: str | None = None
    _last_tool: str = ""
    _extra: dict[str, Any] = field(default_factory=dict[str, Any])
    _citations: Citations = field(default_factory=Citations)

    def __post_init__(self) -> None:
        self._calls = Calls(self.index)

    def take(self, said: Mapping[str, Any], answer_id: str) -> list[Delta]:
        """Take what an event says of it.

        Args:
            said: The candidate in the event.
            answer_id: The identifier of the answer, for calls that have none.

        Returns:
            What it gives, in order.

        Raises:
            ValueError: A part is malformed.
            LimitExceededError: There are too many parts.
        """
        content = said.get("content")
        deltas: list[Delta] = []
        if is_object(content):
            parts = content.get("parts")
            for part in parts if is_list(parts) else ():
                if not is_object(part):
                    raise ValueError("a part is not an object")
                deltas += self._part(part, answer_id)
            deltas = self._with_role(content.get("role"), deltas)
        reason = said.get("finishReason")
        if isinstance(reason, str) and is_reason(reason) and reason != _UNSPECIFIED:
            self.reason = reason
        self._extra |= {name: value for name, value in said.items() if name not in _OWN and value}
        if annotations := [*self._citations.take(said)]:
            deltas.append(Delta(annotations=annotations))
        return deltas

    @property
    def has_ended(self) -> bool:
        """Whether the server has said that it has, and of each call, too, unless it had to stop amid one."""
        return bool(self.reason) and not (self._calls.is_open and _REASONS.get(self.reason) == "stop")

    def close(self, blocked: str) -> list[StreamChoice]:
        """Take note of the end: what goes on ends, and the reason counts.

        Args:
            blocked: Why the request was blocked; ``""`` if it was not.
        """
        choices = [StreamChoice(index=self.index, delta=delta) for delta in self._calls.cut()]
        native = self.reason or blocked
        reason = _REASONS.get(native, native) if self.reason else BLOCKED
        if reason == "stop" and self._calls.count:
            reason = "tool_calls"
        extra: Any = self._extra
        last = StreamChoice(
            index=self.index,
            delta=Delta(blocks=self._end_text() or None),
            finish_reason=reason,
            native_finish_reason=native,
            extra=extra,
        )
        return [*choices, last]

    def _with_role(self, role: object, deltas: list[Delta]) -> list[Delta]:
        if self._role is not None or not isinstance(role, str):
            return deltas
        self._role = "assistant" if role == "model" else role
        first = deltas[0] if deltas else Delta()
        return [first.model_copy(update={"role": self._role}), *deltas[1:]]

    def _part(self, part: Mapping[str, Any], answer_id: str) -> list[Delta]:
        if is_object(call := part.get("functionCall")):
            return self._call(call, part, answer_id)
        ended = self._calls.end()
        if isinstance(text := part.get("text"), str):
            return [*ended, *self._say(text, part)]
        index = self._new_part()
        for kind, tool in _SERVER_TOOLS.items():
            if is_object(said := part.get(kind)):
                return [*ended, self._server_tool(index, said, tool, part)]
        for kind in _SERVER_RESULTS:
            if is_object(said := part.get(kind)):
                of = _text(said.get("id")) or self._last_tool
                return [*ended, self._whole(DeltaPart(index=index, id=of, kind=PartKind.SERVER_RESULT), part)]
        if is_object(data := part.get("inlineData")) and str(data.get("mimeType")).startswith("image/"):
            url = f"data:{data.get('mimeType')};base64,{data.get('data')}"
            images = [{"type": "image_url", "image_url": {"url": url}}]
            return [*ended, self._whole(DeltaPart(index=index, kind=PartKind.IMAGE), part, images=images)]
        return [*ended, self._whole(DeltaPart(index=index, kind=PartKind.OTHER), part)]

    def _say(self, text: str, part: Mapping[str, Any]) -> list[Delta]:
        thought = part.get("thought") is True
        kind = PartKind.REASONING if thought else PartKind.TEXT
        if part.keys() - _TEXT_KEYS:
            said = {"reasoning_content" if thought else "content": text}
            return [self._whole(DeltaPart(index=self._new_part(), kind=kind), part, **said)]
        if not text:
            return []
        ended: list[DeltaBlock] = []
        if self.text is None or self.text.thought != thought:
            ended = self._end_text()
            self.text = OpenText(make(DeltaPart, index=self._new_part(), kind=str(kind)), thought)
        delta = self.text.delta(text)
        return [delta.model_copy(update={"blocks": ended}) if ended else delta]

    def _call(self, call: Mapping[str, Any], part: Mapping[str, Any], answer_id: str) -> list[Delta]:
        if self._calls.goes_on(call):
            return self._calls.grow(call)
        deltas = self._calls.end()
        if not (call.keys() - {"willContinue"}):
            # What only ends a call, which has ended already.
            return deltas
        if ended := self._end_text():
            deltas.append(Delta(blocks=ended))
        return [*deltas, *self._calls.begin(part, self._new_part(), answer_id)]

    def _server_tool(self, index: int, said: Mapping[str, Any], tool: str, part: Mapping[str, Any]) -> Delta:
        name = tool or _text(said.get("toolType")) or _text(said.get("name"))
        self._last_tool = _text(said.get("id")) or f"part{index}"
        code = said.get("code")
        text = code if isinstance(code, str) else _json(said.get("args") or {})
        made = DeltaPart(index=index, id=self._last_tool, kind=PartKind.SERVER_TOOL, name=name or None, text=text)
        return self._whole(made, part)

    def _whole(self, part: DeltaPart, block: Mapping[str, Any], **said: Any) -> Delta:
        """A part that is whole at once."""
        return Delta(part=part, blocks=[*self._end_text(), DeltaBlock(index=part.index, block=dict(block))], **said)

    def _end_text(self) -> list[DeltaBlock]:
        text, self.text = self.text, None
        return [] if text is None else [text.block()]

    def _new_part(self) -> int:
        if self._parts >= MAX_PARTS_OF_CANDIDATE:
            raise LimitExceededError(
                f"the answer has more than {MAX_PARTS_OF_CANDIDATE} parts",
                limit="max_parts",
                maximum=MAX_PARTS_OF_CANDIDATE,
            )
        self._parts += 1
        return self._parts - 1


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
