"""Markdown that grows on a terminal: in the end there stands what would stand there if it had come at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token

from rxllm.sinks.screen import _blocks
from tests.sinks.terminal import Paper, Shower, Terminal
from tests.thorough import times

ANSWER = """# Why is the sea salty?

Rivers dissolve **minerals** from *rocks*; see [the USGS](https://www.usgs.gov/sea) or <https://example.org>. The
water evaporates, the `NaCl` stays. 海の水はなぜ塩辛いのですか。川が岩石から鉱物を溶かして海に運ぶからです。
👩‍💻 ❤️ 🇩🇪 ✨.
مرحبا بالعالم שלום עולם.

Setext
------

1. Rain falls.
2. It dissolves rocks:
   - sodium
   - chloride
     - most of it

       in a paragraph

   ```js
   let a = 1
   ```

3. Rivers carry it.
- other
* list

| Sea | Salt (g/l) | Note |
|:----|-----:|:--:|
| Dead Sea | 340 | far too salty to swim in |
| Baltic 🌊 | 7 | `a` |
| 地中海 | 38 | ok |

> A quote that is quite long, so that it has to be broken into several rows.
> - with a list

```python
def salt(litres: float) -> float:
    \"\"\"Grams of salt

    in the sea.\"\"\"
    return litres * 35.0  # about, and this line goes on and on and on and on and on and on and on
```
~~~~
```
~~~~
    indented code

***
![picture](https://example.org/p.png "t") [x]: /y
[x]: /y

Done\\
now.
"""


def at_once(text: str, columns: int) -> list[str]:
    terminal = Terminal(columns)
    shower = Shower(terminal)
    answer = shower.begin()
    shower.add(answer, text)
    shower.close(answer)
    return terminal.rows


def growing(pieces: Sequence[str], columns: int, lines: int = 24) -> list[str]:
    terminal = Terminal(columns, lines)
    shower = Shower(terminal)
    answer = shower.begin()
    for piece in pieces:
        shower.add(answer, piece)
    shower.close(answer)
    return terminal.rows


def cut(text: str, places: Sequence[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("columns", [30, 80, 120])
def test_character_by_character(columns: int) -> None:
    assert growing(list(ANSWER), columns) == at_once(ANSWER, columns)


@given(
    places=st.lists(st.integers(0, 5_000), max_size=40),
    columns=st.sampled_from([22, 80, 120]),
    lines=st.sampled_from([3, 10, 24]),
)
@settings(max_examples=times(15), deadline=None)
def test_split_anywhere(places: list[int], columns: int, lines: int) -> None:
    assert growing(cut(ANSWER, places), columns, lines) == at_once(ANSWER, columns)


PIECES = [
    *(
        "- ",
        "* ",
        "+ ",
        "1. ",
        "2. ",
        "7) ",
        "  - ",
        "   ",
        "    ",
        "      ",
        "\t",
        "> ",
        "# ",
        "## ",
        "```",
        "```py",
        "~~~",
    ),
    *(
        "\n",
        "\n",
        "\n\n",
        "---",
        "===",
        "***",
        "**",
        "*",
        "_",
        "`",
        "``",
        "|",
        "|--|--|",
        "| a | b |",
        ":-:",
        "[x](http://a.b)",
    ),
    *("[x]: /y", "<b>", "<!--", "\\", "&amp;", "word", "a", "1", ".", "漢字", "👩‍💻", "é", "שלום", '"""', "#", "x = 1"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from([9, 40]))
@settings(max_examples=times(50), deadline=None)
def test_whatever_markup_splits_in_the_middle(pieces: list[str], columns: int) -> None:
    assert growing(list("".join(pieces)), columns) == at_once("".join(pieces), columns)


