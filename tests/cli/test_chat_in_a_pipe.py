"""``rxllm chat`` where there is no terminal: one question, one answer, and how both fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rxllm import list_recordings
from rxllm.testing import ScriptedServer, WireRecording, script
from tests.cli.commands import Commands, NobodyReads

REFUSAL = script.status(401, {"error": {"message": "bad key \x1b[2J"}})
CALL = script.answer(*script.words("I look."), script.tool_call("get_weather", {"city": "Paris"}, id="call_1"))
TOOLS = '''
from __future__ import annotations
from json import dumps

def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"

def _hidden(city: str) -> str: ...
'''


def said(server: ScriptedServer, number: int = 0) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(server.requests[number].body)
    return body


def contents(server: ScriptedServer, number: int = 0) -> list[Any]:
    return [message.get("content") for message in said(server, number)["messages"]]


async def test_stdout_gets_the_answer_and_nothing_else(rxllm: Commands) -> None:
    async with ScriptedServer("Rivers carry \x1b[2J salt.") as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url)

    assert (answer.status, answer.stdout, answer.stderr) == (0, "Rivers carry ␛[2J salt.\n", "")
    assert contents(server) == ["Why?"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "asked"),
    [
        (["Sum up:"], b"one\ntwo\n", "Sum up:\n\none\ntwo"),
        ([], b"Why?\n", "Why?"),
        (["Why?"], b"", "Why?"),
    ],
)
async def test_what_comes_on_stdin_is_part_of_the_question(
    rxllm: Commands, arguments: list[str], stdin: bytes, asked: str
) -> None:
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", *arguments, "--base-url", server.base_url, stdin=stdin)

    assert answer.status == 0
    assert contents(server) == [asked]


async def test_stdin_may_be_closed(rxllm: Commands) -> None:
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url, streams={"stdin": None})

    assert answer.status == 0


async def test_what_is_asked_for(rxllm: Commands) -> None:
    fields = ("--temperature", "0.5", "--max-tokens", "9", "--field", "top_p=0.9", "--field", "user=me=you")
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", "Why?", "-m", "big", "-s", "Be brief.", *fields, "--base-url", server.base_url)

    assert answer.status == 0
    body = said(server)
    assert contents(server) == ["Be brief.", "Why?"]
    assert {name: body[name] for name in ("model", "temperature", "max_tokens", "top_p", "user")} == {
        "model": "big",
        "temperature": 0.5,
        "max_tokens": 9,
        "top_p": 0.9,
        "user": "me=you",
    }


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        ([], b" \n", "nothing was asked: give a question, or write it to stdin"),
        ([], b"\xff\xfe", "what came on stdin is not a text in UTF-8"),
        (["Why?"], b"a" * (16 * 1024 * 1024 + 1), "more than 16 MiB came on stdin"),
        (["Why?", "--field", "top_p"], b"", "a field is NAME=VALUE, as in top_p=0.9, and not 'top_p'"),
        (["Why?", "--field", "temperature=hot"], b"", "temperature: Input should be a valid number"),
        (["Why?", "--field", "messages=[]"], b"", "the messages are what you ask and --system: no --field has them"),
        (["Why?", "--field", "n=2"], b"", "a conversation goes on with one answer, not with n=2"),
        (["Why?", "--timeout", "0"], b"", "seconds must be positive"),
        (["Why?", "--model", ""], b"", "which model? Give --model NAME, or set RXLLM_MODEL"),
        (["Why?", "--dialect", "klingon"], b"", "unknown dialect 'klingon'; there are: openai-chat, "),
        (["Why?", "--host", "moon"], b"", "for any other give --base-url"),
        (["Why?", "--host", "groq", "--dialect", "cohere"], b"", "give --host or --dialect, not both"),
        (["Why?", "--base-url", "localhost"], b"", "--base-url cannot be requested"),
        (["Why?", "--key-variable", "MY_KEY"], b"", "MY_KEY must have the key, and is not set"),
        (["Why?", "--continue"], b"", "--continue needs the file of the chat: --store FILE"),
        (["Why?", "--tools", "nothing.py"], b"", "FileNotFoundError: there is no such file"),
        (["Why?", "--tools", "no_such_module"], b"", "No module named 'no_such_module'"),
    ],
)
async def test_a_wrong_command_line_is_told_in_a_line(
    rxllm: Commands, monkeypatch: pytest.MonkeyPatch, arguments: list[str], stdin: bytes, told: str
) -> None:
    if "" in arguments:
        monkeypatch.delenv("RXLLM_MODEL")
    answer = await rxllm("chat", *arguments, stdin=stdin)

    assert (answer.status, answer.stdout) == (2, "")
    assert told in answer.stderr
    assert answer.stderr.startswith("rxllm: ")
    assert answer.stderr.count("\n") == 1


async def test_the_environment_says_whom_to_ask(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer("So.", dialect="anthropic") as server:
        monkeypatch.setenv("RXLLM_DIALECT", "anthropic")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-1")
        answer = await rxllm("chat", "Why?", "--max-tokens", "9")

    assert answer.stdout == "So.\n"
    assert server.requests[0].headers["x-api-key"] == "sk-1"


async def test_a_host_that_rxllm_knows(rxllm: Commands) -> None:
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", "Why?", "--host", "llama.cpp", "--base-url", server.base_url)

    assert answer.stdout == "So.\n"


async def test_a_key_goes_where_it_is_told_to(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-mine")
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url, "--key-variable", "MY_KEY")

    assert answer.status == 0
    assert server.requests[0].headers["authorization"] == "Bearer sk-mine"


@pytest.mark.parametrize(
    ("variable", "arguments", "told"),
    [
        ("OPENAI_API_KEY", [], "  The key came from OPENAI_API_KEY: is it the right one?"),
        ("MY_KEY", ["--key-variable", "MY_KEY"], "  The key came from MY_KEY: is it the right one?"),
        ("OTHER", [], "the client sent no key: name its variable with --key-variable, or set OPENAI_API_KEY"),
    ],
)
async def test_a_wrong_key(
    rxllm: Commands, monkeypatch: pytest.MonkeyPatch, variable: str, arguments: list[str], told: str
) -> None:
    monkeypatch.setenv(variable, "sk-wrong")
    async with ScriptedServer(REFUSAL) as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url, *arguments)

    assert (answer.status, answer.stdout) == (1, "")
    assert "401 Unauthorized" in answer.stderr
    assert told in answer.stderr
    assert "\x1b" not in answer.stderr
    assert "sk-wrong" not in answer.stderr


async def test_another_refusal_is_not_about_the_key(rxllm: Commands) -> None:
    async with ScriptedServer(script.status(404, {"error": {"message": "no model m"}})) as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url)

    assert answer.status == 1
    assert answer.stderr.count("\n") == 1


async def test_a_server_that_is_not_there(rxllm: Commands, unused_tcp_port: int) -> None:
    answer = await rxllm("chat", "Why?", "--retries", "0", "--base-url", f"http://127.0.0.1:{unused_tcp_port}/v1")

    assert (answer.status, answer.stdout) == (1, "")
    assert "Is the server running, and is this its address?" in answer.stderr
    assert "Traceback" not in answer.stderr


async def test_an_answer_that_was_cut_is_shown_as_far_as_it_came(rxllm: Commands) -> None:
    async with ScriptedServer([*script.words("Rivers carry"), script.cut()]) as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url)

    assert (answer.status, answer.stdout) == (1, "Rivers carry\n")
    assert "was lost after" in answer.stderr


async def test_an_answer_that_has_become_too_long_is_not_whole(rxllm: Commands) -> None:
    async with ScriptedServer(script.answer(*script.words("Rivers carry"), finish_reason="length")) as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url)

    assert (answer.status, answer.stdout) == (1, "Rivers carry\n")
    assert answer.stderr == "rxllm: the answer is not whole: it ended by 'length'\n"


async def test_a_server_that_is_silent_for_too_long(rxllm: Commands) -> None:
    async with ScriptedServer([*script.words("Rivers"), script.stall()]) as server:
        answer = await rxllm("chat", "Why?", "--timeout", "0.1", "--base-url", server.base_url)

    assert (answer.status, answer.stdout) == (1, "Rivers\n")
    assert "waited 0.1 s for a chunk after chunk" in answer.stderr


async def test_debug_shows_the_traceback_without_what_controls_a_terminal(rxllm: Commands) -> None:
    async with ScriptedServer(REFUSAL) as server:
        answer = await rxllm("chat", "Why?", "--debug", "--base-url", server.base_url)

    assert "Traceback (most recent call last):" in answer.stderr
    assert "\x1b" not in answer.stderr


async def test_reasoning_is_shown_on_stderr_if_somebody_wants_it(rxllm: Commands) -> None:
    thoughtful = script.answer(script.reasoning("It rains."), *script.words("Rivers."))
    async with ScriptedServer(thoughtful, repeat=True) as server:
        silent = await rxllm("chat", "Why?", "--base-url", server.base_url)
        told = await rxllm("chat", "Why?", "--base-url", server.base_url, "--show-reasoning")

    assert (silent.stdout, silent.stderr) == ("Rivers.\n", "")
    assert told.stdout == "Rivers.\n"
    assert told.stderr == "[reasoning] It rains.\n"


async def test_rich_style_is_drawn_in_a_pipe_too_if_somebody_wants_it(rxllm: Commands) -> None:
    async with ScriptedServer("# Salt") as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url, "--style", "rich")

    assert "\x1b[" in answer.stdout
    assert "#" not in answer.stdout


# Tools


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "json.py"  # as a module of Python is called, too
    path.write_text(TOOLS)
    return path


async def test_tools_run_if_somebody_said_yes_beforehand(rxllm: Commands, tools: Path) -> None:
    async with ScriptedServer(CALL, "Take an umbrella.") as server:
        answer = await rxllm("chat", "Rain?", "--tools", tools, "--yes", "--base-url", server.base_url)

    assert (answer.status, answer.stdout) == (0, "I look.\nTake an umbrella.\n")
    assert "tools (run without asking): get_weather\n" in answer.stderr
    assert contents(server, 1)[-1] == "rain in Paris"


async def test_without_a_terminal_no_tool_runs(rxllm: Commands, tools: Path) -> None:
    async with ScriptedServer(CALL, "I cannot.") as server:
        answer = await rxllm("chat", "Rain?", "--tools", tools, "--base-url", server.base_url)

    assert (answer.status, answer.stdout) == (0, "I look.\nI cannot.\n")
    assert "tools (refused: no terminal; --yes runs them)" in answer.stderr
    assert "--yes" in contents(server, 1)[-1]


REGISTRY = """
from rxllm import ToolRegistry
tools = ToolRegistry()

