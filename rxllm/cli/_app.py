"""The program ``rxllm``, with its commands."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    name="rxllm",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def run_app(arguments: Sequence[str] | None) -> int:
    """Run the program with these arguments; returns its exit status."""
    try:
        typer.main.get_command(app).main(arguments, prog_name="rxllm")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    raise AssertionError


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer's
    if value:
        typer.echo(f"rxllm {version('rxllm')}")
        raise typer.Exit


@app.callback()
def rxllm(
    *,
    shows_version: Annotated[
        bool, typer.Option("--version", help="Show the version, and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Streaming answers of language models, on the command line."""
