"""One run of an operator in virtual time, and what every run has to leave: nothing.

A law is broken by ``fail``: the first line of the message names the law and says what happened.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from reactivex import Observable

from rxllm.testing._laws._players import Consumer, PlannedError, Source
from rxllm.testing._leaks import LeakError, leak_check
from rxllm.testing._recordings import Completed, Event, Failed, Item, Letters
from rxllm.testing._virtual_time import VirtualTimeError, VirtualTimeLoop, run_virtual, running

__all__ = ["Operator", "Run", "expect", "fail"]

Operator = Callable[[Observable[Any]], Observable[Any]]


def fail(law: str, what: str, *details: object) -> NoReturn:
    """Say that a law is broken."""
    raise AssertionError("\n".join([f"{law}: {what}", *(f"  {detail}" for detail in details)]))


class Run:
    """What happened in a run.

    Args:
        make: Makes the operator.
        source: What it is fed by.
        consumer: Who takes its items.
        when: In words, at what point the consumer leaves; it does when it has ended, unless ``then`` leaves earlier.
        above: Operators between the source and the operator.
        below: Operators between the operator and the consumer.
        then: What is done after it was subscribed to.

    Raises:
        AssertionError: Something is left: see the laws "dispose" and "pause released".

    Attributes:
        source: The same.
        consumer: The same.
        unhandled: The exceptions that nobody caught: they reached the event loop.
    """

    def __init__(
        self,
        make: Callable[[], Operator],
        source: Source,
        consumer: Consumer,
        *,
        when: str = "after the end",
        above: Sequence[Operator] = (),
        below: Sequence[Operator] = (),
        then: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.source = source
        self.consumer = consumer
        self.unhandled: list[BaseException] = []

        def build(result: Observable[Any]) -> Observable[Any]:
            for operator in (*above, make(), *below):
                result = operator(result)
            return result

        try:
            run_virtual(self._play(build, then, when))
        except LeakError as error:
            fail("dispose", f"{when} something is {error}", source)
        except VirtualTimeError as error:
            if running():
                raise
            fail("end", f"the stream goes on without end: {error}", source)
        if unexpected := [error for error in self.unhandled if not isinstance(error, PlannedError)]:
            message = f"the event loop got an exception that nobody caught: {unexpected[0]!r}"
            raise AssertionError(f"exceptions: {message}\n  {source}") from unexpected[0]
        if holders := source.release():
            fail("pause released", f"{when} {holders[0]!r} still holds a pause on the source", source)

    async def _play(
        self,
        build: Operator,
        then: Callable[[], Awaitable[object]] | None,
        when: str,
    ) -> None:
        loop = cast("VirtualTimeLoop", asyncio.get_running_loop())
        loop.set_exception_handler(lambda _, context: self.unhandled.append(_exception_of(context)))
        threads = set(threading.enumerate())
        async with leak_check(pauses=False):
            result = build(self.source.stream)
            if self.source.deliveries:
                fail("subscriptions", "it subscribed to its source before anybody subscribed to the result")
            self.consumer.subscribe(result)
            if then is not None:
                await then()
            await self.consumer.wait()
            # Twice is once.
            self.consumer.dispose()
            self.consumer.dispose()
            if not self.source.over:
                fail("dispose", f"{when} the source was not left", self.source)
            if not threads.issuperset(threading.enumerate()):
                await loop.wait_idle()  # a thread works in real time: what waits for it gets that

    def caught_by_somebody(self, error: Exception) -> bool:
        """Whether an exception of the consumer reached the caller or the event loop."""
        if not self._is_known(error):
            # A task that ended with it tells the loop when it is freed; the traceback keeps it.
            error.__traceback__ = None
            gc.collect()
        return self._is_known(error)

    def _is_known(self, error: Exception) -> bool:
        by_callers = [raised for delivery in self.source.deliveries for raised in delivery.raised]
        return error in (*by_callers, *self.unhandled)


def _exception_of(context: Mapping[str, Any]) -> BaseException:
    """What a loop tells its exception handler."""
    return context.get("exception") or RuntimeError(context["message"])


def expect(law: str, what: str, run: Run, items: Sequence[Any], end: Exception | None) -> None:
    """Fail unless a consumer got these items and this end."""
    consumer = run.consumer
    if not consumer.ends:
        fail(law, f"{what}, no end came", run.source, *_diagrams(items, [end], consumer))
    if consumer.items != [*items]:
        fail(law, f"{what}, other items came", run.source, *_diagrams(items, [end], consumer))
    if not _same_end(consumer.ends[0], end):
        fail(law, f"{what}, it ended otherwise", run.source, *_diagrams(items, [end], consumer))


def _same_end(left: Exception | None, right: Exception | None) -> bool:
    return left is right or (type(left) is type(right) and str(left) == str(right))


def _diagrams(items: Sequence[Any], ends: Sequence[Exception | None], consumer: Consumer) -> list[str]:
    """What should have come above what came; a column for each event."""
    letters = Letters[Any]({})
    wanted, actual = _events(items, ends), _events(consumer.items, consumer.ends)
    rows = [f"expected  {letters.draw(wanted, 1)}", f"actual    {letters.draw(actual, 1)}"]
    errors = [event.error for event in (*wanted, *actual) if isinstance(event, Failed)]
    return [*rows, *letters.legend(letters.used), *(f"# {error!r}" for error in errors)]


def _events(items: Sequence[Any], ends: Sequence[Exception | None]) -> list[Event[Any]]:
    events: list[Event[Any]] = [Item(time, item) for time, item in enumerate(items)]
    return events + [Completed(len(items)) if error is None else Failed(len(items), error) for error in ends]
