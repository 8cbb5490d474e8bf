"""OpenAI's chat completions, and what is compatible with them. Other packages import it from ``rxllm.dialects``."""

from __future__ import annotations

__all__: list[str] = []
