"""``rate_limit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from reactivex import Observable, abc

from rxllm.dialects import RateLimits, rate_limits_of
from rxllm.flow import FanOut, Receiver, Stream, check_count, check_kind, subscribe_to, waiting_place
from rxllm.models import StreamChunk, StreamInfo
from rxllm.resilience import Limits, Ticket

T = TypeVar("T")


def rate_limit(
    limits: Limits,
    *,
    tokens: int = 0,
    read: Callable[[Mapping[str, str]], RateLimits] = rate_limits_of,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Subscribe to the source as soon as the limits allow it.

    ::

        source  --a-b-|
                rate_limit(Limits(requests_per_minute=600))
        result  --a-b-|

    The subscription waits in line with all others that share the limits. Its place is free again when the stream ends
    or is left. The limits read from the chunks what the request cost, and how much the server says is left. If an error
    has ``retry_after``, no request that shares the limits is sent for that time, a minute at most.
    ``LLMClient(limits=…)`` does this for each of its requests.

    Args:
        limits: The limits, which others may share.
        tokens: About how many tokens the request will cost.
        read: A function that reads ``StreamInfo.rate_limits``, the headers of an answer about limits.
        scheduler: The scheduler for timers; by default that of the subscription, else the running loop.

    Returns:
        An operator that passes its items on.

    Raises:
        NoRunningLoopError: As ``on_error``: there is neither a scheduler nor a running loop.
        TypeError: At once: ``limits`` is not a ``Limits``.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> limits = rxllm.Limits(max_concurrency=4)
        >>> rxllm.run(reactivex.of("Hello").pipe(ops.rate_limit(limits)))
        'Hello'

    See also:
        ``map_async`` (which limits how many items are worked on), ``retry_with_backoff``
    """
    check_kind("limits", limits, Limits, "write rxllm.Limits(…)")
    check_count("tokens", tokens, least=0)

    def limited(source: Observable[T]) -> Stream[T]:
        def begin(observer: abc.ObserverBase[T], of_subscription: abc.SchedulerBase | None) -> abc.DisposableBase:
            gate = _Gate(FanOut(observer, scheduler or of_subscription), limits, read)
            return gate.wait(source, of_subscription, tokens)

        return Stream(begin)

    return limited


class _Gate(Receiver[T]):
    """Stands in line, passes everything on, and tells the limits what they can learn of it."""

    def __init__(self, out: FanOut[T], limits: Limits, read: Callable[[Mapping[str, str]], RateLimits]) -> None:
        self._out = out
        self._limits = limits
        self._read = read
        self._clock = out.clock
        self._place = waiting_place("rate_limit")
        self._ticket: Ticket | None = None
        self._stream: StreamInfo | None = None
        self._is_over = False

    def wait(self, source: Observable[T], scheduler: abc.SchedulerBase | None, tokens: int) -> abc.DisposableBase:
        """Subscribe when it is admitted; returns what ends that."""

        def go() -> None:
            self._place.let_go()
            if not self._left:  # in another thread, from which the place in line is not given back yet
                subscribe_to(source, self, scheduler)

        self._place.hold(self._limits)
        self._ticket = self._limits.enter(tokens, self._clock, go)
        if self._is_over:  # at once
            self._ticket.give_back()
        return self

    def on_batch(self, items: Sequence[T]) -> int:
        taken = self._out.offer(items)
        for item in items[:taken]:
            if not isinstance(item, StreamChunk):
                break
            if item.stream is not self._stream:
                self._learn(item.stream)
            if item.usage is not None and item.usage.total_tokens and self._ticket is not None:
                self._ticket.cost(item.usage.total_tokens)
        return taken

    def _learn(self, stream: StreamInfo | None) -> None:
        self._stream = stream
        if stream is not None and stream.rate_limits:
            self._limits.learn(self._read(stream.rate_limits), self._clock.now())

    def on_error(self, error: Exception) -> None:
        seconds: float | None = getattr(error, "retry_after", None)
        if seconds is not None:
            self._limits.rest(seconds, self._clock.now())
        self._give_back()
        self._out.end(error)

    def on_completed(self) -> None:
        self._give_back()
        self._out.end()

    def dispose(self) -> None:
        super().dispose()
        self._out.dispose()
        self._give_back()

    def _give_back(self) -> None:
        self._is_over = True
        self._place.let_go()
        if self._ticket is not None:
            self._ticket.give_back()
