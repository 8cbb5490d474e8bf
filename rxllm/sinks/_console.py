"""A terminal, or any text file, as a sink.

Rules:

1. What a model writes never controls the terminal: it shows what ``rxllm.harmless`` makes of the text.
2. Writing happens in a thread of its own, so a terminal that blocks stops neither the loop nor other streams. The
   thread is a daemon: a blocked terminal does not keep the program from ending, either.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from rxllm.harmless import PrintableText, harmless
from rxllm.models import StreamChunk
from rxllm.typing import Ending
from rxllm.wire import AWSFrame, ServerSentEvent

# What a terminal shows cannot be taken back: what counts is what follows this.
_ANEW = "\n[the answer begins anew]\n"
# How long a display whose stream was left may take for its last words.
_PATIENCE_SECONDS = 0.5


def _shown(item: object) -> str:
    """What there is to read in an item: the text deltas of choice 0, the data of an event, a string."""
    if isinstance(item, StreamChunk):
        return f"{_ANEW}{item.text}" if item.restarts else item.text
    if isinstance(item, str):
        return item
    if isinstance(item, ServerSentEvent):
        return item.data
    if isinstance(item, AWSFrame):
        return item.payload.decode(errors="replace")
    kind = type(item)
    maker = getattr(kind, "made_by", None)
    advice = StreamChunk.made_of.get(kind.__name__, "") if maker is None else f"put the display before {maker}()"
    message = f"a display shows StreamChunk, ServerSentEvent, AWSFrame and str, and got {kind.__name__}"
    raise TypeError(f"{message}: {advice}" if advice else message)


class ConsoleSink:
    """Shows text as it arrives.

    Args:
        file: Where to; ``sys.stdout`` at the time of subscribing if ``None``.
        end: What follows the last text.

    Raises:
        TypeError: ``file`` is no open text file.
    """

    def __init__(self, file: TextIO | None = None, *, end: str = "\n") -> None:
        _require_text_file(file)
        self._file = file
        self._end = end

    async def open(self) -> _ConsoleStream:
        """Begin a stream: start its thread."""
        return _ConsoleStream(self._file or sys.stdout, self._end)


def _require_text_file(file: object) -> None:
    """Check where a display is to write to.

    Raises:
        TypeError: It is no open text file.
    """
    if file is not None and (not hasattr(file, "write") or isinstance(file, io.RawIOBase | io.BufferedIOBase)):
        raise TypeError(f"a display writes to an open text file, not to {type(file).__name__}: open(…, 'w')")


class _ConsoleStream:
    def __init__(self, file: TextIO, end: str) -> None:
        self._file = file
        self._end = end
        self._text = PrintableText()
        self._encoding = getattr(file, "encoding", None) or "utf-8"
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="rxllm-display", daemon=True)
        self._thread.start()

    async def write(self, items: Sequence[StreamChunk | ServerSentEvent | AWSFrame | str], /) -> None:
        text = self._text.add("".join(map(_shown, items)))
        if text:
            await self._begin(text)

    async def close(self, ending: Ending, /) -> None:
        written = self._begin(self._text.close() + self._end)
        self._jobs.put(None)
        if ending.kind in {"cancelled", "stopped"}:
            # The program may be ending: a terminal that blocks must not keep it.
            await asyncio.wait((written,), timeout=_PATIENCE_SECONDS)
            if not written.done():
                written.cancel()
                return
        await written

    def _begin(self, text: str) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()

        def report(error: BaseException | None) -> None:
            if written.done():
                return
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(_awaitable(error))

        def job() -> None:
            error: BaseException | None = None
            try:
                # A terminal that cannot show a character shows a question mark.
                self._file.write(text.encode(self._encoding, "replace").decode(self._encoding))
                self._file.flush()
            except BaseException as failure:  # noqa: BLE001 - raised where it is awaited
                error = failure
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(report, error)

        self._jobs.put(job)
        return written

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def _awaitable(error: BaseException) -> Exception:
    """An error that a future takes, and that says nothing else where it is awaited."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    failure = RuntimeError(harmless(f"the display failed: {error!r}"))
    failure.__cause__ = error
    return failure
