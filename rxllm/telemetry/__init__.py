"""What is told of streams while they run: traces and figures for OpenTelemetry, and what ``rxllm top`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.telemetry._asked import AskedFor as AskedFor
    from rxllm.telemetry._open_telemetry import OpenTelemetry
    from rxllm.telemetry._open_telemetry import telemetry_of as telemetry_of
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        _asked="AskedFor",
        _open_telemetry="OpenTelemetry telemetry_of",
    )

__all__ = [
    "OpenTelemetry",
]
