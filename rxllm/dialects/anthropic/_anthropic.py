"""Anthropic's Messages API: the dialect."""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest
from rxllm.dialects.anthropic._anthropic_decoder import AnthropicDecoder
from rxllm.models import ChatRequest

_HOME = Home(
    base_url="https://api.anthropic.com", base_url_variable="ANTHROPIC_BASE_URL", key_variable="ANTHROPIC_API_KEY"
)


@dataclass(frozen=True, kw_only=True)
class Anthropic:
    """The dialect ``"anthropic"``."""

    home: Home = _HOME

    @property
    def name(self) -> str:
        """``"anthropic"``."""
        return "anthropic"

    def decoder(self) -> AnthropicDecoder:
        """A decoder for one stream."""
        return AnthropicDecoder(self)

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request."""
        raise NotImplementedError
