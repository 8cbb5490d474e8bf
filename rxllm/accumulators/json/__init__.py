"""From pieces of a JSON text to values. Other packages import what they need of it from ``rxllm.accumulators``."""

from __future__ import annotations

__all__: list[str] = []
