"""Whatever code point comes, in whatever pieces and place: no terminal and no notebook gets a control from a model."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import pytest

import rxllm
from rxllm import models
from rxllm.models import as_markdown
from rxllm.sinks._plain_text import PlainText
from rxllm.sinks.screen._answer import Shown
from rxllm.testing import text_chunk
from rxllm.typing import Ending
from tests.sinks.terminal import Paper, Shower, foreign_controls

Place = Callable[[Sequence[str]], list[Shown]]

EVERYTHING = [*map(chr, range(0xD800)), *map(chr, range(0xE000, sys.maxunicode + 1))]
# What a terminal may obey, what turns the order of what stands around it, what cannot be seen, halves of characters.
SUSPECT = [
    *(character for character in EVERYTHING if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Mn"}),
    *map(chr, range(0xD800, 0xE000, 64)),
    *(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)),
]
SEQUENCES = [
    "\x1b[2J\x1b[31m\x1b]0;title\x07\x1b]8;;http://x\x1b\\",
    "\x9b2J\x9d0;title\x9c\x90q\x9c\x1b(0\x1bc\x0e\x0f\b\b\r\x00\x7f",
    "a\u202eb\u2066c\u2069\u200f\u061c\u2028\u2029\ufeff",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f\U000e0041\U000e007f",
    "👩\u200d💻 ❤\ufe0f x\ufe0e\ufe0f\ufe0e\ufe0f \U000e0001\U000e0041",
    "**\x1b[1m** `\x1b[2m` [\x1b[3m](\x1b[4m) <\x1b[5m> |\x1b|\n|-|\n|\x1b|\n\n```\x1b[6m\n\x1b[7m\n",
]
# Of names so many characters are shown.
NAME = 50


def chunk(**fields: object) -> rxllm.StreamChunk:
    return rxllm.StreamChunk.from_wire({"choices": [{"index": 0, "delta": fields}]})


def call_of(pieces: Sequence[str]) -> rxllm.ToolCall:
    text = "".join(pieces)
    return rxllm.ToolCall.model_validate({"id": text, "function": {"name": text, "arguments": text}})


def calls(pieces: Sequence[str]) -> list[Shown]:
    first = chunk(tool_calls=[{"index": 0, "id": "".join(pieces), "function": {"name": pieces[0], "arguments": ""}}])
    rest = [{"index": 0, "function": {"name": piece, "arguments": piece}} for piece in pieces]
    return [first, *(chunk(tool_calls=[fields]) for fields in rest)]


def results(pieces: Sequence[str]) -> list[Shown]:
    call, text = call_of(pieces), "".join(pieces)
    mended = text.encode("utf-8", "replace").decode()  # what somebody decides is JSON
    result = {"call": call, "content": text, "error": "failed"}
    return [
        models.ToolCallEvent(round=1, call=call),
        models.ApprovalRequested(round=1, call=call),
        models.ApprovalGiven(round=1, call=call, decision=rxllm.Approved(arguments={mended: mended})),
        models.ToolResultEvent(round=1, result=rxllm.ToolResult.model_validate(result)),
        models.ApprovalRequested(round=1, call=call),
        models.ApprovalGiven(round=1, call=call, decision=rxllm.Refused(reason=text)),
    ]


PLACES: dict[str, Place] = {
    "text": lambda pieces: [text_chunk(piece) for piece in pieces],
    "text of events": lambda pieces: [models.TextDelta(round=1, text=piece) for piece in pieces],
    "reasoning": lambda pieces: [chunk(reasoning_content=piece) for piece in ("a", *pieces)],
    "reasoning of events": lambda pieces: [models.ReasoningDelta(round=1, text=piece) for piece in ("a", *pieces)],
    "refusal": lambda pieces: [chunk(refusal=piece) for piece in pieces],
    "strings and events of a server": lambda pieces: [
        each for piece in pieces for each in (piece, rxllm.ServerSentEvent(piece))
    ],
    "calls in pieces": calls,
    "calls of events": lambda pieces: [
        models.ToolInputDelta(round=1, index=0, name=piece, text=piece) for piece in pieces
    ],
    "calls that are whole, and what comes of them": results,
}


def shown_in_rich(items: Sequence[Shown], error: str, *, live: bool) -> str:
    paper = Paper()
    shower = Shower(paper, live=live)
    answer, other = shower.begin(), shower.begin()
    for item in items:
        answer.add(item, 0.0)
        other.add(item, 0.0)
    shower.draw()
    for each in (other, answer):
        shower.close(each, Ending("failed", rxllm.StreamInterruptedError(error)))
    return "".join(paper.written)


def shown_in_plain(items: Sequence[Shown], line_end: str = "\n") -> str:
    plain = PlainText(line_end)
    return "".join([*(plain.add([item]) for item in items), plain.close()])


# What each writes that is not its own.
STYLES: dict[str, Callable[[Sequence[Shown], str], set[str]]] = {
    "rich": lambda items, error: foreign_controls(shown_in_rich(items, error, live=True)),
    "rich in a file": lambda items, error: foreign_controls(shown_in_rich(items, error, live=False)),
    "plain": lambda items, _: foreign_controls(shown_in_plain(items), own="[\t\n]"),
    "notebook": lambda items, _: foreign_controls(as_markdown(shown_in_plain(items, "\n\n")), own="[\t\n]"),
}


def pieces_of_sequences() -> Iterator[list[str]]:
    for sequence in SEQUENCES:
        yield [sequence]
        yield [*sequence]
        for place in range(1, len(sequence)):
            yield [sequence[:place], sequence[place:]]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("place", PLACES)
def test_no_control_comes_through(style: str, place: str) -> None:
    """In pieces of one character each, and as a whole; sequences are split at each place."""
    show, make = STYLES[style], PLACES[place]
    groups = [SUSPECT[start : start + NAME] for start in range(0, len(SUSPECT), NAME)]
    told = [*groups, *(["".join(group)] for group in groups), *pieces_of_sequences()]

    for pieces in told:
        assert show(make(pieces), "".join(pieces)) == set(), pieces


@pytest.mark.parametrize("place", ["text", "reasoning", "error"])
def test_no_code_point_at_all_is_obeyed(place: str) -> None:
    size = 900 if place == "error" else 4_096  # no more than an error has room for
    written: list[str] = []
    for start in range(0, len(EVERYTHING), size):
        text, paper = "".join(EVERYTHING[start : start + size]), Paper()
        shower = Shower(paper, live=place == "reasoning")
        answer = shower.begin()
        items, error = ([], text) if place == "error" else (PLACES[place]([text]), "")
        shower.add(answer, *items)
        shower.close(answer, Ending("failed", rxllm.StreamInterruptedError(error)))
        written += [*paper.written, shown_in_plain(items).replace("\t", "")]

    assert foreign_controls("".join(written)) == set()
