from __future__ import annotations

import json
import tracemalloc
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.exceptions import LimitExceededError
from rxllm.models import Delta, FinishReason, FunctionCallDelta, Role, StreamChoice, StreamChunk, ToolCallDelta, Usage


def absent(value: Any) -> Any:
    """A JSON value without the members that are null, which are absent."""
    match value:
        case dict():
            return {name: absent(each) for name, each in cast(dict[str, Any], value).items() if each is not None}
        case list():
            return [absent(each) for each in cast(list[object], value)]
        case _:
            return value


def delta(**fields: Any) -> Delta:
    return StreamChunk.from_wire({"choices": [{"delta": fields}]}).choices[0].delta


CHUNK = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "logprobs": None, "finish_reason": None}],
    "usage": None,
    "obfuscation": "x",
}


@pytest.mark.parametrize("data", [json.dumps(CHUNK), json.dumps(CHUNK).encode(), CHUNK], ids=["str", "bytes", "object"])
def test_a_chunk_comes_out_as_it_came(data: str | bytes | dict[str, Any]) -> None:
    chunk = StreamChunk.from_wire(data)
    assert chunk.model_dump() == absent(CHUNK)
    assert chunk.choices[0].delta.role == Role.ASSISTANT
    assert chunk.obfuscation == "x"


UNKNOWN = st.dictionaries(
    st.text().map(lambda name: f"x{name}"),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
    max_size=3,
)


