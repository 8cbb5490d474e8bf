"""Anthropic's Messages API: the dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import quote

from pydantic import SecretStr

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects._rate_limits import RateLimits
from rxllm.dialects.anthropic._anthropic_decoder import AnthropicDecoder
from rxllm.dialects.anthropic._anthropic_errors import NAME
from rxllm.dialects.anthropic._anthropic_limits import rate_limits_of_anthropic
from rxllm.dialects.anthropic._anthropic_messages import Sent, sent_messages
from rxllm.dialects.anthropic._anthropic_request import body_of
from rxllm.flow import check_count
from rxllm.models import ChatRequest, is_object

Platform: TypeAlias = Literal["anthropic", "vertex", "foundry"]
"""Who runs the models."""

PATH = "/v1/messages"
"""Where requests go, below the base URL."""

_HOMES: Mapping[str, Home] = {
    "anthropic": Home(
        base_url="https://api.anthropic.com", base_url_variable="ANTHROPIC_BASE_URL", key_variable="ANTHROPIC_API_KEY"
    ),
    "vertex": Home(base_url=None, base_url_variable="ANTHROPIC_VERTEX_BASE_URL"),
    "foundry": Home(
        base_url=None,
        base_url_variable="ANTHROPIC_FOUNDRY_BASE_URL",
        key_variable="ANTHROPIC_FOUNDRY_API_KEY",
    ),
}
_VERTEX_VERSION = "vertex-2023-10-16"


@dataclass(frozen=True, kw_only=True)
class Anthropic:
    """The dialect ``"anthropic"``: Anthropic's Messages API.

    Args:
        version: The version of the API.
        betas: The names of beta features to use.
        max_tokens: How many tokens an answer may have if the request does not say it; the API needs a number.
        auth: How the key is sent: as ``x-api-key``, or as ``Authorization: Bearer``, for OAuth tokens.
        platform: The platform that runs the models. ``"vertex"`` is Google's Vertex AI: the base URL ends with
            ``/projects/…/locations/…``, and the key is an access token. ``"foundry"`` is Microsoft Foundry: the base
            URL is ``https://….services.ai.azure.com/anthropic``.
        home: The base URL, and the environment variables for it and for the key; by default those of the platform.

    Raises:
        ValueError: ``auth`` or ``platform`` is not one of these words, or ``max_tokens`` is not positive.
    """

    version: str = "2023-06-01"
    betas: Sequence[str] = ()
    max_tokens: int = 8192
    auth: Literal["x-api-key", "bearer"] = "x-api-key"
    platform: Platform = "anthropic"
    home: Home = _HOMES["anthropic"]

    def __post_init__(self) -> None:
        check_count("max_tokens", self.max_tokens)
        if self.platform not in get_args(Platform):
            raise ValueError(f"platform must be one of {get_args(Platform)}, not {self.platform!r}")
        if self.auth not in {"x-api-key", "bearer"}:
            raise ValueError(f"auth must be 'x-api-key' or 'bearer', not {self.auth!r}")
        if isinstance(self.betas, str):
            raise ValueError(f"betas is a list: write betas=[{self.betas!r}]")  # noqa: TRY004 - as the other options
        object.__setattr__(self, "betas", tuple(self.betas))
        if self.home is _HOMES["anthropic"]:
            object.__setattr__(self, "home", _HOMES[self.platform])

    @property
    def name(self) -> str:
        """``"anthropic"``."""
        return NAME

    def decoder(self) -> AnthropicDecoder:
        """A decoder for one stream."""
        return AnthropicDecoder()

    def rate_limits(self, headers: Mapping[str, str]) -> RateLimits:
        """Read ``StreamInfo.rate_limits``: see ``RateLimitReader``."""
        return rate_limits_of_anthropic(headers)

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        Raises:
            UnsupportedRequestError: The request has something that the Messages API does not support.
        """
        body = body_of(request, self.version, self.max_tokens)
        sent = sent_messages(request, endpoint.host)
        _put_conversation(sent, body)
        headers = {"anthropic-version": self.version, **self._key_headers(endpoint.key)}
        if self.betas:
            headers["anthropic-beta"] = ",".join(self.betas)
        path = PATH
        if self.platform == "vertex":
            del headers["anthropic-version"]
            path = f"/publishers/anthropic/models/{quote(body.pop('model'), safe='@')}:streamRawPredict"
            body.setdefault("anthropic_version", _VERTEX_VERSION)
        return WireRequest(
            url=endpoint.url(path),
            headers=headers,
            body=body,
            repairs=tuple(sent.repairs),
            public_headers=("anthropic-version", "anthropic-beta"),
        )

    def _key_headers(self, key: SecretStr) -> dict[str, str]:
        value = key.get_secret_value()
        if self.auth == "bearer" or self.platform == "vertex" or not value:
            return bearer(key)
        return {"x-api-key": value, **({"api-key": value} if self.platform == "foundry" else {})}


def _put_conversation(sent: Sent, body: dict[str, Any]) -> None:
    body["messages"] = sent.messages
    own = body.get("system")
    if sent.system:
        before = [{"type": "text", "text": own}] if isinstance(own, str) else own or []
        body["system"] = [*before, *sent.system]
        # One text needs no list.
        if len(body["system"]) == 1 and body["system"][0].keys() == {"type", "text"}:
            body["system"] = body["system"][0]["text"]
    container = body.get("container")
    if sent.container is not None and (container is None or (is_object(container) and "id" not in container)):
        body["container"] = {**container, "id": sent.container} if is_object(container) else sent.container
