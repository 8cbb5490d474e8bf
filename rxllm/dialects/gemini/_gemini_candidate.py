"""A candidate of the Gemini API, as its parts arrive.

Rules:

1. Each part is one by itself, but for texts: those of one kind that follow one another are one part, unless one has a
   signature. That goes back on the very part that it came on, and may come on an empty text.
2. A call is whole when it comes, or comes in pieces of its arguments. It ends when it says no more that it goes on, or
   when something else comes. Without an identifier it gets one, which does not go back.
3. Code that the provider runs, and tools of it, are no calls of ours. A result belongs to the last code or tool before
   it, if it does not say to which.
4. No reason for the end is believed before the end of the stream: some come with each event, some before more code is
   run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from rxllm.dialects.gemini._gemini_arguments import PartialArguments
from rxllm.exceptions import LimitExceededError
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    StreamChoice,
    ToolCallDelta,
    is_list,
    is_object,
    is_reason,
    make,
)

MAX_PARTS_OF_CANDIDATE = 4096
"""How many parts a candidate may have."""

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
    **dict.fromkeys(_FILTERS, "content_filter"),
    **dict.fromkeys(_FAILURES, "error"),
}
_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
_SERVER_TOOLS = {"executableCode": "code_execution", "toolCall": ""}
_SERVER_RESULTS = ("codeExecutionResult", "toolResponse")
_TEXT_KEYS = frozenset({"text", "thought"})
_OWN_OF_CANDIDATE = frozenset({"content", "index", "finishReason"})


@dataclass(slots=True, eq=False)
class OpenText:
    """A text that goes on.

    Attributes:
        part: What its deltas say of their part.
        thought: Whether it is reasoning.
        pieces: What has come of it.
    """

    part: DeltaPart
    thought: bool
    pieces: list[str] = field(default_factory=list[str])

    def delta(self, piece: str) -> Delta:
        """What a piece of it gives."""
        self.pieces.append(piece)
        if self.thought:
            found: Delta = make(Delta, part=self.part, reasoning_content=piece)
        else:
            found = make(Delta, part=self.part, content=piece)
        return found

    def block(self) -> DeltaBlock:
        """The part as it is now."""
        said = {"text": "".join(self.pieces), **({"thought": True} if self.thought else {})}
        return DeltaBlock(index=self.part.index, block=said)


@dataclass(slots=True, eq=False)
class _OpenCall:
    """A call whose arguments come in pieces."""

    part: DeltaPart
    first: dict[str, Any]
    arguments: PartialArguments = field(default_factory=PartialArguments)


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
    _parts: int = 0
    _calls: int = 0
    _call: _OpenCall | None = None
    _role: str | None = None
    _last_tool: str = ""
    _extra: dict[str, Any] = field(default_factory=dict[str, Any])
    _cited: set[tuple[Any, ...]] = field(default_factory=set[tuple[Any, ...]])

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
                    raise ValueError("a part is no object")
                deltas += self._part(part, answer_id)
            deltas = self._with_role(content.get("role"), deltas)
        reason = said.get("finishReason")
        if isinstance(reason, str) and is_reason(reason) and reason != _UNSPECIFIED:
            self.reason = reason
        self._extra |= {name: value for name, value in said.items() if name not in _OWN_OF_CANDIDATE and value}
        if annotations := [*self._annotations(said)]:
            deltas.append(Delta(annotations=annotations))
        return deltas

    def close(self, answer_id: str) -> list[StreamChoice]:
        """Take note of the end: what goes on ends, and the reason counts."""
        ended = self._end_text() + [block for delta in self._end_call(answer_id) for block in delta.blocks or ()]
        calls = bool(self._calls)
        reason = "tool_calls" if calls and self.reason == "STOP" else _REASONS.get(self.reason, self.reason)
        return [
            StreamChoice(
                index=self.index,
                delta=Delta(blocks=ended or None),
                finish_reason=reason or None,
                native_finish_reason=self.reason or None,
                **self._extra,
            )
        ]

    def _with_role(self, role: object, deltas: list[Delta]) -> list[Delta]:
        if self._role is not None or not isinstance(role, str):
            return deltas
        self._role = "assistant" if role == "model" else role
        first = deltas[0] if deltas else Delta()
        return [first.model_copy(update={"role": self._role}), *deltas[1:]]

    def _part(self, part: Mapping[str, Any], answer_id: str) -> list[Delta]:
        if isinstance(text := part.get("text"), str):
            return self._say(text, part, answer_id)
        call = part.get("functionCall")
        if is_object(call):
            return self._called(call, part, answer_id)
        deltas = self._end_call(answer_id)
        index = self._new_part()
        for kind, tool in _SERVER_TOOLS.items():
            if is_object(said := part.get(kind)):
                return [*deltas, self._server_tool(index, said, tool, part)]
        for kind in _SERVER_RESULTS:
            if is_object(said := part.get(kind)):
                of = _text(said.get("id")) or self._last_tool
                return [*deltas, self._whole(DeltaPart(index=index, id=of, kind=PartKind.SERVER_RESULT), part)]
        if is_object(data := part.get("inlineData")) and str(data.get("mimeType")).startswith("image/"):
            url = f"data:{data.get('mimeType')};base64,{data.get('data')}"
            images = [{"type": "image_url", "image_url": {"url": url}}]
            return [*deltas, self._whole(DeltaPart(index=index, kind=PartKind.IMAGE), part, images=images)]
        return [*deltas, self._whole(DeltaPart(index=index, kind=PartKind.OTHER), part)]

    def _say(self, text: str, part: Mapping[str, Any], answer_id: str) -> list[Delta]:
        thought = part.get("thought") is True
        kind = PartKind.REASONING if thought else PartKind.TEXT
        before = self._end_call(answer_id)
        said = {"reasoning_content" if thought else "content": text}
        if part.keys() - _TEXT_KEYS:
            return [*before, self._whole(DeltaPart(index=self._new_part(), kind=kind), part, **said)]
        if not text:
            return before
        ended: list[DeltaBlock] = []
        if self.text is None or self.text.thought != thought:
            ended = self._end_text()
            self.text = OpenText(make(DeltaPart, index=self._new_part(), kind=str(kind)), thought)
        delta = self.text.delta(text)
        return [*before, delta.model_copy(update={"blocks": ended}) if ended else delta]

    def _called(self, call: Mapping[str, Any], part: Mapping[str, Any], answer_id: str) -> list[Delta]:
        name = _text(call.get("name"))
        pieces = call.get("partialArgs")
        if not name and self._call is not None:
            return self._grow_call(pieces, answer_id, goes_on=call.get("willContinue") is True)
        deltas = self._end_call(answer_id)
        if not name:
            # What only ends a call that has ended.
            return deltas
        ended = self._end_text()
        made = DeltaPart(index=self._new_part(), id=_text(call.get("id")) or None, kind=PartKind.TOOL_CALL, name=name)
        if pieces is None and call.get("willContinue") is not True:
            return [*deltas, self._call_of(made, {**part}, call.get("args"), answer_id, ended)]
        self._call = _OpenCall(made, {**part})
        begun = Delta(part=made, blocks=ended or None)
        return [*deltas, begun, *self._grow_call(pieces, answer_id, goes_on=call.get("willContinue") is True)]

    def _grow_call(self, pieces: object, answer_id: str, *, goes_on: bool) -> list[Delta]:
        call = self._call
        for piece in pieces if call is not None and is_list(pieces) else ():
            if not is_object(piece):
                raise ValueError("a piece of arguments is no object")
            call.arguments.add(piece)  # type: ignore[union-attr]  # there is one
        return [] if goes_on else self._end_call(answer_id)

    def _end_call(self, answer_id: str) -> list[Delta]:
        """End the call whose arguments came in pieces, if there is one."""
        call, self._call = self._call, None
        if call is None:
            return []
        said = {
            name: value
            for name, value in call.first["functionCall"].items()
            if name not in {"partialArgs", "willContinue"}
        }
        block = {**call.first, "functionCall": {**said, "args": call.arguments.value}}
        return [self._call_of(call.part, block, call.arguments.value, answer_id, [])]

    def _call_of(
        self, part: DeltaPart, block: dict[str, Any], args: object, answer_id: str, ended: list[DeltaBlock]
    ) -> Delta:
        arguments = _json(args if is_object(args) else {})
        call_id = part.id or _made_up_id(answer_id, self.index, self._calls, part.name, arguments)
        function = FunctionCallDelta(name=part.name, arguments=arguments)
        call = ToolCallDelta(index=self._calls, id=call_id, type="function", function=function)
        self._calls += 1
        blocks = [*ended, DeltaBlock(index=part.index, block=block)]
        return Delta(part=part.model_copy(update={"id": call_id}), tool_calls=(call,), blocks=blocks)

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

    def _annotations(self, said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Sources that were not given yet, in OpenAI's form; where they belong to is counted in bytes."""
        for found in (*_grounded(said.get("groundingMetadata")), *_cited(said.get("citationMetadata"))):
            key = tuple(sorted(found.items()))
            if key not in self._cited:
                self._cited.add(key)
                yield {"type": "url_citation", "url_citation": found}


