"""``rxllm replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from rxllm.cli._options import Debug, Style, StyleOption
from rxllm.cli._outcome import Status, finish

HELP = """Play a recording again: what was said, as fast as it came.

FILE is what "rxllm chat" wrote with --store or --record, or "rxllm record",
or a program with SQLiteSink, JSONLinesSink, SQLiteLog or record=. What was
cut is shown as far as it came, and fails again.

\b
  rxllm replay chats.db --list
  rxllm replay chats.db --speed 2
  rxllm replay bug.jsonl --fast --json
"""

File: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="The recording.", show_default=False)]
Name: TypeAlias = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The stream to play; by default the last one.", show_default=False),
]
Lists: TypeAlias = Annotated[bool, typer.Option("--list", metavar="", help="List the streams in the file.")]
Speed: TypeAlias = Annotated[
    float, typer.Option("--speed", metavar="X", min=0, help="The speed, 1 as recorded; 0 is at once.")
]
Fast: TypeAlias = Annotated[bool, typer.Option("--fast", metavar="", help="At once, like --speed 0.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", metavar="", help="Print chunks as lines of JSON.")]
DialectName: TypeAlias = Annotated[
    str, typer.Option("--dialect", metavar="NAME", help="What the server of a wire recording spoke.")
]


def replay(
    file: File,
    *,
    lists: Lists = False,
    name: Name = None,
    speed: Speed = 1.0,
    fast: Fast = False,
    as_json: AsJson = False,
    dialect: DialectName = "auto",
    style: StyleOption = Style.AUTO,
    debug: Debug = False,
) -> None:
    """Play a recording."""

    def work() -> Status:
        from rxllm.cli._replaying import Recording, list_streams, play, print_chunks  # noqa: PLC0415 - see chat

        recording = Recording(file, name, dialect)
        if lists:
            return list_streams(recording)
        stream = recording.stream(0.0 if fast else speed)
        return print_chunks(stream) if as_json else play(stream, style.value)

    finish(work, debug=debug)
