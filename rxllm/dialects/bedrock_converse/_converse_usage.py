"""What an answer costs, as the Converse API says it: cached tokens are beside ``inputTokens``, ours are within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.dialects._counts import count_in, sum_of
from rxllm.models import Usage

_INPUT, _OUTPUT, _TOTAL = "inputTokens", "outputTokens", "totalTokens"
_READ, _WRITTEN = "cacheReadInputTokens", "cacheWriteInputTokens"


def usage_of(fields: Mapping[str, Any]) -> Usage:
    """The usage; the fields of the provider stay, under their names."""
    said, written, read, output = (count_in(fields.get(name)) for name in (_INPUT, _WRITTEN, _READ, _OUTPUT))
    prompt = sum_of(said, written, read)
    ours: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": sum_of(prompt, output) if (total := count_in(fields.get(_TOTAL))) is None else total,
    }
    if read is not None:
        ours["prompt_tokens_details"] = {"cached_tokens": read}
    return Usage.model_validate({**fields, **ours})
