"""How items flow: backpressure, streams, and the kit that operators are written with.

``FlowControl`` and ``Pauses`` let a consumer pause a producer through operators that know nothing of it. ``operate``,
``Operation``, ``FanOut`` and ``Backlog`` are the kit: see the guide "Write an operator".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.flow._arguments import check_callable as check_callable
    from rxllm.flow._arguments import check_count as check_count
    from rxllm.flow._arguments import check_kind as check_kind
    from rxllm.flow._arguments import check_positive as check_positive
    from rxllm.flow._arguments import check_seconds as check_seconds
    from rxllm.flow._backlog import Backlog, Merger, Queue
    from rxllm.flow._backlog import check_bounds as check_bounds
    from rxllm.flow._batches import Link as Link
    from rxllm.flow._batches import Receiver as Receiver
    from rxllm.flow._batches import batching as batching
    from rxllm.flow._batches import nothing as nothing
    from rxllm.flow._clock import Clock
    from rxllm.flow._clock import Readings as Readings
    from rxllm.flow._clock import clock_of as clock_of
    from rxllm.flow._consumer import consumer as consumer
    from rxllm.flow._consumer import tell as tell
    from rxllm.flow._control import MOST_EXCESS as MOST_EXCESS
    from rxllm.flow._control import FlowControl, Pauses
    from rxllm.flow._control import Secrets as Secrets
    from rxllm.flow._control import current as current
    from rxllm.flow._control import outside_of_emissions as outside_of_emissions
    from rxllm.flow._control import without_secrets as without_secrets
    from rxllm.flow._drain import Drain as Drain
    from rxllm.flow._fan_out import FanOut
    from rxllm.flow._mailbox import Awaited as Awaited
    from rxllm.flow._mailbox import Iteration
    from rxllm.flow._mailbox import last_of as last_of
    from rxllm.flow._operation import Fold, Folder, Operation, operate
    from rxllm.flow._sink_writer import SinkWriter as SinkWriter
    from rxllm.flow._source import BYTES_PER_TURN as BYTES_PER_TURN
    from rxllm.flow._source import ITEMS_PER_TURN as ITEMS_PER_TURN
    from rxllm.flow._source import Emitter as Emitter
    from rxllm.flow._source import begin_source as begin_source
    from rxllm.flow._source import task_source as task_source
    from rxllm.flow._sources_above import listening as listening
    from rxllm.flow._stopping import mark_stopped as mark_stopped
    from rxllm.flow._stopping import stopping as stopping
    from rxllm.flow._stopping import stopping_now as stopping_now
    from rxllm.flow._stream import Stream
    from rxllm.flow._stream import subscribe_to as subscribe_to
    from rxllm.flow._tasks import LoopDisposable as LoopDisposable
    from rxllm.flow._tasks import outcome_of as outcome_of
    from rxllm.flow._tasks import running_loop as running_loop
    from rxllm.flow._tasks import start_task as start_task
    from rxllm.flow._tasks import wake as wake
    from rxllm.flow._try_watch import NOBODY_WATCHES as NOBODY_WATCHES
    from rxllm.flow._try_watch import Trial as Trial
    from rxllm.flow._try_watch import TrialEnding as TrialEnding
    from rxllm.flow._try_watch import TryWatch as TryWatch
    from rxllm.flow._try_watch import reset_try_watch as reset_try_watch
    from rxllm.flow._try_watch import set_try_watch as set_try_watch
    from rxllm.flow._try_watch import try_watch as try_watch
    from rxllm.flow._watching import WaitingPlace as WaitingPlace
    from rxllm.flow._watching import WatchedConsumer as WatchedConsumer
    from rxllm.flow._watching import WatchedQueue as WatchedQueue
    from rxllm.flow._watching import pipeline as pipeline
    from rxllm.flow._watching import waiting_place as waiting_place
    from rxllm.flow._watching import watch as watch
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        _control="FlowControl MOST_EXCESS Pauses Secrets current outside_of_emissions without_secrets",
        _tasks="LoopDisposable outcome_of running_loop start_task wake",
        _consumer="consumer tell",
        _clock="Clock Readings clock_of",
        _backlog="Backlog Merger Queue check_bounds",
        _arguments="check_callable check_count check_kind check_positive check_seconds",
        _batches="Link Receiver batching nothing",
        _drain="Drain",
        _fan_out="FanOut",
        _mailbox="Awaited Iteration last_of",
        _operation="Fold Folder Operation operate",
        _source="BYTES_PER_TURN ITEMS_PER_TURN Emitter begin_source task_source",
        _stopping="mark_stopped stopping stopping_now",
        _stream="Stream subscribe_to",
        _sink_writer="SinkWriter",
        _sources_above="listening",
        _try_watch="NOBODY_WATCHES Trial TrialEnding TryWatch reset_try_watch set_try_watch try_watch",
        _watching="WaitingPlace WatchedConsumer WatchedQueue pipeline waiting_place watch",
    )

__all__ = [
    "Backlog",
    "Clock",
    "FanOut",
    "FlowControl",
    "Fold",
    "Folder",
    "Iteration",
    "Merger",
    "Operation",
    "Pauses",
    "Queue",
    "Stream",
    "operate",
]
