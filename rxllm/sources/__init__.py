"""Sources: what makes an observable of input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.sources._async_iterable import from_async_iterable
    from rxllm.sources._http import SessionLike, Ssl
    from rxllm.sources._recording import from_recording, list_recordings
    from rxllm.sources._sse import from_sse
    from rxllm.sources._websocket import from_websocket
    from rxllm.sources._wire_recorder import RecordTo, WireRecorder
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_http", "_wire_recorder", "_sse", "_websocket"),
        # These need no aiohttp.
        from_async_iterable="_async_iterable",
        from_recording="_recording",
        list_recordings="_recording",
    )

__all__ = [
    "RecordTo",
    "SessionLike",
    "Ssl",
    "WireRecorder",
    "from_async_iterable",
    "from_recording",
    "from_sse",
    "from_websocket",
    "list_recordings",
]
