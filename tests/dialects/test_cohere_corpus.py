"""Streams of Cohere's Chat API that servers really sent: see ``tests/accumulators/test_corpus.py``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rxllm
from rxllm import operators as ops
from rxllm.dialects import get_reader
from rxllm.exceptions import EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion
from rxllm.wire import SSEDecoder

REASONS = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "STOP_SEQUENCE": "stop"}


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param({}, b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    cases: list[Any] = []
    for path in sorted(Path(folder).glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if case["dialect"] == "cohere":
            cases.append(pytest.param(case, (path.parent / case["file"]).read_bytes(), id=path.stem))
    return cases


every_stream = pytest.mark.parametrize(("case", "wire"), corpus())
every_body = pytest.mark.parametrize(
    "wire", [pytest.param(each.values[1], id=each.id, marks=each.marks) for each in corpus()]
)


def read(pieces: Iterable[bytes], dialect: str = "cohere") -> tuple[ChatCompletion, RxllmError | None]:
    """What a pipeline makes of a body that comes in pieces, and the error that it ends with."""
    chunks = reactivex.from_iterable(pieces).pipe(ops.decode_sse(), ops.parse(dialect))
    try:
        return rxllm.run(chunks.pipe(ops.accumulate(strict=True))), None
    except RxllmError as error:
        return error.partial or ChatCompletion(), error


def plan_in(wire: bytes) -> str:
    """What the model planned: what is expected does not have it."""
    events = [json.loads(event.data) for event in SSEDecoder().feed(wire) if event.data.startswith("{")]
    return "".join(each["delta"]["message"]["tool_plan"] for each in events if each["type"] == "tool-plan-delta")


def check(case: dict[str, Any], wire: bytes, completion: ChatCompletion, error: RxllmError | None) -> None:
    want = case["expected"]
    (expected,) = want["choices"]
    (choice,) = completion.choices
    message = choice.message
    assert error is None
    assert (message.text, message.reasoning_text or "") == (expected["content"], plan_in(wire) + expected["reasoning"])
    calls = [(call.id, call.function.name, call.function.parsed) for call in message.tool_calls]
    # A call without arguments has ``{}``.
    assert calls == [(call["id"], call["name"], call["arguments_json"] or {}) for call in expected["tool_calls"]]
    assert (getattr(choice, "native_finish_reason", None), completion.id) == (
        expected["finish_reason"],
        want["meta"]["id"],
    )
    assert choice.finish_reason == REASONS[expected["finish_reason"]]
    usage = completion.usage
    assert usage is not None
    tokens = want["usage"]["tokens"]
    assert (usage.prompt_tokens, usage.completion_tokens) == (tokens["input_tokens"], tokens["output_tokens"])
    assert {name: (usage.model_extra or {}).get(name) for name in want["usage"]} == want["usage"]
    assert completion.repairs == ()
    assert message.is_as_it_came
    assert all(part.final for part in message.parts)


@every_stream
def test_whole(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read([wire]))
    check(case, wire, *read([wire], "auto"))


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, wire, *read(wire[at : at + 1] for at in range(len(wire))))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(places=st.lists(st.integers(0, len(wire)), max_size=12))
    def split(places: list[int]) -> None:
        marks = [0, *sorted(places), len(wire)]
        check(case, wire, *read(wire[begin:end] for begin, end in pairwise(marks)))

    split()


@every_body
def test_a_cut_at_any_event_is_no_whole_answer(wire: bytes) -> None:
    events = wire.split(b"\n\n")
    last = next(index for index, event in enumerate(events) if b"message-end" in event)
    for count in range(last + 1):
        completion, error = read([b"".join(event + b"\n\n" for event in events[:count])])
        assert isinstance(error, TruncatedStreamError if count else EmptyStreamError)
        assert not completion.complete


@every_body
def test_a_cut_at_any_byte_is_no_whole_answer(wire: bytes) -> None:
    end = wire.index(b"\n\n", wire.index(b"event: message-end"))
    for count in [*range(0, end - 200, 29), *range(end - 200, end)]:
        assert read([wire[:count]])[1] is not None
    assert read([wire[: end + 2]])[1] is None


@every_body
def test_nothing_is_finished_before_all_of_it_has_come_and_each_event_is_kept(wire: bytes) -> None:
    events = [event.data for event in SSEDecoder().feed(wire) if event.data != "[DONE]"]
    decoder = get_reader("cohere").decoder()
    kept: list[str] = []
    for event in events:
        assert not decoder.finished
        kept += [chunk.event for chunk in decoder.decode(event) if chunk.event is not None]
    assert (decoder.finished, decoder.done) == (True, False)
    assert kept == events
    assert list(decoder.close()) == []
