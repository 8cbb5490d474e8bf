"""What an answer of the Gemini API cost.

Counts are absolute, and each event may correct them. Thoughts stand beside the candidates, and what tools brought
stands beside the prompt; ours have them within.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.models import Usage


def usage_of_metadata(said: Mapping[str, Any]) -> Usage | None:
    """The usage; ``None`` if nothing is counted.

    >>> usage_of_metadata({"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}).completion_tokens
    5
    """
    prompt = _sum(said, "promptTokenCount", "toolUsePromptTokenCount")
    completion = _sum(said, "candidatesTokenCount", "thoughtsTokenCount")
    total = _sum(said, "totalTokenCount")
    if total is None and prompt is not None and completion is not None:
        total = prompt + completion
    if prompt is None and completion is None and total is None:
        return None
    fields: dict[str, Any] = {**said, "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    if (cached := _sum(said, "cachedContentTokenCount")) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": cached}
    if (thoughts := _sum(said, "thoughtsTokenCount")) is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": thoughts}
    return Usage.model_validate(fields)


def _sum(said: Mapping[str, Any], *names: str) -> int | None:
    counts = [value for name in names if isinstance(value := said.get(name), int) and not isinstance(value, bool)]
    return sum(counts) if counts and all(0 <= count < 2**63 for count in counts) else None