@tools.tool
def get_weather(city: str) -> str:
    return "rain"

def not_offered(city: str) -> str: ...
"""


@pytest.mark.parametrize(
    ("code", "place", "names"),
    [
        (TOOLS, "mine.py", ["get_weather"]),
        (TOOLS, "mine_module", ["get_weather"]),
        (TOOLS, "mine.py:_hidden", ["_hidden"]),
        (REGISTRY, "mine.py", ["get_weather"]),
        (REGISTRY, "mine.py:not_offered", ["not_offered"]),
        (f"{REGISTRY}\nothers = ToolRegistry([not_offered])", "mine.py:others", ["not_offered"]),
    ],
)
async def test_which_tools_are_offered(
    rxllm: Commands, tmp_path: Path, code: str, place: str, names: list[str]
) -> None:
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "mine_module.py").write_text(code)
    async with ScriptedServer("No.") as server:
        answer = await rxllm("chat", "Rain?", "--tools", place, "--base-url", server.base_url)

    assert answer.status == 0
    assert [tool["function"]["name"] for tool in said(server)["tools"]] == names


@pytest.mark.parametrize(
    ("code", "place", "told"),
    [
        ("", "mine.py", "mine.py has no tools"),
        ("1 / 0", "mine.py", "ZeroDivisionError: division by zero"),
        ("def f(*a): ...", "mine.py", "takes *a"),
        ("x = 1", "mine.py:x", "has no function and no ToolRegistry named 'x'"),
        (f"{REGISTRY}\nothers = ToolRegistry([not_offered])", "mine.py", "name one, as mine.py:tools"),
    ],
)
async def test_what_is_wrong_with_tools(rxllm: Commands, tmp_path: Path, code: str, place: str, told: str) -> None:
    (tmp_path / "mine.py").write_text(code)
    answer = await rxllm("chat", "Rain?", "--tools", place)

    assert (answer.status, answer.stdout) == (2, "")
    assert told in answer.stderr


# Files


@pytest.mark.parametrize("name", ["chats.db", "chats.jsonl"])
async def test_a_chat_is_kept_and_goes_on(rxllm: Commands, tmp_path: Path, name: str, tools: Path) -> None:
    usual = ("--store", name, "--tools", tools, "--yes")
    async with ScriptedServer(CALL, "Take an umbrella.", "Yes.", "Hello.") as server:
        await rxllm("chat", "Rain?", "-s", "Be brief.", *usual, "--continue", "--base-url", server.base_url)
        await rxllm("chat", "Sure?", *usual, "--continue", "--base-url", server.base_url)
        await rxllm("chat", "Hi.", *usual, "--base-url", server.base_url)

    assert contents(server, 2) == ["Be brief.", "Rain?", "I look.", "rain in Paris", "Take an umbrella.", "Sure?"]
    assert contents(server, 3) == ["Hi."]
    assert [info.ending for info in list_recordings(tmp_path / name)] == ["completed"] * 3


async def test_a_chat_goes_on_with_what_there_is_of_answers_that_were_cut(rxllm: Commands) -> None:
    cut = [*script.words("Rivers carry"), script.cut()]
    nothing = script.status(500, {"error": {"message": "no"}})
    usual = ("--store", "chats.db", "--retries", "0", "--continue")
    async with ScriptedServer(cut, nothing, "Salt.", "So.") as server:
        for question in ("Why?", "Really?", "What?"):
            await rxllm("chat", question, *usual, "--base-url", server.base_url)
        other = await rxllm("chat", "And?", *usual, "-s", "Be kind.", "--base-url", server.base_url)

    assert other.status == 0
    assert contents(server, 3) == ["Be kind.", "Why?", "Rivers carry", "What?", "Salt.", "And?"]


async def test_a_file_that_is_no_store_is_not_written_to(rxllm: Commands, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("my notes")
    async with ScriptedServer("So.", repeat=True) as server:
        written = await rxllm("chat", "Why?", "--store", "notes.db", "--base-url", server.base_url)
        read = await rxllm("chat", "Why?", "--store", "notes.db", "--continue", "--base-url", server.base_url)

    for answer in (written, read):
        assert answer.status == 1
        assert "notes.db: " in answer.stderr
    assert (tmp_path / "notes.db").read_text() == "my notes"


async def test_a_broken_store_is_not_taken_for_an_answer_that_was_cut(rxllm: Commands, tmp_path: Path) -> None:
    async with ScriptedServer("So.") as server:
        await rxllm("chat", "Why?", "--store", "chats.jsonl", "--base-url", server.base_url)
    path = tmp_path / "chats.jsonl"
    path.write_text(path.read_text().replace('"position":1', '"position":7'))

    answer = await rxllm("chat", "Why?", "--store", "chats.jsonl", "--continue")

    assert answer.status == 1
    assert "items are missing" in answer.stderr


async def test_what_comes_over_the_wire_is_recorded(
    rxllm: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with ScriptedServer("So sk-secret.") as server:
        await rxllm("chat", "Why?", "--record", "bug.jsonl", "--base-url", server.base_url)

    assert b"So" in WireRecording.load("bug.jsonl").body
    assert "sk-secret" not in (tmp_path / "bug.jsonl").read_text()


async def test_whoever_reads_may_leave(rxllm: Commands) -> None:
    async with ScriptedServer("So.") as server:
        answer = await rxllm("chat", "Why?", "--base-url", server.base_url, streams={"stdout": NobodyReads()})

    assert (answer.status, answer.stderr) == (141, "")
