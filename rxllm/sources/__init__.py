"""Sources: what makes an observable of input."""

from __future__ import annotations

from rxllm.sources._async_iterable import from_async_iterable
from rxllm.sources._http import SessionLike, Ssl
from rxllm.sources._recording import from_recording, list_recordings
from rxllm.sources._sse import from_sse
from rxllm.sources._websocket import from_websocket

__all__ = [
    "SessionLike",
    "Ssl",
    "from_async_iterable",
    "from_recording",
    "from_sse",
    "from_websocket",
    "list_recordings",
]
