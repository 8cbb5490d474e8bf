"""Scripts as OpenAI's Responses API sends them (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rxllm.testing.script._answers import Refusal
from rxllm.testing.script._chat_renderer import openai_error_body
from rxllm.testing.script._pieces import Failed, unsayable
from rxllm.testing.script._renderer import EventRenderer, Part, named_event
from rxllm.testing.script._responses_texts import ItemText, Payload, texts_of
from rxllm.testing.script._steps import Event

__all__ = ["ResponsesRenderer"]

_CREATED = 1_750_000_000
# The status of the response, which is the name of the last event, too; and why it is incomplete.
_REASONS: dict[str, tuple[str, str | None]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "completed": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
    "max_output_tokens": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    "error": ("failed", None),
    "failed": ("failed", None),
    "cancelled": ("cancelled", None),
}
_MODEL_FAILED = {"code": "server_error", "message": "The model failed to generate a response."}
_PREFIXES = {"text": "msg", "refusal": "msg", "reasoning": "rs", "call": "fc"}
_TEXTS = {"text": "output_text", "refusal": "refusal", "reasoning": "summary_text", "call": "function_call"}
# What a response says of the request.
_REQUEST: Payload = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


class ResponsesRenderer(EventRenderer):
    """Says the steps of a script as the Responses API does. ``script.done`` says nothing: the finish is the end."""

    name = "openai-responses"
    path = "/v1/responses"
    base_path = "/v1"
    request_id_header = "x-request-id"

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._output: list[Payload] = []
        self._sequence = 0

    def error_body(self, refusal: Refusal, status: int) -> dict[str, Any]:
        """``{"error": …}``, as of chat completions."""
        return openai_error_body(refusal, status)

    def opened(self) -> Iterator[Event]:
        """``response.created`` and ``response.in_progress``."""
        for name in ("created", "in_progress"):
            yield self._event({"type": f"response.{name}", "response": self._response("in_progress")})

    def begun(self, part: Part) -> Iterator[Event]:
        """``response.output_item.added``, and for a text ``….added`` of its part."""
        item, _ = texts_of(self._item(part, "in_progress"), part.index)
        yield self._event({"type": "response.output_item.added", "output_index": part.index, "item": item})
        yield from self._events(self._text_of(part).begun())

    def added(self, part: Part, text: str) -> Iterator[Event]:
        """A ``….delta``."""
        yield self._event(self._text_of(part).added(text))

    def ended(self, part: Part, *, cut: bool) -> Iterator[Event]:
        """``….done`` of what there is of it, and of the item, which is ``incomplete`` if it is cut."""
        item = self._item(part, "incomplete" if cut else "completed")
        text = self._text_of(part)
        yield from self._events(text.ended(item if part.kind == "call" else text.part(part.text)))
        yield self._end(part.index, item)

    def block(self, index: int, block: dict[str, Any]) -> Iterator[Event]:
        """An item of the output, with the texts of messages, reasoning and calls in deltas."""
        begun, texts = texts_of(block, index)
        if "status" in begun:
            begun = {**begun, "status": "in_progress"}
        yield self._event({"type": "response.output_item.added", "output_index": index, "item": begun})
        for text, part in texts:
            yield from self._events(text.whole(part))
        yield self._end(index, block)

    def finished(self, reason: str) -> Iterator[Event]:
        """``response.completed``, or how else it ended."""
        if reason not in _REASONS:
            raise unsayable(self.name, f"the finish reason {reason!r}")
        status, why = _REASONS[reason]
        counts = self.counts
        usage = {
            "input_tokens": counts.prompt,
            "input_tokens_details": {"cached_tokens": counts.cached},
            "output_tokens": counts.completion,
            "output_tokens_details": {"reasoning_tokens": counts.reasoning},
            "total_tokens": counts.prompt + counts.completion,
        }
        error = _MODEL_FAILED if status == "failed" else None
        details = {"reason": why} if why else None
        response = self._response(status, usage=usage, error=error, incomplete_details=details)
        yield self._event({"type": f"response.{status}", "response": response})

    def done(self) -> Iterator[Event]:
        """Nothing: the finish was the end."""
        return iter(())

    def failed(self, failed: Failed) -> Iterator[Event]:
        """``error``, and then ``response.failed``."""
        code = failed.type if failed.code is None else str(failed.code)
        yield self._event({"type": "error", "code": code, "message": failed.message, "param": None})
        error = {"code": code, "message": failed.message}
        yield self._event({"type": "response.failed", "response": self._response("failed", error=error)})

    def _text_of(self, part: Part) -> ItemText:
        return ItemText(_TEXTS[part.kind], self._id(part), part.index)

    def _id(self, part: Part) -> str:
        return f"{_PREFIXES[part.kind]}_{self.number}_{part.index}"

    def _item(self, part: Part, status: str) -> Payload:
        head = {"id": self._id(part)}
        match part.kind:
            case "call":
                call = {"arguments": part.text, "call_id": part.call.id, "name": part.call.name}
                return {**head, "type": "function_call", "status": status, **call}
            case "reasoning":
                summary = [self._text_of(part).part(part.text)]
                encrypted = f"encrypted_{self.number}_{part.index}"
                return {**head, "type": "reasoning", "encrypted_content": encrypted, "summary": summary}
            case _:
                content = [self._text_of(part).part(part.text)]
                return {**head, "type": "message", "status": status, "content": content, "role": "assistant"}

    def _end(self, index: int, item: Payload) -> Event:
        self._output.append(item)
        return self._event({"type": "response.output_item.done", "output_index": index, "item": item})

    def _response(self, status: str, **fields: Any) -> Payload:
        return {
            "id": f"resp_{self.number}",
            "object": "response",
            "created_at": _CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": "scripted",
            "output": self._output,
            "usage": None,
            **_REQUEST,
            **fields,
        }

    def _events(self, payloads: Iterable[Payload]) -> Iterator[Event]:
        return map(self._event, payloads)

    def _event(self, payload: Payload) -> Event:
        self._sequence += 1
        return named_event({**payload, "sequence_number": self._sequence - 1})
