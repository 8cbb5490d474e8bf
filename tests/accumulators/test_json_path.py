"""Paths into JSON, and what is found under them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import pytest

from rxllm.accumulators import JSONPathAccumulator
from rxllm.accumulators.json._path import JSONPath
from rxllm.exceptions import DecodeError, LimitExceededError, ToolCallError
from rxllm.models import JSONPathMatch, StreamChunk
from rxllm.testing import text_chunk, tool_chunk

EDITS = '{"file": "a.py", "edits": [{"text": "x", "line": 1}, {"text": "yz", "line": 2}]}'


def found(
    chunks: Iterable[StreamChunk],
    *paths: str,
    of: Literal["arguments", "content"] = "content",
    text_around: bool = False,
) -> list[JSONPathMatch]:
    accumulator = JSONPathAccumulator(paths, of=of, text_around=text_around)
    matches = [match for chunk in chunks for match in accumulator.add(chunk)]
    return matches + list(accumulator.close())


def values(matches: list[JSONPathMatch]) -> list[Any]:
    return [match.value for match in matches if match.complete]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("edits[*].text", ["x", "yz"]),
        ("$.edits[*].text", ["x", "yz"]),
        ("$['edits'][*]['text']", ["x", "yz"]),
        ('["edits"].*["text"]', ["x", "yz"]),
        ("edits[1].line", [2]),
        ("edits[0]", [{"text": "x", "line": 1}]),
        ("file", ["a.py"]),
        ("*", ["a.py", [{"text": "x", "line": 1}, {"text": "yz", "line": 2}]]),
        ("edits[2]", []),
        ("edits.text", []),
        ("file[0]", []),
    ],
)
def test_what_is_under_a_path(pattern: str, expected: list[Any]) -> None:
    assert values(found([text_chunk(EDITS)], pattern)) == expected
    assert values(found([text_chunk(each) for each in EDITS], pattern)) == expected


@pytest.mark.parametrize(
    "pattern", ["", "a..b", "..a", "a[", "a[-1]", "a[01]", "a[1:2]", "a[?@.b]", "a b", "a.", "$a", "[a]", "a['b", "1a"]
)
def test_what_is_no_path(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"path"):
        JSONPath(pattern)


def test_no_path_and_no_place() -> None:
    with pytest.raises(ValueError, match="no path"):
        JSONPathAccumulator([])
    with pytest.raises(ValueError, match="'reasoning'"):
        JSONPathAccumulator(["a"], of="reasoning")  # type: ignore[arg-type]  # what is not typed can pass it


def test_several_paths_over_one_scan() -> None:
    matches = found([text_chunk(EDITS[:50]), text_chunk(EDITS[50:])], "edits[*].text", "edits[*].*", "$")
    assert [(match.pattern, match.path[1:], match.delta or match.value) for match in matches[:6]] == [
        ("edits[*].text", (0, "text"), "x"),
        ("edits[*].*", (0, "text"), "x"),
        ("edits[*].text", (0, "text"), "x"),
        ("edits[*].*", (0, "text"), "x"),
        ("edits[*].*", (0, "line"), 1),
        ("edits[*].text", (1, "text"), "yz"),
    ]
    assert matches[-1].pattern == "$"
    assert matches[-1].path == ()


def test_the_arguments_of_each_call_apart() -> None:
    chunks = [
        tool_chunk('{"a": "x', index=0, id="1", name="f"),
        tool_chunk('{"a": 1', index=1, id="2", name="g"),
        tool_chunk('y"}', index=0),
        tool_chunk("}", index=1),
        tool_chunk('{"a": 2}', index=0, id="3", name="f", choice=1),
    ]
    assert found(chunks, "a", of="arguments") == [
        JSONPathMatch("a", ("a",), "x", None, complete=False, choice=0, call=0, name="f"),
        JSONPathMatch("a", ("a",), "y", None, complete=False, choice=0, call=0, name="f"),
        JSONPathMatch("a", ("a",), "", "xy", complete=True, choice=0, call=0, name="f"),
        JSONPathMatch("a", ("a",), "", 1, complete=True, choice=0, call=1, name="g"),
        JSONPathMatch("a", ("a",), "", 2, complete=True, choice=1, call=0, name="f"),
    ]


def test_the_content_of_each_choice_apart() -> None:
    chunks = [text_chunk('{"a":'), text_chunk('{"a":2}', choice=1), text_chunk("1}"), tool_chunk("{")]
    matches = found(chunks, "a")
    assert [(match.choice, match.value, match.call, match.name) for match in matches] == [
        (1, 2, None, None),
        (0, 1, None, None),
    ]


def test_text_around() -> None:
    text = "Edits [none]:\n```json\n" + EDITS + "\n``` {"
    assert values(found([text_chunk(each) for each in text], "file", text_around=True)) == ["a.py"]
    array = "{ ```[1, 2]``` ["
    assert values(found([text_chunk(array)], "[*]", text_around=True)) == [1, 2]
    assert found([text_chunk("nothing")], "a", text_around=True) == []
    with pytest.raises(DecodeError):
        found([text_chunk(text)], "file")


def test_content_that_is_a_number_is_complete_at_the_end() -> None:
    assert values(found([text_chunk("4"), text_chunk("2")], "$")) == [42]
    assert found([text_chunk("[4")], "[0]") == []
    with pytest.raises(DecodeError):
        found([text_chunk("nope")], "$")


def test_what_can_be_no_json_any_more() -> None:
    with pytest.raises(ToolCallError, match=r"the arguments of 'f' are not a JSON object: .* at character 0") as caught:
        found([tool_chunk("[", id="1", name="f")], "a", of="arguments")
    assert (caught.value.choice, caught.value.call_id, caught.value.text) == (0, "1", "[")
    with pytest.raises(LimitExceededError):
        found([text_chunk("[" * 1000)], "a")


def test_what_one_choice_gives_comes_before_the_error_of_another() -> None:
    chunk = StreamChunk.model_validate(
        {"choices": [{"index": index, "delta": {"content": text}} for index, text in enumerate(['{"a":1,', "nope,"])]}
    )
    matches = iter(JSONPathAccumulator(["a"], of="content").add(chunk))
    assert next(matches).value == 1
    with pytest.raises(DecodeError):
        next(matches)
