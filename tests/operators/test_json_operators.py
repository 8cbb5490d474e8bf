"""``tool_call_progress``, ``json_path`` and ``parse_structured`` in pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from pydantic import BaseModel, RootModel
from reactivex import compose
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import DecodeError, RepairError, RxllmError, StructuredOutputError, ToolCallError
from rxllm.models import Delta, FunctionCallDelta, Repair, StreamChoice, StreamChunk, ToolCallDelta, marked
from rxllm.testing import Marbles, assert_marbles, check_operator, finish_chunk, text_chunk, tool_chunk


class City(BaseModel):
    name: str
    population: int = 0


def name_of(city: City) -> str:
    return city.name


def value_of(match: rxllm.JSONPathMatch) -> Any:
    return match.value


def arguments_of(progress: rxllm.ToolCallProgress) -> Any:
    return progress.arguments


NAME = rx_ops.map(name_of)
VALUE = rx_ops.map(value_of)
ARGUMENTS = rx_ops.map(arguments_of)

TWO_CALLS = StreamChunk(
    choices=[
        StreamChoice(
            delta=Delta(
                tool_calls=[
                    ToolCallDelta(index=index, id=str(index), function=FunctionCallDelta(name="f", arguments=text))
                    for index, text in enumerate(['{"a":1}', "[1]"])
                ]
            )
        )
    ]
)


def test_several_calls_in_a_chunk_wait_while_the_consumer_pauses_and_the_end_behind_them(marbles: Marbles) -> None:
    [first, _] = TWO_CALLS.choices[0].delta.tool_calls or []
    second = ToolCallDelta(index=1, id="1", function=FunctionCallDelta(name="f", arguments='{"a":2}'))
    chunk = StreamChunk(choices=[StreamChoice(delta=Delta(tool_calls=[first, second]))])
    source = marbles.cold("-a|", {"a": chunk})
    arguments = source.pipe(ops.tool_call_progress(), ARGUMENTS)
    recording = marbles.run(arguments, pauses="-[--]", takes=1)
    assert_marbles(recording, "-x--y|", {"x": {"a": 1}, "y": {"a": 2}})


def test_a_fragment_without_arguments_matches_nothing(marbles: Marbles) -> None:
    name, rest = tool_chunk("", id="1", name="f"), tool_chunk('{"a":1}')
    matches = marbles.cold("-n-a-n-|", n=name, a=rest).pipe(ops.json_path("a"), VALUE)
    assert_marbles(marbles.run(matches), "---x---|", x=1)


def test_what_a_chunk_holds_before_the_error_in_it_is_emitted(marbles: Marbles) -> None:
    source = marbles.cold("-a-|", {"a": TWO_CALLS})
    progress = source.pipe(ops.tool_call_progress(), ARGUMENTS)
    assert_marbles(marbles.run(progress), "-(x#)", {"x": {"a": 1}}, error=ToolCallError)
    other = Marbles()
    matches = other.cold("-a-|", {"a": TWO_CALLS}).pipe(ops.json_path("a"), VALUE)
    assert_marbles(other.run(matches), "-(x#)", {"x": 1}, error=ToolCallError)


def test_the_calls_so_far_are_on_the_error() -> None:
    lost = reactivex.concat(
        reactivex.of(tool_chunk('{"a":', id="1", name="f")), reactivex.throw(ConnectionError("lost"))
    )
    for source in (lost, reactivex.of(TWO_CALLS)):
        error = _fail(source.pipe(ops.tool_call_progress()))
        partial: Any = vars(error)["gathered"]
        assert all(isinstance(call, rxllm.IncompleteToolCall) for call in partial)
        assert partial[0].arguments[:5] == '{"a":'


def test_repairs_of_the_operators() -> None:
    wire = [tool_chunk("{", id="1", name="f"), tool_chunk("}", name="f"), finish_chunk("tool_calls")]
    operators: list[Any] = [
        ops.accumulate,
        ops.accumulate_snapshots,
        ops.accumulate_tool_calls,
        ops.tool_call_progress,
    ]
    for operator in operators:
        repairs: list[Repair] = []
        rxllm.run(reactivex.of(*wire).pipe(operator(on_repair=repairs.append)))
        assert [repair.kind for repair in repairs] == ["name-repeated"]
        error = _fail(reactivex.of(*wire).pipe(operator(strict=True)))
        assert isinstance(error, RepairError)
        assert error.kind == "name-repeated"


def test_a_path_that_is_none_fails_at_once() -> None:
    with pytest.raises(ValueError, match="not a path"):
        ops.json_path("a..b")
    with pytest.raises(ValueError, match="no path to look for"):
        ops.json_path()


def test_content_that_is_a_number_comes_with_the_end(marbles: Marbles) -> None:
    source = marbles.cold("-a-|", {"a": text_chunk("42")})
    matches = source.pipe(ops.json_path("$", of="content"), VALUE)
    assert_marbles(marbles.run(matches), "---(x|)", {"x": 42})
    assert isinstance(_fail(reactivex.of(text_chunk("nope")).pipe(ops.json_path("$", of="content"))), DecodeError)


def test_the_structure_of_another_choice() -> None:
    chunks = [text_chunk("Well,", choice=0), text_chunk('{"name":"Paris"}', choice=1), finish_chunk()]
    assert rxllm.run(reactivex.of(*chunks).pipe(ops.parse_structured(City, choice=1))) == City(name="Paris")


def test_an_answer_that_breaks_the_schema_fails_in_the_middle_with_what_had_come(marbles: Marbles) -> None:
    letters = {"a": text_chunk('{"name":"Paris",'), "b": text_chunk('"population":"many"'), "c": text_chunk("}")}
    source = marbles.cold("-a-b-c-|", letters)
    names = source.pipe(ops.parse_structured(City), NAME)
    assert_marbles(marbles.run(names), "-x-#", {"x": "Paris"}, error=StructuredOutputError)
    error = _fail(reactivex.of(*letters.values()).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert error.path == ("population",)
    assert error.gathered == City(name="Paris")


def test_an_answer_that_ends_before_its_json_is_an_error() -> None:
    error = _fail(reactivex.of(text_chunk('{"name":"Paris"'), finish_chunk("stop")).pipe(ops.parse_structured(City)))
    assert isinstance(error, DecodeError)
    assert isinstance(error.gathered, City)
    error = _fail(reactivex.of(finish_chunk()).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert (error.refusal, error.finish_reason, error.text) == (None, "stop", "")


def refusing(*pieces: str) -> list[StreamChunk]:
    return [StreamChunk(choices=[StreamChoice(delta=Delta(content="", refusal=piece))]) for piece in pieces]


def other_choice(chunk: StreamChunk) -> StreamChunk:
    return chunk.model_copy(update={"choices": [*chunk.choices, StreamChoice(index=1, delta=Delta(refusal="Not I"))]})


@pytest.mark.parametrize(
    ("chunks", "message", "refusal", "reason", "text"),
    [
        # A refusal, with another reason, in the middle of the JSON, and one that may do harm to a terminal.
        ([*refusing("I can't ", "help."), finish_chunk()], 'refused: "I can\'t help."', "I can't help.", "stop", ""),
        (refusing("No."), "refused: 'No.'", "No.", None, ""),
        ([text_chunk('{"na'), *refusing("No."), finish_chunk("content_filter")],
         "refused: 'No.'", "No.", "content_filter", '{"na'),
        ([*refusing("\x1b[31mNo"), finish_chunk()], "refused: '␛[31mNo'", "\x1b[31mNo", "stop", ""),
        # Cut by its length: before the JSON, and within it.
        ([finish_chunk("length")], "its length cut the answer ('length')", None, "length", ""),
        ([text_chunk('{"name":'), finish_chunk("max_tokens")],
         "its length cut the answer ('max_tokens') before its JSON ended: '{\"name\":'",
         None, "max_tokens", '{"name":'),
        ([text_chunk(" \n" * 500), finish_chunk("MAX_TOKENS")], "its length cut", None, "MAX_TOKENS", " \n" * 100),
        # Cut by a filter.
        ([text_chunk('{"name":"é'), finish_chunk("content_filter")],
         """a content filter cut the answer ('content_filter') before its JSON ended: '{"name":"é'""",
         None, "content_filter", '{"name":"é'),
        ([finish_chunk("SAFETY")], "a content filter cut the answer ('SAFETY')", None, "SAFETY", ""),
        ([finish_chunk("refusal")], "a content filter cut the answer ('refusal')", None, "refusal", ""),
        # None of these.
        ([finish_chunk("tool_calls")], "there is no JSON in the answer", None, "tool_calls", ""),
        ([other_choice(finish_chunk("null"))], "there is no JSON in the answer", None, None, ""),
    ],
)  # fmt: skip
def test_why_there_is_no_json_is_in_the_error(
    chunks: list[StreamChunk], message: str, refusal: str | None, reason: str | None, text: str
) -> None:
    error = _fail(reactivex.of(*chunks).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert message in str(error)
    assert (error.refusal, error.finish_reason, error.text) == (refusal, reason, text)


def test_a_whole_answer_is_one_whatever_is_said_besides() -> None:
    chunks = [text_chunk('{"name":"Paris"}'), *refusing("No."), finish_chunk("length")]
    assert rxllm.run(reactivex.of(*chunks).pipe(ops.parse_structured(City))) == City(name="Paris")


def test_what_is_kept_of_a_refusal_and_of_a_text_is_bounded() -> None:
    error = _fail(reactivex.of(*refusing(*["No. " * 1000] * 9)).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert error.refusal == "No. " * 1024
    assert len(str(error)) < 300
    error = _fail(reactivex.of(*[text_chunk(" " * 150)] * 3, finish_chunk("length")).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert error.text == " " * 200


def test_the_refusal_of_a_try_that_was_given_up_is_forgotten() -> None:
    anew = marked(text_chunk('{"name":'), restarts=True)
    error = _fail(reactivex.of(*refusing("No."), anew, finish_chunk("length")).pipe(ops.parse_structured(City)))
    assert isinstance(error, StructuredOutputError)
    assert (error.refusal, error.text) == (None, '{"name":')


def test_a_fence_around_the_json() -> None:
    chunks = [text_chunk('```json\n{"name":"Par'), text_chunk('is"}\n```')]
    assert rxllm.run(reactivex.of(*chunks).pipe(ops.parse_structured(City, text_around=True))) == City(name="Paris")


def test_an_answer_that_is_a_number() -> None:
    counted = rxllm.run(reactivex.of(text_chunk("4"), text_chunk("2")).pipe(ops.parse_structured(RootModel[int])))
    assert counted.root == 42


def _fail(observable: reactivex.Observable[Any]) -> Exception:
    """The error that a pipeline fails with."""
    failures: list[Exception] = []
    observable.subscribe(on_error=failures.append)
    (failure,) = failures
    assert isinstance(failure, RxllmError | ConnectionError)
    return failure


# Many items, and errors in the midst of them

BEGIN = tool_chunk('{"name":"', id="1", name="f")
PIECE = tool_chunk("Ada")
TEXTS = [text_chunk(""), text_chunk('{"name":'), text_chunk('"Ada",'), text_chunk('"population":1'), text_chunk("}")]
CALL = [text_chunk("x"), BEGIN, PIECE, tool_chunk('"}')]
ANSWERS: dict[str, tuple[Callable[[], Any], list[StreamChunk]]] = {
    "progress": (lambda: compose(ops.tool_call_progress(), ARGUMENTS), CALL),
    "progress, wrong": (lambda: compose(ops.tool_call_progress(), ARGUMENTS), [BEGIN, tool_chunk('"]'), PIECE]),
    "arguments": (lambda: ops.json_path("name"), CALL),
    "arguments, wrong": (lambda: ops.json_path("name"), [BEGIN, tool_chunk('a"]'), PIECE]),
    "content": (lambda: ops.json_path("name", of="content"), TEXTS),
    "content, wrong": (lambda: ops.json_path("name", of="content"), [*TEXTS[:3], text_chunk("]"), TEXTS[4]]),
    "structured": (lambda: ops.parse_structured(City), TEXTS),
    "structured, wrong": (lambda: ops.parse_structured(City), [*TEXTS[:3], text_chunk("]"), TEXTS[4]]),
    "calls": (ops.accumulate_tool_calls, [*CALL, finish_chunk("tool_calls")]),
    "calls, wrong": (ops.accumulate_tool_calls, [BEGIN, finish_chunk("tool_calls"), PIECE]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_comes_they_keep_the_laws_of_operators(name: str) -> None:
    make, chunks = ANSWERS[name]

    check_operator(make, chunks)
