"""What of an assistant's message goes back to the server that gave it, or to another one.

Rules:

1. A dictionary is sent as it is. What is said here is of messages that are models.
2. Reasoning goes back in the fields that it came in. It belongs to the tool round under way if no message of the user
   comes behind it.
3. Extras are what our models do not declare, of a message, of its calls and of their functions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from rxllm.models import REASONING_FIELDS, FunctionCall, Message, ToolCall

SendReasoning: TypeAlias = Literal["always", "tool_rounds", "never"]
"""When the reasoning in a message goes back."""

SendExtras: TypeAlias = bool | Collection[str]
"""Which extras go back: all, none, or those of these names."""

_OWN = frozenset({*Message.model_fields, *REASONING_FIELDS})
# What a call has besides: the words of a custom tool.
_OWN_OF_CALL = frozenset({*ToolCall.model_fields, "custom"})


def sent_messages(
    messages: Iterable[Message | Mapping[str, Any]],
    wire: Iterable[dict[str, Any]],
    *,
    reasoning: SendReasoning,
    extras: SendExtras,
) -> list[dict[str, Any]]:
    """The messages of a request as they are sent.

    Args:
        messages: The messages.
        wire: The same as JSON objects, with all that is in them.
        reasoning: When the reasoning goes back.
        extras: Which extras do: all, none, or those of these names.
    """
    sent: list[dict[str, Any]] = []
    is_under_way = True
    for message, fields in reversed([*zip(messages, wire, strict=True)]):
        is_under_way = is_under_way and fields.get("role") != "user"
        is_reasoned = reasoning == "always" or (reasoning == "tool_rounds" and is_under_way)
        sent.append(_sent(fields, extras, with_reasoning=is_reasoned) if isinstance(message, Message) else fields)
    return sent[::-1]


def _sent(fields: dict[str, Any], extras: SendExtras, *, with_reasoning: bool) -> dict[str, Any]:
    if not with_reasoning:
        fields = {name: value for name, value in fields.items() if name not in REASONING_FIELDS}
    if extras is True:
        return fields
    fields = _without_extras(fields, _OWN, extras)
    if "tool_calls" in fields:
        fields["tool_calls"] = [_sent_call(call, extras) for call in fields["tool_calls"]]
    return fields


def _sent_call(call: Mapping[str, Any], extras: SendExtras) -> dict[str, Any]:
    kept = _without_extras(call, _OWN_OF_CALL, extras)
    if "function" in kept:
        kept["function"] = _without_extras(kept["function"], FunctionCall.model_fields, extras)
    return kept


def _without_extras(fields: Mapping[str, Any], own: Collection[str], extras: SendExtras) -> dict[str, Any]:
    kept = () if isinstance(extras, bool) else extras
    return {name: value for name, value in fields.items() if name in own or name in kept}
