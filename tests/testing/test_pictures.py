"""Pictures are drawn from runs: every mark stands where and when it happened, and nothing in it is trusted."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rx_ops

from rxllm import FunctionCall, ServerSentEvent, StreamChunk, ToolCall
from rxllm import operators as ops
from rxllm.testing import draw_marbles, finish_chunk, text_chunk, tool_chunk
from rxllm.testing._labels import cells, clipped, label_of
from rxllm.testing._recordings import Completed, Event, Failed, Item, Window
from rxllm.testing._svg import MARBLE, Band, Line, Picture, draw_svg
from rxllm.testing._svg_axis import EDGE, PITCH
from rxllm.wire import AWSFrame

CLOSE = MARBLE + 4
"""Pixels a frame where marbles stand in neighbouring frames."""

SVG = "{http://www.w3.org/2000/svg}"


def documented(diagram: str) -> Callable[..., Any]:
    def operator() -> None:
        """Is never called: the diagrams call what they are about."""

    operator.__doc__ = f"Do.\n\n    ::\n{diagram}"
    return operator


def drawn(diagram: str, **names: Any) -> ET.Element:
    [picture] = draw_marbles(documented(diagram), **names)
    return ET.fromstring(picture)  # noqa: S314 - our own


def of_class(svg: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in svg.iter() if name in each.get("class", "").split()]


def text_of(element: ET.Element) -> str:
    return "".join(text.text or "" for text in element.iter(f"{SVG}text"))


def place_of(item: ET.Element) -> tuple[float, float]:
    [text] = item.iter(f"{SVG}text")
    return float(text.get("x", "")), float(text.get("y", ""))


def marks(svg: ET.Element, line: str) -> list[tuple[int, str, float]]:
    """When, what, and where: the items of a line."""
    items = [each for each in of_class(svg, "item") if each.get("data-line") == line]
    return [(int(item.get("data-time", "")), text_of(item), place_of(item)[0]) for item in items]


def ends(svg: ET.Element, kind: str) -> list[tuple[str | None, str | None]]:
    return [(each.get("data-line"), each.get("data-time")) for each in of_class(svg, kind)]


def x(frames: float, pitch: float = PITCH) -> float:
    return EDGE + frames * pitch


def test_marbles_stand_at_their_times() -> None:
    svg = drawn("""
        source  --a-b---|
                rx_ops.delay(0.01)
        result  ---a-b---|
    """)

    assert marks(svg, "source") == [(20_000, "a", x(2)), (40_000, "b", x(4))]
    assert marks(svg, "result") == [(30_000, "a", x(3)), (50_000, "b", x(5))]
    assert ends(svg, "completed") == [("source", "80000"), ("result", "90000")]


def test_it_is_drawn_from_the_run_and_not_from_the_text() -> None:
    lie = """
        source  --a-b---|
                rx_ops.map(str.upper) | rx_ops.delay(0.01)
        result  --a-b---|
    """

    svg = drawn(lie)

    assert marks(svg, "result") == [(30_000, "A", x(3)), (50_000, "B", x(5))]
    assert "result  --a-b---|" in (svg.findtext(f"{SVG}desc") or "")


@pytest.mark.parametrize(
    ("mutation", "items", "completed"),
    [
        (rx_ops.delay(0.01), [(30_000, "Hel"), (50_000, "lo")], [("source", "100000"), ("result", "110000")]),
        (rx_ops.take(1), [(20_000, "Hel")], [("result", "20000")]),
        (rx_ops.skip(1), [(40_000, "lo")], [("source", "100000"), ("result", "100000")]),
    ],
    ids=["delay", "take", "skip"],
)
def test_a_mutated_operator_gives_another_picture(
    mutation: Callable[[Observable[str]], Observable[str]],
    items: list[tuple[int, str]],
    completed: list[tuple[str, str]],
) -> None:
    def content() -> Callable[[Observable[StreamChunk]], Observable[str]]:
        return lambda source: source.pipe(ops.content(), mutation)

    content.__doc__ = ops.content.__doc__
    [picture] = draw_marbles(content)
    svg = ET.fromstring(picture)  # noqa: S314 - our own

    assert [mark[:2] for mark in marks(svg, "result")] == items
    assert ends(svg, "completed") == completed


def test_one_picture_for_each_diagram() -> None:
    assert len(draw_marbles(ops.buffer_with_backpressure)) == 3
    with pytest.raises(AssertionError, match="no marble diagram"):
        draw_marbles(documented(""))


@pytest.mark.parametrize("operator", [ops.parse_structured, ops.tee_to, ops.timeout_per_chunk])
def test_it_is_the_same_each_time(operator: Callable[..., Any]) -> None:
    assert draw_marbles(operator) == draw_marbles(operator)
    assert "object at 0x" not in "".join(draw_marbles(operator))


def test_what_happens_at_one_time_is_stacked() -> None:
    svg = drawn("""
        source  --(abc|)
                rx_ops.map(str)
        result  --(abc|)
    """)

    (ax, ay), (bx, by), (cx, cy) = [place_of(item) for item in of_class(svg, "item")[:3]]
    assert ax == bx == cx == x(2)
    assert ay < by < cy
    [bar, _] = of_class(svg, "completed")
    path = (bar.findtext(f"{SVG}title"), bar[1].get("d", ""))
    assert path[0] == "completed at 20 ms"
    assert float(path[1].partition("v")[2]) > cy - ay, "the bar is as high as the stack"


def test_an_error_is_a_cross_and_explained() -> None:
    svg = drawn("""
        source  --a-#
                rx_ops.map(str)
        result  --a-#

        a="a" #=OSError("a < b")
    """)

    assert ends(svg, "failed")[:2] == [("source", "40000"), ("result", "40000")]
    legend = [each.text for each in svg.findall(f"{SVG}text") if each.get("class") is None]
    assert legend == ["OSError: a < b"]


def test_a_pause_is_hatched_and_what_was_due_is_drawn_where_it_was() -> None:
    svg = drawn("""
        source  --a-b-c-|
                rx_ops.map(str)
        pauses  ---[----]
        result  --a-----(bc|)
    """)

    [pause] = of_class(svg, "paused")
    assert (pause.get("data-start"), pause.get("data-end")) == ("30000", "80000")
    assert pause.findtext(f"{SVG}title") == "paused by the consumer of the run"
    [band, hatching] = list(pause)[1:]
    assert float(band.get("x", "")) == x(3)
    assert float(band.get("width", "")) == 5 * PITCH
    assert hatching.get("d", "").count("L") > 5
    assert [mark[:2] for mark in marks(svg, "source")] == [(20_000, "a"), (80_000, "b"), (80_000, "c")]
    due = [(each.get("data-due"), each.findtext(f"{SVG}title")) for each in svg.iter() if each.get("data-due")]
    assert due == [("40000", "b was due at 40 ms"), ("60000", "c was due at 60 ms")]
    [busy] = of_class(svg, "busy")
    assert busy.findtext(f"{SVG}title") == "the consumer takes nothing"
    assert {note.text for note in of_class(svg, "note")} == {"paused", "busy"}


def test_a_pause_that_nobody_ends() -> None:
    svg = drawn("""
        source      --a-b-|
                    rx_ops.map(str)
        pauses      ---[
        subscribed  ^----------!
        result      --a
    """)

    [pause] = of_class(svg, "paused")
    assert pause.get("data-end") == "110000", "it ends with the subscription"
    picture = Picture("t", "", 10, "f()", [Line("s", [], bands=[Band(Window(20), "paused", "")])], [])
    svg = ET.fromstring(draw_svg(picture))  # noqa: S314 - our own
    [pause] = of_class(svg, "paused")
    assert pause.get("data-end") is None


def test_pauses_of_an_operator_are_its_own() -> None:
    svg = drawn("""
        source  --ab----|
                ops.buffer_with_backpressure(1) | ops.map_async(upper)
        result  -----A--(B|)
    """)

    titles = {pause.findtext(f"{SVG}title") for pause in of_class(svg, "paused")}
    assert len(titles) == 1
    assert not any("0x" in (title or "") for title in titles)


def test_short_pauses_have_no_note_over_each_other() -> None:
    svg = drawn("""
        source  --abcdefgh|
                rx_ops.map(str)
        takes   1
        result  --abcdefgh|
    """)

    places = [float(note.get("x", "")) for note in of_class(svg, "note") if note.text == "busy"]
    assert len(of_class(svg, "busy")) == 8
    assert all(later - earlier > 4 * 6 for earlier, later in pairwise(places))


def test_a_consumer_that_leaves_at_once_is_not_busy() -> None:
    svg = drawn("""
        source  ^-(a|)
                rx_ops.map(str)
        takes   3
        result  --(a|)
    """)

    assert len(of_class(svg, "completed")) == 2
    assert not of_class(svg, "busy")


def test_a_source_that_is_left() -> None:
    svg = drawn("""
        source  --a-b-c-|
                rx_ops.take(2)
        result  --a-(b|)
    """)

    [left] = of_class(svg, "disposed")
    assert left.get("data-time") == "40000"
    assert len(of_class(svg, "left")) == 1
    due = [each.findtext(f"{SVG}title") for each in svg.iter() if each.get("data-due")]
    assert due == ["c was due at 60 ms", "the end was due at 80 ms"]


def test_a_source_that_nobody_subscribes_to_and_one_that_never_ends() -> None:
    svg = drawn("""
        source  --a-
        other   --b-|
                rx_ops.on_error_resume_next(other)
        result  --a-
    """)

    assert marks(svg, "other") == []
    assert len([path for path in svg.iter(f"{SVG}path") if "l6 4l-6 4" in path.get("d", "")]) == 3, "arrows"


def test_several_sources_and_hot_ones() -> None:
    svg = drawn("""
        source  a-^-b-|
        other   --c-|
                rx_ops.merge(other)
        result  --(bc) @40ms |
    """)

    assert marks(svg, "source") == [(20_000, "b", x(2))]
    assert marks(svg, "other") == [(20_000, "c", x(2))]
    assert [text.text for text in of_class(svg, "caption")] == ["source", "other", "result"]


def test_depth_is_a_step_chart() -> None:
    svg = drawn("""
        source   --abc-----|
                 ops.buffer_with_backpressure(8)
        pauses   --[---]
        waiting  ---12-0
        result   --a---(bc)|
    """)

    [chart] = of_class(svg, "waiting")
    assert [(text.get("data-time"), text.text) for text in chart.iter(f"{SVG}text")] == [
        ("30000", "1"),
        ("40000", "2"),
        ("60000", "0"),
    ]
    path = of_class(svg, "depth")[0].get("d", "")
    steps = [(float(a), float(b)) for a, b in re.findall(r"H([\d.]+)V([\d.]+)", path)]
    assert [place for place, _ in steps] == [x(0), x(3, CLOSE), x(4, CLOSE), x(6, CLOSE)]
    base = steps[0][1]
    assert [round((base - height) / 14) for _, height in steps] == [0, 1, 2, 0]


def test_a_deep_queue_is_drawn_to_scale() -> None:
    picture = Picture("t", "", 10, "f()", [], [], waiting=[(10, 700), (20, 70)])
    svg = ET.fromstring(draw_svg(picture))  # noqa: S314 - our own

    heights = [float(y) for y in re.findall(r"V([\d.]+)", of_class(svg, "depth")[0].get("d", ""))]
    assert heights[0] - heights[1] == pytest.approx(70)
    assert heights[0] - heights[2] == pytest.approx(7)


def test_what_a_sink_stored_is_a_line() -> None:
    svg = drawn("""
        source  --ab---|
                ops.tee_to(sink)
        writes  2
        stored  ----a-b|
        result  --ab---|
    """)

    assert marks(svg, "stored by the sink") == [(40_000, "a", x(4, CLOSE)), (60_000, "b", x(6, CLOSE))]


def test_a_long_time_is_cut_short_and_the_cut_is_drawn() -> None:
    svg = drawn("""
        source  -a 3s b-|
                rx_ops.map(str)
        result  -a 3s b-|
    """)

    assert [place for _, _, place in marks(svg, "source")] == [x(1), x(1 + 6)]
    assert len(of_class(svg, "cut")) == 2
    [axis] = of_class(svg, "axis")
    assert [text.text for text in axis.iter(f"{SVG}text")] == ["0", "3.02 s"]


def test_times_are_written_below_and_never_over_each_other() -> None:
    svg = drawn("""
        source  ----a------b-----c------|
                rx_ops.map(str)
        result  ----a------b-----c------|
    """)

    [axis] = of_class(svg, "axis")
    times = [(float(text.get("x", "")), text.text) for text in axis.iter(f"{SVG}text")]
    assert times == [(x(0), "0"), (x(5), "50 ms"), (x(10), "100 ms"), (x(15), "150 ms"), (x(20), "200 ms")]


def test_times_that_are_too_near_to_each_other_are_left_out() -> None:
    svg = drawn("""
        source  -------------------ab---|
                rx_ops.map(str)
        result  -------------------ab---|
    """)

    [axis] = of_class(svg, "axis")
    assert [text.text for text in axis.iter(f"{SVG}text")] == ["0", "190 ms"]


def test_neighbours_do_not_overlap() -> None:
    svg = drawn("""
        source  --abc-|
                rx_ops.map(str)
        result  --abc-|

        a="Hello" b="world" c="!"
    """)

    boxes = [each.find(f"{SVG}rect") for each in of_class(svg, "item")[:3]]
    spans = [(float(box.get("x", "")), float(box.get("width", ""))) for box in boxes if box is not None]
    assert len(spans) == 3
    assert all(left + width < later for (left, width), (later, _) in pairwise(spans))


def test_long_texts_are_letters_with_a_legend() -> None:
    svg = drawn(
        """
        source  --ab-|
                rx_ops.map(str)
        result  --ab-|

        a="a long text " b=long
    """,
        long="no space " * 40 + "x" * 400,
    )

    assert [text_of(item) for item in of_class(svg, "item")] == ["a", "b", "a", "b"]
    legend = [each.text or "" for each in svg.findall(f"{SVG}text") if each.get("class") is None]
    assert legend[:3] == ["a", "a long text␣", "b"]
    assert len(legend) <= 3 + 3
    assert legend[-1].endswith("…")
    assert all(cells(line) * 7.3 < float(svg.get("width", "")) - 34 for line in legend)


def test_an_item_without_a_text_is_a_letter() -> None:
    svg = drawn("""
        source  --a-|
                rx_ops.map(lambda item: item)
        result  --a-|

        a=StreamChunk()
    """)

    assert [text_of(item) for item in of_class(svg, "item")] == ["a", "a"]
    assert "(no text)" in [each.text for each in svg.findall(f"{SVG}text")]


def test_one_text_has_one_colour() -> None:
    [picture] = draw_marbles(ops.content)
    svg = ET.fromstring(picture)  # noqa: S314 - our own
    colours = {text_of(item): item.get("class") for item in of_class(svg, "item")}

    assert all(item.get("class") == colours[text_of(item)] for item in of_class(svg, "item"))
    assert len(set(colours.values())) == len(colours)


def test_it_follows_the_theme_and_can_be_read_aloud() -> None:
    [picture] = draw_marbles(ops.content)
    svg = ET.fromstring(picture)  # noqa: S314 - our own

    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title") == "Marble diagram of content"
    assert "source  --a-b-c-d-|\n" in (svg.findtext(f"{SVG}desc") or "")
    style = svg.findtext(f"{SVG}style") or ""
    for rule in ("prefers-color-scheme:dark", "[data-theme=light]", "[data-theme=dark]"):
        assert rule in style
    assert "id=" not in picture
    assert "<script" not in picture
    width, height = svg.get("width"), svg.get("height")
    assert svg.get("viewBox") == f"0 0 {width} {height}"


@given(st.text(min_size=1, max_size=12), st.sampled_from([str, text_chunk, ServerSentEvent, OSError, repr]))
def test_no_text_breaks_out(text: str, make: Callable[[str], Any]) -> None:
    value = make(text)
    events: list[Event[Any]] = [Item(10, value), Failed(20, OSError(text))]
    line = Line(f"{text}", events, bands=[Band(Window(0, 10), "paused", text)])
    picture = Picture(text, text, 10, text, [line], [line], letters={"a": value})

    svg = ET.fromstring(draw_svg(picture))  # noqa: S314 - our own

    kinds = {each.tag.removeprefix(SVG) for each in svg.iter()}
    assert kinds <= {"svg", "title", "desc", "style", "g", "path", "rect", "text", "circle"}
    assert len(of_class(svg, "item")) == 2


def test_hostile_text_stays_text() -> None:
    hostile = "</text><script>alert(1)</script>\"'&\x00\x1b[31m\u202e"
    svg = drawn(
        """
        source  --a-|
                rx_ops.map(lambda item: item)
        result  --a-|

        a=hostile
    """,
        hostile=hostile,
    )

    assert not list(svg.iter(f"{SVG}script"))
    legend = "".join(each.text or "" for each in svg.findall(f"{SVG}text") if each.get("class") is None)
    assert legend == "a</text><script>alert(1)</script>\"'&\\x00\\x1b[31m\\u202e"


LABELS: dict[str, object] = {
    "Hel": text_chunk("Hel"),
    "[stop]": finish_chunk("stop"),
    "find(": tool_chunk(name="find"),
    '{"a":1}': tool_chunk('{"a":1}'),
    "Hm.": StreamChunk.from_wire({"choices": [{"delta": {"reasoning": "Hm."}}]}),
    "": StreamChunk.from_wire({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}),
    "data": ServerSentEvent("data"),
    "payload": AWSFrame({":event-type": "x"}, b"payload"),
    "now({})": ToolCall(id="1", function=FunctionCall(name="now", arguments="{}")),
    "\\xff.": b"\xff.",
    "OSError": OSError(),
    "OSError: no": OSError("no"),
    "KeyError": KeyError(),
    "ValueError": ValueError,
    "{'a', 'b'}": {"b", "a"},
    "3": 3,
    "␣a b␣␣": " a b  ",
    "␣": " ",
    "\\n": "\n",
    "\\ud800": "\ud800",
}


@pytest.mark.parametrize(("label", "value"), LABELS.items())
def test_labels(label: str, value: object) -> None:
    assert label_of(value) == label


@given(st.text(), st.integers(1, 20))
def test_a_clipped_text_fits(text: str, most: int) -> None:
    assert cells(clipped(text, most)) <= most
    assert clipped(text, cells(text)) == text


def test_ends_that_are_alike_are_explained_once() -> None:
    line = Line("s", [Failed(10, ValueError)])
    svg = ET.fromstring(draw_svg(Picture("t", "", 10, "f()", [line], [line])))  # noqa: S314 - our own

    assert len([each for each in svg.findall(f"{SVG}text") if each.text == "ValueError"]) == 1
    assert len(of_class(svg, "failed")) == 3


def test_a_picture_of_nothing() -> None:
    svg = ET.fromstring(draw_svg(Picture("t", "", 10, "f()", [Line("s", [Completed(0)])], [])))  # noqa: S314 - our own

    assert ends(svg, "completed") == [("s", "0")]
