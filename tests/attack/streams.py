"""The streams that are mutated: made ones, and, where ``RXLLM_CORPUS`` names a folder, recorded ones."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any, TypeGuard

from tests.recorded import streams

__all__ = ["DONE", "Event", "chunk", "completion", "is_list", "made", "recorded"]

Event = dict[str, Any] | str
"""The data of an event: a JSON object, or text."""

DONE = "[DONE]"
MAX_RECORDED = 8000


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a list, of whatever."""
    return isinstance(value, list)


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, index: int = 0, **fields: Any) -> Event:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": reason}]
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "made",
        "choices": choices,
        **fields,
    }


def call(arguments: str | None = None, name: str | None = None, of: int = 0, **fields: Any) -> Event:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return chunk({"tool_calls": [{"index": of, **fields, "function": function}]})


def legacy(text: str, reason: str | None = None) -> Event:
    return {"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": reason}]}


def completion() -> Event:
    """A whole answer in one object, as servers send it to who did not ask for a stream."""
    call = {"id": "call-1", "type": "function", "function": {"name": "delete", "arguments": '{"path": "/c"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {"id": "c-1", "object": "chat.completion", "created": 1_750_000_000, "choices": [choice]}


OPENING = chunk({"role": "assistant", "content": ""})
USAGE = chunk(usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8})
CALL = [
    call("", "delete", id="call-1", type="function"),
    call('{"pa'),
    call('th": "/tmp'),
    call('/old"}'),
]
TWO_CALLS = [
    *CALL,
    call("", "delete", 1, id="call-2", type="function"),
    call('{"path": "/a"}', of=1),
]
CALLED = chunk({}, "tool_calls")
STOPPED = chunk({}, "stop")
TEXT = [chunk({"content": "I will "}), chunk({"content": "delete it: caf\u00e9 \U0001f30a."})]


@cache
def made() -> tuple[tuple[Event, ...], ...]:
    """Streams that keep to the protocol, most with calls."""
    return (
        (OPENING, *CALL, CALLED, DONE),
        (OPENING, *CALL, CALLED, USAGE, DONE),
        (OPENING, *TEXT, *CALL, CALLED, USAGE, DONE),
        (OPENING, *TWO_CALLS, CALLED, USAGE, DONE),
        (OPENING, *TWO_CALLS, STOPPED, DONE),
        (OPENING, *CALL, CALLED),
        # The whole call at once; the reason with it.
        (call('{"path": "/a"}', "delete", id="call-1"), CALLED, DONE),
        (chunk({"tool_calls": [_whole_call()]}, "tool_calls"), DONE),
        # The reason before the last of the arguments.
        (OPENING, *CALL[:-1], CALLED, CALL[-1], DONE),
        # Nobody says a reason.
        (OPENING, *CALL, DONE),
        (OPENING, *TEXT, STOPPED, USAGE, DONE),
        (OPENING, chunk({"reasoning_content": "Is it old?"}), *TEXT, STOPPED, DONE),
        # The older API.
        (legacy("I will "), legacy("not."), legacy("", "stop"), DONE),
        # A second choice, although one was asked for.
        (OPENING, chunk({"content": "x"}, index=1), *CALL, CALLED, chunk({}, "stop", 1), DONE),
    )


def _whole_call() -> dict[str, Any]:
    return {"index": 0, "id": "call-1", "function": {"name": "delete", "arguments": '{"path": "/b"}'}}


@cache
def recorded() -> tuple[tuple[Event, ...], ...]:
    """Streams that servers really sent, if there is a folder with some."""
    bodies = [stream.wire.decode() for stream in streams("openai-chat")]
    return tuple(tuple(_events_of(body)) for body in bodies if len(body) <= MAX_RECORDED)


def _events_of(body: str) -> list[Event]:
    # U+2028 ends a line for str.splitlines, and not here.
    data = [line.removeprefix("data:").strip() for line in re.split(r"\r?\n", body) if line.startswith("data:")]
    return [_event_of(each) for each in data]


def _event_of(data: str) -> Event:
    if not data.startswith("{"):
        return data
    try:
        event: Event = json.loads(data)
    except ValueError:
        return data
    return event
