"""A completion that is put together when it is read.

A live view gets one for each chunk and reads few of them, so making one must cost what changed and not what there
is. ``StreamState`` notes how far everything had grown; ``Snapshot`` makes a ``ChatCompletion`` of it at the first
access to any attribute, and from then on is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rxllm.accumulators._pydantic_internals import become, new_model, private_of, put_private
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.answer._choice_state import ChoiceState, without_names_of
from rxllm.models import (
    WHOLE,
    AnswerEnding,
    Attempt,
    ChatCompletion,
    Origin,
    StreamChunk,
    StreamInfo,
    Usage,
    worst_of,
)

PADDING = ("obfuscation", "p")
"""The fields that hide how long a text is: with each chunk another, and they say nothing."""


class StreamState(NamedTuple):
    """An answer as it was at one time.

    Attributes:
        head: The fields of the completion itself.
        usage: What the answer cost.
        choices: The choices, in the order in which they began.
        extra: What else a provider sent.
        log: The log of repairs, which goes on.
        repairs: How many there were.
        position: How many chunks there were, less one.
        attempts: The tries that do not count.
        stream: The request behind it.
    """

    head: dict[str, Any]
    usage: Usage | None
    choices: list[ChoiceState]
    extra: dict[str, Any]
    log: RepairLog
    repairs: int
    position: int
    attempts: tuple[Attempt, ...]
    stream: StreamInfo | None

    def completion(
        self, *, ended: bool = False, cut: AnswerEnding | None = None, strict: bool = False
    ) -> ChatCompletion:
        """The completion: see ``ChoiceState.build``.

        Args:
            ended: Whether the stream is known to have ended in good order.
            cut: How it ended if not: then the completion is not complete, whatever its choices say.
            strict: Whether repairs are announced and may be errors.
        """
        # What is put right now goes on a log of its own: reading changes nothing.
        log = self.log.for_reading() if strict else RepairLog(self.position)
        states = sorted(self.choices, key=lambda choice: choice.rest.number)
        choices = [choice.build(log, self._origin(), ended=ended, strict=strict) for choice in states]
        ending = cut or self._ending(log, ended=ended)
        fields = {
            **self.head,
            "usage": self.usage,
            "choices": choices,
            "complete": cut is None and ending in WHOLE,
            "ending": ending,
            "repairs": (*self.log.repairs[: self.repairs], *log.repairs),
            "attempts": self.attempts,
        }
        return ChatCompletion.model_validate({**without_names_of(ChatCompletion, self.extra), **fields})

    def _origin(self) -> Origin | None:
        """Where the answer came from, as far as that is known."""
        if self.stream is None or self.stream.dialect is None:
            return None
        model, answer = self.head.get("model"), self.head.get("id")
        return Origin(dialect=self.stream.dialect, host=self.stream.host, model=model, id=answer)

    def grown(self, length: int, last: StreamChunk | None, position: int) -> StreamState:
        """The answer once it had grown, in the content of its only choice.

        Args:
            length: How far the content had grown.
            last: The last chunk, whose padding counts; ``None`` if that is known.
            position: How many chunks there were, less one.
        """
        extra = self.extra
        if last is not None:
            extra = {**extra, **padding_of(last)}
        (choice,) = self.choices
        return self._replace(choices=[choice._replace(length=length)], extra=extra, position=position)

    def _ending(self, log: RepairLog, *, ended: bool) -> AnswerEnding | None:
        """How the answer ended, which is as the worst of its choices did; ``None`` while one goes on."""
        endings: list[AnswerEnding] = []
        for choice in self.choices:
            ending = choice.ending(log, ended=ended)
            if ending is None:
                return None
            endings.append(ending)
        return worst_of(endings) if ended or endings else None


def padding_of(chunk: StreamChunk) -> dict[str, Any]:
    """The padding of a chunk, by name."""
    return {name: value for name in PADDING if (value := getattr(chunk, name)) is not None}


class Snapshot(ChatCompletion, defer_build=True):
    """A ``ChatCompletion`` that nobody has read yet; never validated, so that it needs no validator of its own.

    Until it is read, the state is where pydantic keeps private attributes, of which a completion has none.
    """

    @staticmethod
    def of(
        state: StreamState, length: int | None = None, last: StreamChunk | None = None, position: int = 0
    ) -> ChatCompletion:
        """The snapshot of a state, or of one that has grown if a length is given: see ``StreamState.grown``."""
        snapshot = new_model(Snapshot)
        put_private(snapshot, (state, length, last, position))
        return snapshot

    def __getattribute__(self, name: str) -> Any:
        """Become a ``ChatCompletion``, and look there."""
        kept: tuple[StreamState, int | None, StreamChunk | None, int] | dict[str, Any] | None = private_of(self)
        completion = None
        # A copy has been filled by who copied it.
        if isinstance(kept, tuple):
            state, length, last, position = kept
            completion = (state if length is None else state.grown(length, last, position)).completion()
        become(self, ChatCompletion, completion)
        return getattr(self, name)
