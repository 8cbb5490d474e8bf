"""The results as a part of a page: who was run, a matrix, and what went wrong, row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rxllm.testing.conformance import CASES, QUIRKS, Quirk, Report, Verdict, matrix
from rxllm.testing.script import DIALECTS

__all__ = ["catalogue", "page", "report_of"]

BY_ID = {case.id: case for case in CASES}
# What stands above the tables of a dialect; those of chat completions come first.
HEADINGS = {
    "openai-chat": "",
    "anthropic": "### Anthropic's Messages API",
    "openai-responses": "### OpenAI's Responses API",
    "gemini": "### The Gemini API of Google",
    "cohere": "### Cohere's Chat API",
    "ollama": "### Ollama's API",
    "bedrock-converse": "### Bedrock's Converse API",
}


def page(peers: list[dict[str, Any]]) -> str:
    """The Markdown for what the command measured: one mapping a peer, as in the JSON file."""
    reports = [report_of(peer) for peer in peers]
    tables = (table for dialect in DIALECTS for table in _of_dialect(dialect, peers, reports))
    return "\n\n".join([*tables, "### What they do instead", *_details(reports)]) + "\n"


def catalogue() -> str:
    """The rows of the catalogue as a table in Markdown."""
    rows = (f"| {quirk.id} | {quirk.area} | {quirk.wire} | {quirk.rule} |" for quirk in QUIRKS.values())
    return "\n".join(["| row | about | on the wire | right |\n|---|---|---|---|", *rows]) + "\n"


def report_of(peer: dict[str, Any]) -> Report:
    """The report that the JSON file has of a peer."""
    verdicts = (Verdict(BY_ID[each["id"]], each["outcome"], each["reason"]) for each in peer["cases"])
    return Report(peer["client"], tuple(verdicts))


def _of_dialect(dialect: str, peers: list[dict[str, Any]], reports: list[Report]) -> Iterator[str]:
    """Who speaks the dialect, and how they do in its cases."""
    spoken = [_cases_of(dialect, report) for report in reports]
    those = [(peer, report) for peer, report in zip(peers, spoken, strict=True) if report.verdicts]
    if not those:
        return
    if HEADINGS[dialect]:
        yield HEADINGS[dialect]
    yield _versions(dialect, those)
    yield _linked(matrix(report for _, report in those), reports)


def _cases_of(dialect: str, report: Report) -> Report:
    return Report(report.client, tuple(each for each in report.verdicts if each.case.dialect == dialect))


def _versions(dialect: str, peers: list[tuple[dict[str, Any], Report]]) -> str:
    cases = sum(case.dialect == dialect for case in CASES)
    head = "| client | pass | fail | n/a | how it is written | versions |\n|---|---|---|---|---|---|"
    rows = (
        f"| {peer['client']} | {_counts(report, cases)} | {peer['about']} | {peer['versions']} |"
        for peer, report in peers
    )
    return "\n".join([head, *rows])


def _counts(report: Report, cases: int) -> str:
    passed, failed = report.count("pass"), report.count("fail")
    # What a peer was not run for does not apply to it either.
    return f"{passed} | {failed} | {cases - passed - failed}"


def _linked(table: str, reports: list[Report]) -> str:
    """The matrix, each row with failures linked to what is said of them."""
    failed = {verdict.case.quirk.id for report in reports for verdict in report.failures}

    def link(match: re.Match[str]) -> str:
        row = match[1]
        return f"| [{row}](#{row.lower()}) |" if row in failed else match[0]

    return re.sub(r"^\| (\w+) \|", link, table, flags=re.MULTILINE)


def _details(reports: list[Report]) -> Iterator[str]:
    by_quirk: dict[Quirk, list[tuple[str, Verdict]]] = {}
    for report in reports:
        failed = {verdict.case.id for verdict in report.failures}
        for verdict in report.failures:
            if verdict.case.id.removesuffix("-shown") in failed - {verdict.case.id}:
                # What was not raised shows nothing.
                continue
            by_quirk.setdefault(verdict.case.quirk, []).append((report.client, verdict))
    order = list(QUIRKS)
    for quirk in sorted(by_quirk, key=lambda quirk: order.index(quirk.id)):
        yield f"({quirk.id.lower()})=\n**{quirk.id}** {quirk.wire} *Right:* {quirk.rule}"
        yield "\n".join(_grouped(by_quirk[quirk]))


def _grouped(failures: list[tuple[str, Verdict]]) -> Iterator[str]:
    """A line for each thing that went wrong, with all to whom it happened."""
    clients: dict[tuple[str, str], list[str]] = {}
    for client, verdict in failures:
        clients.setdefault((verdict.case.title, verdict.reason), []).append(client)
    for (title, reason), names in clients.items():
        yield f"- {'; '.join(names)}: {title}: {_literal(reason)}"


def _literal(text: str) -> str:
    """Any text as it is: what a server sent and what a library said is no Markdown. Ports and identifiers vary."""
    stable = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text)
    stable = re.sub(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", "…", stable)
    fence = "``" if "`" in stable else "`"
    return f"{fence}{stable}{fence}"
