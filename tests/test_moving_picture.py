"""The picture at the top of the README: made of a real run, and fit to be shown by an ``<img>``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo terminals", allow_module_level=True)

from docs.moving_picture.__main__ import COLUMNS, LINES, PICTURE, main, picture, record
from docs.moving_picture.frames import rows
from docs.moving_picture.recording import Written
from docs.moving_picture.svg import CELL, LINE

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def recording() -> list[Written]:
    return record(pause=0.001)


def elements(svg: str) -> Iterator[ET.Element]:
    return ET.fromstring(svg).iter()  # noqa: S314 - it is ours


RULE = re.compile(
    r"@keyframes (k\d+)\{(?:0%\{visibility:hidden\})?([\d.]+)%\{visibility:visible\}"
    r"(?:([\d.]+)%\{visibility:hidden\})?\}"
)


def seen(svg: str, seconds: float | None = None) -> list[str]:
    """The rows of what is seen at a moment, or where nothing moves."""
    intervals = {name: (float(start), float(end or 101)) for name, start, end in RULE.findall(svg)}
    share = 0.0 if seconds is None else 100 * seconds / float(re.findall(r"animation:k\d+ ([\d.]+)s", svg)[0])
    screen = [[" "] * COLUMNS for _ in range(LINES)]
    for group in elements(svg):
        if group.tag != f"{SVG}g" or "class" not in group.attrib:
            continue
        name, _, gone = group.attrib["class"].partition(" ")
        start, end = intervals.get(name, (0.0, 101.0))
        if bool(gone) if seconds is None else not start <= share < end:
            continue
        for line in group:
            row = screen[round(float(line.attrib["transform"].rstrip(")").split()[1]) / LINE)]
            for text in line:
                column, said = round(float(text.attrib["x"]) / CELL), text.text or ""
                row[column : column + len(said)] = said
    return ["".join(row).rstrip() for row in screen]


def test_the_last_frame_is_what_stands_on_the_terminal_at_the_end(recording: list[Written]) -> None:
    screen = rows(recording, COLUMNS, LINES)

    assert seen(picture(recording)) == screen
    assert screen[0] == "$ python chat.py"
    assert "18:00 │ sun     │ 17 │ lovely" in screen
    assert any(row.startswith("✓ get_weather ") for row in screen)
    assert any(row.startswith("first token ") for row in screen)


def test_one_recording_is_one_picture(recording: list[Written]) -> None:
    assert picture(recording) == picture(recording)


def test_each_moment_is_what_stood_there_then(recording: list[Written]) -> None:
    svg = picture(recording)
    looked_at = 0
    for place, (before, after) in enumerate(pairwise(recording)):
        if after.seconds - before.seconds > 0.02:
            looked_at += 1
            moment = (before.seconds + after.seconds) / 2
            assert seen(svg, moment) == rows(recording[: place + 1], COLUMNS, LINES)

    assert looked_at > len("python chat.py")


def test_the_script_writes_a_picture(tmp_path: Path) -> None:
    main([str(tmp_path / "chat.svg"), "--pause", "0.001"])

    assert (tmp_path / "chat.svg").read_text("utf-8").startswith("<svg ")


@pytest.mark.parametrize("made", [True, False])
def test_it_is_fit_to_be_shown_by_an_image(recording: list[Written], *, made: bool) -> None:
    svg = picture(recording) if made else PICTURE.read_text("utf-8")
    tags = {element.tag.removeprefix(SVG) for element in elements(svg)}
    attributes = {name for element in elements(svg) for name in element.attrib}

    assert tags == {"svg", "title", "style", "rect", "path", "circle", "g", "text"}
    assert not [name for name in attributes if name.startswith("on") or "href" in name]
    assert "url(" not in svg
    assert "@import" not in svg
    assert len(svg.encode()) < 200_000
    assert "@media (prefers-color-scheme:dark)" in svg
    still, _, moving = svg.partition("@media (prefers-reduced-motion:no-preference){")
    assert "animation" not in still
    assert " infinite}" in moving
