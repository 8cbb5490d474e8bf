"""A chunk that is put together when it is read.

Most chunks of an answer differ in their text and in nothing else, and most operators pass them on unread. Such a chunk
is a shape, which all of them share, and the strings that are its own. It becomes a ``StreamChunk`` at the first access
to any attribute, and from then on is one. Whoever wants nothing but the text asks ``unread`` first.

Rules:

1. Nobody can tell: whatever looks at such a chunk, equality, copies, serialization, finds a ``StreamChunk``.
2. It shares nothing with another that could be changed.
3. It may be read from several threads.

The three models of a chunk take 1.7 µs to make, which is most of what its validation takes; this takes 0.2 µs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, cast

from pydantic import BaseModel

from rxllm.models._chunk import StreamChunk
from rxllm.models._json import copy_json, is_json, is_list

__all__ = ["Shape", "Unread", "UnreadChunk", "is_plain_text", "shape_of", "text_of", "unread"]

_TEXTS = frozenset({"content", "reasoning_content", "reasoning", "refusal", "arguments"})
_NOTHING: Mapping[str, str] = MappingProxyType({})

_Path: TypeAlias = "list[tuple[BaseModel, str]]"
"""The models on the way to a text, the outermost first, each with the field that the way goes on in."""

_Writer: TypeAlias = Callable[[BaseModel, object, Mapping[str, str]], None]
"""Writes the fields of a model into a blank one, with another value in one of them, and in some of its extras."""

# A model made by pydantic's own methods, or by setting its attributes, takes longer than its validation.
_new = object.__new__
_slots = vars(BaseModel)
_set_fields = cast("Callable[[BaseModel, dict[str, Any]], None]", _slots["__dict__"].__set__)
_set_extra = cast("Callable[[BaseModel, dict[str, Any]], None]", _slots["__pydantic_extra__"].__set__)
_set_known = cast("Callable[[BaseModel, set[str]], None]", _slots["__pydantic_fields_set__"].__set__)
_set_private = cast("Callable[[BaseModel, Unread | None], None]", _slots["__pydantic_private__"].__set__)
_get_private = cast("Callable[[BaseModel], Unread | None]", _slots["__pydantic_private__"].__get__)


class Shape(NamedTuple):
    """What chunks have in common that differ in strings only.

    Attributes:
        choice: The index of their only choice.
        is_plain: Whether to take one is to append its text to the content of that choice, once one was taken in full.
        text: Which of the strings is the text.
        beside: The extra fields of the chunk that are among the strings, and which.
        inner: What makes the models between the text and the chunk, the innermost first.
        outer: What makes the chunk.
    """

    choice: int
    is_plain: bool
    text: int
    beside: tuple[tuple[str, int], ...]
    inner: tuple[tuple[type[BaseModel], _Writer], ...]
    outer: _Writer


class Unread(NamedTuple):
    """A chunk that nobody has read."""

    shape: Shape
    strings: Sequence[str]


class UnreadChunk(StreamChunk, defer_build=True):
    """A ``StreamChunk`` that nobody has read; never validated, so that it needs no validator of its own."""

    def __getattribute__(self, name: str) -> Any:
        """Become a ``StreamChunk``, and look there."""
        unread = _get_private(self)
        if unread is not None:  # else another thread is just here
            _read(self, unread)
        object.__setattr__(self, "__class__", StreamChunk)
        return getattr(self, name)

    @staticmethod
    def of(unread: Unread) -> StreamChunk:
        """The chunk."""
        chunk = _new(UnreadChunk)
        _set_private(chunk, unread)
        return chunk


def unread(chunk: StreamChunk) -> Unread | None:
    """What a chunk is made of that nobody has read, or ``None``."""
    return _get_private(chunk) if type(chunk) is UnreadChunk else None


def is_plain_text(chunk: StreamChunk) -> bool:
    """Whether a chunk that nobody has read holds text of an answer that goes on, and no more: no calls, no end."""
    known = unread(chunk)
    return known is not None and known.shape.is_plain


def text_of(chunk: StreamChunk, choice: int = 0) -> str:
    """The text that a choice gained with a chunk, ``""`` if it gained none; the chunk stays unread if it is."""
    known = unread(chunk)
    if known is not None and known.shape.is_plain:
        return known.strings[known.shape.text] if known.shape.choice == choice else ""
    choices = chunk.choices
    # Of one choice that is the same as of several, in a fifth of the time.
    if len(choices) == 1 and choices[0].index == choice:
        return choices[0].delta.content or ""
    return "".join(each.delta.content or "" for each in choices if each.index == choice)


def _read(chunk: StreamChunk, unread: Unread) -> None:
    shape, strings = unread
    node: object = strings[shape.text]
    for cls, write in shape.inner:
        model = _new(cls)
        write(model, node, _NOTHING)
        node = model
    shape.outer(chunk, node, {name: strings[place] for name, place in shape.beside})


def shape_of(chunk: StreamChunk, strings: Sequence[str]) -> Shape | None:
    """The shape of a chunk that has these strings in it, each of them once.

    Returns:
        The shape, if one of the strings is a text in the only choice, the others are extra fields of the chunk, and
        the rest are JSON values.
    """
    places = {string: place for place, string in enumerate(strings)}
    extra = chunk.__pydantic_extra__ or {}
    beside = tuple((name, places.pop(value)) for name, value in extra.items() if _is_one_of(value, places))
    path = _path_to(chunk, *places) if len(places) == 1 else None
    if path is None or len(chunk.choices) != 1 or not all(_can_be_copied(model, name) for model, name in path):
        return None
    (text,) = places.values()
    inner = tuple((type(model), _writer(model, name)) for model, name in reversed(path[1:]))
    return Shape(chunk.choices[0].index, _is_plain(chunk, path), text, beside, inner, _writer(*path[0]))


def _is_one_of(value: object, strings: Mapping[str, int]) -> bool:
    return isinstance(value, str) and value in strings


def _path_to(model: BaseModel, text: str) -> _Path | None:
    for name, value in model.__dict__.items():
        if name in _TEXTS and value == text:
            return [(model, name)]
        element = value[0] if is_list(value) and len(value) == 1 else value
        if isinstance(element, BaseModel) and (rest := _path_to(element, text)) is not None:
            return [(model, name), *rest]
    return None


def _can_be_copied(model: BaseModel, name: str) -> bool:
    """Whether all but the one field, extras included, are JSON values."""
    others = [value for field, value in model.__dict__.items() if field != name]
    return is_json([*others, model.__pydantic_extra__])


def _is_plain(chunk: StreamChunk, path: _Path) -> bool:
    """Whether the content of the delta is all that may grow: of other values the last counts, and it is the same."""
    (choice,) = chunk.choices
    name = path[-1][1]
    others = [value for field, value in choice.delta.__dict__.items() if field not in {name, "role"}]
    extra = choice.__pydantic_extra__ or {}
    return (
        name == "content"
        and not any((*others, choice.delta.__pydantic_extra__, choice.finish_reason, choice.logprobs))
        and not any(map(is_list, extra.values()))
    )


def _writer(model: BaseModel, name: str) -> _Writer:
    fields, known, extra = model.__dict__, model.__pydantic_fields_set__, model.__pydantic_extra__ or {}
    in_list = is_list(fields[name])
    nested = [field for field, value in fields.items() if field != name and isinstance(value, dict | list)]

    def write(blank: BaseModel, value: object, beside: Mapping[str, str]) -> None:
        own = {**fields, name: [value] if in_list else value}
        for field in nested:
            own[field] = copy_json(own[field])
        _set_fields(blank, own)
        _set_known(blank, known.copy())
        _set_extra(blank, {**copy_json(extra), **beside} if extra else {})
        # Says that all the rest is there.
        _set_private(blank, None)

    return write
