"""The client: an answer for a request, as an observable. Composition only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.client._client_pool import ClientPool, ClientStatistics
    from rxllm.client._llm_client import LLMClient
else:
    __getattr__, __dir__ = lazy_exports(__name__, _llm_client="LLMClient", _client_pool="ClientPool ClientStatistics")

__all__ = ["ClientPool", "ClientStatistics", "LLMClient"]
