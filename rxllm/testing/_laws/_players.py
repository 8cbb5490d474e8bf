"""Who takes part in a run: a source that notes what is done to it, and a consumer that does what it is told.

Rules:

1. The source behaves as the sources of rxllm do: its flow control is current for each batch; while somebody holds a
   pause it delivers nothing, and the end waits, too; an exception of ``on_next`` goes on as ``on_error``.
2. It delivers batches of any size. Between two of them the loop gets a turn, or some time passes.
3. The consumer is subscribed as an application subscribes: with three functions.
"""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable

from rxllm.flow import FanOut, FlowControl, Stream, outside_of_emissions, start_task
from rxllm.testing._virtual_time import VirtualTimeLoop, VirtualTimeScheduler

__all__ = ["Consumer", "Delivery", "PlannedError", "Source", "stems_from"]

R = TypeVar("R")

TURNS = 3
"""Turns of the loop that a consumer works on an item."""


class PlannedError(Exception):
    """What a source or a consumer fails with, as it was told."""


class Source:
    """Delivers batches to each subscriber.

    Args:
        batches: The items, as they come together.
        error: What it ends with; it completes if there is none.
        pausable: Whether a consumer can pause it.
        gap: Seconds between two batches; none passes by default.

    Attributes:
        stream: What to subscribe to.
        deliveries: Its subscriptions.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Any]],
        *,
        error: Exception | None = None,
        pausable: bool = True,
        gap: float = 0,
    ) -> None:
        self.batches = batches
        self.error = error
        self.pausable = pausable
        self.gap = gap
        self.stream: Stream[Any] = Stream(self._subscribe)
        self.deliveries: list[Delivery] = []

    def __str__(self) -> str:
        batches = [f"[{', '.join(map(reprlib.repr, batch))}]" for batch in self.batches]
        return " ".join(["the source:", *batches, "completed" if self.error is None else repr(self.error)])

    @property
    def taken(self) -> int:
        """How many items were taken by whoever subscribed last."""
        return self.deliveries[-1].taken if self.deliveries else 0

    @property
    def over(self) -> bool:
        """Whether it delivers no more, to anybody: it has ended or was left."""
        return all(delivery.over for delivery in self.deliveries)

    def release(self) -> list[object]:
        """End all pauses on it; returns who held one."""
        flows = [delivery.flow for delivery in self.deliveries if delivery.flow]
        holders = [(flow, holder) for flow in flows for holder in flow.holders]
        for flow, holder in holders:
            flow.resume(holder)
        return [holder for _, holder in holders]

    def _subscribe(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        delivery = Delivery(self, observer)
        self.deliveries.append(delivery)
        return delivery


class Delivery(abc.DisposableBase):
    """One subscription to a source: a task that delivers.

    Attributes:
        flow: What consumers pause, if they can.
        taken: How many items were taken, those included that are being delivered.
        ended: Whether it has told the end.
        over: Whether it delivers no more.
        raised: The exceptions that reached it from below.
    """

    def __init__(self, source: Source, observer: abc.ObserverBase[Any]) -> None:
        self.flow = FlowControl() if source.pausable else None
        self.taken = 0
        self.ended = False
        self.over = False
        self.raised: list[Exception] = []
        self._out: FanOut[Any] = FanOut(observer)
        self._task = start_task(asyncio.get_running_loop(), self._run(source), outside_of_emissions())

    def dispose(self) -> None:
        self.over = True
        if asyncio.current_task() is not self._task:
            self._task.cancel()

    async def _run(self, source: Source) -> None:
        error = source.error
        try:
            for batch in source.batches:
                await asyncio.sleep(source.gap)
                await self._deliver(batch)
                if self.over:
                    return
            await asyncio.sleep(source.gap)
        except Exception as raised:  # noqa: BLE001 - it goes on, whatever it is
            self.raised.append(raised)
            error = raised
        await self._resumed()
        if not self.over:
            self.over = self.ended = True
            self._out.end(error)

    async def _deliver(self, batch: Sequence[Any]) -> None:
        while batch and not self.over:
            await self._resumed()
            self.taken += len(batch)
            taken = self._offer(batch)
            if not taken and (self.flow is None or not self.flow.paused):
                taken = len(batch)  # nobody wants them
            batch = batch[taken:]
            self.taken -= len(batch)

    def _offer(self, batch: Sequence[Any]) -> int:
        if len(batch) > 1:
            return self._within(self._out.offer, batch)
        self._within(self._out.expand, batch)
        return 1

    def _within(self, emit: Callable[[Sequence[Any]], R], batch: Sequence[Any]) -> R:
        return emit(batch) if self.flow is None else self.flow.deliver(emit, batch)

    async def _resumed(self) -> None:
        if self.flow is not None:
            await self.flow.wait_resumed()


class Consumer:
    """Notes what it gets.

    Args:
        at_item: What it does at an item: called with the consumer, whose ``count`` is the number of the item.
        at_end: What it does at completion.

    Attributes:
        items: The items that it got.
        ends: How it ended: with ``None`` for completion, or an error. There is one at most.
        intrusions: How many items came while it held a pause.
    """

    def __init__(
        self, at_item: Callable[[Consumer], object] | None = None, at_end: Callable[[], object] | None = None
    ) -> None:
        self.items: list[Any] = []
        self.ends: list[Exception | None] = []
        self.intrusions = 0
        self._at_item = at_item
        self._at_end = at_end
        self._held: list[FlowControl] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._subscription = SerialDisposable()
        self._over = asyncio.Event()

    @property
    def count(self) -> int:
        """How many items it has got."""
        return len(self.items)

    @property
    def holds(self) -> bool:
        """Whether it holds a pause."""
        return bool(self._held)

    def subscribe(self, observable: Observable[Any]) -> None:
        self._subscription.disposable = observable.subscribe(
            self._on_next, self._on_error, self._on_completed, scheduler=VirtualTimeScheduler()
        )

    async def wait(self) -> None:
        """Wait until it has ended or left, or nothing is left to happen."""
        loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
        waits = {asyncio.ensure_future(self._over.wait()), asyncio.ensure_future(loop.wait_idle())}
        _, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()

    def pause(self) -> None:
        """Pause whoever delivers the item, if it can be paused."""
        flow = FlowControl.current()
        if flow is not None:
            flow.pause(self)
            self._held.append(flow)

    def resume(self) -> None:
        """End the pauses."""
        # Before: what waited for it may come at once, and the next pause with it.
        held, self._held = self._held, []
        for flow in held:
            flow.resume(self)

    def work(self, seconds: float = 0) -> None:
        """Pause, and resume some turns of the loop later, or after some time."""
        self.pause()
        # In a context that is a copy of the emission's, as an application does it.
        if seconds:
            self._timers.append(asyncio.get_running_loop().call_later(seconds, self.resume))
        else:
            self._count_down(TURNS)

    def _count_down(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._count_down, turns - 1)
        else:
            self.resume()

    def dispose(self) -> None:
        self._subscription.dispose()
        self.resume()
        for timer in self._timers:
            timer.cancel()
        self._over.set()

    def _on_next(self, item: Any) -> None:
        self.intrusions += self.holds
        self.items.append(item)
        if self._at_item is not None:
            self._at_item(self)

    def _on_error(self, error: Exception) -> None:
        self.ends.append(error)
        self._over.set()

    def _on_completed(self) -> None:
        self.ends.append(None)
        self._over.set()
        if self._at_end is not None:
            self._at_end()


def stems_from(error: BaseException | None, origin: Exception) -> bool:
    """Whether an error is another one, or was caused by it."""
    while error is not None:
        if error is origin:
            return True
        error = error.__cause__ or error.__context__
    return False
