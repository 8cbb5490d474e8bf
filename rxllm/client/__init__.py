"""The client: an answer for a request, as an observable. Composition only."""

from __future__ import annotations

from rxllm.client._llm_client import LLMClient

__all__ = ["LLMClient"]
