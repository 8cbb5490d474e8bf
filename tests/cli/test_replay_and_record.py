"""``rxllm replay``, ``rxllm record`` and ``rxllm conformance``."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import reactivex

import rxllm as library
from rxllm import operators as ops
from rxllm.models import StreamChunk
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.testing import ScriptedServer, WireRecording, finish_chunk, script, text_chunk
from rxllm.wire import AWSFrame, ServerSentEvent
from tests.cli.commands import Commands, NobodyReads


async def keep(path: Path, *items: object, name: str = "one") -> None:
    sink = (JSONLinesSink if path.suffix == ".jsonl" else SQLiteSink)(path, stream_id=lambda: name)
    await library.from_async_iterable(items_of(*items)).pipe(ops.tee_to(sink))


async def items_of(*items: object) -> AsyncIterator[object]:
    for item in items:
        yield item


def lines(text: str) -> list[object]:
    return [json.loads(line) for line in text.splitlines()]


# Replay


@pytest.mark.parametrize("name", ["chats.db", "chats.jsonl"])
@pytest.mark.parametrize("speed", [(), ("--speed", "1000"), ("--speed", "0"), ("--fast",)])
async def test_a_recording_of_a_sink(rxllm: Commands, tmp_path: Path, name: str, speed: tuple[str, ...]) -> None:
    await keep(tmp_path / name, text_chunk("Rivers"), text_chunk(" carry\x1b[2J"), finish_chunk())
    played = await rxllm("replay", name, *speed)

    assert (played.status, played.stdout, played.stderr) == (0, "Rivers carry␛[2J\n", "")


async def test_which_stream_of_a_file_is_played(rxllm: Commands, tmp_path: Path) -> None:
    await keep(tmp_path / "chats.db", "first", name="one\x1b[2J")
    await keep(tmp_path / "chats.db", "second", name="two")
    listed = await rxllm("replay", "chats.db", "--list")
    last, named = await rxllm("replay", "chats.db"), await rxllm("replay", "chats.db", "--name", "one\x1b[2J")
    unknown = await rxllm("replay", "chats.db", "--name", "th\x1bree")

    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["one␛[2J", "two"]
    assert "1 items  completed" in listed.stdout
    assert (last.stdout, named.stdout) == ("second\n", "first\n")
    assert unknown.status == 1
    assert unknown.stderr == "rxllm: chats.db: no stream 'th␛ree'; the last of 2 is 'two'\n"


async def test_everything_that_can_be_recorded_is_shown(rxllm: Commands, tmp_path: Path) -> None:
    frame = AWSFrame({}, b"frame ")
    items = (ServerSentEvent("event "), frame, "text ", b"bytes ", {"a": "\x1b"}, library.Message.user("Why?"))
    await keep(tmp_path / "all.jsonl", *items)
    shown, listed = await rxllm("replay", "all.jsonl", "--fast"), await rxllm("replay", "all.jsonl", "--fast", "--json")

    assert shown.stdout == 'event frame text bytes {"a":"\\u001b"}\n'
    assert lines(listed.stdout)[2] == "text "
    assert lines(listed.stdout)[4] == {"a": "\x1b"}
    assert listed.stdout.isascii()


async def test_chunks_as_lines_of_json(rxllm: Commands, tmp_path: Path) -> None:
    chunk = text_chunk("\x1b[2J\u202e")
    await keep(tmp_path / "chats.db", chunk)
    played = await rxllm("replay", "chats.db", "--json")

    assert played.stdout.isascii()
    assert "\x1b" not in played.stdout
    (line,) = lines(played.stdout)
    assert StreamChunk.model_validate(line) == chunk


async def test_a_chunk_that_begins_anew(rxllm: Commands, tmp_path: Path) -> None:
    cut = [*script.words("Rivers"), script.cut()]
    async with ScriptedServer(cut, "Salt.") as server, library.LLMClient(base_url=server.base_url) as client:
        chunks = client.chat_stream(model="m", messages=[library.Message.user("Why?")])
        again = chunks.pipe(ops.retry_with_backoff(2, initial=0.001, after_first="restart"))
        await again.pipe(ops.tee_to(SQLiteSink(tmp_path / "chats.db")))
    played = await rxllm("replay", "chats.db", "--fast")

    assert (played.status, played.stdout) == (0, "Salt.\n")
    assert played.stderr == "[the answer begins anew]\n"


async def test_what_failed_fails_again(rxllm: Commands, tmp_path: Path) -> None:
    failing = reactivex.concat(
        reactivex.of("Rivers"), reactivex.throw(library.StreamInterruptedError("lost\x1b[2J", events=1))
    )
    with pytest.raises(library.StreamInterruptedError):
        await asyncio.to_thread(library.run, failing.pipe(ops.tee_to(SQLiteSink(tmp_path / "chats.db"))))
    played = await rxllm("replay", "chats.db")

    assert (played.status, played.stdout, played.stderr) == (1, "Rivers\n", "rxllm: lost␛[2J\n")


@pytest.mark.parametrize("content", [None, b"my \x1b[2J notes", b'{"record":"request"', b""])
@pytest.mark.parametrize("arguments", [(), ("--list",), ("--json",)])
async def test_what_is_no_recording(
    rxllm: Commands, tmp_path: Path, content: bytes | None, arguments: tuple[str, ...]
) -> None:
    if content is not None:
        (tmp_path / "notes").write_bytes(content)
    played = await rxllm("replay", "notes", *arguments)

    if content == b"" and arguments == ("--list",):
        assert (played.status, played.stdout) == (0, "")
        return
    assert (played.status, played.stdout) == (1, "")
    assert played.stderr.startswith("rxllm: notes: ")
    assert "\x1b" not in played.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [(), ("--list",), ("--json",)])
async def test_a_pipe_can_be_read_only_once(rxllm: Commands, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    os.mkfifo(tmp_path / "pipe")
    played = await rxllm("replay", "pipe", *arguments)

    assert (played.status, played.stdout) == (2, "")
    assert "pipe is a pipe, which cannot be read twice" in played.stderr


@pytest.mark.parametrize("arguments", [("--list",), ("--json",), ()])
async def test_whoever_reads_may_leave(rxllm: Commands, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    await keep(tmp_path / "chats.db", "Rivers", " carry")
    played = await rxllm("replay", "chats.db", *arguments, streams={"stdout": NobodyReads()})

    assert (played.status, played.stderr) == (141, "")


async def test_a_log(rxllm: Commands, tmp_path: Path) -> None:
    log = library.SQLiteLog(tmp_path / "logs.db")
    await log.produce("chat:1", library.from_async_iterable(items_of("Rivers", " carry")))
    listed, played = await rxllm("replay", "logs.db", "--list"), await rxllm("replay", "logs.db")

    assert listed.stdout.startswith("chat:1 ")
    assert played.stdout == "Rivers carry\n"


# Wire recordings


async def test_what_was_recorded_is_played_again(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    async with ScriptedServer("Rivers \x1b[2J sk-secret.") as server:
        recorded = await rxllm(
            *("record", server.url, "--out", "bug.jsonl", "--key-variable", "MY_KEY"),
            *(
                "--header",
                "x-team=blue",
                "--header",
                "x-api-key=env:MY_KEY",
                "--data",
                '{"messages": [], "stream": true}',
            ),
        )
    request = server.requests[0]
    played = await rxllm("replay", "bug.jsonl", "--speed", "100")
    listed = await rxllm("replay", "bug.jsonl", "--list")

    assert (recorded.status, recorded.stdout) == (0, "")
    assert "status 200, text/event-stream" in recorded.stderr
    assert "Play it again: rxllm replay bug.jsonl" in recorded.stderr
    assert request.method == "POST"
    headers = [request.headers[name] for name in ("authorization", "x-api-key", "x-team")]
    assert headers == ["Bearer sk-secret", "sk-secret", "blue"]
    assert json.loads(request.body) == {"messages": [], "stream": True}
    assert played.stdout == "Rivers ␛[2J *********.\n"
    assert listed.stdout.startswith(f"POST {server.url}")


@pytest.mark.parametrize(
    ("answer", "status", "told", "played"),
    [
        ([*script.words("Rivers"), script.cut()], 1, "ended by lost", "was lost after"),
        (script.status(429, {"error": {"message": "slow\x1b[2J"}}), 1, "status 429", "429"),
        ([*script.words("Rivers")], 0, "ended by eof", "without [DONE]"),
    ],
)
async def test_what_went_wrong_is_recorded(
    rxllm: Commands, answer: object, status: int, told: str, played: str
) -> None:
    async with ScriptedServer(answer) as server:  # type: ignore[arg-type]
        recorded = await rxllm("record", server.url, "-o", "bug.jsonl", "--data", '{"messages": []}')
    again = await rxllm("replay", "bug.jsonl", "--fast")

    assert recorded.status == status
    assert told in recorded.stderr
    assert 'most servers want "stream": true' in recorded.stderr
    assert again.status == 1
    assert played in again.stderr
    assert "\x1b" not in again.stderr


async def test_nobody_answers(rxllm: Commands, unused_tcp_port: int) -> None:
    recorded = await rxllm("record", f"http://127.0.0.1:{unused_tcp_port}/", "--out", "bug.jsonl")
    listed, played = await rxllm("replay", "bug.jsonl", "--list"), await rxllm("replay", "bug.jsonl")

    assert recorded.status == played.status == 1
    assert recorded.stderr.startswith("no answer came (ClientConnectorError): bug.jsonl says so")
    assert "no answer, 0 reads" in listed.stdout


async def test_where_the_client_had_left_nobody_waits_for_more(rxllm: Commands, tmp_path: Path) -> None:
    async with ScriptedServer([*script.words("Rivers carry"), script.stall()]) as server:
        stalled = await rxllm(
            "chat", "Why?", "--timeout", "0.1", "--record", "bug.jsonl", "--base-url", server.base_url
        )
    played = await rxllm("replay", "bug.jsonl", "--fast")
    (tmp_path / "cut.jsonl").write_bytes(b"".join((tmp_path / "bug.jsonl").read_bytes().splitlines(keepends=True)[:-1]))
    listed = await rxllm("replay", "cut.jsonl", "--list")

    assert stalled.status == 1
    assert (played.status, played.stdout) == (1, "Rivers carry\n")
    assert "here the client had left" in played.stderr
    assert listed.stdout.endswith("cut\n")


async def test_another_dialect_and_framing(rxllm: Commands) -> None:
    async with ScriptedServer("Salt.", dialect="ollama") as server:
        recorded = await rxllm(
            *("record", f"{server.base_url}/api/chat", "-o", "bug.jsonl", "--framing", "ndjson"), "-d", "{}"
        )
    played = await rxllm("replay", "bug.jsonl", "--dialect", "ollama")

    assert recorded.status == 0
    assert played.stdout == "Salt.\n"


async def test_frames_of_a_websocket(rxllm: Commands) -> None:
    async with ScriptedServer("Salt.") as server:
        url = server.url.replace("http", "ws", 1)
        recorded = await rxllm("record", url, "-o", "bug.jsonl", "-d", '{"messages": [], "stream": true}')
    played = await rxllm("replay", "bug.jsonl", "--fast")

    assert recorded.status == 0
    assert played.stdout == "Salt.\n"


@pytest.mark.parametrize(
    ("data", "stdin"), [("@request.json", b""), ("@-", b'{"stream": true}'), ('{"stream": true}', b"")]
)
async def test_where_a_body_comes_from(rxllm: Commands, tmp_path: Path, data: str, stdin: bytes) -> None:
    (tmp_path / "request.json").write_text('{"stream": true}')
    async with ScriptedServer("So.") as server:
        await rxllm("record", server.url, "-o", "bug.jsonl", "--data", data, "-X", "PUT", stdin=stdin)

    assert server.requests[0].method == "PUT"
    assert json.loads(server.requests[0].body) == {"stream": True}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--data", "@nothing"), "--data: nothing: No such file"),
        (("--data", "@broken"), "and the text in broken is not: "),
        (("--data", "@-"), "and the text in stdin is not: "),
        (("--data", "{"), "--data must be JSON, and the text is not: "),
        (("--header", "sk-1"), "a header is NAME=VALUE"),
        (("--header", "Authorization: Bearer sk-1="), "a header is NAME=VALUE"),
        (("--key-variable", "sk-1"), "give the name of the variable, such as OPENAI_API_KEY, and not the key"),
        (("--header", "X-Api-Key=sk-1"), "put it into a variable, and write X-Api-Key=env:VARIABLE"),
        (("--header", "x=env:NOT_SET"), "NOT_SET must have the key, and is not set"),
        (("--key-variable", "NOT_SET"), "NOT_SET must have the key, and is not set"),
        (("--header", "x=1\r\ny: 2"), "the value of the header x is more than one line"),
        (("--method", "GE T"), "a method is one word"),
        (("--out", "there.jsonl"), "there.jsonl exists: give another --out, or --force to replace it"),
    ],
)
async def test_what_cannot_be_recorded(rxllm: Commands, tmp_path: Path, arguments: tuple[str, str], told: str) -> None:
    for name in ("there.jsonl", "broken"):
        (tmp_path / name).write_text("{")
    recorded = await rxllm("record", "http://127.0.0.1:9/", "--out", "bug.jsonl", *arguments)

    assert recorded.status == 2
    assert told in recorded.stderr
    assert "sk-1" not in recorded.stderr
    assert (tmp_path / "there.jsonl").read_text() == "{"
    assert not (tmp_path / "bug.jsonl").exists()


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host", "http://"])
async def test_a_url_that_is_none(rxllm: Commands, url: str) -> None:
    recorded = await rxllm("record", url, "--out", "bug.jsonl")

    assert recorded.status == 2
    assert "the URL cannot be requested" in recorded.stderr


async def test_a_file_may_be_replaced(rxllm: Commands, tmp_path: Path) -> None:
    (tmp_path / "bug.jsonl").write_text("old")
    async with ScriptedServer("So.") as server:
        recorded = await rxllm("record", server.url, "-o", "bug.jsonl", "--force")

    assert recorded.status == 0
    assert server.requests[0].method == "GET"
    assert WireRecording.load(tmp_path / "bug.jsonl").body


async def test_a_wire_recording_has_no_names(rxllm: Commands) -> None:
    async with ScriptedServer("So.") as server:
        await rxllm("record", server.url, "-o", "bug.jsonl")
    named, spoken = (
        await rxllm("replay", "bug.jsonl", "--name", "x"),
        await rxllm("replay", "bug.jsonl", "--dialect", "klingon"),
    )

    assert named.status == spoken.status == 2
    assert "leave out --name" in named.stderr
    assert "unknown dialect 'klingon'" in spoken.stderr


async def test_on_a_terminal_the_questions_are_shown_too(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", "1")
    async with ScriptedServer("Salt.") as server:
        await rxllm("chat", "Why?\nSo?", "-s", "Be brief.", "--store", "chats.db", "--base-url", server.base_url)
    played = await rxllm("replay", "chats.db", streams={"stdout": Terminal()})

    assert played.stdout == "> Why?\n> So?\n\nSalt.\n\n"


# Conformance


async def test_the_conformance_suite(rxllm: Commands, tmp_path: Path) -> None:
    (tmp_path / "client_of_the_command.py").write_text("async def ask(url: str) -> str:\n    return 'It is late.'\n")
    listed = await rxllm("conformance", "--list", "--case", "Q2")
    ran = await rxllm("conformance", "client_of_the_command:ask", "--case", "Q30-nothing")
    helped = await rxllm("conformance", "--help")
    wrong = await rxllm("conformance", "nothing")
    (tmp_path / "broken_client_of_the_command.py").write_text("1 / 0")
    broken = await rxllm("conformance", "broken_client_of_the_command:ask")

    assert (listed.status, ran.status, helped.status, wrong.status) == (0, 1, 0, 2)
    assert listed.stdout.startswith("Q2 ")
    assert "usage: rxllm conformance" in helped.stdout
    assert (broken.status, broken.stderr) == (1, "rxllm: ZeroDivisionError: division by zero\n")
    assert "MODULE:FUNCTION is needed, not 'nothing'" in wrong.stderr
