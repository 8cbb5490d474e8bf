"""OpenAI's Responses API, and what is compatible with it: the dialect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects._ported import at_home, ported
from rxllm.dialects.openai_responses._response_input import ResponseInput, since
from rxllm.dialects.openai_responses._response_request import ENCRYPTED, body_of, include
from rxllm.dialects.openai_responses._responses_decoder import OpenAIResponsesDecoder
from rxllm.models import ChatRequest

PATH = "/responses"
"""Where requests go, below the base URL."""

_HOME = Home(base_url="https://api.openai.com/v1", base_url_variable="OPENAI_BASE_URL", key_variable="OPENAI_API_KEY")
_AZURE = Home(base_url=None, base_url_variable="AZURE_OPENAI_BASE_URL", key_variable="AZURE_OPENAI_API_KEY")


@dataclass(frozen=True, kw_only=True)
class OpenAIResponses:
    """The dialect ``"openai-responses"``.

    Args:
        azure: Whether the server is Azure's. The key is sent in the header ``api-key``, and is read from
            ``AZURE_OPENAI_API_KEY``. The base URL, such as ``https://RESOURCE.openai.azure.com/openai/v1``, has to be
            given, or is read from ``AZURE_OPENAI_BASE_URL``.
        organization: The organization that pays, for the header ``OpenAI-Organization``.
        project: The project, for the header ``OpenAI-Project``.
        stateless: Whether to ask the server to store nothing. Then the reasoning comes encrypted, and is sent back
            encrypted. Models that do not reason refuse this. By default the request does not say whether to store, and
            OpenAI's server stores the answer. Fields of the request win over this option.
        home: The base URL, and the environment variables for it and for the key.
    """

    azure: bool = False
    organization: str | None = None
    project: str | None = None
    stateless: bool = False
    home: Home = _HOME

    def __post_init__(self) -> None:
        if self.azure and self.home is _HOME:
            object.__setattr__(self, "home", _AZURE)

    @property
    def name(self) -> str:
        """``"openai-responses"``."""
        return "openai-responses"

    def decoder(self) -> OpenAIResponsesDecoder:
        """A decoder for one stream."""
        return OpenAIResponsesDecoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        With ``previous_response_id``, the messages up to the answer with that identifier are left out: the server has
        them.

        Raises:
            UnsupportedRequestError: The request has something that the Responses API does not support.
        """
        body = body_of(request)
        if self.stateless and "store" not in body and "previous_response_id" not in body:
            body["store"] = False
            include(body, ENCRYPTED)
        conversation = ResponseInput(request.model, is_stored=body.get("store") is not False)
        begin = since(request.messages, body.get("previous_response_id"))
        conversation.take(ported(request.messages, at_home(self.name, endpoint.host)), begin)
        body["input"] = conversation.items
        return WireRequest(
            url=endpoint.url(PATH),
            headers=self._headers(endpoint),
            body=body,
            end_marker="[DONE]",
            repairs=tuple(conversation.repairs),
        )

    def _headers(self, endpoint: Endpoint) -> dict[str, str]:
        key = endpoint.key.get_secret_value()
        named: dict[str, Any] = {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}
        own = ({"api-key": key} if key else {}) if self.azure else bearer(endpoint.key)
        return {**own, **{name: value for name, value in named.items() if value}}
