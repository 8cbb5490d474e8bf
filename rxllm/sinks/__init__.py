"""Where ``operators.tee_to`` puts what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports
from rxllm.harmless import PrintableText, printable

if TYPE_CHECKING:
    from rxllm.sinks._console import ConsoleSink
    from rxllm.sinks._file_sinks import JSONLinesSink, SQLiteSink
    from rxllm.sinks._store import StoreSink
    from rxllm.sinks._style import DisplayStyle as DisplayStyle
else:
    __getattr__, __dir__ = lazy_exports(__name__, "_console", "_store", "_file_sinks", _style="DisplayStyle")

__all__ = ["ConsoleSink", "JSONLinesSink", "PrintableText", "SQLiteSink", "StoreSink", "printable"]
