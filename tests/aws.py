"""botocore, which has no types: the second opinion on frames, requests and signatures of AWS."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from rxllm.models import is_list, is_object

__all__ = ["BINARY", "botocore", "faults_of", "plain"]

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
