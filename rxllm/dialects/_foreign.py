"""Streams of other protocols, and what they are known by.

Rules:

1. Only what no other protocol has is a mark: a word that is one event's name, or fields that belong together.
2. It is looked for until the first event of the own protocol has come. After that such an object is something that a
   gateway has put in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from rxllm.models import is_list, is_object
from rxllm.wire import SSEDecoder, starts_events

CHAT = "the chat completions of OpenAI"
RESPONSES = "the Responses API of OpenAI"
_REALTIME = "the Realtime API of OpenAI"
_ASSISTANTS = "the Assistants API of OpenAI"
MESSAGES = "the Messages API of Anthropic"
_COHERE_1 = "the Chat API of Cohere, version 1"
COHERE = "the Chat API of Cohere, version 2"
GEMINI = "the Gemini API of Google"
CONVERSE = "the Bedrock API of Amazon"
OLLAMA = "the API of Ollama under /api"
_TGI = "the API of text-generation-inference under /generate_stream"
_LLAMA_CPP = "the API of llama.cpp under /completion"
_SGLANG = "the API of SGLang under /generate"
_DIFY = "the API of Dify"
_AG_UI = "AG-UI"
_AI_SDK = "the AI SDK of Vercel"
_JSON_RPC = "JSON-RPC, as MCP and A2A use it"

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("message_start", "message_delta", "message_stop"), MESSAGES),
        **dict.fromkeys(("content_block_start", "content_block_delta", "content_block_stop"), MESSAGES),
        **dict.fromkeys(("message-start", "content-start", "content-delta", "content-end", "message-end"), COHERE),
        **dict.fromkeys(("tool-plan-delta", "tool-call-start", "tool-call-delta", "tool-call-end"), COHERE),
        **dict.fromkeys(("stream-start", "text-generation", "tool-calls-generation", "stream-end"), _COHERE_1),
        **dict.fromkeys(("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop"), CONVERSE),
        **dict.fromkeys(("RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "STEP_STARTED"), _AG_UI),
        **dict.fromkeys(("start-step", "text-start", "text-delta", "reasoning-start", "tool-input-start"), _AI_SDK),
    }
)
"""What an event calls itself: its name, its ``type`` or its ``event_type``."""

_BEGINNINGS = (
    ("chat.completion", CHAT),
    ("text_completion", CHAT),
    ("response.", RESPONSES),
    ("thread.", _ASSISTANTS),
    ("session.", _REALTIME),
    ("conversation.item", _REALTIME),
    ("input_audio_buffer.", _REALTIME),
)

_MEMBERS: Mapping[str, str] = MappingProxyType(
    {
        "candidates": GEMINI,
        "promptFeedback": GEMINI,
        "usageMetadata": GEMINI,
        **dict.fromkeys(("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop"), CONVERSE),
        "inputTextTokenCount": CONVERSE,
        "jsonrpc": _JSON_RPC,
        "is_finished": _COHERE_1,
    }
)
"""A field that nothing else has."""


def _has(**kinds: type) -> Callable[[Mapping[str, Any]], bool]:
    return lambda fields: all(isinstance(fields.get(name), kind) for name, kind in kinds.items())


_SHAPES: tuple[tuple[Callable[[Mapping[str, Any]], bool], str], ...] = (
    (_has(model=str, done=bool, message=dict), OLLAMA),
    (_has(model=str, done=bool, response=str), OLLAMA),
    (_has(id=str, message=dict, finish_reason=str), COHERE),
    (_has(token=dict, index=int), _TGI),
    (_has(content=str, stop=bool), _LLAMA_CPP),
    (_has(text=str, meta_info=dict), _SGLANG),
    (_has(event=str, task_id=str, conversation_id=str), _DIFY),
    (lambda fields: set(fields) - {"p"} == {"bytes"} and isinstance(fields["bytes"], str), CONVERSE),
    (_has(output=dict, stopReason=str), CONVERSE),
    (lambda fields: is_list(fields.get("choices")), CHAT),
    (lambda fields: fields.get("object") == "response" and is_list(fields.get("output")), RESPONSES),
    (lambda fields: fields.get("type") == "message" and is_list(fields.get("content")), MESSAGES),
)

# The headers of a frame, and the lines of the older protocol: neither is an event stream.
_FRAMES = re.compile(r":(?:event|message|exception)-type\x07")
_AI_SDK_LINES = re.compile(r'\A(?:f:\{"messageId"|[028g]:["\[{])')
_decoder = json.JSONDecoder()
# How a body begins is told by no more.
_LONGEST_FIELD = 64


def protocol_of(name: str, fields: Mapping[str, Any]) -> str | None:
    """The protocol that an event is of, as far as it tells.

    Args:
        name: The name of the event.
        fields: Its data, an object.

    Returns:
        What the protocol is called; ``None`` if the event may be anything.
    """
    for word in (name, fields.get("type"), fields.get("event_type"), fields.get("object")):
        if isinstance(word, str):
            if word in _WORDS:
                return _WORDS[word]
            for beginning, protocol in _BEGINNINGS:
                if word.startswith(beginning):
                    return protocol
    for member, protocol in _MEMBERS.items():
        if fields.get(member) is not None:
            return protocol
    return next((protocol for fits, protocol in _SHAPES if fits(fields)), None)


def protocol_of_body(body: str) -> str | None:
    """The protocol that a body is of which is not framed as asked: events, lines, an array or one object, frames.

    Args:
        body: The body, or its start.

    Returns:
        What the protocol is called; ``None`` if the body may be anything.
    """
    if _FRAMES.search(body):
        return CONVERSE
    if _AI_SDK_LINES.match(body):
        return _AI_SDK
    if starts_events(body[:_LONGEST_FIELD].encode(errors="replace")):
        return _protocol_of_events(body)
    try:
        first = cast("object", _decoder.raw_decode(body.lstrip(" \t\r\n[,"))[0])
    except (ValueError, RecursionError):
        return None
    return protocol_of("message", first) if is_object(first) else None


def _protocol_of_events(body: str) -> str | None:
    """The protocol of the first event that is of one."""
    for event in SSEDecoder().feed(body.encode(errors="replace")):
        try:
            fields = cast("object", json.loads(event.data))
        except (ValueError, RecursionError):
            continue
        if is_object(fields) and (protocol := protocol_of(event.event, fields)) is not None:
            return protocol
    return None
