"""What a chunk of text costs in each dialect: answers as the providers send them, and the client that reads them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import rxllm
from rxllm.wire import encode_aws_frame
from tests.benchmarks.payload import CONTENT, answer, digest

__all__ = ["DIALECTS", "dialect_answer", "run"]

DIALECTS = ("openai-chat", "anthropic", "openai-responses", "gemini", "bedrock-converse", "cohere", "ollama")

REQUEST = rxllm.ChatRequest(
    model="scripted", max_tokens=100_000, messages=[rxllm.Message(role=rxllm.Role.USER, content="Hello")]
)


def _named(payload: dict[str, Any]) -> bytes:
    data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return f"event: {payload['type']}\ndata: {data}\n\n".encode()


def _of_anthropic(count: int) -> tuple[bytes, ...]:
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [],
    }
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _named({"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}),
        _named({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *(
            _named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in _pieces(count)
        ),
        _named({"type": "content_block_stop", "index": 0}),
        _named({"type": "message_delta", "delta": ended, "usage": {"output_tokens": count}}),
        _named({"type": "message_stop"}),
    )


def _of_responses(count: int) -> tuple[bytes, ...]:
    """With numbers and padding, as OpenAI sends them."""
    response: dict[str, Any] = {"id": "resp_1", "object": "response", "created_at": 1735689600, "model": "scripted"}
    item: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    place = {"item_id": "msg_1", "output_index": 0}
    whole = "".join(_pieces(count))
    content: list[dict[str, Any]] = [{"type": "output_text", "annotations": [], "logprobs": [], "text": whole}]
    usage = {"input_tokens": 10, "output_tokens": count, "total_tokens": 10 + count}
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": []}
    done: dict[str, Any] = {**item, "status": "completed", "content": content}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        *(
            {
                "type": "response.output_text.delta",
                **place,
                "content_index": 0,
                "delta": piece,
                "logprobs": [],
                "obfuscation": "aB3dE5gH7"[number % 9 :],
            }
            for number, piece in enumerate(_pieces(count))
        ),
        {"type": "response.output_text.done", **place, "content_index": 0, "text": whole, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**response, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    return tuple(_named({**each, "sequence_number": number}) for number, each in enumerate(events))


def _of_gemini(count: int) -> tuple[bytes, ...]:
    """With what the answer cost so far in each event, as Google sends it."""
    events: list[dict[str, Any]] = []
    for number, piece in enumerate(_pieces(count), 1):
        candidate = {"content": {"parts": [{"text": piece}], "role": "model"}, "index": 0}
        counts = {"promptTokenCount": 10, "candidatesTokenCount": number, "totalTokenCount": number + 10}
        details = [{"modality": "TEXT", "tokenCount": 10}]
        usage = {**counts, "promptTokensDetails": details}
        head = {"usageMetadata": usage, "modelVersion": "scripted", "responseId": "response_1"}
        ended = {"finishReason": "STOP"} if number == count else {}
        events.append({"candidates": [{**candidate, **ended}], **head})
    return tuple(
        f"data: {json.dumps(each, ensure_ascii=False, separators=(',', ':'))}\r\n\r\n".encode() for each in events
    )


def _of_cohere(count: int) -> tuple[bytes, ...]:
    tokens = {"input_tokens": 10, "output_tokens": count}
    message: dict[str, Any] = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    begun = {"message": {"content": {"type": "text", "text": ""}}}
    ended = {"finish_reason": "COMPLETE", "usage": {"billed_units": tokens, "tokens": tokens, "cached_tokens": 0}}
    return (
        _named({"id": "m1", "type": "message-start", "delta": {"message": message}}),
        _named({"type": "content-start", "index": 0, "delta": begun}),
        *(
            _named({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}})
            for piece in _pieces(count)
        ),
        _named({"type": "content-end", "index": 0}),
        _named({"type": "message-end", "delta": ended}),
    )


def _of_ollama(count: int) -> tuple[bytes, ...]:
    head = {"model": "scripted", "created_at": "2026-01-01T00:00:00.123456789Z"}
    lines: list[dict[str, Any]] = [
        {**head, "message": {"role": "assistant", "content": piece}, "done": False} for piece in _pieces(count)
    ]
    counts = {"total_duration": 9, "load_duration": 1, "prompt_eval_count": 10, "eval_count": count}
    last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **counts}
    return tuple(
        f"{json.dumps(each, ensure_ascii=False, separators=(',', ':'))}\n".encode()
        for each in (*lines, {**head, **last})
    )


def _of_bedrock(count: int) -> tuple[bytes, ...]:
    """With padding, as Bedrock sends it."""
    usage = {"inputTokens": 10, "outputTokens": count, "totalTokens": 10 + count}
    return (
        _frame("messageStart", {"role": "assistant"}),
        *(
            _frame(
                "contentBlockDelta",
                {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdefghijklmnopqrstuvwxyz"[number % 26 :]},
            )
            for number, piece in enumerate(_pieces(count))
        ),
        _frame("contentBlockStop", {"contentBlockIndex": 0}),
        _frame("messageStop", {"stopReason": "end_turn"}),
        _frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    )


def _frame(name: str, payload: dict[str, Any]) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_aws_frame(headers, json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())


def _pieces(count: int) -> list[str]:
    return [CONTENT[number % len(CONTENT)] for number in range(count)]


_ANSWERS: dict[str, Callable[[int], tuple[bytes, ...]]] = {
    "anthropic": _of_anthropic,
    "openai-responses": _of_responses,
    "gemini": _of_gemini,
    "cohere": _of_cohere,
    "ollama": _of_ollama,
    "bedrock-converse": _of_bedrock,
    "openai-chat": lambda count: answer("openai", count),
}


def dialect_answer(kind: str, count: int) -> tuple[bytes, ...]:
    """An answer of so many chunks of text in a dialect, or of another kind: see ``payload.answer``."""
    return _ANSWERS[kind](count) if kind in _ANSWERS else answer(kind, count)


async def run(dialect: str, url: str) -> dict[str, Any]:
    """Read an answer as users do, each chunk and then the completion: its digest and seconds of CPU."""
    began = time.process_time()
    folded = rxllm.StreamAccumulator()
    async with rxllm.LLMClient(base_url=url, api_key="none", dialect=dialect) as client:
        async for chunk in rxllm.iterate(client.chat_stream(REQUEST)):
            for choice in chunk.choices:
                _ = choice.delta.content
            folded.add(chunk)
    completion = folded.completion()
    return {"cpu": time.process_time() - began, "digest": digest(completion.text)}
