"""A chunk that is put together when it is read.

Most chunks of an answer differ in their text and in nothing else, and most operators pass them on unread. Such a chunk
is its JSON text, of which the part that matters is known already. It becomes a ``StreamChunk`` at the first access to
any attribute, and from then on is one. Whoever wants nothing but the text asks ``text_of``, or ``unread``.

Rules:

1. Nobody can tell, unless by ``type()``: whatever looks at such a chunk, equality, copies, serialization, finds a
   ``StreamChunk``.
2. It may be read from several threads.
3. It is small while it waits: one object for the garbage collector instead of a dozen.

Validation takes 2.4 µs, most of it for making the three models of a chunk, which this puts off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

from pydantic import BaseModel

from rxllm.models._chunk import StreamChoice, StreamChunk, ToolCallDelta
from rxllm.models._json import is_list

__all__ = [
    "Shape",
    "Unread",
    "UnreadChunk",
    "copy_unread",
    "known_of",
    "shape_of",
    "text_of",
    "unread",
    "unread_again",
    "unread_parts",
]

_CONTENT = "content"
_ARGUMENTS = "arguments"
_TEXTS = (_CONTENT, "reasoning_content", "reasoning", "refusal")

_validate = StreamChunk.__pydantic_validator__.validate_json
# The slots of a model, past its own attribute access, which would read the chunk. With ``object.__setattr__`` the same
# takes half as long again.
_slots = vars(BaseModel)
_set_fields = cast("Callable[[BaseModel, dict[str, Any]], None]", _slots["__dict__"].__set__)
_set_extra = cast("Callable[[BaseModel, dict[str, Any] | None], None]", _slots["__pydantic_extra__"].__set__)
_set_known = cast("Callable[[BaseModel, set[str]], None]", _slots["__pydantic_fields_set__"].__set__)
_set_private = cast("Callable[[BaseModel, Unread | None], None]", _slots["__pydantic_private__"].__set__)
_get_private = cast("Callable[[BaseModel], Unread | None]", _slots["__pydantic_private__"].__get__)


class Reads:
    """How many chunks of a shape were read after all."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Shape(NamedTuple):
    """What chunks have in common that differ in strings only.

    Attributes:
        choice: The index of their only choice.
        is_plain: Whether to take one is to append its text to the content of that choice, once one was taken in full.
        text: Which of the strings is the text: of the content, the reasoning, a call's arguments.
        beside: The extra fields of the chunk that the other strings are, in their order.
        reads: How many of them were read.
        grows: The field of the delta that is all that grows, and whose piece the text is: ``"content"`` if it is plain,
            else one of the reasoning or the refusal, or ``"arguments"`` of its only call; ``""`` if more may grow.
        change: What an operator has put off until the chunk is read, and does to it then.
    """

    choice: int
    is_plain: bool
    text: int
    beside: tuple[str, ...]
    reads: Reads
    grows: str = ""
    change: Callable[[StreamChunk], None] | None = None


class Unread(NamedTuple):
    """A chunk that nobody has read.

    Attributes:
        shape: What it has in common with others.
        json: All of it.
        text: Its text.
        beside: The strings of the extra fields that ``shape`` names.
    """

    shape: Shape
    json: str
    text: str
    beside: Sequence[str]


class UnreadChunk(StreamChunk, defer_build=True):
    """A ``StreamChunk`` that nobody has read; never validated as such, so that it needs no validator of its own."""

    def __getattribute__(self, name: str) -> Any:
        """Become a ``StreamChunk``, and look there."""
        unread = _get_private(self)
        if unread is not None:  # else another thread is just here
            chunk = _validate(unread.json)
            shape = unread.shape
            shape.reads.count += 1
            if shape.change is not None:
                shape.change(chunk)
            _set_fields(self, chunk.__dict__)
            _set_known(self, chunk.__pydantic_fields_set__)
            _set_extra(self, chunk.__pydantic_extra__)
            # Says that all the rest is there.
            _set_private(self, None)
        object.__setattr__(self, "__class__", StreamChunk)
        return getattr(self, name)

    @staticmethod
    def of(unread: Unread) -> StreamChunk:
        """The chunk."""
        chunk = object.__new__(UnreadChunk)
        _set_private(chunk, unread)
        return chunk


