"""The short form of ``python -m tests.soak``: what many streams leave behind, whatever became of them."""

from __future__ import annotations

import logging

import pytest

from tests.benchmarks.processes import serving
from tests.soak.runner import soak

STREAMS = 400


async def test_many_streams_with_faults_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    # aiohttp says what it thinks of broken framings.
    caplog.set_level(logging.CRITICAL)

    with serving("tests.soak.server") as origin:
        report = await soak(origin, STREAMS, 32, rounds=2)

    assert not report.offences
    assert sum(report.outcomes.values()) == STREAMS
    # A tenth has one of six faults, over one of two transports.
    assert len(report.outcomes) == 14
    first, *between, last = report.held
    assert {held.tasks for held in report.held} == {first.tasks}
    # Connections wait in the pool meanwhile.
    assert all(held.files <= first.files + 32 for held in between)
    assert last.files == first.files
    assert last.timers == first.timers
