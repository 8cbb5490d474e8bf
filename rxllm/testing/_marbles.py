"""Streams drawn as text, run in virtual time.

The names::

    marbles = Marbles(frame=0.01)                   a stage; a frame is 10 ms
    source = marbles.cold("-a-b-|", a=…, b=…)       flow-controlled, plays for each subscription
    source = marbles.hot("-a-^-b-|", …)             plain, plays once; nobody can be paused
    source = marbles.chunks("-H-i-(!|)")            text chunks, cold
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

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, overload

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.subject import Subject

from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.testing._chunks import text_chunk
from rxllm.testing._diagrams import DiagramError, microseconds
from rxllm.testing._leaks import leak_check
from rxllm.testing._recordings import (
    Completed,
    Event,
    ExpectedError,
    Failed,
    Hold,
    Item,
    Recording,
    Window,
    events_of,
    meanings_of,
    windows_of,
)
from rxllm.testing._virtual_time import (
    LIMIT,
    VirtualTimeError,
    VirtualTimeLoop,
    VirtualTimeScheduler,
    run_virtual,
    running,
)

__all__ = ["MarbleSource", "Marbles"]

T = TypeVar("T")

FRAME = 0.01
"""Seconds a frame has unless told otherwise."""


class _Stage:
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


class _WatchedFlow(FlowControl):
    """A flow control that notes its pauses in the lists of its source."""

    __slots__ = ("_holds", "_pauses", "_stage")

    def __init__(self, stage: _Stage, pauses: list[Window], holds: list[Hold]) -> None:
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

    def _release(self, holder: object, serial: int) -> None:
        if self._holders.get(holder) == serial:
            self._stage.close(next(hold for hold in reversed(self._holds) if hold.holder is holder))
        super()._release(holder, serial)


class _Player(Generic[T]):
    """Plays events to an observer, and holds back what is due while the flow is paused."""

    def __init__(self, stage: _Stage, observer: abc.ObserverBase[T], flow: FlowControl | None) -> None:
        self._stage = stage
        self._observer = observer
        self._flow = flow
        self._due: deque[Event[T]] = deque()
        self._delivering = False
        self._handles: list[asyncio.Handle] = []
        self._withdraw: Callable[[], None] | None = None

    def start(self, events: Sequence[Event[T]]) -> None:
        now = self._stage.now
        # What lies before time zero nobody can have seen.
        self._handles = [
            self._stage.at(now + event.time, partial(self._play, event)) for event in events if event.time >= 0
        ]

    def stop(self) -> None:
        for handle in self._handles:
            handle.cancel()
        self._due.clear()
        if self._withdraw is not None:
            self._withdraw()

    def _play(self, event: Event[T]) -> None:
        self._due.append(event)
        if self._withdraw is None and not self._delivering:
            self._drain()

    def _drain(self) -> None:
        self._withdraw = None
        self._delivering = True
        try:
            while self._due:
                if self._flow is not None and self._flow.paused:
                    self._withdraw = self._flow.when_resumed(self._resumed)
                    break
                self._deliver(self._due.popleft())
        finally:
            self._delivering = False

    def _resumed(self) -> None:
        # A turn of its own, as a task that waits for the resume would have.
        self._handles.append(self._stage.soon(self._drain))

    def _deliver(self, event: Event[T]) -> None:
        if isinstance(event, Completed):
            self._observer.on_completed()
        elif isinstance(event, Failed):
            self._observer.on_error(event.error() if isinstance(event.error, type) else event.error)
        elif self._flow is None:
            self._observer.on_next(event.value)
        else:
            self._flow.deliver(self._observer.on_next, event.value)


class MarbleSource(Observable[T]):
    """A source that plays a diagram, and notes what is done to it.

    Attributes:
        frame: Microseconds a frame.
        subscriptions: When it was subscribed to.
        pauses: When it was paused, by whomever.
        holds: Who held it paused, and when; several may at the same time.
    """

    def __init__(self, stage: _Stage, events: Sequence[Event[T]]) -> None:
        super().__init__()
        self.frame = stage.frame
        self.subscriptions: list[Window] = []
        self.pauses: list[Window] = []
        self.holds: list[Hold] = []
        self._stage = stage
        self._events = events

    def _flow(self, *, flow_controlled: bool) -> FlowControl | None:
        return _WatchedFlow(self._stage, self.pauses, self.holds) if flow_controlled else None

    def _note_subscription(self, stop: Callable[[], None]) -> abc.DisposableBase:
        window = Window(self._stage.now)
        self.subscriptions.append(window)

        def dispose() -> None:
            self._stage.close(window)
            stop()

        return Disposable(dispose)


class _ColdSource(MarbleSource[T]):
    def __init__(self, stage: _Stage, events: Sequence[Event[T]], *, flow_controlled: bool) -> None:
        super().__init__(stage, events)
        self._flow_controlled = flow_controlled

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        del scheduler  # a source of the stage goes by the stage's time
        player = _Player(self._stage, observer, self._flow(flow_controlled=self._flow_controlled))
        subscription = self._note_subscription(player.stop)
        player.start(self._events)
        return subscription


class _HotSource(MarbleSource[T]):
    def __init__(self, stage: _Stage, events: Sequence[Event[T]]) -> None:
        super().__init__(stage, events)
        self._audience = Subject[T]()

    def play(self, *, flow_controlled: bool) -> None:
        _Player(self._stage, self._audience, self._flow(flow_controlled=flow_controlled)).start(self._events)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        subscription = SingleAssignmentDisposable()
        noted = self._note_subscription(subscription.dispose)
        subscription.disposable = self._audience.subscribe(observer, scheduler=scheduler)
        return noted


class _Consumer(abc.ObserverBase[T]):
    """The subscriber of a run: notes what it gets, and pauses whoever delivers when that is more than it takes."""

    def __init__(self, stage: _Stage, recording: Recording[T], takes: float) -> None:
        self._stage = stage
        self._recording = recording
        self._work = round(takes * stage.frame)
        self._waiting = 0
        self._reasons: set[str] = set()
        self._flows: dict[FlowControl, None] = {}
        self._handles: list[asyncio.Handle] = []
        self._subscription = SingleAssignmentDisposable()

    def __repr__(self) -> str:
        return "the consumer of the run"

    def start(
        self, observable: Observable[T], subscribed: Window, pauses: Sequence[Window], scheduler: abc.SchedulerBase
    ) -> None:
        self._at(subscribed.end, self.dispose)
        for pause in pauses:
            self._at(pause.start, partial(self._stop_taking, "window"))
            self._at(pause.end, partial(self._take_again, "window"))

        def subscribe() -> None:
            self._subscription.disposable = observable.subscribe(self, scheduler=scheduler)

        self._at(subscribed.start, subscribe)

    def on_next(self, value: T) -> None:
        self._recording.events.append(Item(self._stage.now, value))
        flow = FlowControl.current()
        if flow is not None:
            self._flows[flow] = None
            if self._reasons:
                flow.pause(self)
        if self._work:
            self._waiting += 1
            if self._waiting == 1:
                self._begin_work()

    def on_error(self, error: Exception) -> None:
        self._recording.events.append(Failed(self._stage.now, error))
        self.dispose()

    def on_completed(self) -> None:
        self._recording.events.append(Completed(self._stage.now))
        self.dispose()

    def dispose(self) -> None:
        """Dispose the subscription; nothing that was due for it happens any more."""
        self._subscription.dispose()
        for handle in self._handles:
            handle.cancel()
        self._reasons.clear()
        self._resume()

    def _at(self, time: int | None, call: Callable[[], None]) -> None:
        if time is not None:
            self._handles.append(self._stage.at(time, call))

    def _begin_work(self) -> None:
        self._stop_taking("work")
        self._at(self._stage.now + self._work, self._end_work)

    def _end_work(self) -> None:
        self._waiting -= 1
        if self._waiting:
            self._begin_work()
        else:
            self._take_again("work")

    def _stop_taking(self, reason: str) -> None:
        self._reasons.add(reason)
        for flow in tuple(self._flows):
            flow.pause(self)

    def _take_again(self, reason: str) -> None:
        self._reasons.discard(reason)
        self._resume()

    def _resume(self) -> None:
        for flow in tuple(self._flows):
            # An operator may emit at once when it is resumed, and there is work again.
            if not self._reasons:
                flow.resume(self)


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
        frame: Seconds that one character of a diagram takes; whole microseconds.
        limit: Seconds of virtual time after which a run counts as endless.

    Attributes:
        scheduler: The virtual scheduler, for operators that take one; ``run`` subscribes with it, too.
    """

    def __init__(self, *, frame: float = FRAME, limit: float = LIMIT) -> None:
        if microseconds(frame) < 1:
            raise ValueError(f"a frame takes at least a microsecond, not {frame} s")
        self.scheduler = VirtualTimeScheduler()
        self._stage = _Stage(microseconds(frame))
        self._limit = limit
        self._hot: list[Callable[[], None]] = []
        self._starts: list[Callable[[], None]] = []
        self._consumers: list[_Consumer[Any]] = []

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
            diagram: What it emits, as ``"--a-(b|)"``.
            legend: What the letters mean; without one they stand for themselves.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            flow_controlled: Whether it can be paused.
            letters: More of the legend, as ``a="Hel"``.

        Raises:
            DiagramError: The diagram means nothing, or not with this legend.
        """
        events = events_of(diagram, self._stage.frame, meanings_of(legend, letters), error)
        return _ColdSource(self._stage, events, flow_controlled=flow_controlled)

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
        """A source that plays its diagram once, to whoever is subscribed then; the end it tells those who come later.

        Args:
            diagram: What it emits; ``^`` is time zero, and what stands before it nobody sees.
            legend: What the letters mean; without one they stand for themselves.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            flow_controlled: Whether it can be paused; then it is one producer for all of its subscribers.
            letters: More of the legend, as ``a="Hel"``.

        Raises:
            DiagramError: The diagram means nothing, or not with this legend.
        """
        events = events_of(diagram, self._stage.frame, meanings_of(legend, letters), error)
        source = _HotSource(self._stage, events)
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
        """A cold source of chunks: each letter is a text delta, of itself, of a text, or is a chunk given.

        Args:
            diagram: What it emits, as ``"-H-i-(f|)"``.
            legend: What letters mean that are not the text themselves, as ``f=finish_chunk()``.
            error: What ``#`` means: an error, or the type of one that is made without arguments.
            letters: More of the legend.

        Raises:
            DiagramError: The diagram means nothing.
        """
        meanings = meanings_of(legend, letters)
        items = {letter: meanings.get(letter, letter) for letter in diagram}
        chunks = {letter: text_chunk(item) if isinstance(item, str) else item for letter, item in items.items()}
        return self.cold(diagram, chunks, error=error)

    def subscribe(
        self, observable: Observable[T], *, subscribed: str = "^", takes: float = 0, pauses: str = ""
    ) -> Recording[T]:
        """Subscribe in the run to come, or in the one that is under way.

        Args:
            observable: What to subscribe to.
            subscribed: When to subscribe and to dispose, as ``"--^---!"``.
            takes: Frames that the consumer works on an item, during which it pauses the producer.
            pauses: When the consumer takes nothing, as ``"--[---]-"``: it pauses every producer that it has seen,
                and those that deliver to it meanwhile.

        Returns:
            What it gets, as it gets it.

        Raises:
            DiagramError: A diagram means nothing.
        """
        frame = self._stage.frame
        windows = windows_of(subscribed, frame, "^", "!")
        if len(windows) != 1:
            raise DiagramError("one subscription has one ^", subscribed, 0)
        recording = Recording[T](frame)
        consumer = _Consumer(self._stage, recording, takes)
        start = partial(consumer.start, observable, windows[0], windows_of(pauses, frame, "[", "]"), self.scheduler)
        self._consumers.append(consumer)
        self._begin(start, self._starts)
        return recording

    def run(
        self, observable: Observable[T], *, subscribed: str = "^", takes: float = 0, pauses: str = ""
    ) -> Recording[T]:
        """Subscribe, and play until nothing is left to happen: ``subscribe`` and ``play`` in one.

        Args:
            observable: What to subscribe to.
            subscribed: As for ``subscribe``.
            takes: As for ``subscribe``.
            pauses: As for ``subscribe``.

        Returns:
            What the subscriber got.

        Raises:
            DiagramError: A diagram means nothing.
            LeakError: Tasks, timers or pauses were left.
            VirtualTimeError: It never ends.
            Exception: What a callback let escape.
        """
        recording = self.subscribe(observable, subscribed=subscribed, takes=takes, pauses=pauses)
        self.play()
        return recording

    def play(self) -> None:
        """Run what was subscribed, until nothing is left to happen.

        Raises:
            LeakError: Tasks, timers or pauses were left.
            VirtualTimeError: It never ends, or an event loop runs already: ``await finish()`` there.
            Exception: What a callback let escape.
        """
        run_virtual(self.finish(), limit=self._limit)

    async def finish(self) -> None:
        """Let the running virtual loop go on until nothing is left to happen, then dispose what is subscribed.

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
