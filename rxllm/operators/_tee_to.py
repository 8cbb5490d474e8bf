"""``tee_to``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, overload

from reactivex import Observable, abc

from rxllm.accumulators import Conflation
from rxllm.exceptions import BufferOverflowError, StreamInterruptedError
from rxllm.flow import (
    Backlog,
    FanOut,
    LoopDisposable,
    Operation,
    SinkWriter,
    check_bounds,
    operate,
    stopping,
    stopping_now,
    without_secrets,
)
from rxllm.typing import Ending, OperatorFunction, Overflow, Sink

T = TypeVar("T")

OnSinkError: TypeAlias = Literal["raise", "detach"]


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

    Items wait for the sink in a queue of its own; each ``write`` gets all items that wait. The first step of a
    ``write`` may run within the emission of an item, so it must not block. Items are not copied: do not change them.
    When ``buffer_size`` items wait or are being written, ``overflow`` decides, as in ``buffer_with_backpressure``: by
    default the producer is paused. The end of the stream, or its error, is passed on only after the sink has stored all
    items. On dispose nothing more is emitted, but the items that came before are still stored, and the stream is marked
    as cancelled. If a ``write`` never returns, the stream is paused for ever. No time-out operator notices that,
    because paused time does not count: a sink that may hang needs a time-out of its own. After the stream is left, each
    call of the sink may take 5 s, and is then cancelled.

    In this diagram the sink takes four frames for a batch. ``c`` fills its queue, so the producer is paused until half
    of the queue is stored::

        source   --abcde-|
                 tee_to(sink, buffer_size=3)
        writes   4
        paused   ----[-----]
        waiting  --123-2-------0
        stored   ------a---(bc)(de|)
        result   --abc-----(de)|

    Args:
        sink: The sink to write to: one of ``rxllm.sinks``, or a ``rxllm.Sink`` of your own.
        buffer_size: How many items may wait or be written at a time, at least 1.
        overflow: What to do when one more comes. Items that are dropped are missing in the sink only. The sink is told
            at the end how many were dropped: a recording with a gap fails when it is replayed.
        on_error: What to do if the sink fails. ``"raise"`` fails the stream; ``"detach"`` logs a warning and goes on
            without the sink.

    Returns:
        An operator that passes its items on.

    Raises:
        Exception: As ``on_error``: what the sink raises.
        BufferOverflowError: As ``on_error``: the queue is full, and the producer cannot be paused.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread.
        ValueError: At once: ``buffer_size`` is less than 1, or ``overflow`` or ``on_error`` is not one of these words.
        TypeError: At once: ``sink`` is not a sink, but a path or a class, for example.

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
    check_tee(buffer_size, overflow, on_error)
    if advice := _fault_of(sink):
        raise TypeError(f"tee_to() takes a sink: {advice}")

    return operate(Tee, sink, buffer_size, overflow, on_error == "detach")


def check_tee(buffer_size: int, overflow: Overflow, on_error: OnSinkError) -> None:
    """Report a wrong argument where it stands.

    Raises:
        ValueError: One is wrong.
    """
    check_bounds(buffer_size, overflow)
    if on_error not in {"raise", "detach"}:
        raise ValueError(f"on_error must be 'raise' or 'detach', not {on_error!r}")


def _fault_of(sink: object) -> str:
    """What is wrong with a sink: ``""`` if it may be one."""
    if isinstance(sink, str | Path):
        name = "JSONLinesSink" if Path(sink).suffix in {".jsonl", ".ndjson", ".json"} else "SQLiteSink"
        return f"write tee_to({name}({str(sink)!a})), with 'from rxllm.sinks import {name}'"
    if isinstance(sink, type):
        return f"{sink.__name__} is a class: write {sink.__name__}(…)"
    return "" if callable(getattr(sink, "open", None)) else f"{type(sink).__name__} {_advice(sink)}"


def _advice(value: object) -> str:
    if callable(getattr(value, "write", None)):
        return "is a file: tee_to_display() writes text to it"
    if isinstance(value, Observable):
        return "is a stream: in pipe() write tee_to(sink)"
    if callable(value) or callable(getattr(value, "on_next", None)):
        return "is not a sink: to call a function or an observer, use do_action() of reactivex.operators"
    return "is not a sink: it has no 'async def open()', see rxllm.Sink"


class Tee(Operation[T, T]):
    """The items go on at once, the end goes on when the writer is done."""

    def __init__(
        self,
        out: FanOut[T],
        sink: Sink[T],
        size: int,
        overflow: Overflow,
        detach: bool,  # noqa: FBT001 - passed on
    ) -> None:
        super().__init__(out)
        self.works_with = sink
        self._backlog: Backlog[T] = Backlog(size, overflow, holder="tee_to", merge=Conflation)
        self.writer = SinkWriter(sink, self._backlog, detach=detach, leave=self.leave, end=self.end)

    def follow(self, upstream: abc.DisposableBase) -> abc.DisposableBase:
        """Open the sink, now that the source was subscribed to."""
        subscription = super().follow(upstream)
        self.writer.start()
        return LoopDisposable(self.writer.loop, subscription.dispose)

    def on_item(self, item: T, /) -> Iterable[T]:
        return [item] if self._takes(item) else []

    def on_next(self, value: T) -> None:
        if self._takes(value):
            self.out.offer((value,))

    def _takes(self, item: T) -> bool:
        """Whether an item goes on. It waits for the sink, first, and is written also if the observer throws."""
        writer = self.writer
        if writer.ending is not None:
            return False
        if not writer.detached:
            try:
                self._backlog.push(without_secrets((item,))[0])
            except BufferOverflowError as error:
                self.leave()
                self.on_error(error)
                return False
            writer.wake()
        return True

    def on_batch(self, items: Sequence[T]) -> int:
        """Pass on items for which there is room, and let them wait for the sink."""
        room = self._backlog.room
        if not room or self.writer.ending is not None or self.writer.detached:
            return super().on_batch(items)
        batch = items[:room]
        taken = len(batch)  # where the observer throws, for all of them had come
        try:
            taken = self.out.offer(batch)
        finally:
            self._keep(batch[:taken])
            self.writer.wake()
        return taken

    def _keep(self, items: Sequence[T]) -> None:
        self._backlog.extend(without_secrets(items))
        if self.writer.ending is not None:
            # The consumer has left: a pause would be one for whoever else is fed from above.
            self._backlog.release()

    def hold_until_written(self) -> None:
        """Pause the producer until the sink has written what waits."""
        if self._backlog.items and self.writer.ending is None:
            self._backlog.hold_until_empty()

    def on_error(self, error: Exception) -> None:
        self.writer.end(Ending("failed", error))

    def on_completed(self) -> None:
        self.writer.end(Ending("stopped" if stopping() else "completed"))

    def end(self, ending: Ending) -> None:
        """Pass the end on, now that everything is stored."""
        if ending.kind == "cancelled":
            # Reaches nobody if it was the consumer who left.
            self.out.end(StreamInterruptedError("the task of a sink was cancelled"))
        elif ending.kind == "stopped":
            with stopping_now():
                self.out.end()
        else:
            self.out.end(ending.error)

    def on_dispose(self) -> None:
        self.writer.cancel()
