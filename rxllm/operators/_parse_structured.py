"""``parse_structured``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Generic, TypeVar

from pydantic import BaseModel
from reactivex import abc

from rxllm.accumulators import StructuredAccumulator
from rxllm.accumulators._beginning import Beginning
from rxllm.flow import FlowControl
from rxllm.models import StreamChunk
from rxllm.models._chunk import text_of
from rxllm.operators._accumulate import attach_partial
from rxllm.operators._stage import Operated, Receiver
from rxllm.typing import OperatorFunction

M = TypeVar("M", bound=BaseModel)


def parse_structured(model: type[M], *, choice: int = 0, text_around: bool = False) -> OperatorFunction[StreamChunk, M]:
    r"""Read an answer in JSON as a pydantic model, field by field as they complete.

    ::

        source  --a-b-c-d---|
                parse_structured(Usage) | rx_ops.map(lambda usage: usage.model_fields_set)
        result  ----x-y-----|

        a=text_chunk('{"prompt_tokens": 1') b=text_chunk('2, "completion_tokens":') c=text_chunk(" 3}")
        d=finish_chunk("stop") x={"prompt_tokens"} y={"prompt_tokens", "completion_tokens"}

    An item for each chunk that completes a field, also one of a nested model, or an element of a list. It is an
    instance of the model with what is complete, each value validated; a field that is not there yet has its default,
    or raises ``AttributeError``: ``model_fields_set`` says which are there. The last item has been validated in full. A
    value that breaks the schema fails as soon as it is complete. Fields and models with validators that see the input
    first (``mode="before"``, ``"wrap"``, ``"plain"``) are validated when they are complete as a whole. Time is linear
    in the answer; lists that are open are copied for each item. Emits at once. If the answer begins anew, so do the
    items: each is all there is so far. On error, the last item is on ``error.partial`` as well, if there was one; on
    dispose it is forgotten.

    Args:
        model: The model, a subclass of ``pydantic.BaseModel``.
        choice: The index of the choice.
        text_around: Whether there may be text around the JSON, as prose or a fence: it begins at the first ``{``, and
            what comes after its end is ignored.

    Returns:
        An operator from ``StreamChunk`` to the model.

    Raises:
        StructuredOutputError: As ``on_error``: a value breaks the schema, or there is no JSON.
        DecodeError: As ``on_error``: the answer is no JSON, or ended before the JSON did.
        MixedAnswersError: As ``on_error``: the chunks of a second answer came.
        LimitExceededError: As ``on_error``: the JSON is nested too deep or too long.

    Example:
        >>> import pydantic, reactivex, rxllm
        >>> from rxllm import operators as ops
        >>> class City(pydantic.BaseModel):
        ...     name: str
        ...     population: int
        >>> texts = '{"name": "Par', 'is", "popul', 'ation": 2100000}'
        >>> chunks = [rxllm.StreamChunk.from_wire({"choices": [{"delta": {"content": text}}]}) for text in texts]
        >>> rxllm.run(reactivex.of(*chunks).pipe(ops.parse_structured(City)))
        City(name='Paris', population=2100000)

    See also:
        ``json_path``, ``accumulate``
    """
    return lambda source: Operated(source, _Parsing, model, text_around, choice)


class _Parsing(Receiver[StreamChunk], Generic[M]):
    """One subscription. Of most chunks nothing comes, so a batch goes on until something does."""

    def __init__(
        self,
        observer: abc.ObserverBase[M],
        scheduler: abc.SchedulerBase | None,
        model: type[M],
        text_around: bool,  # noqa: FBT001 - passed on
        choice: int,
    ) -> None:
        del scheduler
        self._begin = partial(StructuredAccumulator[M], model, text_around=text_around)
        self._accumulator = self._begin()
        self._beginning = Beginning()
        self._choice = choice
        self._observer = observer
        self._empty = True

    def on_next(self, value: StreamChunk) -> None:
        self.on_batch((value,))

    def on_batch(self, items: Sequence[StreamChunk]) -> int:
        self._empty = False
        choice = self._choice
        flow = FlowControl.current()
        for count, chunk in enumerate(items, 1):
            try:
                if chunk.slots is not self._beginning.slots:
                    self._take_slots(chunk)
                snapshot = self._accumulator.feed(text_of(chunk, choice))
            except Exception as error:
                self.on_error(error)
                return count
            if snapshot is not None:
                self._observer.on_next(snapshot)
                if self._left or (flow is not None and flow.paused):
                    return count
        return len(items)

    def _take_slots(self, chunk: StreamChunk) -> None:
        if self._beginning.restarts(chunk, lambda: (self._accumulator.latest, None)):
            self._accumulator = self._begin()

    def on_error(self, error: Exception) -> None:
        attach_partial(error, lambda: self._accumulator.latest)
        self._observer.on_error(error)

    def on_completed(self) -> None:
        try:
            last = None if self._empty else self._accumulator.finish()
        except Exception as error:
            self.on_error(error)
            return
        if last is not None:
            self._observer.on_next(last)
        self._observer.on_completed()
