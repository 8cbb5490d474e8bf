"""What an answer costs, as the Converse API says it: cached tokens are beside ``inputTokens``, ours are within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.models import Usage

_INPUT, _OUTPUT, _TOTAL = "inputTokens", "outputTokens", "totalTokens"
_READ, _WRITTEN = "cacheReadInputTokens", "cacheWriteInputTokens"


def usage_of(fields: Mapping[str, Any]) -> Usage:
    """The usage; the fields of the provider stay, under their names."""
    said, written, read, output = (_count(fields.get(name)) for name in (_INPUT, _WRITTEN, _READ, _OUTPUT))
    prompt = _sum(said, written, read)
    ours: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": _sum(prompt, output) if (total := _count(fields.get(_TOTAL))) is None else total,
    }
    if read is not None:
        ours["prompt_tokens_details"] = {"cached_tokens": read}
    return Usage.model_validate({**fields, **ours})


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
