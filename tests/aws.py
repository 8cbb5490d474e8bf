"""botocore, which has no types: the second opinion on frames, requests and signatures of AWS."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from rxllm.models import is_list, is_object
from rxllm.testing import ReceivedRequest
from rxllm.wire import RequestSigner, UnsignedRequest

__all__ = ["BINARY", "botocore", "faults_of", "plain", "signature_of", "signer"]

BINARY = frozenset({"bytes", "redactedContent"})
"""The members that are bytes: in JSON they are base64."""


def botocore(name: str) -> Any:
    """A module of it."""
    return importlib.import_module(f"botocore.{name}")


@cache
def _input_shape() -> Any:
    loader = botocore("loaders").Loader()
    service = loader.load_service_model("bedrock-runtime", "service-2")
    return botocore("model").ServiceModel(service, "bedrock-runtime").operation_model("ConverseStream").input_shape


def faults_of(body: Mapping[str, Any]) -> str:
    """What is wrong with the body of a request, by the model of the service; ``""`` if nothing is.

    What is not in the model is wrong, too.
    """
    report = botocore("validate").ParamValidator().validate({"modelId": "m", **plain(body)}, _input_shape())
    return str(report.generate_report())


def plain(value: Any, name: str = "") -> Any:
    """A JSON value as botocore has it: bytes are bytes."""
    if is_list(value):
        return [plain(each) for each in value]
    if is_object(value):
        return {key: plain(each, key) for key, each in value.items()}
    return base64.b64decode(value, validate=True) if name in BINARY else value


def signer(key: str, secret: str, region: str, token: str | None = None) -> RequestSigner:
    """What signs requests with botocore, as the page on this dialect shows."""
    credentials = botocore("credentials").Credentials(key, secret, token)
    auth = botocore("auth").SigV4Auth(credentials, "bedrock", region)

    def sign(request: UnsignedRequest) -> dict[str, str]:
        headers = {"Content-Type": request.headers["Content-Type"]}
        signed = botocore("awsrequest").AWSRequest(request.method, request.url, headers, request.body)
        auth.add_auth(signed)
        return {name: value for name, value in signed.headers.items() if name not in headers}

    return sign


def signature_of(request: ReceivedRequest, secret: str) -> str:
    """The signature that a request should have, by the rules of AWS, from what came and nothing else."""
    said = request.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ")
    fields = dict(part.strip().split("=", 1) for part in said.split(","))
    _, *scope = fields["Credential"].split("/")
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            quote(request.path, safe="/-_.~"),
            request.query,
            *(f"{name}:{request.headers[name]}" for name in names),
            "",
            fields["SignedHeaders"],
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], "/".join(scope), digest])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()
