"""From chunks to a completion. Other packages import what they need of it from ``rxllm.accumulators``."""

from __future__ import annotations

__all__: list[str] = []
