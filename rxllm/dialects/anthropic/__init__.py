"""Anthropic's Messages API, and what is compatible with it. Other packages import it from ``rxllm.dialects``."""

from __future__ import annotations

__all__: list[str] = []
