"""One try after another as one stream, and what each of them cost.

Rules:

1. A try is a subscription of its own. The one before has ended by then, or was left.
2. A try has begun when something of an answer came. Until then another one doubles nothing: what little had come, such
   as the role, is taken back by the next try's first chunk, which ``restarts``.
3. After that the policy says whether the answer may begin anew, which it does in the same way. Only chunks can say so.
4. What a consumer raises is no failure of the try.
5. The end of a source waits while a consumer pauses it, so the next try waits, too.
6. The first chunk of a try has what the former ones cost; the error behind the last one has it of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from copy import copy
from functools import partial
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxllm.accumulators import usage_after
from rxllm.exceptions import RxllmError, attach_attempts, stream_of
from rxllm.flow import FanOut, Receiver, Trial, subscribe_to, try_watch, waiting_place
from rxllm.models import Attempt, StreamChunk, StreamInfo, Usage, described, ending_after, marked

T = TypeVar("T")


class Next(NamedTuple, Generic[T]):
    """What is tried next.

    Attributes:
        source: What to subscribe to.
        seconds: When, from now on.
    """

    source: Observable[T]
    seconds: float = 0.0


class Policy(Protocol[T]):
    """What is tried after a failure: one for each subscription.

    Attributes:
        called: What whoever looks at it calls it.
    """

    called: ClassVar[str]

    def after(self, error: Exception, *, has_begun: bool) -> Next[T] | Exception:
        """Say what comes after a failure: another try, or what to fail with.

        Args:
            error: What the try failed with.
            has_begun: Whether something of an answer had come, which another try would have to take back.
        """
        ...


class Course(Generic[T]):
    """The course of one try: what came, and what that cost.

    Attributes:
        has_come: Whether an item has.
        has_begun: Whether something of an answer has.
        is_of_chunks: Whether the items are chunks.
        stream: What is known of its request.
        usage: What it cost, as far as the server said so.
    """

    __slots__ = ("has_begun", "has_come", "is_of_chunks", "stream", "usage")

    def __init__(self) -> None:
        self.has_come: bool = False
        self.has_begun: bool = False
        self.is_of_chunks: bool = True
        self.stream: StreamInfo | None = None
        self.usage: Usage | None = None

    def note(self, items: Sequence[T]) -> None:
        """Take note of items."""
        if items and not self.has_come:
            self.has_come = True
            self.is_of_chunks = isinstance(items[0], StreamChunk)
            self.stream = items[0].stream if isinstance(items[0], StreamChunk) else None
        if not self.is_of_chunks:
            self.has_begun = True
            return
        chunks = cast("Sequence[StreamChunk]", items)
        if not self.has_begun:
            self.has_begun = any(map(_says_something, chunks))
        for chunk in chunks:
            if chunk.usage is not None:
                self.usage, _ = usage_after(self.usage, chunk)

    def attempt(self, error: Exception | None) -> tuple[Attempt, ...]:
        """What became of it: several attempts if it was made of several."""
        if error is None:
            return (Attempt(stream=self.stream, usage=self.usage, ending="stopped"),)
        return _told_of(error) or (
            Attempt(
                stream=self.stream or stream_of(error),
                usage=self.usage,
                ending=ending_after(error),
                error=kept(error),
            ),
        )


def _says_something(chunk: StreamChunk) -> bool:
    """Whether a chunk has something that another try would say again. What the question costs is nothing of that."""
    return not (chunk if chunk.usage is None else chunk.model_copy(update={"usage": None})).is_empty


# Of the error that is being passed on. What an error says of itself may be from another time: some are raised twice.
_telling: ContextVar[tuple[Exception, tuple[Attempt, ...]] | None] = ContextVar("rxllm.attempts", default=None)


def fail(out: FanOut[Any], error: Exception, attempts: tuple[Attempt, ...]) -> None:
    """Fail with an error that says what became of each try, to the consumer and to who makes tries below."""
    attach_attempts(error, attempts)
    token = _telling.set((error, attempts))
    try:
        out.end(error)
    finally:
        _telling.reset(token)
        del error, token  # what refers to this frame


def _told_of(error: Exception) -> tuple[Attempt, ...]:
    """What became of each try above, if several were made there."""
    told = _telling.get()
    # What is tried next must not keep it.
    _telling.set(None)
    return told[1] if told is not None and told[0] is error else ()


def with_attempts(items: Sequence[T], former: tuple[Attempt, ...], *, is_first: bool, restarts: bool) -> Sequence[T]:
    """The items of a try, which say what the former tries cost.

    Args:
        items: The items.
        former: What became of the tries before.
        is_first: Whether the first item is the first one of the try.
        restarts: Whether it takes back what came of a former try.
    """
    if not former or not isinstance(items[0], StreamChunk):
        return items
    chunks = cast("Sequence[StreamChunk]", items)
    return cast(
        "Sequence[T]",
        [
            _with_former(chunk, former, restarts=restarts and first)
            if (first := is_first and place == 0) or chunk.attempts or chunk.begins or chunk.restarts
            else chunk
            for place, chunk in enumerate(chunks)
        ],
    )


def _with_former(chunk: StreamChunk, former: tuple[Attempt, ...], *, restarts: bool) -> StreamChunk:
    attempts = (*former, *chunk.attempts)
    if chunk.stream is not None:
        chunk.stream.attempt = len(attempts) + 1
    return marked(chunk, begins=True, restarts=restarts or chunk.restarts, attempts=attempts)


def kept(error: Exception) -> Exception:
    """The error, to be kept for long: a copy without its traceback, which would keep frames, and they the error."""
    try:
        copied = copy(error)
    except Exception:
        # Some exceptions of others cannot be copied.
        copied = RxllmError(described(error))
    return copied.with_traceback(None)


class Tries(abc.DisposableBase, Generic[T]):
    """The tries of one subscription.

    Args:
        out: Where the items go.
        scheduler: The scheduler of the subscription, if it has one.
        policy: Says what is tried after a failure.
    """

    def __init__(self, out: FanOut[T], scheduler: abc.SchedulerBase | None, policy: Policy[T]) -> None:
        self.out: FanOut[T] = out
        self._scheduler = scheduler
        self._policy = policy
        self._watch = try_watch()
        self._place = waiting_place(policy.called)
        self.former: tuple[Attempt, ...] = ()
        # Whether a former try gave an item.
        self.has_come: bool = False
        self._current: abc.DisposableBase = Disposable()
        self._disposed = False

    def begin(self, source: Observable[T]) -> abc.DisposableBase:
        """Try the first source; returns what ends all tries."""
        self._try(source)
        return self

    def _try(self, source: Observable[T]) -> None:
        self._place.let_go()
        if not self._disposed:
            # Before it is subscribed to: that may end at once, and then the next one is the current one.
            trial = self._watch.begin_try()
            self._current = attempt = _Try(self, trial)
            with trial.subscribing():
                subscribe_to(source, attempt, self._scheduler)

    def failed(self, course: Course[T], error: Exception) -> None:
        """Go on after a failure, or fail."""
        attempts = (*self.former, *course.attempt(error))
        what: Next[T] | Exception
        try:
            can_go_on = course.is_of_chunks or not course.has_come
            what = self._policy.after(error, has_begun=course.has_begun) if can_go_on else error
        except Exception as failure:
            what = failure
        if isinstance(what, Exception):
            fail(self.out, what, attempts)
        else:
            self.former = attempts
            self.has_come = self.has_come or course.has_come
            self._go_on(what)
        del error, what  # whose tracebacks may keep this frame: a circle for the garbage collector

    def _go_on(self, following: Next[T]) -> None:
        if following.seconds <= 0:
            self._try(following.source)
            return
        self._place.hold(f"the {following.seconds:.1f} s before try {len(self.former) + 1}")
        self._current = self.out.clock.call_later(following.seconds, partial(self._try, following.source))
        if self._disposed:  # by the policy, or in another thread, meanwhile
            self._place.let_go()
            self._current.dispose()

    def dispose(self) -> None:
        self._disposed = True
        self._place.let_go()
        current, self._current = self._current, Disposable()
        current.dispose()
        self.out.dispose()


class _Try(Receiver[T]):
    """Passes everything on, and notes what came."""

    def __init__(self, tries: Tries[T], trial: Trial) -> None:
        self._tries = tries
        self._trial = trial
        self._out = tries.out
        self._course = Course[T]()
        self._is_consumers = False

    def on_next(self, value: T) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[T]) -> int:
        tries, course = self._tries, self._course
        if tries.former:
            items = with_attempts(items, tries.former, is_first=not course.has_come, restarts=tries.has_come)
        # What is not taken comes again.
        self._is_consumers = True
        taken = self._out.offer(items)
        self._is_consumers = False
        course.note(items[:taken])
        return taken

    def on_error(self, error: Exception) -> None:
        self._trial.end("failed", error, self._course.stream)
        if self._is_consumers:
            self._out.end(error)
        else:
            self._tries.failed(self._course, error)

    def on_completed(self) -> None:
        self._trial.end("whole", None, self._course.stream)
        self._out.end()

    def leave(self) -> None:
        super().leave()
        self._trial.end("left", None, self._course.stream)
