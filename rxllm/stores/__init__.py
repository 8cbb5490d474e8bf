"""Where recorded streams live: what a sink writes and ``from_recording`` reads.

Both ends speak of streams, positions and endings (``Writer``, ``Reader``); what is under that, lines of a file, a
database or a server, is a store's own affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.stores._jsonlines import *
    from rxllm.stores._open import *
    from rxllm.stores._records import *
    from rxllm.stores._sqlite import *
    from rxllm.stores._worker import *
else:
    __getattr__, __dir__ = lazy_exports(__name__, "_worker", "_records", "_jsonlines", "_sqlite", "_open")

__all__ = [
    "EndRecord",
    "ErrorRecord",
    "ItemRecord",
    "JSONLinesReader",
    "JSONLinesWriter",
    "Reader",
    "RecordingInfo",
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
