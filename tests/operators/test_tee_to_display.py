"""``tee_to_display``: what a terminal gets to see, and one that blocks."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
import unicodedata
from collections.abc import AsyncIterator

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.sinks import ConsoleSink, _console, printable
from rxllm.testing import text_chunk


def shown(*items: rxllm.StreamChunk | rxllm.ServerSentEvent | str, end: str = "\n") -> str:
    screen = io.StringIO()
    rxllm.run(reactivex.of(*items).pipe(ops.tee_to_display(screen, end=end)))
    return screen.getvalue()


def test_text_of_chunks_events_and_strings() -> None:
    assert shown(text_chunk("Hel"), rxllm.ServerSentEvent("lo"), " you", text_chunk("no", choice=1)) == "Hello you\n"


def test_what_follows_the_last_text_can_be_chosen() -> None:
    assert shown("Hello", end="") == "Hello"


def test_nothing_is_written_for_an_item_without_text() -> None:
    assert shown(rxllm.StreamChunk()) == "\n"


def test_items_pass() -> None:
    items = rxllm.run(reactivex.of("a", "b").pipe(ops.tee_to_display(io.StringIO()), rx_ops.to_list()))

    assert items == ["a", "b"]


def test_standard_output_at_the_time_of_subscribing(capsys: pytest.CaptureFixture[str]) -> None:
    rxllm.run(reactivex.of("Hello").pipe(ops.tee_to_display()))

    assert capsys.readouterr().out == "Hello\n"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("back\b\b\bspace", "back␈␈␈space"),
        ("over\rwritten", "overwritten"),
        ("line\r\nend\ttab", "line\nend\ttab"),
        ("\x9b31m", "\ufffd31m"),
        ("\x7f", "\ufffd"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("\u2066x\u2069", "\ufffdx\ufffd"),
        ("\ud800", "\ufffd"),
        ("a\u2028b", "a\ufffdb"),
        ("👩‍💻 é 漢字", "👩‍💻 é 漢字"),
        ("\x00", "␀"),
    ],
)
def test_what_could_control_the_terminal_is_made_visible(text: str, seen: str) -> None:
    assert printable(text) == seen


@given(st.text())
def test_nothing_is_left_that_could_control_a_terminal(text: str) -> None:
    seen = printable(text)

    assert not [
        character
        for character in seen
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} and character not in "\n\t"
    ]
    assert not {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"} & set(seen)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=5), max_size=8))
def test_splitting_the_text_changes_nothing(pieces: list[str]) -> None:
    assert "".join(map(printable, pieces)) == printable("".join(pieces))


def test_a_terminal_that_cannot_show_a_character_shows_a_question_mark() -> None:
    raw = io.BytesIO()
    screen = io.TextIOWrapper(raw, encoding="ascii")

    rxllm.run(reactivex.of("naïve").pipe(ops.tee_to_display(screen)))

    assert raw.getvalue() == b"na?ve\n"


def test_a_file_that_was_closed_fails_the_stream() -> None:
    screen = io.StringIO()
    screen.close()

    with pytest.raises(ValueError, match="closed file"):
        rxllm.run(reactivex.of("Hello").pipe(ops.tee_to_display(screen)))


def test_a_file_that_was_closed_can_be_detached() -> None:
    screen = io.StringIO()
    screen.close()

    assert rxllm.run(reactivex.of("Hello").pipe(ops.tee_to_display(screen, on_error="detach"))) == "Hello"


def blocked_pipe() -> tuple[int, io.TextIOWrapper]:
    """A pipe that is full, and blocks its writer as a paused terminal does."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 4096)
    os.set_blocking(writing, True)
    return reading, os.fdopen(writing, "w", encoding="utf-8")


def drain(reading: int) -> bytes:
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read()


async def test_a_terminal_that_blocks_pauses_its_own_stream_and_nothing_else() -> None:
    reading, screen = blocked_pipe()
    passed = 0

    async def endless(count: int = 2_000) -> AsyncIterator[str]:
        for _ in range(count):
            yield "x" * 1_000

    def count(_: str) -> None:
        nonlocal passed
        passed += 1

    ended = asyncio.Event()
    rxllm.from_async_iterable(endless).pipe(ops.tee_to_display(screen, buffer_size=16)).subscribe(
        count, on_completed=ended.set
    )
    # Another stream of the same loop runs to its end meanwhile.
    other = await rxllm.from_async_iterable(endless).pipe(rx_ops.count())
    assert other == 2_000
    assert passed <= 16
    assert not ended.is_set()

    seen = asyncio.create_task(asyncio.to_thread(drain, reading))
    await ended.wait()
    screen.close()

    assert (await seen).lstrip(b".") == b"x" * 2_000_000 + b"\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a display that never shows what it has time for."""
    monkeypatch.setattr(_console, "_PATIENCE_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_terminal_that_blocks_does_not_keep_the_program_from_ending() -> None:
    reading, screen = blocked_pipe()
    threads = set(threading.enumerate())

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x" * 1_000

    async def main() -> None:
        async for _ in rxllm.iterate(rxllm.from_async_iterable(endless).pipe(ops.tee_to_display(screen))):
            break

    asyncio.run(main())
    # Only now does somebody read what was written.
    drained = threading.Thread(target=drain, args=(reading,))
    drained.start()
    for thread in set(threading.enumerate()) - threads - {drained}:
        thread.join()
    screen.close()
    drained.join()


async def test_a_display_whose_stream_was_left_shows_what_came_until_then() -> None:
    screen = io.StringIO()
    before = asyncio.all_tasks()
    subscription = (
        reactivex.concat(reactivex.of("Hello"), reactivex.never()).pipe(ops.tee_to_display(screen)).subscribe()
    )

    (writer,) = asyncio.all_tasks() - before

    subscription.dispose()
    await asyncio.wait({writer})

    assert screen.getvalue() == "Hello\n"


@pytest.mark.usefixtures("impatient")
async def test_a_display_that_blocks_is_given_up_when_its_stream_was_left() -> None:
    reading, screen = blocked_pipe()
    threads = set(threading.enumerate())
    before = asyncio.all_tasks()
    subscription = (
        reactivex.concat(reactivex.of("Hello"), reactivex.never()).pipe(ops.tee_to_display(screen)).subscribe()
    )
    await asyncio.sleep(0)

    subscription.dispose()
    (writer,) = asyncio.all_tasks() - before
    writer.cancel()
    await asyncio.wait({writer})
    (display,) = set(threading.enumerate()) - threads
    seen = asyncio.create_task(asyncio.to_thread(drain, reading))
    await asyncio.to_thread(display.join)
    screen.close()

    assert (await seen).lstrip(b".") == b"Hello\n"


async def test_the_console_is_a_sink_like_others() -> None:
    screen = io.StringIO()

    await reactivex.of("a", "b").pipe(ops.tee_to(ConsoleSink(screen, end=".")))

    assert screen.getvalue() == "ab."
