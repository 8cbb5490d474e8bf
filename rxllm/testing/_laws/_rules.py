"""The laws, one function each: what is tried, and what has to come of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable

from rxllm.exceptions import BufferOverflowError
from rxllm.flow import Emitter, Operation, Stream, operate, task_source
from rxllm.testing._laws._players import Consumer, PlannedError, Source, stems_from
from rxllm.testing._laws._runs import Operator, Run, expect, fail

__all__ = ["LAWS", "Subject"]

FEW = 5
"""So many items are split in all ways."""

POINTS = 8
"""At so many items of the result something is tried."""

HELD = 60.0
"""Virtual seconds for which a consumer holds a pause."""

WORK = 0.03
"""Virtual seconds that a slow consumer takes for an item."""

GAP = 0.01
"""Virtual seconds between two items, where time passes."""

SLOW = 1.0
"""Virtual seconds between two items of a slow source."""


@dataclass(frozen=True)
class Subject:
    """The operator that is checked, and what it does with the items one by one.

    Attributes:
        make: Makes it.
        items: What it is fed with.
        holds: How many items it may let wait while its consumer holds a pause.
        timed: Whether its items depend on when those of the source come.
        replaces_errors: Whether it may end otherwise when its source fails.
        result: What it gives.
        end: How it ends.
        needed: How many items of the source had come when each item of the result came.
        late: How many items of the result came when the source had ended.
        error: What the source fails with, where it does.
        failed: What it gives when the source fails behind the items, and how it ends then.
    """

    make: Callable[[], Operator]
    items: Sequence[Any]
    holds: int
    timed: bool
    replaces_errors: bool
    result: Sequence[Any]
    end: Exception | None
    needed: Sequence[int]
    late: int
    error: PlannedError
    failed: tuple[Sequence[Any], Exception | None]

    @classmethod
    def of(
        cls, make: Callable[[], Operator], items: Sequence[Any], *, holds: int, timed: bool, replaces_errors: bool
    ) -> Subject:
        """Run the operator over the items, one by one and without pauses."""
        source = Source(singly(items))
        needed: list[int] = []
        late = 0

        def note(_: Consumer) -> None:
            nonlocal late
            needed.append(source.taken)
            late += any(delivery.ended for delivery in source.deliveries)

        error = PlannedError("the source failed")
        consumer, of_none, failed = Consumer(note), Consumer(), Consumer()
        for each, source_of_it, what in (
            (consumer, source, "the source completed"),
            (of_none, Source(()), "the source completed without an item"),
            (failed, Source(singly(items), error=error), "the source failed"),
        ):
            run = Run(make, source_of_it, each)
            if not each.ends:
                fail("end", f"{what}, and the result did not end", run.source)
        return cls(
            make=make,
            items=items,
            holds=holds,
            timed=timed,
            replaces_errors=replaces_errors,
            result=consumer.items,
            end=consumer.ends[0],
            needed=needed,
            late=late,
            error=error,
            failed=(failed.items, failed.ends[0]),
        )

    @property
    def points(self) -> Sequence[int]:
        """Items of the result, by their number from 1 on: the first ones and the last."""
        count = len(self.result)
        return [*range(1, count + 1)][:POINTS] + ([count] if count > POINTS else [])

    @property
    def ways(self) -> Sequence[Sequence[Sequence[Any]]]:
        """A few ways to split the items into batches."""
        half = len(self.items) // 2
        return [singly(self.items), [self.items], [self.items[:half], self.items[half:]]][: 1 + len(self.items)]

    def tells(self, consumer: Consumer, error: Exception) -> bool:
        """Whether a consumer was told of an error."""
        return any(self.replaces_errors or stems_from(end, error) for end in consumer.ends)

    def run(self, source: Source, consumer: Consumer, **how: Any) -> Run:
        return Run(self.make, source, consumer, **how)


def singly(items: Sequence[Any]) -> Sequence[Sequence[Any]]:
    return [(item,) for item in items]


def splits(items: Sequence[Any]) -> Iterable[Sequence[Sequence[Any]]]:
    """All ways to split few items into batches, several for many."""
    count = len(items)
    if count <= FEW:
        cuts = [cut for number in range(count) for cut in combinations(range(1, count), number)]
    else:
        # All together, equal ones of several sizes, and the first or the last alone.
        cuts = [(), *(tuple(range(size, count, size)) for size in (1, 2, 3, count // 2)), (1,), (count - 1,)]
    return [[items[start:stop] for start, stop in pairwise((0, *cut, count))] for cut in cuts if count]


class _Pass(Operation[Any, Any]):
    """Hands batches on as they come, as operators of ours do."""

    def on_batch(self, items: Sequence[Any]) -> int:
        return self.out.offer(items)


def _same(item: Any) -> Any:
    return item


SURROUNDINGS: dict[str, tuple[list[Operator], list[Operator]]] = {
    " behind an operator of reactivex": ([rx_ops.map(_same)], []),
    " in front of an operator of reactivex": ([], [rx_ops.map(_same)]),
    " in front of an operator of rxllm": ([], [operate(_Pass)]),
}


def batches(subject: Subject) -> None:
    """The same comes of the items however they come together, whether the consumer is busy or not."""
    for split in splits(subject.items):
        for busy in (False, True):
            run = subject.run(Source(split), Consumer(Consumer.work if busy else None))
            expect("batches", _came(split, busy=busy), run, subject.result, subject.end)
    for split in subject.ways:
        for where, (above, below) in SURROUNDINGS.items():
            for busy in (False, True):
                run = subject.run(Source(split), Consumer(Consumer.work if busy else None), above=above, below=below)
                expect("batches", _came(split, busy=busy) + where, run, subject.result, subject.end)
        run = subject.run(Source(split, error=subject.error), Consumer(Consumer.work))
        expect("batches", _came(split, busy=True) + " and a source that fails", run, *subject.failed)
    run = subject.run(Source(()), Consumer(), above=[partial(_instead, _of_a_task(subject.items))])
    expect("batches", "with a list that a task emits", run, subject.result, subject.end)


def _came(split: Sequence[Sequence[Any]], *, busy: bool) -> str:
    sizes = ", ".join(str(len(batch)) for batch in split) or "none"
    return f"with batches of {sizes}" + (" and a consumer that pauses at each item" if busy else "")


def _instead(source: Observable[Any], _: Observable[Any]) -> Observable[Any]:
    return source


def _of_a_task(items: Sequence[Any]) -> Stream[Any]:
    async def produce(emitter: Emitter[Any]) -> None:
        await emitter.emit([*items])

    return task_source(produce)


def bound(subject: Subject) -> None:
    """A consumer that holds a pause gets nothing, and soon the operator takes nothing."""
    for split in subject.ways:
        for point in subject.points:
            _hold(subject, Source(split), point)
    for batch in subject.ways[:2]:
        run = subject.run(Source(batch, pausable=False), Consumer())
        if not isinstance(run.consumer.ends[0] if run.consumer.ends else None, BufferOverflowError):
            expect("bound", "behind a source that cannot be paused", run, subject.result, subject.end)
    _hold_unpausable(subject)


def _hold(subject: Subject, source: Source, point: int) -> None:
    taken = intrusions = 0
    is_paused = can_pause = True

    def pause(consumer: Consumer) -> None:
        nonlocal is_paused, can_pause
        if consumer.count == point:
            consumer.pause()
            is_paused = consumer.holds
            can_pause = is_paused or source.over or not source.taken

    async def wait() -> None:
        nonlocal taken, intrusions
        while consumer.count < point and not consumer.ends:  # noqa: ASYNC110 - the operator may wait for time to pass
            await asyncio.sleep(GAP)
        await asyncio.sleep(HELD)
        taken, intrusions = source.taken, consumer.intrusions
        consumer.resume()

    consumer = Consumer(pause)
    subject.run(source, consumer, then=wait)
    if not can_pause:
        fail("bound", f"item {point} came from nobody whom the consumer could pause", source)
    if not is_paused:
        return  # it came with the end
    if intrusions:
        fail("bound", f"while the consumer held a pause at item {point}, {intrusions} more items came", source)
    waiting = taken - subject.needed[point - 1]
    if waiting > subject.holds:
        what = f"while the consumer held a pause at item {point}, the operator took {waiting} more items of its source"
        fail("bound", f"{what}; it may hold {subject.holds}", source)


def _hold_unpausable(subject: Subject) -> None:
    """An operator that can be paused itself fails rather than let more items wait than it may."""
    source = Source(singly(subject.items), pausable=False)
    before = 0

    def pause(consumer: Consumer) -> None:
        if consumer.count == 1:
            consumer.pause()

    async def wait() -> None:
        nonlocal before
        await asyncio.sleep(HELD)
        before = consumer.count
        consumer.resume()

    consumer = Consumer(pause)
    subject.run(source, consumer, then=wait)
    if any(isinstance(end, BufferOverflowError) for end in consumer.ends):
        return
    late = subject.needed[before : consumer.count]
    waited = late[-1] - subject.needed[before - 1] if late and before else 0
    if waited > subject.holds:
        what = f"behind a source that cannot be paused, {waited} items waited for the consumer"
        fail("bound", f"{what}; it may hold {subject.holds}, and fails with BufferOverflowError then", source)


def end_behind_items(subject: Subject) -> None:
    """Completion and errors come behind all items, however slow the source or the consumer is."""

    def work(consumer: Consumer) -> None:
        consumer.work(WORK)

    one_by_one = singly(subject.items)
    for error, (items, end) in ((None, (subject.result, subject.end)), (subject.error, subject.failed)):
        for what, source, consumer in (
            ("with a slow source", Source(one_by_one, error=error, gap=SLOW), Consumer()),
            ("with a slow consumer", Source(one_by_one, error=error), Consumer(work)),
        ):
            run = subject.run(source, consumer)
            expect("end behind items", what, run, consumer.items if subject.timed else items, end)


def dispose(subject: Subject) -> None:
    """Whenever the consumer leaves, the source is left, and nothing is left behind."""
    for turns in range(3):
        _leave_after(subject, turns=turns)
    for number in range(len(subject.items) + 1):
        _leave_after(subject, seconds=(number + 0.5) * GAP)
    for split in subject.ways:
        for point in subject.points:
            _leave_within(subject, Source(split), point)


def _leave_within(subject: Subject, source: Source, point: int) -> None:
    def leave(consumer: Consumer) -> None:
        if consumer.count == point:
            consumer.dispose()

    subject.run(source, Consumer(leave), when=f"after dispose within item {point}")


def _leave_after(subject: Subject, *, turns: int = 0, seconds: float = 0) -> None:
    source, consumer = Source(singly(subject.items), gap=GAP if seconds else 0), Consumer()

    async def leave() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(seconds)
        consumer.dispose()

    when = f"{seconds:g} s after it was subscribed to" if seconds else "before the first item"
    subject.run(source, consumer, then=leave, when=f"after dispose {when}")


def pause_released(subject: Subject) -> None:
    """When a subscription is over its pauses are, and others who share the producer get all items."""
    for split in subject.ways:
        for point in subject.points:
            _leave_while_paused(subject, Source(split), point, alone=True)
    for point in (*subject.points, 0):
        _leave_while_paused(subject, Source(singly(subject.items)), point, alone=False)


def _leave_while_paused(subject: Subject, source: Source, point: int, *, alone: bool) -> None:
    """Leave while the consumer holds a pause at an item, or else, if there is no point, when the result ends."""
    others: list[Any] = []
    other = SerialDisposable()

    def pause(consumer: Consumer) -> None:
        if consumer.count == point:
            consumer.pause()

    async def leave() -> None:
        await asyncio.sleep(HELD)
        if point:
            consumer.dispose()
        await asyncio.sleep(HELD)
        other.dispose()

    def with_another_branch(stream: Observable[Any]) -> Observable[Any]:
        shared = stream.pipe(rx_ops.share())

        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            subscription = shared.subscribe(observer, scheduler=scheduler)
            other.disposable = shared.subscribe(others.append, lambda _: None)
            return subscription

        return Observable(subscribe)

    consumer = Consumer(pause)
    when = f"after dispose while the consumer held a pause at item {point}" if point else "after the end"
    subject.run(source, consumer, above=[] if alone else [with_another_branch], then=leave, when=when)
    if not alone and others != [*subject.items]:
        what = f"{when}, another branch over the same source got {len(others)} of {len(subject.items)} items"
        fail("pause released", what, source)


def exceptions(subject: Subject) -> None:
    """An exception ends the stream and is heard of, whoever raises it."""
    for count in range(len(subject.items) + 1):
        items = subject.items[:count]
        for split in (singly(items), [items]) if count > 1 else (singly(items),):
            _fail_after(subject, Source(split, error=subject.error), count)
    for cls in (Observable, Stream):
        _fail_to_subscribe(subject, cls)
    for split in subject.ways:
        for point in subject.points:
            _throw_at_item(subject, Source(split), point)
    _throw_at_end(subject, Source(singly(subject.items)))


def _throw_at_item(subject: Subject, source: Source, point: int) -> None:
    error = PlannedError(f"the consumer failed at item {point}")

    def throw(consumer: Consumer) -> None:
        if consumer.count == point:
            raise error

    run = subject.run(source, Consumer(throw), when=f"after the consumer raised at item {point}")
    if run.consumer.count > point and not subject.replaces_errors:
        fail("exceptions", f"the consumer raised at item {point}, and more items came", source)
    told = subject.tells(run.consumer, error)
    # What is raised at an item that the end brings cannot come back as an error: it reaches the caller.
    if not told and not (point > len(subject.result) - subject.late and run.caught_by_somebody(error)):
        fail("exceptions", f"the consumer raised at item {point}, and nobody was told of it", source)


def _throw_at_end(subject: Subject, source: Source) -> None:
    error = PlannedError("the consumer failed at the end")

    def throw() -> None:
        raise error

    run = subject.run(source, Consumer(at_end=throw), when="after the consumer raised in on_completed")
    if subject.end is None and not run.caught_by_somebody(error):
        fail("exceptions", "the consumer raised in on_completed, and nobody was told of it", source)


def _fail_after(subject: Subject, source: Source, count: int) -> None:
    run = subject.run(source, Consumer(), when="after an error of the source")
    if not any(delivery.ended for delivery in source.deliveries):
        return  # it was left before
    what = f"the source failed after {count} items"
    ends = run.consumer.ends
    if not ends:
        fail("exceptions", f"{what}, and no end came", source)
    if not subject.tells(run.consumer, subject.error):
        fail("exceptions", f"{what}, and the result ended with {ends[0]!r}", source)


def _fail_to_subscribe(subject: Subject, cls: Callable[[Callable[..., Any]], Observable[Any]]) -> None:
    error = PlannedError("subscribing failed")

    def subscribe(*_: Any) -> abc.DisposableBase:
        raise error

    source, consumer = Source(()), Consumer()
    subject.run(
        source, consumer, above=[partial(_instead, cls(subscribe))], when="after subscribing to the source failed"
    )
    if not subject.tells(consumer, error):
        fail("exceptions", f"subscribing to the source raised, and the result ended with {consumer.ends!r}")


def subscriptions(subject: Subject) -> None:
    """Subscriptions to one result know nothing of each other."""
    source, first, second, third = Source(singly(subject.items)), Consumer(), Consumer(), Consumer()

    def subscribe_more(stream: Observable[Any]) -> Observable[Any]:
        results.append(stream)
        return stream

    async def then() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.subscribe(results[0])
        await first.wait()
        await second.wait()
        third.subscribe(results[0])
        await third.wait()
        second.dispose()
        third.dispose()

    results: list[Observable[Any]] = []
    run = subject.run(source, first, below=[subscribe_more], then=then)
    for what, run.consumer in (
        ("beside another subscription", first),
        ("while there was another subscription", second),
        ("when it was subscribed to again", third),
    ):
        expect("subscriptions", what, run, subject.result, subject.end)


LAWS: Sequence[Callable[[Subject], None]] = [
    subscriptions,
    end_behind_items,
    batches,
    bound,
    pause_released,
    dispose,
    exceptions,
]
