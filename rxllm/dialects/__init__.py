"""Providers' ways of streaming an answer, a folder each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.dialects._auto import AnyDecoder as AnyDecoder
    from rxllm.dialects._behind_error import BehindError as BehindError
    from rxllm.dialects._dialect import (
        BodyDecoder,
        Dialect,
        RateLimitReader,
        Reader,
        RetryJudge,
        StreamDecoder,
        WebSocketDialect,
        WireItem,
    )
    from rxllm.dialects._endpoint import Endpoint, Home, WireRequest
    from rxllm.dialects._hosts import HOSTS, get_host
    from rxllm.dialects._ported import Ported, ported
    from rxllm.dialects._provider import openai_api_of as openai_api_of
    from rxllm.dialects._provider import provider_of as provider_of
    from rxllm.dialects._rate_limits import RateLimits, Remaining, rate_limits_of
    from rxllm.dialects._registry import get_dialect, get_reader
    from rxllm.dialects.anthropic._anthropic import Anthropic
    from rxllm.dialects.bedrock_converse._bedrock_converse import BedrockConverse
    from rxllm.dialects.cohere._cohere import Cohere
    from rxllm.dialects.gemini._gemini import Gemini
    from rxllm.dialects.ollama._ollama import Ollama
    from rxllm.dialects.openai_chat._openai_chat import OpenAIChat
    from rxllm.dialects.openai_responses._openai_responses import OpenAIResponses
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        **{
            "_auto": "AnyDecoder",
            "_behind_error": "BehindError",
            "_dialect": "BodyDecoder Dialect RateLimitReader Reader RetryJudge StreamDecoder WebSocketDialect WireItem",
            "_endpoint": "Endpoint Home WireRequest",
            "_hosts": "HOSTS get_host",
            "_ported": "Ported ported",
            "_provider": "openai_api_of provider_of",
            "_rate_limits": "RateLimits Remaining rate_limits_of",
            "_registry": "get_dialect get_reader",
            "anthropic._anthropic": "Anthropic",
            "bedrock_converse._bedrock_converse": "BedrockConverse",
            "cohere._cohere": "Cohere",
            "gemini._gemini": "Gemini",
            "ollama._ollama": "Ollama",
            "openai_chat._openai_chat": "OpenAIChat",
            "openai_responses._openai_responses": "OpenAIResponses",
        },
    )

__all__ = [
    "HOSTS",
    "Anthropic",
    "BedrockConverse",
    "BodyDecoder",
    "Cohere",
    "Dialect",
    "Endpoint",
    "Gemini",
    "Home",
    "Ollama",
    "OpenAIChat",
    "OpenAIResponses",
    "Ported",
    "RateLimitReader",
    "RateLimits",
    "Reader",
    "Remaining",
    "RetryJudge",
    "StreamDecoder",
    "WebSocketDialect",
    "WireItem",
    "WireRequest",
    "get_dialect",
    "get_host",
    "get_reader",
    "ported",
    "rate_limits_of",
]
