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

    On a terminal, Markdown is drawn as it grows. Finished text is written once and scrolls like any text; the rest is
    drawn again, 15 times a second at most. Reasoning is dimmed, and folded to one line when the answer begins. Tool
    calls show their arguments, whether they run, and then their result and time. The last line says how fast the answer
    came (``Timing``). Several streams may be shown on one terminal at the same time. In plain style each delta is
    written as it is. In both styles a thread writes, so a terminal that blocks stops neither the loop nor other
    streams; its own stream is paused when ``buffer_size`` items wait.

    Control characters, escape sequences and characters that reorder text are made visible instead of taking effect. The
    end is passed on when everything is written; on dispose the items that came before are still shown. If your program
    prints to the same file meanwhile, its text may appear before text that still waits; in rich style it is
    overwritten.

    Args:
        file: The file to write to. ``None``: ``sys.stdout`` at the time of subscribing, or the cell in a notebook.
        end: What is written after the last text, in plain style.
        style: ``"plain"``, ``"rich"`` or ``"auto"``. ``"rich"`` needs the extra of that name; where there is no
            terminal, it draws nothing twice. ``"auto"`` is rich on a terminal with UTF-8 if the extra is installed and
            ``NO_COLOR`` is not set, else plain.
        buffer_size: How many items may wait.
        overflow: What to do when one more comes, as in ``buffer_with_backpressure``.
        on_error: What to do if the file cannot be written to (a closed pipe, for example), as in ``tee_to``.

    Returns:
        An operator that passes its items on. It takes ``StreamChunk``, ``ServerSentEvent``, ``AWSFrame``, ``str`` and
        the events of ``LLMClient.chat_with_tools``. Of chunks, choice 0 is shown; in plain style only its text.

    Raises:
        OSError: As ``on_error``: the file cannot be written to.
        BufferOverflowError: As ``on_error``: the buffer is full, and the producer cannot be paused.
        NoRunningLoopError: As ``on_error``: no event loop runs in this thread.
        TypeError: As ``on_error``: an item is of another class, such as the completion after ``accumulate``. At once:
            ``file`` is not a text file.
        ValueError: At once: ``style`` or another argument is not one of the words above, or ``buffer_size`` is less
            than 1.
        ImportError: At once: ``style`` is ``"rich"``, and the extra is not installed.

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
