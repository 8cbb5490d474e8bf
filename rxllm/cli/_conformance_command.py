"""``rxllm conformance``: the same as ``python -m rxllm.testing.conformance``."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from rxllm.cli._outcome import Status, finish

HELP = """Run a client through what servers and networks really do.

\b
  rxllm conformance my_client:ask
  rxllm conformance --list
"""
# Its options are those of the other program, which says what they are.
SETTINGS: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def conformance(context: typer.Context) -> None:
    """Run the conformance suite."""

    def work() -> Status:
        from rxllm.testing.conformance import main  # noqa: PLC0415 - see chat

        # A program that was installed does not look in the folder that it was started in.
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as the path of modules has it
        return Status(main(context.args, program="rxllm conformance"))

    finish(work)
