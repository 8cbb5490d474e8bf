"""Which errors in a stream are worth another try, and after how long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxllm.dialects import OpenAIChat
from rxllm.exceptions import APIStreamError
from rxllm.wire import ServerSentEvent


def failure(event: object) -> APIStreamError:
    decoder = OpenAIChat().decoder()
    with pytest.raises(APIStreamError) as caught:
        list(decoder.decode(event if isinstance(event, ServerSentEvent) else json.dumps(event)))
    return caught.value


def errors(*words: str, field: str) -> list[dict[str, Any]]:
    return [{field: word, "message": "m"} for word in words]


PASSING: list[Any] = [
    # Codes of applications.
    {"code": "1302", "message": "m"},
    {"code": 1305, "message": "m"},
    {"code": 1303, "message": "m"},
    # Kinds and codes, whatever stands before and behind.
    *errors("server_is_overloaded", "engine_overloaded", "MODEL_OVERLOADED", "overloaded_error", field="code"),
    *errors("rate_limit_reached_error", "rateLimitExceeded", "tokens_rate_limited", "RateLimitError", field="type"),
    *errors("Throttling.RateQuota", "Throttling.User", "throttled", "ThrottlingException", field="code"),
    *errors("upstream_error", "upstream_request_timeout", "UpstreamError", field="type"),
    *errors("modelStreamError", "modelStreamErrorException", "model_stream_error", field="type"),
    *errors("service_unavailable", "ServiceUnavailableException", "model_temporarily_unavailable", field="code"),
    *errors("internal_server_error", "InternalFailure", "server_error", "api_error", "internal_error", field="type"),
    *errors("timeout", "request_timed_out", "GATEWAY_TIMEOUT", "DeadlineExceeded", field="code"),
    *errors("server_busy", "concurrency_limit_exceeded", "no_capacity", "RESOURCE_EXHAUSTED", field="code"),
    *errors("insufficient_system_resource", "RequestLimitExceeded", "limit_requests", "ECONNRESET", field="code"),
    # Statuses.
    *({"code": status, "message": "m"} for status in (408, 409, 425, 429, "429", 500, 503, "529")),
    # Texts.
    {"type": "invalid_request_error", "message": "Too many requests, please wait before trying again."},
    {"message": "Rate limit reached for requests"},
    {"message": "You have exceeded your rate limit."},
    {"message": "Our servers are currently overloaded."},
    {"message": "The service is temporarily unavailable"},
    {"message": "Something went wrong. Please try again later."},
    {"message": "request reached organization max RPM: 3"},
    {"message": "The server is very busy"},
    {"message": "ThrottlingException: Rate exceeded"},
    {"message": "rate_limit_exceeded"},
]

LASTING: list[Any] = [
    {},
    {"message": "m"},
    *errors("insufficient_quota", "quota_exceeded", "exceeded_current_quota_error", field="code"),
    *errors("billing_hard_limit_reached", "payment_required", "usage_limit_reached", field="code"),
    *errors("invalid_request_error", "InvalidParameter", "BadRequestError", "unsupported_value", field="type"),
    *errors("context_length_exceeded", "prompt_too_long", "request_too_large", field="code"),
    *errors("authentication_error", "invalid_api_key", "PermissionDenied", "AccessDeniedException", field="type"),
    *errors("model_not_found", "NotFoundError", "content_filter", "ContentPolicyViolationError", field="code"),
    # Words of another sense, and within others.
    *errors("rate_limits_invalid", "invalid_timeout", "unsupported_rate_limit_tier", field="code"),
    *errors("TimeoutParameterInvalid", "timeout_not_supported", field="code"),
    *errors("serverless_error", "apiary", "conversational", field="type"),
    # What does not pass wins over what does.
    {"type": "insufficient_quota", "code": 429, "message": "m"},
    {"type": "rate_limit_error", "code": "insufficient_quota", "message": "m"},
    {"code": "rate_limit_exceeded", "type": "authentication_error", "message": "Too many requests"},
    {"type": "server_error", "code": "context_length_exceeded", "message": "m"},
    # Numbers of applications, and what is no number.
    *({"code": code, "message": "m"} for code in (400, 404, 1301, 50000, "9" * 4000, "", None)),
    # Texts that speak of something else.
    {"type": "invalid_request_error", "message": "'timeout' must be positive"},
    {"message": "the header x-rate-limit is not a number"},
    {"message": "Invalid image. Please try another one."},
    {"message": "context_length_exceeded"},
]  # fmt: skip


@pytest.mark.parametrize("fields", PASSING, ids=str)
def test_what_passes_by_waiting(fields: dict[str, Any]) -> None:
    assert failure({"error": fields}).retryable


@pytest.mark.parametrize("fields", LASTING, ids=lambda fields: str(fields)[:80])
def test_what_does_not(fields: dict[str, Any]) -> None:
    assert not failure({"error": fields or "m"}).retryable


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (ServerSentEvent("Slow down", event="ThrottlingException"), "ThrottlingException"),
        (ServerSentEvent('{"message":"m"}', event="modelStreamErrorException"), "modelStreamErrorException"),
        (ServerSentEvent('{"error":{"message":"m"}}', event="agent.OverloadedError"), "OverloadedError"),
    ],
)
def test_the_name_of_its_event_is_its_kind(event: ServerSentEvent, kind: str) -> None:
    error = failure(event)
    assert (error.type, error.retryable) == (kind, True)


def test_the_name_error_is_none() -> None:
    error = failure(ServerSentEvent('{"message":"m"}', event="error"))
    assert (error.type, error.retryable) == (None, False)


@pytest.mark.parametrize("text", ["overloaded", "Overloaded", "Too Many Requests", "rate_limit_exceeded"])
def test_an_error_that_is_but_a_text(text: str) -> None:
    assert failure({"error": text}).retryable


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"message": "Rate limit reached. Please try again in 1.2s. Visit …"}, 1.2),
        ({"message": "Please try again in 350ms."}, 0.35),
        ({"message": "Please try again in 6m0s."}, 360.0),
        ({"message": "Please retry after 26 seconds."}, 26.0),
        ({"message": "Please retry after 2 minutes."}, 120.0),
        ({"message": "Please retry in 1500 milliseconds"}, 1.5),
        ({"message": "m", "retry_after": 20}, 20.0),
        ({"message": "m", "retry_after": 2.5, "code": 429}, 2.5),
        ({"message": "m", "retry_after_ms": 1500}, 1.5),
        ({"message": "m", "metadata": {"retryAfter": "3"}}, 3.0),
        ({"message": "m", "details": [{"@type": "t", "retryDelay": "20s"}]}, 20.0),
        ({"message": "m"}, None),
        ({"message": "try again later"}, None),
        ({"message": "m", "retry_after": None}, None),
        ({"message": "m", "retry_after": -3}, None),
        ({"message": "m", "retry_after": 1e300}, None),
        ({"message": "m", "retry_after": 10**12 - 1}, None),
        ({"message": "m", "retry_after": "1.2.3"}, None),
        ({"message": "x" * 10_000 + "try again in 5s"}, None),
    ],
)
def test_how_long_to_wait(error: dict[str, Any], seconds: float | None) -> None:
    assert failure({"error": error}).retry_after == seconds
    assert failure(error | {"object": "error"}).retry_after == seconds
