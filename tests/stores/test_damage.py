"""Damage in a file loses what it is in, and no more; a file that is gone while it is written to is told of."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import reactivex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reactivex import operators as rx_ops
from reactivex.subject import Subject

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import RecordingError, RxllmError
from rxllm.sinks import JSONLinesSink, SQLiteSink, StoreSink
from rxllm.stores import (
    EndRecord,
    ItemRecord,
    JSONLinesReader,
    JSONLinesWriter,
    SQLiteWriter,
    Writer,
)
from rxllm.testing import Marbles, assert_marbles
from rxllm.typing import SinkStream

BEGAN = datetime(2025, 1, 31, 12, tzinfo=UTC)
ITEMS = 3


def write_three(path: Path, make: Callable[[Path], Writer] = JSONLinesWriter) -> None:
    """Three streams at once, each of three items."""
    with closing(make(path)) as writer:
        for stream in "abc":
            writer.begin(stream, BEGAN)
        for position in range(ITEMS):
            for stream in "abc":
                writer.append(stream, [ItemRecord(position, position / 4, "text", f"{stream}{position}")])
        for stream in "abc":
            writer.end(stream, EndRecord(1.0, ITEMS, "completed"))


def played(path: Path, stream: str, **options: Any) -> tuple[list[Any], Exception | None]:
    items: list[Any] = []
    try:
        rxllm.run(
            rxllm.from_recording(path, stream=stream, **options).pipe(rx_ops.do_action(items.append), rx_ops.to_list())
        )
    except RxllmError as error:
        return items, error
    return items, None


def whole(stream: str) -> tuple[list[str], None]:
    return [f"{stream}{position}" for position in range(ITEMS)], None


def damage(path: Path, where: str, before: str, after: str) -> None:
    """Change one line."""
    lines = path.read_text().splitlines(keepends=True)
    (number,) = [number for number, line in enumerate(lines) if where in line]
    assert before in lines[number]
    lines[number] = lines[number].replace(before, after)
    path.write_text("".join(lines))


ITEM = '"b","record":"item","position":1'
END = '"b","record":"end"'


@pytest.mark.parametrize(
    ("where", "before", "after", "good", "message"),
    [
        (ITEM, '"seconds":0.25', '"seconds":-1', 1, "damaged at byte [0-9]+: seconds"),
        (ITEM, '"seconds":0.25', '"seconds":NaN', 1, "damaged at byte"),
        (ITEM, '"seconds":0.25', '"seconds":1e300', 1, "damaged at byte"),
        (ITEM, '"kind":"text"', '"kind":5', 1, "damaged at byte"),
        (ITEM, '"record":"item"', '"record":"itfm"', 1, "damaged at byte [0-9]+: a line that is not a record"),
        (ITEM, '"kind":"text"', '"kind":"text","slots":[]', 1, "damaged at byte"),
        (ITEM, '"position":1', '"position":"x"', 1, "damaged at byte"),
        (ITEM, '"value":"b1"', '"value":{"x":5}', 1, "item 1 is not of kind text"),
        (ITEM, '"kind":"text"', '"kind":"hat"', 1, "'hat' are unknown"),
        # What is no JSON any more, or of no stream, is missing.
        (ITEM, '"seconds":0.25', '"seconds":0.25,,', 1, "number 1 was due"),
        (ITEM, '{"stream":"b"', '{"stream":"x"', 1, "number 1 was due"),
        (ITEM, '{"stream":"b"', '{"stream":["b"]', 1, "number 1 was due"),
        (ITEM, '{"stream":"b"', '\x00"stream":"b"', 1, "number 1 was due"),
        (ITEM, '"b1"', "1" * 5000, 1, "number 1 was due"),
        (ITEM, "}\n", "}", 1, "number 1 was due"),
        # The ending.
        (END, '"items":3', '"items":-3', 3, "damaged at byte"),
        (END, '"items":3', '"items":4', 3, "number 3 was due"),
        (END, '"ending":"completed"', '"ending":"odd"', 3, "damaged at byte"),
        (END, '"items":3', '"items":3,,', 3, "stops after 3 items"),
        # The beginning: then there is no such stream.
        ('"b","record":"begin"', '"began":"2025', '"began":"soon', 0, "no stream 'b'"),
        ('"b","record":"begin"', '"record"', '"recor"', 0, "no stream 'b'"),
    ],
)
def test_damage_in_one_line_loses_the_rest_of_its_stream(  # noqa: PLR0917 - a table
    where: str, before: str, after: str, good: int, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "three.jsonl"
    write_three(path)
    damage(path, where, before, after)

    items, error = played(path, "b")

    assert items == [f"b{position}" for position in range(good)]
    with pytest.raises(RxllmError, match=message):
        raise error or AssertionError
    if after != "}":  # without its line end it is in the line of another stream
        assert played(path, "a") == whole("a")
        assert played(path, "c") == whole("c")
    # The file can be written to, as before.
    with closing(JSONLinesWriter(path)) as writer:
        writer.begin("d", BEGAN)
        writer.end("d", EndRecord(0.0, 0, "completed"))
    assert played(path, "d") == ([], None)


@pytest.mark.parametrize("line", [0, 1])
def test_damage_in_the_first_lines_does_not_lose_the_file(line: int, tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    write_three(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (b"\x00" * (len(lines[line]) - 1) + b"\n", lines[line][5:], lines[line].replace(b"begin", b"begun")):
        path.write_bytes(b"".join([*lines[:line], damaged, *lines[line + 1 :]]))
        assert played(path, "c") == whole("c")
        assert [info.stream for info in rxllm.list_recordings(path)] == ["b" if line == 0 else "a", "c"]


@pytest.mark.parametrize("content", [b"x" * 100_000 + b"\n", b"x\n" * 100_000, b"\x00" * 100_000])
def test_what_begins_with_much_of_something_else_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    write_three(path)
    path.write_bytes(content + path.read_bytes())
    before = path.read_bytes()
    for end in (JSONLinesWriter, JSONLinesReader):
        with pytest.raises(RecordingError, match="it begins with"):
            end(path)
    assert path.read_bytes() == before


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_byte_is_damaged_the_others_are_whole(data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    path.unlink(missing_ok=True)
    write_three(path)
    content = bytearray(path.read_bytes())
    lines = content.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    start = sum(map(len, lines[:number]))
    place = data.draw(st.integers(start, start + len(lines[number]) - 2))
    content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte not in {10, content[place]}))
    path.write_bytes(content)

    mine = "abc"[number % 3]
    assert mine.encode() in lines[number]
    for stream in set("abc") - {mine}:
        # Its letter may have become that of another stream.
        if not content[start:].startswith(b'{"stream":"%b"' % stream.encode()):
            assert played(path, stream) == whole(stream)


def test_a_row_that_is_damaged_loses_the_rest_of_its_stream(tmp_path: Path) -> None:
    path = tmp_path / "three.db"
    write_three(path, SQLiteWriter)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE chunks SET seconds = -1 WHERE number = 2 AND position = 1")
        connection.execute("UPDATE streams SET began = 'soon' WHERE stream = 'a'")
    items, error = played(path, "b")
    assert items == ["b0"]
    with pytest.raises(RecordingError, match="damaged: seconds"):
        raise error or AssertionError
    assert played(path, "c") == whole("c")
    assert [info.stream for info in rxllm.list_recordings(path)] == ["b", "c"]


# A file that is gone --------------------------------------------------------------------------------------------------


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def replace(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(b"")


@pytest.mark.parametrize("make", [JSONLinesWriter, SQLiteWriter])
@pytest.mark.parametrize("lose", [delete, move, replace])
def test_a_writer_whose_file_is_gone_says_so(
    make: Callable[[Path], Writer], lose: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    with closing(make(path)) as writer:
        writer.begin("a", BEGAN)
        writer.append("a", [ItemRecord(0, 0.0, "text", "x")])
        lose(path)
        with pytest.raises(RecordingError, match=r"recording: .* while it was written to"):
            writer.append("a", [ItemRecord(1, 0.0, "text", "y")])
        with pytest.raises(RecordingError, match="while it was written to"):
            writer.begin("b", BEGAN)
        with pytest.raises(RecordingError, match="while it was written to"):
            writer.end("a", EndRecord(0.0, 2, "completed"))


@pytest.mark.parametrize("make", [JSONLinesWriter, SQLiteWriter])
def test_where_a_file_is_does_not_depend_on_the_current_folder(
    make: Callable[[Path], Writer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(make(Path("recording"))) as writer:
        writer.begin("a", BEGAN)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        writer.append("a", [ItemRecord(0, 0.0, "text", "x")])
        writer.end("a", EndRecord(0.0, 1, "completed"))
    assert played(tmp_path / "recording", "a") == (["x"], None)


@pytest.mark.parametrize("make", [JSONLinesWriter, SQLiteWriter])
def test_a_link_to_a_file_may_be_written_through(make: Callable[[Path], Writer], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "recording")
    write_three(tmp_path / "link", make)
    assert played(tmp_path / "recording", "a") == whole("a")


class Watched:
    """A sink that tells when the first batch is stored."""

    def __init__(self, sink: StoreSink) -> None:
        self._sink = sink
        self.stored = asyncio.Event()

    async def open(self) -> SinkStream[object]:
        stream = await self._sink.open()
        write = stream.write

        async def write_and_tell(items: Sequence[object], /) -> None:
            await write(items)
            self.stored.set()

        setattr(stream, "write", write_and_tell)  # noqa: B010 - of this one only
        return stream


@pytest.mark.parametrize("make", [JSONLinesSink, SQLiteSink])
@pytest.mark.parametrize("at", ["item", "end"])
async def test_the_stream_whose_recording_is_gone_fails_with_that(
    make: Callable[[Path], StoreSink], at: str, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    sink = Watched(make(path))
    source: Subject[str] = Subject()
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    source.pipe(ops.tee_to(sink)).subscribe(on_error=ended.set_result, on_completed=lambda: ended.set_result(None))
    source.on_next("a")
    async with asyncio.timeout(10):
        await sink.stored.wait()
        path.unlink()
        if at == "item":
            source.on_next("b")
        source.on_completed()
        error = await ended
    assert isinstance(error, RecordingError)
    assert "deleted or moved" in str(error)


# Times ----------------------------------------------------------------------------------------------------------------

NO_TIMES = [1e300, float("inf"), float("-inf"), float("nan"), -1.0, 2.0**36]


@pytest.mark.parametrize("make", [JSONLinesWriter, SQLiteWriter])
@pytest.mark.parametrize("seconds", NO_TIMES)
def test_a_time_that_is_none_is_refused_when_written(
    make: Callable[[Path], Writer], seconds: float, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    with closing(make(path)) as writer:
        writer.begin("a", BEGAN)
        writer.append("a", [ItemRecord(0, 0.5, "text", "x")])
        with pytest.raises(RecordingError, match="cannot be recorded as a time"):
            writer.append("a", [ItemRecord(1, seconds, "text", "y")])
    with closing(make(path)) as writer:
        writer.begin("b", BEGAN)
        with pytest.raises(RecordingError, match="cannot be recorded as a time"):
            writer.end("b", EndRecord(seconds, 0, "completed"))
    assert played(path, "a")[0] == ["x"]


@pytest.mark.parametrize("seconds", ["1e300", "9e99"])
def test_a_time_that_is_none_is_an_error_where_it_is(seconds: str, tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    write_three(path)
    damage(path, ITEM, '"seconds":0.25', f'"seconds":{seconds}')
    items, error = played(path, "b", timing="recorded", speed=1e6)
    assert items == ["b0"]
    assert isinstance(error, RecordingError)


@pytest.mark.parametrize("speed", [5e-324, 1e-300, 1e-12])
def test_a_speed_at_which_nothing_would_come_is_a_time_for_every_clock(speed: float, tmp_path: Path) -> None:
    path = tmp_path / "three.jsonl"
    write_three(path)
    marbles = Marbles()
    slow = rxllm.from_recording(path, stream="a", timing="recorded", speed=speed)

    recording = marbles.run(slow, subscribed="^--------!")

    assert_marbles(recording, "a", a="a0")


# Numbers --------------------------------------------------------------------------------------------------------------

LARGE = 10**5000
SMALL_ENOUGH = 10**4299


@pytest.mark.parametrize("make", [JSONLinesSink, SQLiteSink])
@pytest.mark.parametrize(
    "item",
    [
        LARGE,
        -LARGE,
        {"a": [{"b": LARGE}]},
        {"half": "\ud83d", "a": LARGE},
        rxllm.StreamChunk.model_validate({"choices": [], "a": LARGE}),
        rxllm.StreamChunk(choices=(), usage=rxllm.Usage(prompt_tokens=LARGE)),
        rxllm.Usage(prompt_tokens=LARGE),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_integer_that_could_not_be_read_again_is_refused_when_written(
    make: Callable[[Path], StoreSink], item: object, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    with pytest.raises(TypeError, match="more than 4300 digits"):
        rxllm.run(reactivex.of(item).pipe(ops.tee_to(make(path))))
    assert [info.ending for info in rxllm.list_recordings(path)] == ["failed"]


@pytest.mark.parametrize("make", [JSONLinesSink, SQLiteSink])
@pytest.mark.parametrize("item", [SMALL_ENOUGH, {"a": -SMALL_ENOUGH}, "1" * 5000, {"1" * 5000: ["1" * 5000]}])
def test_one_that_can_be_read_comes_back_and_so_do_digits_in_a_text(
    make: Callable[[Path], StoreSink], item: object, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    rxllm.run(reactivex.of(item).pipe(ops.tee_to(make(path))))
    assert rxllm.run(rxllm.from_recording(path)) == item
