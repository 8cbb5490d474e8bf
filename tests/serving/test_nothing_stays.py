"""Nothing of an answer waits for the collector: with many clients that would be memory, and pauses."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
import reactivex

import rxllm
from rxllm import serving
from rxllm.models import StreamChunk

CALL = {"index": 0, "id": "call_1", "function": {"name": "look", "arguments": "{}"}}
ANSWER = [
    StreamChunk.model_validate({"id": "a", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    for delta, reason in (({"content": "Hello"}, None), ({"tool_calls": [CALL]}, None), ({}, "tool_calls"))
]


@pytest.fixture
def found() -> Generator[list[object]]:
    """What only the collector could have taken away."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.mark.parametrize("protocol", ["events", "openai-chat", "ui-message-stream", "ag-ui"])
@pytest.mark.parametrize("ending", [[], [object()]], ids=["whole", "failed"])
def test_of_an_answer(protocol: str, ending: list[object], found: list[object]) -> None:
    answer: reactivex.Observable[object] = reactivex.from_iterable([*ANSWER, *ending])

    rxllm.run(serving.frames(answer, protocol=protocol))
    gc.collect()

    assert [each for each in found if type(each).__module__.startswith("rxllm.serving")] == []
