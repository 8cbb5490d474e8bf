"""Scripts as Anthropic's Messages API sends them (https://docs.claude.com/en/docs/build-with-claude/streaming)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from rxllm.testing.script._answers import Refusal
from rxllm.testing.script._pieces import Counts, Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part, named_event
from rxllm.testing.script._steps import Event

__all__ = ["AnthropicRenderer"]

_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}
_OVERLOADED = 529
_ERRORS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
    _OVERLOADED: "overloaded_error",
}
_DELTAS = {
    "text": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "call": ("input_json_delta", "partial_json"),
}
_PING = named_event({"type": "ping"})
_CALLS = {"tool_use", "server_tool_use", "mcp_tool_use"}


class AnthropicRenderer(EventRenderer):
    """Says the steps of a script as the Messages API does."""

    name = "anthropic"
    path = "/v1/messages"
    base_path = ""
    request_id_header = "request-id"
    keep_alive = _PING

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """``{"type": "error", …}``; the type is that of the status unless it was given."""
        if refusal.code is not None:
            raise unsayable(self.name, f"the code {refusal.code!r} of an error")
        return self._error(refusal.type or _ERRORS.get(status, "api_error"), refusal.message)

    def opened(self) -> Iterator[Event]:
        """``message_start``."""
        counts = self.counts
        message: dict[str, Any] = {
            "id": f"msg_{self.number}",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(Counts(counts.prompt, 1, counts.cached)),
        }
        yield named_event({"type": "message_start", "message": message})

    def begun(self, part: Part) -> Iterator[Event]:
        """``content_block_start``; behind the first one a ping."""
        match part.kind:
            case "text":
                block: dict[str, Any] = {"type": "text", "text": ""}
            case "reasoning":
                block = {"type": "thinking", "thinking": "", "signature": ""}
            case "call":
                block = {"type": "tool_use", "id": part.call.id, "name": part.call.name, "input": {}}
            case _:
                raise unsayable(self.name, "a refusal's text")
        yield from self._start(part.index, block)

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """``content_block_delta``."""
        kind, field = _DELTAS[part.kind]
        yield _delta(part.index, kind, {field: text})

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """``content_block_stop``; thinking that is whole has a signature."""
        if part.kind == "reasoning" and not cut:
            yield _delta(part.index, "signature_delta", {"signature": f"signature_{self.number}_{part.index}"})
        yield _stop(part.index)

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        """A block of the content: what comes in pieces does, all others are whole in their beginning."""
        start, deltas = dict(block), list[Event]()
        match block:
            case {"type": "text", "text": text}:
                start |= {"text": ""}
                cited: list[dict[str, Any]] = start.pop("citations", None) or []
                deltas += [_delta(index, "citations_delta", {"citation": each}) for each in cited]
                deltas += [_delta(index, "text_delta", {"text": text})]
            case {"type": "thinking", "thinking": text, "signature": signature}:
                start |= {"thinking": "", "signature": ""}
                deltas = [_delta(index, "thinking_delta", {"thinking": text})] if text else []
                deltas += [_delta(index, "signature_delta", {"signature": signature})]
            case {"type": kind, "input": value} if kind in _CALLS:
                start |= {"input": {}}
                deltas = [_delta(index, "input_json_delta", {"partial_json": piece}) for piece in _json_pieces(value)]
            case _:
                pass
        yield from self._start(index, start)
        yield from deltas
        yield _stop(index)

    def finished(self, reason: str) -> Iterator[Event]:
        """``message_delta``. Words that chat completions do not have are taken as they are."""
        delta = {"stop_reason": _REASONS.get(reason, reason), "stop_sequence": None}
        yield named_event({"type": "message_delta", "delta": delta, "usage": _usage(self.counts)})

    def done(self) -> Iterator[Event]:
        """``message_stop``."""
        yield named_event({"type": "message_stop"})

    def failed(self, failed: Failed) -> Iterator[Event]:
        """An event named ``error``."""
        if failed.code is not None:
            raise unsayable(self.name, f"the code {failed.code!r} of an error")
        kind = "api_error" if failed.type == "server_error" else failed.type
        yield named_event(self._error(kind, failed.message))

    def _error(self, kind: str, message: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": self.request_id}

    def _start(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        yield named_event({"type": "content_block_start", "index": index, "content_block": block})
        if index == 0:
            yield _PING


def _usage(counts: Counts) -> dict[str, Any]:
    """Tokens of the cache stand beside those of the input, those of the thinking within those of the output."""
    usage: dict[str, Any] = {
        "input_tokens": counts.prompt - counts.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached,
        "output_tokens": counts.completion,
    }
    return {**usage, "output_tokens_details": {"thinking_tokens": counts.reasoning}} if counts.reasoning else usage


def _delta(index: int, kind: str, fields: dict[str, Any]) -> Event:
    return named_event({"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}})


def _stop(index: int) -> Event:
    return named_event({"type": "content_block_stop", "index": index})


def _json_pieces(value: Any) -> list[str]:
    """An empty piece, and the value in two."""
    text = json.dumps(value)
    half = len(text) // 2
    return ["", text[:half], text[half:]]
