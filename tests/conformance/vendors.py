"""The vendors' SDKs for their own dialects (extra ``peers``), each written as its documentation says."""

from __future__ import annotations

import asyncio
import importlib
import json
from dataclasses import replace
from typing import Any

from rxllm.testing.conformance import CHUNK_TIMEOUT, CallResult, ChatResult, ChoiceResult, ResultField
from tests.conformance.frameworks import KEY, MODEL, QUESTION, as_text

__all__ = [
    "anthropic_stream",
    "bedrock_converse",
    "cohere_stream",
    "gemini_stream",
    "ollama_chat",
    "openai_responses",
]

# What OpenAI's chat completions call these: the suite speaks one language.
STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
COHERE_REASONS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "TOOL_CALL": "tool_calls",
    "MAX_TOKENS": "length",
}
FINISH_REASONS = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter"}
REPORTS: frozenset[ResultField] = frozenset({"text", "reasoning", "refusal", "tool_calls", "finish_reason", "usage"})


async def anthropic_stream(url: str) -> ChatResult:
    """``messages.stream()`` and ``get_final_message()``."""
    library: Any = importlib.import_module("anthropic")
    messages = [{"role": "user", "content": QUESTION}]
    async with (
        library.AsyncAnthropic(base_url=url.removesuffix("/v1/messages"), api_key=KEY, timeout=CHUNK_TIMEOUT) as client,
        client.messages.stream(model="claude-opus-4-5", max_tokens=1024, messages=messages) as stream,
    ):
        message = await stream.get_final_message()
    blocks = message.content
    choice = ChoiceResult(
        text="".join(block.text for block in blocks if block.type == "text"),
        reasoning="".join(block.thinking for block in blocks if block.type == "thinking"),
        tool_calls=tuple(
            CallResult(block.name, as_text(block.input), block.id) for block in blocks if block.type == "tool_use"
        ),
        finish_reason=STOP_REASONS.get(message.stop_reason, message.stop_reason),
    )
    counts = message.usage
    cached = (counts.cache_creation_input_tokens or 0) + (counts.cache_read_input_tokens or 0)
    usage = {"prompt_tokens": counts.input_tokens + cached, "completion_tokens": counts.output_tokens}
    return ChatResult((choice,), usage, REPORTS - {"refusal"})


async def openai_responses(url: str) -> ChatResult:
    """``responses.stream()`` and ``get_final_response()``."""
    library: Any = importlib.import_module("openai")
    async with (
        library.AsyncOpenAI(base_url=url.removesuffix("/responses"), api_key=KEY, timeout=CHUNK_TIMEOUT) as client,
        client.responses.stream(model=MODEL, input=QUESTION) as stream,
    ):
        response = await stream.get_final_response()
    items = response.output
    parts = [part for item in items if item.type == "message" for part in item.content]
    calls = [item for item in items if item.type == "function_call"]
    thoughts = [part for item in items if item.type == "reasoning" for part in [*item.summary, *(item.content or ())]]
    details = response.incomplete_details
    usual = "tool_calls" if calls else "stop"
    choice = ChoiceResult(
        text="".join(part.text for part in parts if part.type == "output_text"),
        reasoning="".join(part.text for part in thoughts),
        refusal="".join(part.refusal for part in parts if part.type == "refusal"),
        tool_calls=tuple(CallResult(call.name, call.arguments, call.call_id) for call in calls),
        finish_reason=usual if details is None else details.reason.replace("max_output_tokens", "length"),
    )
    counts = response.usage
    usage = (
        {}
        if counts is None
        else {
            "prompt_tokens": counts.input_tokens,
            "completion_tokens": counts.output_tokens,
            "total_tokens": counts.total_tokens,
        }
    )
    return ChatResult((choice,), usage, REPORTS)


