"""``rxllm top``: programs in processes of their own, and what another process shows of them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
import pytest

PATIENCE = 20.0
TOP = (sys.executable, "-m", "rxllm", "top")


@pytest.fixture(autouse=True)
def directory(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes of this test meet."""
    found = short_path / "meet"
    monkeypatch.setenv("RXLLM_INSPECT_DIRECTORY", str(found))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS"):
        monkeypatch.delenv(name, raising=False)
    return found


BEGIN = """
import asyncio, sys, time
import rxllm, rxllm.telemetry
from rxllm import operators as ops

async def numbers():
    for number in range(1_000_000):
        yield f"secret {number}"

def say(what):
    print(what, flush=True)
"""

# What each program does: it says a word when it stands still.
HELD = """
async def main():
    pauses = rxllm.Pauses("the lamp")
    def take(item):
        pauses.hold()
        say("held")
    rxllm.from_async_iterable(numbers).pipe(ops.buffer_with_backpressure(100)).subscribe(take)
    await asyncio.Event().wait()
"""
BLOCKED = """
async def main():
    def take(item):
        say("blocked")
        time.sleep(600)
    rxllm.from_async_iterable(numbers).subscribe(take)
    await asyncio.Event().wait()
"""
ENDING = """
async def main():
    say("begun")
    await asyncio.to_thread(sys.stdin.read)
    inspection.close()
    say("closed")
    await asyncio.Event().wait()
"""
MANY = """
async def main():
    for number in range(1000):
        rxllm.from_async_iterable(numbers).subscribe()
    say("begun")
    await asyncio.Event().wait()
"""


