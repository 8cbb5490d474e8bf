"""What an answer of Cohere's Chat API cost, and how probable its words were.

Tokens are counted, and what is billed is another count, which stays beside it.
"""

from __future__ import annotations

from typing import Any

from rxllm.dialects.cohere._cohere_fields import as_object
from rxllm.models import Usage, is_list, is_object


def usage_of(said: object) -> Usage | None:
    """What an answer cost; ``None`` if that is not said."""
    if not is_object(said) or not said:
        return None
    counts = as_object(said.get("tokens") or said.get("billed_units"))
    prompt, completion = _count(counts.get("input_tokens")), _count(counts.get("output_tokens"))
    fields: dict[str, Any] = {**said, "prompt_tokens": prompt, "completion_tokens": completion}
    if prompt is not None and completion is not None:
        fields["total_tokens"] = prompt + completion
    if (cached := _count(said.get("cached_tokens"))) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": cached}
    return Usage.model_validate(fields)


def _count(value: object) -> int | None:
    """A count of tokens; some are written as ``12.0``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**63 else None


def logprobs_of(said: object) -> dict[str, Any] | None:
    """Log probabilities as chat completions have them; ``None`` if there are none.

    A piece of text may be several tokens, of which only the numbers are known. The first gets the text.
    """
    content: list[dict[str, Any]] = []
    for item in said if is_list(said) else [said]:
        values = item.get("logprobs") if is_object(item) else None
        if is_object(item) and is_list(values):
            texts = [item.get("text") or "", *[""] * len(values)]
            content += [{"token": text, "logprob": value} for text, value in zip(texts, values, strict=False)]
    return {"content": content} if content else None
