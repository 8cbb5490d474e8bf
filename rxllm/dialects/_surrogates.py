r"""Characters that a server cut in two.

A server that cuts text by UTF-16 code units sends an emoji as ``"\ud83d"`` in one chunk and ``"\ude00"`` in the next.
Each is a lone surrogate, which no text may contain. Rules:

1. A high surrogate at the end of a text waits for the next piece of the same text.
2. If that does not begin with a low one, or the choice or the stream ends, it is U+FFFD, as lone surrogates are
   everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rxllm.models import is_list, is_reason, loads_unscrubbed, scrub

_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")

_Place = tuple[int, str, int]
"""Of which choice, which text, and of which tool call."""


def may_hold_half(text: str) -> bool:
    """Whether an event may hold half a pair."""
    return "\\u" in text and "\\ud" in text.lower()


class SurrogateHalves:
    """The halves that wait.

    Attributes:
        waiting: Where which half waits; only to be looked at.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: dict[_Place, str] = {}

    def loads(self, text: str) -> Any:
        """Read an event that is an object, with the halves put together.

        Raises:
            LimitExceededError: It is nested too deep.
            ValueError: It is not JSON.
        """
        value = loads_unscrubbed(text)
        for choice in _objects(value.get("choices")):
            self._join(choice)
        return scrub(value)

    def rest(self) -> dict[str, Any]:
        """What still waits, as an event."""
        deltas: dict[int, dict[str, Any]] = {place[0]: {} for place in self.waiting}
        for choice, delta in deltas.items():
            self._release(choice, delta)
        choices = [{"index": choice, "delta": scrub(delta)} for choice, delta in deltas.items()]
        return {"choices": choices}

    def _join(self, choice: dict[str, Any]) -> None:
        index = _number(choice.get("index"))
        for delta in _objects([choice.get("delta")]):
            for place, owner, name in _texts(index, delta):
                text = self.waiting.pop(place, "") + owner[name]
                if "\ud800" <= text[-1:] <= "\udbff" and not _has_ended(choice):
                    self.waiting[place] = text[-1]
                    text = text[:-1]
                owner[name] = text
            if _has_ended(choice):
                self._release(index, delta)

    def _release(self, choice: int, delta: dict[str, Any]) -> None:
        """Give up waiting for the texts of a choice that has finished."""
        for place in [place for place in self.waiting if place[0] == choice]:
            half = self.waiting.pop(place)
            if place[1] in _TEXT_FIELDS:
                delta[place[1]] = half
            else:
                fragment = {"index": place[2], "function": {"arguments": half}}
                delta["tool_calls"] = [*_objects(delta.get("tool_calls")), fragment]


def _texts(choice: int, delta: dict[str, Any]) -> Iterator[tuple[_Place, dict[str, Any], str]]:
    """The texts in a delta: which they are, in what, and by what name."""
    for name in _TEXT_FIELDS:
        if isinstance(delta.get(name), str):
            yield (choice, name, 0), delta, name
    for call in _objects(delta.get("tool_calls")):
        for function in _objects([call.get("function")]):
            if isinstance(function.get("arguments"), str):
                yield (choice, "arguments", _number(call.get("index"))), function, "arguments"


def _has_ended(choice: dict[str, Any]) -> bool:
    reason = choice.get("finish_reason")
    return is_reason(reason) if isinstance(reason, str) else bool(reason)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if is_list(value) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
