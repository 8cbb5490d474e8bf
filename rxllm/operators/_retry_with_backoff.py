"""``retry_with_backoff``."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar, Generic, Literal, TypeAlias, TypeVar

from reactivex import Observable, abc

from rxllm.flow import FanOut, Stream, check_callable, check_count, check_seconds
from rxllm.operators._tries import Next, Tries
from rxllm.resilience import Backoff, Retry, is_retryable

T = TypeVar("T")

AfterFirst: TypeAlias = Literal["fail", "restart"]
"""What to do about a failure after the answer has begun."""

AFTER_FIRST = ("fail", "restart")


def retry_with_backoff(
    max_attempts: int = 3,
    *,
    initial: float = 0.5,
    maximum: float = 30.0,
    jitter: Callable[[], float] = random.random,
    retry_on: Callable[[Exception], bool] = is_retryable,
    after_first: AfterFirst = "fail",
    on_retry: Callable[[Retry], object] | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[T]], Observable[T]]:
    """Try again after a failure that may pass. Wait before as long as the server asks, or longer each time.

    ::

        source  --a-b-#
                retry_with_backoff()
        result  --a-b-#

        a="Hel" b="lo" #=ConnectionError("busy")

    A failure after the answer has begun is passed on, as in this diagram. After a failure before that, the source is
    tried again. The next diagram shows three tries, with waits of two and of four frames::

        source  -#
                retry_with_backoff(initial=0.02, jitter=lambda: 1.0)
        result  ---------#

        #=ConnectionError("busy")

    Args:
        max_attempts: How many tries there are at most, the first one included.
        initial: The bound of the first wait, in seconds. The bound doubles with each failure. Each wait is a random
            time between zero and its bound.
        maximum: The longest wait, in seconds. If the server asks for a longer one (``Retry-After``), the stream fails,
            and the error says so.
        jitter: Returns a number from 0 to 1; a wait is its bound times that number. ``random.Random(7).random`` gives
            the same numbers each time, and ``lambda: 1.0`` always the whole bound.
        retry_on: A function that says whether another try may help after an error. By default: yes for errors with
            ``RxllmError.retryable``, and for other connection errors and time-outs.
        after_first: What to do about a failure after the answer has begun. ``"fail"`` passes it on. ``"restart"`` tries
            again; the first chunk of the new answer has ``restarts``, and ``accumulate``, the display and
            ``chat_with_tools`` drop what came before. An operator that cannot take back what it emitted fails with a
            ``RestartError``. ``"restart"`` needs chunks: put this operator before ``accumulate`` and the like.
        on_retry: Called before each wait. If it raises, the stream fails with that exception.
        scheduler: The scheduler for timers; by default that of the subscription, else the running loop.

    Returns:
        An operator that passes its items on. The first chunk of a later try has the earlier tries in ``attempts``;
        ``accumulate`` puts them into ``ChatCompletion.attempts``.

    Raises:
        Exception: As ``on_error``: the last failure, with all tries in ``error.attempts``.
        ValueError: At once: a number is out of range, or ``after_first`` is not one of these words.
        TypeError: At once: an argument that must be a number or a function is something else.

    Example:
        >>> import reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> tries = iter([reactivex.throw(ConnectionError()), reactivex.of("Hello")])
        >>> source = reactivex.defer(lambda _: next(tries))
        >>> rxllm.run(source.pipe(ops.retry_with_backoff(initial=0)))
        'Hello'

    See also:
        ``LLMClient(retries=…)``, ``rxllm.fallback``, ``deadline``, ``reactivex.operators.retry`` (which tries again
        at once, whatever the error)
    """
    check_count("max_attempts", max_attempts)
    check_seconds("initial", initial, zero=True)
    check_seconds("maximum", maximum)
    check_callable("jitter", jitter)
    check_callable("retry_on", retry_on)
    check_after_first(after_first)
    backoff = Backoff(initial, maximum, jitter)

    def again(source: Observable[T]) -> Stream[T]:
        def begin(observer: abc.ObserverBase[T], of_subscription: abc.SchedulerBase | None) -> abc.DisposableBase:
            policy = _Again(source, max_attempts, backoff, retry_on, after_first, on_retry)
            return Tries(FanOut(observer, scheduler or of_subscription), of_subscription, policy).begin(source)

        return Stream(begin)

    return again


def check_after_first(after_first: str) -> None:
    """Check what was given as ``after_first``.

    Raises:
        ValueError: It is not such a word.
    """
    if after_first not in AFTER_FIRST:
        raise ValueError(f"after_first must be 'fail' or 'restart', not {after_first!r}")


class _Again(Generic[T]):
    """The tries of one subscription: the same source again."""

    called: ClassVar[str] = "retry_with_backoff"

    def __init__(  # noqa: PLR0917 - what the operator was given
        self,
        source: Observable[T],
        max_attempts: int,
        backoff: Backoff,
        retry_on: Callable[[Exception], bool],
        after_first: AfterFirst,
        on_retry: Callable[[Retry], object] | None,
    ) -> None:
        self._source = source
        self._max_attempts = max_attempts
        self._backoff = backoff
        self._retry_on = retry_on
        self._after_first = after_first
        self._on_retry = on_retry
        self._failures = 0

    def after(self, error: Exception, *, has_begun: bool) -> Next[T] | Exception:
        self._failures += 1
        if (has_begun and self._after_first == "fail") or not self._retry_on(error):
            return error
        if self._failures >= self._max_attempts:
            return error
        seconds = self._backoff.seconds(self._failures, error)
        if seconds is None:
            asked, most = getattr(error, "retry_after", 0.0), self._backoff.maximum
            error.args = (
                f"{error}; the server asks to wait {asked:g} s, longer than maximum={most:g}",
                *error.args[1:],
            )
            return error
        if self._on_retry is not None:
            self._on_retry(Retry(self._failures, error, seconds))
        return Next(self._source, seconds)
