"""What is told of streams while they run: traces and figures for OpenTelemetry, and what ``rxllm top`` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.telemetry._asked import AskedFor as AskedFor
    from rxllm.telemetry._inspect import Inspection, inspect
    from rxllm.telemetry._meeting import Endpoint as Endpoint
    from rxllm.telemetry._meeting import ask as ask
    from rxllm.telemetry._meeting import endpoints as endpoints
    from rxllm.telemetry._open_telemetry import OpenTelemetry
    from rxllm.telemetry._open_telemetry import telemetry_of as telemetry_of
    from rxllm.telemetry._report import FORMAT as FORMAT
    from rxllm.telemetry._report import Hold as Hold
    from rxllm.telemetry._report import LoopReport as LoopReport
    from rxllm.telemetry._report import Report as Report
    from rxllm.telemetry._report import StageReport as StageReport
    from rxllm.telemetry._report import StreamReport as StreamReport
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        _asked="AskedFor",
        _inspect="Inspection inspect",
        _meeting="Endpoint ask endpoints",
        _open_telemetry="OpenTelemetry telemetry_of",
        _report="FORMAT Hold LoopReport Report StageReport StreamReport",
    )

__all__ = [
    "Inspection",
    "OpenTelemetry",
    "inspect",
]