def _grounded(metadata: object) -> Iterator[dict[str, Any]]:
    if not is_object(metadata):
        return
    chunks = [*_objects(metadata.get("groundingChunks"))]
    sources = [_source(chunk.get("web") or chunk.get("retrievedContext")) for chunk in chunks]
    used: set[int] = set()
    for support in _objects(metadata.get("groundingSupports")):
        segment = support.get("segment")
        where = _segment(segment if is_object(segment) else {})
        indices = support.get("groundingChunkIndices")
        for index in indices if is_list(indices) else ():
            if isinstance(index, int) and 0 <= index < len(sources) and sources[index]:
                used.add(index)
                yield {**sources[index], **where}
    yield from (source for index, source in enumerate(sources) if source and index not in used)


def _cited(metadata: object) -> Iterator[dict[str, Any]]:
    if is_object(metadata):
        for source in _objects(metadata.get("citationSources") or metadata.get("citations")):
            if found := _source(source):
                yield {**found, **_segment(source)}


def _source(said: object) -> dict[str, Any]:
    if not is_object(said) or not isinstance(url := said.get("uri"), str):
        return {}
    title = said.get("title")
    return {"url": url, **({"title": title} if isinstance(title, str) else {})}


def _segment(said: Mapping[str, Any]) -> dict[str, int]:
    begin, end = said.get("startIndex", 0), said.get("endIndex")
    return {"start_index": begin, "end_index": end} if isinstance(begin, int) and isinstance(end, int) else {}


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [each for each in value if is_object(each)] if is_list(value) else ()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _made_up_id(*origin: object) -> str:
    return f"call_{sha256(ascii(origin).encode()).hexdigest()[:24]}"
