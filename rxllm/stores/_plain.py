"""Models, structs and values as JSON that gives them back exactly, or a refusal.

``model_dump`` is not used for the models of this library. It leaves out what was put into a default, such as the delta
that a server did not send and an operator filled in, because nothing was assigned; and it passes on whatever stands in
an extra field, of which JSON would make something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, cast, get_args

import msgspec
from pydantic import BaseModel

from rxllm.models import Repair, WireStruct, decoder_of

_SCALARS = frozenset({str, int, float, bool, type(None)})
_NO_FIELDS: Mapping[str, object] = MappingProxyType({})


def _refuse(value: object) -> Any:
    """What msgspec asks for values that it does not know."""
    if isinstance(value, BaseModel):
        return dump(value)
    raise TypeError(f"a {type(value).__name__} cannot be recorded: it could not be read back from JSON")


class _Shape(NamedTuple):
    """The fields of a model that are special."""

    nested: frozenset[str]
    left_out: frozenset[str]
    # Those that hold one of several models, by what tells which.
    tags: Mapping[str, str]


def plain(value: object) -> Any:
    """Copy a value that JSON has: ``None``, numbers, strings, lists, and dicts with strings as keys.

    Raises:
        TypeError: It is, or contains, something else, of which JSON would give back another value or none.
    """
    # The exact types first: these lines run for each field of each chunk.
    if type(value) in _SCALARS or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, list):
        return [plain(each) for each in cast("list[object]", value)]
    if isinstance(value, dict):
        return {_key(key): plain(each) for key, each in cast("dict[object, object]", value).items()}
    raise TypeError(f"a {type(value).__name__} cannot be recorded: it could not be read back from JSON")


def dump(model: BaseModel) -> dict[str, Any]:
    """Make a JSON value of a model: the fields that were set, the defaults that are no longer empty, and the extras.

    Raises:
        TypeError: Some field has no JSON.
    """
    shape = _shape(type(model))
    given = model.model_fields_set
    dumped: dict[str, Any] = {}
    for name, value in model.__dict__.items():
        if type(value) in _SCALARS:
            if name in given and name not in shape.left_out:
                dumped[name] = value
        elif name in shape.left_out:
            continue
        elif name in given:
            dumped[name] = _nested(value) if name in shape.nested else plain(value)
        elif isinstance(value, (BaseModel, list, dict)) and (filled := _nested(cast("object", value))):
            dumped[name] = filled
    for name, tag in shape.tags.items():
        dumped[name][tag] = getattr(getattr(model, name), tag)
    for name, value in (model.model_extra or _NO_FIELDS).items():
        dumped[name] = plain(value)
    return dumped


_encode = msgspec.json.Encoder(enc_hook=_refuse).encode


def encode_struct(struct: WireStruct) -> msgspec.Raw | dict[str, Any]:
    """Make a JSON value of a struct: its text, if that gives it back, and else a dictionary.

    Raises:
        TypeError: Some field has no JSON.
    """
    try:
        text = _encode(struct)
        if decoder_of(type(struct))(text) == struct:
            return msgspec.Raw(text)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        pass  # undeclared fields, among others, and numbers that JSON does not have
    return dump_struct(struct)


def dump_struct(struct: WireStruct) -> dict[str, Any]:
    """Make a JSON value of a struct, with its undeclared fields in their places.

    Raises:
        TypeError: Some field has no JSON.
    """
    dumped: dict[str, Any] = {}
    for name, value in struct.own_fields():
        if value is not None:
            # What is not ours is JSON, but for the list itself.
            is_ours = name in struct.nested or name in struct.validated
            dumped[name] = _nested(value) if is_ours else plain(_listed(value))
    for name, value in struct.model_extra.items():
        dumped[name] = plain(value)
    return dumped


def _listed(value: object) -> object:
    return [*cast("tuple[object, ...]", value)] if isinstance(value, tuple) else value


def _nested(value: object) -> Any:
    if isinstance(value, BaseModel):
        return dump(value)
    if isinstance(value, WireStruct):
        return dump_struct(value)
    if isinstance(value, list | tuple):
        return [_nested(each) for each in cast("list[object]", value)]
    return plain(value)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    raise TypeError(f"a {type(key).__name__} as a key cannot be recorded: JSON has strings only")


@cache
def _shape(model: type[BaseModel]) -> _Shape:
    fields = model.model_fields.items()
    nested = frozenset(name for name, field in fields if _holds_models(field.annotation))
    # Repairs are not part of the answer as servers know it, but of what happened.
    left_out = frozenset(name for name, field in fields if field.exclude and name != "repairs")
    tags = {name: field.discriminator for name, field in fields if isinstance(field.discriminator, str)}
    return _Shape(nested, left_out, MappingProxyType(tags))


def _holds_models(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | Repair):
        return True
    return any(_holds_models(each) for each in get_args(annotation))
