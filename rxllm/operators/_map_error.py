"""``map_error``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable, abc

from rxllm.operators._stage import Operated, Receiver, batching

T = TypeVar("T")


def map_error(mapper: Callable[[Exception], Exception]) -> Callable[[Observable[T]], Observable[T]]:
    """Fail with what is made of the error; the items pass, as many at a time as came at a time.

    Args:
        mapper: Makes the error that is passed on. If it raises, that is passed on.

    Returns:
        An operator that passes its items on.
    """
    return lambda source: Operated(source, _Mapping, mapper)


class _Mapping(Receiver[T]):
    """One subscription."""

    def __init__(self, observer: abc.ObserverBase[T], mapper: Callable[[Exception], Exception]) -> None:
        self._mapper = mapper
        self._observer = batching(observer)

    def on_next(self, value: T) -> None:
        self._observer.on_next(value)

    def on_batch(self, items: Sequence[T]) -> int:
        return self._observer.on_batch(items)

    def on_error(self, error: Exception) -> None:
        try:
            mapped = self._mapper(error)
        except Exception as failure:
            mapped = failure
        self._observer.on_error(mapped)

    def on_completed(self) -> None:
        self._observer.on_completed()
