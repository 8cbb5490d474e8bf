"""``parse_structured``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from rxllm.accumulators import Beginning, StructuredAccumulator, WhyNoJSON
from rxllm.exceptions import DecodeError, StructuredOutputError, attach_gathered
from rxllm.flow import FanOut, Operation, operate, stopping
from rxllm.models import StreamChunk, text_of
from rxllm.typing import OperatorFunction

M = TypeVar("M", bound=BaseModel)


def parse_structured(model: type[M], *, choice: int = 0, text_around: bool = False) -> OperatorFunction[StreamChunk, M]:
    r"""Read an answer in JSON as a pydantic model, and emit it each time a field is complete.

    ::

        source  --a-b-c-d---|
                parse_structured(Usage) | rx_ops.map(lambda usage: usage.model_fields_set)
        result  ----x-y-----|

        a=text_chunk('{"prompt_tokens": 1') b=text_chunk('2, "completion_tokens":') c=text_chunk(" 3}")
        d=finish_chunk("stop") x={"prompt_tokens"} y={"prompt_tokens", "completion_tokens"}

    Emits one item for each chunk that completes a field, a field of a nested model, or an element of a list. The item
    is an instance of the model with the values that are complete; each of them has been validated. A field that is not
    there yet has its default, or raises ``AttributeError``; ``model_fields_set`` says which fields are there. The last
    item has been validated as a whole. If a value breaks the schema, the stream fails as soon as that value is
    complete. Fields and models with validators that see the input first (``mode="before"``, ``"wrap"``, ``"plain"``)
    are validated when the whole field or model is complete. Time is linear in the size of the answer; lists that are
    open are copied for each item. Emits at once. If the answer begins anew, the items begin anew, too. On error,
    ``error.gathered`` has the last item, if there was one; on dispose it is forgotten.

    Args:
        model: The model, a subclass of ``pydantic.BaseModel``.
        choice: The index of the choice.
        text_around: Whether there may be text around the JSON, such as prose or a code fence. The JSON then begins at
            the first ``{``, and text after its end is ignored.

    Returns:
        An operator from ``StreamChunk`` to the model.

    Raises:
        StructuredOutputError: As ``on_error``: a value breaks the schema, or there is no JSON. Or the answer ended
            before the JSON did: the model refused (``refusal``), or the answer was cut by its length or a content
            filter (``finish_reason``). ``text`` is the start of the answer.
        DecodeError: As ``on_error``: the answer is not JSON, or ended before the JSON did and the server gave no
            reason.
        MixedAnswersError: As ``on_error``: the chunks of a second answer came.
        LimitExceededError: As ``on_error``: the JSON is too long or nested too deeply.
        TypeError: At once: ``model`` is not a pydantic model class.

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
    if advice := _fault_of(model):
        raise TypeError(f"parse_structured() takes {advice}")
    return operate(_Parsing, model, text_around, choice)


def _fault_of(model: object) -> str:
    if inspect.isclass(model) and issubclass(model, BaseModel):
        return ""
    if isinstance(model, BaseModel):
        return f"the class of a pydantic model, not an instance: write parse_structured({type(model).__name__})"
    name = str(getattr(model, "__name__", "this"))
    return (
        f"a pydantic model class, and {name} is not one: write 'class Answer(pydantic.BaseModel): …' and "
        "parse_structured(Answer); without a schema, json_path('$', of='content') gives the JSON"
    )


class _Parsing(Operation[StreamChunk, M]):
    called = "parse_structured"
    takes = (StreamChunk,)

    def __init__(
        self,
        out: FanOut[M],
        model: type[M],
        text_around: bool,  # noqa: FBT001 - passed on
        choice: int,
    ) -> None:
        super().__init__(out)
        self._begin = partial(StructuredAccumulator[M], model, text_around=text_around)
        self._accumulator = self._begin()
        self._beginning = Beginning()
        self._why = WhyNoJSON()
        self._choice = choice
        self._empty = True

    def on_item(self, item: StreamChunk, /) -> Iterable[M]:
        self._empty = False
        if item.slots is not self._beginning.slots and self._beginning.restarts(item, lambda: (self._latest(), None)):
            self._accumulator = self._begin()
            self._why = WhyNoJSON()
        why = self._why
        for choice in item.choices:
            if (choice.finish_reason or choice.delta.refusal) and choice.index == self._choice:
                why.add(choice)
        text = text_of(item, self._choice)
        if why.is_short:
            why.add_text(text)
        snapshot = self._accumulator.add(text)
        return () if snapshot is None else (snapshot,)

    def on_failure(self, error: Exception, /) -> Iterable[M]:
        return attach_gathered(error, self._latest)

    def on_end(self) -> Iterable[M]:
        if self._empty or stopping():
            return ()
        try:
            last = self._accumulator.close()
        except (DecodeError, StructuredOutputError) as error:
            raise self._why.explained(error)  # noqa: B904 - that is its cause, unless it is the same
        return () if last is None else (last,)

    def _latest(self) -> M | None:
        return self._accumulator.latest
