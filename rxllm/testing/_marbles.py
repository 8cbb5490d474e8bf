"""Streams drawn as text, run in virtual time.

The names::

    marbles = Marbles(frame=0.01)                   a stage; a frame is 10 ms
    source = marbles.cold("-a-b-|", a=…, b=…)       flow-controlled, plays for each subscription
    source = marbles.hot("-a-^-b-|", …)             plain, plays once; nobody can be paused
    source = marbles.chunks("-H-i-(!|)")            text chunks, cold
    sink = marbles.sink(takes=3)                    what `tee_to` writes to, and what it stored
    recording = marbles.run(observable, subscribed="^--!", takes=2, pauses="--[--]")
    recording = marbles.subscribe(observable, …)    the same for several, and then marbles.play()
    await marbles.finish()                          the same in a test of asyncio, under ``run_virtual``
    marbles.scheduler                               for operators that want one
    assert_marbles(recording, "--x-y|", x=…)
    assert_subscriptions(source, "^----!")
    assert_pauses(source, "--[---]-")

Rules:

1. A cold source behaves as the sources of rxllm do: it owns a ``FlowControl``, current for each item; while somebody
   holds a pause it delivers nothing, and afterwards what became due, in order, the end last.
2. The subscriber of ``run`` is a consumer with a pace, if it is told to have one: it pauses whoever delivers to it
   while it works (``takes``), or at the times drawn (``pauses``).
3. Time zero is when the run begins. What is due at the same time happens in the order: disposals and the
   consumer's pauses, then in the order of subscription.
4. A run ends when nothing is left to happen. Whatever is subscribed then is disposed, and counts as never disposed in
   the diagrams. Tasks, timers and pauses that are left fail the run (``leak_check``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar, overload

from reactivex import Observable

from rxllm.models import StreamChunk
from rxllm.testing._chunks import text_chunk
from rxllm.testing._diagrams import DiagramError, microseconds
from rxllm.testing._events import events_of, meanings_of, windows_of
from rxllm.testing._leaks import leak_check
from rxllm.testing._marble_consumers import Consumer, MarbleSink
from rxllm.testing._marble_sources import ColdSource, HotSource, MarbleSource
from rxllm.testing._recordings import ExpectedError, Recording
from rxllm.testing._run_clock import Stage
from rxllm.testing._virtual_time import LIMIT, VirtualTimeScheduler, run_virtual, running

__all__ = ["MarbleSink", "MarbleSource", "Marbles"]

T = TypeVar("T")

FRAME = 0.01
"""Seconds a frame has unless told otherwise."""


class Marbles:
    """A stage for marble diagrams: sources that play them, and runs in virtual time.

    >>> from reactivex import operators
    >>> from rxllm.testing import Marbles, assert_marbles
    >>> marbles = Marbles()
    >>> source = marbles.cold("-a-b-|")
    >>> recording = marbles.run(source.pipe(operators.map(str.upper), operators.delay(0.02)))
    >>> print(recording)
    ---A-B-|
    >>> assert_marbles(recording, "---A-B-|")

    Args:
        frame: The seconds that one character of a diagram takes, a whole number of microseconds.
        limit: Seconds of virtual time after which a run counts as endless.

    Attributes:
        scheduler: The virtual scheduler, for operators that take one; ``run`` subscribes with it, too.
    """

    def __init__(self, *, frame: float = FRAME, limit: float = LIMIT) -> None:
        if microseconds(frame) < 1:
            raise ValueError(f"a frame takes at least a microsecond, not {frame} s")
        self.scheduler: VirtualTimeScheduler = VirtualTimeScheduler()
        self._stage = Stage(microseconds(frame))
        self._limit = limit
        self._hot: list[Callable[[], None]] = []
        self._starts: list[Callable[[], None]] = []
        self._consumers: list[Consumer[Any]] = []

    @overload
    def cold(
        self, diagram: str, /, *, error: ExpectedError | None = None, flow_controlled: bool = True
    ) -> MarbleSource[str]: ...

    @overload
    def cold(
        self,
        diagram: str,
        legend: Mapping[str, T],
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = True,
        **letters: T,
    ) -> MarbleSource[T]: ...

    @overload
    def cold(
        self,
        diagram: str,
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = True,
        **letters: T,
    ) -> MarbleSource[T]: ...

    def cold(
        self,
        diagram: str,
        legend: Mapping[str, Any] | None = None,
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = True,
        **letters: Any,
    ) -> MarbleSource[Any]:
        """A source that plays its diagram for each subscription, from its beginning.

        Args:
            diagram: The diagram, ``"--a-(b|)"`` for example.
            legend: What the letters mean; without one they stand for themselves.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            flow_controlled: Whether it can be paused.
            letters: More of the legend, as ``a="Hel"``.

        Raises:
            DiagramError: The diagram means nothing, or not with this legend.
        """
        events = events_of(diagram, self._stage.frame, meanings_of(legend, letters), error)
        return ColdSource(self._stage, events, flow_controlled=flow_controlled)

    @overload
    def hot(
        self, diagram: str, /, *, error: ExpectedError | None = None, flow_controlled: bool = False
    ) -> MarbleSource[str]: ...

    @overload
    def hot(
        self,
        diagram: str,
        legend: Mapping[str, T],
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = False,
        **letters: T,
    ) -> MarbleSource[T]: ...

    @overload
    def hot(
        self,
        diagram: str,
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = False,
        **letters: T,
    ) -> MarbleSource[T]: ...

    def hot(
        self,
        diagram: str,
        legend: Mapping[str, Any] | None = None,
        /,
        *,
        error: ExpectedError | None = None,
        flow_controlled: bool = False,
        **letters: Any,
    ) -> MarbleSource[Any]:
        """A source that plays its diagram once, to everyone who is subscribed at that time. Later subscribers only get
        the end.

        Args:
            diagram: The diagram. ``^`` is time zero; no subscriber sees what comes before it.
            legend: What the letters mean; without one they stand for themselves.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            flow_controlled: Whether it can be paused. A pause then holds for all subscribers.
            letters: More of the legend, as ``a="Hel"``.

        Raises:
            DiagramError: The diagram means nothing, or not with this legend.
        """
        events = events_of(diagram, self._stage.frame, meanings_of(legend, letters), error)
        source = HotSource(self._stage, events)
        self._begin(partial(source.play, flow_controlled=flow_controlled), self._hot)
        return source

    def chunks(
        self,
        diagram: str,
        legend: Mapping[str, str | StreamChunk] | None = None,
        /,
        *,
        error: ExpectedError | None = None,
        **letters: str | StreamChunk,
    ) -> MarbleSource[StreamChunk]:
        """A cold source of chunks: each letter is a chunk with that letter as text, or the text or chunk of the legend.

        Args:
            diagram: The diagram, ``"-H-i-(f|)"`` for example.
            legend: The letters that stand for another text or for a chunk, such as ``f=finish_chunk()``.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            letters: More of the legend.

        Raises:
            DiagramError: The diagram has a mistake.
        """
        meanings = meanings_of(legend, letters)
        items = {letter: meanings.get(letter, letter) for letter in diagram}
        chunks = {letter: text_chunk(item) if isinstance(item, str) else item for letter, item in items.items()}
        return self.cold(diagram, chunks, error=error)

    def sink(self, *, takes: float = 0) -> MarbleSink:
        """A sink for ``tee_to``, in the virtual time of these marbles.

        Args:
            takes: How many frames it takes to write a batch.
        """
        return MarbleSink(self._stage, takes)

    def subscribe(
        self, observable: Observable[T], *, subscribed: str = "^", takes: float = 0, pauses: str = ""
    ) -> Recording[T]:
        """Subscribe in the next run, or in the present one.

        Args:
            observable: What to subscribe to.
            subscribed: When to subscribe and to dispose, ``"--^---!"`` for example.
            takes: How many frames the consumer works on an item. It pauses the producer meanwhile.
            pauses: When the consumer takes nothing, ``"--[---]-"`` for example: it pauses every producer that it has
                seen, and those that deliver to it meanwhile.

        Returns:
            A recording that grows while the run goes on.

        Raises:
            DiagramError: A diagram means nothing.
        """
        frame = self._stage.frame
        windows = windows_of(subscribed, frame, "^", "!")
        if len(windows) != 1:
            raise DiagramError("one subscription has one ^", subscribed, 0)
        recording = Recording[T](frame)
        consumer = Consumer(self._stage, recording, takes)
        start = partial(consumer.start, observable, windows[0], windows_of(pauses, frame, "[", "]"), self.scheduler)
        self._consumers.append(consumer)
        self._begin(start, self._starts)
        return recording

    def run(
        self, observable: Observable[T], *, subscribed: str = "^", takes: float = 0, pauses: str = ""
    ) -> Recording[T]:
        """Subscribe, and play until nothing more can happen: ``subscribe`` and ``play`` in one call.

        Args:
            observable: What to subscribe to.
            subscribed: As for ``subscribe``.
            takes: As for ``subscribe``.
            pauses: As for ``subscribe``.

        Returns:
            The recording of the subscriber.

        Raises:
            DiagramError: A diagram means nothing.
            LeakError: Tasks, timers or pauses were left.
            VirtualTimeError: The run never ends.
            Exception: What a callback let escape.
        """
        recording = self.subscribe(observable, subscribed=subscribed, takes=takes, pauses=pauses)
        self.play()
        return recording

    def play(self) -> None:
        """Run the subscriptions until nothing more can happen.

        Raises:
            LeakError: Tasks, timers or pauses were left.
            VirtualTimeError: The run never ends; or an event loop already runs in this thread: ``await finish()``
                there.
            Exception: What a callback let escape.
        """
        run_virtual(self.finish(), limit=self._limit)

    async def finish(self) -> None:
        """Let the running virtual loop go on until nothing more can happen, then dispose the subscriptions.

        Raises:
            LeakError: Tasks, timers or pauses were left that began in here.
        """
        self._stage.over = False
        loop = self._stage.loop
        async with leak_check():
            # The subscribers first: they see what a hot source emits at time zero.
            for start in self._starts + self._hot:
                start()
            self._starts, self._hot = [], []
            await loop.wait_idle()
            self._stage.over = True
            for consumer in self._consumers:
                consumer.dispose()
            self._consumers = []
            await loop.wait_idle()

    def _begin(self, start: Callable[[], None], later: list[Callable[[], None]]) -> None:
        if running():
            start()
        else:
            later.append(start)
