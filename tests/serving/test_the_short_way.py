"""A chunk that is a piece of text and nothing else takes a short way, which says what the long way says."""

from __future__ import annotations

import re
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st

from rxllm import serving
from rxllm.models import StreamChunk, marked


def chunk(delta: dict[str, Any], **more: Any) -> StreamChunk:
    choice = {"index": 0, "delta": delta, **more}
    return StreamChunk.model_validate({"id": "c", "model": "m", "created": 1, "choices": [choice]})


def call(index: int, **function: str) -> dict[str, Any]:
    return {
        "tool_calls": [
            {"index": index, **({"id": f"call_{index}"} if "name" in function else {}), "function": function}
        ]
    }


DELTAS: list[dict[str, Any]] = [
    {"content": "Hel"},
    {"content": "lo"},
    {"content": ""},
    {"reasoning_content": "hm"},
    {"content": "both", "reasoning_content": "hm"},
    {"refusal": "no"},
    call(0, name="f", arguments="{"),
    call(0, arguments="}"),
]


def the_long_way(item: StreamChunk) -> StreamChunk:
    """The same, with a field that nobody knows: so it is looked at in full."""
    choice = item.choices[0]
    delta = choice.delta.model_copy(update={"nobody_knows": 1})
    return item.model_copy(update={"choices": [choice.model_copy(update={"delta": delta})]})


async def told(protocol: str, items: list[StreamChunk]) -> bytes:
    return b"".join([each async for each in serving.frames(reactivex.of(*items), protocol=protocol)])


@pytest.mark.parametrize("protocol", ["events", "ui-message-stream", "ag-ui"])
@given(places=st.lists(st.sampled_from(range(len(DELTAS))), max_size=12), restart=st.none() | st.integers(1, 11))
async def test_it_says_the_same(protocol: str, places: list[int], restart: int | None) -> None:
    items = [marked(chunk({"role": "assistant"}), begins=True), *(chunk(DELTAS[place]) for place in places)]
    if restart is not None and restart < len(items):
        items[restart] = marked(items[restart], begins=True, restarts=True)
    items.append(chunk({}, finish_reason="stop"))

    short = await told(protocol, items)

    # Identifiers that are made up are not the same twice.
    assert hidden(short) == hidden(await told(protocol, [the_long_way(item) for item in items]))


def hidden(frames: bytes) -> bytes:
    """The frames, without what is made up for each answer."""
    return re.sub(rb"[0-9a-f]{32}|[0-9a-f-]{36}|msg_?[0-9A-Za-z]+", b"", frames)
