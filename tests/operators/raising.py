"""What the law of exceptions needs: pipelines that raise, and whoever consumes them.

Each run puts one operator between a source and a consumer, and raises at one place:

- *source*: in the task of the source. *above*: in a mapper above the operator. *above, on_next*: in the ``on_next`` of
  a careless operator of the user's above it.
- *inside*: in a callback that the operator takes.
- *below*: in a mapper below. *below, on_next* and *below, on_completed*: in a careless operator below, or in the
  callback of ``subscribe``. *sink, open*, *write* and *close*: in a sink below.

The loop is on a virtual clock, so that a pipeline that waits for ever is an error at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pydantic
import pytest
import reactivex
from reactivex import Observable, abc, compose
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import StructuredOutputError
from rxllm.testing import VirtualTimeError, VirtualTimeLoop, VirtualTimeScheduler, finish_chunk, tool_chunk
from rxllm.typing import Ending
from tests.operators.cases import CASES

Raise = Callable[..., Any]
"""Raises what is to be raised, whatever it is called with."""

Operator = Callable[[Observable[Any]], Observable[Any]]

CLASSES: tuple[type[BaseException], ...] = (
    *(ValueError, KeyError, StopIteration, StopAsyncIteration, asyncio.CancelledError, KeyboardInterrupt),
)


def same(item: Any = None) -> Any:
    return item


def first_of(left: Any, _: Any) -> Any:
    return left


def always(_: Any) -> bool:
    return True


def never(_: Any) -> bool:
    return False


async def others() -> AsyncIterator[int]:
    for number in range(8):
        yield number


def flattened(windows: Any) -> Any:
    return windows.pipe(rx_ops.merge_all())


# Without effect on most items. Those with a mapper are given one that may raise. None has ``reactivex.of`` above what
# raises: that takes a StopIteration for the end of its own iterable, and nobody learns of it.
REACTIVEX: dict[str, Callable[[Raise], Operator]] = {
    "map": rx_ops.map,
    "map_indexed": lambda f: rx_ops.map_indexed(lambda item, _: f(item)),
    "filter": lambda f: rx_ops.filter(lambda item: bool(f(item))),
    "scan": lambda f: rx_ops.scan(lambda _, item: f(item), 0),
    "reduce": lambda f: rx_ops.reduce(lambda _, item: f(item), 0),
    "flat_map": lambda f: rx_ops.flat_map(lambda item: reactivex.just(f(item))),
    "concat_map": lambda f: rx_ops.concat_map(lambda item: reactivex.just(f(item))),
    "switch_latest": lambda f: compose(
        rx_ops.map(lambda item: reactivex.just(f(item))), cast("Operator", rx_ops.switch_latest())
    ),
    "expand": lambda f: rx_ops.expand(lambda item: reactivex.just(f(item)).pipe(rx_ops.take(0))),
    "do_action": rx_ops.do_action,
    "take_while": lambda f: rx_ops.take_while(lambda item: f(item) is not None),
    "skip_while": lambda f: rx_ops.skip_while(lambda item: not f(item)),
    "distinct": rx_ops.distinct,
    "distinct_until_changed": rx_ops.distinct_until_changed,
    "group_by": lambda f: compose(rx_ops.group_by(f), flattened),
    "count": lambda f: rx_ops.count(lambda item: bool(f(item))),
    "sum": rx_ops.sum,
    "average": rx_ops.average,
    "last": lambda f: rx_ops.last(lambda item: bool(f(item))),
    "first": lambda f: rx_ops.first(lambda item: not (f(item) and item < 5)),
    "find": lambda f: rx_ops.find(lambda item, _, __: not (f(item) and item < 5)),
    "all": lambda f: rx_ops.all(lambda item: bool(f(item))),
    "some": lambda f: rx_ops.some(lambda item: not f(item)),
    "to_dict": rx_ops.to_dict,
    "max_by": rx_ops.max_by,
    "partition": lambda f: (
        lambda source: reactivex.merge(*source.pipe(rx_ops.share(), rx_ops.partition(lambda item: bool(f(item)))))
    ),
    "to_list": lambda _: rx_ops.to_list(),
    "pairwise": lambda _: rx_ops.pairwise(),
    "buffer_with_count": lambda _: rx_ops.buffer_with_count(2),
    "window_with_count": lambda _: compose(rx_ops.window_with_count(2), flattened),
    "take": lambda _: rx_ops.take(4),
    "take_last": lambda _: rx_ops.take_last(2),
    "skip": lambda _: rx_ops.skip(1),
    "start_with": lambda _: rx_ops.start_with(0),
    "default_if_empty": lambda _: rx_ops.default_if_empty(0),
    "share": lambda _: rx_ops.share(),
    "publish and ref_count": lambda _: lambda source: rx_ops.ref_count()(rx_ops.publish()(source)),
    "merge": lambda _: rx_ops.merge(reactivex.of(7)),
    "concat": lambda _: rx_ops.concat(reactivex.of(7)),
    "zip": lambda _: lambda source: reactivex.zip(source, rxllm.from_async_iterable(others)),
    "finally_action": lambda _: rx_ops.finally_action(lambda: None),
    "retry once": lambda _: rx_ops.retry(1),
    "timestamp": lambda _: rx_ops.timestamp(),
}


@dataclass
class Shape:
    """An operator, and what it is fed with.

    Attributes:
        make: Makes it; the argument is what its callback calls.
        items: What it is fed with.
        inside: Whether it takes a callback.
    """

    make: Callable[[Raise], Operator]
    items: Sequence[Any] = (1, 2, 3, 4, 5, 6)
    inside: bool = False


@dataclass
class Failing:
    """A sink that raises in one of its methods."""

    where: str
    fail: Raise

    async def open(self) -> Failing:
        return self._step("open")

    async def write(self, _: Sequence[Any], /) -> None:
        self._step("write")

    async def close(self, _: Ending, /) -> None:
        self._step("close")

    def _step(self, name: str) -> Failing:
        if name == self.where:
            self.fail()
        return self


class Screen:
    """A text file whose writing calls something."""

    encoding = "utf-8"

    def __init__(self, fail: Raise) -> None:
        self._fail = fail

    def write(self, text: str) -> int:
        self._fail(text)
        return len(text)

    def flush(self) -> None: ...


def awaited(fail: Raise) -> Callable[[Any], Any]:
    async def mapper(item: Any) -> Any:
        return fail(item)

    return mapper


def tools_with(fail: Raise) -> rxllm.ToolRegistry:
    def shout(text: str) -> str:
        return str(fail(text))

    return rxllm.ToolRegistry([shout])


def model_with(fail: Raise) -> type[pydantic.BaseModel]:
    class Counted(pydantic.BaseModel):
        prompt_tokens: int = 0

        @pydantic.model_validator(mode="before")
        @classmethod
        def look(cls, value: Any) -> Any:
            return fail(value)

    return Counted


def told(fail: Raise) -> dict[str, Any]:
    return {"on_repair": fail}


ODD_CALLS = [
    tool_chunk('{"a":', id="1", name="f", index=None),
    tool_chunk("1}", index=None),
    finish_chunk("tool_calls"),
]

# Operators of ours that take a callback, with that.
INSIDE: dict[str, Shape] = {
    "accumulate(on_repair)": Shape(lambda f: ops.accumulate(**told(f)), ODD_CALLS),
    "accumulate_snapshots(on_repair)": Shape(lambda f: ops.accumulate_snapshots(**told(f)), ODD_CALLS),
    "accumulate_tool_calls(on_repair)": Shape(lambda f: ops.accumulate_tool_calls(**told(f)), ODD_CALLS),
    "map_async(mapper)": Shape(lambda f: ops.map_async(awaited(f))),
    "map_async(mapper, one at a time)": Shape(lambda f: ops.map_async(awaited(f), max_concurrency=1)),
    "run_tools(tool)": Shape(
        lambda f: ops.run_tools(tools_with(f), on_error="raise"), [*CASES["run_tools"].letters.values()]
    ),
    "parse_structured(model)": Shape(
        lambda f: ops.parse_structured(model_with(f)), [*CASES["parse_structured"].letters.values()]
    ),
    "tee_to_display(out)": Shape(
        lambda f: ops.tee_to_display(cast("Any", Screen(f)), on_error="raise"),
        [*CASES["tee_to_display"].letters.values()],
    ),
    **{
        f"tee_to(sink, {where})": Shape(lambda f, where=where: ops.tee_to(Failing(where, f)))  # type: ignore[misc]
        for where in ("open", "write", "close")
    },
}

SHAPES: dict[str, Shape] = {
    **{
        name: Shape(lambda _, case=case: case.operator(), [*case.letters.values()])  # type: ignore[misc]
        for name, case in CASES.items()
    },
    **{name: Shape(shape.make, shape.items, inside=True) for name, shape in INSIDE.items()},
    **{
        f"rx.{name}": Shape(make, inside=list(REACTIVEX).index(name) < list(REACTIVEX).index("to_list"))
        for name, make in REACTIVEX.items()
    },
}


# Raising


@dataclass
class Run:
    """One run.

    Attributes:
        error: What is raised.
        items: What the source delivers.
        times: How often it was raised.
        left: Whether the source has ended, or was left.
        heard: What came to the exception handler of the loop.
    """

    error: BaseException
    items: Sequence[Any]
    times: int = 0
    left: bool = True
    heard: list[BaseException] = field(default_factory=list[BaseException])

    def fail(self, *_: Any) -> Any:
        """Raise it."""
        self.times += 1
        raise self.error

    async def numbers(self, *, fails: bool = False) -> AsyncIterator[Any]:
        self.left = False
        try:
            for number, item in enumerate(self.items):
                if fails and number == 1:
                    self.fail()
                yield item
                await asyncio.sleep(0)
        finally:
            self.left = True

    def source(self, *, fails: bool = False) -> rxllm.Stream[Any]:
        return rxllm.from_async_iterable(lambda: self.numbers(fails=fails))


def careless(fail: Raise) -> Operator:
    """An operator of the user's whose ``on_next`` raises."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            return source.subscribe(fail, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return operator


