"""The time that all sources and consumers of a run go by, in microseconds."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

from rxllm.flow import FlowControl
from rxllm.testing._diagrams import microseconds
from rxllm.testing._recordings import Hold, Window
from rxllm.testing._virtual_time import VirtualTimeError, VirtualTimeLoop

__all__ = ["Stage", "WatchedFlow"]


class Stage:
    """The time of a run: what all of its sources and consumers go by."""

    def __init__(self, frame: int) -> None:
        self.frame = frame
        self.over = False
        self._loop: VirtualTimeLoop | None = None
        self._zero = 0.0

    @property
    def loop(self) -> VirtualTimeLoop:
        """The running loop; the first look at it in a run is time zero."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualTimeLoop):
            raise VirtualTimeError("marbles play in virtual time only: use Marbles.run, run_virtual or virtual_time")
        if loop is not self._loop:
            self._loop = loop
            self._zero = loop.time()
        return loop

    @property
    def now(self) -> int:
        """Microseconds since time zero."""
        return microseconds(self.loop.time() - self._zero)

    def close(self, window: Window) -> None:
        """End a window, unless it lasted until the run was over."""
        if not self.over and window.end is None:
            window.end = self.now

    def at(self, time: int, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call at a time, in microseconds, outside of any emission."""
        context = contextvars.copy_context()
        context.run(FlowControl.leave)
        loop = self.loop
        return loop.call_at(self._zero + time / 1_000_000, call, context=context)

    def soon(self, call: Callable[[], None]) -> asyncio.Handle:
        """Call in the next turn of the loop, outside of any emission."""
        context = contextvars.copy_context()
        context.run(FlowControl.leave)
        return self.loop.call_soon(call, context=context)


class WatchedFlow(FlowControl):
    """A flow control that notes its pauses in the lists of its source."""

    __slots__ = ("_holds", "_pauses", "_stage")

    def __init__(self, stage: Stage, pauses: list[Window], holds: list[Hold]) -> None:
        super().__init__(clock=stage.loop.time)
        self._stage = stage
        self._pauses = pauses
        self._holds = holds

    def pause(self, holder: object) -> None:
        begins = not self.paused
        if holder not in self._holders:
            self._holds.append(Hold(self._stage.now, holder=holder))
        super().pause(holder)
        if begins:
            window = Window(self._stage.now)
            self._pauses.append(window)
            # The first to be called back: another callback may make the producer emit, and pause it again.
            self.when_resumed(lambda: self._stage.close(window))

    def _release(self, holder: object, held: tuple[int, float]) -> None:
        if self._holders.get(holder) == held:
            self._stage.close(next(hold for hold in reversed(self._holds) if hold.holder is holder))
        super()._release(holder, held)
