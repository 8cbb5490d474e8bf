"""What ``rxllm top`` knows of the processes that can be asked.

Rules:

1. Nothing that a process says is trusted: its answer is bounded and checked, and what it is called is made harmless
   where it is shown.
2. A process that was seen once does not vanish: it does not answer, it has closed its inspection, or it is gone.
3. All are asked at the same time. One that does not answer holds up the others for ``PATIENCE_SECONDS``, no longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from rxllm.telemetry import FORMAT, Endpoint, Report, StreamReport, ask, endpoints

__all__ = ["Process", "Processes", "Rates", "State"]

PATIENCE_SECONDS = 1.0
"""How long a process may take to answer."""

MOST_GONE = 10
"""How many processes that are gone, or have closed, are remembered."""

_AT_A_TIME = 32

State: TypeAlias = Literal["alive", "silent", "closed", "gone", "odd"]
"""A process answers with a report, gives no answer, has stopped answering on purpose, has ended, or sends nonsense."""

Rates: TypeAlias = tuple[float | None, float | None]
"""Items and bytes a second; ``None`` where that is not known."""

_Counts: TypeAlias = dict[int, tuple[int, int | None]]
_NOTHING = (0, None)


class _Versioned(msgspec.Struct):
    format: int


@dataclass
class Process:
    """One that was found.

    Attributes:
        endpoint: Where it is asked.
        state: What it does.
        since: Since when, by ``time.monotonic()``.
        remark: What is odd about it.
        report: The last that it said.
        rates: How much each of its streams has given since the report before.
    """

    endpoint: Endpoint
    state: State = "silent"
    since: float = field(default_factory=time.monotonic)
    remark: str = ""
    report: Report | None = None
    rates: dict[int, Rates] = field(default_factory=dict[int, "Rates"])

    @property
    def is_over(self) -> bool:
        """Whether it will not answer any more."""
        return self.state in {"gone", "closed"}

    def become(self, state: State, remark: str = "") -> None:
        """Note what it does now."""
        if state != self.state:
            self.since = time.monotonic()
        self.state, self.remark = state, remark

    def take(self, report: Report) -> None:
        """Note what it says."""
        before = self.report
        self.rates = {} if before is None else {each.number: _rates(before, report, each) for each in report.streams}
        self.report = report
        self.become("alive")
        self.since = time.monotonic()


class Processes:
    """Those of this user that have called ``rxllm.telemetry.inspect``.

    Args:
        pid: The only one that is looked at; ``None`` for all.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid
        self._known: dict[str, Process] = {}

    @property
    def all(self) -> list[Process]:
        """Those that were found, by their numbers; first those that go on."""
        return sorted(self._known.values(), key=lambda each: (each.is_over, each.endpoint.pid, each.endpoint.path))

    def look(self) -> None:
        """Ask all of them."""
        for endpoint in endpoints():
            if self._pid in {None, endpoint.pid}:
                self._known.setdefault(str(endpoint.path), Process(endpoint))
        asked = [each for each in self._known.values() if not each.is_over]
        if asked:
            with ThreadPoolExecutor(min(len(asked), _AT_A_TIME)) as pool:
                answers = list(pool.map(_answer, asked))
            for note in answers:
                note()
        over = sorted((each for each in self._known.values() if each.is_over), key=lambda each: each.since)
        for each in over[:-MOST_GONE]:
            del self._known[str(each.endpoint.path)]


def _answer(process: Process) -> Callable[[], None]:
    """Ask a process; returns what notes the answer."""
    endpoint = process.endpoint
    try:
        report = _report_of(ask(endpoint, PATIENCE_SECONDS))
    except TimeoutError:
        return lambda: process.become("silent")
    except (ConnectionRefusedError, FileNotFoundError) as error:
        left = isinstance(error, ConnectionRefusedError)
        if left:
            with suppress(OSError):
                endpoint.path.unlink()
        return lambda: process.become("gone" if left or not _exists(endpoint.pid) else "closed")
    except (OSError, ValueError) as error:
        remark = str(error)
        return lambda: process.become("odd", remark)
    return lambda: process.take(report)


def _report_of(answer: bytes) -> Report:
    """What a process says.

    Raises:
        ValueError: It is not a report, or one of a later version.
    """
    if not answer:
        raise ValueError("it has closed the connection without an answer")
    try:
        if msgspec.json.decode(answer, type=_Versioned).format > FORMAT:
            raise ValueError("it runs a newer rxllm: update this one")
        return msgspec.json.decode(answer, type=Report)
    except msgspec.DecodeError as error:
        raise ValueError(f"its answer is not a report: {error}") from error


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _counts(stream: StreamReport) -> _Counts:
    return {source.number: (source.items, source.bytes) for source in stream.sources}


def _rates(before: Report, now: Report, stream: StreamReport) -> Rates:
    """What the sources of a stream have given a second, between two reports."""
    seconds = now.seconds - before.seconds
    if seconds <= 0 or not stream.sources:
        return None, None
    known: _Counts = {}
    for each in before.streams:
        known.update(_counts(each))
    counts = _counts(stream)
    items = sum(count - known.get(number, _NOTHING)[0] for number, (count, _) in counts.items())
    sizes = [size - (known.get(number, _NOTHING)[1] or 0) for number, (_, size) in counts.items() if size is not None]
    return items / seconds, sum(sizes) / seconds if sizes else None
