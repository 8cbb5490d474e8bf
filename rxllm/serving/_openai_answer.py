"""An answer as OpenAI's chat completions have it: what items become, before it is written.

Rules:

1. There is one answer. Of a conversation with tools it has the text and the reasoning of all rounds, one behind the
   other; the tools run here, so no client is told to run them.
2. Nothing is told that says nothing. What a provider says beside the choices waits for the next piece.
3. A choice is told of when those with lower numbers are, because the SDKs find them by their places.
4. What was told cannot be taken back: an answer that begins anew after that is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, cast

from rxllm.accumulators import Beginning, usage_after
from rxllm.exceptions import LimitExceededError, RestartError
from rxllm.models import (
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    Usage,
    is_chat_event,
    total_of,
)
from rxllm.serving._openai_choice import ToldChoice, passed_on
from rxllm.sources import LogItem

# Padding hides how long a text is on the connection that it was made for.
_NOT_PASSED_ON = frozenset({"id", "object", "created", "model", "choices", "usage", "obfuscation", "p"})
_MORE = tuple(
    name
    for name, written in zip(StreamChunk.__struct_fields__, StreamChunk.__struct_encode_fields__, strict=True)
    if name == written and name not in _NOT_PASSED_ON
)
_more_of = attrgetter(*_MORE)
_NO_MORE = (None,) * len(_MORE)
_NOTHING: Mapping[str, Any] = {}
_MOST_FIELDS = 10_000
_MOST_CHOICES = 128
"""So many there are at most, as everywhere. Below this number a choice is told of if one with a higher number is."""


class Piece(NamedTuple):
    """What one chunk tells.

    Attributes:
        choices: What the choices gained.
        more: What else stands in it.
    """

    choices: list[dict[str, Any]]
    more: Mapping[str, Any]


def unplaced(item: object) -> tuple[object, bool]:
    """An item that may come from a log, and whether what came before it there does not count."""
    if isinstance(item, LogItem):
        placed = cast("LogItem[object]", item)
        return placed.item, placed.restarts
    return item, False


def _lower_than(index: int) -> range:
    return range(index if index < _MOST_CHOICES else 0)


class OpenAIAnswer:
    """One answer.

    Attributes:
        first: The first chunk that has an identifier, else the last one, if chunks came.
        stopped: Whether the items say that it was stopped.
    """

    def __init__(self) -> None:
        self.first: StreamChunk | None = None
        self.stopped = False
        self._beginning = Beginning()
        self._choices: dict[int, ToldChoice] = {}
        self._more: Mapping[str, Any] = _NOTHING
        self._said: tuple[Any, ...] = ()
        self._same: Mapping[str, Any] = _NOTHING
        self._usage: Usage | None = None
        self._rounds: list[Usage | None] = []
        self._round: int = 1
        self._has_told = False
        self._reason = "stop"
        self._by_class = self._tellers()

    def add(self, item: object) -> Iterator[Piece]:
        """What an item becomes; iterate over the result at once.

        Raises:
            TypeError: It is nothing that can be told.
            RxllmError: It belongs to no answer, or another one begins.
        """
        item, restarts = unplaced(item)
        if restarts:
            self._restart()
            self._beginning = Beginning()
        tell = self._by_class.get(type(item))
        if tell is not None:
            return tell(self, item)
        if not is_chat_event(item):
            raise TypeError(
                f"chunks, events of a conversation and texts can be served, not {type(item).__name__}: "
                "serve what chat_stream() or chat_with_tools() gives"
            )
        return iter(())

    def end(self, *, stopped: bool) -> Iterator[Piece]:
        """What is left to tell at the end in good order; iterate over the result at once.

        Args:
            stopped: Whether it was stopped before it was whole.

        Raises:
            ToolCallError: A call is garbled.
        """
        if not self._choices:
            self._choice(0)
        reason = "length" if stopped or self.stopped else self._reason
        for choice in self._choices.values():
            for told in choice.end(reason):
                yield self._piece([told])

    @property
    def usage(self) -> Usage | None:
        """What it cost, as far as that is known."""
        return total_of([*self._rounds, self._usage])

    # Chunks.

    def _chunk(self, chunk: StreamChunk) -> Iterator[Piece]:
        slots = chunk.slots
        if (slots is None or not slots.is_plain) and self._beginning.restarts(chunk, lambda: ((), ())):
            self._restart()
        if self.first is None or not self.first.id:
            self.first = chunk
        if chunk.usage is not None:
            self._usage, _ = usage_after(self._usage, chunk)
        self._take_more(chunk)
        told: list[dict[str, Any]] = []
        for choice in chunk.choices:
            known = self._choices.get(choice.index)
            if known is None:
                known = self._choice(choice.index)
            has_begun = known.has_begun
            gained = known.add(choice, chunk)
            if gained is not None:
                if not has_begun:
                    told += self._before(choice.index)
                told.append(gained)
        if told:
            yield self._piece(told)

    def _take_more(self, chunk: StreamChunk) -> None:
        values = _more_of(chunk)
        if values != _NO_MORE:
            if values != self._said:
                self._said = values
                self._same = {name: value for name, value in zip(_MORE, values, strict=True) if value is not None}
            # Mostly it is the same in all chunks, and then one object, so that it need not be written anew.
            self._more = {**self._more, **self._same} if self._more else self._same
        if chunk.extra is not None:
            self._more = {**self._more, **passed_on(chunk.extra)}
            if len(self._more) > _MOST_FIELDS:
                raise LimitExceededError(
                    f"more than {_MOST_FIELDS} fields wait for something that the answer gained",
                    limit="fields",
                    maximum=_MOST_FIELDS,
                )

    def _choice(self, index: int) -> ToldChoice:
        if len(self._choices) >= _MOST_CHOICES:
            raise LimitExceededError(
                f"the answer has more than {_MOST_CHOICES} choices", limit="choices", maximum=_MOST_CHOICES
            )
        for lower in _lower_than(index):
            self._choices.setdefault(lower, ToldChoice(lower))
        made = self._choices[index] = ToldChoice(index)
        return made

    def _before(self, index: int) -> Iterator[dict[str, Any]]:
        """Begin the choices before one."""
        for lower in _lower_than(index):
            if not (choice := self._choices[lower]).has_begun:
                yield choice.tell({})

    def _piece(self, choices: list[dict[str, Any]]) -> Piece:
        self._has_told = True
        more, self._more = self._more, _NOTHING
        return Piece(choices, more)

    def _restart(self) -> None:
        if self._has_told:
            raise RestartError("serving")
        self._choices.clear()
        self._more = _NOTHING
        self.first = self._usage = None

    # Events of a conversation.

    def _say(self, field: str, text: str, number: int = 1) -> Iterator[Piece]:
        if number != self._round:
            self._round, self._has_told = number, False
        if text:
            choice = self._choices.get(0) or self._choice(0)
            yield self._piece([choice.tell({field: text})])

    def _restarted(self, event: Restarted) -> Iterator[Piece]:
        if event.round == self._round and self._has_told:
            raise RestartError("serving")
        return iter(())

    def _completed(self, event: RoundCompleted) -> Iterator[Piece]:
        completion = event.completion
        self._rounds.append(completion.usage)
        reason = next((each.finish_reason for each in completion.choices if each.index == 0), None)
        # What called tools goes on in another round.
        self._reason = "stop" if completion.message.tool_calls or reason is None else str(reason)
        yield from self._say("refusal", completion.message.refusal or "", event.round)

    def _stopped(self, event: Stopped) -> Iterator[Piece]:
        self.stopped = True
        if event.completion is not None:
            self._rounds.append(event.completion.usage)
        return iter(())

    @staticmethod
    @cache
    def _tellers() -> Mapping[type, Callable[[OpenAIAnswer, Any], Iterator[Piece]]]:
        """How each class is told. The functions are no answer's own: methods that it kept would be a cycle."""
        return {
            StreamChunk: OpenAIAnswer._chunk,
            str: lambda self, text: self._say("content", text),
            TextDelta: lambda self, event: self._say("content", event.text, event.round),
            ReasoningDelta: lambda self, event: self._say("reasoning_content", event.text, event.round),
            Restarted: OpenAIAnswer._restarted,
            RoundCompleted: OpenAIAnswer._completed,
            Stopped: OpenAIAnswer._stopped,
        }
