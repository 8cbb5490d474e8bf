"""The list of what was put right.

Kinds:

==========================  ==================================================================================
``index-made-up``           a tool call fragment had no index
``index-reused``            a new call came at an index that was in use
``id-repeated``             a call's identifier came again after its first fragment
``id-changed``              a call's identifier changed on the way; the first one stays
``id-reused``               a new call had the identifier of another one
``id-made-up``              a call had no identifier when it was finished
``name-repeated``           a function's name came again
``name-joined``             a function's name came in pieces
``name-changed``            a function's name changed after its arguments had begun; the first one stays
``blank-ignored``           an identifier or name was blank, which means absent
``arguments-serialized``    arguments came as an object instead of JSON text
``arguments-empty``         a call had no arguments when it was finished; they are ``{}``
``empty-fragment-ignored``  a fragment said nothing and belonged to no call
``usage-replaced``          usage came more than once; the last counts and nothing is added up
``finish-reason-replaced``  the reason for the end changed; the last counts
==========================  ==================================================================================

Each kind is listed once for each thing it concerns, and there are at most a thousand.
"""

from __future__ import annotations

from typing import Any

from rxllm.models import Repair

__all__ = ["RepairLog"]

_MAX_REPAIRS = 1000


class RepairLog:
    """What was put right so far.

    Args:
        position: In which item of the stream the fold is.

    Attributes:
        position: In which item of the stream the fold is, counted from 0; -1 before the first.
        repairs: The repairs, oldest first.
    """

    __slots__ = ("_reported", "position", "repairs")

    def __init__(self, position: int = -1) -> None:
        self.position = position
        self.repairs: list[Repair] = []
        self._reported: set[tuple[str, object]] = set()

    def add(self, kind: str, subject: object, before: Any, after: Any) -> None:
        """Note a repair.

        Args:
            kind: One of the words above.
            subject: What it concerns: of each kind there is one report for each subject.
            before: What was sent.
            after: What it was taken for.
        """
        if (kind, subject) in self._reported or len(self.repairs) >= _MAX_REPAIRS:
            return
        self._reported.add((kind, subject))
        self.repairs.append(Repair(kind, self.position, before, after))
