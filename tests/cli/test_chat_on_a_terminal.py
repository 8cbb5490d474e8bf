"""``rxllm chat`` on a terminal: a chat with several turns, and the approval of tools."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pytest

from rxllm.testing import ScriptedServer, script
from tests.cli.commands import Commands, NobodyReads, Outcome

if sys.platform == "win32":
    pytest.skip("terminals of POSIX", allow_module_level=True)

TOOLS = """
def get_weather(city: str) -> str:
    return f"rain in {city}"
"""
PROMPT = "\n> "


def call(name: str = "get_weather", city: str = "Paris", *, id: str = "call_1") -> Any:
    return script.answer(*script.words("I look."), script.tool_call(name, {"city": city}, id=id))


class Terminal:
    """A terminal at which somebody types: each line when a text has come behind the one before."""

    def __init__(self) -> None:
        self._ours, theirs = os.openpty()
        self.stdin: TextIO = os.fdopen(os.dup(theirs), "r", encoding="utf-8")
        self.stdout: TextIO = os.fdopen(theirs, "w", encoding="utf-8")
        self.shown = ""
        self._plan: list[tuple[str, str]] = []
        self._looked_at = 0
        self._reader = threading.Thread(target=self._read)

    def types(self, *plan: tuple[str, str]) -> None:
        """Have lines typed: behind each text, once it has come, what stands beside it."""
        self._plan = [*plan]
        self._reader.start()

    def type(self, text: str) -> None:
        """Type something now."""
        os.write(self._ours, text.encode())

    def close(self) -> str:
        """What was shown."""
        self.stdin.close()
        self.stdout.close()
        self._reader.join()
        os.close(self._ours)
        return self.shown

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._ours, 65_536):
                self.shown += data.decode().replace("\r\n", "\n")
                self._answer()

    def _answer(self) -> None:
        while self._plan and (place := self.shown.find(self._plan[0][0], self._looked_at)) >= 0:
            text, typed = self._plan.pop(0)
            self._looked_at = place + len(text)
            self.type(typed)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    if not terminal.stdin.closed:
        terminal.close()


async def chat(rxllm: Commands, terminal: Terminal, *arguments: object, **streams: Any) -> tuple[Outcome, str]:
    """What a chat comes to, and what the terminal has shown of it."""
    files = {"stdin": terminal.stdin, "stdout": terminal.stdout, "stderr": terminal.stdout, **streams}
    outcome = await rxllm("chat", *arguments, streams=files)
    return outcome, await asyncio.to_thread(terminal.close)


def contents(server: ScriptedServer, number: int) -> list[Any]:
    return [message.get("content") for message in json.loads(server.requests[number].body)["messages"]]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "mine.py").write_text(TOOLS)


async def test_a_chat_has_turns(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(
        ("> ", "Why?\n"),
        (PROMPT, "\n"),
        (PROMPT, "/help\n"),
        (PROMPT, "Really\\\n"),
        ("… ", "so?\n"),
        (PROMPT, "/exit\n"),
    )
    async with ScriptedServer("Salt.", "Yes.") as server:
        outcome, shown = await chat(rxllm, terminal, "--base-url", server.base_url, "--system", "Be brief.")

    assert outcome.status == 0
    assert "Salt." in shown
    assert "begins another conversation" in shown
    assert contents(server, 1) == ["Be brief.", "Why?", "Salt.", "Really\nso?"]


async def test_a_chat_is_drawn(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("> ", "Why?\n"), (PROMPT, "/exit\n"))
    async with ScriptedServer("**Salt**.") as server:
        outcome, shown = await chat(rxllm, terminal, "--base-url", server.base_url, "--style", "rich")

    assert outcome.status == 0
    assert "\x1b[1mSalt" in shown
    # An empty line stands between what was drawn and the prompt.
    assert shown.endswith("\x1b[?2026l\n> /exit\n")


async def test_another_conversation_begins(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("> ", "Why?\n"), (PROMPT, "/new\n"), (PROMPT, "What?\n"), (PROMPT, "/new\n"), (PROMPT, "\x04"))
    async with ScriptedServer("Salt.", "So.", "Ah.") as server:
        usual = ("--base-url", server.base_url, "--system", "Be brief.", "--store", "chats.db")
        outcome, _ = await chat(rxllm, terminal, *usual)
        await rxllm("chat", "And?", *usual, "--continue")

    assert outcome.status == 0
    assert contents(server, 1) == ["Be brief.", "What?"]
    assert contents(server, 2) == ["Be brief.", "What?", "So.", "And?"]


async def test_without_a_store_too(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("> ", "/new\n"), (PROMPT[1:], "Why?\n"), (PROMPT, "/quit\n"))
    async with ScriptedServer("Salt.") as server:
        outcome, _ = await chat(rxllm, terminal, "--base-url", server.base_url)

    assert outcome.status == 0
    assert contents(server, 0) == ["Why?"]


async def test_what_fails_is_told_and_the_chat_goes_on(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("> ", "Why?\n"), ("rxllm: 404", ""), ("> ", "What?\n"), (PROMPT, "\x04"))
    async with ScriptedServer(script.status(404, {"error": {"message": "no"}}), "So.") as server:
        outcome, shown = await chat(rxllm, terminal, "--base-url", server.base_url)

    assert outcome.status == 0
    assert "So." in shown
    assert contents(server, 1) == ["What?"]


async def test_the_prompt_is_no_part_of_the_answers(rxllm: Commands, terminal: Terminal) -> None:
    answers = io.StringIO()
    terminal.types(("> ", "Why?\n"), ("> ", "What?\n"), ("> ", "\x04"))
    async with ScriptedServer("Salt.", "So.") as server:
        outcome, _ = await chat(rxllm, terminal, "--base-url", server.base_url, stdout=answers)

    assert outcome.status == 0
    assert answers.getvalue() == "Salt.\nSo.\n"


async def test_whoever_reads_the_answers_may_leave(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("> ", "Why?\n"))
    async with ScriptedServer("Salt.") as server:
        outcome, _ = await chat(rxllm, terminal, "--base-url", server.base_url, stdout=NobodyReads())

    assert outcome.status == 141


async def test_an_error_that_was_drawn_is_not_told_twice(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    terminal.types()
    refusal = script.status(401, {"error": {"message": "bad key"}})
    async with ScriptedServer(refusal, script.status(404, {"error": {"message": "nothing"}})) as server:
        files = {"stdin": terminal.stdin, "stdout": terminal.stdout, "stderr": terminal.stdout}
        await rxllm("chat", "Why?", "--base-url", server.base_url, streams=files)
        await rxllm("chat", "Why?", "--base-url", server.base_url, streams=files)
    shown = await asyncio.to_thread(terminal.close)

    assert shown.count("bad key") == shown.count("404 Not Found") == 1
    assert "The key came from OPENAI_API_KEY" in shown
    assert "rxllm: " not in shown


async def test_what_is_drawn_of_an_error_is_what_to_write_on_the_command_line(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    terminal.types()
    async with ScriptedServer(script.status(401, {"error": {"message": "who?"}})) as server:
        _, shown = await chat(rxllm, terminal, "Why?", "--base-url", server.base_url)

    assert "name its variable with --key-variable" in " ".join(shown.split())
    assert "api_key=" not in shown


async def test_an_answer_that_has_become_too_long_says_so_once(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR")
    terminal.types()
    async with ScriptedServer(script.answer(*script.words("Rivers"), finish_reason="length")) as server:
        outcome, shown = await chat(rxllm, terminal, "Why?", "--base-url", server.base_url)

    assert outcome.status == 1
    assert shown.count("length") == 1
    assert "rxllm: " not in shown


ECHO = """
import sys, termios

