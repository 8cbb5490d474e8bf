"""Providers' ways of streaming an answer, one file each."""

from __future__ import annotations

from rxllm.dialects._behind_error import BehindError as BehindError
from rxllm.dialects._dialect import BodyDecoder, Dialect, RateLimitReader, StreamDecoder, WireItem
from rxllm.dialects._openai_chat import OpenAIChat
from rxllm.dialects._rate_limits import RateLimits, Remaining, rate_limits_of
from rxllm.dialects._registry import get_dialect

__all__ = [
    "BodyDecoder",
    "Dialect",
    "OpenAIChat",
    "RateLimitReader",
    "RateLimits",
    "Remaining",
    "StreamDecoder",
    "WireItem",
    "get_dialect",
    "rate_limits_of",
]
