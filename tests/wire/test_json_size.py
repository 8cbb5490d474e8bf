"""How much there is in a JSON text, told without reading it."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from rxllm.exceptions import LimitExceededError
from rxllm.models import is_list, is_object
from rxllm.wire import _json_size, check_json_size


def many(unit: str, count: int) -> str:
    return ",".join([unit] * count)


def shortened(text: str) -> str:
    return text[:24]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("[" * 200_000, "max_lists_and_objects"),
        ('{"a":' * 200_000, "max_lists_and_objects"),
        (f"[{many('{}', 200_000)}]", "max_lists_and_objects"),
        (f"[{many('[' * 190 + ']' * 190, 1_000)}]", "max_lists_and_objects"),
        (f"{{{many(chr(34) * 2 + ':0', 300_000)}}}", "max_fields"),
        (f"[{many('0', 600_000)}]", "max_values"),
        (f"[{many('null', 600_000)}]", "max_values"),
        (f"[{many(chr(34) * 2, 600_000)}]", "max_values"),
        (f"[{many(chr(34) * 2, 5_000_000)}]", "max_values"),
        ('"' * 6_000_000 + "," * 600_000, "max_values"),
        # Behind much that is nothing, and behind strings with escapes.
        (f'["{"x" * 5_000_000}",{many("[]", 200_000)}]', "max_lists_and_objects"),
        (r'["\\",' + many("[]", 200_000), "max_lists_and_objects"),
        (r'["\\\"[[",' + many("[]", 200_000), "max_lists_and_objects"),
    ],
    ids=shortened,
)
@pytest.mark.parametrize("kind", ["str", "bytes", "bytearray"])
def test_too_much_is_refused(text: str, limit: str, kind: str) -> None:
    texts: dict[str, str | bytes | bytearray] = {
        "str": text,
        "bytes": text.encode(),
        "bytearray": bytearray(text.encode()),
    }
    with pytest.raises(LimitExceededError, match="JSON with more than") as caught:
        check_json_size(texts[kind])

    assert caught.value.limit == limit
    assert str(caught.value.maximum) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 16_000_000,
        json.dumps("[{:," * 1_000_000),
        json.dumps('{"a": [1, 2, "\\"]}' * 200_000),
        json.dumps('\\"' * 1_000_000 + "," * 1_000_000),
        json.dumps(["a" * 70_000, "[" * 300_000, '\\"' * 300_000]),
        f"[{many('0', 400_000)}]",
        f"[{many('{}', 100_000)}]",
        f"{{{many(chr(34) * 2 + ':0', 199_000)}}}",
        "[" * 60_000,
    ],
    ids=shortened,
)
def test_long_texts_are_not(text: str) -> None:
    check_json_size(text)
    check_json_size(text.encode())


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a\\"[]{}:,', max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('a\\"[{:,', max_size=4), inner, max_size=5),
    max_leaves=30,
)


def containers_in(value: Any) -> int:
    if is_object(value):
        return 1 + sum(map(containers_in, value.values()))
    return 1 + sum(map(containers_in, value)) if is_list(value) else 0


@given(value=VALUES, ascii_only=st.booleans())
def test_what_stands_in_strings_does_not_count(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    count = containers_in(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_json_size, "LARGE_JSON", 0)
        patch.setattr(_json_size, "MAX_CONTAINERS", count)
        check_json_size(text)
        if count:
            patch.setattr(_json_size, "MAX_CONTAINERS", count - 1)
            with pytest.raises(LimitExceededError):
                check_json_size(text)
