"""What is said of the streams that a ``Watch`` has noted, at one moment."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from heapq import nlargest
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, NamedTuple, TypeAlias, cast

from rxllm.flow import Backlog, Emitter, FlowControl, Operation, Pauses, WatchedQueue
from rxllm.harmless import harmless
from rxllm.models import StreamInfo, without_lone_surrogates
from rxllm.telemetry._loops import WatchedLoop, look_at
from rxllm.telemetry._noted import Part, Pipeline, Watch
from rxllm.telemetry._report import NAME_LENGTH, Hold, Report, SourceReport, StageReport, StreamReport

__all__ = ["MOST_STREAMS", "look"]

MOST_STREAMS = 500
"""How many streams a report has at most."""

MOST_PARTS = 50
"""How many sources, places and pauses are told of one stream at most."""

_VERSION = version("rxllm")

_HAVE_NAMES = frozenset({FunctionType, BuiltinFunctionType, MethodType, type})

Names: TypeAlias = Mapping[Pauses, str]
"""What holders are called."""


class _Seen(NamedTuple):
    """A part that is there.

    Attributes:
        part: What was noted of it.
        thing: What it is.
    """

    part: Part
    thing: Any

    @property
    def flow(self) -> FlowControl | None:
        """What is paused, if somebody pauses it."""
        if self.part.kind == "operation":
            return cast("FlowControl | None", self.thing.out.flow)
        return self.thing.flow if self.part.kind == "source" and self.goes_on else None

    @property
    def queues(self) -> Sequence[WatchedQueue]:
        """Where items wait. An operator has its queues among its attributes, whatever they are called there."""
        if self.part.kind == "operation":
            values = list(cast("dict[str, object]", vars(self.thing)).values())
            # Not ``isinstance``: of a proxy, that asks the application.
            return [cast("WatchedQueue", value) for value in values if issubclass(type(value), Backlog)]
        return [self.thing.queue] if self.part.kind == "consumer" and self.thing.queue is not None else []

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended, or something waits in it."""
        thing = self.thing
        if self.part.kind == "source":
            return thing.task is not None and not thing.task.done()
        if self.part.kind == "operation":
            return not thing.out.is_over
        if self.part.kind == "place":
            return thing.held is not None
        return self.part.kind == "consumer" and (not thing.is_over or bool(getattr(thing.queue, "items", ())))

    @property
    def called(self) -> str:
        """What users call it, with what tells it from others of its kind."""
        try:
            return self._called()
        except Exception:  # noqa: BLE001 - an operator that you wrote may say this in a way of its own
            return type(self.thing).__name__

    def _called(self) -> str:
        name = str(self.thing.called)
        if self.part.kind != "operation":
            return name
        if name == Operation.called:
            name = next((queue.holder.name for queue in self.queues), type(self.thing).__name__)
        about = self.thing.works_with
        return name if about is None else f"{name}({_about(about)})"


def _about(thing: object) -> object:
    """A number, or what a function or a class is called; of another object, what its class is called."""
    kind = type(thing)
    if kind is int:
        return thing
    return cast("type", thing).__name__ if kind in _HAVE_NAMES else kind.__name__


def look(watch: Watch) -> Report:
    """Say what the streams of the process do; from any thread, whatever the others do."""
    parts = watch.parts()
    loops = list(dict.fromkeys(part.pipeline.loop for part in parts if part.pipeline.loop is not None))
    look_at(loops)
    # Only from here on is anything kept for a moment.
    pipelines: dict[Pipeline, list[_Seen]] = {}
    there = [(part, thing) for part in parts if (thing := part()) is not None]
    for part, thing in there:
        pipelines.setdefault(part.pipeline, []).append(_Seen(part, thing))
    now = time.monotonic()
    live = [(pipeline, seen) for pipeline, seen in pipelines.items() if any(each.goes_on for each in seen)]
    # Of the others nothing is put together: to look at thousands must not take the time of the application.
    told = nlargest(MOST_STREAMS, live, key=lambda each: (_held(each[1], now), now - each[0].began))
    names = dict(_names(seen for _, seen in told))
    streams: list[StreamReport] = []
    for pipeline, seen in told:
        with suppress(Exception):  # one that cannot be told hides no other
            streams.append(_stream(pipeline, seen, names, loops, now))
    return Report(
        pid=os.getpid(),
        program=_program(),
        version=_VERSION,
        seconds=now - watch.began,
        streams=streams,
        more=len(live) - len(streams),
        loops=[loop.report(now) for loop in loops],
    )


