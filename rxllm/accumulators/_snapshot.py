"""A completion that is put together when it is read.

A live view gets one for each chunk and reads few of them, so making one must cost what changed and not what there
is. ``StreamState`` notes how far everything had grown; ``Snapshot`` makes a ``ChatCompletion`` of it at the first
access to any attribute, and from then on is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rxllm.accumulators._choice import ChoiceState, without_names_of
from rxllm.accumulators._repairs import RepairLog
from rxllm.models import ChatCompletion

__all__ = ["Snapshot", "StreamState"]

_STATE = "_state"
_SLOTS = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


class StreamState(NamedTuple):
    """An answer as it was at one time.

    Attributes:
        head: The fields of the completion itself.
        choices: The choices, in order of their index.
        extra: What else a provider sent.
        log: The log of repairs, which goes on.
        repairs: How many there were.
        position: How many chunks there were, less one.
    """

    head: dict[str, Any]
    choices: tuple[ChoiceState, ...]
    extra: dict[str, Any]
    log: RepairLog
    repairs: int
    position: int

    def completion(self, *, ended: bool = False, strict: bool = False) -> ChatCompletion:
        """The completion: see ``ChoiceState.build``. Only if ``strict``, repairs are announced and may be errors."""
        # What is put right now goes on a log of its own: reading changes nothing.
        log = self.log.for_reading() if strict else RepairLog(self.position)
        choices = [choice.build(log, ended=ended, strict=strict) for choice in self.choices]
        repairs = (*self.log.repairs[: self.repairs], *log.repairs)
        return ChatCompletion.model_validate(
            {**without_names_of(ChatCompletion, self.extra), **self.head, "choices": choices, "repairs": repairs}
        )


class Snapshot(ChatCompletion):
    """A ``ChatCompletion`` that nobody has read yet."""

    @classmethod
    def of(cls, state: StreamState) -> ChatCompletion:
        """The snapshot of a state."""
        snapshot = cls.__new__(cls)
        object.__getattribute__(snapshot, "__dict__")[_STATE] = state
        return snapshot

    def __getattribute__(self, name: str) -> Any:
        """Become a ``ChatCompletion``, and look there."""
        fields: dict[str, Any] = object.__getattribute__(self, "__dict__")
        # A copy has been filled by who copied it.
        if _STATE in fields:
            completion = fields[_STATE].completion()
            for slot in _SLOTS:
                object.__setattr__(self, slot, getattr(completion, slot))
            fields.update(completion.__dict__)
            fields.pop(_STATE, None)
        object.__setattr__(self, "__class__", ChatCompletion)
        return getattr(self, name)
