"""The parts of an answer, told while they grow."""

from __future__ import annotations

from collections.abc import Iterable

from rxllm.accumulators._beginning import Beginning
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._size import size_of
from rxllm.accumulators.answer._choice_parts import ChoiceParts
from rxllm.accumulators.calls._call_state import answer_of
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS, ToolCallFold
from rxllm.exceptions import LimitExceededError, RestartError, items_then
from rxllm.models import MessagePart, PartDelta, PartEvent, StreamChunk

_MAX_CHOICES = 128
_MAX_CHARACTERS = 256 * 1024 * 1024


class PartsAccumulator:
    """Reports the parts of an answer while they grow: see ``operators.parts``.

    Args:
        max_tool_calls: How many calls a choice may have.
        max_choices: How many choices there may be.
        max_characters: How many characters of text there may be in all.
    """

    __slots__ = (
        *("_beginning", "_characters", "_choices", "_has_told", "_log"),
        *("_max_characters", "_max_choices", "_max_tool_calls"),
    )

    def __init__(
        self,
        *,
        max_tool_calls: int = MAX_TOOL_CALLS,
        max_choices: int = _MAX_CHOICES,
        max_characters: int = _MAX_CHARACTERS,
    ) -> None:
        self._max_tool_calls = max_tool_calls
        self._max_choices = max_choices
        self._max_characters = max_characters
        self._log = RepairLog()
        self._beginning = Beginning()
        self._choices: dict[int, ChoiceParts] = {}
        self._characters = 0
        self._has_told = False

    def add(self, chunk: StreamChunk) -> Iterable[PartEvent]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Returns:
            A list of events. If events come before an error, an iterable that gives them and then raises the error.

        Raises:
            ToolCallError: A fragment belongs to no call.
            MixedAnswersError: The chunk begins another answer.
            RestartError: The answer begins anew after events of it were returned.
            LimitExceededError: There are too many parts, calls or choices, or there is too much text.
        """
        self._log.position += 1
        if chunk.slots is not self._beginning.slots:
            self._take_slots(chunk)
        found: list[PartEvent] = []
        try:
            for choice in chunk.choices:
                parts = self._choices.get(choice.index) or self._begin(choice.index, chunk)
                for event in parts.add(choice):
                    found.append(event)
                    self._count(len(event.text) if isinstance(event, PartDelta) else 0)
                self._count(sum([size_of(each.block) for each in choice.delta.blocks or ()]))
        except Exception as error:  # noqa: BLE001 - raised behind what was found
            return items_then(found, error)
        finally:
            self._has_told = self._has_told or bool(found)
        return found

    def _take_slots(self, chunk: StreamChunk) -> None:
        """Look at whether another answer begins."""
        if self._beginning.restarts(chunk, lambda: (self.partial(), [])):
            if self._has_told:
                raise RestartError("parts")
            self._choices.clear()

    def close(self) -> list[PartEvent]:
        """Note that the stream ended in good order: the open parts have ended."""
        return [event for _, parts in sorted(self._choices.items()) for event in parts.close()]

    def partial(self) -> list[MessagePart]:
        """The parts that have not ended, as far as they have come."""
        return [part for _, parts in sorted(self._choices.items()) for part in parts.open()]

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > (most := self._max_characters):
            raise LimitExceededError(
                f"the answer is longer than {most} characters", limit="max_characters", maximum=most
            )

    def _begin(self, choice: int, chunk: StreamChunk) -> ChoiceParts:
        most = self._max_choices
        if len(self._choices) >= most:
            raise LimitExceededError(f"the answer has more than {most} choices", limit="max_choices", maximum=most)
        calls = ToolCallFold(choice, self._log, self._max_tool_calls, answer_of(chunk))
        parts = self._choices[choice] = ChoiceParts(choice, self._log, calls)
        return parts