def _held(parts: Sequence[_Seen], now: float) -> float:
    """For how long somebody has held a pause in a stream."""
    flows = [flow for each in parts if (flow := each.flow) is not None]
    places = [held for each in parts if each.part.kind == "place" and (held := each.thing.held) is not None]
    return max(
        (now - since for _, since in [*places, *(hold for flow in flows for hold in flow.held_since)]), default=0.0
    )


def _program() -> str:
    path = Path(next(iter(sys.argv), ""))  # a program that Python is embedded in may have none
    return harmless(path.parent.name if path.name == "__main__.py" else path.name, NAME_LENGTH) or "python"


def _names(pipelines: Iterable[Iterable[_Seen]]) -> Iterator[tuple[Pauses, str]]:
    """What those are called that hold pauses."""
    for pipeline in pipelines:
        for each in pipeline:
            if each.part.kind == "operation":
                yield each.thing.out.holder, f"{each.called}, where items of another source wait"
            for queue in each.queues:
                yield queue.holder, each.called


def _stream(
    pipeline: Pipeline, parts: Sequence[_Seen], names: Names, loops: Sequence[WatchedLoop], now: float
) -> StreamReport:
    # One has subscribed from the consumer up.
    down = parts[::-1]
    sources = [
        _source(each.part, each.thing, names, now) for each in down if each.part.kind == "source" and each.goes_on
    ]
    stages = [
        stage
        for each in down
        if each.part.kind in {"operation", "place", "consumer"}
        for stage in _stages(each, names, now)
    ]
    texts = [each.thing.text for each in down if each.part.kind == "text" and each.thing.text is not None]
    return StreamReport(
        number=pipeline.number,
        seconds=now - pipeline.began,
        loop=None if pipeline.loop is None else loops.index(pipeline.loop),
        sources=sources[:MOST_PARTS],
        stages=stages[:MOST_PARTS],
        text=next(map(without_lone_surrogates, texts), None),
    )


def _source(part: Part, emitter: Emitter[Any], names: Names, now: float) -> SourceReport:
    flow = emitter.flow
    info = flow.stream if isinstance(flow.stream, StreamInfo) else StreamInfo()
    last = info.last_byte_at
    return SourceReport(
        number=part.number,
        name=harmless(part.name, NAME_LENGTH),
        seconds=now - part.began,
        items=emitter.count,
        bytes=None if flow.stream is None else info.bytes,
        silent=None if last is None else max(0.0, time.time() - last),
        paused=flow.paused_time,
        holds=_holds(flow, names, now),
        dialect=_told(info.dialect),
        model=_told(info.model),
        host=_told(info.host),
        request_id=_told(info.request_id),
        attempt=info.attempt,
    )


def _told(name: str | None) -> str | None:
    return None if name is None else harmless(name, NAME_LENGTH)


def _stages(seen: _Seen, names: Names, now: float) -> list[StageReport]:
    """Where items wait in a part; an operator that lets none wait is left out while none does."""
    name = harmless(seen.called, NAME_LENGTH)
    if seen.part.kind == "place":
        held = cast("tuple[str, float] | None", seen.thing.held)
        return [] if held is None else [StageReport(name=name, waiting=0, holds=[_hold(*held, now)])]
    if seen.part.kind == "consumer":
        holds, more = [], 0
    else:
        flow: FlowControl | None = seen.thing.out.flow
        holds, more = [] if flow is None else _holds(flow, names, now), seen.thing.out.waiting
        if not (seen.queues or more or holds):
            return []
    if not seen.queues:
        return [StageReport(name=name, waiting=more, holds=holds)]
    return [
        StageReport(
            name=name,
            waiting=queue.waiting + more,
            size=queue.size,
            unit=queue.unit,
            dropped=getattr(queue, "dropped", 0),
            holds=holds,
        )
        for queue in seen.queues
    ]


def _holds(flow: FlowControl, names: Names, now: float) -> list[Hold]:
    return [_hold(_name_of(holder, names), since, now) for holder, since in flow.held_since[:MOST_PARTS]]


def _hold(by: str, since: float, now: float) -> Hold:
    return Hold(by=harmless(by, NAME_LENGTH), seconds=max(0.0, now - since))


def _name_of(holder: object, names: Names) -> str:
    kind = type(holder)
    if issubclass(kind, Pauses):
        pauses = cast("Pauses", holder)
        return names.get(pauses) or pauses.name or "a Pauses without a name"
    return str.__str__(cast("str", holder)) if issubclass(kind, str) else kind.__qualname__
