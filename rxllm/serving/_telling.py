"""From items and an ending to frames, whatever happens: what all ways out share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loguru import logger

from rxllm.exceptions import StreamCancelledError
from rxllm.serving._protocol import FrameWriter, ServedEnd
from rxllm.serving._public_error import CLOSING, public_error


class Telling:
    """One answer being told.

    Args:
        writer: Writes it.
    """

    def __init__(self, writer: FrameWriter) -> None:
        self._writer = writer
        self._has_begun = False

    @property
    def over(self) -> bool:
        """Whether the end is told."""
        return self._writer.over

    def items(self, items: Sequence[Any]) -> bytes:
        """What items become; with an end behind it, if one of them cannot be told."""
        if self.over:
            return b""
        begin = self._begin()
        try:
            return begin + self._writer.write(items)
        except Exception as error:  # noqa: BLE001 - told to the client
            return begin + self.failed(error)

    def completed(self, *, stopped: bool = False) -> bytes:
        """The end in good order."""
        return self._end(ServedEnd("stopped" if stopped else "completed"))

    def failed(self, error: Exception) -> bytes:
        """The end with an error. What it is in full goes to the log only."""
        if isinstance(error, StreamCancelledError):
            return self._end(ServedEnd("stopped"))
        public = public_error(error)
        logger.warning("an answer that is served failed: {}: {}", type(error).__name__, public.code)
        return self._end(ServedEnd("failed", public))

    def closing(self) -> bytes:
        """The end because the server stops."""
        return self._end(ServedEnd("closing", CLOSING))

    def _begin(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        return self._writer.begin()

    def _end(self, end: ServedEnd) -> bytes:
        return b"" if self.over else self._begin() + self._writer.end(end)
