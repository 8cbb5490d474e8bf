"""What an operator emits through: several items at once, or some later on, and the end behind all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from reactivex import Observable, abc

from rxllm.exceptions import RxllmError, StreamInterruptedError, attach_stream
from rxllm.flow._backlog import Queue
from rxllm.flow._batches import batching, end
from rxllm.flow._clock import Clock, Readings, clock_of
from rxllm.flow._consumer import consumer, tell
from rxllm.flow._control import FlowControl, Pauses, current
from rxllm.flow._stopping import stopping, stopping_now

T = TypeVar("T")


class FanOut(Generic[T]):
    """The output of one subscription of an operator.

    Items are emitted in order, the end behind them, and none while a consumer pauses the producer that they came from.
    Usually that producer is the source above. An operator with a queue pauses the source itself, and is a producer of
    its own: see ``hold``.

    If no producer can be paused, nothing is held back: all items are emitted at once. While items wait for one producer
    to be resumed, each other producer that delivers is paused, too (``merge`` has several above it).

    Args:
        observer: Where the items go.
        scheduler: The scheduler of the subscription, if it has one.

    Attributes:
        ended: Whether nothing can be emitted any more but what waits.
        producer: Who delivered last to the operator.
    """

    __slots__ = (
        *("_behind", "_broken", "_consumer", "_disposed", "_emitting", "_error", "_flow", "_holds", "_observer"),
        *("_pauses", "_queue", "_rest", "_scheduler", "_stops", "_withdraw", "ended", "producer"),
    )

    def __init__(self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> None:
        self._observer = batching(observer)
        self._scheduler = scheduler
        # Mostly nothing waits: then there is no queue.
        self._rest: deque[tuple[FlowControl | None, T]] | tuple[()] = ()
        self._pauses = Pauses("items of which several came at once")
        self._queue: Queue[T] | None = None
        # Whether something may wait in that: to ask it costs more than all else that an item takes.
        self._holds = False
        self._flow: FlowControl | None = None
        self.producer: FlowControl | None = None
        self.ended: bool = False
        self._error: Exception | None = None
        self._stops = False
        # Of the last item that waited when the end came, or of what ended: while it is paused the end waits, too.
        self._behind: FlowControl | None = None
        self._emitting = False
        # Whether a consumer threw: it gets its error, and no further item.
        self._broken = False
        self._disposed = False
        self._withdraw: Callable[[], None] | None = None
        self._consumer = consumer()

    @property
    def clock(self) -> Clock:
        """The time of the subscription: its scheduler's, else that of the running loop; never a timer's thread."""
        return clock_of(self._scheduler)

    @property
    def readings(self) -> Readings:
        """The same time, for who sets no timers: it does without a loop."""
        return Readings(self._scheduler)

    @property
    def flow(self) -> FlowControl | None:
        """What consumers pause, if this is a producer of its own: see ``hold``."""
        return self._flow

    @property
    def holder(self) -> Pauses:
        """Who pauses another producer while items of one wait."""
        return self._pauses

    @property
    def is_over(self) -> bool:
        """Whether it has ended and nothing waits in front of the end, or it was left."""
        return self.ended and not self._rest and not self._queue

    @property
    def waiting(self) -> int:
        """How many items wait although they are no queue's."""
        return len(self._rest)

    @property
    def takes_texts(self) -> bool:
        """Whether the observer takes the text of an event for the event."""
        return self._observer.takes_texts

    def hold(self, queue: Queue[T]) -> None:
        """Emit from a queue, and be the producer whom consumers pause.

        The operator puts items in and calls ``drain``; then, and when consumers resume it, what is ready goes on.

        Args:
            queue: What waits. It pauses the producer above when it is full.
        """
        self._queue = queue
        self._flow = FlowControl(clock=None if self._scheduler is None else self.clock.now)

    def emit(self, items: Sequence[T]) -> None:
        """Emit items behind those that still wait; after the end, none.

        To be called at any time in the thread of the loop. From a task or timer these are items of the producer that
        delivered last, and wait while it is paused: how many that may be is for the operator to bound.
        """
        flow = self._flow or current() or self.producer
        if flow is current():
            self.expand(items)
        elif not self.ended:
            self._waiting().extend((flow, item) for item in items)
            self.drain()

    def expand(self, items: Sequence[T]) -> None:
        """Emit what one item became, within the emission of that item."""
        if self.ended:
            return
        if self._flow is not None:
            self.emit(items)
            return
        if len(items) == 1 and not self._emitting and not self._rest:
            # The only item, as nearly all are: it is no excess, and the producer's flow control is the current one.
            self._emitting = True
            try:
                self._observer.on_next(items[0])
            except BaseException:
                self._broken = True
                raise
            finally:
                self._emitting = False
            if self._rest or self.ended:  # from within the emission
                self.drain()
            return
        flow = current()
        if self._emitting or self._rest:
            self._waiting().extend((flow, item) for item in items)
        else:
            taken = 0 if flow is None else self._emit_batch(items)
            if self._disposed or (taken == len(items) and not self._rest and not self.ended):
                return
            # What came from within the emission waits behind what was there before it.
            self._waiting().extendleft((flow, item) for item in reversed(items[taken:]))
        if self._withdraw is None:
            self.drain()
        else:
            self._pauses.hold()

    def offer(self, items: Sequence[T]) -> int:
        """Emit items at once, as many as the consumer takes; the others stay with the operator.

        An operator that passes on what it gets offers it, so that what is not taken stays with whoever is above. None
        is taken while others wait.

        Returns:
            How many were taken.
        """
        if self.ended or self._rest:
            return 0
        flow = self._flow
        if flow is not None:
            return self._offer_own(flow, items)
        if len(items) > 1:
            return self._observer.on_batch(items)
        self._observer.on_next(items[0])
        return 1

    def _offer_own(self, flow: FlowControl, items: Sequence[T]) -> int:
        if flow.stream is None:
            self._adopt(flow)
        if self._holds or self._emitting or self._withdraw is not None or self._waits(flow):
            return 0
        taken = len(items)
        self._emitting = True
        try:
            if taken > 1:
                taken = flow.deliver(self._observer.on_batch, items)
            else:
                flow.deliver(self._observer.on_next, items[0])
        except BaseException as error:
            self._fail(error)
        finally:
            self._emitting = False
        if self._holds or self.ended:  # type: ignore[redundant-expr]  # from within the emission
            self.drain()
        return taken

    def end(self, error: Exception | None = None, items: Sequence[T] = (), *, early: bool = False) -> None:
        """Complete or fail, behind the items that wait; the first end counts.

        Args:
            error: What to fail with.
            items: The last items, which only the end has shown to be some: those of the producer that delivered last.
            early: Whether the producer has not ended itself: while it is paused the end waits, too.
        """
        if self.ended:
            return
        self.ended = True
        self._error = error and self._completed(error)
        self._stops = stopping()
        if items and not self._broken:
            self._waiting().extend((self.producer, item) for item in items)
        if self._rest:
            self._behind = self._rest[-1][0]
        elif early and self._flow is None:
            self._behind = self.producer
        self.drain()

    def switch_to(self, source: Observable[T]) -> abc.DisposableBase:
        """Go on with another source; returns what ends that."""
        self.ended = True
        return source.subscribe(self._observer, scheduler=self._scheduler)

    def drain(self) -> None:
        """Emit what waits and is ready, and the end behind it."""
        self._holds = True
        if self._emitting or self._disposed or self._withdraw is not None:
            return
        flow = self._flow
        if flow is not None and flow.stream is None:
            self._adopt(flow)
        self._emitting = True
        self._pauses.release()
        try:
            while self._rest:
                producer = self._rest[0][0]
                if self._waits(producer):
                    return
                self._emit(producer, self._take)
            while (queue := self._queue) is not None and queue.ready:
                if self._waits(flow):
                    return
                self._emit(flow, queue.take)
                queue.relax()
            self._holds = bool(self._queue)
        finally:
            self._emitting = False
        if self.ended and not self._holds and not self._waits(self._behind):
            self._notify()

    def dispose(self) -> None:
        """Forget what waits, and emit no more."""
        self._disposed = self.ended = True
        self._consumer = None
        self._rest = ()
        self._queue = None
        self._behind = None
        self._pauses.release()
        if self._withdraw is not None:
            self._withdraw()
            self._withdraw = None

    def _emit_batch(self, items: Sequence[T]) -> int:
        self._emitting = True
        try:
            return self._observer.on_batch(items)
        except BaseException:
            self._broken = True
            raise
        finally:
            self._emitting = False

    def _emit(self, flow: FlowControl | None, take: Callable[[], T]) -> None:
        try:
            if flow is None:
                self._observer.on_next(take())
            else:
                flow.deliver(self._observer.on_next, take())
        except BaseException as error:
            self._rest = ()
            self._queue = None
            self._fail(error)

    def _take(self) -> T:
        return self._waiting().popleft()[1]

    def _adopt(self, flow: FlowControl) -> None:
        """Tell consumers of the request whose answer the producer above is delivering."""
        if (above := current() or self.producer) is not None:
            flow.stream = above.stream
            flow.secrets = above.secrets

    def _completed(self, error: Exception) -> Exception:
        """The error with what is known of the request, and without what a server has echoed.

        Whoever made it of what came did not know of that.
        """
        above = self.producer or current()
        if above is None or not isinstance(error, RxllmError):
            return error
        attach_stream(error, above.stream)
        return error if above.secrets is None else above.secrets.scrub_error(error)

    def _waits(self, flow: FlowControl | None) -> bool:
        """Whether a producer is paused; then this goes on when it is resumed."""
        if flow is None or not flow.paused:
            return False
        self._withdraw = flow.when_resumed(self._resumed)
        return True

    def _resumed(self) -> None:
        self._withdraw = None
        self.drain()

    def _waiting(self) -> deque[tuple[FlowControl | None, T]]:
        if isinstance(self._rest, tuple):
            self._rest = deque()
        return self._rest

    def _notify(self) -> None:
        # An error keeps its traceback, and that what raised it: a circle for the garbage collector.
        error, self._error = self._error, None
        who = self._consumer
        try:
            if self._stops:
                with stopping_now():
                    self._observer.on_completed()
            else:
                end(self._observer, error)
        except BaseException as failure:
            tell(who, failure)

    def _fail(self, error: BaseException) -> None:
        """Fail at once with what a consumer raised: whoever resumed, a timer or a task, is not to blame."""
        who = self._consumer
        failure = error
        if not isinstance(failure, Exception):
            failure = StreamInterruptedError(f"a consumer raised {type(error).__name__}")
            failure.retryable = False
            failure.__cause__ = error
        try:
            self._observer.on_error(failure)
        except BaseException as another:
            tell(who, another)
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise error
