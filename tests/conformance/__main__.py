"""Runs the conformance suite over rxllm and its peers, if installed: ``python -m tests.conformance --output docs``.

Writes ``conformance.json`` and, for the pages, ``_generated/conformance.md`` and ``_generated/quirks.md``. Peers that
are not run keep what the file says of them, so that those that cannot be installed together can be run one by one; so
do cases that are not run, if it is of the same versions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from rxllm.testing import ScriptedServer
from rxllm.testing.conformance import CASES, CHUNK_TIMEOUT, Report, run_conformance
from rxllm.testing.script import answer
from tests.conformance.page import catalogue, page
from tests.conformance.peers import PEERS, Peer, installed


async def measured(peer: Peer, only: set[str]) -> Report:
    """The report of a peer, which has been imported and has warmed up."""
    async with ScriptedServer(answer("Hello"), repeat=True, dialect=peer.dialects[0]) as server:
        await peer.client(server.url)
    cases = [case for case in peer.cases if not only or only & {case.id, case.quirk.id, case.quirk.area}]
    return await run_conformance(
        peer.client,
        cases=cases,
        name=peer.name,
        retrying=peer.retrying,
        fallback=peer.fallback,
        dialects=peer.dialects,
        chunk_timeout=CHUNK_TIMEOUT,
    )


def main() -> int:
    """Returns how many cases ``rxllm`` itself failed, as an exit status: 1 at most."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--output", type=Path, help="the folder that the results are written to")
    parser.add_argument("--only", action="append", metavar="NAME", help="only this peer; may be repeated")
    parser.add_argument("--case", action="append", metavar="ID", help="only this case, row or area; may be repeated")
    options = parser.parse_args()
    # Libraries warn about what servers send; what they make of it is what counts here.
    warnings.simplefilter("ignore")
    logging.disable()

    results = _known(options.output)
    failed = 0
    for peer in installed():
        if not options.only or peer.name in options.only:
            report = asyncio.run(measured(peer, {*(options.case or ())}))
            results[peer.name] = _merged(results.get(peer.name), peer, report)
            failed += report.count("fail") if peer.name == "rxllm" else 0
            print(f"{peer.name}: {report.count('pass')} pass, {report.count('fail')} fail ({peer.versions})")
    ordered = [results[peer.name] for peer in PEERS if peer.name in results]
    if options.output is None:
        print(page(ordered))
    else:
        _write(options.output, ordered)
    return min(failed, 1)


def _known(folder: Path | None) -> dict[str, dict[str, Any]]:
    if folder is None or not (folder / "conformance.json").exists():
        return {}
    return {peer["client"]: peer for peer in json.loads((folder / "conformance.json").read_text("utf-8"))}


def _merged(known: dict[str, Any] | None, peer: Peer, report: Report) -> dict[str, Any]:
    """What the file is going to say of a peer: what was measured now, and of other cases what it said."""
    found: dict[str, Any] = {"versions": peer.versions, "about": peer.about, **report.to_json()}
    if known is None or len(found["cases"]) == len(peer.cases):
        return found
    if known["versions"] != peer.versions:
        raise SystemExit(f"what is known of {peer.name} is of {known['versions']}: run all cases with {peer.versions}")
    cases: list[dict[str, Any]] = [*known["cases"], *found["cases"]]
    by_id = {each["id"]: each for each in cases}
    return {**found, "cases": [by_id[case.id] for case in CASES if case.id in by_id]}


def _write(folder: Path, results: list[dict[str, Any]]) -> None:
    (folder / "_generated").mkdir(parents=True, exist_ok=True)
    (folder / "_generated" / "conformance.md").write_text(page(results), "utf-8")
    (folder / "_generated" / "quirks.md").write_text(catalogue(), "utf-8")
    (folder / "conformance.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
