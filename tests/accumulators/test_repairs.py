"""Each repair is on the completion, goes to the callback once, and is an error in strict mode."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from typing import Any

import pytest

from rxllm.accumulators import StreamAccumulator, ToolCallAccumulator
from rxllm.exceptions import RepairError
from rxllm.models import ChatCompletion, Repair, StreamChunk

Wire = dict[str, Any]


def tc(arguments: Any = None, *, name: str | None = None, **fields: Any) -> Wire:
    function = {"name": name} if name is not None else {}
    if arguments is not None:
        function["arguments"] = arguments
    return {"choices": [{"index": 0, "delta": {"tool_calls": [{**fields, "function": function}]}}]}


def end(reason: str = "tool_calls") -> Wire:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


START = tc("{", id="a", name="f", index=0)

KINDS: dict[str, list[Wire]] = {
    "index-made-up": [tc("{}", id="a", name="f"), end()],
    "index-reused": [START, tc("}", index=0), tc("{}", id="b", name="f", index=0), end()],
    "id-repeated": [START, tc("}", id="a", index=0), end()],
    "id-changed": [START, tc("}", id="z", index=0), end()],
    "id-reused": [tc("{}", id="a", name="f", index=0), tc("{}", id="a", name="f", index=1), end()],
    "id-made-up": [tc("{}", name="f", index=0), end()],
    "name-repeated": [START, tc("}", name="f", index=0), end()],
    "name-joined": [tc(id="a", name="f", index=0), tc("{}", name="g", index=0), end()],
    "name-changed": [START, tc("}", name="g", index=0), end()],
    "blank-ignored": [START, tc("}", id="", index=0), end()],
    "arguments-serialized": [tc({"x": 1}, id="a", name="f", index=0), end()],
    "arguments-empty": [tc(id="a", name="f", index=0), end()],
    "arguments-placeholder": [tc("{}", id="a", name="f", index=0), tc('{"x":1}', index=0), end()],
    "arguments-repeated": [tc('{"x":1}', id="a", name="f", index=0), tc('{"x":1}', index=0), end()],
    "arguments-decoded": [tc('"{}"', id="a", name="f", index=0), end()],
    "empty-fragment-ignored": [tc("", index=7), end()],
    "usage-replaced": [end(), *({"choices": [], "usage": {"total_tokens": count}} for count in (2, 1))],
    "finish-reason-replaced": [end(), end("length")],
    "finish-reason-repeated": [end(), end("stop")],
}

OF_THE_FORM = {
    *("blank-ignored", "arguments-serialized", "arguments-empty", "arguments-decoded", "empty-fragment-ignored"),
    *("index-made-up", "id-repeated", "finish-reason-repeated"),
}
OF_THE_MEANING = [kind for kind in KINDS if kind not in OF_THE_FORM]

# What is no affair of single calls.
OF_THE_ANSWER = {"usage-replaced", "finish-reason-replaced", "finish-reason-repeated"}
AT_THE_END = {
    *("arguments-empty", "arguments-placeholder", "arguments-repeated", "arguments-decoded", "id-made-up"),
}


def chunks(kind: str) -> list[StreamChunk]:
    return [StreamChunk.from_wire(json.dumps(each)) for each in KINDS[kind]]


def test_every_kind_is_documented_and_here() -> None:
    documented = set(re.findall(r"^ *``([a-z-]+)`` ", Repair.__doc__ or "", re.MULTILINE))
    of_the_dialect = {"comment-as-data", "field-name-in-data", "message-as-delta", "finish-reason-blank"}
    of_the_dialect |= {"text-as-delta", "answer-not-streamed", "event-passed-over"}
    of_the_end = {"finish-reason-missing", "cut-after-finish"}
    of_its_reading = {"parts-joined", "set-aside", "type-converted"}
    of_the_request = {"lost-in-conversion"}
    assert documented == {*KINDS, *of_the_dialect, *of_its_reading, *of_the_end, *of_the_request}


def test_the_weight_is_that_of_the_table() -> None:
    table = re.findall(r"^ *``([a-z-]+)`` +(form|meaning) ", Repair.__doc__ or "", re.MULTILINE)
    assert {kind: Repair(kind, 0, None, None).weight for kind, _ in table} == dict(table)
    assert {kind for kind, weight in table if weight == "form"} >= OF_THE_FORM
    assert Repair("passed-over", 0, None, None).weight == "form"


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_completion_and_to_the_callback(kind: str) -> None:
    reported: list[Repair] = []
    accumulator = StreamAccumulator(on_repair=reported.append)
    for chunk in chunks(kind):
        accumulator.add(chunk)
        _ = accumulator.snapshot().content
        accumulator.partial()
    assert [repair.kind for repair in reported] == ([] if kind in AT_THE_END else [kind])
    repairs = accumulator.completion().repairs
    assert [repair.kind for repair in repairs] == [kind]
    assert accumulator.completion().repairs == tuple(reported) == repairs


@pytest.mark.parametrize("kind", sorted(OF_THE_FORM))
def test_what_is_of_the_form_is_no_error_in_strict_mode(kind: str) -> None:
    accumulator, calls = StreamAccumulator(strict=True), ToolCallAccumulator(strict=True)
    for chunk in chunks(kind):
        accumulator.add(chunk)
        calls.add(chunk)
    assert [repair.kind for repair in accumulator.completion().repairs] == [kind]
    assert [call.id for call in calls.close()] == [call.id for call in accumulator.message().tool_calls]


@pytest.mark.parametrize("kind", OF_THE_MEANING)
def test_in_strict_mode_it_is_an_error(kind: str) -> None:
    accumulator = StreamAccumulator(strict=True)
    with pytest.raises(RepairError, match=f"^{kind} in item \\d of the stream") as caught:
        for chunk in chunks(kind):
            accumulator.add(chunk)
        accumulator.completion()
    plain = StreamAccumulator()
    for chunk in chunks(kind):
        plain.add(chunk)
    error = caught.value
    assert Repair(error.kind, error.position, error.before, error.after) in plain.completion().repairs
    if kind in AT_THE_END:
        assert isinstance(error.partial, ChatCompletion)
        assert [call.name for call in error.partial.choices[0].incomplete_tool_calls] == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OF_THE_ANSWER])
def test_over_the_calls_alone(kind: str) -> None:
    reported: list[Repair] = []
    accumulator = ToolCallAccumulator(on_repair=reported.append)
    for chunk in chunks(kind):
        accumulator.add(chunk)
    accumulator.close()
    assert [repair.kind for repair in reported] == [kind]
    strict = ToolCallAccumulator(strict=True)
    with nullcontext() if kind in OF_THE_FORM else pytest.raises(RepairError, match=f"^{kind} "):
        for chunk in chunks(kind):
            strict.add(chunk)
        strict.close()


def test_in_strict_mode_good_calls_come_before_the_error() -> None:
    accumulator = ToolCallAccumulator(strict=True, eager=True)
    wire = [tc('{"x":1}', id="a", name="f", index=0), tc("{}", name="f", index=1), end()]
    *first, last = [StreamChunk.from_wire(each) for each in wire]
    assert [call.id for chunk in first for call in accumulator.add(chunk)] == ["a"]
    with pytest.raises(RepairError, match="id-made-up"):
        accumulator.add(last)
    assert [call.index for call in accumulator.incomplete()] == [1]


def test_what_the_callback_raises_comes_out() -> None:
    def refuse(repair: Repair) -> None:
        raise LookupError(repair.kind)

    with pytest.raises(LookupError, match="index-made-up"):
        StreamAccumulator(on_repair=refuse).add(chunks("index-made-up")[0])


def test_a_strict_stream_without_anything_wrong() -> None:
    accumulator = StreamAccumulator(strict=True)
    for wire in (START, tc("}", index=0), end()):
        accumulator.add(StreamChunk.from_wire(wire))
    assert accumulator.completion().repairs == ()
