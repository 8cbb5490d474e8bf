"""A message of Cohere's Chat API, as its events make it.

Rules:

1. Contents and calls are numbered apart; each is a part of the answer, in the order in which they begin. What the model
   plans before its calls is reasoning, and a part by itself.
2. A delta of a text without its beginning begins a part. A call has a name, so it needs one that has begun.
3. ``message-end`` ends the message, and the parts that are open; but where the length cut it, a call is cut, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rxllm.dialects._kept import Kept
from rxllm.dialects.cohere._cohere_citations import annotations_of
from rxllm.dialects.cohere._cohere_fields import (
    arguments_in,
    as_list,
    as_object,
    as_text,
    call_in,
    index_in,
    message_in,
)
from rxllm.dialects.cohere._cohere_parts import CITATIONS, KINDS, PLAN, GrowingPart
from rxllm.dialects.cohere._cohere_usage import logprobs_of, usage_of
from rxllm.exceptions import LimitExceededError, excerpt
from rxllm.models import (
    Delta,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    Slots,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    is_object,
    is_reason,
)

LAST = "message-end"
"""The event that ends a message."""

MAX_PARTS_OF_MESSAGE = 4096
"""How many parts a message may have."""

_REASONS: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    # The word of version 1.
    "ERROR_TOXIC": "content_filter",
}
_FAILURES = frozenset({"ERROR", "TIMEOUT"})


class CohereMessage:
    """The message of one stream.

    Attributes:
        id: Its identifier.
        kept: How much is kept of it.
        has_begun: Whether anything of it has come.
        ended: Whether it is whole.
        failure: What the server says went wrong, if it gave up.
        contents: Its texts and its thinking, by the index that the server gives them; also those that have ended.
        calls: Its calls, likewise.
    """

    __slots__ = ("_called", "_parts", "_plan", "calls", "contents", "ended", "failure", "has_begun", "id", "kept")

    def __init__(self) -> None:
        self.id: str | None = None
        self.has_begun = self.ended = False
        self.failure: Mapping[str, Any] | None = None
        self.contents: dict[int, GrowingPart] = {}
        self.calls: dict[int, GrowingPart] = {}
        self._plan: GrowingPart | None = None
        self._parts = self._called = 0
        self.kept = Kept("the answer has")

    def knows(self, kind: str) -> bool:
        """Whether that is an event of a message."""
        return kind == LAST or kind in self._TAKEN

    def chunk(self, **fields: Any) -> StreamChunk:
        """A chunk of this message."""
        return StreamChunk(id=self.id, **fields)

    def take(self, kind: str, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an event that it knows.

        Returns:
            What it gives. It is one chunk at least, unless the server gave up.

        Raises:
            LimitExceededError: There is too much of something.
            ValueError: It is malformed, or out of place.
        """
        if self.ended:
            return [self.chunk()]
        if kind == LAST:
            return self._end(as_object(fields.get("delta")))
        choices = [StreamChoice(delta=delta) for delta in self._TAKEN[kind](self, fields)]
        self.has_begun = True
        if choices and (logprobs := logprobs_of(fields.get("logprobs"))):
            choices[-1] = choices[-1].model_copy(update={"logprobs": logprobs})
        return [self.chunk(choices=(choice,)) for choice in choices] or [self.chunk()]

    def take_whole(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take an answer that came as a whole: see ``take``."""
        message = as_object(fields.get("message"))
        events = [("message-start", {"id": fields.get("id"), **_of_message(role=message.get("role"))})]
        if plan := message.get(PLAN):
            events.append(("tool-plan-delta", _of_message(tool_plan=plan)))
        for index, content in enumerate(as_list(message.get("content"))):
            events.append(("content-start", {"index": index, **_of_message(content=content)}))
        for index, call in enumerate(as_list(message.get("tool_calls"))):
            events.append(("tool-call-start", {"index": index, **_of_message(tool_calls=call)}))
        events += [("citation-start", _of_message(citations=each)) for each in as_list(message.get(CITATIONS))]
        chunks = [chunk for kind, each in events for chunk in self.take(kind, each)]
        if logprobs := logprobs_of(fields.get("logprobs")):
            chunks.append(self.chunk(choices=(StreamChoice(logprobs=logprobs),)))
        return [*chunks, *self.take(LAST, {"delta": fields})]

    def _begin(self, fields: Mapping[str, Any]) -> list[Delta]:
        new_id = as_text(fields.get("id"))
        if self.has_begun and new_id and self.id and new_id != self.id:
            raise ValueError(f"message {excerpt(new_id)} begins, and message {excerpt(self.id)} has not ended")
        self.id = new_id or self.id
        return [Delta(role=as_text(message_in(fields).get("role")) or "assistant")]

    def _new(self, key: str, kind: PartKind, head: dict[str, Any], **fields: Any) -> GrowingPart:
        if self._parts >= MAX_PARTS_OF_MESSAGE:
            raise LimitExceededError(
                f"the message has more than {MAX_PARTS_OF_MESSAGE} parts",
                limit="max_parts",
                maximum=MAX_PARTS_OF_MESSAGE,
            )
        self._parts += 1
        return GrowingPart(DeltaPart(index=self._parts - 1, kind=str(kind), **fields), key, head)

    def _grow(self, part: GrowingPart, piece: str) -> list[Delta]:
        self.kept.add(len(piece))
        return [part.grow(piece)]

    def _begin_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        index, said = index_in(fields), as_object(message_in(fields).get("content"))
        key = "thinking" if said.get("type") == "thinking" or "thinking" in said else "text"
        text = as_text(said.get(key))
        open_part = self.contents.get(index)
        if open_part is not None and open_part.key == key and not (open_part.ended or open_part.pieces or text):
            # Said once more before anything of it came, it is the same.
            return []
        begun = self._begin_part(index, key)
        return [*begun, *self._grow(self.contents[index], text)] if text else begun

    def _begin_part(self, index: int, key: str) -> list[Delta]:
        ended = [*_end_of(self._plan), *_end_of(self.contents.get(index))]
        part = self.contents[index] = self._new(key, KINDS[key], {"type": key})
        return [*ended, Delta(part=part.part)]

    def _grow_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        index, content = index_in(fields), as_object(message_in(fields).get("content"))
        pieces = [(key, content[key]) for key in ("thinking", "text") if isinstance(content.get(key), str)]
        if not pieces:
            raise ValueError("it has no text")
        deltas: list[Delta] = []
        for key, piece in pieces:
            part = self.contents.get(index)
            if part is None or part.ended or part.key != key:
                deltas += self._begin_part(index, key)
            deltas += self._grow(self.contents[index], piece)
        return deltas

    def _end_content(self, fields: Mapping[str, Any]) -> list[Delta]:
        return _end_of(self.contents.get(index_in(fields)))

    def _grow_plan(self, fields: Mapping[str, Any]) -> list[Delta]:
        piece = message_in(fields).get(PLAN)
        if not isinstance(piece, str):
            raise ValueError("its tool_plan is not a text")  # noqa: TRY004 - what it is malformed by
        if self._plan is None or self._plan.ended:
            self._plan = self._new(PLAN, KINDS[PLAN], {})
        return self._grow(self._plan, piece)

    def _begin_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        index, call = index_in(fields), call_in(fields)
        function = as_object(call.get("function"))
        call_id, name, text = as_text(call.get("id")), as_text(function.get("name")), arguments_in(function)
        before = self.calls.get(index)
        if before is not None and not before.ended:
            if call_id and before.part.id == call_id and not (before.pieces or text):
                return []
            raise ValueError(f"a call begins, and call {excerpt(before.part.id or '')} at its index has not ended")
        head = {**call, "function": {key: value for key, value in function.items() if key != "arguments"}}
        part = self._new("arguments", PartKind.TOOL_CALL, head, id=call_id or None, name=name or None)
        part.call, self._called = self._called, self._called + 1
        self.calls[index] = part
        said = FunctionCallDelta(name=name or None, arguments=text)
        begun = ToolCallDelta(index=part.call, id=call_id or None, type="function", function=said)
        if text:
            self.kept.add(len(text))
            part.pieces.append(text)
        return [*_end_of(self._plan), Delta(part=part.part, tool_calls=(begun,))]

    def _grow_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        part = self.calls.get(index_in(fields))
        if part is None or part.ended:
            raise ValueError("no call is open at its index")
        return self._grow(part, arguments_in(as_object(call_in(fields).get("function"))))

    def _end_call(self, fields: Mapping[str, Any]) -> list[Delta]:
        index = index_in(fields)
        if index not in self.calls:
            # Nobody would miss a call that is lost.
            raise ValueError("no call has begun at its index")
        return _end_of(self.calls[index])

    def _cite(self, fields: Mapping[str, Any]) -> list[Delta]:
        citation = message_in(fields).get(CITATIONS)
        if not is_object(citation):
            return []
        index = citation.get("content_index")
        place = index if isinstance(index, int) else 0
        part = self._plan if citation.get("type") == "PLAN" else self.contents.get(place)
        if part is None:
            # Nobody can say what it is of.
            return [Delta(annotations=annotations_of(citation, None))]
        self.kept.add(len(str(citation)))
        return [part.cite(citation)]

    def _nothing(self, _: Mapping[str, Any]) -> list[Delta]:
        return []

    def _end(self, said: Mapping[str, Any]) -> list[StreamChunk]:
        self.has_begun = True
        usage = usage_of(said.get("usage"))
        costs = {"usage": usage, "slots": None if usage is None else Slots(replaces_usage=True)}
        word = as_text(said.get("finish_reason"))
        if said.get("error") or word in _FAILURES:
            self.failure = {"error": said.get("error") or f"the answer ended with {word}", "type": word}
            return [] if usage is None else [self.chunk(**costs)]
        self.ended = True
        reason = word if is_reason(word) else ""
        ours = _REASONS.get(reason, reason) or "stop"
        end = StreamChoice(
            finish_reason="tool_calls" if ours == "stop" and self._called else ours,
            native_finish_reason=reason or None,
        )
        choices = [StreamChoice(delta=delta) for delta in self._last_deltas(is_cut=ours == "length")]
        return [*(self.chunk(choices=(choice,)) for choice in choices), self.chunk(choices=(end,), **costs)]

    def _last_deltas(self, *, is_cut: bool) -> list[Delta]:
        """The ends of parts that are open, and the blocks of those that were cited after their end."""
        deltas: list[Delta] = []
        parts = [*self.contents.values()]
        if self._plan is not None:
            parts.insert(0, self._plan)
        if not is_cut:
            parts += self.calls.values()
        for part in parts:
            deltas += _end_of(part)
            if part.told < len(part.citations):
                deltas.append(part.last_delta())
        return deltas

    _TAKEN: ClassVar[Mapping[str, Callable[[Any, Mapping[str, Any]], list[Delta]]]] = {
        "message-start": _begin,
        "content-start": _begin_content,
        "content-delta": _grow_content,
        "content-end": _end_content,
        "tool-plan-delta": _grow_plan,
        "tool-call-start": _begin_call,
        "tool-call-delta": _grow_call,
        "tool-call-end": _end_call,
        "citation-start": _cite,
        "citation-end": _nothing,
    }


def _end_of(part: GrowingPart | None) -> list[Delta]:
    return [] if part is None or part.ended else part.end()


def _of_message(**fields: Any) -> dict[str, Any]:
    return {"delta": {"message": fields}}
