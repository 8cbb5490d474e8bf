"""Measures the library, as docs/benchmarks.md says.

    python -m tests.benchmarks                     everything, some minutes
    python -m tests.benchmarks --quick             a short form: that it works, not how fast
    python -m tests.benchmarks --only throughput   one section

Writes benchmarks.json and benchmarks.svg to the directory that ``--output`` names.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.chart import bars
from tests.benchmarks.processes import serving
from tests.benchmarks.sections import FULL, QUICK, SECTIONS, Table

_PACKAGES = (
    "rxllm",
    "aiohttp",
    "msgspec",
    "pydantic",
    "reactivex",
    "openai",
    "httpx",
    "httpx-sse",
    "aiohttp-sse-client2",
    "redis",
)


def main() -> None:
    command = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    command.add_argument("--quick", action="store_true", help="a short form: that it works, not how fast")
    command.add_argument("--only", choices=SECTIONS, action="append", help="a section; may be repeated")
    command.add_argument("--runs", type=int, help="how many rounds are counted")
    command.add_argument("--output", type=Path, help="where the JSON file and the chart go; nowhere by default")
    arguments = command.parse_args()
    size = QUICK if arguments.quick else FULL
    if arguments.runs:
        size = size._replace(runs=arguments.runs)
    tables: dict[str, Table] = {}
    with serving() as origin:
        for name in arguments.only or SECTIONS:
            found = SECTIONS[name](origin, size)
            tables |= found
            for title, table in found.items():
                show(title, table)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, tables, size.runs)


def show(title: str, table: Table) -> None:
    """Print a table."""
    sys.stdout.write(f"\n{title:<56}   median       min       max\n")
    for name, figures in table.items():
        sys.stdout.write(f"  {name:<52} {figures}\n")
    sys.stdout.flush()


def write(directory: Path, tables: dict[str, Table], runs: int) -> None:
    """Write the figures and draw the chart."""
    record: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "versions": _versions(),
        "runs": runs,
        "figures": {
            title: {name: figures._asdict() for name, figures in table.items()} for title, table in tables.items()
        },
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    (directory / "benchmarks.json").write_text(text + "\n", encoding="utf-8")
    drawn = {
        title: table
        for title, table in tables.items()
        if title.endswith(": CPU per chunk (µs)") and not title.startswith("telemetry")
    }
    if drawn:
        (directory / "benchmarks.svg").write_text(bars(drawn, "rxllm"), encoding="utf-8")


def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    main()
