"""Ollama's own API: the dialect."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects.ollama._ollama_decoder import OllamaDecoder
from rxllm.dialects.ollama._ollama_errors import NAME
from rxllm.dialects.ollama._ollama_messages import sent_messages
from rxllm.dialects.ollama._ollama_request import body_of
from rxllm.models import ChatRequest

PATH = "/api/chat"
"""Where requests go, below the base URL."""

_HERE = Home(base_url="http://localhost:11434")
_CLOUD = Home(base_url="https://ollama.com", key_variable="OLLAMA_API_KEY")


@dataclass(frozen=True, kw_only=True)
class Ollama:
    """The dialect ``"ollama"``: the API of Ollama under ``/api``, which sends lines of JSON.

    Args:
        cloud: Whether the models run at ``https://ollama.com``. It needs a key: that of ``OLLAMA_API_KEY``, unless one
            is given. A server on this machine needs no key, and forwards requests for ``…-cloud`` models by itself.
        home: The base URL, and the environment variables for it and for the key; by default those of ``cloud``.
    """

    cloud: bool = False
    home: Home = _HERE

    def __post_init__(self) -> None:
        if self.cloud and self.home is _HERE:
            object.__setattr__(self, "home", _CLOUD)

    @property
    def name(self) -> str:
        """``"ollama"``."""
        return NAME

    def decoder(self) -> OllamaDecoder:
        """A decoder for one stream."""
        return OllamaDecoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        Raises:
            UnsupportedRequestError: The request has something that Ollama's API does not support.
        """
        body = body_of(request)
        sent = sent_messages(request, endpoint.host)
        body["messages"] = sent.messages
        # Ollama's own pages write the base URL with the first half of the path.
        has_api = urlsplit(endpoint.base_url).path.rstrip("/").endswith("/api")
        return WireRequest(
            url=endpoint.url(PATH.removeprefix("/api") if has_api else PATH),
            headers=bearer(endpoint.key),
            body=body,
            framing="ndjson",
            repairs=tuple(sent.repairs),
        )
