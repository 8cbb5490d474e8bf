"""Sources: what makes an observable of input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.sources._credentials import *
    from rxllm.sources._fallback import fallback
    from rxllm.sources._from_async_iterable import *
    from rxllm.sources._from_http import *
    from rxllm.sources._from_log import LogStream as LogStream
    from rxllm.sources._from_log import from_log as from_log
    from rxllm.sources._from_recording import *
    from rxllm.sources._from_websocket import *
    from rxllm.sources._grace import *
    from rxllm.sources._hedge import hedge
    from rxllm.sources._http import *
    from rxllm.sources._log_snapshot import LogItem as LogItem
    from rxllm.sources._url_fault import *
    from rxllm.sources._wire_recorder import *
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_http", "_wire_recorder", "_from_http", "_from_websocket"),
        # The first two need no aiohttp.
        _fallback="fallback",
        _hedge="hedge",
        _from_async_iterable="from_async_iterable",
        _from_log="LogStream from_log",
        _log_snapshot="LogItem",
        _from_recording="from_recording list_recordings Pace Timing",
        _credentials="ORIGIN_SCHEMES Headers Secrets shown",
        _url_fault="fault_of",
        _grace="GRACE_SECONDS",
        _http="CONNECT_SECONDS MAX_ERROR_BYTES environment_proxy info_of open_session refusal",
    )

__all__ = [
    "LogItem",
    "RecordTo",
    "SessionLike",
    "Ssl",
    "WireRecorder",
    "fallback",
    "from_async_iterable",
    "from_http",
    "from_log",
    "from_recording",
    "from_sse",
    "from_websocket",
    "hedge",
    "list_recordings",
]
