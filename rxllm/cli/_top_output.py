"""Where ``rxllm top`` shows what it knows: once, as a document, or on a terminal until somebody leaves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from rxllm.cli._outcome import Status, say
from rxllm.cli._top_processes import Process, Processes
from rxllm.cli._top_table import NOBODY, Screen, shown

__all__ = ["show"]


def show(pid: int | None, interval: float, *, once: bool, as_json: bool) -> Status:
    """Look at processes, twice or until the user leaves, and show them.

    Args:
        pid: The only one to look at; ``None`` for all.
        interval: How many seconds there are between two looks.
        once: Whether two looks are enough, on a terminal, too.
        as_json: Whether to print a JSON document.
    """
    processes = Processes(pid)
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # where it cannot write all characters
    # One that can do nothing but write lines, as TERM=dumb says, cannot be drawn on.
    if not (once or as_json) and sys.stdout.isatty() and not Console().is_dumb_terminal:
        _draw(processes, interval)
    processes.look()
    if any(not process.is_over for process in processes.all):
        time.sleep(interval)
        processes.look()
    found = processes.all
    if as_json:
        # ASCII alone: what a process says reaches no terminal as it is.
        sys.stdout.write(json.dumps({"processes": [_described(each) for each in found]}) + "\n")
    elif found:
        sys.stdout.write(_drawn(shown(found)))
    if not found:
        say(NOBODY)
    return Status.WHOLE if any(not process.is_over for process in found) else Status.FAILED


def _drawn(body: RenderableType) -> str:
    """What the console would write, which would end the program itself where nobody reads."""
    console = Console(file=sys.stdout, highlight=False)
    with console.capture() as captured:
        console.print(body)
    return captured.get()


def _described(process: Process) -> dict[str, Any]:
    return {
        "pid": process.endpoint.pid,
        "state": process.state,
        "seconds": time.monotonic() - process.since,
        "remark": process.remark or None,
        "rates": {
            str(number): {"items_per_second": items, "bytes_per_second": size}
            for number, (items, size) in process.rates.items()
        },
        "report": None if process.report is None else msgspec.to_builtins(process.report),
    }


def _draw(processes: Processes, interval: float) -> NoReturn:
    """Draw until Ctrl-C."""
    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            processes.look()
            live.update(Screen(shown(processes.all)), refresh=True)
            time.sleep(interval)
