"""Where streams are kept: recordings, which a sink writes and ``from_recording`` plays, and logs, which are followed.

Both ends of a recording speak of streams, positions and endings (``Writer``, ``Reader``), and so does what keeps a log
(``LogEngine``). What is under that, lines of a file, a database or a server, is a store's own affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.stores._error_records import decode_error as decode_error
    from rxllm.stores._error_records import encode_error as encode_error
    from rxllm.stores._jsonlines import *
    from rxllm.stores._log import Log as Log
    from rxllm.stores._log import SQLiteLog as SQLiteLog
    from rxllm.stores._log import check_name as check_name
    from rxllm.stores._log_engine import LOG_PAGE_ITEMS as LOG_PAGE_ITEMS
    from rxllm.stores._log_engine import Cancellation as Cancellation
    from rxllm.stores._log_engine import LogEngine as LogEngine
    from rxllm.stores._log_engine import LogInfo as LogInfo
    from rxllm.stores._log_engine import LogPage as LogPage
    from rxllm.stores._log_engine import LogReader as LogReader
    from rxllm.stores._log_engine import LogWriter as LogWriter
    from rxllm.stores._open import *
    from rxllm.stores._production import Production as Production
    from rxllm.stores._recorder import CONTEXT_ITEMS as CONTEXT_ITEMS
    from rxllm.stores._recorder import Recorder as Recorder
    from rxllm.stores._records import *
    from rxllm.stores._redis_log import RedisLog as RedisLog
    from rxllm.stores._shared import Shared as Shared
    from rxllm.stores._shared import Use as Use
    from rxllm.stores._slots import SlotsDecoder as SlotsDecoder
    from rxllm.stores._slots import SlotsEncoder as SlotsEncoder
    from rxllm.stores._sqlite import SQLiteWriter as SQLiteWriter
    from rxllm.stores._sqlite_reader import SQLiteReader as SQLiteReader
    from rxllm.stores._worker import *
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        *("_worker", "_records", "_jsonlines", "_open"),
        _log="Log SQLiteLog check_name",
        _log_engine="LOG_PAGE_ITEMS Cancellation LogEngine LogInfo LogPage LogReader LogWriter",
        _production="Production",
        _error_records="decode_error encode_error",
        _recorder="CONTEXT_ITEMS Recorder",
        _redis_log="RedisLog",
        _shared="Shared Use",
        _slots="SlotsDecoder SlotsEncoder",
        _sqlite="SQLiteWriter",
        _sqlite_reader="SQLiteReader",
    )

__all__ = [
    "Cancellation",
    "EndRecord",
    "ErrorRecord",
    "ItemRecord",
    "JSONLinesReader",
    "JSONLinesWriter",
    "Log",
    "LogEngine",
    "LogInfo",
    "LogPage",
    "LogReader",
    "LogWriter",
    "Production",
    "Reader",
    "RecordingInfo",
    "RedisLog",
    "SQLiteLog",
    "SQLiteReader",
    "SQLiteWriter",
    "SlotsDecoder",
    "SlotsEncoder",
    "Worker",
    "Writer",
    "decode_error",
    "decode_item",
    "encode_error",
    "encode_item",
    "open_reader",
]
