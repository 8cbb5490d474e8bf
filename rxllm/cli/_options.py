"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class Style(StrEnum):
    """How an answer is shown: see ``operators.tee_to_display``."""

    AUTO = "auto"
    PLAIN = "plain"
    RICH = "rich"


DISPLAY = "Display"

# Without a metavar, since typer would show the type of a switch.
Debug: TypeAlias = Annotated[bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.")]
StyleOption: TypeAlias = Annotated[
    Style,
    typer.Option("--style", metavar="STYLE", help="auto, plain or rich: Markdown that grows.", rich_help_panel=DISPLAY),
]
