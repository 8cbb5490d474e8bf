"""What an answer cost, where the server says so more than once.

Rules:

1. It repeats the usage, lets it grow, or says one part first and the other at the end. So the later value of each field
   counts, also within objects such as the details.
2. A zero, null, or what is empty never replaces anything: servers send it for what they do not know.
3. A dialect that knows the whole so far says so (``Slots.replaces_usage``): then that is what counts, as it is.
4. Nothing is added up, but for a total: if fields of both statements are left, it is at least the sum of its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from rxllm.accumulators._size import check_fields, size_of
from rxllm.models import StreamChunk, Usage

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_Fields = Mapping[str, Any]


def usage_after(before: Usage | None, chunk: StreamChunk) -> tuple[Usage | None, int]:
    """What an answer cost, when another chunk has come, and how many characters that adds to what is kept.

    Raises:
        LimitExceededError: There are too many fields.
    """
    usage = chunk.usage
    if usage is None or usage is before or not usage.model_fields_set:
        return before, 0
    if before is None or replaces_usage(chunk) or not counts_something(before):
        return usage, 0
    return merged_usage(before, usage)


def replaces_usage(chunk: StreamChunk) -> bool:
    """Whether what a chunk says of the usage is the whole so far."""
    return chunk.slots is not None and chunk.slots.replaces_usage


def merged_usage(before: Usage, after: Usage) -> tuple[Usage, int]:
    """What two statements about one answer come to, and how many characters that adds to what is kept.

    >>> merged_usage(Usage(prompt_tokens=25, total_tokens=26), Usage(prompt_tokens=0, completion_tokens=40))[0]
    Usage(prompt_tokens=25, completion_tokens=40, total_tokens=65)

    Raises:
        LimitExceededError: There are too many fields.
    """
    former, latter = _fields_of(before), _fields_of(after)
    fields = _merged(former, latter)
    if fields == latter:
        return after, 0
    if fields == former:
        return before, 0
    check_fields(_count(fields))
    prompt, completion, total = (fields[name] for name in _COUNTS)
    if total is not None and prompt is not None and completion is not None:
        fields["total_tokens"] = max(total, prompt + completion)
    return Usage.model_validate(fields), size_of(fields) - size_of(former)


def shrinks(before: Usage, after: Usage) -> bool:
    """Whether a count is lower than before. A zero is none."""
    former, latter = vars(before), vars(after)
    return any(former[name] and latter[name] and latter[name] < former[name] for name in _COUNTS)


def counts_something(usage: Usage) -> bool:
    """Whether a usage has a value that is not null."""
    return any(value is not None for value in _fields_of(usage).values())


def _fields_of(usage: Usage) -> dict[str, Any]:
    """The fields by name, also those that nobody declared."""
    return {**vars(usage), **(usage.model_extra or {})}


def _merged(before: _Fields, after: _Fields) -> dict[str, Any]:
    fields = dict(before)
    for name, value in after.items():
        kept = before.get(name)
        if isinstance(value, Mapping) and isinstance(kept, Mapping):
            fields[name] = _merged(cast("_Fields", kept), cast("_Fields", value))
        elif kept is None or value or value is False:
            fields[name] = value
    return fields


def _count(fields: _Fields) -> int:
    """How many fields there are, also within objects."""
    inner = (cast("_Fields", value) for value in fields.values() if isinstance(value, Mapping))
    return len(fields) + sum(map(_count, inner))
