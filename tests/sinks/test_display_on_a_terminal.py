"""``tee_to_display`` on a real terminal, as far as a pseudo terminal is one; and where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import struct
import sys
import termios
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, TextIO

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import flow, models
from rxllm import operators as ops
from rxllm.sinks import ConsoleSink, _style
from rxllm.sinks.screen import _owner, _pen
from rxllm.sinks.screen._screen import FRAME_SECONDS, Pace
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk
from rxllm.typing import Ending
from tests.sinks.terminal import Terminal

MARKDOWN = "Some **bold** text.\n\n- one\n- two"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "XTERM_VERSION", "STY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "linux")


class PseudoTerminal:
    """A terminal with a reader in a thread."""

    def __init__(self, columns: int, lines: int) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.file: TextIO = os.fdopen(slave, "w", encoding="utf-8")
        self._read: list[bytes] = []
        self._reader = threading.Thread(target=self._run)
        self._reader.start()
        self._size = columns, lines

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65_536):
                self._read.append(data)

    def close(self) -> str:
        """What was written until now."""
        if not self.file.closed:
            self.file.close()
            self._reader.join()
            os.close(self._master)
        return b"".join(self._read).decode()

    def rows(self) -> list[str]:
        terminal = Terminal(*self._size)
        terminal.write(self.close())
        return terminal.rows


@pytest.fixture
def tty() -> Iterator[PseudoTerminal]:
    terminal = PseudoTerminal(40, 12)
    yield terminal
    terminal.close()


def run(file: TextIO | None, *items: Any, **options: Any) -> None:
    rxllm.run(reactivex.of(*items).pipe(ops.tee_to_display(file, **options)))


def test_a_terminal_gets_markdown(tty: PseudoTerminal) -> None:
    run(tty.file, MARKDOWN)

    assert tty.rows()[:4] == ["Some bold text.", "", "• one", "• two"]
    assert "\x1b[1mbold\x1b[0m" in tty.close()


@pytest.mark.parametrize("style", ["auto", "plain", "rich"])
def test_a_program_without_a_console_shows_nothing(monkeypatch: pytest.MonkeyPatch, style: Any) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert rxllm.run(reactivex.of("a").pipe(ops.tee_to_display(style=style))) == "a"


class BareFile:
    """What has only what is needed."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


class OddFile(BareFile):
    def isatty(self) -> bool:
        raise OSError("nobody knows")


