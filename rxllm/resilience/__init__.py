"""Policies for what may fail, without Rx: when to try again, how much at a time, whom to leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

__all__ = ["Limits", "Retry"]

if TYPE_CHECKING:
    from rxllm.resilience._backoff import Backoff as Backoff
    from rxllm.resilience._backoff import Retry
    from rxllm.resilience._backoff import is_retryable as is_retryable
    from rxllm.resilience._breaker import Breaker as Breaker
    from rxllm.resilience._limits import Limits
    from rxllm.resilience._limits import Ticket as Ticket
    from rxllm.resilience._limits import estimated_tokens as estimated_tokens
else:
    __getattr__, __dir__ = lazy_exports(
        __name__, _backoff="Backoff Retry is_retryable", _breaker="Breaker", _limits="Limits Ticket estimated_tokens"
    )