@contextmanager
def program(code: str, *, options: str = "") -> Generator[subprocess.Popen[str]]:
    """A program that is inspected, once it has said its first word."""
    whole = f"{BEGIN}{code}\ninspection = rxllm.telemetry.inspect({options})\nasyncio.run(main())"
    with subprocess.Popen(
        [sys.executable, "-c", whole], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def top(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOP, "--interval", "0.1", *arguments],
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


def documents(*arguments: str) -> list[dict[str, Any]]:
    said = top("--json", *arguments)
    assert said.stdout.isascii()
    found: list[dict[str, Any]] = json.loads(said.stdout)["processes"]
    return found


# What is shown of a program.


def test_the_holder_of_a_pause_is_shown_with_the_time_and_no_text() -> None:
    with program(HELD) as process:
        said = top("--once")

    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert lines[0].rstrip() == f"{process.pid} -c  1 stream, 1 held"
    assert lines[1].split() == ["where", "waiting", "held", "by", "for"]
    assert re.fullmatch(r"1 from_async_iterable  [\d.]+ s old, 0 items/s *", lines[2])
    assert re.fullmatch(r" from_async_iterable +buffer_with_backpressure\(100\) +[\d.]+ s", lines[3])
    assert re.fullmatch(r" buffer_with_backpressure\(100\) +100/100 the lamp +[\d.]+ s", lines[4])
    assert len(lines) == 5
    assert max(map(len, lines)) <= 80
    assert "secret" not in said.stdout


def test_text_is_shown_if_the_application_asks_for_it() -> None:
    with program(HELD, options="text=True"):
        assert " “secret 0”" in top("--once").stdout


def test_a_loop_that_stands_still_is_shown_with_the_place_in_the_code() -> None:
    with program(BLOCKED):
        (found,) = documents("--interval", "0.6")
        said = top("--interval", "0.6")

    assert found["state"] == "alive"
    (loop,) = found["report"]["loops"]
    assert loop["at"] == ["<string>:16 in main.<locals>.take"]
    assert re.search(
        r"  the event loop of MainThread stands still for [\d.]+ s: <string>:16 in\s+main.<locals>.take", said.stdout
    )


def test_a_process_that_is_stopped_does_not_answer_and_its_last_report_stays() -> None:
    with program(HELD) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        said = top("--once")
        (found,) = documents("--pid", str(process.pid))
        process.send_signal(signal.SIGCONT)
        assert documents()[0]["state"] == "alive"

    assert said.returncode == 0
    assert f"{process.pid}  does not answer for " in said.stdout
    assert found["state"] == "silent"
    assert found["report"] is None


def test_a_process_that_was_killed_is_shown_as_gone_and_then_forgotten(directory: Path) -> None:
    with program(HELD) as process:
        process.kill()
        process.wait()
        assert len([*directory.iterdir()]) == 1
        said = top("--once")
        again = top("--once")

    assert (said.returncode, said.stdout, said.stderr) == (1, f"{process.pid}  is gone\n", "")
    assert [*directory.iterdir()] == []
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith("No process to look at. Call rxllm.telemetry.inspect() when your program begins")


def test_of_several_processes_one_can_be_chosen() -> None:
    with program(HELD) as first, program(HELD) as second:
        assert sorted(found["pid"] for found in documents()) == sorted([first.pid, second.pid])
        assert [found["pid"] for found in documents("--pid", str(second.pid))] == [second.pid]
        said = top("--once")
        assert str(first.pid) in said.stdout
        assert str(second.pid) in said.stdout
        assert "\n\n" in said.stdout.replace(" ", "")


def test_without_a_process_it_says_what_to_call() -> None:
    said = top("--once")
    document = top("--json", "--pid", "1")
    assert (said.returncode, said.stdout) == (1, "")
    assert "rxllm.telemetry.inspect()" in said.stderr
    assert (document.returncode, document.stdout) == (1, '{"processes": []}\n')
    assert document.stderr == said.stderr


def test_a_pipe_that_nobody_reads_is_no_reason_to_speak() -> None:
    with program(HELD):
        reading, writing = os.pipe()
        os.close(reading)
        with subprocess.Popen([*TOP, "--once"], stdout=writing, stderr=subprocess.PIPE) as process:
            os.close(writing)
            assert process.communicate()[1] == b""
    assert process.returncode == 141


def test_where_not_all_characters_can_be_written_others_stand_for_them() -> None:
    with program(HELD, options="text=True"):
        said = top("--once", encoding="ascii")
    assert (said.returncode, said.stderr) == (0, "")
    assert " ?secret 0?" in said.stdout


def test_many_streams_are_bounded_and_counted() -> None:
    with program(MANY):
        said = top("--once")

    assert " -c  1000 streams; 500 not shown" in said.stdout.splitlines()[0]


# On a terminal.


class PseudoTerminal:
    """A terminal in which ``rxllm top`` runs, drawn by pyte."""

    def __init__(self, columns: int, lines: int, kind: str) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen: Any = pyte.Screen(columns, lines)
        self._stream: Any = pyte.ByteStream(self._screen)
        environment = {**os.environ, "TERM": kind, "PYTHONIOENCODING": "utf-8", "PYTHONFAULTHANDLER": "1"}
        # Readline puts both into the environment of whoever imports it.
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [*TOP, "--interval", "0.1"],
            stdin=slave,
            stdout=slave,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def until(self, pattern: str) -> str:
        """What is shown as soon as it matches."""
        while not re.search(pattern, shown := self.shown):
            try:
                self._stream.feed(os.read(self._master, 65_536))
            except OSError:  # it has ended
                assert self.process.stderr is not None
                raise AssertionError(f"{shown}\n{self.process.stderr.read()!r}") from None
        return shown

    @property
    def shown(self) -> str:
        return "\n".join(row.rstrip() for row in self._screen.display).rstrip()

    @property
    def has_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    def end(self, number: int) -> tuple[int, bytes]:
        self.process.send_signal(number)
        with contextlib.suppress(OSError):  # whoever wrote has closed it
            while data := os.read(self._master, 65_536):
                self._stream.feed(data)
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return self.process.wait(), said

    def close(self) -> None:
        with self.process:
            self.process.kill()
        os.close(self._master)


@contextmanager
def terminal(columns: int, lines: int = 24, kind: str = "xterm-256color") -> Generator[PseudoTerminal]:
    found = PseudoTerminal(columns, lines, kind)
    # It says then where it stood still.
    watchdog = threading.Timer(PATIENCE, found.process.send_signal, [signal.SIGABRT])
    watchdog.start()
    try:
        yield found
    finally:
        watchdog.cancel()
        watchdog.join()
        found.close()


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_it_goes_on_until_ctrl_c(columns: int) -> None:
    with program(HELD) as process, terminal(columns) as screen:
        lines = screen.until(r"the lamp +\d+\.\d s").splitlines()
        assert lines[0] == f"{process.pid} -c  1 stream, 1 held"
        assert lines[4].startswith(" buffer_with_backpressure(100)")
        assert "100/100 the lamp" in lines[4]
        assert columns - 10 < len(lines[4]) <= columns
        screen.until("0 items/s")
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        stopped = screen.until("does not answer for")
        assert "100/100 the lamp" in stopped
        process.send_signal(signal.SIGCONT)
        screen.until(r"\d -c  1 stream, 1 held")
        process.kill()
        process.wait()
        # All that was below is wiped out, too.
        assert screen.until(r"is gone\Z") == f"{process.pid} -c  is gone"
        assert screen.end(signal.SIGINT) == (130, b"")
        # The alternate screen is left, and nothing stays.
        assert "\x1b" not in screen.shown


def test_on_a_terminal_that_it_leaves_as_it_was_whatever_ends_it() -> None:
    with terminal(80) as screen:
        screen.until("No process")
        assert not screen.has_cursor
        assert screen.end(signal.SIGTERM) == (143, b"")
        assert screen.has_cursor


def test_on_a_terminal_that_cannot_be_drawn_on_it_prints_once() -> None:
    with program(HELD) as process, terminal(80, kind="dumb") as screen:
        shown = screen.until(r"the lamp +\d+\.\d s")
        assert screen.process.wait() == 0

    assert shown.startswith(f"{process.pid} -c  1 stream, 1 held")


def test_on_a_terminal_it_waits_for_processes_and_tells_those_that_close() -> None:
    with terminal(80) as screen:
        screen.until("No process to look at")
        with program(ENDING) as process:
            screen.until(f"{process.pid} -c  0 streams")
            assert process.stdin is not None
            process.stdin.close()
            screen.until(f"{process.pid} -c  has closed its inspection, noticed 1")


def test_on_a_small_terminal_what_is_left_out_is_counted() -> None:
    with program(HELD) as process, terminal(80, 4) as screen:
        shown = screen.until("more lines: .* all")
        assert shown.splitlines()[0] == f"{process.pid} -c  1 stream, 1 held"
        assert shown.splitlines()[-1] == "… 2 more lines: rxllm top --once shows all"
