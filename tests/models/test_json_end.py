from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.models import JSONEndFold

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    JSON.filter(lambda value: isinstance(value, str | list | dict)),
    st.booleans(),
    st.lists(st.integers(min_value=1, max_value=5)),
    st.text(),
)
def test_a_value_is_closed_at_its_last_character_and_not_before(
    value: object, ascii_only: bool, sizes: list[int], tail: str
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    scan = JSONEndFold()
    while text:
        assert not scan.closed
        size = min(sizes.pop() if sizes else 1, len(text))
        scan.add(text[:size])
        text = text[size:]
    assert scan.closed
    scan.add(tail)
    assert scan.closed


@pytest.mark.parametrize("text", ["", "  ", "42", "null", '"a\\', '"a\\"', "{", '{"a": [}', '[{"a": "]}"}'])
def test_what_could_go_on_is_open(text: str) -> None:
    scan = JSONEndFold()
    scan.add(text)
    assert not scan.closed


def test_a_closing_bracket_closes_whatever_it_belongs_to() -> None:
    scan = JSONEndFold()
    scan.add("x}")
    assert scan.closed
