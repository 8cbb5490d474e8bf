"""``tee_to_display``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TextIO, TypeVar

from reactivex import Observable

from rxllm.accumulators import Stopwatch, usage_after
from rxllm.flow import FanOut, current, operate
from rxllm.models import ApprovalRequested, ChatEvent, StreamChunk, Timing, Usage
from rxllm.operators._tee_to import OnSinkError, Tee, check_tee
from rxllm.sinks import ConsoleSink, DisplayStyle
from rxllm.typing import Overflow, SinkStream
from rxllm.wire import AWSFrame, ServerSentEvent

T = TypeVar("T", bound=StreamChunk | ServerSentEvent | AWSFrame | str | ChatEvent)


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
def tee_to_display(
    file: TextIO | None = None,
    *,
    end: str = "\n",
    style: DisplayStyle = "auto",
    buffer_size: int = 256,
    overflow: Overflow = "pause",
    on_error: OnSinkError = "raise",
) -> Callable[[Observable[T]], Observable[T]]:
    r"""Show an answer as it arrives, on a terminal or in any text file, and pass each item on.

    ::

        source  --a-b-c---|
                tee_to_display(file)
        result  --a-b-c---|

        a="Hel" b="lo" c="!"

    On a terminal Markdown is drawn as it grows: what is final is written once and scrolls like any text, what is not
    is drawn again, 15 times a second at most. Reasoning is dimmed, and folded to a line when the answer begins; calls
    of tools show their arguments, then whether they run, and what came of them after what time; below all of it stands
    how fast it came (``Timing``). Streams that are shown on one terminal at the same time share it. In plain style each
    delta is written as it is. In both, a thread writes, so a terminal that blocks stops neither the loop nor other
    streams; its own stream is paused when ``buffer_size`` items wait.

    Control characters, escape sequences and characters that reorder text are made visible instead of taking effect. The
    end goes on when everything is written; on dispose what came until then is still shown. What others print to the
    same file meanwhile may come before text that is still under way, and is written over in rich style.

    Args:
        file: Where to; ``sys.stdout`` at the time of subscribing if ``None``, and in a notebook its cell.
        end: What is written behind the last text, in plain style.
        style: ``"plain"``; ``"rich"``, which needs the extra of that name and draws nothing twice where there is no
            terminal; or ``"auto"``: rich on a terminal with UTF-8 where the extra is installed and ``NO_COLOR`` is not
            set, else plain.
        buffer_size: How many items wait at most.
        overflow: What happens to more, as in ``buffer_with_backpressure``.
        on_error: What a file that cannot be written to does, as in ``tee_to``: a closed pipe, say.

    Returns:
        An operator that passes its items on; it takes ``StreamChunk`` (choice 0 is shown; in plain style its text
        only), ``ServerSentEvent``, ``AWSFrame``, ``str`` and the events of ``LLMClient.chat_with_tools``.

    Raises:
        OSError: As ``on_error``, like all of these: the file cannot be written to.
        BufferOverflowError: The buffer is full and there is no producer to pause.
        NoRunningLoopError: No event loop runs in this thread.
        TypeError: An item is none of those, as the completion behind ``accumulate``; at once: ``file`` is no text file.
        ValueError: At once, like the next: ``style`` or another argument is not one of those.
        ImportError: ``style`` is ``"rich"``, and the extra is not installed.

    Example:
        >>> import io, reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> screen = io.StringIO()
        >>> rxllm.run(reactivex.of("Hel", "lo").pipe(ops.tee_to_display(screen)))
        'lo'
        >>> screen.getvalue()
        'Hello\n'

    See also:
        ``tee_to``, ``content``
    """
    sink = ConsoleSink(file, end=end, style=style)
    check_tee(buffer_size, overflow, on_error)
    return operate(_begin, sink, buffer_size, overflow, on_error == "detach")


def _begin(out: FanOut[Any], sink: ConsoleSink, size: int, overflow: Overflow, detach: bool) -> Tee[Any]:  # noqa: FBT001 - passed on
    return (_TimedTee if sink.draws else _AskingTee)(out, sink, size, overflow, detach)


class _AskingTee(Tee[Any]):
    """Lets nobody be asked before the question can be read."""

    def on_next(self, value: Any) -> None:
        super().on_next(value)
        if isinstance(value, ApprovalRequested):
            self.hold_until_written()

    def on_batch(self, items: Sequence[Any]) -> int:
        taken = super().on_batch(items)
        # Behind a question nothing comes before the answer.
        if taken and isinstance(items[taken - 1], ApprovalRequested):
            self.hold_until_written()
        return taken


class _TimedTee(_AskingTee):
    """Measures the stream, for the figures below it."""

    def __init__(self, out: FanOut[Any], sink: ConsoleSink, *args: Any) -> None:
        readings = out.readings
        self._now = readings.now
        self._watch = Stopwatch(readings.began, unix=readings.unix)
        self._usage: Usage | None = None
        super().__init__(out, _Timed(sink, self._timing), *args)

    def on_next(self, value: Any) -> None:
        self._note((value,))
        super().on_next(value)

    def on_batch(self, items: Sequence[Any]) -> int:
        taken = super().on_batch(items)
        self._note(items[:taken])
        return taken

    def _note(self, items: Sequence[Any]) -> None:
        flow = self.out.producer = current()
        paused, stream = (0.0, None) if flow is None else (flow.paused_before, flow.stream)
        self._watch.add(items, self._now(), paused, stream)
        for item in items:
            if isinstance(item, StreamChunk) and item.usage is not None:
                self._usage, _ = usage_after(self._usage, item)

    def _timing(self) -> Timing:
        flow = self.out.producer
        self._watch.add((), self._now(), 0.0 if flow is None else flow.paused_time)
        return self._watch.timing(self._usage)


class _Timed(NamedTuple):
    """A sink whose streams know how fast they came."""

    sink: ConsoleSink
    timing: Callable[[], Timing]

    async def open(self) -> SinkStream[Any]:
        return self.sink.begin(self.timing)
