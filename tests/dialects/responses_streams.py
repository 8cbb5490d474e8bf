"""Answers of the Responses API as its events, the way OpenAI's server sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import get_dialect
from rxllm.exceptions import RxllmError
from rxllm.models import ChatCompletion, StreamChunk
from rxllm.wire import ServerSentEvent

Event = dict[str, Any]
Item = Mapping[str, Any]

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 32,
}


def response(output: Sequence[Item] = (), status: str = "completed", **fields: Any) -> dict[str, Any]:
    """An answer as a whole."""
    usage = USAGE if status in ("completed", "incomplete") else None
    head = {"id": "resp_1", "object": "response", "created_at": 1741269019, "model": "gpt-5-mini-2025-08-07"}
    return {**head, "status": status, "output": [*output], "usage": usage, **fields}


def message(text: str, *, id: str = "msg_1", annotations: Sequence[Item] = (), **fields: Any) -> dict[str, Any]:
    """A message of the model."""
    content = {"type": "output_text", "text": text, "annotations": [*annotations], "logprobs": []}
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": [content], **fields}


def reasoning(*summaries: str, id: str = "rs_1", **fields: Any) -> dict[str, Any]:
    """Reasoning, encrypted."""
    summary = [{"type": "summary_text", "text": each} for each in summaries]
    return {"type": "reasoning", "id": id, "summary": summary, "encrypted_content": f"gAAAA-{id}", **fields}


def call(name: str, arguments: str, *, id: str = "fc_1", call_id: str = "call_1", **fields: Any) -> dict[str, Any]:
    """A call of a function."""
    said = {"id": id, "call_id": call_id, "name": name, "arguments": arguments}
    return {"type": "function_call", **said, "status": "completed", **fields}


def custom_call(name: str, text: str, *, id: str = "ctc_1", call_id: str = "call_c", **fields: Any) -> dict[str, Any]:
    """A call of a custom tool."""
    said = {"id": id, "call_id": call_id, "name": name, "input": text}
    return {"type": "custom_tool_call", **said, "status": "completed", **fields}


def web_search(query: str, *, id: str = "ws_1") -> dict[str, Any]:
    """A search that the server made."""
    action = {"type": "search", "query": query, "sources": [{"type": "url", "url": "https://a.example"}]}
    return {"type": "web_search_call", "id": id, "status": "completed", "action": action}


def code(text: str, *, id: str = "ci_1") -> dict[str, Any]:
    """A program that the server ran."""
    ran = {"container_id": "cntr_1", "outputs": [{"type": "logs", "logs": "7"}]}
    return {"type": "code_interpreter_call", "id": id, "status": "completed", "code": text, **ran}


def cited(start: int, end: int, url: str = "https://a.example") -> dict[str, Any]:
    """A citation."""
    return {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": "A"}


def events_of(output: Sequence[Item], **fields: Any) -> list[Event]:
    """The events of an answer with these items."""
    whole = response(output, **fields)
    bare = response(status="in_progress")
    events: list[Event] = [{"type": f"response.{each}", "response": bare} for each in ("created", "in_progress")]
    for place, item in enumerate(output):
        events += _events_of_item(place, item)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _events_of_item(place: int, item: Item) -> Iterator[Event]:
    where = {"output_index": place, "item_id": item.get("id")}
    empty: dict[str, Any] = {"content": [], "summary": [], "arguments": "", "input": "", "code": ""}
    bare = {**item, **{name: value for name, value in empty.items() if name in item}}
    yield {"type": "response.output_item.added", "output_index": place, "item": bare}
    match item["type"]:
        case "message":
            for index, part in enumerate(item["content"]):
                yield from _events_of_content({**where, "content_index": index}, part)
        case "reasoning":
            for index, part in enumerate(item["summary"]):
                at = {**where, "summary_index": index}
                yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
                yield from _pieces("reasoning_summary_text", at, "text", part["text"])
                yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
        case "function_call":
            yield from _pieces("function_call_arguments", where, "arguments", item["arguments"])
        case "custom_tool_call":
            yield from _pieces("custom_tool_call_input", where, "input", item["input"])
        case "code_interpreter_call":
            yield from _pieces("code_interpreter_call_code", where, "code", item["code"])
        case kind:
            yield {"type": f"response.{kind}.in_progress", **where}
            yield {"type": f"response.{kind}.completed", **where}
    yield {"type": "response.output_item.done", "output_index": place, "item": deepcopy({**item})}


def _events_of_content(where: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[Event]:
    name = "text" if part["type"] == "output_text" else "refusal"
    yield {"type": "response.content_part.added", **where, "part": {**part, name: "", "annotations": []}}
    yield from _pieces(part["type"], where, name, part[name])
    for index, annotation in enumerate(part.get("annotations", ())):
        added = {"annotation_index": index, "annotation": annotation}
        yield {"type": "response.output_text.annotation.added", **where, **added}
    yield {"type": "response.content_part.done", **where, "part": part}


def _pieces(name: str, where: Mapping[str, Any], field: str, text: str) -> Iterator[Event]:
    for start in range(0, len(text), 5):
        yield {"type": f"response.{name}.delta", **where, "delta": text[start : start + 5], "obfuscation": "x"}
    yield {"type": f"response.{name}.done", **where, field: text}


def wire(events: Iterable[Event]) -> bytes:
    """The events as the body of an answer."""
    return "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events).encode()


def decode(events: Iterable[Event | str]) -> tuple[list[StreamChunk], RxllmError | None]:
    """The chunks of events, and the error they end with."""
    decoder = get_dialect("openai-responses").decoder()
    chunks: list[StreamChunk] = []
    try:
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            name = "message" if isinstance(event, str) else event.get("type", "message")
            chunks += decoder.decode(ServerSentEvent(text, name))
        chunks += decoder.close()
    except RxllmError as error:
        return chunks, error
    return chunks, None


def completion_of(events: Iterable[Event | str]) -> ChatCompletion:
    """The answer that events are; of one that fails what there is of it."""
    chunks, error = decode(events)
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.completion(ended=True) if error is None else accumulator.partial()
