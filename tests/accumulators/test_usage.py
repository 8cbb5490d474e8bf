"""Usage that a server states more than once: no number is lost to a zero or null."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import LimitExceededError
from rxllm.models import ChatCompletion, StreamChunk, marked


def chunk(usage: dict[str, Any] | None, **choice: Any) -> StreamChunk:
    return StreamChunk.from_wire({"choices": [choice] if choice else [], "usage": usage})


def fold(*usages: dict[str, Any] | None) -> ChatCompletion:
    accumulator = StreamAccumulator()
    snapshots: list[ChatCompletion] = []
    for usage in usages:
        accumulator.add(chunk(usage, index=0, delta={"content": "a"}))
        snapshots.append(accumulator.snapshot())
    accumulator.add(chunk(None, index=0, delta={}, finish_reason="stop"))
    completion = accumulator.completion()
    # What is read later is as it was, and what is left of a stream that is cut is the same.
    assert snapshots[-1].usage == completion.usage == accumulator.partial().usage
    return completion


def dumped(*usages: dict[str, Any] | None) -> dict[str, Any]:
    usage = fold(*usages).usage
    return {} if usage is None else usage.model_dump(exclude_none=True)


COUNTS = {"prompt_tokens": 25, "completion_tokens": 40, "total_tokens": 65}
NOTHING = {"prompt_tokens": 0, "completion_tokens": None, "total_tokens": 0}


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        # The one part first, the other at the end.
        (
            [
                {"prompt_tokens": 25, "completion_tokens": 1, "total_tokens": 26},
                {"prompt_tokens": 0, "completion_tokens": 40, "total_tokens": 40},
            ],
            COUNTS,
        ),
        (
            [
                {"prompt_tokens": 25, "total_tokens": 25},
                {"completion_tokens": 40},
            ],
            COUNTS,
        ),
        ([{"prompt_tokens": 25}, {"prompt_tokens": None, "completion_tokens": 40}], {**COUNTS, "total_tokens": None}),
        # Zeros and nulls at the end.
        ([COUNTS, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}], COUNTS),
        ([COUNTS, NOTHING], COUNTS),
        ([COUNTS, None], COUNTS),
        ([COUNTS, {}], COUNTS),
        # At the beginning.
        ([NOTHING, COUNTS], COUNTS),
        ([None, {}, COUNTS], COUNTS),
        # Cumulative.
        ([{"completion_tokens": 2}, {"completion_tokens": 2}, {"completion_tokens": 5}], {"completion_tokens": 5}),
        # What a server says itself is left as it says it: some count the reasoning in the total only.
        ([{"prompt_tokens": 1}, {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 9}],
         {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 9}),
        ([{"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 1}, NOTHING],
         {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 1}),
        # A zero is a value where there is none.
        ([{"prompt_tokens": None}, NOTHING], {"prompt_tokens": 0, "total_tokens": 0}),
    ],
)  # fmt: skip
def test_row_29_zeros_and_nulls_never_replace(
    usages: list[dict[str, Any] | None], expected: dict[str, int | None]
) -> None:
    assert dumped(*usages) == {name: value for name, value in expected.items() if value is not None}
    assert fold(*usages).repairs == ()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 7}}, {"prompt_tokens_details": {"cached_tokens": 0}}, None),
        ({"prompt_tokens_details": {"cached_tokens": 7}}, {"prompt_tokens_details": None}, None),
        ({"prompt_tokens_details": {"cached_tokens": 7}}, {"prompt_tokens_details": {}}, None),
        (
            {"completion_tokens_details": {"reasoning_tokens": 7}},
            {"completion_tokens_details": {"reasoning_tokens": None, "audio_tokens": 2}},
            {"completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 2}},
        ),
        ({"server_tool_use": {"a": {"b": 1}}}, {"server_tool_use": {"a": {"b": 0, "c": 2}}},
         {"server_tool_use": {"a": {"b": 1, "c": 2}}}),
        ({"cost": 0.25, "currency": "USD"}, {"cost": 0.0, "currency": ""}, None),
        ({"prompt_cache_hit_tokens": 5}, {"prompt_cache_hit_tokens": 0}, None),
        ({"is_byok": True}, {"is_byok": False}, {"is_byok": False}),
        ({"modalities": [1]}, {"modalities": []}, None),
        ({"modalities": [1]}, {"modalities": [2]}, {"modalities": [2]}),
        ({"details": 3}, {"details": {"a": 1}}, {"details": {"a": 1}}),
        ({"details": {"a": 1}}, {"details": 3}, {"details": 3}),
    ],
)  # fmt: skip
def test_row_29_nor_do_they_in_details_and_what_providers_add(
    first: dict[str, Any], second: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert dumped(first, second) == (first if expected is None else expected)


NUMBERS = st.one_of(st.none(), st.integers(0, 5), st.just(0.5))
DETAILS = st.dictionaries(st.sampled_from(["a", "b"]), NUMBERS)
USAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(["prompt_tokens", "completion_tokens"], st.one_of(st.none(), st.integers(0, 5))),
            "extra": NUMBERS,
            "details": st.one_of(st.none(), DETAILS),
        },
    ),
    min_size=1,
    max_size=6,
)


def last_said(usages: list[dict[str, Any]], name: str) -> Any:
    values = [usage.get(name) for usage in usages]
    real = [value for value in values if value]
    zeros = [value for value in values if value == 0]
    return real[-1] if real else zeros[0] if zeros else None


@given(USAGES)
def test_of_each_field_the_last_value_counts_that_says_something(usages: list[dict[str, Any]]) -> None:
    usage = dumped(*usages)
    for name in ("prompt_tokens", "completion_tokens", "extra"):
        assert usage.get(name) == last_said(usages, name)
    details: list[dict[str, Any]] = [each.get("details") or {} for each in usages]
    kept: dict[str, Any] = usage.get("details") or {}
    for name in ("a", "b"):
        assert kept.get(name) == last_said(details, name)


def test_a_count_that_falls_is_a_repair() -> None:
    completion = fold({"completion_tokens": 5}, {"completion_tokens": 3})
    assert [(each.kind, each.position, each.weight) for each in completion.repairs] == [
        ("usage-replaced", 1, "meaning")
    ]
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 3


def test_what_a_try_cost_that_was_given_up_is_kept_whole() -> None:
    accumulator = StreamAccumulator()
    accumulator.add(chunk({"prompt_tokens": 25, "completion_tokens": 1}, index=0, delta={"content": "a"}))
    accumulator.add(chunk({"prompt_tokens": 0, "completion_tokens": 4}))
    accumulator.add(marked(chunk({"prompt_tokens": 3}, index=0, delta={"content": "b"}), restarts=True))
    completion = accumulator.partial()
    assert [each.usage and each.usage.model_dump() for each in completion.attempts] == [
        {"prompt_tokens": 25, "completion_tokens": 4, "total_tokens": None}
    ]
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, None)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_server_cannot_make_it_grow_without_end(level: int) -> None:
    accumulator = StreamAccumulator()
    with pytest.raises(LimitExceededError):
        for number in range(1_100):
            usage: dict[str, Any] = {f"f{number}": 1}
            for _ in range(level):
                usage = {"details": usage}
            accumulator.add(chunk(usage))


def test_what_it_keeps_is_counted() -> None:
    accumulator = StreamAccumulator(max_characters=100)
    accumulator.add(chunk({"a": 1}))
    with pytest.raises(LimitExceededError, match="100 characters"):
        accumulator.add(chunk({"b": "x" * 100}))


def test_a_number_without_end_is_a_limit_that_was_passed() -> None:
    accumulator = StreamAccumulator()
    with pytest.raises(LimitExceededError, match="more than 4300 digits"):
        accumulator.add(StreamChunk.model_validate({"choices": [], "vendor": 10**5000}))
