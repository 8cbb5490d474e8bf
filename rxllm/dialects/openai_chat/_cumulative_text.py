"""Deltas that repeat a text from its beginning, as some servers send them.

Rules:

1. With a server of that kind content, reasoning and refusal do so always. Arguments of calls may: a call whose second
   piece does not begin with the first comes in pieces, as usual.
2. Arguments are told apart by the index of their call, or by its identifier if there is none. A call whose arguments
   have ended is over when another identifier comes, or a name with other arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rxllm.models import JSONEndFold, StreamChoice, ToolCallDelta

_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
# What may come before arguments, and says nothing of them.
_PLACEHOLDERS = frozenset({"{}", "null", '""'})


class UnrelatedTextError(ValueError):
    """A text does not begin with what the delta before it had.

    Attributes:
        name: Which text.
        text: The text.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


@dataclass(slots=True)
class _Arguments:
    """The arguments of one call: which call, what they were so far, and whether each piece repeats that."""

    call_id: str | None
    name: str | None
    text: str
    is_cumulative: bool | None = None
    end: JSONEndFold = field(default_factory=JSONEndFold)

    def new_in(self, text: str) -> str:
        """What they gain with a piece that may repeat them from their beginning.

        Raises:
            UnrelatedTextError: The pieces before did, and it does not.
        """
        repeats = self.is_cumulative is not False and text.startswith(self.text)
        if self.is_cumulative is None:
            self.is_cumulative = repeats
        new = text
        if repeats:
            new, self.text = text[len(self.text) :], text
        elif self.is_cumulative and not self.end.closed:
            raise UnrelatedTextError("arguments", text)
        self.end.add(new)
        return new

    def ended_before(self, call: ToolCallDelta, name: str | None, text: str) -> bool:
        """Whether a fragment in their place is of another call."""
        if self.text.strip() in _PLACEHOLDERS:
            return True
        is_other = bool(call.id and self.call_id and call.id != self.call_id)
        return self.end.closed and (is_other or (bool(name) and not text.startswith(self.text)))


class CumulativeTexts:
    """What each text of each choice has had so far."""

    __slots__ = ("_arguments", "_texts")

    def __init__(self) -> None:
        self._texts: dict[tuple[int, str], str] = {}
        self._arguments: dict[tuple[int, int | str | None], _Arguments] = {}

    def new_in(self, choice: StreamChoice) -> StreamChoice:
        """The choice without what earlier deltas of it had already, in each text.

        Raises:
            UnrelatedTextError: A text is another one than before.
        """
        new: dict[str, str | Sequence[ToolCallDelta]] = {}
        for name in _TEXT_FIELDS:
            text: str | None = getattr(choice.delta, name)
            if not text:
                continue
            before = self._texts.get((choice.index, name), "")
            if not text.startswith(before):
                raise UnrelatedTextError(name, text)
            self._texts[choice.index, name] = text
            new[name] = text[len(before) :]
        if choice.delta.tool_calls:
            new["tool_calls"] = tuple([self._new_in_call(choice.index, call) for call in choice.delta.tool_calls])
        return choice.model_copy(update={"delta": choice.delta.model_copy(update=new)}) if new else choice

    def _new_in_call(self, choice: int, call: ToolCallDelta) -> ToolCallDelta:
        """The fragment of a call without what earlier ones of it had already of the arguments."""
        function = call.function
        if function is None or not isinstance(function.arguments, str) or not function.arguments.strip():
            return call
        place = choice, call.id if call.index is None else call.index
        known = self._arguments.get(place)
        if known is None or known.ended_before(call, function.name, function.arguments):
            known = self._arguments[place] = _Arguments(call.id, function.name, function.arguments)
            known.end.add(known.text)
            return call
        new = known.new_in(function.arguments)
        return call.model_copy(update={"function": function.model_copy(update={"arguments": new})})
