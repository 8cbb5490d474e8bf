"""Cohere's Chat API, version 2: the dialect."""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects.cohere._cohere_decoder import CohereDecoder
from rxllm.dialects.cohere._cohere_errors import NAME
from rxllm.dialects.cohere._cohere_messages import messages_for_cohere
from rxllm.dialects.cohere._cohere_request import body_for_cohere
from rxllm.models import ChatRequest

_HOME = Home(base_url="https://api.cohere.com", base_url_variable="CO_API_URL", key_variable="CO_API_KEY")
_PATH = "/v2/chat"


@dataclass(frozen=True, kw_only=True)
class Cohere:
    """The dialect ``"cohere"``: Cohere's Chat API, version 2.

    Args:
        client_name: The name of your application, for Cohere's own records (``X-Client-Name``).
        send_tool_plan: Whether the plan that the model wrote before a call is sent back to it. Some newer models refuse
            it.
        home: The base URL, and the environment variables for it and for the key.
    """

    client_name: str | None = None
    send_tool_plan: bool = True
    home: Home = _HOME

    @property
    def name(self) -> str:
        """``"cohere"``."""
        return NAME

    def decoder(self) -> CohereDecoder:
        """A decoder for one stream."""
        return CohereDecoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        Raises:
            UnsupportedRequestError: The request has something that Cohere's API does not support.
        """
        body = body_for_cohere(request)
        body["messages"], repairs = messages_for_cohere(request, endpoint.host, send_plan=self.send_tool_plan)
        named = {} if self.client_name is None else {"X-Client-Name": self.client_name}
        return WireRequest(
            url=endpoint.url(_PATH),
            headers={**bearer(endpoint.key), **named},
            body=body,
            repairs=repairs,
            public_headers=("X-Client-Name",),
        )