def resized(first: Sequence[str], second: Sequence[str], before: int, after: int) -> list[str]:
    """The rows of an answer on a terminal that is resized in the middle of it."""
    terminal = Terminal(before)
    shower = Shower(terminal)
    answer = shower.begin()
    for piece in first:
        shower.add(answer, piece)
    terminal.resize(after)
    for piece in second:
        shower.add(answer, piece)
    shower.close(answer)
    return terminal.rows


@given(middle=st.integers(0, len(ANSWER)), widths=st.sampled_from([(80, 40), (40, 80), (120, 80), (80, 81)]))
@settings(max_examples=times(12), deadline=None)
def test_a_resize_in_the_middle(middle: int, widths: tuple[int, int]) -> None:
    first, second = ANSWER[:middle], ANSWER[middle:]

    # What is final when the terminal is resized stays as it is; the rest is drawn for what the terminal is now.
    slowly = [cut(text, range(0, len(text), 9)) for text in (first, second)]
    assert resized(slowly[0], slowly[1], *widths) == resized([first], [second], *widths)


def test_what_is_not_final_is_wrapped_anew_after_a_resize() -> None:
    rows = resized(["one two three"], [" four five six"], 40, 12)

    assert rows == ["one two", "three four", "five six"]


def test_a_terminal_that_breaks_its_rows_anew_is_gone_up_as_far_as_they_are_now() -> None:
    terminal = Terminal(40)
    shower = Shower(terminal, reflows=True)
    answer = shower.begin()
    shower.add(answer, "one two three four five six seven")  # 33 columns
    terminal.columns = 12
    shower.add(answer, " eight")

    assert terminal.written[-1].startswith("\x1b[?2026h\x1b[3A\r")


def test_a_terminal_that_became_wider_has_as_many_rows_as_before() -> None:
    terminal = Terminal(12)
    shower = Shower(terminal, reflows=True)
    answer = shower.begin()
    shower.add(answer, "one two three four")
    terminal.columns = 40
    shower.add(answer, " five")

    assert terminal.written[-1].startswith("\x1b[?2026h\x1b[2A\r")


def test_what_is_final_is_written_once_and_the_rest_only_where_it_changed() -> None:
    terminal = Terminal(16)
    shower = Shower(terminal)
    answer = shower.begin()
    shower.add(answer, "final\n\none two three four")
    drawn = len(terminal.written)
    shower.add(answer, " five six")
    shower.draw()

    assert [text for text in terminal.written if "final" in text] == terminal.written[:1]
    assert terminal.written[drawn:] == ["\x1b[?2026h\x1b[1A\r\x1b[Kfour five six\n\x1b[J\x1b[?2026l"]


def test_no_more_is_drawn_than_the_screen_has_rows() -> None:
    terminal = Terminal(40, 5)
    shower = Shower(terminal)
    answer = shower.begin()
    text = "".join(f"| {number} | x |\n" for number in range(50))
    for line in ["| a | b |\n", "|--|--|\n", *text.splitlines(keepends=True)]:
        shower.add(answer, line)
        assert len(terminal.rows) <= 5
    shower.close(answer)

    assert len(terminal.rows) == 52


def test_a_terminal_with_hardly_any_columns_gets_what_is_final_and_nothing_else() -> None:
    terminal = Terminal(6)
    shower = Shower(terminal)
    answer = shower.begin()
    shower.add(answer, "one\n\ntwo\n")
    assert terminal.rows == ["one"]
    shower.close(answer)

    assert terminal.rows == ["one", "", "two"]


