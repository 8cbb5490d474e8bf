"""What holds for every operator: never, empty, one, many, error, early disposal, a consumer that pauses and leaves.

The diagrams are at 10 ms a frame, in virtual time; each run checks that no task, timer or pause is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from reactivex import compose
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import TruncatedStreamError
from rxllm.testing import Completed, Marbles, assert_marbles, assert_subscriptions, finish_chunk, text_chunk, tool_chunk
from rxllm.typing import Ending


class Discard:
    """A sink that takes everything and keeps nothing."""

    async def open(self) -> Discard:
        return self

    async def write(self, items: Sequence[Any], /) -> None: ...

    async def close(self, ending: Ending, /) -> None: ...


class Quiet:
    """A text file that takes everything."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


async def identity(item: Any) -> Any:
    return item


async def shout(text: str) -> str:
    return text.upper()


def told(result: rxllm.ToolResult) -> str:
    return result.content


@dataclass
class Case:
    """An operator, what it is fed with, and what it makes of ``-a-b-c-|``, ``-a-#`` and ``-|``."""

    operator: Callable[[], Any]
    letters: dict[str, Any]
    many: str = "-a-b-c-|"
    failed: str = "-a-#"
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    empty: str = "-|"
    empty_error: Any = None

    @property
    def expected(self) -> dict[str, Any]:
        return self.results or self.letters


TEXT = {"a": text_chunk("Hel"), "b": text_chunk("lo"), "c": finish_chunk()}
WORDS = {"a": "Hel", "b": "lo", "c": "!"}


def content_of(completion: rxllm.ChatCompletion) -> Any:
    return completion.message.content


def name_of(call: rxllm.ToolCall) -> str:
    return call.function.name


def value_of(match: rxllm.JSONPathMatch) -> Any:
    return match.value


def fields_of(usage: rxllm.Usage) -> set[str]:
    return usage.model_fields_set


def arguments_of(progress: rxllm.ToolCallProgress) -> Any:
    return progress.arguments


CONTENT = rx_ops.map(content_of)
NAME = rx_ops.map(name_of)
VALUE = rx_ops.map(value_of)
FIELDS = rx_ops.map(fields_of)
ARGUMENTS = rx_ops.map(arguments_of)

CASES = {
    "accumulate": Case(lambda: compose(ops.accumulate(), CONTENT), TEXT, "-------(x|)", "---#", {"x": "Hello"}),
    "accumulate_snapshots": Case(
        lambda: compose(ops.accumulate_snapshots(), CONTENT),
        TEXT,
        "-x-y-y-|",
        "-x-#",
        {"x": "Hel", "y": "Hello"},
    ),
    "accumulate_tool_calls": Case(
        lambda: compose(ops.accumulate_tool_calls(), NAME),
        {"a": tool_chunk("{", id="1", name="f"), "b": tool_chunk("}"), "c": finish_chunk("tool_calls")},
        "-----x-|",
        "---#",
        {"x": "f"},
    ),
    "buffer_with_backpressure": Case(lambda: ops.buffer_with_backpressure(2), WORDS),
    "content": Case(ops.content, TEXT, "-x-y---|", "-x-#", {"x": "Hel", "y": "lo"}),
    "decode_sse": Case(
        ops.decode_sse,
        {"a": b"data: 1\n\n", "b": b"data: 2\n\nda", "c": b"ta: 3\n\n"},
        results={name: rxllm.ServerSentEvent(data) for name, data in (("a", "1"), ("b", "2"), ("c", "3"))},
    ),
    "json_path": Case(
        lambda: compose(ops.json_path("[*]", of="content"), VALUE),
        {"a": text_chunk("[1,"), "b": text_chunk("2,"), "c": text_chunk("3]")},
        results={"a": 1, "b": 2, "c": 3},
    ),
    "map_async": Case(lambda: ops.map_async(identity), WORDS),
    "parse": Case(
        ops.parse,
        {letter: chunk.model_dump_json(exclude_unset=True) for letter, chunk in TEXT.items()},
        results=TEXT,
        empty="-#",
        empty_error=TruncatedStreamError,
    ),
    "parse_structured": Case(
        lambda: compose(ops.parse_structured(rxllm.Usage), FIELDS),
        {
            "a": text_chunk('{"prompt_tokens":1,'),
            "b": text_chunk('"completion_tokens":2,'),
            "c": text_chunk('"total_tokens":3}'),
        },
        results={
            "a": {"prompt_tokens"},
            "b": {"prompt_tokens", "completion_tokens"},
            "c": {"prompt_tokens", "completion_tokens", "total_tokens"},
        },
    ),
    "run_tools": Case(
        lambda: compose(ops.run_tools(rxllm.ToolRegistry([shout])), rx_ops.map(told)),
        {
            letter: rxllm.ToolCall.model_validate(
                {"id": letter, "function": {"name": "shout", "arguments": f'{{"text": "{word}"}}'}}
            )
            for letter, word in WORDS.items()
        },
        results={"a": "HEL", "b": "LO", "c": "!"},
    ),
    "split_reasoning": Case(ops.split_reasoning, TEXT),
    "tee_to": Case(lambda: ops.tee_to(Discard()), WORDS),
    "timeout_per_chunk": Case(lambda: ops.timeout_per_chunk(60), WORDS),
    "tool_call_progress": Case(
        lambda: compose(ops.tool_call_progress(), ARGUMENTS),
        {"a": tool_chunk('{"x":"', id="1", name="f"), "b": tool_chunk("y"), "c": tool_chunk('z"}')},
        results={"a": {"x": ""}, "b": {"x": "y"}, "c": {"x": "yz"}},
    ),
}

