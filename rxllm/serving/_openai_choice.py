"""One choice of an answer in the words of OpenAI's chat completions, as the SDKs of many servers take them.

Rules:

1. The first piece has the role, and no other has. The reason for the end comes last, alone, and once.
2. Reasoning is ``reasoning_content``, in whatever field it came.
3. The objects of a list are numbered: the SDKs add up lists by that, or refuse them.
4. What is ours alone is left out: the parts of other dialects, and originals of what was put right. So are a provider's
   words about an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

from pydantic_core import to_json

from rxllm.accumulators import RetoldCalls
from rxllm.models import (
    Delta,
    FunctionCallDelta,
    StreamChoice,
    StreamChunk,
    ending_of,
    is_object,
    is_reason,
    is_set_aside,
)

_TEXTS = ("content", "refusal")
_GIVEN = ("audio", "annotations", "images", "reasoning_details", "channel", "provider_metadata")
_OTHER_REASONING = frozenset({"reasoning_text", "thinking", "content_parts"})
_MORE = (
    *("native_finish_reason", "content_filter_results", "content_filter_offsets"),
    *("stop_reason", "matched_stop", "token_ids"),
)
_others_of = attrgetter(*(name for name in StreamChoice.__struct_fields__ if name not in {"index", "delta"}))
_NO_OTHERS = _others_of(StreamChoice())
_more_of = attrgetter(*(name for name in Delta.__struct_fields__ if name not in {"role", "content"}))
_NO_MORE = _more_of(Delta())
_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_OF_CALLS = frozenset({"tool_use", "tool_call"})
_WHOLE = frozenset({"completed", "unknown"})


class ToldChoice:
    """What is told of one choice.

    Args:
        index: Which.

    Attributes:
        has_begun: Whether something of it was told.
    """

    __slots__ = ("_calls", "_counts", "_held", "_reason", "has_begun", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_begun = False
        self._reason: str | None = None
        self._held: dict[str, Any] = {}
        self._calls: RetoldCalls | None = None
        self._counts: dict[str, int] = {}

    def add(self, choice: StreamChoice, chunk: StreamChunk) -> dict[str, Any] | None:
        """Take what the choice gained.

        Returns:
            The choice of a chunk; ``None`` if there is nothing to tell.

        Raises:
            ToolCallError: A fragment of a call fits nowhere.
            LimitExceededError: There are too many calls.
        """
        if self.has_begun and _others_of(choice) == _NO_OTHERS and _more_of(choice.delta) == _NO_MORE:
            # Nearly all chunks: a piece of the text and nothing else.
            text = choice.delta.content
            return {"index": self.index, "delta": {"content": text}, "finish_reason": None} if text else None
        delta = self._delta(choice.delta, chunk)
        more = {name: value for name in _MORE if (value := getattr(choice, name)) is not None}
        if choice.extra is not None:
            more |= passed_on(choice.extra)
        if choice.logprobs is not None:
            more["logprobs"] = choice.logprobs
        if choice.finish_reason and is_reason(choice.finish_reason):
            self._reason = choice.finish_reason
            if not delta:
                # It describes the end.
                self._held |= more
                return None
        return self.tell(delta, more) if delta or more else None

    def tell(self, delta: dict[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The choice of a chunk that tells of a delta."""
        if not self.has_begun:
            self.has_begun = True
            delta = {"role": "assistant", **delta}
        told = {"index": self.index, "delta": delta, "finish_reason": None}
        return {**told, **more} if more else told

    def end(self, reason: str) -> Iterator[dict[str, Any]]:
        """What is left to tell at the end.

        Args:
            reason: Why it ended, if the provider did not say.

        Raises:
            ToolCallError: A call is garbled.
        """
        said = self._reason or reason
        if self._calls is not None:
            calls = self._calls.close(whole=ending_of(said) in _WHOLE)
            if calls:
                yield self.tell({"tool_calls": calls})
        told = _told_reason(said)
        native = {} if told == said else {"native_finish_reason": said}
        yield {**self.tell({}), **native, **self._held, "finish_reason": told}

    def _delta(self, delta: Delta, chunk: StreamChunk) -> dict[str, Any]:
        told: dict[str, Any] = {name: text for name in _TEXTS if (text := getattr(delta, name))}
        if reasoning := delta.reasoning_text:
            told["reasoning_content"] = reasoning
        if delta.tool_calls:
            if self._calls is None:
                self._calls = RetoldCalls(self.index, chunk)
            if calls := self._calls.add(delta.tool_calls):
                told["tool_calls"] = calls
        if delta.function_call is not None and (function := _function(delta.function_call)):
            told["function_call"] = function
        self._give_all(told, delta)
        return told

    def _give_all(self, told: dict[str, Any], delta: Delta) -> None:
        for name in _GIVEN:
            if (value := getattr(delta, name)) is not None:
                self._give(told, name, value)
        if delta.extra is not None:
            for name, value in passed_on(delta.extra).items():
                if name not in _OTHER_REASONING:
                    self._give(told, name, value)

    def _give(self, told: dict[str, Any], name: str, value: Any) -> None:
        """Pass on a field that the SDKs do not know."""
        if isinstance(value, list | tuple):
            items = cast("Sequence[Any]", value)
            if items and all(map(is_object, items)):
                told[name] = [self._numbered(name, item) for item in items]
            elif items and not any(map(is_object, items)):
                told[name] = list(items)
        elif value != "":
            told[name] = value

    def _numbered(self, name: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        number = self._counts.get(name, 0)
        given = item.get("index")
        if isinstance(given, int) and not isinstance(given, bool):
            self._counts[name] = max(number, given + 1)
            return item
        self._counts[name] = number + 1
        return {**item, "index": number}


def _told_reason(reason: str) -> str:
    """The word of a server in those of OpenAI, where it means one of them: some SDKs know no others."""
    word = reason.strip().lower().replace("-", "_")
    if word in _REASONS:
        return word
    if word in _OF_CALLS:
        return "tool_calls"
    meant = ending_of(reason)
    return "stop" if meant == "completed" else meant if meant in _REASONS else reason


def passed_on(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a server adds, but for what is ours, and for its words about an error: what is said of that is ours."""
    return {
        name: value for name, value in extra.items() if value is not None and name != "error" and not is_set_aside(name)
    }


def _function(function: FunctionCallDelta) -> dict[str, Any]:
    arguments = function.arguments
    text = arguments if arguments is None or isinstance(arguments, str) else to_json(arguments).decode()
    return {name: value for name, value in (("name", function.name), ("arguments", text)) if value}
