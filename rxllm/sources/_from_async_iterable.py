"""``from_async_iterable``: another library's stream as a source."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, TypeAlias, TypeGuard, TypeVar, cast

from reactivex import Observable

from rxllm.flow import Emitter, Stream, task_source
from rxllm.harmless import harmless

T = TypeVar("T")

_USED = (
    "an async iterator serves one subscription: give the function that makes it, from_async_iterable(items) and not "
    "from_async_iterable(items())"
)

Factory: TypeAlias = Callable[[], AsyncIterable[T] | Awaitable[AsyncIterable[T]]]


def from_async_iterable(factory_or_iterable: AsyncIterable[T] | Factory[T]) -> Stream[T]:
    """Make a flow-controlled source of any async iterable, the stream of another SDK for example.

    While a consumer holds a pause, the iterable is not asked for its next item. So a client that reads its socket on
    demand is slowed down, too. On dispose, and at the end, the iterator's ``aclose()`` (or ``close()``, as SDK
    streams call it) is called.

    Args:
        factory_or_iterable: A function or coroutine function that makes the iterable. It is called for each
            subscription, so the source is cold and ``retry`` works. Or an iterable. An iterator can be consumed only
            once, so it serves one subscription.

    Returns:
        The items, in order.

    Raises:
        RuntimeError: As ``on_error``: an iterator was subscribed to a second time, here or in another source.
        TypeError: At once: it is neither an async iterable nor a function.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread.

    Example:
        >>> import rxllm
        >>> async def numbers():
        ...     for number in range(3):
        ...         yield number
        >>> rxllm.run(rxllm.from_async_iterable(numbers))
        2
    """
    _check(factory_or_iterable)
    used = False

    async def open_iterable() -> AsyncIterable[T]:
        nonlocal used
        if _is_iterable(factory_or_iterable):
            if used and isinstance(factory_or_iterable, AsyncIterator):
                raise RuntimeError(_USED)
            used = True
            return factory_or_iterable
        made = cast(Factory[T], factory_or_iterable)()
        return made if isinstance(made, AsyncIterable) else await made

    async def produce(emitter: Emitter[T]) -> None:
        iterable = await open_iterable()
        if inspect.isasyncgen(iterable) and iterable.ag_frame is None:
            raise RuntimeError(_USED)  # by another source: it would look empty
        iterator = aiter(iterable)
        async with AsyncExitStack() as stack:
            for resource in {id(each): each for each in (iterable, iterator)}.values():
                stack.push_async_exit(partial(_close, resource))
            while True:
                await emitter.ready()
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
                await emitter.emit((item,), len(item) if isinstance(item, bytes) else 0)

    return task_source(produce)


def _check(given: object) -> None:
    """Check what is to be a source.

    Raises:
        TypeError: It is none.
    """
    if isinstance(given, AsyncIterable) or callable(given):
        return
    kind = type(given).__name__
    if isinstance(given, Observable):
        advice = "an observable is a source already"
    elif inspect.isawaitable(given):
        if inspect.iscoroutine(given):
            given.close()  # nobody awaits it
        advice = "give the function that makes it, as 'lambda: client.create(…)', for each subscription calls it"
    elif isinstance(given, Iterable):
        advice = "reactivex.from_iterable() takes what can be iterated over without async"
    else:
        advice = "it has no __aiter__()"
    raise TypeError(
        f"from_async_iterable() takes an async iterable, or a function that makes one, not {kind}: {advice}"
    )


def _is_iterable(value: object) -> TypeGuard[AsyncIterable[Any]]:
    return isinstance(value, AsyncIterable)


async def _close(
    resource: object, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
) -> None:
    """Close, on leaving, what has a way to be closed: generators have ``aclose``, the streams of SDKs ``close``."""
    close = getattr(resource, "aclose", None) or getattr(resource, "close", None) or _nothing
    try:
        result = close()
        if inspect.isawaitable(result):
            await result
    except Exception as failure:
        if error is None:
            raise
        # What the stream itself failed with has precedence.
        error.add_note(harmless(f"closing it failed, too: {failure!r}"))


def _nothing() -> None:
    """There is no way to close it."""