known_of = cast("Callable[[StreamChunk], Unread | None]", _get_private)
"""What an ``UnreadChunk`` is made of: ``unread`` in half the time, for who knows the class already."""


def unread(chunk: StreamChunk) -> Unread | None:
    """What a chunk is made of that nobody has read, or ``None``."""
    return _get_private(chunk) if type(chunk) is UnreadChunk else None


def copy_unread(item: Any) -> Any:
    """A copy of a chunk that nobody has read, which stays so when the chunk is read; anything else as it is."""
    known = _get_private(item) if type(item) is UnreadChunk else None
    return item if known is None else UnreadChunk.of(known)


def unread_parts(items: Sequence[Any]) -> list[Unread | None]:
    """For each item, what it is made of if it is a chunk that nobody has read."""
    return [_get_private(item) if type(item) is UnreadChunk else None for item in items]


def unread_again(items: Sequence[Any], parts: Sequence[Unread | None]) -> list[Any]:
    """The items, of those that were read meanwhile a copy as it was before: ``parts`` are those of that time."""
    pairs = zip(items, parts, strict=True)
    return [item if known is None or type(item) is UnreadChunk else UnreadChunk.of(known) for item, known in pairs]


def text_of(chunk: StreamChunk, choice: int = 0) -> str:
    """The text that a choice gained with a chunk, ``""`` if it gained none; the chunk stays unread if it is."""
    if type(chunk) is UnreadChunk and (known := known_of(chunk)) is not None and known.shape.grows:
        return known.text if known.shape.is_plain and known.shape.choice == choice else ""
    choices = chunk.choices
    # Of one choice that is the same as of several, in a fifth of the time.
    if len(choices) == 1 and (only := choices[0]).index == choice:
        return only.delta.content or ""
    return "".join(each.delta.content or "" for each in choices if each.index == choice)


def shape_of(chunk: StreamChunk, strings: Sequence[str]) -> Shape | None:
    """The shape of a chunk that has these strings in it.

    Returns:
        The shape, if one of the strings is a text in the only choice, and the others are extra fields of the chunk.
    """
    places = {string: place for place, string in enumerate(strings)}
    found = {places.pop(value): name for name, value in _strings_in(chunk.__pydantic_extra__) if value in places}
    if len(chunk.choices) != 1 or len(places) != 1:
        return None
    (choice,) = chunk.choices
    ((text, place),) = places.items()
    name = _field_of(choice, text)
    if name is None:
        return None
    grows = name if chunk.usage is None and _is_all(name, choice) else ""
    return Shape(choice.index, grows == _CONTENT, place, tuple(found[each] for each in sorted(found)), Reads(), grows)


def _strings_in(fields: dict[str, Any] | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (fields or {}).items() if isinstance(value, str)]


def _field_of(choice: StreamChoice, text: str) -> str | None:
    """The field that has a text: any string would be one there, and says no more than a text."""
    for name in _TEXTS:
        if getattr(choice.delta, name) == text:
            return name
    calls = choice.delta.tool_calls or ()
    functions = [call.function for call in calls if call.function is not None]
    return _ARGUMENTS if any(function.arguments == text for function in functions) else None


def _is_all(name: str, choice: StreamChoice) -> bool:
    """Whether a field of the delta is all that may grow: of other values the last counts, and it is the same."""
    calls = choice.delta.tool_calls or ()
    if name == _ARGUMENTS and not (len(calls) == 1 and _has_its_place(calls[0])):
        return False
    own = {name, "role"} if name != _ARGUMENTS else {"tool_calls", "role"}
    others = [value for field, value in choice.delta if field not in own]
    extra = (choice.__pydantic_extra__ or {}).values()
    return not any((*others, choice.finish_reason, choice.logprobs)) and not any(map(is_list, extra))


def _has_its_place(call: ToolCallDelta) -> bool:
    """Whether a fragment goes to the call that the one before it went to, whatever its arguments are.

    A name may begin another call. Without index and identifier the fragment goes to whichever call is open by then.
    """
    name = None if call.function is None else call.function.name
    return not name and (call.index is not None or bool(call.id and call.id.strip()))
