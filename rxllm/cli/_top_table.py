"""What ``rxllm top`` shows: processes, and in each a table of its streams.

What a process says is made harmless here, and none of it is markup.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rxllm.cli._top_processes import Process, Rates
from rxllm.harmless import harmless
from rxllm.telemetry import Hold, LoopReport, Report, StageReport, StreamReport

__all__ = ["Screen", "shown"]

NOBODY = (
    "No process to look at. Call rxllm.telemetry.inspect() when your program begins, and run it as the same user "
    "as this one."
)

_LONGEST_NAME = 100
# From how many seconds without an answer on a loop counts as standing still: a long callback is no reason to worry.
_STANDS_STILL = 0.5
_IS_SILENT = 1.0
# So wide that `buffer_with_backpressure(100)` stands in one line on both sides, where a line has 80 characters.
_WAITING_WIDTH = 10
_LENGTHS = (("d", 86_400, 172_800), ("h", 3_600, 7_200), ("min", 60, 100))
_LONGEST = 1e9
_THOUSAND = 999.5
_SECONDS_WIDTH = 6


def shown(processes: Sequence[Process]) -> RenderableType:
    """All there is to show."""
    if not processes:
        return Text(NOBODY)
    parts: list[RenderableType] = []
    for process in processes:
        if parts:
            parts.append(Text())
        parts += _process(process)
    return Group(*parts)


class Screen:
    """As much of it as the terminal has room for; the last line says how much is left out."""

    def __init__(self, body: RenderableType) -> None:
        self._body = body

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._body, options.update(height=None), pad=False)
        height = options.height or console.height
        if len(lines) > height:
            left = Text(f"… {len(lines) - height + 1} more lines: rxllm top --once shows all", style="dim")
            lines = [*lines[: height - 1], *console.render_lines(left, options, pad=False)[:1]]
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line


def _process(process: Process) -> Iterable[RenderableType]:
    seconds = time.monotonic() - process.since
    report = process.report
    head = Text(str(process.endpoint.pid), style="bold")
    if report is not None:
        head.append(f" {_name(report.program)}", style="bold")
    if process.is_over:
        told = "is gone" if process.state == "gone" else "has closed its inspection"
        noticed = f", noticed {_seconds(seconds)} ago" if seconds >= 1 else ""
        yield head.append(f"  {told}{noticed}", style="bold red" if process.state == "gone" else "")
        return
    if process.state == "odd":
        yield head.append(f"  {_name(process.remark)}", style="red")
        return
    if process.state == "silent":
        head.append(f"  does not answer for {_seconds(seconds)}", style="bold red")
        head.append(": the process is stopped, or native code holds the lock of the interpreter", style="red")
    if report is None:
        yield head
        return
    yield head.append(f"  {_summary(report)}")
    for loop in report.loops:
        if loop.silent >= _STANDS_STILL:
            yield _standing(loop)
    if report.streams:
        yield _row(*(Text(heading, style="dim") for heading in ("where", "waiting", "held by", "for")))
    for stream in report.streams:
        yield from _stream(stream, process.rates.get(stream.number, (None, None)))


def _summary(report: Report) -> str:
    count = len(report.streams) + max(0, report.more)
    held = sum(any(_holds(stream)) for stream in report.streams)
    text = "1 stream" if count == 1 else f"{count} streams"
    if held:
        text += f", {held} held"
    if report.more > 0:
        text += f"; {report.more} not shown"
    return text


def _holds(stream: StreamReport) -> Iterable[Hold]:
    for source in stream.sources:
        yield from source.holds
    for stage in stream.stages:
        yield from stage.holds


def _standing(loop: LoopReport) -> Text:
    text = Text("  the event loop of ", style="bold red")
    text.append(f"{_name(loop.thread)} stands still for {_seconds(loop.silent)}")
    if loop.at:
        text.append(f": {', from '.join(map(_name, loop.at))}")
    elif not loop.running:
        text.append(": it does not run")
    return text


def _stream(stream: StreamReport, rates: Rates) -> Iterable[RenderableType]:
    yield Text.assemble((f"{stream.number} {_title(stream)}", "bold"), (f"  {_course(stream, rates)}", "dim"))
    for source in stream.sources:
        yield _row(Text(f" {_name(source.name)}"), Text(), *_held(source.holds))
    for stage in stream.stages:
        yield _row(Text(f" {_name(stage.name)}"), Text(_waiting(stage)), *_held(stage.holds))
    if stream.text is not None:
        yield Text(f" “{harmless(stream.text, _LONGEST_NAME)}”", style="italic")


def _row(where: Text, waiting: Text, holders: Text, seconds: Text) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1, overflow="fold")
    table.add_column(width=_WAITING_WIDTH, justify="right", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(width=_SECONDS_WIDTH, justify="right", no_wrap=True)
    table.add_row(where, waiting, holders, seconds)
    return table


def _course(stream: StreamReport, rates: Rates) -> str:
    """Its age, what comes, and for how long nothing has come although nobody holds it."""
    items, size = rates
    told = [f"{_seconds(stream.seconds)} old"]
    if items is not None:
        told.append(f"{_count(items)} items/s")
    if size is not None:
        told.append(f"{_count(size)} B/s")
    silent = [each.silent for each in stream.sources if each.silent is not None and not each.holds]
    if silent and min(silent) >= _IS_SILENT:
        told.append(f"nothing came for {_seconds(min(silent))}")
    return ", ".join(told)


def _title(stream: StreamReport) -> str:
    """What tells the stream from others."""
    titles: list[str] = []
    for source in stream.sources:
        told = _name(source.model or source.name)
        if source.host:
            told += f" @ {_name(source.host)}"
        titles.append(f"{told} (try {source.attempt})" if source.attempt > 1 else told)
    without = "waiting" if any(_holds(stream)) else "no source of rxllm"
    return ", ".join(dict.fromkeys(titles)) or without


def _waiting(stage: StageReport) -> str:
    waiting, size = stage.waiting, stage.size
    if stage.unit == "bytes":
        text = f"{_count(waiting)}{'' if size is None else f'/{_count(size)}'} B"
    else:
        text = str(waiting) if size is None else f"{waiting}/{size}"
    if stage.size is None and not stage.waiting:
        return ""
    return f"{text} -{stage.dropped}" if stage.dropped else text


def _held(holds: Sequence[Hold]) -> tuple[Text, Text]:
    """The holders, those that have held longest first, and for how long the first."""
    ordered = sorted(holds, key=lambda hold: -hold.seconds)
    names = list(dict.fromkeys(_name(hold.by) for hold in ordered))
    seconds = _seconds(ordered[0].seconds) if ordered else ""
    return Text(", ".join(names), style="yellow"), Text(seconds, style="yellow")


def _name(text: str) -> str:
    return harmless(text, _LONGEST_NAME)


def _seconds(seconds: float) -> str:
    for name, size, length in _LENGTHS:
        if seconds >= length:
            return f"{min(seconds, _LONGEST) / size:.0f} {name}"
    return f"{seconds:.1f} s"


def _count(number: float) -> str:
    """Three figures, and a letter for thousands, millions and so on."""
    for unit in ("", "k", "M"):
        if number < _THOUSAND:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{min(number, _LONGEST):.0f}G"
