"""The page on reading marbles tells the truth: each of its lines is worked out."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from rxllm.operators import timeout_per_chunk
from rxllm.testing._docstrings import diagrams_in
from rxllm.testing._events import events_of, windows_of
from rxllm.testing._recordings import Completed, Event, Item, Window

PAGE = (Path(__file__).parents[2] / "docs" / "marbles.md").read_text("utf-8")
FRAME = 10_000
LINES = re.findall(r"^(\S.*?) {3,}(\S.* ms.*)$", PAGE, re.MULTILINE)


def event_in_words(event: Event[str]) -> str:
    what = event.value if isinstance(event, Item) else "completes" if isinstance(event, Completed) else "fails"
    return f"{what} at {event.time // 1000} ms"


def window_in_words(what: str, window: Window) -> str:
    end = "on" if window.end is None else f"to {window.end // 1000} ms"
    return f"{what} from {window.start // 1000} ms {end}"


def in_words(diagram: str) -> str:
    if "[" in diagram:
        parts = [window_in_words("paused", window) for window in windows_of(diagram, FRAME, "[", "]")]
    elif diagram.strip("-")[0] == "^":
        parts = [window_in_words("subscribed", window) for window in windows_of(diagram, FRAME, "^", "!")]
    else:
        parts = [event_in_words(event) for event in events_of(diagram, FRAME, None, None)]
    return ", ".join(parts)


@pytest.mark.parametrize(("diagram", "meaning"), LINES, ids=[diagram for diagram, _ in LINES])
def test_a_line_means_what_the_page_says(diagram: str, meaning: str) -> None:
    assert in_words(diagram) == meaning


def test_all_signs_are_on_the_page() -> None:
    assert set("-ab(|)#^![]@") <= set("".join(diagram for diagram, _ in LINES))


def test_the_operator_is_drawn_as_it_is_documented() -> None:
    blocks = [
        block for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "result" in block
    ]

    (shown,) = blocks
    documented = [diagram.text for diagram in diagrams_in(inspect.getdoc(timeout_per_chunk) or "")]
    assert any(shown.strip() in text for text in documented)