every_operator = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def test_every_operator_is_here() -> None:
    # The display writes in a real thread: virtual time cannot wait for it.
    assert set(CASES) == set(ops.__all__) - {"tee_to_display"}


@every_operator
def test_never(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator()), subscribed="^-----!"), "-")
    assert_subscriptions(source, "^-----!")


@every_operator
def test_empty(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-|", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator())), case.empty, error=case.empty_error)
    assert_subscriptions(source, "^!")


@every_operator
def test_many(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", case.letters)

    assert_marbles(marbles.run(source.pipe(case.operator())), case.many, case.expected)
    assert_subscriptions(source, "^------!")


@every_operator
def test_an_error_passes_and_what_came_before_it_too(case: Case) -> None:
    marbles = Marbles()
    error = ConnectionError("lost")
    source = marbles.cold("-a-#", case.letters, error=error)

    recording = marbles.run(source.pipe(case.operator()))

    assert_marbles(recording, case.failed, case.expected, error=error)
    assert_subscriptions(source, "^--!")


@every_operator
def test_early_disposal_disposes_the_source_and_silences_the_result(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", case.letters)

    recording = marbles.run(source.pipe(case.operator()), subscribed="^---!")

    assert_subscriptions(source, "^---!")
    assert all(event.time < 40_000 for event in recording.events)


@every_operator
def test_two_subscriptions_know_nothing_of_each_other(case: Case) -> None:
    marbles = Marbles()
    result = marbles.cold("-a-b-c-|", case.letters).pipe(case.operator())

    first = marbles.subscribe(result)
    second = marbles.subscribe(result, subscribed="--^")
    marbles.play()

    assert_marbles(first, case.many, case.expected)
    assert_marbles(second, "--" + case.many, case.expected)


@every_operator
def test_a_consumer_that_pauses_gets_the_same_later(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", case.letters)

    recording = marbles.run(source.pipe(case.operator()), pauses="--[----------]", takes=1)

    expected = [case.expected[symbol] for symbol in case.many if symbol.isalpha()]
    assert recording.items == expected
    assert isinstance(recording.events[-1], Completed)


@every_operator
def test_a_consumer_that_leaves_while_it_holds_a_pause_leaves_nothing_behind(case: Case) -> None:
    marbles = Marbles()
    source = marbles.cold("-(ab)-c-|", case.letters)

    marbles.run(source.pipe(case.operator()), pauses="-[---------]", subscribed="^------!")

    assert all(not hold.holder or hold.end is not None for hold in source.holds)


@every_operator
def test_an_operator_that_holds_a_pause_releases_it_when_it_is_disposed(case: Case) -> None:
    """Another branch over the same producer goes on when this one leaves while it holds a pause."""
    marbles = Marbles()
    shared = marbles.hot("-a-b-c-|", case.letters, flow_controlled=True)
    never_ready = shared.pipe(case.operator(), ops.map_async(never))

    marbles.subscribe(never_ready, subscribed="^---!")
    other = marbles.subscribe(shared)
    marbles.play()

    assert other.items == [case.letters[letter] for letter in "abc"]


async def never(_: object) -> None:
    await asyncio.get_running_loop().create_future()
