"""``rxllm top``, which looks at the process that it runs in: what is hard to bring about between two processes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from reactivex.subject import Subject
from rich.console import Console

import rxllm
from rxllm import operators as ops
from rxllm.cli import main
from rxllm.cli._top_processes import Processes
from rxllm.cli._top_table import NOBODY, Screen, shown
from rxllm.telemetry import FORMAT, inspect
from rxllm.testing import ScriptedServer

CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(autouse=True)
def directory(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes of this test meet."""
    found = short_path / "meet"
    monkeypatch.setenv("RXLLM_INSPECT_DIRECTORY", str(found))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def stream() -> Iterator[Subject[str]]:
    """A stream that needs no loop."""
    items: Subject[str] = Subject()
    with inspect(text=True):
        subscription = items.pipe(ops.buffer_with_backpressure(2)).subscribe()
        items.on_next("said")
        yield items
        subscription.dispose()


def top(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit status and what is printed; nothing is said on stderr."""
    status = main(["top", "--interval", "0.1", *arguments])
    said = capsys.readouterr()
    assert said.err == ""
    return status, said.out


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(top(capsys, "--json")[1])


def test_it_prints_a_table(stream: Subject[str], capsys: pytest.CaptureFixture[str]) -> None:
    del stream
    status, said = top(capsys, "--once")
    lines = said.splitlines()

    assert status == 0
    assert lines[0].startswith(f"{os.getpid()} ")
    assert lines[0].endswith("  1 stream")
    assert re.fullmatch(r"1 no source of rxllm  [\d.]+ s old", lines[2])
    assert lines[3].split() == ["buffer_with_backpressure(2)", "0/2"]
    assert lines[4] == " “said”"


def test_it_prints_a_document(stream: Subject[str], capsys: pytest.CaptureFixture[str]) -> None:
    del stream
    (found,) = document(capsys)["processes"]

    assert (found["pid"], found["state"], found["remark"]) == (os.getpid(), "alive", None)
    assert found["rates"] == {"1": {"items_per_second": None, "bytes_per_second": None}}
    assert [each["name"] for each in found["report"]["streams"][0]["stages"]] == ["buffer_with_backpressure(2)"]


def test_without_a_process_it_says_so_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.partition(".")[0]) == ("", "No process to look at")


def test_what_fits_on_a_screen_is_not_cut() -> None:
    console = Console(width=80, height=2, file=io.StringIO())
    with console.capture() as captured:
        console.print(Screen(shown([])))
    assert captured.get().split() == NOBODY.split()


def test_where_the_output_is_no_file_it_is_printed_too(stream: Subject[str]) -> None:
    del stream
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert main(["top", "--interval", "0.1"]) == 0
    assert "buffer_with_backpressure(2)" in output.getvalue()


async def test_the_rates_are_those_between_two_looks(capsys: pytest.CaptureFixture[str]) -> None:
    async with ScriptedServer("Hello, world") as server, rxllm.LLMClient(base_url=server.base_url) as client:
        request = rxllm.ChatRequest(model="any", messages=[rxllm.Message.user("Hello.")])
        with inspect():
            processes = Processes()
            await asyncio.to_thread(processes.look)
            async with rxllm.iterate(client.chat_stream(request), buffer_size=1) as iteration:
                await anext(iteration)
                await asyncio.to_thread(processes.look)
                (process,) = processes.all
                items, size = process.rates[1]
                _, said = await asyncio.to_thread(top, capsys)

    assert items
    assert size
    assert size > items > 0
    assert re.search(r"1 scripted @ 127.0.0.1:\d+  [\d.]+ s old, 0 items/s, 0 B/s", said)
    assert re.search(r" from_http +async for +[\d.]+ s", said)


def test_several_processes_each_in_its_state(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with impostor(directory, None), inspect():
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(directory / "2-left.sock"))
        status, said = top(capsys)

    assert status == 0
    assert said.startswith("1  does not answer for ")
    assert said.splitlines()[-1].startswith("2  is gone, noticed ")
    assert f"\n\n{os.getpid()} " in said


class Terminal:
    """One that is read by a thread, which sends a signal, as Ctrl-C does, when it has seen enough."""

    def __init__(self, enough: str, number: signal.Signals) -> None:
        self._enough = enough
        self._number = number
        self._main = threading.get_ident()
        self._master, slave = os.openpty()
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.read = ""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        pressed = False
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65_536):
                self.read += data.decode()
                # Drawn twice: it has slept in between.
                if not pressed and self.read.count(self._enough) > 1:
                    pressed = True
                    signal.pthread_kill(self._main, self._number)

    def close(self) -> None:
        self.file.close()
        self._thread.join()
        os.close(self._master)


@pytest.mark.parametrize(
    ("name", "status", "in_background"),
    [
        ("SIGINT", 130, False),
        ("SIGTERM", 143, False),
        ("SIGHUP", 129, False),
        ("SIGTERM", 143, True),  # which ignores SIGINT
    ],
)
def test_on_a_terminal_it_draws_until_a_signal_comes(
    name: str, status: int, in_background: bool, stream: Subject[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del stream
    number = signal.Signals[name]
    # As shells start a program, and as they start one with "&".
    usual = {number: signal.SIG_DFL, signal.SIGINT: signal.SIG_IGN if in_background else signal.default_int_handler}
    before = {each: signal.signal(each, handler) for each, handler in usual.items()}
    monkeypatch.setenv("LINES", "4")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal("2 more lines", number)
    monkeypatch.setattr(sys, "stdout", terminal.file)
    try:
        assert main(["top", "--interval", "0.1"]) == status
        assert name == "SIGINT" or signal.getsignal(number) is signal.SIG_DFL
        # Somebody is impatient, and presses Ctrl-C again.
        exits: list[int] = []
        monkeypatch.setattr(os, "_exit", exits.append)
        signal.raise_signal(signal.SIGINT)
        assert exits == [status]
    finally:
        monkeypatch.undo()
        terminal.close()
        for each, handler in before.items():
            signal.signal(each, handler)

    # The other screen, and back.
    assert terminal.read.startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in terminal.read


def test_those_that_have_closed_are_told_and_forgotten_when_there_are_many(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes()
    with inspect():
        processes.look()
        processes.look()
        (alive,) = processes.all
        assert alive.state == "alive"
    processes.look()
    (closed,) = processes.all
    assert (closed.state, closed.is_over) == ("closed", True)
    for number in range(1, 12):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(directory / f"{number}-left.sock"))
    processes.look()
    assert len(processes.all) == 10
    assert {each.state for each in processes.all} == {"gone"}

    # The process itself is gone, too, and has cleaned up.
    directory.joinpath("99999999-gone.sock").symlink_to(directory / "nowhere")
    directory.joinpath(f"{10**18}-none.sock").symlink_to(directory / "nowhere")
    processes = Processes()
    processes.look()
    assert [each.state for each in processes.all] == ["gone", "closed"]

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    processes = Processes(99999999)
    processes.look()
    assert [each.state for each in processes.all] == ["closed"]


# Processes that say what they should not.


def report(**changes: Any) -> dict[str, Any]:
    return {"format": FORMAT, "pid": 1, "program": "app", "version": "1", "seconds": 1.0, **changes}


ESCAPE = "\x1b[2J\x9b[bold]x[/bold]\u202e"
HOSTILE = report(
    program=ESCAPE,
    more=5,
    loops=[
        {"thread": ESCAPE, "running": True, "silent": 9e99, "at": [ESCAPE]},
        {"thread": "t", "running": False, "silent": 3.0},
        {"thread": "a loop", "running": True, "silent": 3.0},
    ],
    streams=[
        {
            "number": -1,
            "seconds": 1e308,
            "sources": [
                {
                    "number": 1,
                    "name": ESCAPE,
                    "seconds": -5.0,
                    "items": -(10**9),
                    "bytes": 10**15,
                    "silent": 1e9,
                    "model": ESCAPE,
                    "host": ESCAPE,
                    "request_id": ESCAPE,
                    "attempt": 3,
                },
                {
                    "number": 2,
                    "name": "b",
                    "seconds": 0.0,
                    "items": 10**12,
                    "holds": [{"by": ESCAPE, "seconds": 1e300}],
                },
            ],
            "stages": [
                {"name": ESCAPE, "waiting": 10**18, "size": -1, "unit": "bytes"},
                {"name": "c", "waiting": 7, "size": 9, "dropped": 3},
                {"name": "d", "waiting": 70_000, "unit": "bytes"},
                {"name": "e", "waiting": 5},
                {"name": "f" * 5000, "waiting": 0},
            ],
            "text": ESCAPE * 100,
        },
        {"number": 2, "seconds": 200_000.0, "loop": 77},
        {"number": 3, "seconds": 7300.0},
        {"number": 4, "seconds": 130.0},
    ],
)

NONSENSE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it has closed the connection without an answer"),
    "no JSON": (b"\x1b[2J\n", "its answer is not a report: "),
    "a list": (b"[]\n", "its answer is not a report: "),
    "half of one": (b'{"format": 1, "pid', "its answer is not a report: "),
    "another kind": (msgspec.json.encode(report(pid=[])) + b"\n", "its answer is not a report: "),
    "a later version": (b'{"format": 99}\n', "it runs a newer rxllm: update this one"),
    "too much": (b"x" * 9_000_000, "the answer is too long"),
}


@contextmanager
def impostor(directory: Path, answer: bytes | None) -> Generator[None]:
    """Somebody who listens where a process would, and says this to whoever asks, or accepts nobody."""
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "1-impostor.sock"))
        listener.listen()

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with connection, contextlib.suppress(OSError):
                        connection.recv(4096)
                        connection.sendall(answer or b"")

        thread = threading.Thread(target=run)
        if answer is not None:
            thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            if answer is not None:
                thread.join()


@pytest.mark.parametrize("case", NONSENSE)
def test_a_process_that_answers_nonsense_is_told(
    directory: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer, told = NONSENSE[case]
    with impostor(directory, answer):
        status, said = top(capsys)
        (found,) = document(capsys)["processes"]

    assert status == 0
    assert " ".join(said.split()).startswith(f"1 {told}")
    assert not CONTROLS.search(said)
    assert (found["state"], found["report"]) == ("odd", None)
    assert found["remark"].startswith(told)


def test_what_a_process_says_does_not_reach_the_terminal_as_it_is(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with impostor(directory, msgspec.json.encode(HOSTILE) + b"\n"):
        status, said = top(capsys)
        document(capsys)

    assert status == 0
    assert not CONTROLS.search(said)
    # It is no markup either.
    assert "[bold]x[/bold]" in said
    assert max(map(len, said.splitlines())) <= 80
    words = " ".join(said.split())
    for told in (
        "9 streams, 1 held; 5 not shown",
        "a loop stands still for 3.0 s",
        *("(try 3)", "nothing came for 11574 d", "7/9 -3", "70k B", " 2 d old", " 2 h old", " 2 min old"),
        "stands still for 3.0 s: it does not run",
    ):
        assert told in words
