"""One of the parallel answers as it was at one time, and the model that it comes to.

Rules:

1. A choice has finished if a reason was given or the stream ended in good order. What calls it has are finished then,
   unless the reason says that the answer was cut short; otherwise they are incomplete. While the stream has not ended,
   so is a call whose arguments are open, whatever the reason: more of them may follow.
2. A field of a provider that has the name of one of ours is kept as ``<name>_original``.
3. Content is null, as from a server that answers at once, if there is something else instead.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import BaseModel

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.accumulators.answer._fields import FieldsState, Prefix
from rxllm.accumulators.answer._parts_fold import PartState
from rxllm.accumulators.calls._call_state import CallState
from rxllm.exceptions import ToolCallError
from rxllm.models import (
    JOINED,
    AnswerEnding,
    CompletionChoice,
    FunctionCall,
    IncompleteToolCall,
    Message,
    MessagePart,
    Origin,
    Role,
    ToolCall,
    ending_of,
    is_list,
    set_aside,
)

TEXTS = ("reasoning_content", "reasoning", "refusal")
"""The fields of a message, besides its content, that grow as texts."""

_FINISHED = frozenset[AnswerEnding]({"completed", "unknown"})
_place_of = attrgetter("place")


class ChoiceState(NamedTuple):
    """A choice as it was at one time: how far its content had grown, and the rest of it."""

    rest: RestState
    content: Text
    length: int

    def build(self, log: RepairLog, origin: Origin | None, *, ended: bool, strict: bool) -> CompletionChoice:
        """The choice as a model: see ``RestState.build``."""
        choice = self.rest.build(self.content, self.length, log, ended=ended, strict=strict)
        if origin is not None:
            choice.message.origin = origin
        return choice

    def ending(self, log: RepairLog, *, ended: bool) -> AnswerEnding | None:
        """How the choice ended; ``None`` while it goes on.

        Args:
            log: Where it is noted that the reason is missing.
            ended: Whether the stream ended in good order.
        """
        reason = self.rest.finish_reason
        if reason:
            return ending_of(reason) if ended or not self.rest.has_open_calls else None
        if not ended:
            return None
        log.add("finish-reason-missing", self.rest.number, None, None)
        return "unknown"


class RestState(NamedTuple):
    """What of a choice is not content, as it was at one time."""

    number: int
    role: str | None
    finish_reason: str | None
    calls: tuple[CallState, ...]
    function: tuple[str, Prefix] | None
    parts: dict[str, FieldsState]
    reasoning: Prefix | None
    sections: tuple[PartState, ...]

    def build(self, content: Text, length: int, log: RepairLog, *, ended: bool, strict: bool) -> CompletionChoice:
        """The choice as a model.

        Args:
            content: Its text, as it goes on growing.
            length: How far that had grown.
            log: Where repairs are noted.
            ended: Whether the stream ended in good order, so that a missing reason for the end means nothing.
            strict: Whether calls that are garbled are an error; else they are incomplete.

        Raises:
            ToolCallError: ``strict``, and a call is garbled.
        """
        finished = ending_of(self.finish_reason) in _FINISHED if self.finish_reason else ended
        calls: list[ToolCall] = []
        incomplete: list[IncompleteToolCall] = []
        built: dict[int, ToolCall | IncompleteToolCall] = {}
        for state in self.calls:
            try:
                if finished and (ended or not state.is_open):
                    built[state.serial] = call = state.tool_call(log)
                    calls.append(call)
                    continue
            except ToolCallError:
                if strict:
                    raise
            built[state.serial] = cut = state.incomplete()
            incomplete.append(cut)
        function = None
        if self.function is not None:
            name, arguments = self.function[0], self.function[1].read()
            if finished and name:
                function = FunctionCall(name=name, arguments=arguments if arguments.strip() else "{}")
            else:
                incomplete.append(IncompleteToolCall(name=name or None, arguments=arguments))
        return CompletionChoice.model_validate(
            {
                **without_names_of(CompletionChoice, self._fields_of("extra")),
                "index": self.number,
                "message": self._message(
                    content.read(length),
                    calls,
                    function,
                    [part.build(built, content, length) for part in sorted(self.sections, key=_place_of)],
                ),
                "finish_reason": self.finish_reason,
                "logprobs": self._fields_of("logprobs") or None,
                "incomplete_tool_calls": incomplete,
            }
        )

    @property
    def has_open_calls(self) -> bool:
        """Whether the arguments of a call have begun and not ended."""
        return any(call.is_open for call in self.calls)

    def _fields_of(self, part: str) -> dict[str, Any]:
        """The fields of the message, its audio, the log probabilities or the choice."""
        return self.parts[part].read() if part in self.parts else {}

    def _message(
        self, content: str, calls: list[ToolCall], function: FunctionCall | None, parts: list[MessagePart]
    ) -> Message:
        grown = self._fields_of("message")
        own = {name: grown.pop(name) for name in TEXTS if name in grown}
        if is_list(grown.get("annotations", ())) or grown.get("annotations", ()) is None:
            own["annotations"] = grown.pop("annotations")
        if self.reasoning is not None:
            own[JOINED] = self.reasoning.read()
        fields = {
            **without_names_of(Message, grown),
            **own,
            "role": self.role or Role.ASSISTANT,
            "tool_calls": calls,
            "function_call": function,
            "audio": self._fields_of("audio") or None,
        }
        if parts:
            fields["parts"] = parts
        # As a server has it that answers at once: null if there is something else instead of text.
        instead = calls or function or fields["audio"] or fields.get("refusal")
        fields["content"] = content or (None if instead else "")
        return Message.model_validate(fields)


def without_names_of(model: type[BaseModel], fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a provider, those renamed that would be taken for the model's own."""
    return {set_aside(name) if name in model.model_fields else name: value for name, value in fields.items()}