@pytest.mark.parametrize("style", ["auto", "plain", "rich"])
@pytest.mark.parametrize("kind", [BareFile, OddFile])
def test_a_file_that_does_not_say_whether_it_is_a_terminal_is_none(kind: type[BareFile], style: Any) -> None:
    file: Any = kind()
    run(file, "a\n\n", style=style)
    assert file.text.strip() == "a"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_is_to_have_plain_text(
    tty: PseudoTerminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    run(tty.file, MARKDOWN)

    assert tty.close() == f"{MARKDOWN}\n".replace("\n", "\r\n")


def test_an_empty_no_color_says_nothing(tty: PseudoTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    run(tty.file, MARKDOWN)

    assert tty.rows()[0] == "Some bold text."


@pytest.mark.parametrize("package", ["rich", "markdown_it"])
def test_without_the_extra(tty: PseudoTerminal, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    run(tty.file, MARKDOWN)

    assert tty.close() == f"{MARKDOWN}\n".replace("\n", "\r\n")
    with pytest.raises(ImportError, match=r"pip install 'rxllm\[rich\]'"):
        ops.tee_to_display(style="rich")


async def test_which_call_is_asked_about_is_drawn_before_the_sink_says_so() -> None:
    screen = io.StringIO()
    stream = await ConsoleSink(screen, style="rich").open()
    call = models.ToolCall(id="a", function=models.FunctionCall(name="get_weather"))
    await stream.write([models.TextDelta(round=1, text="I look.")])
    await stream.write([models.ToolCallEvent(round=1, call=call), models.ApprovalRequested(round=1, call=call)])
    drawn = screen.getvalue()
    await stream.close(rxllm.Ending("completed"))

    assert "may it run?" in drawn


def test_a_terminal_without_unicode_gets_plain_text(tty: PseudoTerminal) -> None:
    with os.fdopen(os.dup(tty.file.fileno()), "w", encoding="latin-1") as file:
        run(file, MARKDOWN)

    assert "**bold**" in tty.close()


def test_plain_style_on_a_terminal(tty: PseudoTerminal) -> None:
    run(tty.file, MARKDOWN, style="plain")

    assert "**bold**" in tty.close()


def test_what_is_piped_gets_plain_text_or_what_it_is_told_to() -> None:
    piped, told = io.StringIO(), io.StringIO()
    run(piped, MARKDOWN)
    run(told, MARKDOWN, style="rich")

    assert piped.getvalue() == f"{MARKDOWN}\n"
    assert told.getvalue().startswith("Some \x1b[1mbold\x1b[0m text.\n\n\x1b[36m• \x1b[0mone\n")


def test_files_that_do_not_tell_what_they_are() -> None:
    for file in (
        SimpleNamespace(write=print, flush=print),
        SimpleNamespace(isatty=lambda: True, encoding=None),
        SimpleNamespace(isatty=lambda: True, encoding="no such encoding"),
    ):
        assert _style.drawing_for("auto", file) == "plain"  # type: ignore[arg-type]


def test_an_unknown_style() -> None:
    with pytest.raises(ValueError, match="style must be 'auto', 'plain' or 'rich', not 'nice'"):
        ConsoleSink(style="nice")  # type: ignore[arg-type]


def test_a_terminal_of_windows_that_obeys_nothing(tty: PseudoTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console.detect_legacy_windows", lambda: True)
    run(tty.file, MARKDOWN)

    assert "**bold**" in tty.close()


async def test_the_figures_stand_below(tty: PseudoTerminal) -> None:
    answer = [*script.words("Hello there"), script.finish(), script.usage(3, 1234), script.done()]
    async with ScriptedServer(answer) as server, rxllm.LLMClient(base_url=server.base_url) as client:
        await client.chat_stream(rxllm.ChatRequest(model="m", messages=[rxllm.Message.user("Hi")])).pipe(
            ops.tee_to_display(tty.file)
        )

    figures = " ".join(tty.rows()[2:])

    assert figures.startswith("first token 0.")
    assert "1,234 tokens" in figures


async def test_the_first_token_counts_from_when_the_stream_began() -> None:
    screen = io.StringIO()
    pen = _pen.Pen(screen, lambda: rxllm.Timing(first_text=5.0, elapsed=60.5))
    await pen.write(["Hello"])
    await pen.close(Ending("completed"))

    assert "first token 1 min " in screen.getvalue()


async def test_two_streams_at_once_have_one_thread(tty: PseudoTerminal) -> None:
    first: reactivex.Subject[str] = reactivex.Subject()
    second: reactivex.Subject[str] = reactivex.Subject()
    done = asyncio.Event(), asyncio.Event()
    for subject, event in zip((first, second), done, strict=True):
        subject.pipe(ops.tee_to_display(tty.file)).subscribe(on_completed=event.set)
    first.on_next("The first ")
    second.on_next("The second.")
    second.on_completed()
    await done[1].wait()
    threads = [thread for thread in threading.enumerate() if thread.name == "rxllm-display"]
    first.on_next("one.")
    first.on_completed()
    await done[0].wait()
    for thread in threads:
        await asyncio.to_thread(thread.join)

    assert len(threads) == 1
    rows = tty.rows()
    assert rows.index("│ The second.") < rows.index("The first one.")


async def test_a_broken_pipe_fails_the_stream_at_once() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w", encoding="utf-8")

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "x\n\ny\n\n"
            await asyncio.sleep(0)

    with pytest.raises(BrokenPipeError):
        await rxllm.from_async_iterable(endless).pipe(ops.tee_to_display(file, style="rich"))
    with contextlib.suppress(BrokenPipeError):
        file.close()


def test_a_broken_pipe_can_be_detached() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w", encoding="utf-8")
    run(file, "one\n\n", "two", style="rich", on_error="detach")
    with contextlib.suppress(BrokenPipeError):
        file.close()


def blocked_pipe() -> tuple[int, TextIO]:
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

    async def endless(count: int = 20_000) -> AsyncIterator[str]:
        for _ in range(count):
            yield "x\n\n"

    def count(_: str) -> None:
        nonlocal passed
        passed += 1

    ended = asyncio.Event()
    rxllm.from_async_iterable(endless).pipe(ops.tee_to_display(screen, style="rich", buffer_size=16)).subscribe(
        count, on_completed=ended.set
    )
    assert await rxllm.from_async_iterable(endless).pipe(rx_ops.count()) == 20_000
    assert passed < 20_000
    assert not ended.is_set()

    seen = asyncio.create_task(asyncio.to_thread(drain, reading))
    await ended.wait()
    screen.close()

    assert (await seen).count(b"x\n") == 20_000


async def test_a_display_that_blocks_is_given_up_when_its_stream_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pen, "_PATIENCE_SECONDS", 0.01)
    reading, screen = blocked_pipe()
    before = asyncio.all_tasks()
    subscription = (
        reactivex.concat(reactivex.of("Hello\n\n", "you\n\n"), reactivex.never())
        .pipe(ops.tee_to_display(screen, style="rich"))
        .subscribe()
    )
    await asyncio.sleep(0)
    (writer,) = asyncio.all_tasks() - before
    subscription.dispose()
    await asyncio.wait({writer})
    (display,) = [thread for thread in threading.enumerate() if thread.name == "rxllm-display"]
    seen = asyncio.create_task(asyncio.to_thread(drain, reading))
    await asyncio.to_thread(display.join)
    screen.close()

    assert (await seen).lstrip(b".") == "Hello\n\nyou\n\n\x1b[33m■ stopped\x1b[0m\n".encode()


async def test_what_goes_wrong_in_drawing_fails_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise StopIteration("no")

    monkeypatch.setattr("rxllm.sinks.screen._owner.Screen.draw", fail)
    with pytest.raises(RuntimeError, match="the display failed: StopIteration"):
        await reactivex.of("Hello").pipe(ops.tee_to_display(io.StringIO(), style="rich"))


async def test_very_many_items_are_looked_at_before_it_is_time_to_draw() -> None:
    async def many() -> AsyncIterator[str]:
        for _ in range(20_000):
            yield "x "

    screen = io.StringIO()
    await rxllm.from_async_iterable(many).pipe(ops.tee_to_display(screen, style="rich"))

    assert screen.getvalue().count("x") == 20_000


def test_an_item_that_has_nothing_to_show() -> None:
    with pytest.raises(TypeError, match=r"a display shows .* and got int"):
        run(io.StringIO(), 1, style="rich")


def test_the_pace_of_drawing() -> None:
    pace, draws, now = Pace(), 0, 0.0
    assert pace.patience(now) is None
    assert not pace.is_due(now)
    for _ in range(1_000):  # two seconds, a token each two milliseconds
        pace.changed(now)
        if pace.is_due(now):
            draws += 1
            pace.drawn(now, 0.0001, moves=False)
        now += 0.002
    assert draws <= 31
    assert pace.is_late
    assert pace.patience(now) is not None


def test_drawing_that_takes_long_happens_seldom_and_still_twice_a_second() -> None:
    pace = Pace()
    pace.drawn(0.0, 10.0, moves=False)
    pace.changed(0.1)
    pace.changed(0.2)

    assert pace.patience(0.1) == pytest.approx(0.4)
    assert pace.is_due(0.5)


def test_what_moves_is_drawn_again() -> None:
    pace = Pace()
    pace.drawn(0.0, 0.0, moves=True)

    assert not pace.is_late
    assert pace.patience(0.0) == pytest.approx(0.1)
    pace.changed(FRAME_SECONDS / 2)
    assert pace.patience(0.0) == pytest.approx(FRAME_SECONDS)


def test_terminals_that_do_not_break_their_rows_anew() -> None:
    assert [
        _owner.reflows(environment)
        for environment in ({}, {"TERM": "xterm-256color"}, {"TERM": "linux"}, {"XTERM_VERSION": "1"}, {"STY": "1"})
    ] == [True, True, False, False, False]


def test_a_conversation_in_plain_style() -> None:
    call = rxllm.ToolCall.model_validate({"id": "1", "function": {"name": "f\x1b", "arguments": "{}\x07"}})
    result = {"call": call, "content": "21\n°C"}
    screen = io.StringIO()
    run(
        screen,
        *(models.ReasoningDelta(round=1, text=text) for text in ("I ", "think.")),
        *(models.TextDelta(round=1, text=text) for text in ("I ", "look\x1b[2J.")),
        models.ToolInputDelta(round=1, index=0, text="{"),
        models.ToolCallEvent(round=1, call=call),
        models.ApprovalRequested(round=1, call=call),
        models.ApprovalGiven(round=1, call=call, decision=rxllm.Approved()),
        models.ApprovalGiven(round=1, call=call, decision=rxllm.Refused(reason="no\x1b")),
        models.ToolResultEvent(round=1, result=rxllm.ToolResult.model_validate(result)),
        models.ToolResultEvent(round=1, result=rxllm.ToolResult.model_validate({**result, "error": "failed"})),
        models.RoundCompleted(round=1, completion=rxllm.ChatCompletion(), messages=()),
        models.TextDelta(round=2, text="Half"),
        models.Restarted(round=2),
        models.TextDelta(round=2, text="Warm."),
        models.RoundCompleted(round=2, completion=rxllm.ChatCompletion(), messages=()),
        models.ChatCompleted(round=2, completion=rxllm.ChatCompletion(), messages=()),
        models.Stopped(round=3),
        end="",
    )

    assert screen.getvalue() == (
        "[reasoning] I think.\n\nI look␛[2J.\n"
        "[calls f␛ {}␇]\n[may it run? f␛ {}␇]\n[f␛ is approved]\n[f␛ is refused: no␛]\n"
        "[f␛ gave: 21␊°C]\n[f␛ failed: 21␊°C]\nHalf\n[the answer begins anew]\nWarm.\n[stopped]\n"
    )


def test_a_refusal_is_told_once_in_plain_style() -> None:
    call = rxllm.ToolCall.model_validate({"id": "1", "function": {"name": "f", "arguments": "{}"}})
    result = rxllm.ToolResult(call=call, content="no", error="refused")
    screen = io.StringIO()
    run(
        screen,
        models.ApprovalGiven(round=1, call=call, decision=rxllm.Refused(reason="no")),
        models.ToolResultEvent(round=1, result=result),
        # Of this one nobody has told the refusal.
        models.ToolResultEvent(round=2, result=result),
        end="",
    )

    assert screen.getvalue() == "[f is refused: no]\n[f failed: no]\n"


class Output:
    def __init__(self) -> None:
        self.bundles: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Output:
        assert raw
        assert display_id
        self.update(bundle, raw=raw)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.bundles.append(bundle)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Output:
    output = Output()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=output.display))
    return output


async def test_a_notebook_draws_in_its_cell(notebook: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.sinks._notebook._FRAME_SECONDS", 0.0)
    texts: reactivex.Subject[str] = reactivex.Subject()
    ended = asyncio.Event()
    texts.pipe(ops.tee_to_display()).subscribe(on_completed=ended.set)
    texts.on_next("Hel")
    texts.on_next("\x1blo <b>")
    async with asyncio.timeout(60):
        while len(notebook.bundles) < 2:
            await asyncio.sleep(0)
    texts.on_next("!")
    texts.on_completed()
    await ended.wait()

    assert [bundle["text/markdown"] for bundle in notebook.bundles] == ["", "Hel␛lo &lt;b>", "Hel␛lo &lt;b>!"]
    assert notebook.bundles[-1]["text/plain"] == "Hel␛lo <b>!"


def test_a_notebook_says_what_went_wrong(notebook: Output) -> None:
    failing = reactivex.concat(reactivex.of("Half"), reactivex.throw(ValueError("no <b>\x1b")))
    with pytest.raises(ValueError, match="no"):
        rxllm.run(failing.pipe(ops.tee_to_display()))

    assert notebook.bundles[-1]["text/markdown"] == "Half\n\n✗ ValueError: no &lt;b>␛"


def test_a_notebook_says_what_was_stopped(notebook: Output) -> None:
    rxllm.run(reactivex.of("a", "b").pipe(ops.tee_to_display(), rx_ops.take(1)))

    assert notebook.bundles[-1]["text/markdown"].endswith("■ stopped")


def test_a_notebook_has_terminals_too(notebook: Output) -> None:
    screen = io.StringIO()
    run(screen, "Hello")
    run(None, finish_chunk("stop"), text_chunk("x"), style="plain")

    assert screen.getvalue() == "Hello\n"
    assert notebook.bundles == []


class Gate(io.StringIO):
    """A file that blocks when it is to write a question."""

    def __init__(self, write_anyway: threading.Event) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self.opened = write_anyway

    def write(self, text: str) -> int:
        if "may it run?" in text:
            self.loop.call_soon_threadsafe(self.reached.set)
            self.opened.wait(60)
        return super().write(text)


@pytest.mark.parametrize("style", ["plain", "rich"])
async def test_nobody_is_asked_before_the_question_can_be_read(style: Any) -> None:
    opened = threading.Event()
    screen = Gate(opened)
    seen: list[str] = []

    async def approve(_: rxllm.ToolCall) -> bool:
        seen.append(screen.getvalue())
        return True

    call = script.answer("I look.", script.tool_call("look", {"where": "here"}))
    registry = rxllm.ToolRegistry([look])
    async with ScriptedServer(call, "Done.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        chat = client.chat_with_tools(REQUEST, registry, approve=approve)
        end = asyncio.ensure_future(collected(chat.pipe(ops.tee_to_display(screen, style=style))))
        await asyncio.wait({end, asyncio.ensure_future(screen.reached.wait())}, return_when="FIRST_COMPLETED")
        for _ in range(100):
            await asyncio.sleep(0)
        before = [*seen]
        opened.set()
        events = await end

    assert before == []
    (shown,) = seen
    assert "may it run?" in shown
    assert isinstance(events[-1], models.ChatCompleted)


@pytest.mark.parametrize("style", ["plain", "rich"])
async def test_behind_a_question_everything_waits_until_it_can_be_read(style: Any) -> None:
    screen = Gate(threading.Event())
    call = rxllm.ToolCall.model_validate({"id": "1", "function": {"name": "f", "arguments": "{}"}})
    events = models.ToolCallEvent(round=1, call=call), models.ApprovalRequested(round=1, call=call)
    passed: list[models.ChatEvent] = []

    async def batches() -> AsyncIterator[Sequence[models.ChatEvent]]:
        yield events
        yield (models.Stopped(round=1),)

    told = rxllm.from_async_iterable(batches).pipe(
        flow.operate(Together), ops.tee_to_display(screen, style=style), rx_ops.do_action(passed.append)
    )
    end = asyncio.ensure_future(collected(told))
    await screen.reached.wait()
    for _ in range(100):
        await asyncio.sleep(0)
    before = [*passed]
    screen.opened.set()
    await end

    assert before == [*events]
    assert len(passed) == 3


class Together(flow.Operation[Sequence[models.ChatEvent], models.ChatEvent]):
    """Emits several in one call."""

    def on_item(self, item: Sequence[models.ChatEvent], /) -> Sequence[models.ChatEvent]:
        return item


async def collected(events: reactivex.Observable[models.ChatEvent]) -> list[models.ChatEvent]:
    return [event async for event in rxllm.iterate(events)]


REQUEST = rxllm.ChatRequest(model="m", messages=[rxllm.Message.user("Look.")])


async def look(where: str) -> str:
    return f"nothing {where}"


async def test_a_display_that_broke_asks_nobody_to_wait() -> None:
    async def approve(_: rxllm.ToolCall) -> bool:
        return True

    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w", encoding="utf-8")
    calls = [
        script.answer("I look.", script.tool_call("look", {"where": "here"}, id=f"call_{number}"))
        for number in range(2)
    ]
    registry = rxllm.ToolRegistry([look])
    async with ScriptedServer(*calls, "Done.") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        chat = client.chat_with_tools(REQUEST, registry, approve=approve)
        last = await chat.pipe(ops.tee_to_display(file, on_error="detach"))

    assert isinstance(last, models.ChatCompleted)
    with contextlib.suppress(BrokenPipeError):
        file.close()


def test_the_size_of_a_file() -> None:
    assert _owner.size_of(io.StringIO()) == tuple(os.terminal_size((80, 24)))


def test_a_notebook_shows_a_question_at_once(notebook: Output) -> None:
    call = rxllm.ToolCall.model_validate({"id": "1", "function": {"name": "f", "arguments": "{}"}})
    asked: list[str] = []

    async def ask() -> AsyncIterator[models.ChatEvent]:
        yield models.ApprovalRequested(round=1, call=call)
        asked.append(notebook.bundles[-1]["text/plain"])

    rxllm.run(rxllm.from_async_iterable(ask).pipe(ops.tee_to_display()))

    assert asked == ["[may it run? f {}]\n\n"]


def test_what_is_no_text_is_a_paragraph_of_its_own_in_a_notebook(notebook: Output) -> None:
    call = rxllm.ToolCall.model_validate({"id": "1", "function": {"name": "f", "arguments": "{}"}})
    run(
        None,
        models.TextDelta(round=1, text="I look."),
        models.ToolCallEvent(round=1, call=call),
        models.ToolResultEvent(round=1, result=rxllm.ToolResult.model_validate({"call": call, "content": "21"})),
        models.TextDelta(round=2, text="Half"),
        models.Restarted(round=2),
        models.TextDelta(round=2, text="It is warm."),
    )

    assert notebook.bundles[-1]["text/markdown"].split("\n\n") == [
        *("I look.", "[calls f {}]", "[f gave: 21]", "Half", "[the answer begins anew]", "It is warm."),
    ]


async def test_a_notebook_is_not_drawn_more_often_than_can_be_seen(notebook: Output) -> None:
    async def slow() -> AsyncIterator[str]:
        for _ in range(9):
            yield "x"
            await asyncio.sleep(0)

    await rxllm.from_async_iterable(slow).pipe(ops.tee_to_display())
    await reactivex.empty().pipe(ops.tee_to_display(), rx_ops.to_list())

    assert [bundle["text/plain"] for bundle in notebook.bundles] == ["", "x" * 9, "", ""]
