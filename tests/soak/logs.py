"""Kills and stops producers of logs while readers come and go: ``python -m tests.soak.logs``.

In SQLite, and in a Redis server of its own. Prints what readers got: nothing is to be lost or twice, nor from a
producer that was stopped and woken after another had claimed its stream.
``--readers``, ``--kills`` and ``--stops`` say how many there are; ``--only sqlite`` takes one engine.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.logs.killed import Outcome, killed_again_and_again, stopped_and_woken
from tests.logs.redis_server import RedisServer

ENGINES = ("sqlite", "redis")
AFTER_A_STOP = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.logs", description=__doc__)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--only", choices=ENGINES)
    options = parser.parse_args()
    offences = 0
    for engine in [options.only] if options.only else ENGINES:
        with places(engine, 1 + options.stops) as (first, *others):
            print(f"{engine}: {options.readers} readers, {options.kills} kills", flush=True)
            begun = time.monotonic()
            outcome = asyncio.run(killed_again_and_again(first, options.readers, options.kills))
            seconds = time.monotonic() - begun
            items = len(outcome.whole)
            print(f"{seconds:9.0f} s, {items} items in the log, readers came {outcome.connections} times")
            offences += shown(faults(outcome)) + shown(
                {f"items of {len(others)} stopped producers, after the claim": asyncio.run(after_stops(others))}
            )
    return int(bool(offences))


@contextmanager
def places(engine: str, number: int) -> Generator[Sequence[str]]:
    """Where logs are that are still empty."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        if engine == "sqlite":
            yield [str(folder / f"{each}.db") for each in range(number)]
            return
        with RedisServer(folder) as server:
            yield [f"{server.url}#{each}" for each in range(number)]


def faults(outcome: Outcome) -> dict[str, int]:
    """What is wrong with what the readers got, and with the log."""
    positions = [item.position for item in outcome.whole]
    read = [[item.position for item in items] for items in outcome.read]
    return {
        "readers whose items are not those of the log": sum(items != outcome.whole for items in outcome.read),
        "items that a reader lacks": sum(len(set(positions) - set(each)) for each in read),
        "items that a reader got twice": sum(len(each) - len(set(each)) for each in read),
        "positions that are not one after the other": sum(
            position.number != number for number, position in enumerate(positions)
        ),
        "producers some of whose items are lost or twice": sum(
            numbers != [*range(len(numbers))] for numbers in outcome.runs.values()
        ),
    }


async def after_stops(places: Sequence[str]) -> int:
    """How many items were written by producers that had been stopped, behind the first of the one that took over."""
    wrong = 0
    for place in places:
        runs = await stopped_and_woken(place, AFTER_A_STOP)
        wrong += runs[runs.index("second") :].count("stopped")
    return wrong


def shown(found: dict[str, int]) -> int:
    """Print what was found; how much that is."""
    for what, number in found.items():
        print(f"{number:9} {what}")
    sys.stdout.flush()
    return sum(found.values())


if __name__ == "__main__":
    sys.exit(main())
