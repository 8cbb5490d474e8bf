"""Amazon Bedrock's Converse API. Other packages import it from ``rxllm.dialects``."""

from __future__ import annotations

__all__: list[str] = []
