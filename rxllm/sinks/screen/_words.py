"""Words for figures, and one line of what somebody else said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from rxllm.harmless import harmless
from rxllm.models import ChatCompletion, Timing, Usage

_LINE = 2_000
_MINUTE = 60
# What came within less seconds came as one piece: how fast, nobody can say.
_SHORTEST = 0.05


def seconds(count: float) -> str:
    """A duration."""
    if count < _MINUTE:
        return f"{count:.1f} s" if count >= 1 else f"{count:.2f} s"
    minutes, rest = divmod(round(count), _MINUTE)
    return f"{minutes} min {rest} s"


def one_line(text: str) -> str:
    """The start of a foreign text in one line."""
    return harmless(text, _LINE)


def arguments_line(arguments: object) -> str:
    """The arguments of a call in one line."""
    return one_line(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str))


def summary(timing: Timing | None, usage: Usage | None, first: float | None, rounds: int = 0) -> str:
    """The figures of an answer; ``""`` if it is not known to be one of a model.

    Args:
        timing: How fast it came.
        usage: What it cost.
        first: After how many seconds there was something to read: reasoning, text or a call.
        rounds: How many requests a conversation had.
    """
    figures = list(_figures(timing or Timing(), usage, first, rounds))
    if figures and timing is not None and timing.total is not None:
        figures.append(seconds(timing.total))
    return " · ".join(figures)


def _figures(timing: Timing, usage: Usage | None, first: float | None, rounds: int) -> Iterator[str]:
    if first is not None and (timing.first_text is not None or timing.first_call is not None):
        yield f"first token {seconds(first)}"
    tokens = 0 if usage is None else usage.completion_tokens or 0
    rate = timing.tokens_per_second
    if rate is not None and tokens >= rate * _SHORTEST:
        yield f"{rate:.0f} tokens/s"
    if tokens:
        yield f"{tokens:,} tokens"
    if timing.paused:
        yield f"paused {seconds(timing.paused)}"
    if timing.attempts > 1:
        yield f"{timing.attempts} attempts"
    if rounds > 1:
        yield f"{rounds} rounds"


def together(timing: Timing | None, completions: Sequence[ChatCompletion]) -> Timing | None:
    """The figures of a conversation: those of all its rounds, the rest as it was measured."""
    told = [(each.timing, each.usage) for each in completions if each.timing is not None]
    if not told:
        return timing
    rates = [
        (usage.completion_tokens, each.tokens_per_second)
        for each, usage in told
        if usage is not None and usage.completion_tokens and each.tokens_per_second
    ]
    writing = sum(tokens / rate for tokens, rate in rates)
    update = {
        "first_text": next((each.first_text for each, _ in told if each.first_text is not None), None),
        "first_call": next((each.first_call for each, _ in told if each.first_call is not None), None),
        "tokens_per_second": sum(tokens for tokens, _ in rates) / writing if writing else None,
        "paused": sum(each.paused or 0.0 for each, _ in told),
        "attempts": sum(each.attempts - 1 for each, _ in told) + 1,
    }
    return (timing or Timing()).model_copy(update=update)
