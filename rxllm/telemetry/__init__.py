"""What is told of streams while they run: traces and figures for OpenTelemetry, and what ``rxllm top`` shows."""

from __future__ import annotations

__all__: list[str] = []
