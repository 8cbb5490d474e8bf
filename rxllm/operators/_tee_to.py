"""``tee_to``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, overload

from loguru import logger
from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from rxllm.exceptions import BufferOverflowError, StreamInterruptedError
from rxllm.flow import disposable_in, outside_of_emissions, running_loop, wake
from rxllm.models._unread import copy_unread, unread_again, unread_parts
from rxllm.operators._backlog import Backlog
from rxllm.operators._stage import Receiver, Stage, each, on_batch_of
from rxllm.typing import Ending, OperatorFunction, Overflow, Sink, SinkStream

__all__ = ["OnSinkError", "tee_to"]

T = TypeVar("T")

OnSinkError: TypeAlias = Literal["raise", "detach"]

# How long a sink may take to store what is left when the program ends.
_PATIENCE_SECONDS = 5.0

# The event loop itself keeps only weak references to tasks, and a writer outlives its subscription.
_writing: set[asyncio.Task[None]] = set()


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
# A sink of everything says nothing of T, so it has an overload of its own.
@overload
def tee_to(
    sink: Sink[object], *, buffer_size: int = 256, overflow: Overflow = "pause", on_error: OnSinkError = "raise"
) -> Callable[[Observable[T]], Observable[T]]: ...


@overload
def tee_to(
    sink: Sink[T], *, buffer_size: int = 256, overflow: Overflow = "pause", on_error: OnSinkError = "raise"
) -> Callable[[Observable[T]], Observable[T]]: ...


def tee_to(
    sink: Sink[Any], *, buffer_size: int = 256, overflow: Overflow = "pause", on_error: OnSinkError = "raise"
) -> OperatorFunction[Any, Any]:
    """Pass each item on at once, and write it to a sink.

    ::

        source  --a-b-c---|
                tee_to(sink)
        result  --a-b-c---|

        a="Hel" b="lo" c="!"

    The sink writes from a queue of its own, in batches of what has gathered. When ``buffer_size`` items wait or are
    being written, ``overflow`` decides, as in ``buffer_with_backpressure``: by default the producer is paused.
    Completion goes on only when the sink has stored everything; so does an error. On dispose nothing more is emitted,
    but what came until then is still stored, and marked as cancelled. A sink whose ``write`` never returns pauses the
    stream for ever, and no time-out sees that, for paused time does not count: give such a sink one of its own.

    A sink that takes four frames for a batch. ``c`` fills its queue, so the producer is paused until half of that is
    stored::

        source   --abcde-|
                 tee_to(sink, buffer_size=3)
        writes   4
        paused   ----[-----]
        waiting  --123-2-------0
        stored   ------a---(bc)(de|)
        result   --abc-----(de)|

    Args:
        sink: Where the copies go: one of ``rxllm.sinks``, or a ``rxllm.Sink`` of your own.
        buffer_size: How many items wait or are being written at most, at least 1.
        overflow: What happens to more. What is dropped is missing in the sink only, which is told so at the end: a
            recording with a gap fails when it is replayed.
        on_error: What a failure of the sink does: ``"raise"`` fails the stream, ``"detach"`` logs a warning and goes on
            without the sink.

    Returns:
        An operator that passes its items on.

    Raises:
        Exception: As ``on_error``, like all but the last: what the sink raises.
        BufferOverflowError: The buffer is full and there is no producer to pause.
        NoRunningLoopError: No event loop runs in this thread.
        ValueError: At once: ``buffer_size``, ``overflow`` or ``on_error`` is not one of those.

    Example:
        >>> import pathlib, reactivex, rxllm, tempfile
        >>> from rxllm import operators as ops
        >>> from rxllm.sinks import JSONLinesSink
        >>> path = pathlib.Path(tempfile.mkdtemp(), "stream.jsonl")
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.tee_to(JSONLinesSink(path))))
        'lo'
        >>> rxllm.run(rxllm.from_recording(path))
        'lo'

    See also:
        ``tee_to_display``, ``rxllm.from_recording``, ``map_async``
    """
    Backlog[object](buffer_size, overflow)  # a wrong argument is reported where it stands
    if on_error not in {"raise", "detach"}:
        raise ValueError(f"on_error must be 'raise' or 'detach', not {on_error!r}")

    def tee_to_(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            tee = _Tee[T](observer, Backlog[T](buffer_size, overflow, "tee_to"), detach=on_error == "detach")
            tee.start(sink)
            tee.upstream.disposable = source.subscribe(tee, scheduler=scheduler)
            return disposable_in(tee.loop, tee.dispose)

        return Stage(subscribe)

    return tee_to_


class _Tee(Receiver[T]):
    """One subscription: the items go on at once, the end goes on when the writer is done."""

    def __init__(self, observer: abc.ObserverBase[T], backlog: Backlog[T], *, detach: bool) -> None:
        self.upstream = SingleAssignmentDisposable()
        self._observer = observer
        self._on_batch = on_batch_of(observer)
        self._backlog = backlog
        self._detach = detach
        self._detached = False
        self._ending: Ending | None = None
        # Made for each wait: an asyncio.Event makes one, too, and does more besides for each chunk that comes alone.
        self._waiter: asyncio.Future[None] | None = None
        self.loop = running_loop("tee_to")
        self._cancellations = 0
        self._patience = asyncio.timeout(None)

    def start(self, sink: Sink[T]) -> None:
        # The sink is no part of the emission in which somebody subscribed.
        task = self.loop.create_task(self._run(sink), context=outside_of_emissions())
        _writing.add(task)
        task.add_done_callback(_writing.discard)

    def on_next(self, value: T) -> None:
        if self._ending is not None:
            return
        if not self._detached:
            if not self._backlog.items:
                self._wake()
            try:
                self._backlog.push(copy_unread(value))
            except BufferOverflowError as error:
                self.upstream.dispose()
                self.on_error(error)
                return
        self._observer.on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        room = self._backlog.room
        if not room or self._ending is not None or self._detached:
            return each(self.on_next, items, lambda: self._ending is not None)
        batch = items[:room]
        # What waits is small: a chunk that was read below is a dozen objects. With those of 2,000 streams waiting, the
        # garbage collector took a third of all time.
        parts = unread_parts(batch)
        taken = len(batch)
        try:
            taken = self._on_batch(batch)
        finally:
            # If an observer below has thrown, all of them had come.
            self._wake()
            self._backlog.extend(unread_again(batch, parts)[:taken])
        return taken

    def on_error(self, error: Exception) -> None:
        self._end(Ending("failed", error))

    def on_completed(self) -> None:
        self._end(Ending("completed"))

    def dispose(self) -> None:
        self.upstream.dispose()
        self._backlog.release()
        self._end(Ending("cancelled"))

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._wake()

    async def _run(self, sink: Sink[T]) -> None:
        """Write until the end, and pass the end on."""
        try:
            async with self._patience:
                failure = await self._write(sink)
                if failure is not None:
                    await self._settle(failure)
        except asyncio.CancelledError:
            # Before the sink was done: whoever waits has to learn of it.
            self._ending = Ending("cancelled")
            raise
        finally:
            self._detached = True
            self._backlog.clear()
            self._pass_end_on()

    def _pass_end_on(self) -> None:
        match self._ending:
            case Ending("completed"):
                self._observer.on_completed()
            case Ending("failed", Exception() as error):
                self._observer.on_error(error)
            case _:
                # Reaches nobody if it was the consumer who left.
                self._observer.on_error(StreamInterruptedError("the task of a sink was cancelled"))

    async def _settle(self, failure: Exception) -> None:
        """The sink failed: go on without it, or fail; what the stream itself failed with has precedence."""
        self._detached = True
        if self._detach or (self._ending is not None and self._ending.kind == "cancelled"):
            self._backlog.clear()
            logger.warning("a sink failed and is detached: {}", type(failure).__name__)
            while self._ending is None:
                await self._item_or_end()
        elif self._ending is not None and self._ending.error is not None:
            self._ending.error.add_note(f"a sink failed, too: {failure!r}")
        else:
            # Before the pause ends: what waits above for that is delivered in the same moment.
            self.upstream.dispose()
            self._ending = Ending("failed", failure)

    async def _write(self, sink: Sink[T]) -> Exception | None:
        """Store everything; what the sink failed with is returned."""
        try:
            stream = await sink.open()
        except Exception as error:  # decided upon by on_error
            return error
        failure: Exception | None = None
        try:
            await self._write_batches(stream)
        except Exception as error:  # decided upon by on_error
            failure = error
        try:
            await stream.close(self._ending_for_the_sink(failure))
        except Exception as error:  # decided upon by on_error
            failure = failure or error
        return failure

    def _ending_for_the_sink(self, failure: Exception | None) -> Ending:
        """How the stream ended, seen from the sink: one that did not get every item never had the whole of it."""
        if self._backlog.dropped and self._ending == Ending("completed"):
            dropped = self._backlog.dropped
            return Ending("failed", BufferOverflowError(f"{dropped} items were dropped", size=self._backlog.size))
        return self._ending or Ending("failed", failure)

    async def _write_batches(self, stream: SinkStream[T]) -> None:
        while self._backlog or self._ending is None:
            if not self._backlog:
                await self._item_or_end()
                continue
            batch = self._backlog.take_all()
            try:
                await stream.write(batch)
            except asyncio.CancelledError:
                if not self._program_ends():
                    raise RuntimeError("the sink was cancelled by somebody else") from None
            else:
                self._program_ends()  # and the sink has finished its batch all the same
            self._backlog.out = 0
            self._backlog.relax()

    async def _item_or_end(self) -> None:
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._program_ends()
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None:
            wake(self._waiter)

    def _program_ends(self) -> bool:
        """Whether this task has been cancelled, as all are when a program ends.

        What came until now is stored before this task ends, too; but a sink that hangs must not keep the program.
        """
        task = asyncio.current_task(self.loop)
        cancellations = task.cancelling() if task else 0
        if cancellations == self._cancellations:
            return False
        self._cancellations = cancellations
        if self._patience.when() is not None:
            raise asyncio.CancelledError  # a second time: patience is over
        self._patience.reschedule(self.loop.time() + _PATIENCE_SECONDS)
        self.dispose()
        return True
