"""The comparison page says what the file of results says, and that is of the suite as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
        assert [verdict.case.id for verdict in report_of(result).verdicts] == [case.id for case in peer.cases]


def run_one_case(folder: Path, versions: str) -> subprocess.CompletedProcess[str]:
    cases: list[dict[str, Any]] = [{**each, "reason": "as it was"} for each in results()[-1]["cases"]]
    known = {"client": "hand-written", "versions": versions, "about": "", "cases": cases}
    (folder / "conformance.json").write_text(json.dumps([known]), "utf-8")
    command = ["-m", "tests.conformance", f"--output={folder}", "--only=hand-written", "--case=Q2"]
    return subprocess.run([sys.executable, *command], cwd=DOCS.parent, check=False, capture_output=True, text=True)


def test_a_run_of_some_cases_keeps_what_is_known_of_the_others(tmp_path: Path) -> None:
    run = run_one_case(tmp_path, PEERS[-1].versions)

    assert (run.returncode, run.stderr) == (0, "")
    (peer,) = json.loads((tmp_path / "conformance.json").read_text("utf-8"))
    assert [each["id"] for each in peer["cases"]] == [each.id for each in PEERS[-1].cases]
    assert {each["id"] for each in peer["cases"] if each["reason"] != "as it was"} == {"Q2", "Q2-one-chunk"}


def test_what_is_known_of_other_versions_is_not_mixed_in(tmp_path: Path) -> None:
    run = run_one_case(tmp_path, "aiohttp 0.1")

    assert run.returncode == 1
    assert "what is known of hand-written is of aiohttp 0.1: run all cases" in run.stderr


def test_rxllm_is_said_to_pass_everything() -> None:
    assert {each["outcome"] for each in results()[0]["cases"]} == {"pass"}
