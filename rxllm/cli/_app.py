"""The program ``rxllm``, with its commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from rxllm.cli._chat_command import HELP as CHAT_HELP
from rxllm.cli._chat_command import chat
from rxllm.cli._conformance_command import HELP as CONFORMANCE_HELP
from rxllm.cli._conformance_command import SETTINGS, conformance
from rxllm.cli._outcome import Status, complain, say
from rxllm.cli._record_command import HELP as RECORD_HELP
from rxllm.cli._record_command import record
from rxllm.cli._replay_command import HELP as REPLAY_HELP
from rxllm.cli._replay_command import replay
from rxllm.cli._top import HELP as TOP_HELP
from rxllm.cli._top import top

_HELP = """Streaming answers of language models, on the command line.

\b
  rxllm chat --host ollama --model llama3.2
  rxllm chat "Why is the sea salty?"
  rxllm replay chats.db

"rxllm COMMAND --help" says more about a command. The exit status is 0 if all
is well, 1 if a server or a file failed or an answer was cut, 2 if the
command line is wrong, 130 after Ctrl-C, 143 after SIGTERM, 141 if nobody
reads the output.
"""

app = typer.Typer(
    name="rxllm",
    help=_HELP,
    no_args_is_help=True,
    # They would show variables, and so keys.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(help=CHAT_HELP)(chat)
app.command(help=REPLAY_HELP)(replay)
app.command(help=RECORD_HELP)(record)
app.command(help=TOP_HELP)(top)
app.command(help=CONFORMANCE_HELP, context_settings=SETTINGS)(conformance)


def run_app(arguments: Sequence[str] | None) -> int:
    """Run the program with these arguments; returns its exit status."""
    _open_what_is_closed()
    code: str | int | None = None
    try:
        typer.main.get_command(app).main(arguments, prog_name="rxllm")
    except SystemExit as leaving:
        # Help is written outside of any command, and typer has a status of its own where nobody reads that.
        code = Status.NOBODY_READS if isinstance(leaving.__context__, BrokenPipeError) else leaving.code
    except OSError as error:  # as it could not be written, on a disk that is full
        complain(error, debug=False)
        return Status.FAILED
    if isinstance(code, str):
        say(f"rxllm: {code}")
        return Status.USAGE
    return code or Status.WHOLE


def _open_what_is_closed() -> None:
    """Have a stdout and a stderr: a program that was started without them, as by ``>&-``, has none."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open for as long as the program runs: no other file must get its number.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's
    if value:
        typer.echo(f"rxllm {version('rxllm')}")
        raise typer.Exit


@app.callback()
def rxllm(
    *,
    shows_version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Show the version, and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Have options of its own."""
