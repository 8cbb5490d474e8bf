"""Sources: what makes an observable of input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.sources._credentials import Headers as Headers
    from rxllm.sources._credentials import Secrets as Secrets
    from rxllm.sources._credentials import shown as shown
    from rxllm.sources._from_async_iterable import from_async_iterable
    from rxllm.sources._from_recording import Pace as Pace
    from rxllm.sources._from_recording import Timing as Timing
    from rxllm.sources._from_recording import from_recording, list_recordings
    from rxllm.sources._from_sse import from_sse
    from rxllm.sources._from_websocket import from_websocket
    from rxllm.sources._grace import GRACE_SECONDS as GRACE_SECONDS
    from rxllm.sources._http import CONNECT_SECONDS as CONNECT_SECONDS
    from rxllm.sources._http import MAX_ERROR_BYTES as MAX_ERROR_BYTES
    from rxllm.sources._http import SessionLike, Ssl
    from rxllm.sources._http import environment_proxy as environment_proxy
    from rxllm.sources._http import info_of as info_of
    from rxllm.sources._http import open_session as open_session
    from rxllm.sources._http import refusal as refusal
    from rxllm.sources._wire_recorder import RecordTo, WireRecorder
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_http", "_wire_recorder", "_from_sse", "_from_websocket"),
        # The first two need no aiohttp.
        _from_async_iterable="from_async_iterable",
        _from_recording="from_recording list_recordings Pace Timing",
        _credentials="Headers Secrets shown",
        _grace="GRACE_SECONDS",
        _http="CONNECT_SECONDS MAX_ERROR_BYTES environment_proxy info_of open_session refusal",
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
