"""The observable that our sources and operators give.

To operators of ``reactivex`` it is an ordinary one. Between two of ours its items pass in batches, and a subscription
is one object. This is the only place that knows how an observable of ``reactivex`` subscribes (``_subscribe_core``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from reactivex import Observable, abc
from reactivex.scheduler import CurrentThreadScheduler

from rxllm.flow._apply import apply
from rxllm.flow._batches import Link, Receiver
from rxllm.flow._consumer import Subscriber, consumer, consuming

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from rxllm.flow._mailbox import Iteration
    from rxllm.typing import OperatorFunction as Op

    # The default of each is the one before: that of an operator that is not given.
    A = DefaultTypeVar("A", default=T)
    B = DefaultTypeVar("B", default=A)
    C = DefaultTypeVar("C", default=B)
    D = DefaultTypeVar("D", default=C)
    E = DefaultTypeVar("E", default=D)
    F = DefaultTypeVar("F", default=E)
    G = DefaultTypeVar("G", default=F)
    H = DefaultTypeVar("H", default=G)
    J = DefaultTypeVar("J", default=H)
    K = DefaultTypeVar("K", default=J)
    M = DefaultTypeVar("M", default=K)
    N = DefaultTypeVar("N", default=M)


class Stream(Observable[T]):
    """An observable that can be awaited and iterated over; what our sources and operators give.

    ``await stream`` subscribes and gives the last item, or raises what the stream fails with. ``async for item in
    stream`` is what ``rxllm.iterate`` does by default: with backpressure.

    Args:
        subscribe: Called with the observer, the scheduler, if there is one, and the arguments, for each subscription.
        *arguments: More arguments: a closure would be several objects for the garbage collector, and a server has one
            for each request.

    Raises:
        EmptyStreamError: When it is awaited: the stream ended without an item.
        NoRunningLoopError: As ``on_error``: a source of ours is subscribed to where no event loop runs.

    Example:
        >>> import asyncio, reactivex, rxllm
        >>> async def main():
        ...     texts = reactivex.of("Hel", "lo").pipe(rxllm.operators.buffer_with_backpressure(2))
        ...     print([text async for text in texts], await texts)
        >>> asyncio.run(main())
        ['Hel', 'lo'] lo
    """

    def __init__(self, subscribe: Callable[..., abc.DisposableBase], *arguments: Any) -> None:
        # Not that of the base class, which makes a lock that few operators of reactivex ask for.
        self._begin = subscribe
        self._arguments = arguments

    @cached_property
    def lock(self) -> threading.RLock:  # type: ignore[override]
        return threading.RLock()

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._begin(observer, scheduler, *self._arguments)

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe as to any observable; without ``on_error`` an error goes to the loop's exception handler.

        Args:
            on_next: Called with each item; or an observer.
            on_error: Called with the error, also with one that a callback raises.
            on_completed: Called at the end.
            scheduler: Whose time the operators use that deal with time.

        Returns:
            What ends the subscription.
        """
        observer: Any = on_next
        if callable(getattr(observer, "on_next", None)):
            on_next, on_error, on_completed = observer.on_next, observer.on_error, observer.on_completed
        if consumer() is not None or not CurrentThreadScheduler.singleton().schedule_required():
            # Part of a pipeline, of which somebody else is the consumer: within a subscription that is under way.
            return super().subscribe(on_next, on_error, on_completed, scheduler=scheduler)
        subscriber = Subscriber(on_error, observer)
        with consuming(subscriber):
            return super().subscribe(on_next, subscriber.fail, on_completed, scheduler=scheduler)

    def feed(self, receiver: Receiver[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        """Subscribe a receiver, while somebody subscribes to what is below: no trampoline is set up for it."""
        link = Link(receiver)
        try:
            link.upstream = self._begin(link, scheduler, *self._arguments)
        except Exception as error:
            if link.is_stopped:
                raise
            link.on_error(error)
        if link.is_stopped:
            link.dispose()
        return link

    if TYPE_CHECKING:
        # fmt: off
        # The type that comes in is known to each operator, so lambdas are typed. Overloads would hide it from mypy.
        def pipe(  # type: ignore[override]  # noqa: PLR0917
            self, a: Op[T, A] = ..., b: Op[A, B] = ..., c: Op[B, C] = ..., d: Op[C, D] = ...,
            e: Op[D, E] = ..., f: Op[E, F] = ..., g: Op[F, G] = ..., h: Op[G, H] = ...,
            j: Op[H, J] = ..., k: Op[J, K] = ..., m: Op[K, M] = ..., n: Op[M, N] = ..., /  # pyright: ignore[reportInvalidTypeVarUse]
        ) -> Stream[N]: ...
        # fmt: on
    else:

        def pipe(self, *operators: Callable[[Any], Any]) -> Any:
            """Put operators behind one another.

            Args:
                *operators: Ours and those of ``reactivex``, up to twelve with their types.

            Returns:
                A ``Stream``, whatever operator stands last. What is no ordinary observable stays what it is, as the
                connectable one of ``publish()`` does; type checkers know that of ``publish()(stream)``.

            Raises:
                TypeError: Something among them is not an operator: brackets are missing, or it is a sink.
            """
            result: Any = self
            for operator in operators:
                result = apply(operator, result)
            return Stream[Any](subscribe_within, result) if type(result) is Observable else result

        def __getattr__(self, name: str) -> NoReturn:
            # Only for what is not there: most often it is meant of what the stream gives.
            hint = "" if name.startswith("_") else ": its items may have, 'await' it for the last one"
            raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}", name=name, obj=self)

    def __await__(self) -> Generator[Any, None, T]:
        from rxllm.flow._mailbox import last_of  # noqa: PLC0415 - which knows of streams, too

        return last_of(self).__await__()

    def __aiter__(self) -> Iteration[T]:
        from rxllm.flow._mailbox import Iteration  # noqa: PLC0415 - as above

        return Iteration(self)

    def __iter__(self) -> NoReturn:
        # Without this, for would ask for the items by their numbers, without end: observables can be sliced.
        raise TypeError(
            "a stream arrives over time: write 'async for' within a coroutine, or get the last item by 'await stream'; "
            "in synchronous code write 'for item in rxllm.iterate_sync(stream)', or rxllm.run(stream)"
        )


def subscribe_within(
    observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None, source: Observable[T]
) -> abc.DisposableBase:
    return source.subscribe(observer, scheduler=scheduler)


def subscribe_to(
    source: Observable[T], receiver: Receiver[T], scheduler: abc.SchedulerBase | None
) -> abc.DisposableBase:
    """Subscribe a receiver to any observable; returns what ends its subscription, and the receiver with it."""
    if isinstance(source, Stream):
        return receiver.follow(source.feed(receiver, scheduler))
    return receiver.follow(source.subscribe(receiver, scheduler=scheduler))
