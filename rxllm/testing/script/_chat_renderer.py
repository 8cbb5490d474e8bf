"""Scripts as chat completions send them, whose shape they have."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from rxllm.testing.script._answers import Refusal
from rxllm.testing.script._renderer import Renderer
from rxllm.testing.script._steps import StepLike

__all__ = ["ChatRenderer", "openai_error_body"]

_RATE_LIMITED = ("requests", "rate_limit_exceeded")


class ChatRenderer(Renderer):
    """Leaves the steps as they are."""

    name = "openai-chat"
    path = "/v1/chat/completions"
    base_path = "/v1"
    request_id_header = "x-request-id"

    def steps(self, steps: Iterable[StepLike]) -> Iterable[StepLike]:
        """The same steps."""
        return steps

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """``{"error": …}``."""
        return openai_error_body(refusal, status)


def openai_error_body(refusal: Refusal, status: int) -> dict[str, Any]:
    """The body of an error of OpenAI's APIs; type and code are those of the status unless they were given."""
    kind, code = "invalid_request_error", None
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        kind, code = _RATE_LIMITED
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = "server_error"
    return {
        "error": {
            "message": refusal.message,
            "type": refusal.type or kind,
            "param": None,
            "code": refusal.code or refusal.type or code,
        }
    }
