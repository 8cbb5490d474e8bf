"""``fallback``: one source after another, until one gives the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Generic, TypeVar

from reactivex import Observable, abc

from rxllm.exceptions import AllAttemptsFailedError, RxllmError
from rxllm.flow import FanOut, Stream, check_callable, check_kind
from rxllm.operators import AfterFirst, Next, Tries, check_after_first

T = TypeVar("T")


def _is_of_the_source(error: Exception) -> bool:
    """Whether an error may be the fault of one source: anything but a mistake in the program."""
    return isinstance(error, (RxllmError, ConnectionError, TimeoutError))


def fallback(
    *sources: Observable[T],
    when: Callable[[Exception], bool] = _is_of_the_source,
    after_first: AfterFirst = "fail",
) -> Stream[T]:
    """Go on with the next source when one fails.

    Cold: each subscription begins with the first source, and the next is subscribed to when it is needed.

    Args:
        *sources: The streams to try, in this order: of several models, servers or clients.
        when: Says whether an error is a reason to go on. By default any error of this library, of a connection or of
            a time-out is: another model may take a request that the first refused.
        after_first: What to do about a failure after something of an answer has come: ``"fail"`` passes it on,
            ``"restart"`` goes on with the next source, whose first chunk ``restarts``: see
            ``operators.retry_with_backoff``.

    Returns:
        The items of the first source that gives an answer. Its first chunk has the former tries as ``attempts``.

    Raises:
        AllAttemptsFailedError: As ``on_error``: the last source failed, too. ``errors`` has the reason of each.
        Exception: As ``on_error``: a failure that ``when`` refuses, or that came too late; ``error.attempts`` has all.
        ValueError: At once, like the last: there is no source, or ``after_first`` is none of those.
        TypeError: A source is no observable, or ``when`` no function.

    Example:
        >>> import reactivex, rxllm
        >>> rxllm.run(rxllm.fallback(reactivex.throw(ConnectionError()), reactivex.of("Hello")))
        'Hello'
    """
    check_sources(sources)
    check_callable("when", when)
    check_after_first(after_first)

    def begin(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        first, *others = sources
        policy = _Others(iter(others), when, after_first)
        return Tries(FanOut(observer, scheduler), scheduler, policy).begin(first)

    return Stream(begin)


def check_sources(sources: Sequence[object]) -> None:
    """Check that there are some, and that they are observables.

    Raises:
        ValueError: There are none.
        TypeError: One is something else.
    """
    if not sources:
        raise ValueError("there has to be one source or more")
    for number, source in enumerate(sources):
        check_kind(f"source {number}", source, Observable, "write client.chat_stream(…) or another stream")


class _Others(Generic[T]):
    """The tries of one subscription: the sources that are left."""

    called: ClassVar[str] = "fallback"

    def __init__(
        self, left: Iterator[Observable[T]], when: Callable[[Exception], bool], after_first: AfterFirst
    ) -> None:
        self._left = left
        self._when = when
        self._after_first = after_first
        self._errors: tuple[Exception, ...] = ()

    def after(self, error: Exception, *, has_begun: bool) -> Next[T] | Exception:
        if (has_begun and self._after_first == "fail") or not self._when(error):
            return error
        self._errors = (*self._errors, error)
        source = next(self._left, None)
        if source is not None:
            return Next(source)
        failure = AllAttemptsFailedError(self._errors)
        failure.__cause__ = error
        return failure
