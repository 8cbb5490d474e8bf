"""The Gemini API: the dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import quote

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects.gemini._gemini_contents import sent_contents
from rxllm.dialects.gemini._gemini_decoder import GeminiDecoder
from rxllm.dialects.gemini._gemini_errors import NAME, unsupported_by_gemini
from rxllm.dialects.gemini._gemini_request import body_of_request
from rxllm.models import ChatRequest

GeminiPlatform: TypeAlias = Literal["gemini", "vertex"]
"""Who runs the models."""

_HOMES: Mapping[str, Home] = {
    "gemini": Home(
        base_url="https://generativelanguage.googleapis.com",
        base_url_variable="GOOGLE_GEMINI_BASE_URL",
        key_variable="GEMINI_API_KEY",
    ),
    "vertex": Home(base_url=None, base_url_variable="GOOGLE_VERTEX_BASE_URL"),
}
_STREAMED = {"alt": "sse"}


@dataclass(frozen=True, kw_only=True)
class Gemini:
    """The dialect ``"gemini"``: the Gemini API of Google.

    Args:
        version: The version of the API, as in the URL.
        platform: The platform that runs the models. ``"vertex"`` is Google's Vertex AI: the base URL ends with
            ``/projects/…/locations/…``, and the key is an access token.
        home: The base URL, and the environment variables for it and for the key; by default those of the platform.

    Raises:
        ValueError: ``platform`` is not one of these words.
    """

    version: str = "v1beta"
    platform: GeminiPlatform = "gemini"
    home: Home = _HOMES["gemini"]

    def __post_init__(self) -> None:
        if self.platform not in get_args(GeminiPlatform):
            raise ValueError(f"platform must be one of {get_args(GeminiPlatform)}, not {self.platform!r}")
        if self.home is _HOMES["gemini"]:
            object.__setattr__(self, "home", _HOMES[self.platform])

    @property
    def name(self) -> str:
        """``"gemini"``."""
        return NAME

    def decoder(self) -> GeminiDecoder:
        """A decoder for one stream."""
        return GeminiDecoder()

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        Raises:
            UnsupportedRequestError: The request has something that the Gemini API does not support.
        """
        body = body_of_request(request)
        sent = sent_contents(request, endpoint.host)
        said: dict[str, Any] = {"contents": sent.contents}
        if sent.system:
            said["systemInstruction"] = {"parts": sent.system}
        if twice := sorted(said.keys() & body.keys()):
            raise unsupported_by_gemini(twice[0], "the messages have it already")
        return WireRequest(
            url=endpoint.url(self._path(request.model), _STREAMED),
            headers=self._key_headers(endpoint),
            body={**said, **body},
            repairs=tuple(sent.repairs),
        )

    def _path(self, model: str) -> str:
        named = quote(model, safe="/@")
        if self.platform == "vertex":
            return f"/{named if '/' in named else f'publishers/google/models/{named}'}:streamGenerateContent"
        return f"/{self.version}/{named if '/' in named else f'models/{named}'}:streamGenerateContent"

    def _key_headers(self, endpoint: Endpoint) -> dict[str, str]:
        key = endpoint.key.get_secret_value()
        if self.platform == "vertex":
            return bearer(endpoint.key)
        return {"x-goog-api-key": key} if key else {}
