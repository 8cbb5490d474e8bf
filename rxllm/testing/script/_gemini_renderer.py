"""Scripts as the Gemini API sends them (https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from rxllm.testing.script._answers import Refusal
from rxllm.testing.script._named_steps import compact
from rxllm.testing.script._pieces import Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part
from rxllm.testing.script._steps import Event

__all__ = ["GeminiRenderer"]

_REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUSES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "INVALID_ARGUMENT",
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "RESOURCE_EXHAUSTED",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}
_CODES = {status: int(code) for code, status in _STATUSES.items()}


class GeminiRenderer(EventRenderer):
    """Says the steps of a script as the Gemini API does. A call comes whole, when its last piece is there."""

    name = "gemini"
    path = "/v1beta/models/scripted:streamGenerateContent?alt=sse"
    base_path = ""
    request_id_header = "x-request-id"

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """``{"error": {"code", "message", "status"}}``; the status is that of HTTP in words unless a type was given."""
        word = refusal.type or _STATUSES.get(status, "UNKNOWN")
        return {"error": {"code": status, "message": refusal.message, "status": word}}

    def opened(self) -> Iterator[Event]:
        """Nothing: the first part opens it."""
        yield from ()

    def begun(self, part: Part) -> Iterator[Event]:
        """Nothing: parts have no beginning."""
        if part.kind == "refusal":
            raise unsayable(self.name, "a refusal's text")
        yield from ()

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """More of a text; nothing of a call."""
        if part.kind == "text":
            yield self._of({"text": text})
        elif part.kind == "reasoning":
            yield self._of({"text": text, "thought": True})

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """A call; one that was cut never comes."""
        if part.kind == "call" and not cut:
            call = {"id": part.call.id, "name": part.call.name, "args": json.loads(part.text or "{}")}
            yield self._of({"functionCall": call})

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        """A part in the provider's words."""
        del index
        yield self._of(block)

    def finished(self, reason: str) -> Iterator[Event]:
        """The reason, and what it cost."""
        yield self._event({"candidates": [{"finishReason": _REASONS.get(reason, reason), "index": 0}]})

    def done(self) -> Iterator[Event]:
        """Nothing: the end of the body is the end."""
        yield from ()

    def failed(self, failed: Failed) -> Iterator[Event]:
        """An error as an event."""
        status = "INTERNAL" if failed.type == "server_error" else failed.type
        code = failed.code if failed.code is not None else _CODES.get(status, int(HTTPStatus.INTERNAL_SERVER_ERROR))
        yield Event(compact({"error": {"code": code, "message": failed.message, "status": status}}))

    def _of(self, part: dict[str, Any]) -> Event:
        return self._event({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}]})

    def _event(self, fields: dict[str, Any]) -> Event:
        counts = self.counts
        thoughts = {"thoughtsTokenCount": counts.reasoning} if counts.reasoning else {}
        cached = {"cachedContentTokenCount": counts.cached} if counts.cached else {}
        usage = {
            "promptTokenCount": counts.prompt,
            "candidatesTokenCount": counts.completion - counts.reasoning,
            "totalTokenCount": counts.prompt + counts.completion,
            **thoughts,
            **cached,
        }
        head = {"usageMetadata": usage, "modelVersion": "scripted", "responseId": f"response_{self.number}"}
        return Event(compact({**fields, **head}))
