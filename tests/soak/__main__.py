"""Plays 20,000 streams over HTTP and WebSockets, a tenth with faults: ``python -m tests.soak``.

Prints what the process holds from time to time: memory, files, tasks, timers are to be flat. ``--streams``,
``--at-once`` and ``--seed`` say how many there are, how many are under way, and what happens to which.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from tests.benchmarks.processes import serving
from tests.soak.runner import soak

SHOWN = 10


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--streams", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    # aiohttp says what it thinks of broken framings.
    logging.disable()
    begun = time.monotonic()
    with serving("tests.soak.server") as origin:
        report = asyncio.run(soak(origin, options.streams, options.at_once, seed=options.seed))
    print(f"seed {options.seed}, {options.streams} streams, {time.monotonic() - begun:.0f} s")
    for outcome, times in sorted(report.outcomes.items()):
        print(f"{times:8} {outcome}")
    print(" streams      MB   files   tasks  timers")
    for held in report.held:
        print(f"{held.streams:8} {held.megabytes:7.1f} {held.files:7} {held.tasks:7} {held.timers:7}")
    print(f"{len(report.offences)} offences")
    print("\n".join(report.offences[:SHOWN]))
    return int(bool(report.offences))


if __name__ == "__main__":
    sys.exit(main())
