"""Events of OpenAI's Responses API: what the cases of that dialect send."""

from __future__ import annotations

from typing import Any

from rxllm.testing.conformance._named_events import Payload

__all__ = [
    "CALL",
    "END",
    "MESSAGE",
    "USAGE",
    "WHOLE",
    "added",
    "at",
    "call",
    "calls",
    "created",
    "done",
    "message",
    "response",
    "said_of",
    "texts",
]

MESSAGE = "msg_1"
CALL = "fc_1"


def response(kind: str, output: list[Payload] | None = None, **fields: Any) -> Payload:
    head = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": kind,
        "model": "scripted",
        "error": None,
        "incomplete_details": None,
        "output": output or [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    return {"type": f"response.{kind}", "response": {**head, **fields}}


def created() -> Payload:
    return {**response("in_progress"), "type": "response.created"}


def added(item: Payload, index: int = 0) -> Payload:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: Payload, index: int = 0) -> Payload:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def message(text: str | None = None, status: str = "completed") -> Payload:
    content: list[Payload] = (
        [] if text is None else [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    )
    return {"id": MESSAGE, "type": "message", "role": "assistant", "status": status, "content": content}


def call(arguments: str, status: str = "completed", id: str = CALL, call_id: str = "call_a") -> Payload:
    head = {"id": id, "type": "function_call", "status": status}
    return {**head, "call_id": call_id, "name": "get_weather", "arguments": arguments}


def at(kind: str, item: str, index: int = 0, **fields: Any) -> Payload:
    return {"type": f"response.{kind}", "item_id": item, "output_index": index, **fields}


def said_of(item: str, kind: str, *pieces: str, index: int = 0) -> list[Payload]:
    return [at(f"{kind}.delta", item, index, content_index=0, delta=piece) for piece in pieces]


def part(kind: str, text: str, index: int = 0) -> Payload:
    inner: Payload = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return at(f"content_part.{kind}", MESSAGE, index, content_index=0, part=inner)


def texts(index: int = 0) -> list[Payload]:
    """A message in two pieces, with all that belongs to it."""
    return [
        added(message(status="in_progress"), index),
        part("added", "", index),
        *said_of(MESSAGE, "output_text", "It is ", "late.", index=index),
        at("output_text.done", MESSAGE, index, content_index=0, text="It is late.", logprobs=[]),
        part("done", "It is late.", index),
        done(message("It is late."), index),
    ]


def calls(*pieces: str, index: int = 0, id: str = CALL, call_id: str = "call_a") -> list[Payload]:
    whole = "".join(pieces)
    return [
        added(call("", "in_progress", id, call_id), index),
        *[at("function_call_arguments.delta", id, index, delta=piece) for piece in pieces],
        at("function_call_arguments.done", id, index, arguments=whole),
        done(call(whole, id=id, call_id=call_id), index),
    ]


USAGE = {
    "input_tokens": 25,
    "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 65,
}
END = response("completed", [message("It is late.")], usage=USAGE)
WHOLE = [created(), *texts(), END]
