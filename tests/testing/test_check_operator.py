"""``check_operator``: right operators pass, and of each law a planted fault is caught and named."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import CompositeDisposable, Disposable

from rxllm.flow import Backlog, FanOut, FlowControl, Operation, Pauses, operate
from rxllm.testing import VirtualTimeError, check_operator

Operator = Callable[[Observable[Any]], Observable[Any]]
Observer = abc.ObserverBase[Any]

TEXTS = ["It is", " late. Go", " home! Come", " back. Sit. ", "Eat", ". Well"]
NUMBERS = [*range(6)]


def closure(subscribe: Callable[[Observable[Any], Observer], abc.DisposableBase]) -> Callable[[], Operator]:
    """An operator as users write it: an ``Observable`` of a function that subscribes."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        def begin(observer: Observer, _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            return subscribe(source, observer)

        return Observable(begin)

    return lambda: operator


def kit(make: Callable[..., Operation[Any, Any]], *args: Any) -> Callable[[], Operator]:
    return lambda: operate(make, *args)


def later(seconds: float, call: Callable[..., object], *args: Any) -> abc.DisposableBase:
    return Disposable(asyncio.get_running_loop().call_later(seconds, call, *args).cancel)


# Right ones


class Double(Operation[int, int]):
    def on_item(self, item: int, /) -> Iterable[int]:
        return [item * 2]


class Even(Operation[int, int]):
    def on_item(self, item: int, /) -> Iterable[int]:
        return () if item % 2 else (item,)


class Pairs(Operation[int, tuple[int, int]]):
    first: int | None = None

    def on_item(self, item: int, /) -> Iterable[tuple[int, int]]:
        if self.first is None:
            self.first = item
            return
        yield self.first, item
        self.first = None


class Two(Operation[int, int]):
    count = 0

    def on_item(self, item: int, /) -> Iterable[int]:
        self.count += 1
        if self.count == 2:
            self.finish()
        return [item]


class Sentences(Operation[str, str]):
    begun = ""

    def on_item(self, item: str, /) -> Iterable[str]:
        *whole, self.begun = re.split(r"(?<=[.!?])\s+", self.begun + item)
        return whole

    def on_end(self) -> Iterable[str]:
        return [self.begun] if self.begun else []


class Total(Operation[int, int]):
    total = 0

    def on_item(self, item: int, /) -> Iterable[int]:
        self.total += item
        return ()

    def on_end(self) -> Iterable[int]:
        return [self.total]


class Wrapping(Operation[int, int]):
    def on_item(self, item: int, /) -> Iterable[int]:
        return [item]

    def on_failure(self, error: Exception, /) -> Iterable[int]:
        raise LookupError("no answer") from error


class Gathered(Operation[int, Sequence[int]]):
    """What comes within a second, together."""

    def __init__(self, out: FanOut[Sequence[int]]) -> None:
        super().__init__(out)
        self.items: list[int] = []
        self.timer: abc.DisposableBase = Disposable()

    def on_item(self, item: int, /) -> Iterable[Sequence[int]]:
        if not self.items:
            self.timer = self.out.clock.call_later(1, self.emit)
        self.items.append(item)
        return ()

    def emit(self) -> None:
        items, self.items = self.items, []
        self.out.emit([items])

    def on_end(self) -> Iterable[Sequence[int]]:
        return [self.items] if self.items else []

    def on_dispose(self) -> None:
        self.timer.dispose()


class Beating(Operation[int, int]):
    """Tells of a second in which nothing came, once."""

    def __init__(self, out: FanOut[int]) -> None:
        super().__init__(out)
        self.timer: abc.DisposableBase = Disposable()

    def on_item(self, item: int, /) -> Iterable[int]:
        self.timer.dispose()
        self.timer = self.out.clock.call_later(1, lambda: self.out.emit([-1]))
        return [item]

    def on_dispose(self) -> None:
        self.timer.dispose()


