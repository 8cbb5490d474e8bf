"""The types that pipelines are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from reactivex import Observable

__all__ = ["Ending", "OperatorFunction", "Overflow", "Sink", "SinkStream"]

A = TypeVar("A")
B = TypeVar("B")
A_contra = TypeVar("A_contra", contravariant=True)

OperatorFunction: TypeAlias = Callable[[Observable[A]], Observable[B]]
"""What ``pipe`` takes: a function from one observable to another."""

Overflow: TypeAlias = Literal["pause", "conflate", "drop_oldest", "drop_newest", "error"]
"""What a full buffer does: see ``operators.buffer_with_backpressure``."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a stream ended.

    Attributes:
        kind: ``"completed"``, ``"failed"``, ``"stopped"`` by ``operators.stop_when``, or ``"cancelled"`` when the
            consumer left first.
        error: What it failed with.
    """

    kind: Literal["completed", "failed", "stopped", "cancelled"]
    error: Exception | None = None


class SinkStream(Protocol[A_contra]):
    """One stream being stored. Its methods are called one at a time, in order.

    It may have an attribute ``broken``, an ``asyncio.Future`` that fails when nothing more can be written. Then the
    source is left at once, and not when the next item comes.
    """

    async def write(self, items: Sequence[A_contra], /) -> None:
        """Store a batch of items, in order; returning means that it was taken.

        Its first step may be taken within the emission that brought the items.

        When the program ends while this runs, or it takes more than 5 s after the stream was left, it is cancelled. A
        sink that must not lose the batch finishes it before it raises ``CancelledError``, or does not raise; the stores
        of ``rxllm.sinks`` do so.
        """

    async def close(self, ending: Ending, /) -> None:
        """Mark the end and make everything durable; called exactly once, whatever happened before."""


class Sink(Protocol[A_contra]):
    """Where ``operators.tee_to`` puts a copy of each item: a store, a display, a queue.

    One sink takes many streams at once.
    """

    async def open(self) -> SinkStream[A_contra]:
        """Begin a stream; called once a subscription, before the first item."""
        ...
