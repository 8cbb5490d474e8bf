"""A fold takes one answer: a second one is an error, and one that begins anew replaces what came before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel
from reactivex import Observable
from reactivex import operators as rx_ops

import rxllm
from rxllm import StreamAccumulator, StreamChunk, StreamInfo, ToolCallAccumulator, Usage
from rxllm import operators as ops
from rxllm.accumulators import JSONPathAccumulator, ToolCallProgressAccumulator
from rxllm.exceptions import MixedAnswersError, RestartError, RxllmError
from rxllm.models import marked
from rxllm.testing import finish_chunk, text_chunk, tool_chunk


def answer(*chunks: StreamChunk, restarts: bool = False, attempt: int = 1) -> list[StreamChunk]:
    """The chunks of one answer, as ``parse`` marks them."""
    stream = StreamInfo(attempt=attempt)
    first, *others = chunks
    return [
        marked(first, stream=stream, begins=True, restarts=restarts),
        *(marked(each, stream=stream) for each in others),
    ]


def usage_chunk(tokens: int) -> StreamChunk:
    return StreamChunk(usage=Usage(total_tokens=tokens))


FIRST = answer(text_chunk("One, "), text_chunk("two"), usage_chunk(5))
SECOND = answer(text_chunk("Uno, "), text_chunk("due"), finish_chunk())
AGAIN = answer(text_chunk("Uno, "), text_chunk("due"), finish_chunk(), usage_chunk(7), restarts=True, attempt=2)
CALL = answer(tool_chunk('{"a":1}', id="1", name="f"), finish_chunk("tool_calls"))
CALL_AGAIN = answer(tool_chunk('{"a":2}', id="2", name="f"), finish_chunk("tool_calls"), restarts=True)


def test_a_second_answer_is_an_error_that_has_both() -> None:
    accumulator = StreamAccumulator()
    with pytest.raises(MixedAnswersError, match="a second answer") as caught:
        accumulator.add_all([*FIRST, *SECOND])
    first, second = caught.value.partials
    assert isinstance(first, rxllm.ChatCompletion)
    assert isinstance(second, rxllm.ChatCompletion)
    assert (first.content, second.content) == ("One, two", "Uno, ")
    assert not first.complete
    assert accumulator.partial().content == "One, two"


def test_chunks_made_by_hand_are_taken_as_they_come() -> None:
    accumulator = StreamAccumulator()
    accumulator.add_all([text_chunk("a"), *SECOND, text_chunk("b")])
    assert accumulator.partial().content == "aUno, dueb"


def test_an_answer_that_begins_anew_replaces_what_came() -> None:
    accumulator = StreamAccumulator()
    accumulator.add_all(FIRST)
    before = accumulator.snapshot()
    accumulator.add_all(AGAIN)
    completion = accumulator.completion(ended=True)
    assert completion.content == "Uno, due"
    assert completion.usage == Usage(total_tokens=7)
    assert [(each.usage, each.stream) for each in completion.attempts] == [
        (Usage(total_tokens=5), StreamInfo(attempt=1))
    ]
    assert completion.repairs == ()
    assert "attempts" not in completion.model_dump()
    # What was read before does not change.
    assert (before.content, before.attempts) == ("One, two", ())


def test_a_restart_at_the_beginning_gives_nothing_up() -> None:
    accumulator = StreamAccumulator()
    accumulator.add_all(AGAIN)
    assert accumulator.completion().attempts == ()
    accumulator.add_all(answer(text_chunk("x"), restarts=True, attempt=3))
    accumulator.add_all(answer(text_chunk("y"), restarts=True, attempt=4))
    assert [each.stream and each.stream.attempt for each in accumulator.partial().attempts] == [2, 3]
    assert accumulator.partial().content == "y"


def test_a_restart_without_a_beginning_counts() -> None:
    # As the first item of a new writer of a log, which goes on where another one died.
    accumulator = StreamAccumulator()
    accumulator.add_all([*FIRST, marked(text_chunk("z"), restarts=True)])
    assert accumulator.partial().content == "z"


def test_calls_that_were_not_given_away_are_dropped() -> None:
    accumulator = ToolCallAccumulator()
    for chunk in [CALL[0], *CALL_AGAIN]:
        accumulator.add(chunk)
    given = accumulator.close()
    assert [call.function.arguments for call in given] == ['{"a":2}']


def test_calls_that_were_given_away_cannot_be_taken_back() -> None:
    accumulator = ToolCallAccumulator(eager=True)
    for chunk in CALL:
        accumulator.add(chunk)
    with pytest.raises(RestartError, match="accumulate_tool_calls") as caught:
        accumulator.add(CALL_AGAIN[0])
    assert caught.value.operator == "accumulate_tool_calls"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (ToolCallProgressAccumulator, "tool_call_progress"),
        (lambda: JSONPathAccumulator(["a"]), "json_path"),
        (ToolCallAccumulator, ""),
    ],
    ids=["progress", "json_path", "calls"],
)
def test_folds_of_calls_take_one_answer(make: Any, name: str) -> None:
    fold = make()
    list(fold.add(CALL[0]))
    with pytest.raises(MixedAnswersError):
        list(fold.add(CALL[0]))
    if name:
        with pytest.raises(RestartError, match=name):
            list(fold.add(CALL_AGAIN[0]))
    # Before anything was told of it, it may begin anew.
    other = make()
    list(other.add(FIRST[0]))
    list(other.add(CALL_AGAIN[0]))


def test_paths_of_the_content_take_one_answer() -> None:
    texts = answer(text_chunk('{"a":1'), text_chunk("}"))
    again = answer(text_chunk('{"a":2}'), restarts=True)
    fold = JSONPathAccumulator(["a"], of="content")
    list(fold.add(texts[0]))
    with pytest.raises(RestartError, match="json_path"):
        list(fold.add(again[0]))
    fresh = JSONPathAccumulator(["a"], of="content")
    list(fresh.add(answer(StreamChunk())[0]))
    assert [match.value for match in fresh.add(again[0])] == [2]


class Count(BaseModel):
    a: int


def stream(*parts: list[StreamChunk]) -> Observable[StreamChunk]:
    return Observable[StreamChunk](lambda observer, _: _feed(observer, [each for part in parts for each in part]))


def _feed(observer: Any, chunks: list[StreamChunk]) -> Any:
    for chunk in chunks:
        observer.on_next(chunk)
    observer.on_completed()
    return None


def outcome(source: Observable[Any]) -> tuple[list[Any], Exception | None]:
    items: list[Any] = []
    errors: list[Exception] = []
    source.subscribe(items.append, errors.append)
    return items, errors[0] if errors else None


def test_operators_that_accumulate_drop_what_they_had() -> None:
    items, error = outcome(stream(FIRST, AGAIN).pipe(ops.accumulate()))
    assert error is None
    assert [item.content for item in items] == ["Uno, due"]
    snapshots, error = outcome(stream(FIRST, AGAIN).pipe(ops.accumulate_snapshots()))
    assert error is None
    assert [item.content for item in snapshots][2:4] == ["One, two", "Uno, "]
    structured = stream(answer(text_chunk('{"a":1}')), answer(text_chunk('{"a":2}'), restarts=True))
    assert outcome(structured.pipe(ops.parse_structured(Count))) == ([Count(a=1), Count(a=2)], None)


@pytest.mark.parametrize(
    "operator",
    [ops.accumulate, ops.accumulate_snapshots, lambda: ops.parse_structured(Count), ops.accumulate_tool_calls],
    ids=["accumulate", "snapshots", "structured", "calls"],
)
def test_operators_that_fold_take_one_answer(operator: Any) -> None:
    texts = answer(text_chunk('{"a":'), text_chunk("1"))
    _, error = outcome(stream(texts, texts).pipe(operator()))
    assert isinstance(error, MixedAnswersError)


def test_the_first_answer_is_the_partial_one_of_the_error() -> None:
    _, error = outcome(stream(FIRST, SECOND).pipe(ops.accumulate()))
    assert isinstance(error, RxllmError)
    assert isinstance(error.partial, rxllm.ChatCompletion)
    assert error.partial.content == "One, two"


@pytest.mark.parametrize("batches", [False, True])
def test_text_that_was_emitted_cannot_be_taken_back(batches: bool) -> None:
    source = stream(FIRST, AGAIN)
    if batches:
        source = rxllm.from_async_iterable(lambda: _later([*FIRST, *AGAIN]))
        items: list[str] = []
        with pytest.raises(RestartError, match="content"):
            rxllm.run(source.pipe(ops.content(), rx_ops.do_action(items.append)))
    else:
        items, error = outcome(source.pipe(ops.content()))
        assert isinstance(error, RestartError)
    assert items == ["One, ", "two"]
    assert outcome(stream(answer(StreamChunk()), AGAIN).pipe(ops.content())) == (["Uno, ", "due"], None)


async def _later(chunks: list[StreamChunk]) -> Any:
    for chunk in chunks:
        yield chunk


def test_text_that_is_held_back_is_dropped() -> None:
    split = stream(answer(text_chunk("a<thi")), answer(text_chunk("b"), finish_chunk(), restarts=True))
    items, error = outcome(split.pipe(ops.split_reasoning(), ops.accumulate()))
    assert error is None
    assert items[0].content == "b"


def test_a_display_says_that_it_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    rxllm.run(stream(FIRST, AGAIN).pipe(ops.tee_to_display()))
    assert capsys.readouterr().out == "One, two\n[the answer begins anew]\nUno, due\n"
