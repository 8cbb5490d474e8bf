"""From items and an ending to frames, whatever happens: what all ways out share."""

from __future__ import annotations

from typing import Any

from loguru import logger

from rxllm.exceptions import LogUnavailableError, StreamCancelledError
from rxllm.serving._protocol import FrameWriter, ServedEnd
from rxllm.serving._public_error import ClosingError, public_error


class Telling:
    """One answer being told.

    Args:
        writer: Writes it.

    Attributes:
        has_begun: Whether what stands before everything else is told.
    """

    __slots__ = ("_write", "_writer", "has_begun")

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        self._write = writer.write
        self.has_begun: bool = False

    @property
    def over(self) -> bool:
        """Whether the end is told."""
        return self._writer.over

    def begin(self) -> bytes:
        """What stands before everything else, unless it is told."""
        if self.has_begun:
            return b""
        self.has_begun = True
        return self._writer.begin()

    def item(self, item: Any) -> bytes:
        """What an item becomes, behind the beginning.

        Raises:
            Exception: It cannot be told.
        """
        # One at a time: so what came together with an item that cannot be told is told.
        return self._write((item,))

    def completed(self, *, stopped: bool = False) -> bytes:
        """The end in good order."""
        return self._end(ServedEnd("stopped" if stopped else "completed"))

    def failed(self, error: BaseException) -> bytes:
        """The end with an error. What it is in full goes to nobody."""
        if isinstance(error, StreamCancelledError):
            return self._end(ServedEnd("stopped", reason=error.reason or None))
        public = public_error(error)
        if isinstance(error, (ClosingError, LogUnavailableError)):
            # The stream goes on, here or elsewhere: a client may come back for the rest.
            return self._end(ServedEnd("closing", public))
        logger.warning("an answer that is served failed: {} ({})", public.code, type(error).__name__)
        return self._end(ServedEnd("failed", public))

    def _end(self, end: ServedEnd) -> bytes:
        return b"" if self.over else self.begin() + self._writer.end(end)
