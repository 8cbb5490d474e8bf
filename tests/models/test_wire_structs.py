"""A chunk as a value: what it is made of, that it does not change, and what people use on pydantic models."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from rxllm import Delta, FinishReason, StreamChoice, StreamChunk, StreamInfo, ToolCallDelta, Usage
from rxllm.models import FunctionCallDelta, Repair, decoder_of, marked
from tests.recorded import streams

WIRE: dict[str, Any] = {
    "id": "c-1",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 1,
            "delta": {"content": "Hi", "tool_calls": [{"index": 0, "function": {"arguments": "{"}}], "mood": "calm"},
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": {"total_tokens": 3, "details": {"cached": 1}},
    "obfuscation": "ab",
    "vendor": {"deep": [1, None]},
}


def chunk() -> StreamChunk:
    return StreamChunk.from_wire(json.dumps(WIRE))


def test_undeclared_fields_are_kept_and_declared_ones_are_attributes() -> None:
    read = chunk()
    assert read.model_extra == {"vendor": {"deep": [1, None]}}
    assert read.choices[0].delta.model_extra == {"mood": "calm"}
    assert read.choices[0].model_extra == {}
    assert (read.obfuscation, read.choices[0].content_filter_results) == ("ab", {"hate": {"filtered": False}})
    assert read.usage is not None
    assert (read.usage.total_tokens, read.usage.model_extra) == (3, {"details": {"cached": 1}})
    assert json.loads(read.model_dump_json()) == read.model_dump() == WIRE


def test_it_is_equal_to_one_made_by_hand() -> None:
    delta = Delta(
        content="Hi", tool_calls=(ToolCallDelta(index=0, function=FunctionCallDelta(arguments="{")),)
    ).model_copy(update={"mood": "calm"})
    choice = StreamChoice(
        index=1,
        delta=delta,
        finish_reason=FinishReason.STOP,
        content_filter_results={"hate": {"filtered": False}},
    )
    usage = Usage.model_validate({"total_tokens": 3, "details": {"cached": 1}})
    made = StreamChunk(id="c-1", created=1, model="m", choices=(choice,), usage=usage, obfuscation="ab")
    assert made.model_copy(update={"vendor": {"deep": [1, None]}}) == chunk()
    assert made != chunk()
    assert made != "c-1"
    assert StreamChunk(id=None, choices=()) == StreamChunk() == StreamChunk.from_wire({"id": None, "choices": []})


def test_the_constructor_takes_what_people_have() -> None:
    made: Any = StreamChunk
    # Lists, and dictionaries in the places of objects; what is not declared is kept.
    assert made(choices=[{"delta": {"content": "x"}}], vendor=1) == StreamChunk.from_wire(
        {"choices": [{"delta": {"content": "x"}}], "vendor": 1}
    )
    lists = {"citations": [[1, 2]], "vendor": [[1]]}
    assert made(**lists) == StreamChunk.from_wire(lists) == StreamChunk.from_wire(json.dumps(lists))
    assert made(extra={"a": 1}, b=2).model_extra == {"a": 1, "b": 2}
    assert made(usage={"total_tokens": 3}).usage == Usage(total_tokens=3)
    assert StreamChunk().model_copy(update={"usage": {"total_tokens": 3}}) == StreamChunk(usage=Usage(total_tokens=3))
    with pytest.raises(ValueError, match="total_tokens"):
        made(usage={"total_tokens": "many"})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_its_json_text_is_json(number: float) -> None:
    text = '{"vendor":%s,"timings":{"a":[%s]},"choices":[]}' % ((repr(number),) * 2)
    text = text.replace("inf", "Infinity").replace("nan", "NaN")
    read = StreamChunk.from_wire(text)

    assert repr(read.model_extra["vendor"]) == repr(number)
    dumped = json.loads(read.model_dump_json(), parse_constant=pytest.fail)
    assert dumped == {"choices": [], "vendor": None, "timings": {"a": [None]}}


def test_a_reason_for_the_end_compares_with_the_known_ones() -> None:
    assert chunk().choices[0].finish_reason == FinishReason.STOP
    assert chunk().choices[0].finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert StreamChoice(finish_reason="eos").finish_reason == "eos"


def test_nothing_in_it_changes() -> None:
    read: Any = chunk()
    for owner in (read, read.choices[0], read.choices[0].delta):
        with pytest.raises(AttributeError):
            owner.content = "changed"
        with pytest.raises(AttributeError):
            owner.extra = {}
    for change in (
        lambda: read.model_extra.update(a=1),
        lambda: operator.setitem(read.model_extra, "a", 1),
        lambda: read.extra.pop("vendor"),
        lambda: operator.setitem(read.choices[0].model_extra, "a", 1),
    ):
        with pytest.raises(TypeError):
            change()
    with pytest.raises(AttributeError):
        read.choices.append(StreamChoice())
    assert read == chunk()
    # A dump is the caller's own.
    read.model_dump()["vendor"]["deep"].append(2)
    assert read == chunk()


def test_a_copy_with_changes_leaves_the_original() -> None:
    read = chunk()
    changed = read.model_copy(update={"id": None, "model": "n", "vendor": None, "other": 5, "choices": []})
    assert (changed.id, changed.model, changed.choices, changed.model_extra) == (None, "n", (), {"other": 5})
    assert read == chunk()
    deep = read.model_copy(deep=True)
    assert deep == read
    assert (deep.model_extra["vendor"] is read.model_extra["vendor"]) is False
    assert read.model_copy().model_extra["vendor"] is read.model_extra["vendor"]


STREAM = StreamInfo(dialect="d", host="h", model="m", rate_limits={"x-ratelimit-remaining": "1"}, bytes=5)
REPAIRS = (Repair("set-aside", 2, {"id": []}, None),)


WAYS: dict[str, Callable[[StreamChunk], StreamChunk]] = {
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),  # noqa: S301 - of our own
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda each: each.model_copy(),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_it_has_besides_its_fields_is_copied_with_it(way: Callable[[StreamChunk], StreamChunk]) -> None:
    before = marked(chunk(), stream=STREAM, begins=True, restarts=True, repairs=REPAIRS, event="{}")
    after = way(before)
    assert after == before
    assert (after.stream, after.begins, after.restarts, after.repairs, after.event) == (
        STREAM,
        True,
        True,
        REPAIRS,
        "{}",
    )


def test_what_is_undeclared_is_copied() -> None:
    extra = chunk().model_extra
    assert pickle.loads(pickle.dumps(extra)) == copy.copy(extra) == copy.deepcopy(extra) == extra  # noqa: S301


def test_what_it_has_besides_its_fields_is_no_part_of_its_value() -> None:
    plain, with_slots = chunk(), marked(chunk(), stream=STREAM, begins=True)
    assert plain == with_slots
    assert with_slots == plain
    assert plain.model_dump() == with_slots.model_dump()
    assert repr(plain) == repr(with_slots)
    assert (plain.stream, plain.begins, plain.restarts, plain.repairs, plain.event) == (None, False, False, (), None)


@pytest.mark.parametrize("name", ["(extra)", "(slots)", "extra", "slots", "begins", "stream", "repairs"])
@pytest.mark.parametrize("value", [None, {}, {"begins": True}, [None, True], True, "x"])
def test_no_server_fills_what_is_hidden(name: str, value: object) -> None:
    wire = {name: value, "choices": [{"delta": {name: value, "content": "x"}}]}
    read = StreamChunk.from_wire(json.dumps(wire))
    assert (read.slots, read.begins, read.stream, read.repairs) == (None, False, None, ())
    kept = {} if value is None else {name: value}
    assert read.model_extra == read.choices[0].delta.model_extra == kept


def test_several_threads_may_read_it() -> None:
    read = chunk()

    def look(_: int) -> list[Any]:
        return [read.text, read.model_dump_json(), read.usage, read.choices[0].delta.reasoning_text, repr(read)]

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(look, range(400)))
    assert all(each == seen[0] for each in seen)


def test_a_repr_shows_what_is_there() -> None:
    read = StreamChunk.from_wire({"id": "a", "choices": [{"delta": {"content": "Hi", "mood": "calm"}}], "vendor": 1})
    shown = "StreamChunk(id='a', choices=(StreamChoice(delta=Delta(content='Hi', mood='calm')),), vendor=1)"
    assert repr(read) == shown


def test_absent_fields_are_in_a_dump_if_they_are_asked_for() -> None:
    dump = StreamChunk.from_wire({"choices": [{"delta": {}}]}).model_dump(exclude_none=False)
    assert dump["usage"] is None
    assert dump["choices"][0]["finish_reason"] is None
    assert dump["choices"][0]["delta"]["content"] is None
    assert not {name for name in dump if name.startswith("(")}
    assert "extra" not in dump
    assert json.loads(StreamChunk().model_dump_json(exclude_none=False))["id"] is None
    assert StreamChunk().model_dump() == {"choices": []}


class Envelope(BaseModel):
    chunk: StreamChunk


def test_it_can_be_a_field_of_a_model() -> None:
    envelope = Envelope.model_validate({"chunk": WIRE})
    assert envelope.chunk == chunk()
    assert Envelope(chunk=chunk()).chunk == chunk()
    assert json.loads(envelope.model_dump_json()) == envelope.model_dump() == {"chunk": WIRE}
    with pytest.raises(ValueError, match="not an object"):
        Envelope.model_validate({"chunk": {"choices": [{"delta": 5}]}})


def test_its_json_schema_shows_what_is_declared() -> None:
    schema = Envelope.model_json_schema()["properties"]["chunk"]
    choice = schema["properties"]["choices"]["items"]["properties"]
    assert "string" in str(choice["delta"]["properties"]["content"])
    assert "total_tokens" in str(schema["properties"]["usage"])
    assert "$ref" not in str(schema)
    assert "(slots)" not in str(schema)
    assert "(extra)" not in str(schema)


def test_what_is_known_of_a_stream_is_json() -> None:
    class Report(BaseModel):
        stream: StreamInfo

    report = Report(stream=STREAM)
    assert Report.model_validate_json(report.model_dump_json()) == report
    with pytest.raises(ValueError, match="bytes"):
        Report.model_validate({"stream": {"bytes": "many"}})


def test_the_text_is_that_of_choice_0() -> None:
    assert StreamChunk().text == ""
    assert StreamChunk.from_wire({"choices": [{"index": 1, "delta": {"content": "b"}}]}).text == ""
    both = [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}]
    assert StreamChunk.from_wire({"choices": both}).text == "a"


def test_most_recorded_chunks_are_read_at_once() -> None:
    """A field that many send is worth a line in the structs: the failure says which are not declared.

    Read the slow way are those of Writer (a whole message beside each delta), the first and last ones of Groq
    (``x_groq``), and single chunks of Azure, Copilot, Hugging Face, LiteLLM, Venice and Vercel.
    """
    recorded = streams("openai-chat")
    if not recorded:
        pytest.skip("RXLLM_CORPUS names no folder")
    decode = decoder_of(StreamChunk)
    refusals: list[str] = []
    count = 0
    for stream in recorded:
        for line in stream.wire.decode(errors="replace").splitlines():
            if line.startswith("data: {"):
                count += 1
                try:
                    decode(line[6:])
                except (msgspec.MsgspecError, ValueError) as error:
                    refusals.append(f"{stream.name}: {error}")
    assert count > 1000
    assert len(refusals) < count / 10, "\n".join(refusals)
