"""``tee_to_display``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO, TypeVar

from reactivex import Observable

from rxllm.models import StreamChunk
from rxllm.operators._tee_to import OnSinkError, tee_to
from rxllm.sinks import ConsoleSink
from rxllm.typing import OperatorFunction, Overflow
from rxllm.wire import AWSFrame, ServerSentEvent

T = TypeVar("T", bound=StreamChunk | ServerSentEvent | AWSFrame | str)


# Written out, and not as OperatorFunction[T, T]: through an alias mypy does not see that the operator is generic.
def tee_to_display(
    file: TextIO | None = None,
    *,
    end: str = "\n",
    buffer_size: int = 256,
    overflow: Overflow = "pause",
    on_error: OnSinkError = "raise",
) -> Callable[[Observable[T]], Observable[T]]:
    r"""Show the text as it arrives, on a terminal or in any text file, and pass each item on.

    ::

        source  --a-b-c---|
                tee_to_display(file)
        result  --a-b-c---|

        a="Hel" b="lo" c="!"

    Each delta is written and flushed by a thread, so a terminal that blocks stops neither the loop nor other streams;
    its own stream is paused when ``buffer_size`` items wait. Control characters, escape sequences and characters that
    reorder text are made visible instead of taking effect. The end goes on when everything is written; on dispose
    what came until then is still shown. What others print to the
    same file meanwhile may come before text that is still under way.

    Args:
        file: Where to; ``sys.stdout`` at the time of subscribing if ``None``.
        end: What is written behind the last text.
        buffer_size: How many items wait at most.
        overflow: What happens to more, as in ``buffer_with_backpressure``.
        on_error: What a file that cannot be written to does, as in ``tee_to``: a closed pipe, say.

    Returns:
        An operator that passes its items on; it takes ``StreamChunk`` (the text of choice 0 is shown),
        ``ServerSentEvent``, ``AWSFrame`` and ``str``.

    Raises:
        OSError: As ``on_error``, like all of these: the file cannot be written to.
        BufferOverflowError: The buffer is full and there is no producer to pause.
        NoRunningLoopError: No event loop runs in this thread.
        TypeError: An item is none of those, as the completion behind ``accumulate``; at once: ``file`` is no text file.

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
    sink = ConsoleSink(file, end=end)
    shown: OperatorFunction[Any, Any] = tee_to(sink, buffer_size=buffer_size, overflow=overflow, on_error=on_error)
    return shown
