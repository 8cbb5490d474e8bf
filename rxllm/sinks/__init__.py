"""Where ``operators.tee_to`` puts what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.sinks._console import ConsoleSink, printable
    from rxllm.sinks._jsonlines import JSONLinesSink
    from rxllm.sinks._sqlite import SQLiteSink
    from rxllm.sinks._store import StoreSink
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        # The console needs no store.
        ConsoleSink="_console",
        printable="_console",
        JSONLinesSink="_jsonlines",
        SQLiteSink="_sqlite",
        StoreSink="_store",
    )

__all__ = ["ConsoleSink", "JSONLinesSink", "SQLiteSink", "StoreSink", "printable"]