async def gemini_stream(url: str) -> ChatResult:
    """``aio.models.generate_content_stream()``, and the loop of its documentation: parts added up."""
    library: Any = importlib.import_module("google.genai")
    options = {"base_url": url.partition("/v1beta")[0], "timeout": int(CHUNK_TIMEOUT * 1000)}
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[CallResult] = []
    reason: str | None = None
    counts: Any = None
    async with library.Client(api_key=KEY, http_options=options).aio as client:
        async for chunk in await client.models.generate_content_stream(model=MODEL, contents=QUESTION):
            counts = chunk.usage_metadata or counts
            for candidate in (chunk.candidates or ())[:1]:
                parts = (candidate.content and candidate.content.parts) or ()
                for part in parts:
                    (thoughts if part.thought else texts).append(part.text or "")
                functions = [part.function_call for part in parts if part.function_call]
                calls += [CallResult(each.name, as_text(each.args), each.id) for each in functions]
                reason = candidate.finish_reason.value if candidate.finish_reason else reason
            if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
                reason = "SAFETY"
    choice = ChoiceResult(
        text="".join(texts),
        reasoning="".join(thoughts),
        tool_calls=tuple(calls),
        finish_reason="tool_calls" if calls and reason == "STOP" else FINISH_REASONS.get(str(reason), reason),
    )
    usage: dict[str, int] = {}
    if counts is not None:
        completion = (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
        usage = {"prompt_tokens": counts.prompt_token_count, "completion_tokens": completion}
    return ChatResult((choice,), usage, REPORTS - {"refusal"})


async def cohere_stream(url: str) -> ChatResult:
    """``AsyncClientV2.chat_stream()``, and the loop of its documentation: texts and calls added up."""
    library: Any = importlib.import_module("cohere")
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[CallResult] = []
    last: Any = None
    messages = [{"role": "user", "content": QUESTION}]
    client = library.AsyncClientV2(api_key=KEY, base_url=url.removesuffix("/v2/chat"), timeout=CHUNK_TIMEOUT)
    async with client:
        async for event in client.chat_stream(model=MODEL, messages=messages):
            match event.type:
                case "content-delta":
                    texts.append(event.delta.message.content.text or "")
                    thoughts.append(event.delta.message.content.thinking or "")
                case "tool-plan-delta":
                    thoughts.append(event.delta.message.tool_plan)
                case "tool-call-start":
                    call = event.delta.message.tool_calls
                    calls.append(CallResult(call.function.name, call.function.arguments, call.id))
                case "tool-call-delta":
                    piece = event.delta.message.tool_calls.function.arguments
                    before: CallResult = calls[int(event.index)]
                    calls[event.index] = CallResult(before.name, before.arguments + piece, before.id)
                case "message-end":
                    last = event.delta
                case _:
                    pass
    reason = None if last is None else last.finish_reason
    choice = ChoiceResult(
        text="".join(texts),
        reasoning="".join(thoughts),
        tool_calls=tuple(calls),
        finish_reason=COHERE_REASONS.get(str(reason), reason),
    )
    tokens = None if last is None or last.usage is None else last.usage.tokens
    usage = (
        {}
        if tokens is None
        else {"prompt_tokens": int(tokens.input_tokens), "completion_tokens": int(tokens.output_tokens)}
    )
    return ChatResult((choice,), usage, REPORTS - {"refusal"})


async def ollama_chat(url: str) -> ChatResult:
    """``AsyncClient.chat(stream=True)``, and the loop of its documentation: texts and calls added up."""
    library: Any = importlib.import_module("ollama")
    headers = {"Authorization": f"Bearer {KEY}"}
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[CallResult] = []
    last: Any = None
    messages = [{"role": "user", "content": QUESTION}]
    host = url.removesuffix("/api/chat")
    async with library.AsyncClient(host=host, timeout=CHUNK_TIMEOUT, headers=headers) as client:
        async for part in await client.chat(model=MODEL, messages=messages, stream=True):
            texts.append(part.message.content or "")
            thoughts.append(part.message.thinking or "")
            functions = [call.function for call in part.message.tool_calls or ()]
            calls += [CallResult(each.name, as_text(dict(each.arguments)), None) for each in functions]
            last = part
    reason = None if last is None else last.done_reason
    choice = ChoiceResult(
        text="".join(texts),
        reasoning="".join(thoughts),
        tool_calls=tuple(calls),
        finish_reason="tool_calls" if calls and reason == "stop" else reason,
    )
    counts = {} if last is None else {"prompt_tokens": last.prompt_eval_count, "completion_tokens": last.eval_count}
    usage = {name: count for name, count in counts.items() if count is not None}
    return ChatResult((choice,), usage, REPORTS - {"refusal"})


async def bedrock_converse(url: str) -> ChatResult:
    """botocore's ``converse_stream``, and the blocks put together by their index, as AWS's examples do."""
    return await asyncio.to_thread(_bedrock_converse, url)


def _bedrock_converse(url: str) -> ChatResult:
    session: Any = importlib.import_module("botocore.session")
    config: Any = importlib.import_module("botocore.config")
    origin, _, rest = url.partition("/model/")
    client = session.get_session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=origin,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=config.Config(read_timeout=CHUNK_TIMEOUT, retries={"total_max_attempts": 1}),
    )
    messages = [{"role": "user", "content": [{"text": QUESTION}]}]
    answer = client.converse_stream(modelId=rest.partition("/")[0], messages=messages)
    try:
        return _folded(answer["stream"])
    finally:
        answer["stream"].close()
        client.close()


def _folded(stream: Any) -> ChatResult:
    text, reasoning, reason = "", "", ""
    calls: dict[int, CallResult] = {}
    usage: dict[str, int] = {}
    for event in stream:
        match event:
            case {"contentBlockStart": {"start": {"toolUse": tool}, "contentBlockIndex": index}}:
                calls[index] = CallResult(tool["name"], "", tool["toolUseId"])
            case {"contentBlockDelta": {"delta": {"text": piece}}}:
                text += piece
            case {"contentBlockDelta": {"delta": {"toolUse": {"input": piece}}, "contentBlockIndex": index}}:
                calls[index] = replace(calls[index], arguments=calls[index].arguments + piece)
            case {"contentBlockDelta": {"delta": {"reasoningContent": {"text": piece}}}}:
                reasoning += piece
            case {"messageStop": {"stopReason": word}}:
                reason = STOP_REASONS.get(word, word)
            case {"metadata": {"usage": counts}}:
                cached = counts.get("cacheReadInputTokens", 0) + counts.get("cacheWriteInputTokens", 0)
                usage = {"prompt_tokens": counts["inputTokens"] + cached, "completion_tokens": counts["outputTokens"]}
            case _:
                pass
    made = tuple(replace(call, arguments=json.dumps(json.loads(call.arguments or "{}"))) for call in calls.values())
    choice = ChoiceResult(text=text, reasoning=reasoning, tool_calls=made, finish_reason=reason or None)
    return ChatResult((choice,), usage, REPORTS - {"refusal"})
