"""Arguments that repeat themselves from their beginning, beside text that does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import OpenAIChat
from rxllm.exceptions import DecodeError
from rxllm.models import StreamChunk


def event(value: Any) -> str:
    return json.dumps(value)


def decode(*events: str) -> list[StreamChunk]:
    decoder = OpenAIChat(cumulative_text=True).decoder()
    return [chunk for each in events for chunk in decoder.decode(each)]


def calls(*fragments: dict[str, Any]) -> str:
    return event({"choices": [{"delta": {"tool_calls": list(fragments)}}]})


def call(arguments: object, name: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"index": 0, **fields, "function": {"name": name, "arguments": arguments}}


WHOLE = '{"q":"x","n":[1]}'
GROWING = ["{", '{"q":', '{"q":"x","n"', WHOLE]
PIECES = ["{", '"q":', '"x","n"', ":[1]}"]
ONE = [("a", "f", WHOLE)]
AND_ANOTHER = [*ONE, ("b", "g", '{"q":"y"}')]


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        ([call("", "f", id="a"), *map(call, GROWING)], ONE),
        ([call(GROWING[0], "f", id="a"), *map(call, GROWING[1:])], ONE),
        ([call(text, "f", id="a") for text in GROWING], ONE),
        ([call(text, "f", id="a", index=None) for text in GROWING], ONE),
        ([call("{}", "f", id="a"), *map(call, GROWING)], ONE),
        ([call("null", "f", id="a"), *map(call, GROWING)], ONE),
        ([call("", "f", id="a"), *map(call, GROWING), call(WHOLE), call(WHOLE, "f", id="a")], ONE),
        ([call("", "f", id="a"), *map(call, GROWING), call('{"n": [1.0], "q": "x"}')], ONE),
        ([call("", "f", id="a"), *map(call, PIECES)], ONE),
        ([call("", "f", id="a"), *map(call, PIECES), call(WHOLE, "f", id="a")], ONE),
        ([call({"q": "x", "n": [1]}, "f", id="a")], ONE),
        ([call("", "f", id="a"), *map(call, GROWING), call('{"q"', "g", id="b"), call('{"q":"y"}')], AND_ANOTHER),
        ([*(call(text, "f", id="a") for text in GROWING), call('{"q":"y"}', "g", id="b", index=1)], AND_ANOTHER),
        (
            [call(text, *what, index=None) for text, what in zip(GROWING, [["f"]] * 4, strict=True)]
            + [call(WHOLE, "g", index=None, id="b")],
            [(None, "f", WHOLE), ("b", "g", WHOLE)],
        ),
        ([call(WHOLE, "f", id="a"), call(WHOLE, "f", id="b")], [*ONE, ("b", "f", WHOLE)]),
    ],
)
def test_arguments_may_be_cumulative_too(fragments: list[dict[str, Any]], expected: list[tuple[Any, ...]]) -> None:
    decoder = OpenAIChat(cumulative_text=True).decoder()
    accumulator = StreamAccumulator()
    wire = [
        *map(calls, fragments),
        event({"choices": [{"delta": {"content": "He"}}]}),
        event({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
    ]
    for each in wire:
        for chunk in decoder.decode(each):
            accumulator.add(chunk)
    assert decoder.finished
    assert [*decoder.close()] == []
    found = accumulator.message().tool_calls
    assert [(each.function.name, each.function.parsed) for each in found] == [
        (name, json.loads(text)) for _, name, text in expected
    ]
    assert all(each.id == call_id for each, (call_id, *_) in zip(found, expected, strict=True) if call_id)


def test_cumulative_arguments_that_go_back_are_an_error() -> None:
    with pytest.raises(DecodeError, match="event 2 does not continue the arguments before it"):
        decode(*(calls(call(text, id="a")) for text in ('{"q', '{"q":"x"', '{"p')))


def test_arguments_in_many_pieces_beside_cumulative_text() -> None:
    texts = ['{"q":"', *["x"] * 20_000, '"}']
    chunks = decode(*(calls(call(text, id="a")) for text in texts))
    assert len(chunks) == len(texts)
