"""The command ``python -m rxllm.testing.conformance``."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from rxllm.harmless import printable
from rxllm.testing.conformance._case import Case
from rxllm.testing.conformance._cases import CASES
from rxllm.testing.conformance._client import CHUNK_TIMEOUT, rxllm_client, rxllm_fallback, rxllm_retrying
from rxllm.testing.conformance._run import run_conformance
from rxllm.testing.conformance._verdict import dumped
from rxllm.testing.script import DIALECTS

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None, *, program: str = "python -m rxllm.testing.conformance") -> int:
    """Run the command.

    Args:
        arguments: Those of the command line, by default.
        program: What it is called in its help.

    Returns:
        The exit status: 0 if nothing failed, else 1.
    """
    options = _parser(program).parse_args(arguments)
    cases = [case for case in CASES if not options.case or {case.id, case.quirk.id} & {*options.case}]
    if not cases:
        raise SystemExit("there is no such case; --list shows those that there are")
    if options.list:
        _print("\n".join(_listed(case) for case in cases))
        return 0
    client, retrying, fallback, chunk_timeout = rxllm_client, rxllm_retrying, rxllm_fallback, CHUNK_TIMEOUT
    dialects = DIALECTS
    if options.client is not None:
        client, retrying, fallback = map(_function, (options.client, options.retrying, options.fallback))
        chunk_timeout, dialects = options.chunk_timeout, DIALECTS[:1]
    dialects = options.dialect or dialects
    spoken = [case for case in cases if case.dialect in dialects]
    if not spoken:
        raise SystemExit(f"these cases are not about {' or '.join(dialects)}; --dialect says what the client speaks")
    report = asyncio.run(
        run_conformance(
            client,
            cases=spoken,
            name=options.client,
            retrying=retrying,
            fallback=fallback,
            dialects=dialects,
            time_limit=options.time_limit,
            chunk_timeout=chunk_timeout,
        )
    )
    _print(dumped([report]) if options.json else str(report))
    return int(bool(report.failures))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Runs a client of OpenAI-compatible streams through what servers and networks really do.",
    )
    parser.add_argument(
        "client",
        nargs="?",
        metavar="MODULE:FUNCTION",
        help="a coroutine function from the address of the endpoint to the answer; by default rxllm's own client",
    )
    parser.add_argument(
        "--retrying",
        metavar="MODULE:FUNCTION",
        help="the same client as it tries again, in its usual way; may be the same function",
    )
    parser.add_argument(
        "--fallback",
        metavar="MODULE:FUNCTION",
        help="the same client with a second server: from both addresses to the answer",
    )
    parser.add_argument(
        "--dialect",
        action="append",
        choices=DIALECTS,
        help="what the client speaks; may be repeated; by default chat completions, and all of rxllm's own client",
    )
    parser.add_argument(
        "--case", action="append", metavar="ID", help="only this case or row, as Q6-null or Q6; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="show the cases and run none")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of Markdown")
    parser.add_argument("--time-limit", type=float, default=5.0, metavar="SECONDS", help="when a client is hung (5)")
    parser.add_argument(
        "--chunk-timeout",
        type=float,
        metavar="SECONDS",
        help="how long the client lets a server be silent, if it has a limit",
    )
    return parser


def _function(name: str | None) -> Any:
    if name is None:
        return None
    module, _, function = name.partition(":")
    if not function:
        raise SystemExit(f"MODULE:FUNCTION is needed, not {name!r}")
    if find_spec(module.partition(".")[0]) is None:
        raise SystemExit(f"there is no module {module!r}")
    client = getattr(importlib.import_module(module), function, None)
    if not callable(client):
        raise SystemExit(f"there is no function {function!r} in {module!r}")
    return client


def _listed(case: Case) -> str:
    return f"{case.id:16} {case.title}"


def _print(text: str) -> None:
    # What servers and clients say is in it.
    sys.stdout.write(f"{printable(text.rstrip())}\n")
