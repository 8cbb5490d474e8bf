"""Where ``operators.tee_to`` puts what passes."""

from __future__ import annotations

from rxllm.operators._display import ConsoleSink, printable
from rxllm.sinks._file_sinks import JSONLinesSink, SQLiteSink
from rxllm.sinks._store import StoreSink

__all__ = ["ConsoleSink", "JSONLinesSink", "SQLiteSink", "StoreSink", "printable"]
