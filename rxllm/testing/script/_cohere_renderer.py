"""Scripts as Cohere's Chat API sends them (https://docs.cohere.com/v2/docs/streaming)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rxllm.testing.script._answers import NO_SCRIPT, Refusal
from rxllm.testing.script._pieces import Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part, named_event
from rxllm.testing.script._steps import Event

__all__ = ["CohereRenderer"]

_REASONS = {"stop": "COMPLETE", "tool_calls": "TOOL_CALL", "length": "MAX_TOKENS", "content_filter": "ERROR_TOXIC"}
_FIELDS = {"text": "text", "reasoning": "thinking"}


class CohereRenderer(EventRenderer):
    """Says the steps of a script as Cohere's Chat API does."""

    name = "cohere"
    path = "/v2/chat"
    base_path = ""
    request_id_header = "x-debug-trace-id"

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._contents = self._calls = 0
        self._place = 0

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """``{"id", "message"}``, whatever the status."""
        del status
        if refusal.type not in {None, NO_SCRIPT} or refusal.code is not None:
            raise unsayable(self.name, "type or code of an error")
        return {"id": self.request_id, "message": refusal.message}

    def opened(self) -> Iterator[Event]:
        """``message-start``."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": [],
            "tool_plan": "",
            "tool_calls": [],
            "citations": [],
        }
        yield named_event({"id": f"message_{self.number}", "type": "message-start", "delta": {"message": message}})

    def begun(self, part: Part) -> Iterator[Event]:
        """``content-start`` or ``tool-call-start``."""
        if part.kind == "call":
            self._place, self._calls = self._calls, self._calls + 1
            call = {"id": part.call.id, "type": "function", "function": {"name": part.call.name, "arguments": ""}}
            yield self._event("tool-call-start", {"tool_calls": call})
            return
        if part.kind == "refusal":
            raise unsayable(self.name, "a refusal's text")
        self._place, self._contents = self._contents, self._contents + 1
        field = _FIELDS[part.kind]
        yield self._event("content-start", {"content": {"type": field, field: ""}})

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """``content-delta`` or ``tool-call-delta``."""
        if part.kind != "call":
            yield self._event("content-delta", {"content": {_FIELDS[part.kind]: text}})
        elif text:
            yield self._event("tool-call-delta", {"tool_calls": {"function": {"arguments": text}}})

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """``content-end`` or ``tool-call-end``; a call that was cut has none."""
        if not (cut and part.kind == "call"):
            yield self._event("tool-call-end" if part.kind == "call" else "content-end")

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        """A content in the provider's words, whole in its beginning; or ``{"tool_plan": …}``, or a citation."""
        del index
        if "tool_plan" in block:
            yield named_event({"type": "tool-plan-delta", "delta": {"message": block}})
        elif "sources" in block:
            yield named_event({"type": "citation-start", "index": 0, "delta": {"message": {"citations": block}}})
            yield named_event({"type": "citation-end", "index": 0})
        else:
            self._place, self._contents = self._contents, self._contents + 1
            yield self._event("content-start", {"content": block})
            yield self._event("content-end")

    def finished(self, reason: str) -> Iterator[Event]:
        """``message-end``."""
        counts = self.counts
        tokens = {"input_tokens": counts.prompt, "output_tokens": counts.completion}
        usage = {"billed_units": tokens, "tokens": tokens, "cached_tokens": counts.cached}
        delta = {"finish_reason": _REASONS.get(reason, reason), "usage": usage}
        yield named_event({"type": "message-end", "delta": delta})

    def done(self) -> Iterator[Event]:
        """Nothing: ``message-end`` is the end."""
        yield from ()

    def failed(self, failed: Failed) -> Iterator[Event]:
        """``message-end`` with an error."""
        delta = {"finish_reason": "ERROR", "error": failed.message}
        yield named_event({"type": "message-end", "delta": delta})

    def _event(self, kind: str, message: dict[str, Any] | None = None) -> Event:
        said = {} if message is None else {"delta": {"message": message}}
        return named_event({"type": kind, "index": self._place, **said})
