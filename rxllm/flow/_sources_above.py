"""Who hears of a source that starts above: before its first item there is no other way to know of it.

A subscription is made within a context that knows who listens, and a source tells them, whatever operators stand
between. Listeners are not kept: the context is, by each task and timer that is made in it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from weakref import ref

from rxllm.flow._control import FlowControl, current


class Listener(Protocol):
    """Who hears of it."""

    def on_source(self, flow: FlowControl, /) -> None:
        """Hear of a source that starts."""
        ...


_listeners: ContextVar[tuple[ref[Listener], ...]] = ContextVar("rxllm.listeners", default=())


@contextmanager
def listening(who: Listener) -> Generator[None]:
    """Let somebody hear of the sources that are subscribed to within."""
    token = _listeners.set((*_listeners.get(), ref(who)))
    try:
        yield
    finally:
        _listeners.reset(token)


def announce(flow: FlowControl) -> None:
    """Tell of a source that starts.

    One that starts within an emission is below whoever listens, or has a say of its own: that of ``flat_map``.
    """
    listeners = _listeners.get()
    if listeners and current() is None:
        for each in listeners:
            who = each()
            if who is not None:
                who.on_source(flow)
