"""The conformance suite finds what an engine does wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rxllm import SQLiteLog
from rxllm.exceptions import ClaimLostError
from rxllm.stores import SQLiteWriter
from rxllm.testing import LogEngineCase, log_engine_cases

CASES: dict[str, LogEngineCase] = {case.__name__: case for case in log_engine_cases}
WRITER = "rxllm.stores._sqlite.SQLiteWriter"


def swallowing(function: Callable[..., Any]) -> Callable[..., Any]:
    def swallow(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ClaimLostError:
            return None

    return swallow


def nothing(*_: object, **__: object) -> list[str]:
    return []


def no_epoch(*_: object) -> int:
    return 0


def unheard(*_: object) -> bool:
    return False


WRONG: dict[str, tuple[str, object]] = {
    "items_are_read_as_they_were_appended": ("rxllm.stores._sqlite.new_epoch", no_epoch),
    "a_former_writer_writes_nothing": (f"{WRITER}._add_one", swallowing(vars(SQLiteWriter)["_add_one"])),
    "a_batch_is_there_as_a_whole_or_not_at_all": (f"{WRITER}._require_stored", nothing),
    "the_ending_comes_behind_the_items": (f"{WRITER}.beat", nothing),
    "somebody_else_stops_a_stream": (f"{WRITER}.cancel", unheard),
    "what_is_old_is_removed": (f"{WRITER}.expire", nothing),
    "what_is_too_much_is_removed": (f"{WRITER}.expire", nothing),
}
"""What is wrong, by the case that has to find it."""


@pytest.mark.parametrize("name", WRONG)
async def test_an_engine_that_is_wrong_is_found_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, wrong = WRONG[name]
    monkeypatch.setattr(place, wrong)
    with pytest.raises((AssertionError, TimeoutError)):
        await CASES[name](lambda: SQLiteLog(tmp_path / "log.db").engine)
