"""``rxllm`` as a program of its own: Ctrl-C at a real terminal, and pipes that are closed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rxllm import list_recordings
from rxllm.testing import ScriptedServer, script
from tests.test_interrupts import ON_TERMINAL, rest_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX")

PROGRAM = (sys.executable, "-W", "error", "-m", "rxllm")
STALLS = [*script.words("Rivers carry"), script.stall()]
CTRL_C, CTRL_D = b"\x03", b"\x04"
# With a line end, behind which the prompt comes again if the signal came just before the wait for a key.
CTRL_C_AT_THE_PROMPT = b"\x03\n"

Start = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the program on a terminal that is its own."""
    processes: list[subprocess.Popen[bytes]] = []
    descriptors: list[int] = []

    def begin(*arguments: object) -> tuple[subprocess.Popen[bytes], int]:
        ours, theirs = os.openpty()
        command = [sys.executable, "-c", ON_TERMINAL, *PROGRAM, *map(str, arguments)]
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        processes.append(process)
        descriptors.append(ours)
        return process, ours

    yield begin
    for process in processes:
        process.kill()
        process.wait()
    for descriptor in descriptors:
        os.close(descriptor)


def typed(terminal: int, *plan: tuple[str, bytes]) -> str:
    """Type something behind each text, once that has come; gives all that was shown, to the end.

    What is typed at the last prompt is typed again at further ones: Python may look late at a signal that comes just
    before it waits for a key.
    """
    shown, looked_at = b"", 0
    steps = [(text.encode(), keys) for text, keys in plan]
    while more := _read(terminal):
        shown += more
        while steps and (place := shown.find(steps[0][0], looked_at)) >= 0:
            text, keys = steps.pop(0)
            looked_at = place + len(text)
            os.write(terminal, keys)
            if not steps and text == b"> ":
                steps.append((text, keys))
    return shown.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the end
        return b""


async def test_ctrl_c_stops_the_answer_and_then_the_program(start: Start, tmp_path: Path) -> None:
    async with ScriptedServer(STALLS, "Salt.") as server:
        process, terminal = start("chat", "--base-url", server.base_url, "--store", "chats.db")
        shown = await asyncio.to_thread(
            typed,
            terminal,
            *[("> ", b"Why?\n"), ("carry", CTRL_C), ("> ", b"So?\n"), ("Salt.", b""), ("> ", CTRL_C_AT_THE_PROMPT)],
        )
        await server.requests[0].peer_left.wait()
        status = await asyncio.to_thread(process.wait)

    assert status == 130
    assert "■ stopped" in shown
    assert "Traceback" not in shown
    # What had come of the answer is part of the conversation.
    assert b'"content":"Rivers carry"' in server.requests[1].body.replace(b": ", b":")
    assert [info.ending for info in list_recordings(tmp_path / "chats.db")] == ["cancelled", "completed"]


async def test_ctrl_d_ends_the_chat(start: Start) -> None:
    process, terminal = start("chat", "--base-url", "http://127.0.0.1:9")
    shown = await asyncio.to_thread(typed, terminal, ("> ", CTRL_D))

    assert await asyncio.to_thread(process.wait) == 0
    assert "Traceback" not in shown