class Paced(Operation[int, int]):
    """An item every 10 ms; a few wait."""

    def __init__(self, out: FanOut[int], size: int = 2) -> None:
        super().__init__(out)
        self.waiting: Backlog[int] = Backlog(size, holder="paced")
        self.timer: abc.DisposableBase | None = None
        out.hold(self)

    def on_item(self, item: int, /) -> Iterable[int]:
        self.waiting.push(item)
        self.out.drain()
        return ()

    def on_dispose(self) -> None:
        self.waiting.clear()
        if self.timer is not None:
            self.timer.dispose()

    def go_on(self) -> None:
        self.timer = None
        self.out.drain()

    # The queue that the way out emits from.

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def ready(self) -> bool:
        return self.timer is None and self.waiting.ready

    def take(self) -> int:
        self.timer = self.out.clock.call_later(0.01, self.go_on)
        return self.waiting.take()

    def relax(self) -> None:
        self.waiting.relax()


@closure
def doubled(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    return source.subscribe(lambda item: observer.on_next(item * 2), observer.on_error, observer.on_completed)


@closure
def paired(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    waiting: list[int] = []

    def on_next(item: int) -> None:
        waiting.append(item)
        if len(waiting) == 2:
            pair = (waiting[0], waiting[1])
            waiting.clear()
            observer.on_next(pair)

    return source.subscribe(on_next, observer.on_error, observer.on_completed)


@closure
def totalled(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    items: list[int] = []

    def on_completed() -> None:
        observer.on_next(sum(items))
        observer.on_completed()

    return source.subscribe(items.append, observer.on_error, on_completed)


def _complete(observer: Observer, _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
    observer.on_completed()
    return Disposable()


RIGHT: dict[str, tuple[Callable[[], Operator], Sequence[Any], dict[str, Any]]] = {
    "map": (kit(Double), NUMBERS, {}),
    "filter": (kit(Even), NUMBERS, {}),
    "pairs": (kit(Pairs), NUMBERS, {}),
    "take": (kit(Two), NUMBERS, {}),
    "sentences": (kit(Sentences), TEXTS, {}),
    "at the end only": (kit(Total), NUMBERS, {}),
    "an error with a cause": (kit(Wrapping), NUMBERS, {}),
    "with a timer": (kit(Gathered), NUMBERS, {"timed": True}),
    "with a timer that tells of silence": (kit(Beating), NUMBERS, {"timed": True}),
    "paced": (kit(Paced), NUMBERS, {"holds": 2}),
    "map, as a function": (doubled, NUMBERS, {}),
    "pairs, as a function": (paired, NUMBERS, {}),
    "at the end only, as a function": (totalled, NUMBERS, {}),
    "filter of reactivex": (lambda: rx_ops.filter(lambda item: item % 2 == 0), NUMBERS, {}),
    "take of reactivex": (lambda: rx_ops.take(2), NUMBERS, {}),
    "scan of reactivex": (lambda: rx_ops.scan(lambda total, item: total + item, 0), NUMBERS, {}),
    "catch of reactivex": (lambda: rx_ops.catch(Observable(_complete)), NUMBERS, {"replaces_errors": True}),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("count", [6, 2, 0])
def test_a_right_operator_passes(name: str, count: int) -> None:
    make, items, how = RIGHT[name]

    check_operator(make, items[:count], **how)


# Faults


class Passing(Operation[Any, Any]):
    """What the faulty ones have in common: they pass on what they get."""


class Shared(Passing):
    """Numbers the items of all subscriptions."""

    def __init__(self, out: FanOut[Any], count: list[int]) -> None:
        super().__init__(out)
        self.count = count

    def on_item(self, item: Any, /) -> Iterable[Any]:
        self.count.append(item)
        return [len(self.count)]


def shared() -> Operator:
    """Numbers the items of all subscriptions to a result."""
    count: list[Any] = []

    @closure
    def numbered(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
        def on_next(item: Any) -> None:
            count.append(item)
            observer.on_next(len(count))

        return source.subscribe(on_next, observer.on_error, observer.on_completed)

    return numbered()


def eager() -> Operator:
    """Subscribes to its source when it is put into a pipeline."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        connectable: Any = source.pipe(rx_ops.replay())
        connectable.connect()
        return source.pipe(rx_ops.map(lambda item: item))

    return operator


class FirstOfEach(Passing):
    """Takes one item of a batch for the whole of it."""

    def on_batch(self, items: Sequence[Any]) -> int:
        self.emit_together(items[:1])
        return len(items)


@closure
def last_of_a_turn(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Emits in the next turn of the loop what came last in this one."""
    latest: list[Any] = []

    def flush() -> None:
        if latest:
            observer.on_next(latest.pop())

    def on_next(item: Any) -> None:
        if not latest:
            asyncio.get_running_loop().call_soon(flush)
        latest[:] = [item]

    def on_completed() -> None:
        flush()
        observer.on_completed()

    return source.subscribe(on_next, observer.on_error, on_completed)


class FailingAfterBatches(Passing):
    """Fails at the end if items came together."""

    together = False

    def on_batch(self, items: Sequence[Any]) -> int:
        self.together = self.together or len(items) > 1
        return super().on_batch(items)

    def on_end(self) -> Iterable[Any]:
        if self.together:
            raise ValueError("too many")
        return ()


class Endless(Passing):
    def on_completed(self) -> None:
        """Tell nobody."""


@closure
def endless(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    return source.subscribe(observer.on_next, observer.on_error)


class Ticking(Passing):
    """Has a timer that sets itself again, also after the end."""

    def on_completed(self) -> None:
        self.timer = self.out.clock.call_later(1, self.on_completed)

    def on_dispose(self) -> None:
        self.timer.dispose()


class EndlessAfterErrors(Passing):
    def on_error(self, error: Exception) -> None:
        """Tell nobody."""


class Delayed(Passing):
    """Delays the items, and not the end."""

    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        self.timers = CompositeDisposable()

    def on_item(self, item: Any, /) -> Iterable[Any]:
        self.timers.add(self.out.clock.call_later(0.1, lambda: self.out.emit([item])))
        return ()

    def on_dispose(self) -> None:
        self.timers.dispose()


@closure
def looking(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Looks every 20 ms whether a pause is over. The end does not."""
    waiting: list[tuple[FlowControl | None, Any]] = []
    timers = CompositeDisposable()

    def drain() -> None:
        while waiting:
            flow, item = waiting[0]
            if flow is not None and flow.paused:
                timers.add(later(0.02, drain))
                return
            del waiting[0]
            observer.on_next(item) if flow is None else flow.deliver(observer.on_next, item)

    def on_next(item: Any) -> None:
        waiting.extend([(FlowControl.current(), item)] * 2)
        if len(waiting) == 2:
            drain()

    return CompositeDisposable(source.subscribe(on_next, observer.on_error, observer.on_completed), timers)


@closure
def stuck(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Keeps the items that come while somebody pauses."""
    waiting: list[Any] = []

    def on_next(item: Any) -> None:
        for each in (item, item):
            flow = FlowControl.current()
            if flow is not None and flow.paused:
                waiting.append(each)
            else:
                observer.on_next(each)

    def on_completed() -> None:
        if not waiting:
            observer.on_completed()

    return source.subscribe(on_next, observer.on_error, on_completed)


@closure
def overtaken(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Delays items and completion by a timer, and errors not."""
    timers = CompositeDisposable()

    def delay(call: Callable[..., None], *args: Any) -> None:
        timers.add(later(0.1, call, *args))

    subscription = source.subscribe(
        lambda item: delay(observer.on_next, item), observer.on_error, lambda: delay(observer.on_completed)
    )
    return CompositeDisposable(subscription, timers)


class Unbounded(Passing):
    """Lets any number of items wait."""

    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        self.waiting: Backlog[Any] = Backlog(1000)
        out.hold(self.waiting)

    def on_item(self, item: Any, /) -> Iterable[Any]:
        self.waiting.push(item)
        self.out.drain()
        return ()


@closure
def twice(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Emits two items for one, whoever pauses."""

    def on_next(item: Any) -> None:
        observer.on_next(item)
        observer.on_next(item)

    return source.subscribe(on_next, observer.on_error, observer.on_completed)


@closure
def of_a_task(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Emits from a task, which is no producer that somebody could pause."""
    queue: asyncio.Queue[Callable[[], None]] = asyncio.Queue()

    async def work() -> None:
        while True:
            (await queue.get())()

    task = asyncio.create_task(work())
    subscription = source.subscribe(
        lambda item: queue.put_nowait(lambda: observer.on_next(item)),
        lambda error: queue.put_nowait(lambda: observer.on_error(error)),
        lambda: queue.put_nowait(observer.on_completed),
    )

    def stop() -> None:
        task.cancel()

    return CompositeDisposable(subscription, Disposable(stop))


class Growing(Passing):
    """Pauses whoever can be paused, and takes any number of items from those that cannot."""

    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        self.waiting: list[Any] = []
        self.pauses = Pauses("growing")
        out.hold(self)

    def on_item(self, item: Any, /) -> Iterable[Any]:
        self.waiting.append(item)
        self.out.drain()
        if self.waiting:
            self.pauses.hold()
        return ()

    def on_dispose(self) -> None:
        self.pauses.release()

    def __len__(self) -> int:
        return len(self.waiting)

    @property
    def ready(self) -> bool:
        return bool(self.waiting)

    def take(self) -> Any:
        return self.waiting.pop(0)

    def relax(self) -> None:
        self.pauses.release()


class Keeping(Paced):
    """Keeps its pause when it is left."""

    def on_dispose(self) -> None:
        if self.timer is not None:
            self.timer.dispose()


class KeepingAfterTwo(Two):
    """Pauses its producer and has enough."""

    def on_item(self, item: int, /) -> Iterable[int]:
        flow = FlowControl.current()
        if self.count == 1 and flow is not None:
            flow.pause("keeping")
        return super().on_item(item)


@closure
def keeping(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Pauses the producer for 10 ms after each item, and forgets to resume it when it is left."""
    timers = CompositeDisposable()

    def on_next(item: Any) -> None:
        flow = FlowControl.current()
        if flow is not None:
            flow.pause(timers)
            timers.add(later(0.01, flow.resume, timers))
        observer.on_next(item)

    return CompositeDisposable(source.subscribe(on_next, observer.on_error, observer.on_completed), timers)


class Watching(Passing):
    """Sets a timer, and lets it run when it is left."""

    def __init__(self, out: FanOut[Any]) -> None:
        super().__init__(out)
        out.clock.call_later(1, lambda: None)


@closure
def watching(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Has a task, and lets it run when it is left."""

    async def work() -> None:
        await ended.wait()

    def on_completed() -> None:
        ended.set()
        observer.on_completed()

    def on_error(error: Exception) -> None:
        ended.set()
        observer.on_error(error)

    ended = asyncio.Event()
    tasks.append(asyncio.create_task(work()))
    return source.subscribe(observer.on_next, on_error, on_completed)


tasks: list[asyncio.Task[None]] = []


@closure
def staying(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Does not leave its source."""
    source.subscribe(observer)
    return Disposable()


class Replacing(Passing):
    def on_failure(self, error: Exception, /) -> Iterable[Any]:
        del error
        raise LookupError("something went wrong")


@closure
def swallowing(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Takes exceptions of the consumer for its own, and goes on."""

    def on_next(item: Any) -> None:
        try:
            observer.on_next(item)
        except Exception:  # noqa: BLE001 - the fault
            return

    return source.subscribe(on_next, observer.on_error, observer.on_completed)


@closure
def swallowing_the_last(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    def on_completed() -> None:
        try:
            observer.on_completed()
        except Exception:  # noqa: BLE001 - the fault
            return

    return source.subscribe(observer.on_next, observer.on_error, on_completed)


@closure
def hushing(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Leaves the source when the consumer raises, and tells nobody."""

    def on_next(item: Any) -> None:
        try:
            observer.on_next(item)
        except Exception:  # noqa: BLE001 - the fault
            subscription.dispose()

    subscription = CompositeDisposable()
    subscription.add(source.subscribe(on_next, observer.on_error, observer.on_completed))
    return subscription


@closure
def careless(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Has a timer that raises."""

    def on_next(item: Any) -> None:
        observer.on_next(item)
        later(0, [].pop)

    return source.subscribe(on_next, observer.on_error, observer.on_completed)


@closure
def stopping(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Stops its source after two items by an exception."""
    items: list[Any] = []

    def on_next(item: Any) -> None:
        if len(items) == 2:
            raise StopAsyncIteration
        items.append(item)
        observer.on_next(item)

    return source.subscribe(on_next, observer.on_error, observer.on_completed)


@closure
def deaf(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Passes an error on only if an item has come before it."""
    items: list[Any] = []

    def on_next(item: Any) -> None:
        items.append(item)
        observer.on_next(item)

    def on_error(error: Exception) -> None:
        if items:
            observer.on_error(error)

    return source.subscribe(on_next, on_error, observer.on_completed)


@closure
def careful(source: Observable[Any], observer: Observer) -> abc.DisposableBase:
    """Takes an exception of its source's subscribe for the end."""

    class Guard(Observable[Any]):
        def _subscribe_core(self, observer: Observer, scheduler: abc.SchedulerBase | None = None) -> Any:
            try:
                return source._subscribe_core(observer, scheduler)
            except Exception:  # noqa: BLE001 - the fault
                observer.on_completed()
                return Disposable()

    return Guard().subscribe(observer)


GROWS = "behind a source that cannot be paused, 5 items waited for the consumer"
FAULTS: list[tuple[str, str, Callable[[], Operator]]] = [
    ("subscriptions", "beside another subscription, other items came", kit(Shared, [])),
    ("subscriptions", "other items came", shared),
    ("subscriptions", "it subscribed to its source before anybody subscribed to the result", eager),
    ("batches", "with batches of", kit(FirstOfEach)),
    ("batches", "with batches of", last_of_a_turn),
    ("batches", "it ended otherwise", kit(FailingAfterBatches)),
    ("end", "the source completed, and the result did not end", kit(Endless)),
    ("end", "the source completed, and the result did not end", endless),
    ("end", "the stream goes on without end", kit(Ticking)),
    ("end", "the source failed, and the result did not end", kit(EndlessAfterErrors)),
    ("end behind items", "with a slow source, other items came", kit(Delayed)),
    ("end behind items", "with a slow consumer, other items came", looking),
    ("end behind items", "with a slow consumer, no end came", stuck),
    ("end behind items", "with a slow source, other items came", overtaken),
    ("bound", "while the consumer held a pause at item 1, the operator took 5 more items", kit(Unbounded)),
    ("bound", "while the consumer held a pause at item 1, 1 more items came", twice),
    ("bound", "item 1 came from nobody whom the consumer could pause", of_a_task),
    ("bound", GROWS, kit(Growing)),
    ("pause released", "paced still holds a pause on the source", kit(Keeping)),
    ("pause released", "still holds a pause on the source", kit(KeepingAfterTwo)),
    ("pause released", "still holds a pause on the source", keeping),
    ("pause released", "another branch over the same source got 2 of 6 items", stopping),
    ("dispose", "something is left behind", kit(Watching)),
    ("dispose", "something is left behind", watching),
    ("dispose", "the source was not left", staying),
    ("exceptions", "and the result ended with LookupError", kit(Replacing)),
    ("exceptions", "the consumer raised at item 1, and more items came", swallowing),
    ("exceptions", "the consumer raised in on_completed, and nobody was told of it", swallowing_the_last),
    ("exceptions", "the consumer raised at item 1, and nobody was told of it", hushing),
    ("exceptions", "the event loop got an exception that nobody caught", careless),
    ("exceptions", "the source failed after 0 items, and no end came", deaf),
    ("exceptions", "subscribing to the source raised, and the result ended with [None]", careful),
]


@pytest.mark.parametrize(("law", "what", "make"), FAULTS, ids=[f"{law}-{what}" for law, what, _ in FAULTS])
def test_a_fault_is_caught_and_the_message_names_the_law(law: str, what: str, make: Callable[[], Operator]) -> None:
    holds = 2 if what in {"paced still holds a pause on the source", GROWS} else 0

    with pytest.raises(AssertionError) as caught:
        check_operator(make, NUMBERS, holds=holds)

    assert str(caught.value).startswith(f"{law}: ")
    assert what in str(caught.value)


def test_a_message_shows_how_the_items_came_and_what_differs() -> None:
    with pytest.raises(AssertionError) as caught:
        check_operator(kit(FirstOfEach), ["a", "b", "c"])

    assert str(caught.value).splitlines() == [
        "batches: with batches of 3, other items came",
        "  the source: ['a', 'b', 'c'] completed",
        "  expected  abc|",
        "  actual    a|",
    ]


async def test_it_is_a_plain_function_and_no_part_of_a_running_loop() -> None:
    with pytest.raises(VirtualTimeError, match="an event loop runs in this thread already"):
        check_operator(kit(Double), NUMBERS)
