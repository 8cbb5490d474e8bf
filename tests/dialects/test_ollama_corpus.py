"""Streams of Ollama's API that servers really sent: see ``tests/accumulators/test_corpus.py``."""

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
from rxllm.wire import NDJSONDecoder

OURS = {"prompt_tokens", "completion_tokens", "total_tokens"}
# Each cut of a long stream would take the time of all others.
BYTES = 20_000
LINES = 80


def corpus() -> list[Any]:
    folder = os.environ.get("RXLLM_CORPUS")
    if folder is None:
        return [pytest.param({}, b"", marks=pytest.mark.skip(reason="RXLLM_CORPUS names no folder"))]
    cases: list[Any] = []
    for path in sorted(Path(folder).glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        if case["dialect"] == "ollama":
            cases.append(pytest.param(case, (path.parent / case["file"]).read_bytes(), id=path.stem))
    return cases


every_stream = pytest.mark.parametrize(("case", "wire"), corpus())
every_body = pytest.mark.parametrize(
    "wire", [pytest.param(each.values[1], id=each.id, marks=each.marks) for each in corpus()]
)


def read(pieces: Iterable[bytes], dialect: str = "ollama") -> tuple[ChatCompletion, RxllmError | None]:
    """What a pipeline makes of a body that comes in pieces, and the error that it ends with."""
    chunks = reactivex.from_iterable(pieces).pipe(ops.decode_ndjson(), ops.parse(dialect))
    try:
        return rxllm.run(chunks.pipe(ops.accumulate(strict=True))), None
    except RxllmError as error:
        return error.partial or ChatCompletion(), error


def cut(wire: bytes, size: int) -> list[bytes]:
    return [wire[start : start + size] for start in range(0, len(wire), size)]


def lines_of(wire: bytes) -> list[str]:
    decoder = NDJSONDecoder()
    return [*decoder.feed(wire), *decoder.close()]


def check(case: dict[str, Any], completion: ChatCompletion, error: RxllmError | None) -> None:
    want = case["expected"]
    (expected,) = want["choices"]
    (choice,) = completion.choices
    message = choice.message
    assert error is None
    assert (message.text, message.reasoning_text or "") == (expected["content"], expected["reasoning"])
    calls = [(call.id, call.function.name, call.function.parsed) for call in message.tool_calls]
    assert calls == [(call["id"], call["name"], call["arguments_json"]) for call in expected["tool_calls"]]
    assert getattr(choice, "native_finish_reason", None) == expected["finish_reason"]
    assert choice.finish_reason == ("tool_calls" if calls else "stop")
    assert completion.model == want["meta"]["model"]
    assert completion.usage is not None
    told = completion.usage.model_dump(exclude_unset=True)
    assert {name: value for name, value in told.items() if name not in OURS} == want["usage"]
    assert completion.usage.completion_tokens == want["usage"]["eval_count"]
    assert completion.usage.prompt_tokens == want["usage"].get("prompt_eval_count")
    assert completion.repairs == ()
    assert message.is_as_it_came
    assert all(part.final for part in message.parts)


@every_stream
def test_whole(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read([wire]))
    check(case, *read([wire], "auto"))


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read([*cut(wire[:BYTES], 1), *cut(wire[BYTES:], 4096)]))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    @settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
    @given(places=st.lists(st.integers(0, len(wire)), max_size=12))
    def split(places: list[int]) -> None:
        marks = [0, *sorted(places), len(wire)]
        check(case, *read([wire[begin:end] for begin, end in pairwise(marks)]))

    split()


@every_body
def test_a_cut_at_any_line_is_no_whole_answer(wire: bytes) -> None:
    lines = lines_of(wire)
    counts = [*range(min(LINES, len(lines))), *range(max(LINES, len(lines) - LINES), len(lines))]
    for count in counts:
        completion, error = read([f"{line}\n".encode() for line in lines[:count]])
        assert isinstance(error, TruncatedStreamError if count else EmptyStreamError)
        assert not completion.complete
        assert completion.message.tool_calls == [] if completion.choices else True


@every_body
def test_a_cut_at_any_byte_is_no_whole_answer(wire: bytes) -> None:
    for count in [*range(0, 300, 7), *range(len(wire) - 600, len(wire) - 5, 11), *range(len(wire) - 5, len(wire))]:
        _, error = read([wire[:count]])
        # The last line lacks but its line end.
        is_whole = wire[:count].rstrip() == wire.rstrip()
        assert (error is None) == is_whole


@every_body
def test_nothing_is_finished_before_all_of_it_has_come_and_each_line_is_kept(wire: bytes) -> None:
    lines = lines_of(wire)
    decoder = get_reader("ollama").decoder()
    kept: list[str] = []
    for line in lines:
        assert not decoder.finished
        kept += [chunk.event for chunk in decoder.decode(line) if chunk.event is not None]
    assert (decoder.finished, decoder.done) == (True, False)
    assert kept == lines
    assert list(decoder.close()) == []
