"""The short form of ``python -m tests.attack``: what mutated streams must never do."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from reactivex import operators as rx_ops

from tests.attack import runner
from tests.attack.mutations import Attack, Ending, attack, encoded
from tests.attack.oracle import allowed
from tests.attack.runner import run
from tests.attack.streams import made

ATTACKS = 400


async def test_mutated_streams(caplog: pytest.LogCaptureFixture) -> None:
    # aiohttp says what it thinks of broken framings.
    caplog.set_level(logging.CRITICAL)

    report = await run(attack(1, number) for number in range(ATTACKS))

    assert not [(offence.kind, offence.sent.number, offence.what) for offence in report.offences]
    assert sum(report.outcomes.values()) == ATTACKS
    # It is an attack, and no heap of rubbish: much of it comes through.
    assert report.outcomes["completed, tool ran"] > ATTACKS // 10
    assert len(report.outcomes) > 6


async def test_streams_that_are_not_mutated_are_whole_and_their_tools_run() -> None:
    untouched = [Attack(number, body) for number, body in enumerate(_bodies())]
    without_reason = [each for each in untouched if b'finish_reason":"' not in each.body]

    report = await run(untouched)

    assert not report.offences
    # Nobody knows why the one without a reason ended: its call is not run.
    assert len(without_reason) == report.outcomes.pop("TruncatedStreamError") == 1
    assert set(report.outcomes) == {"completed", "completed, tool ran"}


async def test_what_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = runner.through

    def never(sent: Attack) -> Any:
        # The others are those that the patience is counted with.
        return rx_ops.as_observable() if sent.number == 7 else patient(sent)

    monkeypatch.setattr(runner, "SILENCE_SECONDS", 0.01)
    monkeypatch.setattr(runner, "through", never)

    report = await run([Attack(7, _bodies()[0][:200], ending="silence")])

    assert [(offence.kind, offence.sent.number) for offence in report.offences] == [("hung", 7)]
    assert report.outcomes == {"hung": 1}


CALLED = b'"tool_calls"}]'


@pytest.mark.parametrize(
    ("before", "after", "ending", "tools", "whole"),
    [
        (b"", b"", "proper", True, True),
        (b"", b"", "fin", True, True),
        (CALLED, b'"length"}]', "proper", False, True),
        (CALLED, b'"abort"}]', "proper", False, False),
        (CALLED, b'"null"}]', "proper", False, True),
        (CALLED, b'"null"}]', "fin", False, False),
        (CALLED, b'"null"}]', "reset", False, False),
        (CALLED, b'{"type":"stop"}}]', "fin", False, True),
        (b"data: [DONE]", b": ", "proper", True, True),
        (b"data:", b": ", "proper", False, False),
    ],
)
def test_what_is_allowed(before: bytes, after: bytes, ending: Ending, *, tools: bool, whole: bool) -> None:
    body = _bodies()[0]

    may = allowed(Attack(0, body.replace(before, after) if before else body, ending=ending))

    assert (may.tools, may.whole) == (tools, whole)


@pytest.mark.parametrize("error", [b'data: {"error":{"message":"no"}}\n\n', b'error: {"message":"no"}\n\n'])
def test_an_error_allows_nothing_unless_the_answer_had_finished(error: bytes) -> None:
    body = _bodies()[0]

    assert not allowed(Attack(0, error + body)).whole
    assert allowed(Attack(0, body.replace(b"data: [DONE]", error + b"data: [DONE]"))).tools


def test_a_broken_transfer_coding_is_read_as_far_as_it_goes() -> None:
    body = _bodies()[0]
    coded = b"%x\r\n%s\r\n" % (len(body), body)

    assert allowed(Attack(0, b"", raw=coded)).tools
    assert not allowed(Attack(0, b"", raw=b"zz" + coded)).whole
    assert not allowed(Attack(0, b"", raw=coded[:-300])).tools


def test_a_seed_and_a_number_give_the_same_attack() -> None:
    assert attack(3, 7) == attack(3, 7)
    assert len({attack(3, number).body for number in range(200)}) > 150


def _bodies() -> list[bytes]:
    return [b"".join(map(encoded, stream)) for stream in made()]
