"""The client: composition only."""

from __future__ import annotations

from rxllm.client._client import LLMClient

__all__ = ["LLMClient"]
