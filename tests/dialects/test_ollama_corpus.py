"""Streams of Ollama's API that servers really sent."""

from __future__ import annotations

from functools import partial
from typing import Any

from rxllm.exceptions import EmptyStreamError, RxllmError, TruncatedStreamError
from rxllm.models import ChatCompletion
from tests.dialects import walks
from tests.dialects.walks import all_kept, at_random_splits, bytewise, lines_of, places
from tests.recorded import each_of, streams

OURS = {"prompt_tokens", "completion_tokens", "total_tokens"}

STREAMS = streams("ollama")
every_stream = each_of(STREAMS, "case", "wire")
every_body = each_of(STREAMS, "wire")
read = partial(walks.read, dialect="ollama", lines=True)


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
    check(case, *read([wire], dialect="auto"))


@every_stream
def test_byte_by_byte(case: dict[str, Any], wire: bytes) -> None:
    check(case, *read(bytewise(wire)))


@every_stream
def test_at_random_splits(case: dict[str, Any], wire: bytes) -> None:
    at_random_splits(wire, lambda pieces: check(case, *read(pieces)))


@every_body
def test_a_cut_at_any_line_is_no_whole_answer(wire: bytes) -> None:
    lines = lines_of(wire)
    for count in places(len(lines)):
        completion, error = read([f"{line}\n".encode() for line in lines[:count]])
        assert isinstance(error, TruncatedStreamError if count else EmptyStreamError)
        assert not completion.complete
        assert completion.message.tool_calls == [] if completion.choices else True


@every_body
def test_a_cut_at_any_byte_is_no_whole_answer(wire: bytes) -> None:
    for count in places(len(wire)):
        _, error = read([wire[:count]])
        # The last line lacks but its line end.
        is_whole = wire[:count].rstrip() == wire.rstrip()
        assert (error is None) == is_whole


@every_body
def test_nothing_is_finished_before_all_of_it_has_come_and_each_line_is_kept(wire: bytes) -> None:
    lines = lines_of(wire)
    assert all_kept(lines, "ollama") == lines
