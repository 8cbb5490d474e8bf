"""Diagrams: what they mean, and that drawings mean what they draw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxllm.testing import DiagramError
from rxllm.testing._diagrams import RESERVED, Mark, draw, microseconds, parse, span

FRAME = 10_000


@pytest.mark.parametrize(
    ("diagram", "marks"),
    [
        ("", []),
        ("---", []),
        ("a", [(0, "a")]),
        ("--a-b|", [(2, "a"), (4, "b"), (5, "|")]),
        ("--a  - b | ", [(2, "a"), (4, "b"), (5, "|")]),
        ("-(ab)-c", [(1, "a"), (1, "b"), (6, "c")]),
        ("-(a b )-c", [(1, "a"), (1, "b"), (6, "c")]),
        ("(a|)", [(0, "a"), (0, "|")]),
        ("(5s)", [(0, "5"), (0, "s")]),
        ("-^-!", [(1, "^"), (3, "!")]),
        ("a 30ms b", [(0, "a"), (4, "b")]),
        ("30ms b 1s c", [(3, "b"), (104, "c")]),
        ("2m b", [(12_000, "b")]),
        ("a 20000us b", [(0, "a"), (3, "b")]),
        ("a 0.02s b", [(0, "a"), (3, "b")]),
        ("(ab) @10ms c", [(0, "a"), (0, "b"), (1, "c")]),
        ("a @0.5s c", [(0, "a"), (50, "c")]),
        ("a30ms", [(0, "a"), (1, "3"), (2, "0"), (3, "m"), (4, "s")]),
    ],
)
def test_meaning(diagram: str, marks: list[tuple[int, str]]) -> None:
    assert parse(diagram, FRAME) == [Mark(frames * FRAME, symbol) for frames, symbol in marks]


@pytest.mark.parametrize(
    ("diagram", "reason"),
    [
        ("-(ab", "other half"),
        ("-ab)", "other half"),
        ("(a(b))", "other half"),
        ("-()-", "empty group"),
        ("-( )-", "empty group"),
        ("(a-b)", "within a group"),
        ("(a 5ms b)", "within a group"),
        ("--a @10ms b", "back in time"),
        ("a 0.5us b", "microsecond"),
    ],
)
def test_what_means_nothing_is_an_error_that_points_to_it(diagram: str, reason: str) -> None:
    with pytest.raises(DiagramError, match=reason) as caught:
        parse(diagram, FRAME)
    assert f"\n  {diagram}\n" in str(caught.value)
    assert str(caught.value).endswith("^ here")


SYMBOLS = st.sampled_from("abms0159.|#^![]é") | st.characters(
    exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc"), exclude_characters="".join(RESERVED)
)
TIMES = st.integers(0, 12).map(lambda frames: frames * FRAME) | st.integers(0, 10**9)


@given(st.lists(st.builds(Mark, TIMES, SYMBOLS), max_size=12), st.sampled_from([1, 1000, FRAME]))
def test_a_drawing_means_what_it_draws(marks: list[Mark], frame: int) -> None:
    marks.sort(key=lambda mark: mark.time)
    assert parse(draw(marks, frame), frame) == marks


@pytest.mark.parametrize(
    "diagram",
    ["--a-b|", "(ab|)", "-(ab)--c", "(ab) @10ms c", "500ms a", "a 1s b", "0-1-2", "[--](][)", "(5)ms 15ms x"],
)
def test_drawings_look_as_people_write_them(diagram: str) -> None:
    marks = parse(diagram, FRAME)
    assert parse(draw(marks, FRAME), FRAME) == marks
    assert draw(marks, FRAME) == diagram or "(5)" in diagram


def test_a_digit_and_a_unit_are_not_drawn_as_a_span() -> None:
    marks = [Mark(0, "5"), Mark(FRAME, "s"), Mark(FRAME * 3 + 1, "x")]
    assert draw(marks, FRAME) == "(5) @10ms s 10001us x"


def test_times() -> None:
    assert microseconds(0.1 + 0.2) == 300_000
    assert [span(time) for time in (1, 1500, 2000, 1_500_000, 60_000_000)] == ["1us", "1500us", "2ms", "1500ms", "60s"]
