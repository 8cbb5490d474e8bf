"""Amazon Bedrock's Converse API: the dialect."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from rxllm.dialects._endpoint import Endpoint, Home, WireRequest, bearer
from rxllm.dialects.bedrock_converse._converse_decoder import BedrockConverseDecoder
from rxllm.dialects.bedrock_converse._converse_errors import NAME
from rxllm.dialects.bedrock_converse._converse_messages import sent_messages
from rxllm.dialects.bedrock_converse._converse_request import body_of
from rxllm.models import ChatRequest
from rxllm.wire import RequestSigner

_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_HINT = f"or give BedrockConverse(region=…), or set {_REGION_VARIABLES[0]}"


@dataclass(frozen=True, kw_only=True)
class BedrockConverse:
    """The dialect ``"bedrock-converse"``: Amazon Bedrock's Converse API, ``ConverseStream``.

    Its home is ``https://bedrock-runtime.REGION.amazonaws.com``; the key, ``AWS_BEARER_TOKEN_BEDROCK``, is sent as
    ``Authorization: Bearer``.

    Args:
        region: The region, ``"eu-central-1"`` for example; by default that of ``AWS_REGION``, else of
            ``AWS_DEFAULT_REGION``.
        sign: A function that signs each request, if you have no such key. It gets the request exactly as it will be
            sent, and returns the headers to add, or an awaitable of them. It is called for each try. No key is sent
            then.
        model: The name of the model for the chunks, because the stream does not have it. A client sets it to the model
            of the request.

    Raises:
        ValueError: ``region`` is not the name of a region.
    """

    region: str | None = None
    sign: RequestSigner | None = field(default=None, repr=False)
    model: str | None = None

    def __post_init__(self) -> None:
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise ValueError(f"region must be the name of a region, such such as 'eu-central-1', not {self.region!r}")

    @property
    def name(self) -> str:
        """``"bedrock-converse"``."""
        return NAME

    @property
    def home(self) -> Home:
        """The home of the region."""
        found = (self.region, *map(os.environ.get, _REGION_VARIABLES))
        region = next((each for each in found if each and _REGION.fullmatch(each)), None)
        suffix = "amazonaws.com.cn" if (region or "").startswith("cn-") else "amazonaws.com"
        return Home(
            base_url=None if region is None else f"https://bedrock-runtime.{region}.{suffix}",
            base_url_variable="AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
            key_variable="AWS_BEARER_TOKEN_BEDROCK",
            hint=_HINT,
        )

    def decoder(self) -> BedrockConverseDecoder:
        """A decoder for one stream."""
        return BedrockConverseDecoder(self.model)

    def http_request(self, request: ChatRequest, endpoint: Endpoint) -> WireRequest:
        """The request, streamed.

        Raises:
            UnsupportedRequestError: The request has something that the Converse API does not support.
        """
        sent = sent_messages(request, endpoint.host)
        return WireRequest(
            url=endpoint.url(f"/model/{quote(request.model, safe='')}/converse-stream"),
            headers={} if self.sign is not None else bearer(endpoint.key),
            body=body_of(request, sent),
            framing="aws-event-stream",
            repairs=tuple(sent.repairs),
            reader=replace(self, model=self.model or request.model),
            sign=self.sign,
        )
