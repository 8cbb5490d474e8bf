"""Where ``operators.tee_to`` puts what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.operators._display import ConsoleSink, printable
    from rxllm.sinks._jsonlines import JSONLinesSink
    from rxllm.sinks._sqlite import SQLiteSink
    from rxllm.sinks._store import StoreSink
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        exports={
            "rxllm.operators._display": ("ConsoleSink", "printable"),
            "._jsonlines": ("JSONLinesSink",),
            "._sqlite": ("SQLiteSink",),
            "._store": ("StoreSink",),
        },
    )

__all__ = ["ConsoleSink", "JSONLinesSink", "SQLiteSink", "StoreSink", "printable"]
