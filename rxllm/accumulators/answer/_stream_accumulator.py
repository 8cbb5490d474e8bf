"""The fold from chunks to a completion.

Rules:

1. Time and memory are linear in the stream. Fragments are joined once, when they are read.
2. A call is a ``ToolCall`` only if its choice has ended and was not cut short, or the stream has ended in good order.
   Otherwise it is an ``IncompleteToolCall``.
3. Identifier and the like are the first real ones: a placeholder (``""``, ``0``, ``null``) counts only if nothing
   else comes. The model is the last real one: another may have taken over on the way. So is the usage, which is never
   added up.
4. A snapshot notes how far everything had grown. It becomes a completion when it is read.
5. There is one answer: see ``_beginning``. After a restart what came before is kept as an attempt only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rxllm.accumulators._beginning import Beginning
from rxllm.accumulators._new_tuple import new_tuple
from rxllm.accumulators._repairs import OnRepair, RepairLog
from rxllm.accumulators._size import check_fields
from rxllm.accumulators._stopwatch import Stopwatch
from rxllm.accumulators.answer._choice import ChoiceFold
from rxllm.accumulators.answer._choice_state import ChoiceState
from rxllm.accumulators.answer._fields import keep_last, rest_getter
from rxllm.accumulators.answer._merged_usage import replaces_usage, shrinks, usage_after
from rxllm.accumulators.answer._snapshot import PADDING, Snapshot, StreamState, padding_of
from rxllm.accumulators.calls._tool_calls import MAX_TOOL_CALLS
from rxllm.exceptions import LimitExceededError, RepairError, ToolCallError
from rxllm.models import (
    AnswerEnding,
    Attempt,
    ChatCompletion,
    Likeness,
    Message,
    StreamChoice,
    StreamChunk,
    StreamInfo,
    Usage,
    put_timing,
    rest_of,
)

_MAX_CHOICES = 128
_MAX_CHARACTERS = 256 * 1024 * 1024
_rest_of, _NO_REST = rest_getter(StreamChunk, but=PADDING)
_HEAD = ("id", "created", "service_tier", "system_fingerprint")


class StreamAccumulator:
    """Joins the chunks of one stream to a completion.

    Args:
        max_tool_calls: How many tool calls a choice may have.
        max_choices: How many choices there may be.
        max_characters: How many characters there may be in all: text, arguments, reasoning, and other fields of the
            provider, which count as JSON unless they are texts.
        strict: Whether to raise a ``RepairError`` instead of repairing what may be a guess (see ``rxllm.Repair``).
        on_repair: Called with each repair. ``rxllm.Repair`` has a table of their kinds.

    Attributes:
        watch: The stopwatch that measures the answer, or ``None``. It learns when a batch comes, and what is new in it.

    Example:
        >>> from rxllm.models import StreamChunk
        >>> accumulator = StreamAccumulator()
        >>> for text in "Hel", "lo":
        ...     accumulator.add(StreamChunk.from_wire({"choices": [{"delta": {"content": text}}]}))
        >>> accumulator.message().content
        'Hello'
    """

    __slots__ = (
        *("_add_details", "_add_piece", "_attempts", "_beginning", "_characters", "_choices", "_extra"),
        *("_head", "_last", "_like", "_log", "_max_characters", "_max_choices", "_max_tool_calls", "_model", "_padded"),
        *("_extra_is_shared", "_rest", "_stream", "_usage", "_wanted", "watch"),
    )

    def __init__(
        self,
        *,
        max_tool_calls: int = MAX_TOOL_CALLS,
        max_choices: int = _MAX_CHOICES,
        max_characters: int = _MAX_CHARACTERS,
        strict: bool = False,
        on_repair: OnRepair | None = None,
    ) -> None:
        self._max_tool_calls = max_tool_calls
        self._max_choices = max_choices
        self._max_characters = max_characters
        self._log = RepairLog(strict=strict, on_repair=on_repair)
        self._beginning = Beginning()
        self._attempts: tuple[Attempt, ...] = ()
        self._stream: StreamInfo | None = None
        self.watch: Stopwatch | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Have nothing of an answer."""
        self._head: dict[str, Any] = {}
        self._wanted: tuple[str, ...] = _HEAD
        # As the last chunk named it that was taken in full.
        self._model: str | None = None
        self._choices: dict[int, ChoiceFold] = {}
        self._usage: Usage | None = None
        self._extra: dict[str, Any] = {}
        # With a state: then it changes no more, and a copy of it is gone on with. So it is with the head.
        self._extra_is_shared = False
        self._characters = 0
        # What only some servers send, as the last chunk had it.
        self._rest = _NO_REST
        # The last chunk that had padding, as long as nobody asked for it.
        self._padded: StreamChunk | None = None
        # What the last chunk has in common with those that say nothing but more of one text, and where that goes.
        self._like: Likeness | None = None
        self._add_piece: Callable[[str], None] = _nowhere
        self._add_details: Callable[[Sequence[Any]], int] = len
        # The state of the last snapshot, and its only choice, until more changes than ``StreamState.grown`` says.
        self._last: tuple[StreamState, ChoiceState, ChoiceFold] | None = None

    def add(self, chunk: StreamChunk) -> None:
        """Take the next chunk.

        Args:
            chunk: The chunk; not changed.

        Raises:
            ToolCallError: A fragment belongs to no tool call.
            RepairError: With ``strict``, something had to be repaired.
            MixedAnswersError: The chunk begins another answer.
            LimitExceededError: There are more calls, choices or characters than the limits allow, or more than a
                thousand unknown fields in one object.
        """
        self.add_all((chunk,))

    process_chunk = add
    """The name that ``add`` had in 0.1."""

    def add_all(self, chunks: Iterable[StreamChunk]) -> None:
        """Take the next chunks. This costs less than ``add`` for each of them."""
        most = self._max_characters
        for chunk in chunks:
            self._log.position += 1
            like = self._like
            piece = None if like is None else like.piece_of(chunk)
            if like is None or piece is None:
                self._take(chunk)
            else:
                self._add_piece(piece)
                self._characters += len(piece)
                if like.has_details:
                    self._characters += self._add_details(chunk.choices[0].delta.reasoning_details or ())
                if chunk.extra is not None:
                    self._settle()
                    self._keep_extra(chunk.extra)
            if self._characters > most:
                raise LimitExceededError(
                    f"the answer is longer than {most} characters", limit="max_characters", maximum=most
                )

    def _take(self, chunk: StreamChunk) -> None:
        """Take a chunk in full."""
        if chunk.slots is not self._beginning.slots:
            self._take_slots(chunk)
        if self.watch is not None:
            self.watch.look(chunk)
        if chunk.extra is not None or (self._like is not None and self._like.padded is not None):
            self._settle()
        for choice in chunk.choices:
            fold = self._choices.get(choice.index) or self._begin(choice)
            self._characters += fold.add(choice, chunk)
        if self._wanted or chunk.model != self._model:
            self._take_head(chunk)
        if chunk.usage is not None:
            self._take_usage(chunk, chunk.usage)
        rest = _rest_of(chunk)
        if rest != self._rest:
            self._rest = rest
            self._keep_extra(rest_of(chunk))
        elif chunk.extra is not None:
            self._keep_extra(chunk.extra)
        if chunk.obfuscation is not None or chunk.p is not None:
            self._padded = chunk
        self._like = self._expect(chunk)

    def _expect(self, chunk: StreamChunk) -> Likeness | None:
        """Expect chunks that are like the one that was just taken in full, if that serves."""
        like = Likeness.to(chunk)
        if like is None:
            return None
        fold = self._choices[chunk.choices[0].index]
        add_piece = fold.adder(like.field)
        if add_piece is None:
            return None
        self._add_piece = add_piece
        if like.has_details:
            self._add_details = fold.adder_of_details()
        return like

    def _take_slots(self, chunk: StreamChunk) -> None:
        """Look at what is said of a chunk besides its fields."""
        restarts = self._beginning.restarts(chunk, lambda: (self.partial(), _partial_of(chunk)))
        if chunk.attempts:
            # Whoever made the tries knows of those, too, of which nothing came.
            self._attempts = chunk.attempts
        elif restarts and self._log.position:
            self._attempts = (*self._attempts, Attempt(stream=self._stream, usage=self._usage))
        if restarts:
            self._log = self._log.anew()
            self._begin_anew()
        self._stream = chunk.stream
        self._log.take_over(chunk.repairs)

    def _settle(self) -> None:
        """Keep the padding, of which the last counts, and which is another with each chunk."""
        padded, self._padded = self._padded, None
        if padded is not None:
            self._keep_extra(padding_of(padded))
        like = self._like
        if like is not None and like.padded is not None:
            self._keep_extra(padding_of(like.padded))
            like.padded = None

    def _keep_extra(self, extra: Mapping[str, Any]) -> None:
        if not extra:
            return
        self._last = None
        if self._extra_is_shared:
            self._extra = self._extra.copy()
            self._extra_is_shared = False
        for name, value in extra.items():
            self._characters += keep_last(self._extra, name, value)
        check_fields(len(self._extra))

    def completion(self, *, ended: bool = False) -> ChatCompletion:
        """Return the answer that has come.

        Args:
            ended: Whether the stream has ended in good order (``[DONE]``). Then the calls of a choice without a
                ``finish_reason`` count as finished. By default they are incomplete.

        Returns:
            The completion. It is ``complete`` if the stream or every choice has ended, unless a finish reason says that
            the server gave up: see ``ChatCompletion.ending``.

        Raises:
            ToolCallError: A finished call has no name, or more than one value for arguments. ``partial`` has the
                completion, with that call among the incomplete ones.
            RepairError: With ``strict``, a finished call has no identifier or no arguments. It has ``partial``, too.
        """
        try:
            return self._timed(self._state().completion(ended=ended, strict=True))
        except (RepairError, ToolCallError) as error:
            error.partial = self.partial("failed")
            raise

    def partial(self, ending: AnswerEnding = "truncated") -> ChatCompletion:
        """Return what has come of an answer that was cut. Never raises.

        Args:
            ending: How it ended.

        Returns:
            The completion; its ``complete`` is false. Garbled calls are among the incomplete ones.
        """
        return self._timed(self._state().completion(cut=ending))

    def _timed(self, completion: ChatCompletion) -> ChatCompletion:
        return completion if self.watch is None else put_timing(completion, self.watch.timing)

    def message(self) -> Message:
        """The message of choice 0 of ``completion()``."""
        return self.completion().message

    def snapshot(self) -> ChatCompletion:
        """Return what has come so far, for a view of the growing answer.

        Returns:
            The same as ``partial()``, but ``complete`` once every choice has finished. It only costs what changed since
            the last snapshot: it is put together when it is read, and then shows the answer as it was when it was
            taken.
        """
        if self._padded is not None:
            self._settle()
        last = self._last
        if last is not None:
            # Only content has come, nearly always. To say how far it has grown takes 0.5 µs less than another state.
            state, choice, fold = last
            log = self._log
            length = fold.length_since(choice)
            if length is not None and len(log.repairs) == state.repairs:
                padded = None if self._like is None else self._like.padded
                return Snapshot.of(state, length, padded, log.position)
        state = self._state()
        if len(self._choices) == 1:
            (fold,) = self._choices.values()
            self._last = (state, state.choices[0], fold)
        return Snapshot.of(state)

    def _state(self) -> StreamState:
        self._settle()
        self._extra_is_shared = True
        log = self._log
        choices = [fold.state for fold in self._choices.values()]
        marks = (log, len(log.repairs), log.position, self._attempts, self._stream)
        fields = (self._head, self._usage, choices, self._extra, *marks)
        return new_tuple(StreamState, fields)

    def _begin(self, choice: StreamChoice) -> ChoiceFold:
        most = self._max_choices
        if len(self._choices) >= most:
            raise LimitExceededError(f"the answer has more than {most} choices", limit="max_choices", maximum=most)
        self._last = None
        fold = self._choices[choice.index] = ChoiceFold(choice.index, self._log, self._max_tool_calls)
        return fold

    def _take_head(self, chunk: StreamChunk) -> None:
        before = self._head
        self._model = model = chunk.model
        if (model and model != before.get("model")) or (model is not None and "model" not in before):
            self._head = {**before, "model": model}
        for name in self._wanted:
            value: str | float | None = getattr(chunk, name)
            if value:
                self._head = {**self._head, name: value}
                self._wanted = tuple(each for each in self._wanted if each != name)
            elif value is not None and name not in self._head:
                self._head = {**self._head, name: value}
        if self._head is not before:
            self._last = None

    def _take_usage(self, chunk: StreamChunk, usage: Usage) -> None:
        before = self._usage
        now, added = usage_after(before, chunk)
        if now is before:
            return
        if before is not None and not replaces_usage(chunk) and shrinks(before, usage):
            self._log.add("usage-replaced", None, before, usage)
        self._usage = now
        self._characters += added
        self._last = None


def _partial_of(chunk: StreamChunk) -> ChatCompletion:
    """What there is of the answer that a chunk begins."""
    accumulator = StreamAccumulator()
    accumulator.add(chunk)
    return accumulator.partial()


def _nowhere(_: str) -> None:
    """Where a text goes before any is expected."""
