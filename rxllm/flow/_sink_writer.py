"""The task that writes to a sink what waits in a backlog.

Rules:

1. The methods of a sink are called one at a time. What comes meanwhile waits, and is written together.
2. A sink gets what gathers in a turn of the loop.
3. The sink is told the end after everything is written, and only then does the end go on.
4. A sink that was cancelled is asked to store what is left, as all tasks are cancelled when a program ends.
5. A sink may break while nothing is written to it: its stream has a future ``broken``, which fails then.
6. Once the stream is left, a call of the sink that takes longer than ``PATIENCE_SECONDS`` is cancelled. Behind a
   ``write`` the sink is closed, behind the others the task ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from rxllm.exceptions import BufferOverflowError
from rxllm.flow._backlog import Backlog
from rxllm.flow._batches import nothing
from rxllm.flow._consumer import consumer
from rxllm.flow._control import outside_of_emissions
from rxllm.flow._stopping import stopping
from rxllm.flow._tasks import running_loop, start_task, wake
from rxllm.harmless import harmless
from rxllm.logs import logger
from rxllm.typing import Ending, Sink, SinkStream

T = TypeVar("T")

# How long a call of a sink may take when its stream has been left, or the program ends.
PATIENCE_SECONDS = 5.0

# The event loop itself keeps only weak references to tasks, and a writer outlives its subscription.
_writing: set[asyncio.Task[None]] = set()


class SinkWriter(Generic[T]):
    """Writes until the end.

    Args:
        sink: Where to.
        backlog: What waits.
        detach: Whether to go on without a sink that failed.
        leave: Leaves the source.
        end: Passes the end on.

    Attributes:
        ending: How the stream ended, once it has.
        detached: Whether nothing is written any more.
    """

    __slots__ = (
        *(
            "_backlog",
            "_broken",
            "_cancellations",
            "_context",
            "_detach",
            "_gave_up",
            "_leave",
            "_pass_on",
            "_patience",
        ),
        *("_sink", "_stream", "_task", "_thread", "_waiter", "detached", "ending", "loop"),
    )

    _stream: SinkStream[T]
    _task: asyncio.Task[None]

    def __init__(
        self,
        sink: Sink[T],
        backlog: Backlog[T],
        *,
        detach: bool,
        leave: Callable[[], None],
        end: Callable[[Ending], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = running_loop("tee_to")
        self.ending: Ending | None = None
        self.detached: bool = False
        self._backlog = backlog
        self._detach = detach
        self._leave = leave
        self._pass_on = end
        # Made for each wait: an asyncio.Event makes one, too, and does more besides.
        self._waiter: asyncio.Future[None] | None = None
        self._cancellations = 0
        self._patience: asyncio.TimerHandle | None = None
        self._gave_up = False
        self._broken: asyncio.Future[None] | None = None
        self._thread = threading.get_ident()
        self._sink = sink
        # The sink is no part of the emission in which somebody subscribed.
        self._context = outside_of_emissions()

    def start(self) -> None:
        """Begin, after the source has: a request is not to wait for a sink to open."""
        self._task = start_task(self.loop, self._run(), self._context)
        _writing.add(self._task)
        self._task.add_done_callback(_writing.discard, context=self._context)
        if (who := consumer()) is not None:
            who.outlives(self._task)

    def wake(self) -> None:
        """Write what waits, in a turn of the task; from any thread."""
        if threading.get_ident() != self._thread:
            # Only in its own thread is it certain whether the task waits: it may be just about to.
            self.loop.call_soon_threadsafe(self.wake)
            return
        waiter, self._waiter = self._waiter, None
        if waiter is not None:  # else it comes to that by itself
            wake(waiter)

    def _wake_broken(self, _: asyncio.Future[None]) -> None:
        self.wake()

    def end(self, ending: Ending) -> None:
        """Write nothing that comes later; the first end counts."""
        if self.ending is None:
            self.ending = ending
            self.wake()

    def cancel(self) -> None:
        """Leave the source, and write what came until now."""
        if self._pass_on is nothing:
            return  # everything is written, and whoever is told of that leaves
        self._leave()
        self._backlog.release()
        self.end(Ending("stopped" if stopping() else "cancelled"))
        self._be_patient()

    def _be_patient(self) -> None:
        """Give the sink its time, from now on."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(PATIENCE_SECONDS, self._give_up, context=self._context)

    def _go_on_being_patient(self) -> None:
        """Give the next call its time, if time is counted."""
        if self._patience is not None:
            self._be_patient()

    def _give_up(self) -> None:
        logger.warning("a sink took more than {:g} s when its stream had been left: cancelled", PATIENCE_SECONDS)
        self._gave_up = True
        self._task.cancel()

    async def _run(self) -> None:
        """Write until the end, and pass the end on."""
        try:
            failure = await self._write_all()
            if failure is not None:
                await self._settle(failure)
        except asyncio.CancelledError:
            # Before the sink was done: whoever waits has to learn of it.
            self.ending = Ending("cancelled")
            raise
        finally:
            if self._patience is not None:
                self._patience.cancel()
            if self._broken is not None:
                self._broken.remove_done_callback(self._wake_broken)
            self.detached = True
            self._backlog.clear()
            pass_on, self._pass_on, self._leave = self._pass_on, nothing, nothing
            pass_on(self.ending or Ending("cancelled"))

    async def _settle(self, failure: Exception) -> None:
        """The sink failed: go on without it, or fail; what the stream itself failed with has precedence."""
        self.detached = True
        if self._detach or (self.ending is not None and self.ending.kind in {"cancelled", "stopped"}):
            self._backlog.clear()
            logger.warning("a sink failed and is detached: {}", type(failure).__name__)
            while self.ending is None:
                await self._item_or_end()
        elif self.ending is not None and self.ending.error is not None:
            self.ending.error.add_note(harmless(f"a sink failed, too: {failure!r}"))
        else:
            # Before the pause ends: what waits above for that is delivered in the same moment.
            self._leave()
            self.ending = Ending("failed", failure)

    async def _write_all(self) -> Exception | None:
        """Store everything; what the sink failed with is returned."""
        try:
            self._stream = await self._sink.open()
        except Exception as error:  # decided upon by on_error
            return error
        self._broken = getattr(self._stream, "broken", None)
        if self._broken is not None:
            self._broken.add_done_callback(self._wake_broken)
        failure: Exception | None = None
        try:
            await self._write_batches()
        except Exception as error:  # decided upon by on_error
            failure = error
            if not self._detach:
                self._leave()  # before the sink takes its time to close
        self._go_on_being_patient()
        try:
            await self._stream.close(self._ending_for_the_sink(failure))
        except Exception as error:  # decided upon by on_error
            failure = failure or error
        return failure

    def _ending_for_the_sink(self, failure: Exception | None) -> Ending:
        """How the stream ended, seen from the sink: one that did not get every item never had the whole of it."""
        if self._gave_up:
            return Ending("cancelled")
        if self._backlog.dropped and self.ending == Ending("completed"):
            dropped = self._backlog.dropped
            return Ending("failed", BufferOverflowError(f"{dropped} items were dropped", size=self._backlog.size))
        return self.ending or Ending("failed", failure)

    async def _write_batches(self) -> None:
        while self._backlog.items or self.ending is None:
            if self._broken is not None and self._broken.done():
                self._broken.result()
            if not self._backlog.items:
                await self._item_or_end()
                continue
            try:
                await self._stream.write(self._backlog.take_all())
            except asyncio.CancelledError:
                if self._gave_up:
                    self._task.uncancel()
                    return
                if not self._program_ends():
                    raise RuntimeError("the sink was cancelled by somebody else") from None
            else:
                self._program_ends()  # and the sink has finished its batch all the same
            self._go_on_being_patient()
            self._backlog.out = 0
            self._backlog.relax()

    async def _item_or_end(self) -> None:
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            self._program_ends()
        finally:
            self._waiter = None

    def _program_ends(self) -> bool:
        """Whether this task has been cancelled, as all are when a program ends.

        What came until now is stored before this task ends, too; but a sink that hangs must not keep the program.
        """
        cancellations = self._task.cancelling()
        if cancellations == self._cancellations:
            return False
        self._cancellations = cancellations
        if cancellations > 1:
            raise asyncio.CancelledError
        self.cancel()
        return True
