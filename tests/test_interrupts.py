"""Ctrl-C, and a reader that leaves: programs of users, and the examples, end with what there is and no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rxllm
from tests.thorough import FULL

EXAMPLES = Path(__file__).parents[1] / "examples"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "OPENAI_", "RXLLM_"))},
    "PYTHONIOENCODING": "utf-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHON_COLORS": "0",  # tracebacks on a terminal
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

STALLS = """
import sys
import rxllm
from rxllm import LLMClient, operators as ops
from rxllm.sinks import SQLiteSink
from rxllm.testing import ScriptedServer, script

async def main():
    async with ScriptedServer([*script.words("one two"), script.stall()]) as server:
        async with LLMClient(base_url=server.base_url) as client:
            chunks = client.chat_stream(model="m", messages=[{"role": "user", "content": "q"}])
            await chunks.pipe(ops.tee_to_display(), ops.tee_to(SQLiteSink(sys.argv[1])), ops.accumulate())
"""
RUNS = f"{STALLS}\nrxllm.run(main())\n"
TRIES = (
    f"{STALLS}\ntry:\n    rxllm.run(main())\nexcept KeyboardInterrupt as error:\n    print('left', error.__context__)\n"
)


def read_until(descriptor: int, text: bytes) -> bytes:
    """What comes up to a text."""
    read = b""
    while text not in read:
        more = _read(descriptor)
        assert more, read
        read += more
    return read


def rest_of(descriptor: int) -> bytes:
    return b"".join(iter(lambda: _read(descriptor), b""))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the end of a terminal
        return b""


class Program:
    """A program that runs, its output, and the way to interrupt it."""

    def __init__(self, process: subprocess.Popen[bytes], output: int, *, on_terminal: bool) -> None:
        self._process = process
        self._output = output
        self.on_terminal = on_terminal

    def shows_if_typed(self, *plan: tuple[str, str]) -> str:
        """What it prints in all if a line is typed behind each text."""
        read = b""
        for text, typed in plan:
            read += read_until(self._output, text.encode())
            os.write(self._output, typed.encode())
        return (read + rest_of(self._output)).decode()

    def stopped_behind(self, text: str) -> tuple[str, int]:
        """What it prints in all if it is interrupted behind a text, and its exit code."""
        read = read_until(self._output, text.encode())
        if self.on_terminal:
            os.write(self._output, b"\x03")
        else:
            self._process.send_signal(signal.SIGINT)
        read += rest_of(self._output)
        return read.decode(), self._process.wait()


Start = Callable[..., Program]
# Makes the terminal that it is started with its own, so that Ctrl-C typed there is a signal.
ON_TERMINAL = """
import os, sys
os.setsid()
os.close(os.open(os.ttyname(0), os.O_RDWR))
os.execv(sys.argv[1], sys.argv[1:])
"""


WAYS = ("pipe", "terminal")


@pytest.fixture(params=WAYS)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts programs that write to a pipe, and are sent a signal; or on a terminal, where Ctrl-C is typed."""
    processes: list[subprocess.Popen[bytes]] = []
    descriptors: list[int] = []
    on_terminal = request.param == "terminal"

    def begin(*arguments: str | Path) -> Program:
        if on_terminal:
            ours, theirs = os.openpty()
            command = [sys.executable, "-c", ON_TERMINAL, sys.executable, "-W", "error", *arguments]
            stdin = theirs
        else:
            ours, theirs = os.pipe()
            command = [sys.executable, "-W", "error", *arguments]
            stdin = subprocess.DEVNULL
        environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=stdin, stdout=theirs, stderr=theirs)
        os.close(theirs)
        processes.append(process)
        descriptors.append(ours)
        return Program(process, ours, on_terminal=on_terminal)

    yield begin
    for process in processes:
        process.kill()
        process.wait()
    for descriptor in descriptors:
        os.close(descriptor)


