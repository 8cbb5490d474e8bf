"""JSON that grows is what the same JSON is when it is read whole."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxllm.accumulators import JSONFold
from rxllm.exceptions import DecodeError, LimitExceededError
from rxllm.models import JSONChange, is_list, is_object, loads

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


def pieces(text: str, sizes: list[int]) -> list[str]:
    """The text in pieces of these sizes, then of one character."""
    result: list[str] = []
    for size in sizes:
        result.append(text[:size])
        text = text[size:]
    return result + list(text)


def fold(*fragments: str) -> tuple[JSONFold, list[JSONChange]]:
    growing = JSONFold()
    return growing, [change for fragment in fragments for change in growing.add(fragment)]


def completed(changes: list[JSONChange]) -> dict[tuple[str | int, ...], Any]:
    return {change.path: change.value for change in changes if change.complete}


def values_of(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """All values in a value, by path."""
    result = {path: value}
    if is_object(value):
        for name, member in value.items():
            result.update(values_of(member, (*path, name)))
    elif is_list(value):
        for number, element in enumerate(value):
            result.update(values_of(element, (*path, number)))
    return result


@given(JSON, st.booleans(), st.sampled_from([None, 1]), st.lists(st.integers(1, 9)))
def test_the_value_is_that_of_the_whole_text_however_it_is_cut(
    value: Any, ascii_only: bool, indent: int | None, sizes: list[int]
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    growing = JSONFold()
    changes: list[JSONChange] = []
    snapshots: list[tuple[Any, Any]] = []
    for fragment in pieces(text, sizes):
        changes += growing.add(fragment)
        snapshot = growing.snapshot()
        snapshots.append((snapshot, snapshot.read()))
    changes += growing.close()
    expected = loads(text)
    assert growing.closed
    assert growing.depth == 0
    assert growing.length == len(text) + (not isinstance(value, str | list | dict))
    assert growing.snapshot().read() == expected
    assert completed(changes) == values_of(expected)
    check_deltas(changes)
    # A state can be read at any time, and is what it was.
    for snapshot, then in snapshots:
        assert snapshot.read() == then


def check_deltas(changes: list[JSONChange]) -> None:
    """The pieces of each string add up to it, before it is complete."""
    texts: dict[tuple[str | int, ...], str] = {}
    for change in changes:
        if not change.complete:
            assert change.delta
            texts[change.path] = texts.get(change.path, "") + change.delta
        elif isinstance(change.value, str):
            assert texts.pop(change.path, "") == change.value
    assert texts == {}


@given(st.text(st.sampled_from('{}[]",: \\u0d8a1e-.tnfN\x00\U0001f600')), st.lists(st.integers(1, 4)))
@example('"\\ud83d\\ude00"', [])
@example('"\\ud83dx"', [])
@example('{"a":1,"a":[2]}', [])
@example("[-]", [])
def test_what_is_json_is_what_the_parser_takes(text: str, sizes: list[int]) -> None:
    try:
        expected: Any = ("value", loads(text))
    except ValueError:
        expected = "no JSON"
    growing = JSONFold()
    try:
        for fragment in pieces(text, sizes):
            growing.add(fragment)
        growing.close()
        result: Any = ("value", growing.snapshot().read())
    except DecodeError:
        result = "no JSON"
    assert repr(result) == repr(expected)


def test_a_number_is_there_when_something_follows_it() -> None:
    growing, _ = fold("[1", "2")
    assert growing.snapshot().read() == []
    growing.add("3 ")
    assert growing.snapshot().read() == [123]


def test_nothing_yet() -> None:
    growing, changes = fold("", " \n")
    assert changes == []
    assert growing.snapshot().read("nothing") == "nothing"
    with pytest.raises(DecodeError, match="the text ended before the value did at character 2"):
        growing.close()


@pytest.mark.parametrize("text", ["{", '{"a"', '{"a":"', '{"a":"\\', "[tru", '"a\\u12'])
def test_an_end_before_the_end_of_the_value(text: str) -> None:
    growing, _ = fold(text)
    with pytest.raises(DecodeError):
        growing.close()


@pytest.mark.parametrize("value", [{"a": ["x", {"b": "c"}, 1]}, []])
def test_a_name_under_way_is_not_shown(value: Any) -> None:
    text = json.dumps({"first": value, "second": 2})
    growing, _ = fold(text[: text.index("ond")])
    assert growing.snapshot().read() == {"first": value}


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        ('{"a":1}{"a":2}', 7, "unexpected character"),
        ('{"a" 1}', 5, "unexpected character"),
        ("[1 2]", 3, "unexpected character"),
        ("[1,]", 3, "unexpected character"),
        ("{x", 1, "unexpected character"),
        ("[;", 1, "unexpected character"),
        ('["\\x"]', 2, "no escape"),
        ('["\\u12g4"]', 2, "no escape"),
        ('["a\nb"]', 3, "a control character in a string"),
        ("[nope]", 1, "neither a number nor a word"),
        ("[01]", 1, "neither a number nor a word"),
        ("[0x1]", 1, "neither a number nor a word"),
    ],
)
def test_what_is_no_json_fails_at_once_and_says_where(text: str, position: int, what: str) -> None:
    for sizes in ([], [len(text)], [3], [1, 2]):
        growing = JSONFold()
        with pytest.raises(DecodeError, match=f"{what} at character {position} of JSON") as caught:
            for fragment in pieces(text, sizes):
                growing.add(fragment)
        assert (caught.value.dialect, caught.value.position) == ("json", position)
        assert text[position] == caught.value.text[0]


def test_an_object_is_asked_for() -> None:
    for text in ("[", "1", '"', " null"):
        with pytest.raises(DecodeError, match="unexpected character"):
            JSONFold(object_only=True).add(text)


# Bad input


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_depth_bomb(size: int) -> None:
    for bomb in ("[" * 100_000, '{"a":' * 100_000):
        growing = JSONFold()
        with pytest.raises(LimitExceededError, match="deeper than 200 levels") as caught:
            for start in range(0, len(bomb), size):
                growing.add(bomb[start : start + size])
        assert (caught.value.limit, caught.value.maximum) == ("max_depth", 200)
    deep = "[" * 200 + "]" * 200
    assert fold(deep)[0].closed


def test_a_limit_on_the_length() -> None:
    growing = JSONFold(max_characters=5)
    growing.add('["abc')
    with pytest.raises(LimitExceededError, match="longer than 5 characters"):
        growing.add("d")


@pytest.mark.parametrize("size", [1, 5000])
def test_a_number_without_end(size: int) -> None:
    growing = JSONFold()
    with pytest.raises(LimitExceededError, match="a number is longer than 4300 characters"):
        for _ in range(0, 5000, size):
            growing.add("9" * size)


def test_fifty_megabytes_with_a_string_that_never_closes() -> None:
    growing = JSONFold()
    growing.add('{"text":"')
    fragment = "line \\n and \\u00e9 \\\\" * 50_000
    for _ in range(50):
        assert len(growing.add(fragment)) == 1
    assert growing.length > 50_000_000
    assert not growing.closed
    assert growing.snapshot().read()["text"][:14] == "line \n and é \\"
    with pytest.raises(DecodeError):
        growing.close()


@pytest.mark.parametrize(
    ("escapes", "text"),
    [
        ("\\ud83d\\ude00", "\U0001f600"),
        ("a\\ud83d\\ude00b", "a\U0001f600b"),
        ("\\ud83d", "\ufffd"),
        ("\\ude00", "\ufffd"),
        ("\\ud83dx", "\ufffdx"),
        ("\\ud83d\\n", "\ufffd\n"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        ("\\ude00\\ud83d", "\ufffd\ufffd"),
    ],
)
def test_surrogates_wherever_they_are_cut(escapes: str, text: str) -> None:
    whole = f'{{"{escapes}": "{escapes}"}}'
    for cut in range(len(whole)):
        growing, changes = fold(whole[:cut], whole[cut:])
        assert growing.snapshot().read() == {text: text} == loads(whole)
        check_deltas(changes)
    check_deltas(fold(*whole)[1])


def test_surrogates_that_are_not_escaped() -> None:
    assert fold('["\ud83d', '\ude00","\ude00"]')[0].snapshot().read() == ["\U0001f600", "\ufffd"]


def test_numbers_that_json_does_not_have() -> None:
    value = fold("[Na", "N,Infin", "ity,-Infinity", "]")[0].snapshot().read()
    assert math.isnan(value[0])
    assert value[1:] == [math.inf, -math.inf]


def test_of_duplicate_names_the_last_counts_and_a_state_says_what_counted_then() -> None:
    growing, _ = fold('{"a":1,"b":2')
    growing.add(",")
    before = growing.snapshot()
    growing.add('"a":"x')
    between = growing.snapshot()
    growing.add('","c":3')
    after = growing.snapshot()
    growing.add("}")
    assert before.read() == {"a": 1, "b": 2}
    assert between.read() == {"a": "x", "b": 2}
    assert after.read() == {"a": "x", "b": 2}
    assert growing.snapshot().read() == {"a": "x", "b": 2, "c": 3}


def test_values_come_before_what_is_made_of_them() -> None:
    _, changes = fold('{"a":["x",{}],"b":""}')
    assert changes == [
        JSONChange(("a", 0), "x"),
        JSONChange(("a", 0), value="x", complete=True),
        JSONChange(("a", 1), value={}, complete=True),
        JSONChange(("a",), value=["x", {}], complete=True),
        JSONChange(("b",), value="", complete=True),
        JSONChange((), value={"a": ["x", {}], "b": ""}, complete=True),
    ]


# The short way


class Thorough(JSONFold):
    """A fold that never takes the short way."""

    def add_piece(self, fragment: str) -> bool:
        del fragment
        return False


LIKE_JSON = st.text(st.sampled_from('{}[]",: \\u0d8a1e-.tnfN\x00\u00a0\ud83d\ude00\U0001f600'), max_size=12)
AROUND = st.sampled_from(["", '{"a":"', '["', '"', '{"', '{"a":["', '[{"b":"x"},"'])


@given(AROUND, st.lists(LIKE_JSON, max_size=8), st.integers(0, 40), st.booleans())
@example(start='["', fragments=["ab", "\\", 'n"', ',"', "c"], characters=40, more=False)
@example(start='["', fragments=["ab", 'c" nope', "d"], characters=40, more=False)
@example(start='["', fragments=["\ud83d", "a", "b"], characters=40, more=False)
def test_the_short_way_leads_to_the_same(start: str, fragments: list[str], characters: int, more: bool) -> None:
    def run(growing: JSONFold) -> list[Any]:
        said: list[Any] = []
        for fragment in (start, *fragments):
            try:
                said.append(growing.add(fragment, more_may_follow=more))
            except (DecodeError, LimitExceededError) as error:
                return [*said, str(error), growing.length]
            snapshot = growing.snapshot()
            said.append((snapshot.read(), growing.length, growing.closed, growing.depth))
        return [repr(each) for each in said]

    assert run(JSONFold(max_characters=characters)) == run(Thorough(max_characters=characters))


def test_what_grows_is_told_by_the_number_of_its_pieces() -> None:
    growing, _ = fold('{"a":["')
    snapshot = growing.snapshot()
    assert [growing.add_piece(piece) for piece in ("b", "d e")] == [True, True]
    assert not any(growing.add_piece(piece) for piece in ("", 'c"', "\\", "\n", "\u2028"))
    assert growing.path == ("a", 0)
    assert [snapshot.read(length=length) for length in range(3)] == [{"a": [text]} for text in ("", "b", "bd e")]
    assert snapshot.change(2) == JSONChange(("a", 0), "d e")
    whole, _ = fold('"')
    assert whole.add_piece("x")
    assert whole.snapshot().change(1) == JSONChange((), "x")
