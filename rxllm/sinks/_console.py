"""A terminal, or any text file, as a sink.

Rules:

1. What a model writes never controls the terminal: it shows what ``rxllm.harmless`` makes of the text.
2. Writing happens in a thread of its own, so a terminal that blocks stops neither the loop nor other streams. The
   thread is a daemon: a blocked terminal does not keep the program from ending, either.
"""

from __future__ import annotations

import asyncio
import io
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from rxllm.models import Timing
from rxllm.sinks._notebook import NotebookStream
from rxllm.sinks._plain_text import PlainText
from rxllm.sinks._reports import report
from rxllm.sinks._style import DisplayStyle, check_style, drawing_for
from rxllm.typing import Ending, SinkStream

# How long a display whose stream was left may take for its last words.
_PATIENCE_SECONDS = 0.5


class ConsoleSink:
    """Shows text as it arrives.

    Args:
        file: The file to write to. ``None``: ``sys.stdout`` at the time of subscribing.
        end: What is written after the last text, in plain style.
        style: As in ``operators.tee_to_display``.

    Raises:
        TypeError: ``file`` is not an open text file.
        ValueError: ``style`` is not one of the words.
        ImportError: ``style`` is ``"rich"``, and the extra ``rich`` is not installed.
    """

    def __init__(self, file: TextIO | None = None, *, end: str = "\n", style: DisplayStyle = "auto") -> None:
        _require_text_file(file)
        check_style(style)
        self._file = file
        self._end = end
        self._style: DisplayStyle = style
        if drawing_for(style, file) == "rich":
            _pen()  # takes its time the first time: not while a request waits

    async def open(self) -> SinkStream[Any]:
        """Begin a stream: start its thread."""
        return self.begin(None)

    @property
    def draws(self) -> bool:
        """Whether a stream that begins now would be shown in rich style."""
        return drawing_for(self._style, self._file) != "plain"

    def begin(self, timing: Callable[[], Timing] | None) -> SinkStream[Any]:
        """Begin a stream.

        Args:
            timing: Returns how fast the answer came, if that was measured.
        """
        # A program without a console has none: what is shown goes nowhere, as with print().
        file = self._file or sys.stdout or io.StringIO()
        drawing = drawing_for(self._style, self._file)
        if drawing == "notebook":
            return NotebookStream()
        if drawing == "plain":
            return _ConsoleStream(file, self._end)
        return _pen()(file, timing)


def _pen() -> Callable[[TextIO, Callable[[], Timing] | None], SinkStream[Any]]:
    from rxllm.sinks.screen._pen import Pen  # noqa: PLC0415 - an extra

    return Pen


def _require_text_file(file: object) -> None:
    """Check where a display is to write to.

    Raises:
        TypeError: It is not an open text file.
    """
    if file is not None and (not hasattr(file, "write") or isinstance(file, io.RawIOBase | io.BufferedIOBase)):
        raise TypeError(f"a display writes to an open text file, not to {type(file).__name__}: open(…, 'w')")


class _ConsoleStream:
    def __init__(self, file: TextIO, end: str) -> None:
        self._file = file
        self._end = end
        self._text = PlainText()
        self._encoding = getattr(file, "encoding", None) or "utf-8"
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="rxllm-display", daemon=True)
        self._thread.start()

    async def write(self, items: Sequence[object], /) -> None:
        text = self._text.add(items)
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

        def job() -> None:
            error: BaseException | None = None
            try:
                # A terminal that cannot show a character shows a question mark.
                self._file.write(text.encode(self._encoding, "replace").decode(self._encoding))
                self._file.flush()
            except BaseException as failure:  # noqa: BLE001 - raised where it is awaited
                error = failure
            report(loop, written, error)

        self._jobs.put(job)
        return written

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
