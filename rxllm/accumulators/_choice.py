"""One of the parallel answers, as it grows.

Rules:

1. Text is kept in fragments, lists that a provider sends piece by piece are put end to end (those named below, no
   others), and of everything else the last value that is not null counts: see ``Grown``.
2. A role is sticky; a reason for the end that is blank is none, and of several the last counts.
3. A state names everything by how far it had grown, so it costs what changed and never changes itself. What is not
   content is mostly the same from chunk to chunk, and so is its part of the state.
4. Reasoning stays in the field that it came in. If that changes on the way, all of it, in the order in which it came,
   is ``reasoning_joined`` of the message besides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rxllm.accumulators._choice_state import TEXTS, ChoiceState, RestState
from rxllm.accumulators._grown import Grown, TextState, keep_last, put_end_to_end
from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._size import check_fields
from rxllm.accumulators._text import Text
from rxllm.accumulators._tool_calls import ToolCallFold
from rxllm.models import Delta, FinishReason, FunctionCallDelta, Role, StreamChoice, ToolCallDelta
from rxllm.models._json import is_object
from rxllm.models._lenient import set_aside
from rxllm.models._reasoning import find_reasoning

__all__ = ["ChoiceFold"]

_EXTRA_TEXTS = frozenset({"reasoning_text", "thinking"})
_AUDIO_TEXTS = frozenset({"data", "transcript"})
_LISTS = frozenset(
    {
        *("annotations", "content_parts", "executed_tools", "images", "reasoning_details"),
        *(set_aside("reasoning"), set_aside("reasoning_content")),
    }
)
_CHOICE_LISTS = frozenset({"token_ids"})
# The constructor of a NamedTuple is a Python function around this one. Without it a snapshot costs 0.2 µs less.
_new_state: Callable[[type[ChoiceState], tuple[RestState, Text, int]], ChoiceState] = vars(tuple)["__new__"]


class ChoiceFold:
    """The fold of one choice.

    Args:
        index: Which of the parallel answers.
        log: Where repairs are noted.
        max_tool_calls: How many calls it may have.
    """

    __slots__ = (
        *("_audio", "_calls", "_content", "_extra", "_function", "_index", "_log", "_logprobs", "_message", "_mixed"),
        *("_rest", "_role", "_spelling", "finish_reason"),
    )

    def __init__(self, index: int, log: RepairLog, max_tool_calls: int) -> None:
        self._index = index
        self._log = log
        self._calls = ToolCallFold(index, log, max_tool_calls)
        self._content = Text()
        self._function: tuple[str, Text] | None = None
        self._message = Grown()
        self._audio = Grown()
        self._logprobs = Grown()
        self._extra = Grown()
        # In which field the reasoning comes, and all of it once that has changed.
        self._spelling = ""
        self._mixed: Text | None = None
        self._role: Role | str | None = None
        self._rest: RestState | None = None
        self.finish_reason: FinishReason | str | None = None

    @property
    def state(self) -> ChoiceState:
        """The choice as it is now."""
        if self._rest is None:
            self._rest = self._state_of_rest()
        return _new_state(ChoiceState, (self._rest, self._content, len(self._content.fragments)))

    def length_since(self, state: ChoiceState) -> int | None:
        """How far the content has grown, if nothing else has since a state was taken."""
        return len(self._content.fragments) if self._rest is state.rest else None

    def _state_of_rest(self) -> RestState:
        return RestState(
            self._index,
            self._role,
            self.finish_reason,
            self._calls.states(),
            None if self._function is None else (self._function[0], TextState(text := self._function[1], len(text))),
            self._message.state(),
            self._audio.state(),
            self._logprobs.state(),
            self._extra.state(),
            None if self._mixed is None else TextState(self._mixed, len(self._mixed)),
        )

    def process(self, choice: StreamChoice) -> int:
        """Take what the choice gained.

        Args:
            choice: The choice of the next chunk.

        Returns:
            How many characters of text that were.

        Raises:
            ToolCallError: A fragment of a tool call fits nowhere.
            LimitExceededError: There are too many calls.
        """
        # The fields of a model are read from where they are: an attribute takes twice as long.
        fields = choice.__dict__
        delta: Delta = fields["delta"]
        given = delta.__dict__
        size = 0
        text: str | None = given["content"]
        if text:
            self._content.fragments.append(text)
            size = len(text)
        # Nearly all deltas are text and nothing else, or calls, or more of the reasoning.
        if len(delta.__pydantic_fields_set__) > 1:
            size += self._process_rest(delta)
        elif not text:
            if given["tool_calls"]:
                size = self._add_calls(given["tool_calls"])
            elif self._mixed is None and (text := given.get(self._spelling)):
                self._rest = None
                size = self._message.add_text(self._spelling, text)
            else:
                size = self._process_rest(delta)
        if fields["finish_reason"]:
            self._rest = None
            self._finish(fields["finish_reason"])
        if fields["logprobs"]:
            self._rest = None
            size += put_end_to_end(self._logprobs, fields["logprobs"], fields["logprobs"])
        if choice.__pydantic_extra__:
            self._rest = None
            size += put_end_to_end(self._extra, choice.__pydantic_extra__, _CHOICE_LISTS)
        return size

    def grower(self, field: str) -> Callable[[str], None] | None:
        """What takes the texts of further deltas that are like the last one but for these.

        Args:
            field: The field of the delta that is all that grows: ``grows`` of its ``Shape``.

        Returns:
            A function that takes them as ``process`` would, until that is called again; ``None`` if it depends on them
            what happens.
        """
        if field == "content":
            return self._content.fragments.append
        if field == "arguments":
            call = self._calls.expected
            return None if call is None else self._into_rest(call.append)
        text = self._message.texts.get(field)
        # Reasoning is put together a second time once it has changed its field.
        if text is None or (field != "refusal" and (self._mixed is not None or field != self._spelling)):
            return None
        return self._into_rest(text.fragments.append)

    def _into_rest(self, append: Callable[[str], None]) -> Callable[[str], None]:
        def grow(text: str) -> None:
            append(text)
            self._rest = None

        return grow

    def _finish(self, reason: FinishReason | str) -> None:
        if self.finish_reason and reason != self.finish_reason:
            self._log.add("finish-reason-replaced", self._index, self.finish_reason, reason)
        self.finish_reason = reason

    def _process_rest(self, delta: Delta) -> int:
        size = 0
        fields = delta.__dict__
        extra = delta.__pydantic_extra__
        if fields["role"] and not self._role:
            self._role = fields["role"]
            self._rest = None
        if fields["reasoning_content"] or fields["reasoning"] or extra:
            size += self._note_reasoning(delta)
        for name in TEXTS:
            text: str | None = fields[name]
            if text:
                size += self._message.add_text(name, text)
        calls: list[ToolCallDelta] | None = fields["tool_calls"]
        if calls:
            size += self._add_calls(calls)
        function_call: FunctionCallDelta | None = fields["function_call"]
        if function_call is not None:
            size += self._process_function_call(function_call)
        if extra:
            size += self._process_extra(extra)
        # Some servers send a role, and nulls for all else, with each piece of text.
        if size or calls or function_call is not None or extra:
            self._rest = None
        return size

    def _add_calls(self, fragments: Sequence[ToolCallDelta]) -> int:
        self._rest = None
        calls = self._calls
        size = 0
        for fragment in fragments:
            calls.add(fragment)
            size += calls.added
        return size

    def _note_reasoning(self, delta: Delta) -> int:
        """Keep the reasoning in order if it changes its field; returns how many characters that adds."""
        spelling, text = find_reasoning(delta.reasoning_content, delta.reasoning, delta.__pydantic_extra__)
        if not text:
            return 0
        added = 0
        if self._mixed is None:
            if self._spelling in ("", spelling):
                self._spelling = spelling
                return 0
            grown = self._message.state().read()
            so_far = find_reasoning(grown.get("reasoning_content"), grown.get("reasoning"), grown)[1]
            self._mixed = Text()
            self._mixed.fragments.append(so_far)
            added = len(so_far)
        self._mixed.fragments.append(text)
        return added + len(text)

    def _process_function_call(self, fragment: FunctionCallDelta) -> int:
        name, text = self._function or ("", Text())
        self._function = (name or fragment.name or "", text)
        arguments = self._calls.text_of(fragment.arguments)
        if arguments:
            text.fragments.append(arguments)
        return len(arguments)

    def _process_extra(self, extra: dict[str, Any]) -> int:
        size = 0
        plain: dict[str, Any] = {}
        for name, value in extra.items():
            if name == "audio" and is_object(value):
                size += self._process_audio(value)
            elif name in _EXTRA_TEXTS and isinstance(value, str):
                size += self._message.add_text(name, value)
            else:
                plain[name] = value
        return size + put_end_to_end(self._message, plain, _LISTS)

    def _process_audio(self, audio: Mapping[str, Any]) -> int:
        size = 0
        for name, value in audio.items():
            if name in _AUDIO_TEXTS and isinstance(value, str):
                size += self._audio.add_text(name, value)
            else:
                size += keep_last(self._audio.plain, name, value)
        check_fields(len(self._audio.plain))
        return size
