"""Each example runs by its path, without arguments, and shows what it promises; in other dialects, too.

All of them start together and are then looked at one by one: most of their time they wait. In the other dialects they
run in this process, and wait for nothing.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.testing import Marbles, ReceivedRequest, ScriptedServer, script
from tests.thorough import FULL

EXAMPLES = Path(__file__).parents[1] / "examples"


def cells(label: str, *texts: str) -> str:
    """A line of the table of providers."""
    return "  ".join((f"{label:<11}", *(f"{text:<21}" for text in texts))).rstrip()


PROMISED = {
    "agent": [
        "you    Read my notes and write what is left to do into todo.md.\n",
        "\n[read_file gave: Hotel found: Casa Azul. Passport runs out in May!]\n",
        '\n[may it run? write_file {"path": "todo.md", ',
        "\n  yes: by the rule only .md may be written\n[write_file is approved]\n",
        "4 turns, 8 messages\n",
        "\ntodo.md\n- [ ] renew the passport, it runs out in May\n",
    ],
    "browser_chat": [
        "200 text/html, ",
        'runs get_weather with {"city": "Paris"}',
        "it says: 18 degrees, rain",
        "it says: The tool failed.",
        "| Atlantis | nobody knows |",
        "A loop that reads slowly **slows down the server**, through the TCP window. Nothing grows.",
    ],
    "custom_operator": [
        "---A---B---(C|)",
        "---A---B---C--|",
        "the marbles differ from 50ms on",
        "expected  ---x-y-----(z|)",
        "actual    ---x---y---(z|)",
        "read out: It has no air and no water.",
    ],
    "display_and_persist": [
        "41 chunks are in",
        "\nRain takes a little salt out of the rocks",
        "over millions of years it has gathered.\n",
        "the same completion: True",
    ],
    "fastapi_chat": [
        "POST /api/chat             200  Read it with `async for`",
        "GET  /api/chat/ID/stream   200  Read it with `async for`: each piece is there as soon as it has come.",
        "Nothing grows. \n",
        'I look it up. (get_weather of {"city": "Paris"})',
        "POST /api/chat/ID/stop     204",
        " [abort]\n",
    ],
    "resilient_chat": [
        "dead, try 1: APIConnectionError",
        "breaking, try 1: StreamInterruptedError",
        "(dropped: Blue light is scattered)",
        "5 tries:\n",
        "5. completed: the whole answer, and nothing twice: True",
    ],
    "slow_database": [
        "the stream completed",
        "251 chunks came, 251 are stored, at most 8 waited",
        "everything it sent is stored, in order: True",
    ],
    "structured_output": [
        "openai-chat gets the schema as response_format.json_schema.schema\n",
        "ingredients: 250 g flour, 500 ml milk\n",
        "step 2: Fry thin pancakes in a hot pan, a ladle each.\n",
        "valid: 2 steps, 50 minutes in all",
        "chunk 7 breaks the schema: servings",
    ],
    "tool_calls": [
        'I look it up.\n[calls get_weather {"city": "Paris", "unit": "celsius"}]\n',
        '[calls get_weather {"city": "Tokyo", "unit": "celsius"}]\n',
        "[get_weather gave: 18 degrees, rain]\n",
        "[get_weather gave: 27 degrees, sun]\n",
        "In Paris it rains at 18 degrees. In Tokyo the sun shines at 27.",
    ],
    "providers": [
        cells("", "openai-chat", "anthropic", "openai-responses"),
        cells("call", *["get_weather"] * 3),
        cells("tokens", *["61 in (48 cached)"] * 3),
        cells("their event", "chat.completion.chunk", "content_block_delta", "response.output_text."),
        cells("their parts", "(none)", "thinking", "reasoning"),
        cells("their word", "tool_calls", "tool_use", "completed"),
        cells("", "gemini", "cohere", "ollama"),
        cells("tokens", *["61 in (48 cached)"] * 2, "61 in (0 cached)"),
        cells("their event", "(no name)", "content-delta", "(no name)"),
        cells("", "functionCall", "function", "(no name)"),
        cells("their word", "STOP", "TOOL_CALL", "stop"),
        cells("", "bedrock-converse"),
        cells("their event", "contentBlockDelta"),
        cells("", "toolUse"),
        "7 providers, one pipeline, the same answer from each",
    ],
    "two_processes": [
        "reader 1  The moon pulls at the water of the sea",
        "reader 2 was killed behind ",
        "reader 2  stopped by a third process: seen enough",
        "producer  cancelled: the connection to the model is closed",
        "items, none lost, none twice: True",
    ],
    "websocket_chat": [
        "you    What is a tide?\n\nThe sea rising and falling",
        "you    And the sun?\n\nIt pulls too",
        "7 messages",
    ],
    "wrap_another_sdk": [
        "Any stream is an observable, once it is wrapped.\nfinished: stop; open streams of the SDK: 0",
        "Any stream is …\nleft early, open streams of the SDK: 0",
    ],
}
SETTINGS = ("ANTHROPIC_", "AWS_", "CO_API_", "GEMINI_", "GOOGLE_", "OLLAMA_", "OPENAI_", "RXLLM_")

# These know one dialect; the second one shows all of them.
OF_ONE_DIALECT = {"websocket_chat": "WebSockets", "wrap_another_sdk": "SDK"}
IN_ALL_DIALECTS = {"providers"}
# What holds for chat completions only, or is shown besides by an example that runs as a program.
OF_CHAT = {
    *PROMISED["custom_operator"][:-1],
    "41 chunks are in",
    "openai-chat gets the schema as response_format.json_schema.schema\n",
    "chunk 7 breaks the schema: servings",
    "251 chunks came, 251 are stored, at most 8 waited",
    # An answer that takes no time is there before anybody comes back, or stops it.
    *[promise for promise in PROMISED["fastapi_chat"] if not promise.startswith(("POST /api/chat  ", "I look"))],
}
# And what is shown instead.
ELSEWHERE = {
    ("display_and_persist", "anthropic"): " chunks are in",
    ("display_and_persist", "openai-responses"): " chunks are in",
    ("display_and_persist", "gemini"): " chunks are in",
    ("slow_database", "gemini"): "at most 8 waited",
    ("structured_output", "gemini"): "gemini gets the schema as generationConfig.responseJsonSchema\n",
    ("display_and_persist", "cohere"): " chunks are in",
    ("slow_database", "cohere"): "at most 8 waited",
    ("structured_output", "cohere"): "cohere gets the schema as response_format.json_schema\n",
    ("display_and_persist", "ollama"): " chunks are in",
    ("slow_database", "ollama"): "at most 8 waited",
    ("structured_output", "ollama"): "ollama gets the schema as format\n",
    ("display_and_persist", "bedrock-converse"): " chunks are in",
    ("slow_database", "anthropic"): "at most 8 waited",
    ("slow_database", "openai-responses"): "at most 8 waited",
    ("slow_database", "bedrock-converse"): "at most 8 waited",
    ("structured_output", "anthropic"): "anthropic gets the schema as output_config.format.schema\n",
    ("structured_output", "openai-responses"): "openai-responses gets the schema as text.format.schema\n",
    ("structured_output", "bedrock-converse"): (
        "bedrock-converse gets the schema as outputConfig.textFormat.structure.jsonSchema.schema\n"
    ),
}


def test_every_example_is_looked_at() -> None:
    assert sorted(PROMISED) == sorted(path.stem for path in EXAMPLES.glob("[!_]*.py"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The examples, started, each in a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    with ExitStack() as stack:
        started: dict[str, subprocess.Popen[str]] = {}
        for name in PROMISED:
            folder = tmp_path_factory.mktemp(name)
            started[name] = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    encoding="utf-8",
                    cwd=folder,
                    env={**environment, "TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8"},
                )
            )
            stack.callback(started[name].kill)
        yield started


@pytest.mark.parametrize("name", PROMISED)
def test_example(name: str, running: dict[str, subprocess.Popen[str]]) -> None:
    output, _ = running[name].communicate()
    assert running[name].returncode == 0, output
    missing = [promise for promise in PROMISED[name] if promise not in output]
    assert not missing, output


OTHERS = ("anthropic", "openai-responses", "gemini", "bedrock-converse", "cohere", "ollama")
OF_MANY_DIALECTS = sorted(PROMISED.keys() - OF_ONE_DIALECT.keys() - IN_ALL_DIALECTS)
# Each example in every second dialect, and each dialect in every second example; or all of them.
ELSEWHERE_RUN = [
    (name, dialect)
    for row, name in enumerate(OF_MANY_DIALECTS)
    for column, dialect in enumerate(OTHERS)
    if FULL or (row + column) % 2
]


@pytest.mark.parametrize(("name", "dialect"), ELSEWHERE_RUN)
async def test_example_in_another_dialect(
    name: str, dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in [each for each in os.environ if each.startswith(SETTINGS)]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tracemalloc, "start", lambda: None)
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    endpoint: Any = importlib.import_module("_endpoint")
    example: Any = importlib.import_module(name)

    await example.main(endpoint.Endpoint(dialect, takes_time=False))
    await logs_are_closed()

    output = capsys.readouterr().out
    expected = {*PROMISED[name], ELSEWHERE.get((name, dialect), "")} - OF_CHAT
    assert not [promise for promise in expected if promise not in output], output


async def logs_are_closed() -> None:
    """Whoever follows a log may be done a moment before whoever writes it has closed it."""
    async with asyncio.timeout(10):
        while any("SinkWriter" in repr(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


@pytest.mark.parametrize(("name", "reason"), OF_ONE_DIALECT.items())
def test_an_example_that_knows_one_dialect_says_so(name: str, reason: str, tmp_path: Path) -> None:
    example = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--dialect", "anthropic"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )

    assert example.returncode == 2
    assert "argument --dialect: this example knows only openai-chat: " in example.stderr
    assert reason in example.stderr


HARMFUL = "\x1b\x07\x9b\u202e\r"
OBEYS = f"It{HARMFUL} is{HARMFUL} late. Good{HARMFUL} night."


def answer_of_a_terminal(request: ReceivedRequest) -> Iterable[script.StepLike]:
    """An answer of a model that writes what a terminal obeys, wherever it may."""
    asked: dict[str, Any] = request.json or {}
    if asked.get("response_format"):
        recipe = {"name": OBEYS, "servings": 1, "ingredients": [OBEYS], "steps": [{"text": OBEYS, "minutes": 1}]}
        return script.answer(json.dumps(recipe))
    if asked.get("tools") and request.number == 0:
        arguments = json.dumps({"city": HARMFUL, "unit": HARMFUL})
        function = {"name": "get_weather", "arguments": arguments}
        call = {"index": 0, "id": f"call{HARMFUL}", "type": "function", "function": function}
        return [script.delta({"tool_calls": [call]}), script.finish("tool_calls"), script.done()]
    return script.answer(OBEYS)


@pytest.mark.parametrize("name", sorted(PROMISED.keys() - {"resilient_chat", "slow_database", "wrap_another_sdk"}))
async def test_what_a_model_writes_controls_no_terminal(name: str, tmp_path: Path) -> None:
    async with ScriptedServer(answer_of_a_terminal) as server:
        example = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", EXAMPLES / f"{name}.py"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            env={
                **os.environ,
                "TMPDIR": str(tmp_path),
                "PYTHONIOENCODING": "utf-8",
                "OPENAI_BASE_URL": server.base_url,
            },
        )
        output = (await example.communicate())[0].decode()

    assert "It" in output or "get_weather" in output
    assert not {*output} & {*HARMFUL}


def test_lines_of_examples_end_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    monkeypatch.setenv("COLUMNS", "12")
    running: Any = importlib.import_module("_running")
    for on_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda on_terminal=on_terminal: on_terminal)
        lines = running.Lines("  ")
        for piece in ("one", " two three", " four\n five", " six"):
            lines.add(piece)
        lines.line("seven")
        lines.line("eight nine ten")

    wrapped = "one two\n  three\n  four\n five six\nseven\neight nine\n  ten\n"
    assert capsys.readouterr().out == f"{wrapped}one two three four\n five six\nseven\neight nine ten\n"


def test_however_much_text_comes_at_once_the_custom_operator_keeps_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    example: Any = importlib.import_module("custom_operator")
    marbles = Marbles()
    text = " ".join(f"Sentence {number}." for number in range(200))
    entered: list[str] = []
    waiting: list[int] = []
    left: list[str] = []

    def enter(sentence: str) -> None:
        entered.append(sentence)
        waiting.append(len(entered) - len(left))

    sentences = marbles.cold("-a-|", a=text).pipe(
        example.sentences(), rx_ops.do_action(enter), ops.buffer_with_backpressure(4), rx_ops.do_action(left.append)
    )
    recording = marbles.run(sentences, takes=1)

    assert recording.items == entered == [f"Sentence {number}." for number in range(200)]
    assert max(waiting) == 4


def test_no_path_leads_the_agent_out_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
    agent: Any = importlib.import_module("agent")
    root, outside = tmp_path / "folder", tmp_path / "secret.txt"
    (root / "within").mkdir(parents=True)
    outside.write_text("secret")
    (root / "link").symlink_to(outside)
    (root / "links").symlink_to(tmp_path)
    folder = agent.Folder(root)

    for path in (
        "../secret.txt",
        str(outside),
        "link",
        "links/secret.txt",
        "within/../../secret.txt",
        "",
        ".",
        "within",
    ):
        with pytest.raises(PermissionError):
            folder.read_file(path)
        with pytest.raises(PermissionError):
            folder.write_file(path, "mine")
    assert outside.read_text() == "secret"
    assert folder.write_file("within/a.md", "text") == "4 characters written"
    assert folder.read_file("within/../within/a.md") == "text"
