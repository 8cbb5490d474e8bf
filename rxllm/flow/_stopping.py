"""That a stream is stopped on purpose, which is neither complete nor a failure.

All of a pipeline is left and ended in one call. Who is left or ended within that call finds here that it was stopped,
whatever operators of ``reactivex`` stand between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["mark_stopped", "stopping", "stopping_now"]

_stopping: ContextVar[bool] = ContextVar("rxllm.stopping", default=False)
stopping: Callable[[], bool] = _stopping.get
"""Whether what ends now, or is left now, is stopped."""


@contextmanager
def stopping_now() -> Generator[None]:
    """Let what ends or is left within be stopped."""
    token = _stopping.set(True)
    try:
        yield
    finally:
        _stopping.reset(token)


def mark_stopped() -> None:
    """Let the end of the running task's stream be a stop: for a source."""
    _stopping.set(True)
