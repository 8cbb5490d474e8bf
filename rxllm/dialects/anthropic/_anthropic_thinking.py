"""How long the model may think, in the words of its generation.

Rules:

1. Models up to 4.5 have a budget in tokens, which is within the tokens of the answer. Later ones decide by themselves,
   and are told how much effort to make. A model whose name has no version is a later one.
2. No model thinks when it has to call a tool.
3. What the request says of ``thinking`` in Anthropic's own words stays as it is. A budget in it is within the tokens of
   the answer, too: where the request does not say how many these are, there is room for both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rxllm.dialects.anthropic._anthropic_errors import unsupported
from rxllm.dialects.anthropic._anthropic_tools import FORCED
from rxllm.models import ChatRequest, is_object

_VERSION = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_FIRST_ADAPTIVE = (4, 6)
_LEAST_BUDGET = 1024
_BUDGETS = {"minimal": _LEAST_BUDGET, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32000, "max": 32000}
_EFFORTS = {"minimal": "low"}


def put_effort(
    request: ChatRequest, body: dict[str, Any], output: dict[str, Any], *, given: object, has_limit: bool
) -> None:
    """Put into a body how long the model may think.

    Args:
        request: The request.
        body: The body.
        output: What it is to have as ``output_config``.
        given: What the request has as ``thinking``.
        has_limit: Whether the request limits the tokens of the answer.

    Raises:
        UnsupportedRequestError: It cannot be said, or not together with what else the request has.
    """
    effort = request.reasoning_effort
    if effort == "none" and given is None:
        body["thinking"] = {"type": "disabled"}
    elif effort is not None and effort != "none":
        if is_adaptive(request.model):
            output["effort"] = _EFFORTS.get(effort, effort)
            if given is None:
                body["thinking"] = {"type": "adaptive", "display": "summarized"}
        elif given is None:
            body["thinking"] = _budget(effort, body, has_limit=has_limit)
        else:
            raise unsupported("reasoning_effort", f"{request.model} has a thinking budget: set thinking instead")
    elif is_object(given) and isinstance(budget := given.get("budget_tokens"), int) and not has_limit:
        body["max_tokens"] += budget
    _check(given if given is not None else body.get("thinking"), body)


def is_adaptive(model: str) -> bool:
    """Whether a model decides by itself how long to think.

    >>> is_adaptive("claude-opus-4-6"), is_adaptive("claude-sonnet-4-20250514"), is_adaptive("claude-3-7-sonnet-latest")
    (True, False, False)
    """
    found = _VERSION.search(model.lower())
    return found is None or (int(found[1]), int(found[2] or 0)) >= _FIRST_ADAPTIVE


def _budget(effort: str, body: dict[str, Any], *, has_limit: bool) -> dict[str, Any]:
    if effort not in _BUDGETS:
        raise unsupported("reasoning_effort", f"it must be none or one of {', '.join(_BUDGETS)}, not {effort!r}")
    budget = _BUDGETS[effort]
    if not has_limit:
        body["max_tokens"] += budget
    elif body["max_tokens"] <= _LEAST_BUDGET:
        raise unsupported("reasoning_effort", f"thinking needs at least {_LEAST_BUDGET} tokens, within max_tokens")
    else:
        # Something has to be left for the answer.
        budget = min(budget, max(_LEAST_BUDGET, body["max_tokens"] // 2))
    return {"type": "enabled", "budget_tokens": budget}


def _check(thinking: object, body: Mapping[str, Any]) -> None:
    if not is_object(thinking) or thinking.get("type") == "disabled":
        return
    if body.get("tool_choice", {}).get("type") in FORCED:
        raise unsupported("tool_choice", "a model that thinks cannot be forced to call a tool")
    if thinking.get("type") == "enabled" and body.get("temperature", 1) != 1:
        raise unsupported("temperature", "a model with a thinking budget only accepts 1")
