"""Answers that are no stream of chat completions, or are not said to be one."""

from __future__ import annotations

import json
from typing import Any

from rxllm.testing.conformance._case import Case
from rxllm.testing.conformance._wire import DONE, STOP, called, case, delta, event, not_a_stream, said
from rxllm.testing.script import Answer

__all__ = ["NO_STREAM_CASES"]

LATE = delta(role="assistant", content="It is ") + delta(content="late.")
PARIS = called(("a", "get_weather", '{"city":"Paris"}'))
PROTOCOLS: dict[str, tuple[Any, ...]] = {
    "responses": (
        "the Responses API",
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": "It is late."},
        {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}},
    ),
    "anthropic": (
        "the Messages API",
        {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": []}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It is late."}},
        {"type": "message_stop"},
    ),
    "assistants": (
        "the Assistants API",
        {
            "id": "msg_1",
            "object": "thread.message.delta",
            "delta": {"content": [{"index": 0, "type": "text", "text": {"value": "It is late."}}]},
        },
    ),
    "gemini": (
        "the Gemini API",
        {"candidates": [{"content": {"parts": [{"text": "It is late."}], "role": "model"}, "finishReason": "STOP"}]},
    ),
}
COMPLETION = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_750_000_000, "model": "scripted"}


def completion(**message: Any) -> bytes:
    """A whole answer as JSON, with the message of its one choice."""
    reason = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": reason}
    return json.dumps({**COMPLETION, "choices": [choice]}).encode()


PARIS_CALL = {
    "id": "a",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
}
NO_STREAM_CASES: tuple[Case, ...] = (
    case(
        "Q47-json",
        "a whole JSON completion",
        not_a_stream(completion(content="It is late."), "application/json"),
        said("It is late."),
    ),
    case(
        "Q47-call",
        "a whole JSON completion with a call",
        not_a_stream(completion(tool_calls=[PARIS_CALL]), "application/json"),
        PARIS,
    ),
    case(
        "Q47-events",
        "a whole JSON completion under text/event-stream",
        not_a_stream(completion(content="It is late."), "text/event-stream"),
        said("It is late."),
    ),
    *(
        case(f"Q48-{name}", f"a stream under {media_type or 'no media type'}", answer, said("It is late."))
        for name, media_type in (
            ("plain", "text/plain"),
            ("json", "application/json"),
            ("two", "text/event-stream, application/json"),
            ("second", "text/plain;charset=utf-8, text/event-stream"),
        )
        for answer in (Answer((LATE + STOP,), content_type=media_type),)
    ),
    *(
        case(f"Q49-{name}", f"a stream of {protocol}", b"".join(map(event, events)) + DONE)
        for name, (protocol, *events) in PROTOCOLS.items()
    ),
)
