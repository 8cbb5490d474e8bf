"""A message of Cohere's Chat API, as its events make it.

Rules:

1. Contents and calls are numbered apart; each is a part of the answer, in the order in which they begin.
2. Usage counts tokens; what is billed is another count, and stays beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from rxllm.exceptions import LimitExceededError
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    Slots,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    Usage,
    is_list,
    is_object,
    make,
)

MAX_PARTS_OF_MESSAGE = 4096
"""How many parts a message may have."""

_MAX_KEPT = 256 * 1024 * 1024
_REASONS: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "TIMEOUT": "error",
    # The word of version 1.
    "ERROR_TOXIC": "content_filter",
}
_FAILURES = frozenset({"ERROR", "TIMEOUT"})
Place: TypeAlias = tuple[Literal["content", "call", "plan"], int]


@dataclass(slots=True, eq=False)
class GrowingPart:
    """A part under way.

    Attributes:
        part: What its deltas say of it.
        key: The field of its block that grows.
        call: Which of the calls it is; ``None`` if it is none.
        head: What else is in its block.
        pieces: What has come of its text.
    """

    part: DeltaPart
    key: str
    head: dict[str, Any]
    call: int | None = None
    pieces: list[str] = field(default_factory=list[str])

    def grow(self, piece: str) -> Delta:
        """What a piece of its text gives."""
        self.pieces.append(piece)
        found: Delta
        if self.call is not None:
            call = ToolCallDelta(index=self.call, function=FunctionCallDelta(arguments=piece))
            found = make(Delta, part=self.part, tool_calls=(call,))
        elif self.part.kind == PartKind.TEXT:
            found = make(Delta, part=self.part, content=piece)
        else:
            found = make(Delta, part=self.part, reasoning_content=piece)
        return found

    def block(self) -> DeltaBlock:
        """The part, finished."""
        text = "".join(self.pieces)
        if self.call is None:
            return DeltaBlock(index=self.part.index, block={**self.head, self.key: text})
        function = {**self.head.get("function", {}), "arguments": text or "{}"}
        return DeltaBlock(index=self.part.index, block={**self.head, "function": function})


class CohereMessage:
    """The message of one stream.

    Attributes:
        id: Its identifier.
        has_begun: Whether anything of it has come.
        ended: Whether it is whole.
        failure: What the server says went wrong, if it gave up.
    """

    __slots__ = ("_calls", "_kept", "_parts", "_seen", "ended", "failure", "has_begun", "id")

    def __init__(self) -> None:
        self.id: str | None = None
        self.has_begun = self.ended = False
        self.failure: Mapping[str, Any] | None = None
        self._parts: dict[Place, GrowingPart] = {}
        self._seen = self._calls = self._kept = 0

    def knows(self, kind: str) -> bool:
        """Whether that is an event of a message."""
        return kind in self._TAKEN

    def text_at(self, index: int) -> GrowingPart | None:
        """The text that is open at an index; ``None`` if none is."""
        found = self._parts.get(("content", index))
        return found if found is not None and found.part.kind == PartKind.TEXT else None

    def chunk(self, **fields: Any) -> StreamChunk:
        """A chunk of this message."""
        return StreamChunk(id=self.id, **fields)

    def take(self, kind: str, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an event that it knows; gives one chunk at least.

        Raises:
            LimitExceededError: There is too much of something.
            ValueError: It is malformed.
        """
        self.has_begun = True
        deltas = self._TAKEN[kind](self, fields)
        if kind == "message-end":
            return self._last(fields, deltas)
        return [self.chunk(choices=(StreamChoice(delta=delta),)) for delta in deltas] or [self.chunk()]

    def take_whole(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an answer that came as a whole."""
        message = fields["message"]
        said: list[tuple[str, dict[str, Any]]] = [
            ("message-start", {"id": fields.get("id"), "delta": {"message": message}})
        ]
        if plan := message.get("tool_plan"):
            said.append(("tool-plan-delta", _of_message(tool_plan=plan)))
        for index, content in enumerate(message.get("content") or ()):
            said.append(("content-start", {"index": index, **_of_message(content=content)}))
        for index, call in enumerate(message.get("tool_calls") or ()):
            said.append(("tool-call-start", {"index": index, **_of_message(tool_calls=call)}))
        said += [("citation-start", _of_message(citations=each)) for each in message.get("citations") or ()]
        end = {"delta": {"finish_reason": fields.get("finish_reason"), "usage": fields.get("usage")}}
        return [chunk for kind, each in [*said, ("message-end", end)] for chunk in self.take(kind, each)]

    def grow(self, part: GrowingPart, piece: str) -> Delta:
        """What a piece of the text of a part gives.

        Raises:
            LimitExceededError: There is too much text.
        """
        self._keep(len(piece))
        return part.grow(piece)

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > _MAX_KEPT:
            raise LimitExceededError(
                f"the answer has more than {_MAX_KEPT} characters", limit="max_characters", maximum=_MAX_KEPT
            )

    def _begin(self, fields: Mapping[str, Any]) -> list[Delta]:
        self.id = _text(fields.get("id")) or self.id
        return [Delta(role=_text(_message_in(fields).get("role")) or "assistant")]

    def _new(self, place: Place, kind: PartKind, key: str, head: dict[str, Any], **part: Any) -> GrowingPart:
        if self._seen >= MAX_PARTS_OF_MESSAGE:
            raise LimitExceededError(
                f"the message has more than {MAX_PARTS_OF_MESSAGE} parts",
                limit="max_parts",
                maximum=MAX_PARTS_OF_MESSAGE,
            )
        made = make(DeltaPart, index=self._seen, kind=str(kind), **part)
        self._seen += 1
        found = self._parts[place] = GrowingPart(made, key, head)
        return found

    def _begin_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        place: Place = ("content", _index_in(fields))
        ended = self._end(place)
        said = _object(_message_in(fields).get("content"))
        kind = "thinking" if said.get("type") == "thinking" or "thinking" in said else "text"
        part = self._content(place, kind)
        text = _text(said.get(kind))
        return [*ended, self.grow(part, text) if text else Delta(part=part.part)]

    def _content(self, place: Place, kind: str) -> GrowingPart:
        found = self._parts.get(place)
        if found is None:
            of = PartKind.REASONING if kind == "thinking" else PartKind.TEXT
            found = self._new(place, of, kind, {"type": kind})
        return found

    def _grow_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        content = _message_in(fields).get("content")
        if not is_object(content):
            raise ValueError("it has no content")
        kind = "thinking" if "thinking" in content else "text"
        piece = content.get(kind)
        if not isinstance(piece, str):
            raise ValueError(f"its {kind} is no text")  # noqa: TRY004 - what it is malformed by
        return [self.grow(self._content(("content", _index_in(fields)), kind), piece)]

    def _end_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        return self._end(("content", _index_in(fields)))

    def _nothing(self, _: Mapping[str, Any]) -> list[Delta]:
        return []

    def _plan(self, fields: Mapping[str, Any]) -> list[Delta]:
        piece = _message_in(fields).get("tool_plan")
        if not isinstance(piece, str):
            raise ValueError("its tool_plan is no text")  # noqa: TRY004 - what it is malformed by
        place: Place = ("plan", 0)
        found = self._parts.get(place) or self._new(place, PartKind.REASONING, "tool_plan", {})
        return [self.grow(found, piece)]

    def _begin_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        place: Place = ("call", _index_in(fields))
        ended = [*self._end(("plan", 0)), *self._end(place)]
        call = _call_in(fields)
        said = _object(call.get("function"))
        call_id, name, text = _text(call.get("id")), _text(said.get("name")), _text(said.get("arguments"))
        head = {**call, "function": {key: said[key] for key in said if key != "arguments"}}
        part = self._new(place, PartKind.TOOL_CALL, "arguments", head, id=call_id or None, name=name or None)
        part.call = self._calls
        self._calls += 1
        if text:
            self._keep(len(text))
            part.pieces.append(text)
        begun = ToolCallDelta(
            index=part.call,
            id=call_id or None,
            type="function",
            function=FunctionCallDelta(name=name or None, arguments=text),
        )
        return [*ended, Delta(part=part.part, tool_calls=(begun,))]

    def _grow_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        found = self._parts.get(("call", _index_in(fields)))
        function = _call_in(fields).get("function")
        piece = function.get("arguments") if is_object(function) else None
        if found is None or not isinstance(piece, str):
            raise ValueError("it has no arguments, or no call is open at its index")
        return [self.grow(found, piece)]

    def _end_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        place: Place = ("call", _index_in(fields))
        found = self._parts.get(place)
        # A call without arguments has none in the stream, either.
        empty = [found.grow("{}")] if found is not None and not "".join(found.pieces).strip() else []
        return [*empty, *self._end(place)]

    def _end(self, place: Place) -> list[Delta]:
        found = self._parts.pop(place, None)
        return [] if found is None else [Delta(part=found.part, blocks=[found.block()])]

    def _cite(self, fields: Mapping[str, Any]) -> list[Delta]:
        citation = _message_in(fields).get("citations")
        if not is_object(citation):
            return []
        return [Delta(annotations=_annotations_of(citation))]

    def _stop(self, _: Mapping[str, Any]) -> list[Delta]:
        calls = [
            delta for place in [*self._parts] if place[0] == "call" for delta in self._end_call({"index": place[1]})
        ]
        return [*calls, *(delta for place in [*self._parts] for delta in self._end(place))]

    def _last(self, fields: Mapping[str, Any], deltas: list[Delta]) -> list[StreamChunk]:
        end = _object(fields.get("delta"))
        reason = _text(end.get("finish_reason"))
        if end.get("error") or reason in _FAILURES:
            self.failure = {"error": end.get("error") or f"the answer ended with {reason}", "type": reason}
            return []
        self.ended = True
        usage = usage_for_cohere(end.get("usage"))
        choice = StreamChoice(finish_reason=_REASONS.get(reason, reason) or None, native_finish_reason=reason or None)
        last = self.chunk(choices=(choice,), usage=usage, slots=None if usage is None else Slots(replaces_usage=True))
        return [*(self.chunk(choices=(StreamChoice(delta=delta),)) for delta in deltas), last]

    _TAKEN: ClassVar[Mapping[str, Callable[[Any, Mapping[str, Any]], list[Delta]]]] = {
        "message-start": _begin,
        "content-start": _begin_content,
        "content-delta": _grow_content,
        "content-end": _end_content,
        "tool-plan-delta": _plan,
        "tool-call-start": _begin_call,
        "tool-call-delta": _grow_call,
        "tool-call-end": _end_call,
        "citation-start": _cite,
        "citation-end": _nothing,
        "message-end": _stop,
    }


def usage_for_cohere(said: object) -> Usage | None:
    """What an answer cost; ``None`` if that is not said."""
    if not is_object(said) or not said:
        return None
    counts = _object(said.get("tokens") or said.get("billed_units"))
    prompt, completion = _count(counts.get("input_tokens")), _count(counts.get("output_tokens"))
    fields: dict[str, Any] = {**said, "prompt_tokens": prompt, "completion_tokens": completion}
    if prompt is not None and completion is not None:
        fields["total_tokens"] = prompt + completion
    if (cached := _count(said.get("cached_tokens"))) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": cached}
    return Usage.model_validate(fields)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**63 else None


def _annotations_of(citation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A citation, once for each of its sources, in OpenAI's form."""
    where = {"start_index": citation.get("start"), "end_index": citation.get("end")}
    sources = citation.get("sources")
    found: list[dict[str, Any]] = []
    for source in sources if is_list(sources) else ():
        said = _object(_object(source).get("document"))
        url, title = said.get("url"), said.get("title")
        kind = "url_citation" if isinstance(url, str) else "source_citation"
        inner = {**where, "title": title, **({"url": url} if isinstance(url, str) else {"source": source})}
        found.append({"type": kind, kind: inner})
    return found or [{"type": "citation", "citation": dict(citation)}]


def _of_message(**fields: Any) -> dict[str, Any]:
    return {"delta": {"message": fields}}


def _object(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def _message_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return _object(_object(fields.get("delta")).get("message"))


def _call_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    call = _message_in(fields).get("tool_calls")
    if not is_object(call):
        raise ValueError("it has no call")
    return call


def _index_in(fields: Mapping[str, Any]) -> int:
    index = fields.get("index", 0)
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise ValueError("index is no index")
    return index


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
