"""A fold that gives away something on the way: what the operators over bytes, tool calls and JSON have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from reactivex import abc

from rxllm.flow import FlowControl
from rxllm.operators._accumulate import attach_partial
from rxllm.operators._emission import Expander

A = TypeVar("A")
T = TypeVar("T")


class Fold(Expander[A, T], Generic[A, T]):
    """One subscription.

    Of most items nothing comes, so a batch goes on until something does: it costs 0.13 µs a chunk less.

    Args:
        observer: Where the results go; several of one chunk wait there while a consumer pauses.
        process: Takes an item; returns what it gave, a list. If something comes before an error, an iterable of
            another class that raises it.
        finish: Takes note that the stream ended in good order; returns what that gave, in the same way.
        partial: What there is so far, for ``error.partial``.
    """

    def __init__(
        self,
        observer: abc.ObserverBase[T],
        process: Callable[[A], Iterable[T]],
        *,
        finish: Callable[[], Iterable[T]] | None = None,
        partial: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(observer)
        self._process = process
        self._finish = finish
        self._partial = partial

    def on_next(self, value: A) -> None:
        try:
            found: Any = self._process(value)
        except Exception as error:
            self.on_error(error)
            return
        if found.__class__ is not list:
            self._take(found)
        elif found:
            self._emit(found)

    def on_batch(self, items: Sequence[A]) -> int:
        process, emit = self._process, self._emit
        flow = FlowControl.current()
        for count, item in enumerate(items, 1):
            try:
                found: Any = process(item)
            except Exception as error:
                self.on_error(error)
                return count
            if not found:
                continue
            if found.__class__ is not list:
                self._take(found)
                return count
            emit(found)
            if self._left or (flow is not None and flow.paused):
                return count
        return len(items)

    def on_error(self, error: Exception) -> None:
        if self._partial is not None:
            attach_partial(error, self._partial)
        super().on_error(error)

    def on_completed(self) -> None:
        try:
            found = () if self._finish is None else self._finish()
        except Exception as error:
            self.on_error(error)
            return
        if self._take(found):
            self._results.end()

    def _take(self, found: Any) -> bool:
        """Emit what was found, up to an error; returns whether there was none."""
        if found.__class__ is list:
            self._emit(found)
            return True
        before: list[T] = []
        failure: Exception | None = None
        try:
            before.extend(found)
        except Exception as error:
            failure = error
        if before:
            self._emit(before)
        if failure is not None:
            self.on_error(failure)
        return failure is None
