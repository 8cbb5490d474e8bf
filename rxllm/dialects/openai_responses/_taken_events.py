"""What the events of the Responses API say of an answer, by their types.

A rule: an event that lacks what it is for is bad input; one that nobody knows is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from rxllm.dialects.openai_responses._growing_response import GrowingResponse, where_in
from rxllm.dialects.openai_responses._response_events import (
    OUTPUT_TEXT,
    PIECES,
    REASONING,
    REFUSAL,
    SUMMARY,
    WHOLES,
    MalformedEventError,
)
from rxllm.dialects.openai_responses._response_texts import text_of
from rxllm.models import StreamChunk, is_object

Fields: TypeAlias = Mapping[str, Any]
Chunks: TypeAlias = Iterable[StreamChunk]

_PARTS = MappingProxyType({"refusal": REFUSAL, "reasoning_text": REASONING, "summary_text": SUMMARY})


def taker_of(fields: Fields) -> Callable[[GrowingResponse, Fields], Chunks] | None:
    """What takes an event of that type; ``None`` if it says nothing of what an answer gained."""
    kind = fields.get("type")
    return _TAKERS.get(kind) if isinstance(kind, str) else None


def _take_beginning(answer: GrowingResponse, fields: Fields) -> Chunks:
    response = fields.get("response")
    if fields["type"] == "response.created" and answer.has_items:
        raise MalformedEventError("another answer begins with it")
    return answer.begin(response if is_object(response) else {})


def _take_piece(answer: GrowingResponse, fields: Fields) -> Chunks:
    of = PIECES[fields["type"]]
    delta = fields.get("delta")
    if is_object(delta):
        # What a command wrote to its two outputs.
        delta = "".join(each for each in delta.values() if isinstance(each, str))
    if not isinstance(delta, str):
        raise MalformedEventError("it has no text for a delta")
    return (answer.take_piece(of, None, where_in(fields, of.sub), delta, fields.get("logprobs")),)


def _take_whole(answer: GrowingResponse, fields: Fields) -> Chunks:
    of = WHOLES[fields["type"]]
    return answer.take_whole(of, where_in(fields, of.sub), text_of(fields.get(of.whole)))


def _take_part(answer: GrowingResponse, fields: Fields) -> Chunks:
    """Take a part of a message or of reasoning: all of one text, or nothing yet."""
    part = fields.get("part")
    if not is_object(part):
        raise MalformedEventError("it has no part")
    of = _PARTS.get(str(part.get("type")), OUTPUT_TEXT)
    whole = part.get(of.whole)
    return answer.take_whole(of, where_in(fields, of.sub), whole) if whole and isinstance(whole, str) else ()


def _take_item(answer: GrowingResponse, fields: Fields) -> Chunks:
    item = fields.get("item")
    if not is_object(item):
        raise MalformedEventError("it has no item")
    take = answer.announce if fields["type"] == _ADDED else answer.finish_item
    return take(item, where_in(fields))


def _take_annotation(answer: GrowingResponse, fields: Fields) -> Chunks:
    said = fields.get("annotation")
    if not is_object(said):
        raise MalformedEventError("it has no annotation")
    return (answer.annotate(OUTPUT_TEXT, said, where_in(fields, OUTPUT_TEXT.sub)),)


_ADDED = "response.output_item.added"
_TAKERS = MappingProxyType(
    {
        **dict.fromkeys(("response.created", "response.in_progress", "response.queued"), _take_beginning),
        **dict.fromkeys(PIECES, _take_piece),
        **dict.fromkeys(WHOLES, _take_whole),
        **dict.fromkeys((_ADDED, "response.output_item.done"), _take_item),
        **dict.fromkeys(("response.content_part.added", "response.content_part.done"), _take_part),
        **dict.fromkeys(("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"), _take_part),
        "response.output_text.annotation.added": _take_annotation,
    }
)
