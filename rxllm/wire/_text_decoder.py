"""What decoders of events and of lines do alike: both read text, which is cut anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from rxllm.exceptions import ItemsThenError, LimitExceededError

DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The most bytes that one event may have by default."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

T = TypeVar("T")


class TextDecoder(ABC, Generic[T]):
    """Keeps what is unfinished, and gives what is complete."""

    __slots__ = ("_error", "_limit", "_line", "_ready", "_started", "events")

    events: int

    def __init__(self, max_event_bytes: int) -> None:
        if max_event_bytes < 1:
            raise ValueError(f"max_event_bytes must be positive, not {max_event_bytes}")
        self.events = 0
        self._limit = max_event_bytes
        self._error: LimitExceededError | None = None
        self._ready: list[T] = []
        self._started: bool = False
        # The line under way.
        self._line: bytearray = bytearray()

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Have what is complete ready, and keep the rest."""

    def _take_all(self, data: bytes) -> list[T]:
        """Take a read, and give what is complete, and then the error about what is too large."""
        try:
            # A piece no longer than the limit holds nothing whole that is longer: only what is open need be measured.
            for start in range(0, len(data), self._limit):
                self._take(data[start : start + self._limit])
        except LimitExceededError as error:
            self._error = error
            if not self._ready:
                raise
            self._ready = ItemsThenError(self._ready, error)
        ready, self._ready = self._ready, []
        self.events += len(ready)
        return ready

    def _skip_byte_order_mark(self, data: bytes) -> bytes:
        data = bytes(self._line) + data
        self._line.clear()
        if len(data) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(data):
            self._line += data
            return b""
        self._started = True
        return data.removeprefix(BYTE_ORDER_MARK)