def get_weather(city: str) -> str:
    return "echo" if termios.tcgetattr(sys.stdin.fileno())[3] & termios.ECHO else "no echo"
"""


@pytest.mark.parametrize(
    ("style", "in_front", "seen"), [("rich", True, "no echo"), ("rich", False, "echo"), ("plain", True, "echo")]
)
async def test_what_is_typed_while_an_answer_is_drawn_does_not_move_it(
    rxllm: Commands,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    style: str,
    in_front: bool,
    seen: str,
) -> None:
    def in_the_foreground(_: int) -> int:
        return os.getpgrp() if in_front else os.getpgrp() + 1

    monkeypatch.setattr("os.tcgetpgrp", in_the_foreground)
    (tmp_path / "echo.py").write_text(ECHO)
    terminal.types(("[N]o: ", "y\n"))
    async with ScriptedServer(call(), "So.") as server:
        usual = ("Rain?", "--tools", "echo.py", "--base-url", server.base_url, "--style", style)
        files = {"stdin": terminal.stdin, "stdout": terminal.stdout, "stderr": terminal.stdout}
        await rxllm("chat", *usual, streams=files)
        termios = importlib.import_module("termios")  # which Windows has not
        after = termios.tcgetattr(terminal.stdin.fileno())[3] & termios.ECHO
    shown = await asyncio.to_thread(terminal.close)

    assert contents(server, 1)[-1] == seen
    assert after
    # What is an answer to a question is seen.
    assert "[N]o: y" in shown


# Tools


@pytest.mark.parametrize("style", ["plain", "rich"])
@pytest.mark.parametrize(
    ("answer", "result"), [("y", "rain in Paris"), ("YES", "rain in Paris"), ("n", "The user said no.")]
)
async def test_somebody_is_asked_before_a_tool_runs(
    rxllm: Commands, terminal: Terminal, style: str, answer: str, result: str
) -> None:
    terminal.types(("[N]o: ", f"{answer}\n"))
    async with ScriptedServer(call(), "So.") as server:
        usual = ("Rain?", "--tools", "mine.py", "--base-url", server.base_url, "--style", style)
        outcome, shown = await chat(rxllm, terminal, *usual)

    assert outcome.status == 0
    assert contents(server, 1)[-1] == result
    # What is asked about can be seen before the question.
    assert shown.index("may it run?") < shown.index("Run get_weather?")


@pytest.mark.parametrize("typed", ["\n", "what?\n", "\x04", "yes please\n"])
async def test_nothing_but_a_yes_is_one(rxllm: Commands, terminal: Terminal, typed: str) -> None:
    terminal.types(("[N]o: ", typed))
    async with ScriptedServer(call(), "So.") as server:
        await chat(rxllm, terminal, "Rain?", "--tools", "mine.py", "--base-url", server.base_url)

    assert contents(server, 1)[-1] == "The user said no."


async def test_a_yes_that_was_typed_before_the_question_is_none(rxllm: Commands, terminal: Terminal) -> None:
    terminal.type("y\n")
    terminal.types(("[N]o: ", "n\n"))
    async with ScriptedServer(call(), "So.") as server:
        await chat(rxllm, terminal, "Rain?", "--tools", "mine.py", "--base-url", server.base_url)

    assert contents(server, 1)[-1] == "The user said no."


async def test_a_tool_may_be_approved_for_good(rxllm: Commands, terminal: Terminal) -> None:
    terminal.types(("[N]o: ", "a\n"))
    async with ScriptedServer(call(), call(city="Rome", id="call_2"), "So.") as server:
        outcome, shown = await chat(rxllm, terminal, "Rain?", "--tools", "mine.py", "--base-url", server.base_url)

    assert outcome.status == 0
    assert contents(server, 2)[-1] == "rain in Rome"
    assert shown.count("[N]o: ") == 1


async def test_whoever_is_asked_sees_all_of_a_long_call_and_nothing_that_controls_the_terminal(
    rxllm: Commands, terminal: Terminal
) -> None:
    terminal.types(("[N]o: ", "n\n"), ("[N]o: ", "n\n"))
    hidden = "a" * 400 + "\x1b[2Jrm -rf"
    async with ScriptedServer(call(city=hidden), call(city="b" * 9_000, id="call_2"), "So.") as server:
        _, shown = await chat(rxllm, terminal, "Rain?", "--tools", "mine.py", "--base-url", server.base_url)

    assert f'"city": "{"a" * 400}' in shown
    assert "rm -rf" in shown
    assert "\x1b[2J" not in shown
    assert "characters more that are not shown here" in shown


async def test_where_the_loop_cannot_watch_a_terminal_a_thread_reads(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise NotImplementedError

    terminal.types(("[N]o: ", "y\n"))
    async with ScriptedServer(call(), "So.") as server:
        monkeypatch.setattr("rxllm.cli._approval_prompt._watch", none)
        await chat(rxllm, terminal, "Rain?", "--tools", "mine.py", "--base-url", server.base_url)

    assert contents(server, 1)[-1] == "rain in Paris"


# Ctrl-C, as the loop tells of it. With real signals: test_signals.py


def interrupted(work: Coroutine[Any, Any, Any]) -> None:
    work.close()
    raise KeyboardInterrupt


async def test_ctrl_c_stops_the_answer_only(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.bridges.run", interrupted)
    terminal.types(("> ", "Why?\n"), (PROMPT, "/exit\n"))
    outcome, shown = await chat(rxllm, terminal, "--base-url", "http://127.0.0.1:9")

    assert outcome.status == 0
    assert "rxllm: " not in shown


async def test_a_signal_that_ends_the_program_does_so_in_an_answer_too(
    rxllm: Commands, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxllm.bridges.run", interrupted)
    for module in ("_chat", "_outcome"):
        monkeypatch.setattr(f"rxllm.cli.{module}.ended_by", lambda: 15)
    terminal.types(("> ", "Why?\n"))
    outcome, shown = await chat(rxllm, terminal, "--base-url", "http://127.0.0.1:9")

    assert outcome.status == 143
    assert "rxllm: " not in shown


async def test_ctrl_c_while_a_server_is_recorded(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.cli._recording_request.run", interrupted)
    outcome = await rxllm("record", "http://127.0.0.1:9/", "--out", "bug.jsonl")

    assert (outcome.status, outcome.stderr) == (130, "stopped: bug.jsonl has what had arrived\n")