@pytest.mark.parametrize("text", ["x" * 3_000, "word " * 600, "```\n" + "y" * 2_000, "- a\n\n" + "  z z\n" * 300])
def test_a_block_without_end_is_cut(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(_blocks, "LONGEST", 700)
    pieces = [text[start : start + 101] for start in range(0, len(text), 101)]

    assert growing(pieces, 80) == at_once(text, 80)


@pytest.mark.parametrize("columns", [1, 5, 9, 80])
def test_a_terminal_of_one_row_gets_what_is_final_once(columns: int) -> None:
    assert growing(list("one\n\ntwo\n"), columns, 1) == at_once("one\n\ntwo\n", columns)


def test_what_was_drawn_goes_when_the_terminal_becomes_too_narrow() -> None:
    terminal = Terminal(40)
    shower = Shower(terminal)
    answer = shower.begin()
    shower.add(answer, "one")
    terminal.resize(6)
    shower.add(answer, "\n\ntwo\n")
    shower.close(answer)

    assert terminal.rows == ["one", "", "two"]


def test_items_of_a_list_are_final_and_keep_their_numbers() -> None:
    terminal = Terminal(40)
    shower = Shower(terminal)
    answer = shower.begin()
    shower.add(answer, "3. a\n3. b\n\n3. c")
    shower.add(answer, "\n   d\n3. e\n")
    shower.close(answer)

    assert terminal.rows == ["3. a", "4. b", "", "5. c d", "6. e"]


FAMILY = "👨\u200d👩\u200d👧"
# How many columns each takes, and that it is in one piece.
TOGETHER = {
    "vowel signs": ("का", 2),
    "a flag": ("🇩🇪", 4),
    "colours of skin": ("👍🏽", 4),
    "a picture of a character": ("❤\ufe0f", 2),
    "a family": (FAMILY, 6),
    "a flag of tags": ("\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", 2),
    "old Hangul": ("\u1112\u1161\u11ab", 4),
}


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("what", TOGETHER)
@pytest.mark.parametrize("fence", ["", "```\n"])
def test_what_is_one_character_to_the_eye_is_not_torn_apart(what: str, fence: str, before: str) -> None:
    one, size = TOGETHER[what]
    paper = Paper()
    paper.columns = 14 + (2 if fence else 0) + 1
    shower = Shower(paper)
    shower.add(answer := shower.begin(), fence + before + one * 20)
    shower.close(answer)
    rows = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", "".join(paper.written)).split()

    assert [row.count(one) * len(one) for row in rows] == [len(row.removeprefix(before)) for row in rows]
    assert max(row.count(one) for row in rows) == 14 // size


@pytest.mark.parametrize("one", ["\u3297\ufe0f", "\u845b\U000e0100", "\u304b\u3099"])
def test_a_row_ends_behind_the_mark_of_an_ideograph(one: str) -> None:
    for before in range(8):
        paper = Paper()
        paper.columns = 9
        shower = Shower(paper)
        shower.add(answer := shower.begin(), "a" * before + one + "abc")
        shower.close(answer)
        assert one in "".join(paper.written), before


def test_no_row_of_a_paragraph_begins_with_a_blank() -> None:
    assert at_once("` a` b", 20) == ["a b"]


def test_where_there_is_hardly_any_room_nothing_stands_in_front() -> None:
    assert at_once("> > > quote\n\n- - - a\n\n> > > ```\n> > > 12345\n> > > ```\n", 9) == [
        *("│ │ quot", "│ │ e"),
        *("", "• ◦", "  ▪", "  a"),
        *("", "│ │ 1234", "│ │ 5"),
    ]


@pytest.mark.parametrize(
    "part", ["```\na\n```\n", "b\n\n~~~ js\na\n~~~\n", "- a\n  ```\n  b\n  ```\n", "> ```\n> a\n", "    ```\n\nb\n"]
)
def test_much_code_that_comes_at_once_is_read_once(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    text = part * 100
    a_line_at_a_time = growing(text.splitlines(keepends=True), 40)
    read = 0
    parse: Callable[[str], Sequence[Token]] = vars(_blocks)["_parse"]

    def counted(seen: str) -> Sequence[Token]:
        nonlocal read
        read += len(seen)
        return parse(seen)

    monkeypatch.setattr(_blocks, "_parse", counted)

    assert at_once(text, 40) == a_line_at_a_time
    assert read < 4 * len(text)
