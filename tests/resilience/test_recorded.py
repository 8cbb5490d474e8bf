"""What becomes of an answer that began anew where it is shown, stored and played again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import APIStatusError
from rxllm.sinks import JSONLinesSink, SQLiteSink
from tests.resilience.helpers import answer, cut, one_after_another


def restarted() -> Any:
    busy = APIStatusError("slow down", status=429)
    tries = [reactivex.throw(busy), cut(answer("Hel", ends=False)), reactivex.from_iterable(answer("Hi"))]
    return one_after_another(*tries).pipe(ops.retry_with_backoff(initial=0, after_first="restart"))


@pytest.mark.parametrize(("sink", "name"), [(SQLiteSink, "c.db"), (JSONLinesSink, "c.jsonl")])
def test_what_is_played_again_has_the_same_tries(sink: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    lived = rxllm.run(restarted().pipe(ops.tee_to(sink(path)), ops.accumulate()))
    played = rxllm.run(rxllm.from_recording(path).pipe(ops.accumulate()))
    everything = rxllm.run(rxllm.from_recording(path, attempts="all").pipe(rx_ops.to_list()))

    assert lived.content == played.content == "Hi"
    assert [type(attempt.error) for attempt in lived.attempts] == [APIStatusError, ConnectionError]
    assert [str(attempt.error) for attempt in played.attempts] == [
        "APIStatusError: slow down",
        "ConnectionError: busy",
    ]
    assert [attempt.ending for attempt in played.attempts] == ["failed", "failed"]
    assert "".join(chunk.text for chunk in everything) == "HelHi"


def test_snapshots_and_progress_begin_anew() -> None:
    snapshots = rxllm.run(restarted().pipe(ops.accumulate_snapshots(), rx_ops.to_list()))
    assert [snapshot.content for snapshot in snapshots] == ["Hel", "Hi", "Hi"]
    assert len(snapshots[-1].attempts) == 2


def test_the_tries_are_no_part_of_the_json() -> None:
    completion = rxllm.run(restarted().pipe(ops.accumulate()))
    assert "attempts" not in completion.model_dump()
    dumped = completion.attempts[0].model_dump()
    assert dumped["error"] == "APIStatusError: slow down"
    assert str(rxllm.Attempt.model_validate(dumped).error) == "APIStatusError: slow down"
