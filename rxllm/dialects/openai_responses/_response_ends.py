"""How an answer of the Responses API ends: the word for it, what it cost, and what went wrong.

Rules:

1. ``completed`` with calls is ``tool_calls``. If one of them was cut it is ``length``, so that none is run.
2. Counts are absolute. The provider's own names of them stay beside ours.
3. An error comes as an event, in the answer that failed, or as both, one behind the other: then each may say what the
   other does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._stream_error import error_from
from rxllm.exceptions import APIStreamError
from rxllm.models import Usage, is_object

STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""What an answer says of itself when it has ended; the events that end it are called so."""

_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


def reason_of(status: str, response: Mapping[str, Any], *, has_calls: bool, is_cut: bool) -> tuple[str, str]:
    """Why an answer ended, in our word and in the provider's.

    Args:
        status: How it ended, by its last event.
        response: The answer.
        has_calls: Whether functions or custom tools are called in it.
        is_cut: Whether one of these calls was cut.
    """
    details = response.get("incomplete_details")
    said = details.get("reason") if is_object(details) else None
    word = said if isinstance(said, str) and said else status
    if status == "incomplete":
        return _INCOMPLETE.get(word, "length" if is_cut else word), word
    if status != "completed":
        return status, word
    if is_cut:
        return "length", status
    return ("tool_calls" if has_calls else "stop"), status


def usage_of(response: Mapping[str, Any]) -> Usage | None:
    """What an answer cost; ``None`` if it does not say."""
    said = response.get("usage")
    if not is_object(said) or not said:
        return None
    prompt = _count(said, "input_tokens", "prompt_tokens")
    completion = _count(said, "output_tokens", "completion_tokens")
    total = _count(said, "total_tokens")
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    fields: dict[str, Any] = {**said, "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    for ours, theirs in (("prompt", "input"), ("completion", "output")):
        if is_object(details := said.get(f"{theirs}_tokens_details")):
            fields[f"{ours}_tokens_details"] = details
    return Usage.model_validate(fields)


def _count(said: Mapping[str, Any], *names: str) -> int | None:
    values = (said.get(name) for name in names)
    return next((int(each) for each in values if isinstance(each, int | float) and _is_count(each)), None)


def _is_count(value: float) -> bool:
    return not isinstance(value, bool) and 0 <= value < 2**63


def error_of(said: Mapping[str, Any] | None, response: Mapping[str, Any] | None, position: int) -> APIStreamError:
    """The one error about what went wrong.

    Args:
        said: The event of an error, if there was one.
        response: The answer that failed, if there was one.
        position: Which event of the stream it was.
    """
    in_answer = None if response is None else response.get("error")
    parts = [each for each in (_fields_of(said), _fields_of(in_answer)) if each]
    if not parts:
        return error_from("the answer failed, and the server did not say why", position)
    merged = {**parts[-1], **{name: value for name, value in parts[0].items() if value is not None}}
    messages = [each["message"] for each in parts if isinstance(each.get("message"), str) and each["message"]]
    if len(messages) > 1 and messages[0] != messages[1]:
        longer, other = sorted(messages, key=len, reverse=True)
        merged["message"] = longer if other in longer else f"{messages[0]}: {messages[1]}"
    return error_from({"error": merged}, position)


def _fields_of(said: Any) -> Mapping[str, Any]:
    """What an error says, wherever in its object it stands."""
    if not is_object(said):
        return {"message": said} if said and isinstance(said, str) else {}
    inner = said.get("error")
    outer = {name: value for name, value in said.items() if name not in ("error", "sequence_number")}
    if outer.get("type") in ("error", "response.error"):
        del outer["type"]
    if is_object(inner):
        return {**outer, **inner}
    # xAI has the text there, and the code beside it.
    return {**outer, "message": inner} if inner and isinstance(inner, str) else outer
