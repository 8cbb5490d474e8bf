"""What a run cost, as AG-UI counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rxllm.models import Usage, is_object, total_of

_COUNTS = {"inputTokens": "prompt_tokens", "outputTokens": "completion_tokens"}
_DETAILS = {
    "reasoningTokens": ("completion_tokens_details", "reasoning_tokens"),
    "cachedInputTokens": ("prompt_tokens_details", "cached_tokens"),
}
_WRITTEN = "cache_creation_input_tokens"


class RunUsage:
    """What the steps of a run cost, by the models that answered."""

    def __init__(self) -> None:
        self._usages: dict[str | None, list[Usage]] = {}

    def add(self, model: str | None, usage: Usage | None) -> None:
        """Add what a step cost."""
        if usage is not None:
            self._usages.setdefault(model, []).append(usage)

    def told(self) -> list[dict[str, Any]] | None:
        """An entry for each model; ``None`` if nothing is known."""
        entries = [_entry(model, usages) for model, usages in self._usages.items()]
        return [entry for entry in entries if entry.keys() - {"model"}] or None


def _entry(model: str | None, usages: list[Usage]) -> dict[str, Any]:
    usage = total_of(usages)
    fields: Mapping[str, Any] = {} if usage is None else usage.model_dump()
    entry: dict[str, Any] = {} if model is None else {"model": model}
    for name, field in _COUNTS.items():
        entry[name] = _count(fields.get(field))
    if entry["inputTokens"] is not None and entry["outputTokens"] is not None:
        # The protocol has it as the sum, and some providers count more in theirs.
        entry["totalTokens"] = entry["inputTokens"] + entry["outputTokens"]
    for name, (outer, inner) in _DETAILS.items():
        details = fields.get(outer)
        entry[name] = _count(details.get(inner)) if is_object(details) else None
    entry["cacheWriteInputTokens"] = _count(fields.get(_WRITTEN))
    return {name: value for name, value in entry.items() if value is not None}


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