@given(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
def test_row_26_no_field_is_lost(
    of_chunk: dict[str, Any], of_choice: dict[str, Any], of_delta: dict[str, Any], of_call: dict[str, Any]
) -> None:
    wire: dict[str, Any] = {
        **of_chunk,
        "choices": [{**of_choice, "delta": {**of_delta, "tool_calls": [{**of_call, "function": of_call}]}}],
    }
    kept = {
        **without_nulls(of_chunk),
        "choices": [
            {
                "index": 0,
                **without_nulls(of_choice),
                "delta": {
                    **without_nulls(of_delta),
                    "tool_calls": [{**without_nulls(of_call), "function": without_nulls(of_call)}],
                },
            }
        ],
    }
    lenient: dict[str, Any] = {**wire, "id": {}}
    for data in (wire, json.dumps(wire), json.dumps(wire, ensure_ascii=False).encode()):
        assert StreamChunk.from_wire(data).model_dump() == kept
    assert StreamChunk.from_wire(lenient).model_dump() == {**kept, "id_original": {}}
    assert StreamChunk.model_validate(StreamChunk.from_wire(lenient).model_dump()).model_dump() == {
        **kept,
        "id_original": {},
    }


def without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of one object that are not null; within them nulls stay."""
    return {name: value for name, value in fields.items() if value is not None}


def test_words_that_nobody_listed_are_kept() -> None:
    chunk = StreamChunk.from_wire({"choices": [{"delta": {"role": "critic"}, "finish_reason": "eos"}]})
    assert (chunk.choices[0].delta.role, chunk.choices[0].finish_reason) == ("critic", "eos")
    known = StreamChunk.from_wire({"choices": [{"delta": {"role": "tool"}, "finish_reason": "stop"}]})
    assert (known.choices[0].delta.role, known.choices[0].finish_reason) == (Role.TOOL, FinishReason.STOP)


CHOICES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"delta": None}, {}),
    ({"index": None, "delta": {}}, {"delta": {}}),
    ({"index": "one", "delta": {}}, {"delta": {}, "index_original": "one"}),
    ({"content_filter_results": {}, "delta": None}, {"content_filter_results": {}}),
    ({"delta": {"role": ""}}, {"delta": {"role": ""}}),
    ({"delta": {"role": False}}, {"delta": {"role_original": False}}),
    ({"delta": {"refusal": False}}, {"delta": {"refusal_original": False}}),
    ({"delta": {"tool_calls": None}}, {"delta": {"tool_calls": None}}),
    ({"delta": {"refusal": False, "tool_calls": None}}, {"delta": {"refusal_original": False}}),
    ({"delta": {"tool_calls": ""}}, {"delta": {}}),
    ({"delta": {"tool_calls": []}}, {"delta": {"tool_calls": []}}),
    ({"delta": {"tool_calls": [None, {"index": 1}]}}, {"delta": {"tool_calls": [{"index": 1}]}}),
    ({"delta": {"tool_calls": {"index": 1}}}, {"delta": {"tool_calls": [{"index": 1}]}}),
    ({"logprobs": []}, {"logprobs_original": []}),
    ({"finish_reason": ""}, {"finish_reason": ""}),
    ({"finish_reason": False}, {"finish_reason_original": False}),
    ({"finish_reason": 0}, {"finish_reason_original": 0}),
    ({"finish_reason": 2}, {"finish_reason": "2"}),
    ({"delta": []}, {}),
    ({"delta": ""}, {}),
    ({"delta": {"function_call": []}}, {"delta": {}}),
    ({"delta": {"tool_calls": [{"id": "a", "function": []}]}}, {"delta": {"tool_calls": [{"id": "a"}]}}),
    ({"delta": {"reasoning": []}}, {"delta": {"reasoning": None, "reasoning_original": []}}),
    (
        {"delta": {"tool_calls": [{"index": "a"}, {"index": "b"}]}},
        {"delta": {"tool_calls": [{"index_original": "a"}, {"index_original": "b"}]}},
    ),
    ({"delta": {"content": 5}}, {"delta": {"content": "5"}}),
    ({"delta": {"content": False}}, {"delta": {"content_original": False}}),
    ({"delta": {"content": []}}, {"delta": {"content": None, "content_parts": []}}),
    (
        {"delta": {"content": {"type": "text", "text": "a"}}},
        {"delta": {"content": "a", "content_parts": [{"type": "text", "text": "a"}]}},
    ),
    (
        {"delta": {"content": ["a", {"text": "b"}, {"type": "image"}, 5, {"type": "thinking", "thinking": "c"}]}},
        {
            "delta": {
                "content": "ab",
                "content_parts": ["a", {"text": "b"}, {"type": "image"}, 5, {"type": "thinking", "thinking": "c"}],
            }
        },
    ),
    (
        {"delta": {"tool_calls": [{"id": 7, "function": {"arguments": {"a": 1}}}]}},
        {"delta": {"tool_calls": [{"id": "7", "function": {"arguments": {"a": 1}}}]}},
    ),
    (
        {"delta": {"tool_calls": [{"function": {"arguments": [1]}}, {"function": None}]}},
        {
            "delta": {
                "tool_calls": [
                    {"function": {"arguments": "[1]", "arguments_original": [1]}},
                    {"function": None},
                ]
            }
        },
    ),
    (
        {"delta": {"function_call": {"arguments": True}}},
        {"delta": {"function_call": {"arguments": "true", "arguments_original": True}}},
    ),
]


@pytest.mark.parametrize(("choice", "expected"), CHOICES)
def test_a_choice_as_servers_send_it(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    for data in (json.dumps({"choices": [choice]}), {"choices": [choice]}):
        chunk = StreamChunk.from_wire(data)
        assert chunk.choices[0].model_dump() == {"index": 0, "delta": {}, **absent(expected)}
        assert isinstance(chunk.choices[0].delta, Delta)


CHUNKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"choices": None}, {"choices": []}),
    ({"choices": {"index": 1}}, {"choices": [{"index": 1, "delta": {}}]}),
    ({"id": 5, "created": 1.5}, {"id": "5", "created": 1.5}),
    ({"usage": ""}, {"choices": [], "usage_original": ""}),
    ({"usage": {"prompt_tokens": 2.0}}, {"usage": {"prompt_tokens": 2}}),
    (
        {"usage": {"prompt_tokens": 2.5, "total_tokens": 3}},
        {"choices": [], "usage": {"prompt_tokens_original": 2.5, "total_tokens": 3}},
    ),
    ({"id": {}, "created": "today"}, {"choices": [], "id_original": {}, "created_original": "today"}),
]


@pytest.mark.parametrize(("chunk", "expected"), CHUNKS)
def test_a_chunk_as_servers_send_it(chunk: dict[str, Any], expected: dict[str, Any]) -> None:
    before = json.dumps(chunk)
    for data in (json.dumps(chunk), chunk):
        assert StreamChunk.from_wire(data).model_dump() == {"choices": [], **expected}
    assert json.dumps(chunk) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "null",
        '{"choices": "x"}',
        '{"choices": [5]}',
        '{"choices": [{"delta": 5}]}',
        '{"choices": [{"delta": {"content": true}}]}',
        '{"choices": [{"delta": {"tool_calls": [5]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"function": {"name": []}}]}}]}',
        '{"choices": [{"delta": {"tool_calls": [{"function": "f"}]}}]}',
        '{"choices": [{"delta": {"function_call": "f"}}]}',
        '{"choices": [{"finish_reason": {}}]}',
        '{"choices": [{"finish_reason": true}]}',
        '{"choices": {"0": {"delta": {"content": "a"}}}}',
        '{"choices": [' + "{}," * 10_000 + "null, {}]}",
        '{"id": "a}',
        '{"x": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:60],
)
def test_what_is_no_chunk(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the dialect words it
        StreamChunk.from_wire(text)


def test_only_so_many_repairs_are_noted_and_all_is_put_right() -> None:
    choices = [{"index": index, "delta": {"content": index}} for index in range(1500)]
    chunk = StreamChunk.from_wire(json.dumps({"choices": choices}))

    assert [choice.delta.content for choice in chunk.choices] == [str(index) for index in range(1500)]
    assert len(chunk.repairs) == 1000


@pytest.mark.parametrize("nothing", ["", 0, False, {}, []])
def test_nothing_where_a_list_of_objects_belongs_is_none_of_them(nothing: object) -> None:
    # An identifier that is a number, so that the compiled decoder takes neither.
    chunk = StreamChunk.from_wire(json.dumps({"id": 5, "choices": nothing}))
    assert (chunk.id, chunk.choices) == ("5", ())


def test_parts_that_are_structs_already_are_taken_as_they_are() -> None:
    call = ToolCallDelta(index=0, id="1", function=FunctionCallDelta(name="f"))
    delta = Delta(content="x")
    parts: list[dict[str, Any]] = [
        {"choices": [{"delta": delta}]},
        {"choices": [StreamChoice(delta=delta)]},
        {"choices": [{"delta": {"content": "x"}}]},
    ]
    for fields in parts:
        assert StreamChunk.model_validate({"id": 5, **fields}) == StreamChunk(
            id="5", choices=[StreamChoice(delta=delta)]
        )
    usage = Usage(total_tokens=3)
    assert StreamChunk.model_validate({"usage": usage, "vendor": 1}).usage == usage
    assert StreamChunk.model_validate({"usage": usage, "id": 5}).usage == usage
    made = StreamChunk.model_validate({"choices": [{"delta": {"content": 5, "tool_calls": [call]}}]})
    assert made.choices[0].delta.tool_calls == (call,)
    made = StreamChunk.model_validate(
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": call.function}]}}]}
    )
    assert made.choices[0].delta.tool_calls == (ToolCallDelta(index=0, function=call.function),)


def test_what_is_nested_deep_goes_in_and_out() -> None:
    deep = "[" * 190 + "]" * 190
    for name in ("x", "timings", "citations"):
        for text in (f'{{"id":"c","{name}":{deep}}}', f'{{"id":{{}},"{name}":{deep}}}'):
            assert f'"{name}":{deep}' in StreamChunk.from_wire(text).model_dump_json()
    logprobs = StreamChunk.from_wire(f'{{"choices":[{{"logprobs":{{"content":{deep}}}}}]}}').choices[0].logprobs
    assert logprobs is not None
    assert json.dumps(logprobs["content"], separators=(",", ":")) == deep


@pytest.mark.parametrize("name", ["x", "timings", "citations", "id", "choices"])
@pytest.mark.parametrize("depth", [250, 100_000])
def test_what_is_nested_too_deep(depth: int, name: str) -> None:
    with pytest.raises(LimitExceededError, match="deeper than 200") as caught:
        StreamChunk.from_wire(f'{{"{name}":' + "[" * depth + "]" * depth + "}")
    assert caught.value.limit == "max_depth"


def test_a_lone_surrogate_is_replaced_and_a_pair_is_not() -> None:
    chunk = StreamChunk.from_wire(
        r'{"choices": [{"delta": {"content": "a\ud800b\ud83d\ude00"}}], "\udc00": ["\udfff"]}'
    )
    assert chunk.choices[0].delta.content == "a\ufffdb\U0001f600"
    assert chunk.model_extra == {"\ufffd": ["\ufffd"]}
    assert chunk.model_dump_json().encode()
    assert StreamChunk.from_wire('{"id": "\ud800"}').id == "\ufffd"


def test_numbers_that_json_does_not_have() -> None:
    chunk = StreamChunk.from_wire('{"choices": [], "x": [NaN, Infinity, -Infinity]}')
    assert str((chunk.model_extra or {})["x"]) == "[nan, inf, -inf]"


def test_duplicate_keys() -> None:
    assert StreamChunk.from_wire('{"id": "a", "id": "b", "x": 1, "x": 2}').model_dump() == {
        "id": "b",
        "choices": [],
        "x": 2,
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"content": "a"}, None),
        ({"reasoning": "a", "x": 1}, "a"),
        ({"reasoning": "a", "reasoning_content": "b"}, "b"),
        ({"reasoning": "a", "reasoning_content": ""}, "a"),
        ({"reasoning": {"text": "a"}}, "a"),
        ({"reasoning": {"x": "a"}}, None),
        ({"reasoning_content": [{"type": "text", "text": "a"}, "b", 5]}, "ab"),
        ({"reasoning_text": "a"}, "a"),
        ({"reasoning_text": "a", "reasoning": "b"}, "b"),
        ({"thinking": "a"}, "a"),
        ({"thinking": 5}, None),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "a"}, {"summary": "b"}, {"data": "x"}]}, "ab"),
        ({"content": [{"type": ["thinking"], "text": "a"}]}, None),
        ({"content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}, "c", 5]}, "a"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"text": "b"}]}]}, "ab"),
        ({"content": [{"type": "reasoning", "text": "a"}]}, "a"),
        ({"content": [{"type": "text", "text": "a"}]}, None),
    ],
)
def test_row_22_reasoning_is_read_from_one_place(fields: dict[str, Any], expected: str | None) -> None:
    assert delta(**fields).reasoning_text == expected


@pytest.mark.parametrize("text", ['{"choices":[%s]}', '{"choices":[{"delta":{"tool_calls":[%s]}}]}'])
def test_one_event_of_many_mistakes_costs_little(text: str) -> None:
    event = text % ("5," * 200_000 + "5")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="more than 10000"):
            StreamChunk.from_wire(event)
        assert tracemalloc.get_traced_memory()[1] < 50 * len(event)
    finally:
        tracemalloc.stop()


def test_a_subclass_reads_itself() -> None:
    class MyChunk(StreamChunk, frozen=True):
        flavour: str | None = None

    chunk = MyChunk.from_wire('{"choices": null, "flavour": "salt"}')
    assert isinstance(chunk, MyChunk)
    assert (chunk.flavour, chunk.choices) == ("salt", ())


def test_everything_in_a_delta_is_optional() -> None:
    assert StreamChunk.from_wire({}) == StreamChunk()
    assert StreamChoice().delta == Delta()
