"""An answer of Ollama's API, as its lines make it.

Rules:

1. A text, a piece of thinking and a call are parts. One that speaks goes on until another does, or the answer ends;
   a call is whole at once. The block of a part is what the message would have of it: ``{"content": …}``,
   ``{"thinking": …}``, or the call as it came.
2. The index that a call has counts for nothing: some versions give each of them 0. A call without an identifier gets
   one that is made of the time of its line, its place, its name and its arguments.
3. The answer has ended with a line that is ``done``, and with nothing else. It is the only one that tells what the
   answer cost.
4. Some servers have the thinking under another name; the first that has a text counts.
5. What the message has besides, which nobody declared, is an extra field of the delta.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rxllm.dialects._kept import Kept
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
    is_reason,
)

MAX_PARTS = 4096
"""How many parts an answer may have."""

_TEXT, _REASONING = str(PartKind.TEXT), str(PartKind.REASONING)
_FIELDS: Mapping[str, str] = {_TEXT: "content", _REASONING: "thinking"}
# What servers beside Ollama's own call the thinking.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    _TEXT: ("content",),
    _REASONING: ("thinking", "reasoning_content", "reasoning"),
}
_KNOWN = frozenset({"role", "tool_calls", "tool_name", *(name for names in _SPELLINGS.values() for name in names)})
# A server's word must not stand in the place of ours.
_OWN = frozenset(Delta.__struct_fields__) - {"images"}
_COUNTS = ("_count", "_duration")


class OllamaAnswer:
    """The answer of one stream.

    Attributes:
        has_begun: Whether it has.
        is_done: Whether the server said that it has ended.
        kept: How much is kept of the part that is open.
        model: The model that writes it.
        created: When it was begun.
        part: What says of which part the text is that comes; ``None`` if none is open.
        speaks: What kind that part is; ``""`` if none is open.
        pieces: What has come of its text.
    """

    __slots__ = (
        *("_calls", "_parts", "_role"),
        *("created", "has_begun", "is_done", "kept", "model", "part", "pieces", "speaks"),
    )

    def __init__(self) -> None:
        self.has_begun = False
        self.is_done = False
        self.model: str | None = None
        self.created: int | None = None
        self.part: DeltaPart | None = None
        self.speaks = ""
        self.pieces: list[str] = []
        self._role: str | None = None
        self._parts = 0
        self._calls = 0
        self.kept = Kept("a part of the answer has")

    def take(self, fields: Mapping[str, Any]) -> list[StreamChunk]:
        """Take a line.

        Returns:
            What it gives, one chunk at least.

        Raises:
            LimitExceededError: There is too much of something.
            ValueError: It is malformed.
        """
        if self.is_done:
            return [self.chunk()]
        message = _message_in(fields)
        if not self.has_begun:
            self._begin(fields)
        deltas = [*self._said(message, str(fields.get("created_at")))]
        if fields.get("done") is True:
            deltas += self._end_part()
        if (role := _text_in(message, "role")) and self._role is None:
            self._role = role
            deltas[:1] = [(deltas[0] if deltas else Delta()).model_copy(update={"role": role})]
        choices = [StreamChoice(delta=delta) for delta in deltas]
        if is_list(logprobs := fields.get("logprobs")) and logprobs:
            choices[:1] = [(choices or [StreamChoice()])[0].model_copy(update={"logprobs": {"content": logprobs}})]
        chunks = [self.chunk(choices=(choice,)) for choice in choices]
        if fields.get("done") is True:
            chunks.append(self._end(fields))
        return chunks or [self.chunk()]

    def chunk(self, **fields: Any) -> StreamChunk:
        """A chunk of this answer."""
        return StreamChunk(model=self.model, created=self.created, **fields)

    def _begin(self, fields: Mapping[str, Any]) -> None:
        self.has_begun = True
        self.model = _text_in(fields, "model") or None
        try:
            self.created = int(datetime.fromisoformat(str(fields.get("created_at"))).timestamp())
        except (ValueError, OverflowError):
            self.created = None

    def _said(self, message: Mapping[str, Any], created_at: str) -> Iterator[Delta]:
        for kind in (_REASONING, _TEXT):
            texts = (_text_in(message, name) for name in _SPELLINGS[kind])
            if text := next(filter(None, texts), None):
                yield from self._speak(kind, text)
        calls = message.get("tool_calls")
        if calls is not None and not is_list(calls):
            raise TypeError("tool_calls is not a list")
        for call in calls or ():
            yield from self._end_part()
            yield self._call(call, created_at)
        more = {name: value for name, value in message.items() if name not in _KNOWN | _OWN and value is not None}
        if more:
            yield Delta(part=self.part).model_copy(update=more)

    def _speak(self, kind: str, text: str) -> Iterator[Delta]:
        if self.speaks != kind:
            yield from self._end_part()
            self.part = self._new_part(kind=kind)
            self.speaks = kind
        self.pieces.append(text)
        self.kept.add(len(text))
        if kind == _TEXT:
            yield Delta(part=self.part, content=text)
        else:
            yield Delta(part=self.part, reasoning_content=text)

    def _new_part(self, **fields: Any) -> DeltaPart:
        if self._parts >= MAX_PARTS:
            raise LimitExceededError(
                f"the answer has more than {MAX_PARTS} parts", limit="max_parts", maximum=MAX_PARTS
            )
        self._parts += 1
        return DeltaPart(index=self._parts - 1, **fields)

    def _end_part(self) -> Iterator[Delta]:
        part, name, text = self.part, _FIELDS.get(self.speaks, ""), "".join(self.pieces)
        self.part, self.speaks, self.pieces, self.kept.size = None, "", [], 0
        if part is not None:
            yield Delta(part=part, blocks=(DeltaBlock(index=part.index, block={name: text}),))

    def _call(self, call: object, created_at: str) -> Delta:
        function = call.get("function") if is_object(call) else None
        if not is_object(call) or not is_object(function) or not (name := _text_in(function, "name")):
            raise ValueError("a call has no function with a name")
        arguments = _arguments_of(function.get("arguments"))
        number, self._calls = self._calls, self._calls + 1
        call_id = _text_in(call, "id") or _id_of(created_at, self.model, number, name, arguments)
        part = self._new_part(kind=str(PartKind.TOOL_CALL), id=call_id, name=name)
        said = FunctionCallDelta(name=name, arguments=arguments)
        return Delta(
            part=part,
            tool_calls=(ToolCallDelta(index=number, id=call_id, type="function", function=said),),
            blocks=(DeltaBlock(index=part.index, block=dict(call)),),
        )

    def _end(self, fields: Mapping[str, Any]) -> StreamChunk:
        self.is_done = True
        word = _text_in(fields, "done_reason")
        reason = word if is_reason(word) else None
        ours = "tool_calls" if reason in {None, "stop"} and self._calls else reason or "stop"
        usage = _usage_in(fields)
        return self.chunk(
            choices=(StreamChoice(finish_reason=ours, native_finish_reason=reason),),
            usage=usage,
            slots=None if usage is None else Slots(replaces_usage=True),
        )


def _message_in(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of a line; that of the older endpoint, ``/api/generate``, has its text beside it."""
    message = fields.get("message")
    if message is None:
        return {"content": fields.get("response"), "thinking": fields.get("thinking")}
    if not is_object(message):
        raise TypeError("message is not an object")
    return message


def _text_in(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is not a text")
    return value


def _arguments_of(value: object) -> str:
    """The arguments of a call as JSON; some proxies send that already."""
    if isinstance(value, str):
        return value if value.strip() else "{}"
    return "{}" if value is None else json.dumps(value, ensure_ascii=False)


def _id_of(*told: object) -> str:
    return f"call_{hashlib.sha256(ascii(told).encode()).hexdigest()[:24]}"


def _usage_in(fields: Mapping[str, Any]) -> Usage | None:
    told = {
        name: value
        for name, value in fields.items()
        if name.endswith(_COUNTS) and isinstance(value, int) and not isinstance(value, bool)
    }
    if not told:
        return None
    prompt, completion = told.get("prompt_eval_count"), told.get("eval_count")
    known = [count for count in (prompt, completion) if count is not None]
    ours = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": sum(known) if known else None,
    }
    return Usage.model_validate({**told, **ours})
