"""The list of what was put right: the kinds are those of ``rxllm.Repair``.

Each kind is listed once for each thing it concerns, and there are at most a thousand. A callback gets the same ones,
each as soon as it is known: those of a finished call when the call is read. In strict mode the first that is about the
meaning of what was sent is an error.

What the dialect put right is listed, too. It went to a callback of its own (``OpenAIChat.on_repair``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from rxllm.exceptions import RepairError, excerpt
from rxllm.models import MAX_REPAIRS, Repair

OnRepair = Callable[[Repair], None]


class RepairLog:
    """What was put right so far.

    Args:
        position: In which item of the stream the fold is.
        strict: Whether a repair of the weight ``"meaning"`` is an error.
        on_repair: Called with each repair.

    Attributes:
        position: In which item of the stream the fold is, counted from 0; -1 before the first.
        repairs: The repairs, oldest first.
    """

    __slots__ = ("_announced", "_on_repair", "_reported", "_strict", "position", "repairs")

    def __init__(self, position: int = -1, *, strict: bool = False, on_repair: OnRepair | None = None) -> None:
        self.position: int = position
        self.repairs: list[Repair] = []
        self._strict = strict
        self._on_repair = on_repair
        # By kind and subject; without any repair, as mostly, there are none.
        self._reported: set[tuple[str, object]] | None = None
        # What the callback got, of this log and of those for reading.
        self._announced: set[tuple[str, object]] | None = None if on_repair is None else set()

    def anew(self) -> RepairLog:
        """A log of the same kind, for an answer that begins anew: it has the position of this one, and nothing else."""
        return RepairLog(self.position, strict=self._strict, on_repair=self._on_repair)

    def for_reading(self) -> RepairLog:
        """A log of what is put right when the answer is read, which changes this one in nothing.

        However often it is read, the callback gets each repair once.
        """
        log = RepairLog(self.position, strict=self._strict, on_repair=self._on_repair)
        log._announced = self._announced
        return log

    def take_over(self, repairs: Iterable[Repair]) -> None:
        """List what the dialect put right.

        Raises:
            RepairError: One of them is about the meaning, and those are errors.
        """
        for repair in islice(repairs, MAX_REPAIRS - len(self.repairs)):
            self._refuse(repair)
            self.repairs.append(repair)

    def add(self, kind: str, subject: object, before: Any, after: Any) -> None:
        """Note a repair.

        Args:
            kind: One of the words of ``rxllm.Repair``.
            subject: What it concerns: of each kind there is one report for each subject.
            before: What was sent.
            after: What it was taken for.

        Raises:
            RepairError: It is about the meaning, and those are errors.
            Exception: What the callback raises.
        """
        key = (kind, subject)
        repair = Repair(kind, self.position, before, after)
        self._refuse(repair)
        if self._reported is None:
            self._reported = set()
        if key in self._reported or len(self.repairs) >= MAX_REPAIRS:
            return
        self._reported.add(key)
        self.repairs.append(repair)
        if self._on_repair is not None and self._announced is not None and key not in self._announced:
            self._announced.add(key)
            self._on_repair(repair)

    def _refuse(self, repair: Repair) -> None:
        if self._strict and repair.weight == "meaning":
            shown = "" if repair.before is None else f": {excerpt(str(repair.before))}"
            raise RepairError(
                f"{repair.kind} in item {repair.position} of the stream{shown}",
                kind=repair.kind,
                position=repair.position,
                before=repair.before,
                after=repair.after,
            )
