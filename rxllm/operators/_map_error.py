"""``map_error``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from reactivex import Observable

from rxllm.flow import FanOut, Operation, operate

T = TypeVar("T")


def map_error(mapper: Callable[[Exception], Exception]) -> Callable[[Observable[T]], Observable[T]]:
    """Fail with what is made of the error; the items pass, as many at a time as came at a time.

    Args:
        mapper: Makes the error that is passed on. If it raises, that is passed on.

    Returns:
        An operator that passes its items on.
    """
    return operate(_Mapping, mapper)


class _Mapping(Operation[T, T]):
    def __init__(self, out: FanOut[T], mapper: Callable[[Exception], Exception]) -> None:
        super().__init__(out)
        self._mapper = mapper

    def on_batch(self, items: Sequence[T]) -> int:
        return self.out.offer(items)

    def on_next(self, value: T) -> None:
        self.out.offer((value,))

    def on_failure(self, error: Exception, /) -> Iterable[T]:
        raise self._mapper(error)
