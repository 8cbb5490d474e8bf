"""``trace``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias, TypeVar

from reactivex import Observable, abc

from rxllm.flow import (
    NOBODY_WATCHES,
    FanOut,
    Operation,
    Readings,
    Stream,
    check_kind,
    current,
    stopping,
    subscribe_to,
    try_watch,
)
from rxllm.models import ChatRequest, StreamInfo, request_of
from rxllm.telemetry import AskedFor, OpenTelemetry, telemetry_of

T = TypeVar("T")

Ended: TypeAlias = Literal["whole", "failed", "stopped", "left"]


class Observation(Protocol):
    """What watches one subscription."""

    def subscribing(self) -> AbstractContextManager[None]:
        """The context within which what is above is subscribed to."""
        ...

    def leave(self) -> None:
        """Let the running task go on in the context of whoever subscribed, from here on."""
        ...

    def left(self) -> AbstractContextManager[None]:
        """Let what runs within be in that context."""
        ...

    def note(self, items: Sequence[object], now: float, paused: float, stream: StreamInfo | None) -> None:
        """Take note of items that came together."""
        ...

    def end(self, ending: Ended, error: Exception | None, now: float, paused: float) -> None:
        """Take note of the end; called once."""
        ...


def trace(
    telemetry: OpenTelemetry | Literal[True] = True,  # noqa: FBT002 - as LLMClient takes it
    *,
    request: ChatRequest | None = None,
    model: str | None = None,
    provider: str | None = None,
    conversation: str | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Report a stream of chunks to OpenTelemetry: one span for each subscription, and histograms.

    ::

        source  --a-b---c-|
                trace()
        result  --a-b---c-|

        a=text_chunk("Hel") b=text_chunk("lo") c=finish_chunk("stop")

    The items pass unchanged. The span begins with the subscription and ends when the stream ends or is left. Its parent
    is the span that is current at the subscription. Until the first item comes, it is the current span for everything
    upstream, so the spans of the tries of ``retry_with_backoff``, ``rxllm.fallback`` and ``rxllm.hedge`` become its
    children. Everything downstream runs in the context of the code that subscribed.

    A client with ``telemetry`` does this by itself. The operator is for other streams: a recording, the stream of
    another SDK, several clients behind ``fallback``.

    Args:
        telemetry: Where spans and histograms go. ``True``: to the providers that the application has set.
        request: The request, if it is known: its parameters become attributes.
        model: The model that is asked, if the request is not known.
        provider: The provider, a value of ``gen_ai.provider.name``. By default it is found out from the chunks.
        conversation: The identifier of the conversation.

    Returns:
        An operator that passes its items on. Items that are not chunks are only counted.

    Raises:
        MissingExtraError: At once: the package ``opentelemetry-api`` is not installed.
        TypeError: At once: an argument is of another type.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> from rxllm.testing import text_chunk
        >>> chunks = reactivex.of(text_chunk("Hel"), text_chunk("lo"))
        >>> rxllm.run(chunks.pipe(ops.trace(model="gpt-4o-mini"), ops.content()))
        'lo'

    See also:
        ``measure``, ``rxllm.LLMClient``, ``rxllm.telemetry.OpenTelemetry``
    """
    told = telemetry_of(telemetry)
    if told is None:
        raise TypeError(
            f"telemetry must be True or an OpenTelemetry, not {telemetry!r}: without telemetry, leave trace() out"
        )
    for name, value in (("model", model), ("provider", provider), ("conversation", conversation)):
        if value is not None:
            check_kind(name, value, str)
    asked = AskedFor(
        request=None if request is None else request_of(request, {}),
        model=model,
        provider=provider,
        conversation=conversation,
    )
    return traced(lambda readings: told.answer(asked, readings))


def traced(observe: Callable[[Readings], Observation], *, stays: bool = False) -> Callable[[Observable[T]], Stream[T]]:
    """Have each subscription watched.

    Args:
        observe: Begins to watch a subscription, whose clock it is given.
        stays: Whether the tasks above stay within the span when something of the stream has come, and leave it for each
            emission only.
    """

    def watched(source: Observable[T]) -> Stream[T]:
        def begin(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
            out = FanOut(observer, scheduler)
            readings = out.readings
            observation = observe(readings)
            operation = _Trace(out, observation, readings, stays=stays)
            try:
                with observation.subscribing():
                    return subscribe_to(source, operation, scheduler)
            except BaseException as error:
                operation.not_subscribed(error)
                raise

        return Stream(begin)

    return watched


class _Trace(Operation[T, T]):
    def __init__(self, out: FanOut[T], observation: Observation, readings: Readings, *, stays: bool) -> None:
        super().__init__(out)
        self._observation = observation
        self._now = readings.now
        self._stays = stays
        self._is_offering = False
        self._is_over = False

    def not_subscribed(self, error: BaseException) -> None:
        """End the span: there is no subscription."""
        self._end("failed", error if isinstance(error, Exception) else None)

    def on_next(self, value: T) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        self.out.producer = flow = current()
        now, taken = self._now(), 0
        paused, stream = (0.0, None) if flow is None else (flow.paused_before, flow.stream)
        self._is_offering = True
        try:
            if self._stays:
                taken = self._offer_outside(items)
            else:
                # The consumer is not within the span, though the running task may be.
                if try_watch() is not NOBODY_WATCHES:
                    self._observation.leave()
                taken = self.out.offer(items)
        finally:
            self._is_offering = False
            if taken:
                self._observation.note(items if taken == len(items) else items[:taken], now, paused, stream)
            if self._disposed:
                self.on_dispose()
        return taken

    def _offer_outside(self, items: Sequence[T]) -> int:
        with self._observation.left():
            return self.out.offer(items)

    def on_failure(self, error: Exception, /) -> Iterable[T]:
        self._end("failed", error)
        return ()

    def on_end(self) -> Iterable[T]:
        self._end("stopped" if stopping() else "whole")
        return ()

    def on_dispose(self) -> None:
        if not self._is_offering:  # else how much of that is taken is not known yet
            self._end("stopped" if stopping() else "left")

    def _end(self, ending: Ended, error: Exception | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        flow = self.out.producer
        self._observation.leave()
        self._observation.end(ending, error, self._now(), 0.0 if flow is None else flow.paused_time)
