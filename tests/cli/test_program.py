"""The program itself: its help, its version, and how it ends."""

from __future__ import annotations

import errno
import io
import os
import runpy
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import rxllm as library
from rxllm.cli import main
from tests.cli.commands import Commands, NobodyReads

COMMANDS = ["chat", "replay", "record", "conformance"]


async def test_the_version(rxllm: Commands) -> None:
    shown = await rxllm("--version")

    assert (shown.status, shown.stdout) == (0, f"rxllm {version('rxllm')}\n")


async def test_the_help_names_each_command_and_the_exit_statuses(rxllm: Commands) -> None:
    shown = await rxllm("--help")

    assert shown.status == 0
    for word in (*COMMANDS, "130", "141"):
        assert word in shown.stdout


@pytest.mark.parametrize("command", COMMANDS[:3])
async def test_the_help_of_a_command_has_examples_and_fits_in_80_columns(rxllm: Commands, command: str) -> None:
    shown = await rxllm(command, "--help")

    assert shown.status == 0
    assert f"  rxllm {command} " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    # A line that is broken anew, a word of it alone in the next one, is a line of ours that is too long.
    first = shown.stdout.partition("╭")[0]
    assert all(len(line.split()) != 1 for line in first.splitlines())


@pytest.mark.parametrize("arguments", [["nonsense"], ["chat", "--nonsense"], ["replay"], ["record", "http://host"]])
async def test_a_wrong_command_line_is_status_2(rxllm: Commands, arguments: list[str]) -> None:
    shown = await rxllm(*arguments)

    assert shown.status == 2
    assert "Traceback" not in shown.stderr


def test_it_is_a_program_and_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = entry_points(group="console_scripts", name="rxllm") or [None]
    assert program is None or program.load() is main
    monkeypatch.setattr(sys, "argv", ["rxllm", "--version"])

    with pytest.raises(SystemExit) as left:
        # By its path: pytest's hook for imports is no loader that runpy can read from.
        runpy.run_path(str(Path(library.__file__).with_name("__main__.py")), run_name="__main__")

    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("rxllm ")


def test_without_the_extra_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)

    assert main(["chat", "Hello"]) == 2
    assert capsys.readouterr().err == "rxllm: the command line needs an extra: pip install 'rxllm[cli]'\n"


def test_without_the_extra_it_has_a_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.setattr(sys, "argv", ["rxllm", "--version"])

    assert main() == 0
    assert capsys.readouterr().out == f"rxllm {version('rxllm')}\n"


def test_help_imports_none_of_the_library() -> None:
    code = (
        "import sys\nfrom rxllm.cli import main\nmain(['chat', '--help'])\n"
        "sys.exit(repr({'aiohttp', 'reactivex', 'rxllm.client'} & {*sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ended.stderr == "set()\n"


class Interrupted(io.StringIO):
    def write(self, _: str) -> int:
        raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [["--help"], ["chat", "--help"], []])
def test_nobody_reads_the_help(arguments: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "rxllm", *arguments]
    ended = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)

    assert (ended.returncode, ended.stderr) == (141, "")


async def test_ctrl_c_before_a_command_has_begun(rxllm: Commands) -> None:
    assert (await rxllm("--version", streams={"stdout": Interrupted()})).status == 130


async def test_ctrl_c_while_it_is_loaded(rxllm: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("rxllm.cli._app.run_app", interrupted)

    assert (await rxllm("--version")).status == 130


class Full(io.StringIO):
    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_disk_that_is_full(rxllm: Commands, tmp_path: Path) -> None:
    (tmp_path / "text.jsonl").write_text(
        '{"stream":"a","record":"begin","version":1,"began":"2026-01-01T00:00:00+00:00"}\n'
    )
    ended = await rxllm("replay", "text.jsonl", "--list", streams={"stdout": Full()})

    assert (ended.status, ended.stderr) == (1, "rxllm: No space left on device\n")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["top", "--help"]])
async def test_a_disk_that_is_full_where_no_command_has_begun(rxllm: Commands, arguments: list[str]) -> None:
    ended = await rxllm(*arguments, streams={"stdout": Full()})

    assert (ended.status, ended.stderr) == (1, "rxllm: No space left on device\n")


def test_it_may_be_started_without_stdout_and_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    assert main(["replay", "nothing"]) == 1

    for file in (sys.stdout, sys.stderr):
        file.close()


async def test_nobody_reads_what_it_complains_about(rxllm: Commands) -> None:
    assert (await rxllm("replay", "nothing", streams={"stderr": NobodyReads()})).status == 1
