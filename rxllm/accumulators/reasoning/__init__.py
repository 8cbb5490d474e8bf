"""From text with tags to reasoning and answer. Other packages import it from ``rxllm.accumulators``."""

from __future__ import annotations

__all__: list[str] = []
