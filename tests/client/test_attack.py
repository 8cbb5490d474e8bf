"""The short form of ``python -m tests.attack``: mutated streams never make a tool run, hang, or raise a foreign error."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tests.attack.mutations import Attack, attack, encoded
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

    report = await run(untouched)

    assert not report.offences
    assert set(report.outcomes) == {"completed", "completed, tool ran"}


@pytest.mark.parametrize(
    ("change", "tools", "whole"),
    [
        ({}, True, True),
        ({"ending": "fin"}, True, True),
        ({"body": lambda body: body.replace(b'"tool_calls"}', b'"length"}')}, False, True),
        ({"body": lambda body: body.replace(b'"tool_calls"}', b'"abort"}')}, False, False),
        ({"body": lambda body: body.replace(b'"tool_calls"}', b'"null"}')}, True, True),
        ({"body": lambda body: body.replace(b'"tool_calls"}', b'"null"}'), "ending": "fin"}, False, False),
        ({"body": lambda body: body.replace(b"data: [DONE]", b": ").replace(b'"tool_calls"}', b'""}')}, False, False),
        ({"body": lambda body: b'data: {"error":{"message":"no"}}\n\n' + body}, False, False),
        ({"body": lambda body: b'error: {"message":"no"}\n\n' + body}, False, False),
        ({"raw": b"5\r\n: hi\n\r\nzz\r\n"}, False, False),
        ({"body": lambda _: b""}, False, False),
    ],
)
def test_what_is_allowed(change: dict[str, object], *, tools: bool, whole: bool) -> None:
    body = _bodies()[0]
    made_of = {name: value(body) if callable(value) else value for name, value in change.items()}

    may = allowed(replace(Attack(0, body), **made_of))  # type: ignore[arg-type]

    assert (may.tools, may.whole) == (tools, whole)


def test_a_seed_and_a_number_give_the_same_attack() -> None:
    assert attack(3, 7) == attack(3, 7)
    assert len({attack(3, number).body for number in range(200)}) > 150


def _bodies() -> list[bytes]:
    return [b"".join(map(encoded, stream)) for stream in made()]
