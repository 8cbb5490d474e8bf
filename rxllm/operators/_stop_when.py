"""``stop_when``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from reactivex import Observable, abc

from rxllm.flow import (
    FanOut,
    LoopDisposable,
    Operation,
    operate,
    outside_of_emissions,
    running_loop,
    start_task,
    stopping_now,
)
from rxllm.models import Stopped, is_chat_event

T = TypeVar("T")

Signal: TypeAlias = "asyncio.Event | Awaitable[object] | Observable[Any]"


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
def stop_when(signal: Signal) -> Callable[[Observable[T]], Observable[T]]:
    """Stop the stream when a signal comes: leave the source at once, and complete.

    ::

        source  --a-b-c-d-|
        signal  -----x
                stop_when(signal)
        result  --a-b|

        a="Hel" b="lo" c=" wor" d="ld" x="stop"

    Items that had arrived count. After this operator, ``accumulate`` gives a completion that is not ``complete``: its
    ``ending`` is ``"stopped"`` and its unfinished calls are ``IncompleteToolCall``. It is empty if nothing had arrived.
    Sinks store the stream as stopped. The last event of ``LLMClient.chat_with_tools`` is then a ``Stopped``. If the
    signal has come before the subscription, no request is sent. This operator holds no items.

    Args:
        signal: An ``asyncio.Event``, anything that can be awaited, or an observable, whose first item is the signal. A
            coroutine serves one subscription only.

    Returns:
        An operator that passes its items on.

    Raises:
        Exception: As ``on_error``: the signal fails with that exception.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread, and the signal is not an observable.
        TypeError: At once: ``signal`` is something else, such as a ``threading.Event``.

    Example:
        >>> import asyncio, reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> async def main():
        ...     button = asyncio.Event()
        ...     asyncio.get_running_loop().call_soon(button.set)
        ...     return await reactivex.never().pipe(ops.stop_when(button), ops.accumulate())
        >>> completion = asyncio.run(main())
        >>> completion.ending, completion.complete
        ('stopped', False)

    See also:
        ``timeout_per_chunk``, ``accumulate``, ``reactivex.operators.take_until`` (which tells nobody of the stop)
    """
    if not isinstance(signal, asyncio.Event | Observable) and not hasattr(signal, "__await__"):
        raise TypeError(
            "stop_when() takes an asyncio.Event, something that can be awaited, or an observable, "
            f"not {type(signal).__name__}"
        )
    return operate(_Stop, signal)


class _Stop(Operation[T, T]):
    def __init__(self, out: FanOut[T], signal: Signal) -> None:
        super().__init__(out)
        self._signal = signal
        self._round: int | None = None
        self._watching: abc.DisposableBase | None = None

    def follow(self, upstream: abc.DisposableBase) -> abc.DisposableBase:
        subscription = super().follow(upstream)
        if isinstance(self._signal, asyncio.Event) and self._signal.is_set():
            # A source of ours has not begun.
            self._stop()
        else:
            # Another thread may have left already.
            self._watching = None if self._left else self._watch()
        return subscription

    def on_batch(self, items: Sequence[T]) -> int:
        taken = self.out.offer(items)
        for last in items[max(taken - 1, 0) : taken]:
            self._round = last.round if is_chat_event(last) else None
        return taken

    def on_next(self, value: T) -> None:
        self.on_batch((value,))

    def on_dispose(self) -> None:
        if self._watching is not None:
            self._watching.dispose()

    def _watch(self) -> abc.DisposableBase:
        if isinstance(self._signal, Observable):
            return self._signal.subscribe(lambda _: self._stop(), self._fail)
        loop = running_loop("stop_when")
        task = start_task(loop, self._wait(self._signal), outside_of_emissions())

        def leave() -> None:
            task.cancel()

        return LoopDisposable(loop, leave)

    async def _wait(self, signal: asyncio.Event | Awaitable[object]) -> None:
        try:
            if isinstance(signal, asyncio.Event):
                await signal.wait()
            elif isinstance(signal, asyncio.Future):
                # Others may wait for it, too: to leave must not cancel it.
                await asyncio.wait((signal,))
                signal.result()
            else:
                await signal
        except Exception as error:
            self._fail(error)
        else:
            self._stop()

    def _stop(self) -> None:
        with stopping_now():
            self.leave()
            last = () if self._round is None else (Stopped(round=self._round),)
            self.out.end(items=cast("Sequence[T]", last))

    def _fail(self, error: Exception) -> None:
        self.leave()
        self.out.end(error)
