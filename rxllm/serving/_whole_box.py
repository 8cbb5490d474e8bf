"""An answer for a client that wants no stream: all of it, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rxllm.exceptions import StreamCancelledError
from rxllm.flow import Awaited
from rxllm.serving._protocol import ServedEnd, WholeWriter
from rxllm.serving._public_error import ClosingError


class WholeBox(Awaited[Any]):
    """The observer of a pipeline of which the client gets one object.

    Args:
        writer: Writes it.

    Attributes:
        gone: Whether the client has left.
    """

    called = "serving"

    def __init__(self, writer: WholeWriter) -> None:
        super().__init__()
        self.gone: bool = False
        self._writer = writer

    @property
    def is_due(self) -> bool:
        return self.ended

    def on_batch(self, items: Sequence[Any]) -> int:
        try:
            self._writer.add(items)
        except Exception as error:  # noqa: BLE001 - it is the status
            self.end(error)
            self.dispose()
        return len(items)

    async def body(self) -> bytes:
        """The object, when the pipeline has ended.

        Raises:
            Exception: It failed, or there is no object to be made of its items.
        """
        await self.wait()
        if self.error is not None and not isinstance(self.error, StreamCancelledError):
            raise self.error
        return self._writer.end(ServedEnd("completed" if self.error is None and not self.stopped else "stopped"))

    def close(self) -> None:
        """End it, because the server stops."""
        self.end(ClosingError())
        self.dispose()

    def abandon(self) -> None:
        """Leave the pipeline, because the client has left."""
        self.gone = True
        self.end(None)
        self.dispose()

    def dispose(self) -> None:
        self.leave()
