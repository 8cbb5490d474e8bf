"""How an operator emits more than it was given, or later than it was given it.

- ``FanOut``: one item in, many out, at once. It borrows the flow control of the producer above: while that is
  paused, the rest waits here, and goes on before the producer does.
  An ``Expander`` is a receiver that emits so.
- ``Outlet``: items from a queue, a task or a timer. The operator is a producer itself and owns a flow control.

Both keep the end behind the items, and emit serially: an item that arrives while one is being emitted waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from reactivex import abc

from rxllm.flow import FlowControl, Pauses
from rxllm.operators._clock import clock_of
from rxllm.operators._stage import Receiver, batching, end, nothing

A = TypeVar("A")
T = TypeVar("T")


class FanOut(Generic[T]):
    """Emits the several items that one item became.

    Nothing can be held where no producer can be paused: then all are emitted at once. While items wait for one producer
    to be resumed, another that delivers is paused here, too (``merge`` has several above it).
    """

    __slots__ = ("_behind", "_disposed", "_emitting", "_ended", "_error", "_observer", "_pauses", "_rest", "_withdraw")

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        self._observer = batching(observer)
        # Mostly nothing waits: then there is no queue.
        self._rest: deque[tuple[FlowControl | None, T]] | tuple[()] = ()
        self._pauses = Pauses("items of which several came at once")
        self._ended = False
        self._error: Exception | None = None
        # Of the last item that waited when the end came, or of what ended: while it is paused the end waits, too.
        self._behind: FlowControl | None = None
        self._emitting = False
        self._disposed = False
        self._withdraw: Callable[[], None] | None = None

    def emit(self, items: Sequence[T]) -> None:
        """Emit the items, behind those that still wait; after the end, none."""
        if self._ended:
            return
        if len(items) == 1 and not self._emitting and not self._rest:
            # The only item, as nearly all are: it is no excess, and the producer's flow control is the current one.
            # Without queue and context variable an item costs 0.5 µs less than by way of ``_drain``.
            self._emitting = True
            try:
                self._observer.on_next(items[0])
            finally:
                self._emitting = False
            if self._rest or self._ended:  # from within the emission
                self._drain()
            return
        flow = FlowControl.current()
        if self._emitting or self._rest:
            self._queue().extend((flow, item) for item in items)
        else:
            taken = 0 if flow is None else self._emit_batch(items)
            if self._disposed or (taken == len(items) and not self._rest and not self._ended):
                return
            # What came from within the emission waits behind what was there before it.
            self._queue().extendleft((flow, item) for item in reversed(items[taken:]))
        if self._withdraw is None:
            self._drain()
        else:
            self._pauses.hold()

    def _emit_batch(self, items: Sequence[T]) -> int:
        self._emitting = True
        try:
            return self._observer.on_batch(items)
        finally:
            self._emitting = False

    def end(self, error: Exception | None = None, items: Sequence[T] = (), producer: FlowControl | None = None) -> None:
        """Complete or fail, behind the items that wait; the first end counts.

        Args:
            error: What to fail with.
            items: The last items, which only the end has shown to be some.
            producer: What their consumer pauses; while it is paused the end waits, too.
        """
        if self._ended:
            return
        self._ended = True
        self._error = error
        if items:
            self._queue().extend((producer, item) for item in items)
        self._behind = self._rest[-1][0] if self._rest else producer
        if self._withdraw is None:
            self._drain()

    def dispose(self) -> None:
        """Forget what waits."""
        self._disposed = True
        self._rest = ()
        self._behind = None
        self._pauses.release()
        if self._withdraw is not None:
            self._withdraw()
            self._withdraw = None

    def _drain(self) -> None:
        if self._emitting:
            return
        self._emitting = True
        self._withdraw = None
        self._pauses.release()
        try:
            while self._rest:
                flow = self._rest[0][0]
                if self._waits(flow):
                    return
                self._emit(flow, self._queue().popleft()[1])
        finally:
            self._emitting = False
        if self._ended and not self._waits(self._behind):
            self._notify()

    def _waits(self, flow: FlowControl | None) -> bool:
        """Whether a producer is paused; then this goes on when it is resumed."""
        if flow is None or not flow.paused:
            return False
        self._withdraw = flow.when_resumed(self._drain)
        return True

    def _emit(self, flow: FlowControl | None, item: T) -> None:
        try:
            if flow is None:
                self._observer.on_next(item)
            else:
                flow.deliver(self._observer.on_next, item)
        except Exception as error:
            # As a source does: whoever resumed is not to blame, and whoever waits for the stream has to learn of it.
            self._rest = ()
            self._observer.on_error(error)

    def _queue(self) -> deque[tuple[FlowControl | None, T]]:
        if isinstance(self._rest, tuple):
            self._rest = deque()
        return self._rest

    def _notify(self) -> None:
        # An error keeps its traceback, and that what raised it: a circle for the garbage collector.
        error, self._error = self._error, None
        end(self._observer, error)


class Expander(Receiver[A], Generic[A, T]):
    """A receiver of which several items come at once; the end goes on behind them."""

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        self._results: FanOut[T] = FanOut(observer)
        self._emit = self._results.emit

    def on_error(self, error: Exception) -> None:
        self._results.end(error)

    def on_completed(self) -> None:
        self._results.end()

    def dispose(self) -> None:
        super().dispose()
        self._results.dispose()


class Outlet(Generic[T]):
    """The downstream side of an operator that holds items back: when it may emit, and that it alone does.

    Args:
        observer: Where the items go.
        refill: Called when the consumer resumes: emits what waits, for as long as ``open`` says so.
        scheduler: The scheduler of the subscription, whose time is used.

    Attributes:
        flow: What consumers below pause.
        emitting: Whether an item is being emitted: one that comes from within waits.
    """

    __slots__ = ("_observer", "_refill", "_withdraw", "emitting", "flow")

    def __init__(
        self, observer: abc.ObserverBase[T], refill: Callable[[], None], scheduler: abc.SchedulerBase | None
    ) -> None:
        self.flow = FlowControl(clock=None if scheduler is None else clock_of(scheduler).now)
        self._observer = batching(observer)
        self._refill = refill
        self.emitting = False
        self._withdraw: Callable[[], None] | None = None

    def adopt(self) -> None:
        """Tell consumers of the request whose answer the producer above is delivering."""
        if self.flow.stream is None and (above := FlowControl.current()) is not None:
            self.flow.stream = above.stream

    @property
    def open(self) -> bool:
        """Whether an item would be taken now. If not, ``refill`` is called when it would."""
        if self.emitting:
            return False
        if not self.flow.paused:
            return True
        if self._withdraw is None:
            self._withdraw = self.flow.when_resumed(self._resumed)
        return False

    def emit_batch(self, items: Sequence[T]) -> int:
        """Emit items from the front; only while ``open``. Returns how many the consumer took."""
        self.emitting = True
        try:
            return self.flow.deliver(self._observer.on_batch, items)
        except Exception as error:
            self._observer.on_error(error)
            return len(items)
        finally:
            self.emitting = False

    def emit(self, item: T) -> None:
        """Emit one item; only while ``open``."""
        self.emitting = True
        try:
            self.flow.deliver(self._observer.on_next, item)
        except Exception as error:
            # As a source does: whoever resumed is not to blame, and whoever waits for the stream has to learn of it.
            self._observer.on_error(error)
        finally:
            self.emitting = False

    def dispose(self) -> None:
        """Do not call ``refill`` any more."""
        self._refill = nothing
        if self._withdraw is not None:
            self._withdraw()
            self._withdraw = None

    def _resumed(self) -> None:
        self._withdraw = None
        self._refill()
