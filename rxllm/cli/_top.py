"""``rxllm top``."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from rxllm.cli._options import Debug
from rxllm.cli._outcome import Status, finish

HELP = """Show the streams of running programs: what waits where, and who holds.

A program is shown when it has called "rxllm.telemetry.inspect()" and runs
as the same user. Rates are those between two looks. The exit status is 1
if no program is there to be looked at.

\b
  rxllm top
  rxllm top --once --pid 4242
  rxllm top --json
"""

Pid: TypeAlias = Annotated[
    int | None, typer.Option("--pid", metavar="PID", min=1, help="Look at this process only.", show_default=False)
]
Interval: TypeAlias = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600, help="How long between two looks.")
]
Once: TypeAlias = Annotated[bool, typer.Option("--once", metavar="", help="Print it once and exit.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON document and exit.")]


def top(
    *, pid: Pid = None, interval: Interval = 1.0, once: Once = False, as_json: AsJson = False, debug: Debug = False
) -> None:
    """See ``HELP``."""

    def work() -> Status:
        from rxllm.cli._top_output import show  # noqa: PLC0415 - other commands do without

        return show(pid, interval, once=once, as_json=as_json)

    finish(work, debug=debug)
