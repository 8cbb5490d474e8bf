"""What there is without what is not for a client: what a tool raised, where the provider is, what it says of errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rxllm.models import (
    ChatCompleted,
    ChatCompletion,
    Message,
    RoundCompleted,
    Stopped,
    StreamChunk,
    ToolResult,
    ToolResultEvent,
    is_chat_event,
)
from rxllm.serving._tool_failures import TOOL_FAILED

__all__ = ["for_clients", "item_for_clients"]


def for_clients(event: BaseModel) -> BaseModel:
    """The event, as a client may have it."""
    if isinstance(event, ToolResultEvent):
        return event.model_copy(update={"result": _result(event.result)})
    if isinstance(event, (RoundCompleted, ChatCompleted)):
        shown = {"completion": _completion(event.completion), "messages": _messages(event.messages)}
        return event.model_copy(update=shown)
    if isinstance(event, Stopped) and event.completion is not None:
        return event.model_copy(update={"completion": _completion(event.completion)})
    return event


def _result(result: ToolResult) -> ToolResult:
    return result if result.error in {None, "refused"} else result.model_copy(update={"content": TOOL_FAILED})


def _completion(completion: ChatCompletion) -> ChatCompletion:
    choices = [each.model_copy(update={"message": _message(each.message)}) for each in completion.choices]
    return completion.model_copy(update={"choices": choices})


def _messages(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(map(_message, messages))


def _message(message: Message) -> Message:
    shown: dict[str, object] = {}
    if message.origin is not None:
        shown["origin"] = message.origin.model_copy(update={"host": None})
    if message.is_error:
        shown["content"] = TOOL_FAILED
    return message.model_copy(update=shown) if shown else message


def _chunk(chunk: StreamChunk) -> StreamChunk:
    """The chunk without a provider's words about an error: what is said of that is ours."""
    if not any(each.extra is not None and "error" in each.extra for each in (chunk, *chunk.choices)):
        return chunk
    choices = [choice.model_copy(update={"error": None}) for choice in chunk.choices]
    return chunk.model_copy(update={"choices": choices, "error": None})


def item_for_clients(item: Any) -> Any:
    """The item of a log, as a client may have it: a chunk, an event, or what can be in one."""
    if isinstance(item, StreamChunk):
        return _chunk(item)
    if isinstance(item, ToolResult):
        return _result(item)
    if isinstance(item, Message):
        return _message(item)
    if isinstance(item, ChatCompletion):
        return _completion(item)
    return for_clients(item) if is_chat_event(item) else item
