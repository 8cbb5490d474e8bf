"""Where recorded streams live: what a sink writes and ``from_recording`` reads.

Both ends speak of streams, positions and endings (``Writer``, ``Reader``); what is under that, lines of a file, a
database or a server, is a store's own affair.
"""

from rxllm.stores._jsonlines import JSONLinesReader, JSONLinesWriter
from rxllm.stores._open import open_reader
from rxllm.stores._records import (
    EndRecord,
    ErrorRecord,
    ItemRecord,
    Reader,
    RecordingInfo,
    Writer,
    decode_error,
    decode_item,
    encode_error,
    encode_item,
)
from rxllm.stores._sqlite import SQLiteReader, SQLiteWriter
from rxllm.stores._worker import Worker

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
    "Worker",
    "Writer",
    "decode_error",
    "decode_item",
    "encode_error",
    "encode_item",
    "open_reader",
]
