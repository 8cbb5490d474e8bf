"""The comparison page says what the file of results says, and that is of the suite as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rxllm.testing.conformance import CASES
from tests.conformance.page import catalogue, page, report_of
from tests.conformance.peers import PEERS

DOCS = Path(__file__).parents[2] / "docs"


def results() -> list[dict[str, Any]]:
    return list(json.loads((DOCS / "conformance.json").read_text("utf-8")))


def test_the_pages_are_those_that_the_command_writes() -> None:
    assert (DOCS / "_generated" / "conformance.md").read_text("utf-8") == page(results())
    assert (DOCS / "_generated" / "quirks.md").read_text("utf-8") == catalogue()


def test_everybody_was_run_over_the_cases_that_there_are() -> None:
    assert [peer["client"] for peer in results()] == [peer.name for peer in PEERS]
    for peer, result in zip(PEERS, results(), strict=True):
        expected = [case.id for case in CASES if case.quirk.area in peer.areas]
        assert [verdict.case.id for verdict in report_of(result).verdicts] == expected


def test_rxllm_is_said_to_pass_everything() -> None:
    assert {each["outcome"] for each in results()[0]["cases"]} == {"pass"}
