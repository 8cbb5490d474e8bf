"""OpenAI's Responses API: the dialect."""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects.openai_responses._responses_decoder import OpenAIResponsesDecoder
from rxllm.models import ChatRequest

PATH = "/responses"

_HOME = Home(base_url="https://api.openai.com/v1", base_url_variable="OPENAI_BASE_URL", key_variable="OPENAI_API_KEY")


@dataclass(frozen=True, kw_only=True)
class OpenAIResponses:
    """The dialect ``"openai-responses"``."""

    home: Home = _HOME

    @property
    def name(self) -> str:
        """``"openai-responses"``."""
        return "openai-responses"

    def decoder(self) -> OpenAIResponsesDecoder:
        """A decoder for one stream."""
        return OpenAIResponsesDecoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request."""
        return WireRequest(url=endpoint.url(PATH), headers=bearer(endpoint.key), body=request.to_wire())
