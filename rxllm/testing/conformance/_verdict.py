"""What is said of a client: of one run, of a case, of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rxllm.testing.conformance._case import Case
from rxllm.testing.conformance._quirks import QUIRKS, Quirk

__all__ = ["Finding", "Outcome", "Report", "Verdict", "matrix"]

Outcome: TypeAlias = Literal["pass", "fail", "not applicable"]
"""How a client did in a case."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run showed.

    Attributes:
        outcome: Whether it went well.
        reason: Why not, or why it says nothing.
    """

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a client in one case.

    Attributes:
        case: The case.
        outcome: Whether the client did what a correct client does.
        reason: What it did instead, or why the case does not apply to it.
    """

    case: Case
    outcome: Outcome
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.case.id} ({self.case.title}): {self.outcome}{self.reason and f': {self.reason}'}"


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a client in all cases. ``str`` gives a table in Markdown.

    Attributes:
        client: Its name.
        verdicts: One for each case.
    """

    client: str
    verdicts: tuple[Verdict, ...]

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """The verdicts of the cases in which the client failed."""
        return tuple(each for each in self.verdicts if each.outcome == "fail")

    def by_quirk(self) -> dict[Quirk, tuple[Verdict, ...]]:
        """The verdicts by row of the catalogue, in its order; rows without a case are left out."""
        rows: dict[Quirk, list[Verdict]] = {quirk: [] for quirk in QUIRKS.values()}
        for verdict in self.verdicts:
            rows[verdict.case.quirk].append(verdict)
        return {quirk: tuple(verdicts) for quirk, verdicts in rows.items() if verdicts}

    def count(self, outcome: Outcome) -> int:
        """How many cases had this outcome."""
        return sum(each.outcome == outcome for each in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data: ``client``, ``cases`` (``id``, ``title``, ``outcome``, ``reason``)."""
        cases = [
            {"id": each.case.id, "title": each.case.title, "outcome": each.outcome, "reason": each.reason}
            for each in self.verdicts
        ]
        return {"client": self.client, "cases": cases}

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(outcome)} {outcome}" for outcome in ("pass", "fail", "not applicable"))
        rows = [(each.case.id, each.case.title, each.outcome, each.reason) for each in self.verdicts]
        return f"{self.client}: {counts}\n\n{_table(('case', 'what happens', 'outcome', 'why'), rows)}"


def matrix(reports: Iterable[Report]) -> str:
    """Several clients side by side: a table in Markdown, rows of the catalogue by clients.

    A cell says ``pass``; how many of the row's cases passed; ``fail``; or ``n/a``.

    Args:
        reports: One for each client, all with the same cases.
    """
    held = list(reports)
    by_quirk = [report.by_quirk() for report in held]
    quirks = [quirk for quirk in QUIRKS.values() if any(quirk in each for each in by_quirk)]
    rows = [(quirk.id, quirk.name, *(_cell(each.get(quirk, ())) for each in by_quirk)) for quirk in quirks]
    return _table(("row", "what happens", *(report.client for report in held)), rows)


def _cell(verdicts: tuple[Verdict, ...]) -> str:
    counted = [each.outcome == "pass" for each in verdicts if each.outcome != "not applicable"]
    if not counted:
        return "n/a"
    if all(counted):
        return "pass"
    return f"**{sum(counted)} of {len(counted)}**" if any(counted) else "**fail**"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(_lines(head, rows))


def _lines(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_escaped, head))} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_escaped, row))} |"


def _escaped(cell: str) -> str:
    r"""A text that stays in its cell.

    >>> print(_escaped("a | b"))
    a \| b
    """
    return " ".join(cell.replace("|", r"\|").split())


def dumped(reports: Iterable[Report]) -> str:
    """Reports as JSON text."""
    return json.dumps([report.to_json() for report in reports], indent=2, ensure_ascii=False) + "\n"
