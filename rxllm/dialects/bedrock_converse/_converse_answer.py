"""An answer of the Converse API that came as a whole, as the events that a stream of it would have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rxllm.dialects.bedrock_converse._converse_blocks import CITATION, IMAGE, RESULT
from rxllm.dialects.bedrock_converse._converse_message import (
    BLOCK_DELTA,
    BLOCK_START,
    BLOCK_STOP,
    METADATA,
    START,
    STOP,
)
from rxllm.dialects.bedrock_converse._converse_pieces import INPUT, REASONING, TEXT
from rxllm.models import is_list, is_object

_Event = tuple[str, Mapping[str, Any]]
# Of a block, what a delta has and its beginning has not.
_IN_A_DELTA = {INPUT: "input", RESULT: "content", IMAGE: "source"}


def events_of_answer(fields: object) -> list[_Event]:
    """The events, each with its name; none if it is no such answer."""
    output = fields.get("output") if is_object(fields) else None
    message = output.get("message") if is_object(output) else None
    content = message.get("content") if is_object(message) else None
    if not (is_object(fields) and is_object(message) and is_list(content)):
        return []
    blocks = [block for block in content if is_object(block) and block]
    return [
        (START, {"role": message.get("role")}),
        *(event for index, block in enumerate(blocks) for event in _events_of(index, block)),
        (STOP, {"stopReason": fields.get("stopReason")}),
        (METADATA, {name: value for name, value in fields.items() if name not in {"output", "stopReason"}}),
    ]


def _events_of(index: int, block: Mapping[str, Any]) -> Iterator[_Event]:
    start, deltas = _parts_of(block)
    if start:
        yield BLOCK_START, {"start": start, "contentBlockIndex": index}
    for delta in deltas:
        yield BLOCK_DELTA, {"delta": delta, "contentBlockIndex": index}
    yield BLOCK_STOP, {"contentBlockIndex": index}


def _parts_of(block: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """What the beginning of a block says, and its deltas."""
    member, said = next(iter(block.items()))
    if not is_object(said):
        return {}, [block]
    if member == REASONING:
        text = said.get("reasoningText")
        return {}, [{REASONING: text if is_object(text) else said}]
    if member == "citationsContent":
        content, citations = (each if is_list(each := said.get(name)) else [] for name in ("content", "citations"))
        texts = [{TEXT: each["text"]} for each in content if is_object(each) and "text" in each]
        return {}, [*texts, *({CITATION: each} for each in citations)]
    name = _IN_A_DELTA.get(member, "")
    start = {member: {key: value for key, value in said.items() if key != name}}
    if name not in said:
        return start, []
    if member == INPUT:
        return start, [{INPUT: {"input": msgspec.json.encode(said[name]).decode()}}]
    return start, [{member: said[name] if member == RESULT else {name: said[name]}}]