def test_run_ends_with_what_there_is_and_a_traceback_of_ones_own(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    printed, code = start("-c", RUNS, path).stopped_behind("one two")

    assert code == -signal.SIGINT
    assert "CancelledError" not in printed
    assert "asyncio" not in printed
    assert printed.count("File ") <= 2
    assert printed.rstrip().endswith("KeyboardInterrupt")
    (recording,) = rxllm.list_recordings(path)
    assert (recording.items, recording.ending) == (2, "cancelled")


def test_what_runs_it_may_go_on(start: Start, tmp_path: Path) -> None:
    printed, code = start("-c", TRIES, tmp_path / "chats.db").stopped_behind("one two")
    assert code == 0
    assert printed.rstrip().endswith("left None")


def test_the_interrupt_says_nothing_of_the_loop() -> None:
    async def is_interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt) as caught:
        rxllm.run(is_interrupted())
    assert caught.value.__context__ is None


def test_an_interrupt_that_somebody_raised_keeps_its_traceback() -> None:
    async def raises() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt("mine")

    with pytest.raises(KeyboardInterrupt, match="mine"):
        rxllm.run(raises())


# Where in its output an example is interrupted, in the middle of an answer.
IN_THE_MIDDLE = {
    "agent": "Two notes",
    "browser_chat": "runs get_weather",
    "custom_operator": "read out: The moon",
    "display_and_persist": "Rain takes",
    "fastapi_chat": "Read it with",
    "resilient_chat": "   Blue light",
    "slow_database": "stored ",
    "structured_output": "step 1: Whisk",
    "tool_calls": "In Paris",
    "two_processes": "reader 1  The moon",
    "websocket_chat": "The sea",
    "wrap_another_sdk": "Any stream",
}


# Each in one of the two ways, one after the other; or in both.
STOPPED = [
    (name, way) for place, name in enumerate(IN_THE_MIDDLE) for way in WAYS if FULL or way == WAYS[place % len(WAYS)]
]


@pytest.mark.parametrize(("name", "start"), STOPPED, indirect=["start"])
def test_an_example_is_stopped_with_what_there_is(name: str, start: Start) -> None:
    stop_in_the_middle(start, name, IN_THE_MIDDLE[name])


@pytest.mark.parametrize("start", ["terminal"], indirect=True)
def test_an_example_that_draws_is_stopped_with_what_there_is(start: Start) -> None:
    """Where it cannot draw anew it shows nothing before the end."""
    stop_in_the_middle(start, "providers", " in (0 cached)")


def stop_in_the_middle(start: Start, name: str, text: str) -> None:
    program = start(EXAMPLES / f"{name}.py")
    printed, code = program.stopped_behind(text)

    assert code == 130, printed
    assert "Traceback" not in printed
    assert "Exception" not in printed
    assert "… stopped" in printed


@pytest.mark.parametrize("start", ["terminal"], indirect=True)
@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_yes_that_is_typed_before_the_agent_asks_is_none(start: Start, answer: str) -> None:
    printed = start(EXAMPLES / "agent.py").shows_if_typed(("Two notes", "y\n"), ("[y/N] ", f"{answer}\n"))
    assert "4 turns" in printed
    assert ("\r\ntodo.md\r\n" in printed) == (answer == "y")


def test_an_example_that_is_still_being_loaded_is_stopped_quietly() -> None:
    loading = "import sys; sys.path.insert(0, sys.argv[1]); import _running; raise KeyboardInterrupt"
    program = subprocess.run(
        [sys.executable, "-c", loading, EXAMPLES],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=ENVIRONMENT,
        check=False,
    )

    assert program.stdout.strip() == "… stopped"
    assert program.returncode == -signal.SIGINT


@pytest.mark.parametrize("name", [*IN_THE_MIDDLE, "providers"])
def test_whoever_reads_an_example_may_leave(name: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
    ) as example:
        assert example.stdout is not None
        assert example.stderr is not None
        assert example.stdout.readline()
        example.stdout.close()
        complaints = example.stderr.read().decode()

    assert complaints == ""
    assert example.returncode == 141
