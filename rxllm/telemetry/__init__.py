"""What is told of streams while they run: traces and figures for OpenTelemetry, and who holds what for ``rxllm top``."""

from __future__ import annotations

__all__: list[str] = []
