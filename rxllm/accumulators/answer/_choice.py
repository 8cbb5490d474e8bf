"""One of the parallel answers, as it grows.

Rules:

1. Text is kept in fragments, lists that a provider sends piece by piece are put end to end (those named below, no
   others), and of everything else the last value that is not null counts: see ``FieldsFold``.
2. A role is sticky; a reason for the end that is blank is none, and of several the last counts.
3. A state names everything by how far it had grown, so it costs what changed and never changes itself. What is not
   content is mostly the same from chunk to chunk, and so is its part of the state.
4. Reasoning stays in the field that it came in. If that changes on the way, all of it, in the order in which it came,
   is ``reasoning_joined`` of the message besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rxllm.accumulators._new_tuple import new_tuple
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.accumulators.answer._choice_state import ChoiceState, RestState
from rxllm.accumulators.answer._fields import FieldsFold, Prefix, rest_getter
from rxllm.accumulators.answer._parts_fold import PartsFold
from rxllm.accumulators.calls._call_state import answer_of
from rxllm.accumulators.calls._fragments import text_of_arguments
from rxllm.accumulators.calls._tool_calls import ToolCallFold
from rxllm.models import (
    Delta,
    DeltaPart,
    FunctionCallDelta,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    ending_of,
    find_reasoning,
    is_object,
    is_reason,
    rest_of,
    set_aside,
)

_EXTRA_TEXTS = frozenset({"reasoning_text", "thinking"})
_AUDIO_TEXTS = frozenset({"data", "transcript"})
_LISTS = frozenset(
    {
        *("annotations", "content_parts", "executed_tools", "images", "reasoning_details"),
        *(set_aside("reasoning"), set_aside("reasoning_content")),
    }
)
_CHOICE_LISTS = frozenset({"token_ids"})
_DETAILS = "reasoning_details"
_rest_of_delta, _NO_REST_OF_DELTA = rest_getter(Delta, but={_DETAILS}, extra=True)
_rest_of_choice, _NO_REST_OF_CHOICE = rest_getter(StreamChoice, extra=True)


@dataclass(slots=True, eq=False)
class ChoiceFold:
    """The fold of one choice.

    Args:
        index: Which of the parallel answers.
        log: Where repairs are noted.
        max_tool_calls: How many calls it may have.
    """

    index: int
    log: RepairLog
    max_tool_calls: int
    _content: Text = field(default_factory=Text)
    # Most answers have neither: what is not made costs nothing.
    _calls: ToolCallFold | None = None
    _function: tuple[str, Text] | None = None
    # Of the message, its audio, the log probabilities, the choice.
    _parts: defaultdict[str, FieldsFold] = field(default_factory=partial(defaultdict[str, FieldsFold], FieldsFold))
    # Of the answer itself, in dialects that have some.
    _sections: PartsFold | None = None
    # In which field the reasoning comes, and all of it once that has changed.
    _spelling: str = ""
    _mixed: Text | None = None
    _role: str | None = None
    _rest: RestState | None = None
    finish_reason: str | None = None

    @property
    def state(self) -> ChoiceState:
        """The choice as it is now."""
        if self._rest is None:
            self._rest = self._state_of_rest()
        return new_tuple(ChoiceState, (self._rest, self._content, len(self._content.fragments)))

    def length_since(self, state: ChoiceState) -> int | None:
        """How far the content has grown, if nothing else has since a state was taken."""
        return len(self._content.fragments) if self._rest is state.rest else None

    def adder(self, field: str) -> Callable[[str], None] | None:
        """What takes the pieces of further deltas that are like the last one but for these.

        Args:
            field: Of which field they are pieces.

        Returns:
            A function that takes them as ``add`` would; ``None`` if it depends on them what happens.
        """
        if field == "content":
            return self._content.fragments.append
        if field == "arguments":
            call = None if self._calls is None else self._calls.last
            # After a repetition of its name, arguments may be another call's.
            if call is None or call.named_again:
                return None
            append = call.text.fragments.append
        # Reasoning is put together a second time once it has changed its field.
        elif self._mixed is not None or field != self._spelling:
            return None
        else:
            append = self._parts["message"].texts[field].fragments.append

        def add_piece(piece: str) -> None:
            append(piece)
            self._rest = None

        return add_piece

    def adder_of_details(self) -> Callable[[Sequence[Any]], int]:
        """What takes the details that come with pieces of the reasoning, and says how many characters they are."""
        return partial(self._parts["message"].add_list, _DETAILS)

    def _state_of_rest(self) -> RestState:
        return RestState(
            self.index,
            self._role,
            self.finish_reason,
            () if self._calls is None else self._calls.states(),
            None if self._function is None else (self._function[0], Prefix(text := self._function[1], len(text))),
            {name: fields.state() for name, fields in self._parts.items()},
            None if self._mixed is None else Prefix(self._mixed, len(self._mixed)),
            () if self._sections is None else self._sections.states(),
        )

    def add(self, choice: StreamChoice, chunk: StreamChunk) -> int:
        """Take what the choice gained.

        Args:
            choice: The choice of the next chunk.
            chunk: That chunk.

        Returns:
            How many characters of text that were.

        Raises:
            ToolCallError: A fragment of a tool call fits nowhere.
            LimitExceededError: There are too many calls.
        """
        delta = choice.delta
        size = 0
        if delta.part is not None:
            size = self._go_on(delta.part)
        text = delta.content
        if text:
            self._content.fragments.append(text)
            size += len(text)
        if delta.tool_calls:
            size += self._add_calls(delta.tool_calls, chunk)
        if delta.blocks:
            self._rest = None
            size += self._own_parts().finish(delta.blocks)
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details or delta.extra:
            size += self._add_reasoning(delta)
        size += self._add_rest(delta)
        if choice.finish_reason and is_reason(choice.finish_reason):
            self._rest = None
            self._finish(choice.finish_reason)
        if choice.logprobs:
            self._rest = None
            size += self._parts["logprobs"].add(choice.logprobs, lists=choice.logprobs)
        if _rest_of_choice(choice) != _NO_REST_OF_CHOICE:
            self._rest = None
            size += self._parts["extra"].add(rest_of(choice), lists=_CHOICE_LISTS)
        return size

    def _own_parts(self) -> PartsFold:
        if self._sections is None:
            self._sections = PartsFold(self._content, self._parts["message"].texts)
        return self._sections

    def _go_on(self, part: DeltaPart) -> int:
        sections = self._own_parts()
        if sections.is_at(part):
            return 0
        self._rest = None
        return sections.go_on(part)

    def _finish(self, reason: str) -> None:
        if self.finish_reason and reason != self.finish_reason:
            is_same = ending_of(reason) == ending_of(self.finish_reason)
            kind = "finish-reason-repeated" if is_same else "finish-reason-replaced"
            self.log.add(kind, self.index, self.finish_reason, reason)
        self.finish_reason = reason

    def _add_calls(self, fragments: Sequence[ToolCallDelta], chunk: StreamChunk) -> int:
        self._rest = None
        if self._calls is None:
            self._calls = ToolCallFold(self.index, self.log, self.max_tool_calls, answer_of(chunk))
        calls = self._calls
        size = 0
        call = None
        for fragment in fragments:
            call = calls.add(fragment) or call
            size += calls.added
        if self._sections is not None:
            self._sections.calls(call)
        return size

    def _add_reasoning(self, delta: Delta) -> int:
        """Keep the reasoning in its field, and in order if it changes its field."""
        self._rest = None
        size = 0
        if delta.reasoning_content:
            size += self._join_reasoning("reasoning_content", delta.reasoning_content)
            size += self._parts["message"].add_text("reasoning_content", delta.reasoning_content)
        else:
            spelling, text = find_reasoning(None, delta.reasoning, delta.extra, delta.reasoning_details)
            size += self._join_reasoning(spelling, text) if text else 0
        return size + (self._parts["message"].add_text("reasoning", delta.reasoning) if delta.reasoning else 0)

    def _join_reasoning(self, spelling: str, text: str) -> int:
        """Put the reasoning together a second time once it has changed its field; returns what that adds."""
        added = 0
        if self._mixed is None:
            if self._spelling in ("", spelling):
                self._spelling = spelling
                return 0
            grown = self._parts["message"].state().read()
            so_far = find_reasoning(grown.get("reasoning_content"), grown.get("reasoning"), grown)[1]
            self._mixed = Text()
            self._mixed.fragments.append(so_far)
            added = len(so_far)
        self._mixed.fragments.append(text)
        return added + len(text)

    def _add_function_call(self, fragment: FunctionCallDelta) -> int:
        name, text = self._function or ("", Text())
        self._rest = None
        self._function = (name or fragment.name or "", text)
        arguments = text_of_arguments(fragment.arguments, self.index, self.log)
        if arguments:
            text.fragments.append(arguments)
        return len(arguments)

    def _add_rest(self, delta: Delta) -> int:
        """Take what is neither content nor calls nor reasoning."""
        size = 0
        if delta.role and not self._role:
            self._role = delta.role
            self._rest = None
        if delta.refusal:
            self._rest = None
            size += self._parts["message"].add_text("refusal", delta.refusal)
        if delta.function_call is not None:
            size += self._add_function_call(delta.function_call)
        if delta.reasoning_details is not None:
            self._rest = None
            size += self._parts["message"].add_list(_DETAILS, delta.reasoning_details)
        if _rest_of_delta(delta) != _NO_REST_OF_DELTA:
            self._rest = None
            fields = rest_of(delta)
            if delta.reasoning_details is not None:
                del fields[_DETAILS]  # taken already
            size += self._add_fields(fields)
        return size

    def _add_fields(self, fields: dict[str, Any]) -> int:
        """Take what only some servers send."""
        size = 0
        if is_object(fields.get("audio")):
            size = self._parts["audio"].add(fields.pop("audio"), texts=_AUDIO_TEXTS)
        return size + self._parts["message"].add(fields, texts=_EXTRA_TEXTS, lists=_LISTS)
