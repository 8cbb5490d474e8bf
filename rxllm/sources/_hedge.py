"""``hedge``: several sources at once, the first that gives something of an answer counts.

Rules:

1. The next source is subscribed to when none has given something of an answer for a while, or when one has failed.
2. Until then what came of a source is held. That is little: the role, what filters found in the request.
3. Then the others are left, which closes their connections, and the answer goes on as it comes. What fails after that
   fails the stream.
4. With ``"p95"`` the wait is what 95 of 100 sources took of late. One that was left for another counts with the time
   after which that was done: otherwise the wait would shrink without end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from reactivex import Observable, abc

from rxllm.exceptions import AllAttemptsFailedError
from rxllm.flow import Clock, FanOut, Receiver, Stream, Trial, check_seconds, clock_of, subscribe_to, try_watch
from rxllm.models import Attempt
from rxllm.operators import Course, fail, with_attempts
from rxllm.sources._fallback import check_sources

T = TypeVar("T")

_LEAST_SEEN = 20
_MOST_SEEN = 1000
_SHARE = 0.95
# More than any server sends before its answer: then it is one.
_MOST_HELD = 1000


def hedge(
    *sources: Observable[T], delay: float | Literal["p95"] = "p95", scheduler: abc.SchedulerBase | None = None
) -> Stream[T]:
    """Ask another source when the first is slow to begin, and take the answer that begins first.

    It costs what the requests cost that are left: with ``"p95"``, about five in a hundred.

    Args:
        *sources: The streams, in the order in which they are asked; the same one may be there several times.
        delay: After how many seconds without something of an answer the next one is asked. 0 asks all of them at
            once. ``"p95"`` waits as long as 95 of 100 took, of the last thousand that this hedge has seen; until it has
            seen 20, the next source is asked only when one fails.
        scheduler: Whose time it is; by default that of the subscription, else of the running loop.

    Returns:
        The items of the source that wins. Its first chunk has what became of the others as ``attempts``, the
        ``ending`` of those that were left being ``"stopped"``.

    Raises:
        AllAttemptsFailedError: As ``on_error``: each source failed before it gave something of an answer.
        Exception: As ``on_error``: what the winner fails with later.
        ValueError: At once, like the last: there is no source, or the delay is less than 0.
        TypeError: A source is no observable, or the delay is neither a number nor ``"p95"``.

    Example:
        >>> import reactivex, rxllm
        >>> rxllm.run(rxllm.hedge(reactivex.never(), reactivex.of("Hello"), delay=0.001))
        'Hello'
    """
    check_sources(sources)
    if delay != "p95":
        check_seconds("delay", delay, zero=True)
    seen = _Seen()

    def begin(observer: abc.ObserverBase[T], of_subscription: abc.SchedulerBase | None) -> abc.DisposableBase:
        clock = clock_of(scheduler, of_subscription)
        wait = seen.share(_SHARE) if delay == "p95" else delay
        out = FanOut(observer, scheduler or of_subscription)
        return _Race(out, of_subscription, clock, sources, wait, seen).begin()

    return Stream(begin)


class _Seen:
    """How long sources took to begin, of late."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_MOST_SEEN)

    def add(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def share(self, share: float) -> float | None:
        """In how many seconds such a share of them had begun; ``None`` if too few have been seen."""
        if len(self._seconds) < _LEAST_SEEN:
            return None
        return sorted(self._seconds)[int(share * (len(self._seconds) - 1))]


class _Race(abc.DisposableBase, Generic[T]):
    """The sources of one subscription."""

    def __init__(  # noqa: PLR0917 - what the source was given
        self,
        out: FanOut[T],
        scheduler: abc.SchedulerBase | None,
        clock: Clock,
        sources: Sequence[Observable[T]],
        wait: float | None,
        seen: _Seen,
    ) -> None:
        self.out = out
        self._scheduler = scheduler
        self.clock = clock
        self._left = list(reversed(sources))
        self._wait = wait
        self._seen = seen
        self._watch = try_watch()
        self._running: list[_Runner[T]] = []
        self._errors: tuple[Exception, ...] = ()
        self.lost: tuple[Attempt, ...] = ()
        self._timer: abc.DisposableBase | None = None
        self._is_over = False

    def begin(self) -> abc.DisposableBase:
        self._ask()
        while self._wait == 0 and self._left and not self._is_over:
            self._ask()
        return self

    def _ask(self) -> None:
        """Ask the next source, and the one behind it if that takes long."""
        self._stop_timer()
        runner = _Runner(self, self._watch.begin_try())
        self._running.append(runner)
        source = self._left.pop()
        if self._left and self._wait:
            self._timer = self.clock.call_later(self._wait, self._ask)
        with runner.trial.subscribing():
            subscribe_to(source, runner, self._scheduler)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.dispose()

    def win(self, winner: _Runner[T]) -> None:
        """Leave the others."""
        self._is_over = True
        self._stop_timer()
        now = self.clock.now()
        for runner in self._running:
            self._seen.add(now - runner.began)
            if runner is not winner:
                runner.leave()
                self.lost += runner.course.attempt(None)
        self._running = [winner]

    def failed(self, runner: _Runner[T], error: Exception) -> None:
        """Go on without a source that failed before it won."""
        self._running.remove(runner)
        self.lost += runner.course.attempt(error)
        self._errors += (error,)
        if self._left:
            self._ask()
        elif not self._running:
            failure = AllAttemptsFailedError(self._errors)
            failure.__cause__ = error
            self._is_over = True
            fail(self.out, failure, self.lost)
        del error

    def dispose(self) -> None:
        self._is_over = True
        self._left.clear()
        self._stop_timer()
        running, self._running = self._running, []
        for runner in running:
            runner.leave()
        self.out.dispose()


class _Runner(Receiver[T]):
    """One of the sources."""

    def __init__(self, race: _Race[T], trial: Trial) -> None:
        self._race = race
        self.trial = trial
        self._out = race.out
        self.began = race.clock.now()
        self.course = Course[T]()
        self._held: list[T] = []
        self._has_won = self._is_consumers = False

    def on_next(self, value: T) -> None:
        if self._has_won:
            self._expand(with_attempts((value,), self._race.lost, is_first=False, restarts=False))
            self.course.note((value,))
        else:
            self.on_batch((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        if self._has_won:
            return self._offer(items)
        self.course.note(items)
        self._held += items
        if self.course.has_begun or len(self._held) > _MOST_HELD:
            self._win()
        return len(items)

    def _win(self) -> None:
        self._has_won = True
        self._race.win(self)
        held, self._held = self._held, []
        if held:
            self._expand(with_attempts(held, self._race.lost, is_first=True, restarts=False))

    def _expand(self, items: Sequence[T]) -> None:
        self._is_consumers = True
        self._out.expand(items)
        self._is_consumers = False

    def _offer(self, items: Sequence[T]) -> int:
        # The winner may begin its answer anew.
        items = with_attempts(items, self._race.lost, is_first=False, restarts=False)
        self._is_consumers = True
        taken = self._out.offer(items)
        self._is_consumers = False
        self.course.note(items[:taken])
        return taken

    def on_error(self, error: Exception) -> None:
        self.trial.end("failed", error, self.course.stream)
        if self._is_consumers:
            self._out.end(error)
        elif self._has_won:
            fail(self._out, error, (*self._race.lost, *self.course.attempt(error)))
        else:
            self._race.failed(self, error)

    def on_completed(self) -> None:
        self.trial.end("whole", None, self.course.stream)
        if not self._has_won:
            self._win()
        self._out.end()

    def leave(self) -> None:
        super().leave()
        self.trial.end("left", None, self.course.stream)