def careless_at_the_end(fail: Raise) -> Operator:
    """One whose ``on_completed`` raises."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> Any:
            return source.subscribe(observer.on_next, observer.on_error, fail, scheduler=scheduler)

        return Observable(subscribe)

    return operator


Build = Callable[[Run, Callable[[Raise], Operator]], Any]


def sink_at(where: str) -> Build:
    return lambda run, make: run.source().pipe(make(same), ops.tee_to(Failing(where, run.fail)))


PLACES: dict[str, Build] = {
    "source": lambda run, make: run.source(fails=True).pipe(make(same)),
    "above": lambda run, make: run.source().pipe(rx_ops.map(run.fail), make(same)),
    "above, on_next": lambda run, make: run.source().pipe(careless(run.fail), make(same)),
    "below": lambda run, make: run.source().pipe(make(same), rx_ops.map(run.fail)),
    "below, on_next": lambda run, make: run.source().pipe(make(same), careless(run.fail)),
    "below, on_completed": lambda run, make: run.source().pipe(make(same), careless_at_the_end(run.fail)),
    "sink, open": sink_at("open"),
    "sink, write": sink_at("write"),
    "sink, close": sink_at("close"),
}
INSIDE_ONLY: dict[str, Build] = {"inside": lambda run, make: run.source().pipe(make(run.fail))}
CALLBACKS: dict[str, Callable[[Raise], dict[str, Any]]] = {
    "below, on_next": lambda fail: {"on_next": fail},
    "below, on_completed": lambda fail: {"on_completed": fail},
}


# Consumers: each raises what the pipeline fails with, as far as it can


async def settled(run: Run) -> None:
    """Give a source that was left the turns that it needs to be gone."""
    for _ in range(20):
        if run.left:
            break
        await asyncio.sleep(0)


async def by_await(run: Run, stream: Any) -> None:
    try:
        await stream
    finally:
        await settled(run)


async def by_async_for(run: Run, stream: Any) -> None:
    try:
        async for _ in rxllm.iterate(stream):
            pass
    finally:
        await settled(run)


async def by_subscribe(run: Run, stream: Any, **callbacks: Any) -> None:
    stream.subscribe(**callbacks, scheduler=VirtualTimeScheduler())
    await cast("VirtualTimeLoop", asyncio.get_running_loop()).wait_idle()
    await settled(run)


class Loop(VirtualTimeLoop):
    """A loop that keeps what its exception handler hears."""

    def __init__(self, heard: list[BaseException]) -> None:
        super().__init__(limit=60, turns=10_000)
        self.set_exception_handler(
            lambda _, context: heard.append(context.get("exception") or RuntimeError(context["message"]))
        )


def outcome(consume: Callable[[], None]) -> BaseException | None:
    """What came of consuming."""
    try:
        consume()
    except VirtualTimeError as error:
        return error
    except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt is one of them
        return error
    return None


def in_loop(run: Run, main: Callable[[], Any]) -> Callable[[], None]:
    def consume() -> None:
        with asyncio.Runner(loop_factory=lambda: Loop(run.heard)) as runner:
            runner.run(main())

    return consume


def in_run(run: Run, stream: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def consume() -> None:
        with monkeypatch.context() as patch:
            # The loop that ``asyncio.run`` makes.
            patch.setattr(asyncio.events, "new_event_loop", lambda: Loop(run.heard))
            rxllm.run(stream)

    return consume


# The law


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its causes and its members."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def wrong(run: Run, raised: BaseException | None, *, listened: bool) -> str | None:
    """What is wrong with a run, in a few words."""
    if isinstance(raised, VirtualTimeError):
        return f"hangs: {str(raised).splitlines()[0]}"
    if not run.times:
        return None
    told = raised if listened else next((each for each in (raised, *run.heard) if each is not None), None)
    reached = any(each is run.error for each in chain(told))
    if isinstance(run.error, asyncio.CancelledError):
        # It cannot be told from a task that was cancelled: that the stream will not go on has to be heard of.
        reached = told is not None
    if isinstance(told, StructuredOutputError) and isinstance(run.error, ValueError):
        # With that a validator of pydantic says that what it looks at is not right.
        reached = True
    if not reached:
        return f"not heard of: {raised!r}, the loop heard {run.heard!r}"
    # KeyboardInterrupt ends the loop before anything else can end.
    if not run.left and not isinstance(run.error, KeyboardInterrupt):
        return "the source goes on"
    return None


def places_of(shape: Shape) -> dict[str, Build]:
    return PLACES | (INSIDE_ONLY if shape.inside else {})


def consuming(run: Run, shape: Shape, place: str, consumer: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    build = places_of(shape)[place]
    match consumer:
        case "await":
            return in_loop(run, lambda: by_await(run, build(run, shape.make)))
        case "async for":
            return in_loop(run, lambda: by_async_for(run, build(run, shape.make)))
        case "run":
            return in_run(run, build(run, shape.make), monkeypatch)
        case _ if place in CALLBACKS:
            callbacks = CALLBACKS[place](run.fail)
            return in_loop(run, lambda: by_subscribe(run, run.source().pipe(shape.make(same)), **callbacks))
        case _:
            return in_loop(run, lambda: by_subscribe(run, build(run, shape.make)))
