"""Logs and what is compared with them: who is measured, and how they take turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.benchmarks.figures import Figure, Missing, figure
from tests.benchmarks.logs import DURABLE, PLAIN, REDIS, SQLITE
from tests.benchmarks.processes import Worker
from tests.benchmarks.reference_server import VERSION, install, reference_server
from tests.logs.redis_server import RedisServer

__all__ = ["Amount", "followed"]

_GAP = 0.005
_FOLLOWERS = (1, 10)

# Each append takes milliseconds there.
_LESS_ON_DISK = 4

# What the server of Durable Streams does, too, when it keeps files.
_EACH_ON_DISK = ("--appendonly", "yes", "--appendfsync", "always")


class _Contender(NamedTuple):
    """Who is measured.

    Attributes:
        durability: What an item that was appended survives.
        engine: Who writes and reads: see ``logs``.
        where: The file, or the address of the server.
        less: By what the amount is divided.
    """

    durability: str
    engine: str
    where: str
    less: int = 1

    @property
    def name(self) -> str:
        version = f" {VERSION}" if self.engine == DURABLE else ""
        return f"{self.engine}{version}, {self.durability}"


class Amount(NamedTuple):
    """How much is measured.

    Attributes:
        runs: How many rounds are counted, after one that warms up.
        items: How many are written at full speed.
        latencies: How many are written one by one.
    """

    runs: int
    items: int
    latencies: int

    def divided(self, by: int) -> Amount:
        """As many rounds, and less in each."""
        return self._replace(items=self.items // by, latencies=self.latencies // by)


def followed(amount: Amount, *, rivals: bool) -> dict[str, dict[str, Figure | Missing]]:
    """Measure how late followers get items, and how many a second.

    Args:
        amount: How much.
        rivals: Whether the reference server of Durable Streams is installed and measured, too.
    """
    took: defaultdict[str, list[float]] = defaultdict(list)
    speeds: defaultdict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        workers = stack.enter_context(Worker()), stack.enter_context(Worker())
        missing = install(folder) if rivals else "left out in the short form"
        contenders = _ours(folder, stack) + ([] if missing else _reference(folder, stack))
        for run in range(amount.runs + 1):
            for each in contenders:
                for readers in _FOLLOWERS:
                    name = f"{each.name}: {readers}"
                    log = {"engine": each.engine, "where": each.where, "readers": readers}
                    late, speed = _measured(workers, amount.divided(each.less), f"{name} {run}", **log)
                    if run:
                        took[name] += late
                        speeds[name].append(speed)
    without = {f"{DURABLE} {VERSION}": Missing(missing)} if missing else {}
    return {
        "logs: from the append to 1 or 10 followers in another process (ms)": _percentiles(took) | without,
        "logs: thousands of items a second, to each of 1 or 10 followers": {
            name: figure(values) for name, values in speeds.items()
        }
        | without,
    }


def _ours(folder: Path, stack: ExitStack) -> list[_Contender]:
    memory = stack.enter_context(RedisServer(folder))
    disk = stack.enter_context(RedisServer(folder, *_EACH_ON_DISK))
    return [
        _Contender("disk not awaited", SQLITE, f"{folder}/log.db"),
        _Contender("in memory", REDIS, memory.url),
        _Contender("in memory", PLAIN, memory.url),
        _Contender("disk awaited", REDIS, disk.url, _LESS_ON_DISK),
        _Contender("disk awaited", PLAIN, disk.url, _LESS_ON_DISK),
    ]


def _reference(folder: Path, stack: ExitStack) -> list[_Contender]:
    memory = stack.enter_context(reference_server(folder))
    disk = stack.enter_context(reference_server(folder, folder / "streams"))
    return [_Contender("in memory", DURABLE, memory), _Contender("disk awaited", DURABLE, disk, _LESS_ON_DISK)]


def _measured(workers: tuple[Worker, Worker], amount: Amount, stream: str, **log: Any) -> tuple[list[float], float]:
    """How many milliseconds items took, and how many thousands a second there were."""
    skip = amount.latencies // 5
    paced = _run(workers, stream=f"{stream} paced", count=amount.latencies, gap=_GAP, skip=skip, **log)
    flood = _run(workers, stream=f"{stream} flood", count=amount.items, gap=0.0, skip=1, **log)
    return paced["took"], amount.items / (flood["ended"] - flood["began"]) / 1000


def _run(workers: tuple[Worker, Worker], *, count: int, gap: float, readers: int, skip: int, **log: str) -> Any:
    """What a follower process found while a producer process wrote."""
    producer, follower = workers
    producer.begin("logs.produce", **log, count=count, gap=gap)
    follower.begin("logs.follow", **log, readers=readers, skip=skip)
    producer.result()
    return follower.result()


def _percentiles(took: Mapping[str, Sequence[float]]) -> dict[str, Figure | Missing]:
    table: dict[str, Figure | Missing] = {}
    for name, values in took.items():
        ordered = sorted(values)
        for share in (50, 99):
            table[f"{name}, p{share}"] = figure([ordered[(len(ordered) - 1) * share // 100]])
    return table
