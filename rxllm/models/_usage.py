"""What an answer cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from rxllm.models._model import Model


class Usage(Model):
    """Token counts of one request, as the server states them.

    A server may send them more than once in a stream. Then each field, also in the detail objects, has the last value
    that is not zero, null or empty; counts are not added up. If the fields come from several reports, ``total_tokens``
    is at least the sum of the other two.

    Attributes:
        prompt_tokens: Tokens in the request.
        completion_tokens: Tokens in the answer, over all choices.
        total_tokens: Their sum.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


def total_of(usages: Iterable[Usage | None]) -> Usage | None:
    """What several requests cost together: their numbers are added up, also those of the details, by name.

    >>> total_of([Usage(prompt_tokens=3), None, Usage(prompt_tokens=4, completion_tokens=1)])
    Usage(prompt_tokens=7, completion_tokens=1, total_tokens=None)
    >>> details = {"reasoning_tokens": 2, "kind": "x"}
    >>> total_of([Usage(details=details), Usage(details=details, cost=0.5)]).model_extra
    {'details': {'reasoning_tokens': 4}, 'cost': 0.5}
    """
    known = [usage for usage in usages if usage is not None]
    if len(known) <= 1:
        return known[0] if known else None
    total: dict[str, Any] = {}
    for usage in known:
        _add(total, {**vars(usage), **(usage.model_extra or {})})
    return Usage.model_validate(total)


def _add(total: dict[str, Any], fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            before = total.get(name)
            total[name] = inner = cast("dict[str, Any]", before) if isinstance(before, dict) else {}
            _add(inner, cast("Mapping[str, Any]", value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            before = total.get(name)
            total[name] = value + before if isinstance(before, (int, float)) else value