async def test_ctrl_c_while_somebody_is_asked_runs_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def touch(path: str) -> str:\n    open(path, 'w').close()\n    return 'done'\n")
    call = script.answer(script.tool_call("touch", {"path": str(tmp_path / "touched")}, id="call_1"))
    async with ScriptedServer(call, "Salt.") as server:
        process, terminal = start("chat", "--base-url", server.base_url, "--tools", "mine.py")
        plan = [("> ", b"Touch it.\n"), ("[N]o: ", CTRL_C), ("> ", b"yes\n"), ("Salt.", b""), ("> ", CTRL_D)]
        await asyncio.to_thread(typed, terminal, *plan)

        assert await asyncio.to_thread(process.wait) == 0
        # The line behind it is a question, and no answer to what was asked before.
        assert b'"yes"' in server.requests[1].body
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_tool_that_never_returns_keeps_nobody_who_is_impatient(
    number: int, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "import threading\n\ndef wait() -> str:\n    open('begun', 'w').close()\n    threading.Event().wait()\n"
    )
    call = script.answer(script.tool_call("wait", {}, id="call_1"))
    async with ScriptedServer(call) as server:
        process, terminal = start("chat", "Wait.", "--base-url", server.base_url, "--tools", "mine.py", "--yes")
        reading = asyncio.create_task(asyncio.to_thread(rest_of, terminal))
        async with asyncio.timeout(60):
            while not (tmp_path / "begun").exists():
                await asyncio.sleep(0)
            while process.poll() is None:
                process.send_signal(number)
                await asyncio.sleep(0)
        await reading

    assert process.returncode in {128 + number, -number}


@pytest.mark.parametrize("command", ["chat", "replay"])
async def test_ctrl_c_ends_a_command(command: str, start: Start, tmp_path: Path) -> None:
    async with ScriptedServer(STALLS) as server:
        arguments: tuple[object, ...] = ("Why?", "--base-url", server.base_url)
        if command == "replay":
            (tmp_path / "long.jsonl").write_text(LONG)
            arguments = ("long.jsonl",)
        process, terminal = start(command, *arguments)
        shown = await asyncio.to_thread(typed, terminal, ("carry", CTRL_C))

        assert await asyncio.to_thread(process.wait) == 130
    assert "■ stopped" in shown
    assert "Traceback" not in shown


LONG = """\
{"stream":"a","record":"begin","version":1,"began":"2026-01-01T00:00:00+00:00"}
{"stream":"a","record":"item","position":0,"seconds":0.0,"kind":"text","value":"Rivers carry"}
{"stream":"a","record":"item","position":1,"seconds":3600.0,"kind":"text","value":" salt"}
"""


async def test_a_chat_that_is_terminated_in_an_answer_keeps_what_came_and_ends(start: Start, tmp_path: Path) -> None:
    async with ScriptedServer(STALLS) as server:
        process, terminal = start("chat", "--base-url", server.base_url, "--store", "chats.db")
        shown = asyncio.create_task(asyncio.to_thread(typed, terminal, ("> ", b"Why?\n")))
        while not server.requests or server.requests[0].chunks_written < 2:
            await asyncio.sleep(0)
        process.send_signal(signal.SIGTERM)

        assert await asyncio.to_thread(process.wait) == 143
        assert "■ stopped" in await shown
    assert [info.ending for info in list_recordings(tmp_path / "chats.db")] == ["cancelled"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_recording_of_what_was_stopped_is_kept(number: int, status: int, start: Start, tmp_path: Path) -> None:
    async with ScriptedServer(STALLS) as server:
        process, terminal = start("record", server.url, "--out", "bug.jsonl", "--data", '{"stream": true}')
        while not server.requests or server.requests[0].chunks_written < 2:
            await asyncio.sleep(0)
        while b"carry" not in (tmp_path / "bug.jsonl").read_bytes():
            await asyncio.sleep(0)
        process.send_signal(number)
        shown = (await asyncio.to_thread(rest_of, terminal)).decode()

        assert await asyncio.to_thread(process.wait) == status
    assert "stopped: bug.jsonl has what had arrived" in shown
    assert (tmp_path / "bug.jsonl").read_text().rstrip().endswith('"ending":"left"}')


async def test_whoever_reads_may_leave() -> None:
    async with ScriptedServer("Salt. " * 500, delay_per_chunk=0.001) as server:
        status, read, complaints = await asyncio.to_thread(
            read_and_leave, *PROGRAM, "chat", "Why?", "--base-url", server.base_url
        )

    assert (status, read, complaints) == (141, b"Salt.", b"")


def read_and_leave(*command: str) -> tuple[int, bytes, bytes]:
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read = os.read(process.stdout.fileno(), 5)
        process.stdout.close()
        return process.wait(), read, process.stderr.read()
