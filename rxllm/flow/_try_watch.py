"""Who hears of the tries that are made above: this is what telemetry listens to.

Whoever makes several tries (``retry_with_backoff``, ``fallback``, ``hedge``, a pool of clients) tells of each one when
it begins and how it ended. A subscription is made within a context that knows who listens, whatever operators stand
between. Where nobody listens this costs one look at a context variable for each subscription, and nothing for an item.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, Literal, Protocol, TypeAlias

__all__ = ["NOBODY_WATCHES", "Trial", "TrialEnding", "TryWatch", "reset_try_watch", "set_try_watch", "try_watch"]

TrialEnding: TypeAlias = Literal["whole", "failed", "left"]
"""How a try ended."""


class Trial(Protocol):
    """One try, as whoever listens sees it."""

    def subscribing(self) -> AbstractContextManager[None]:
        """The context within which the source of the try is subscribed to."""
        ...

    def end(self, ending: TrialEnding, error: Exception | None = None, stream: Any = None) -> None:
        """Hear of the end; only the first one counts.

        Args:
            ending: How it ended.
            error: What it failed with.
            stream: The ``StreamInfo`` of its request, if something of an answer came.
        """
        ...


class TryWatch(Protocol):
    """Who listens."""

    def begin_try(self) -> Trial:
        """Hear of a try that begins."""
        ...


class _Nobody:
    """Stands for whoever listens where nobody does."""

    def begin_try(self) -> Trial:
        return self

    def subscribing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def end(self, ending: TrialEnding, error: Exception | None = None, stream: Any = None) -> None:
        """Nobody hears of it."""


NOBODY_WATCHES: TryWatch = _Nobody()

_watch: ContextVar[TryWatch] = ContextVar("rxllm.tries", default=NOBODY_WATCHES)
try_watch: Callable[[], TryWatch] = _watch.get
"""Who listens; ``NOBODY_WATCHES`` if nobody does."""
set_try_watch: Callable[[TryWatch], Token[TryWatch]] = _watch.set
reset_try_watch: Callable[[Token[TryWatch]], None] = _watch.reset
