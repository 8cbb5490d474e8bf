"""How chunks are read: at once by the compiled decoder, and what that refuses is put right here.

Rules:

1. The compiled decoder is strict: of types, and of fields that nobody declared. What it refuses is read as a
   dictionary. If only fields are undeclared they are taken out to ``extra``, and that was all.
2. What carries the answer (text, calls, the end) is put into the form that the structs have, or the chunk is
   refused. It is never dropped.
3. Metadata of an impossible type is set aside as ``<name>_original`` and otherwise absent. A field that only some
   servers know keeps its name, in ``extra``.
4. The original of what was changed is kept beside it. What is empty where an object belongs is not an object. What was
   put right is in ``repairs`` of the chunk.
5. What a hostile event costs is bounded: a list is refused at its first element that is not an object, and if it is too
   long; only so many repairs are noted; the nesting is bounded, and so are the fields of an object that nobody declared
   and the objects that are read the slow way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from rxllm.exceptions import LimitExceededError
from rxllm.models._chunk import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    Slots,
    StreamChoice,
    StreamChunk,
    ToolCallDelta,
    put_slots,
)
from rxllm.models._json import is_deep, is_list, is_object, loads
from rxllm.models._reasoning import is_thinking, texts_of
from rxllm.models._repair import MAX_REPAIRS, Repair
from rxllm.models._usage import Usage
from rxllm.models._wire_struct import HIDDEN_EXTRA, MAX_ELEMENTS, Extra, Value, WireStruct, make, put_extra

Struct = TypeVar("Struct", bound=WireStruct)

_SET_ASIDE = "_original"

_TELLING: Mapping[type[WireStruct], frozenset[str]] = {
    StreamChoice: frozenset({"delta", "index", "message", "finish_reason"}),
    ToolCallDelta: frozenset({"index", "id", "type", "function", "custom"}),
}
"""What an object is known by that stands where a list of such objects belongs."""

_LISTS = frozenset({"choices", "tool_calls", "blocks"})

# So many fields at most are read each by itself, because together they cost less.
_MOST_APART = 100

MAX_UNDECLARED = 10_000
"""How many fields an object may have that its struct does not declare."""

MAX_PUT_RIGHT = 5_000
"""How many structs of one chunk are read the slow way."""

_METADATA = frozenset(
    {
        *("id", "object", "created", "model", "usage", "service_tier", "system_fingerprint"),
        *("index", "role", "refusal", "logprobs", "type", "reasoning", "reasoning_content"),
    }
)


def decoder_of(struct: type[Struct]) -> Callable[[str | bytes], Struct]:
    """The compiled decoder of a struct, which is strict. Raises ``msgspec.MsgspecError`` or ``ValueError``."""
    decode: Callable[[str | bytes], Struct] = _decoder_of(struct)
    return decode


@cache
def _decoder_of(struct: type[WireStruct]) -> Any:
    return msgspec.json.Decoder(struct, dec_hook=_of_other_types).decode


def read(struct: type[Struct], text: str | bytes) -> Struct:
    """Read a JSON text.

    Raises:
        LimitExceededError: It is nested too deep.
        ValueError: It is not JSON, or no such object.
    """
    try:
        return decoder_of(struct)(text)
    except (msgspec.MsgspecError, ValueError):
        return read_refused(struct, text)


def read_refused(struct: type[Struct], text: str | bytes) -> Struct:
    """Read a JSON text that the compiled decoder refused.

    Raises:
        LimitExceededError: It is nested too deep.
        ValueError: It is not JSON, or no such object.
    """
    try:
        members = _members_of(text)
        plan = _plan_of(struct)
        undeclared = plan.undeclared(members)
        if 0 < len(undeclared) <= _MOST_APART:
            # Mostly that was all: without them the compiled decoder takes it, which costs less than a dictionary.
            extra = _extra_of({name: _value_of(members.pop(name)) for name in undeclared})
            chunk: Struct = plan.decode(_text_of(members))
            put_extra(chunk, extra)
            return chunk
    except LimitExceededError:
        raise
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # there is more to it
    return read_json(struct, loads(text))


def read_object(struct: type[Struct], raw: object) -> Struct:
    """Read an object, which is left as it is.

    Raises:
        ValueError: It is not such an object.
    """
    return read_json(struct, _copied(raw))


def read_json(struct: type[Struct], raw: Any) -> Struct:
    """Read what was made of a JSON text, and is used up by this.

    Raises:
        ValueError: It is not such an object.
    """
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the text is wrong, no caller
    fields = cast("dict[str, Any]", raw)
    _take_apart(_plan_of(struct), fields)
    try:
        return msgspec.convert(fields, struct, dec_hook=_of_other_types)
    except msgspec.ValidationError:
        log = _Log()
        right = _READERS[next(kind for kind in struct.__mro__ if kind in _READERS)](struct, fields, log)
        if log and isinstance(right, StreamChunk):
            put_slots(right, Slots(repairs=tuple(log)))
        return cast("Struct", right)


def _copied(value: object) -> Any:
    if is_object(value):
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in cast("list[object]", value)] if isinstance(value, list | tuple) else value


_members_of: Callable[[str | bytes], dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text_of = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def check_fields(fields: Sized) -> None:
    """Check that there are not too many of them.

    Raises:
        LimitExceededError: There are.
    """
    if len(fields) > MAX_UNDECLARED:
        raise LimitExceededError(
            f"an object has {len(fields)} unknown fields; {MAX_UNDECLARED} are allowed",
            limit="max_undeclared",
            maximum=MAX_UNDECLARED,
        )


def _value_of(raw: msgspec.Raw) -> Any:
    """The value of a member."""
    text = bytes(raw)
    return loads(text) if is_deep(text) else _decode(text)


def set_aside(name: str) -> str:
    """The name under which the original of a field is kept."""
    return f"{name}{_SET_ASIDE}"


def is_set_aside(name: str) -> bool:
    """Whether a field is the original of another."""
    return name.endswith(_SET_ASIDE)


class _JSONObject(msgspec.Struct):
    """An object that is not nested deep: of a struct msgspec knows its types for good, a dictionary's take it 2 ms."""

    members: dict[str, Value]


def _of_other_types(kind: type, value: Any) -> Any:
    """What msgspec asks for types that it does not know."""
    if kind is Usage:
        if isinstance(value, Usage):
            return value
        members = msgspec.convert({"members": value}, _JSONObject).members
        check_fields(members)
        return Usage.model_validate(members)
    if type(value) is kind:
        return value  # of ours: no JSON is one
    raise ValueError("not part of the JSON")


# Fields that nobody declared.


class _Plan:
    """How an object is taken apart.

    Attributes:
        decode: The compiled decoder of its struct.
        names: The fields that its struct declares.
        objects: Of which fields the value is an object, and how that is taken apart.
        lists: Of which fields it is a list of objects, and how these are.
        last: The names of the fields of the last object, and those that are not declared. Objects of one stream mostly
            have the same.
    """

    __slots__ = ("decode", "last", "lists", "names", "objects")

    def __init__(self, struct: type[WireStruct]) -> None:
        self.decode: Callable[[str | bytes], Any] = _decoder_of(struct)
        names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
        nested = [(name, _plan_of(kind)) for name, kind in struct.nested.items()]
        self.names = frozenset(name for name, written_as in names if name == written_as)
        self.objects = tuple(each for each in nested if each[0] not in _LISTS)
        self.lists = tuple(each for each in nested if each[0] in _LISTS)
        self.last: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def undeclared(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The names that are not declared."""
        names = tuple(fields)
        # Read and set at once, for several threads may do so.
        before, undeclared = self.last
        if names != before:
            undeclared = tuple([name for name in names if name not in self.names])
            check_fields(undeclared)
            self.last = names, undeclared
        return undeclared


_plan_of = cache(_Plan)


def _take_apart(plan: _Plan, fields: dict[str, Any]) -> None:
    """Move what is not declared to an object of its own, and so in the objects within."""
    undeclared = plan.undeclared(fields)
    if undeclared and (extra := _extra_of({name: fields.pop(name) for name in undeclared})):
        fields[HIDDEN_EXTRA] = extra
    for name, inner in plan.objects:
        if name in fields and type(value := fields[name]) is dict:
            _take_apart(inner, cast("dict[str, Any]", value))
    for name, inner in plan.lists:
        for each in fields[name] if name in fields and is_list(fields[name]) else ():
            if type(each) is dict:
                _take_apart(inner, cast("dict[str, Any]", each))


def _extra_of(fields: Mapping[str, Any]) -> Extra | None:
    """The fields that are not null."""
    return Extra({name: value for name, value in fields.items() if value is not None}) or None


# Types that are not those declared.


class _Log(list[Repair]):
    """What was put right. Which event of its stream it was, the dialect knows."""

    structs = 0

    def count_struct(self) -> None:
        """Count a struct that is read.

        Raises:
            LimitExceededError: There are too many.
        """
        self.structs += 1
        if self.structs > MAX_PUT_RIGHT:
            raise LimitExceededError(
                f"more than {MAX_PUT_RIGHT} objects had to be repaired",
                limit="max_put_right",
                maximum=MAX_PUT_RIGHT,
            )

    def add(self, kind: str, before: object, after: object) -> None:
        if len(self) < MAX_REPAIRS:
            self.append(Repair(kind, 0, before, after))


@cache
def _checks_of(struct: type[WireStruct]) -> dict[str, Callable[[Any], Any]]:
    """What reads the values of a struct's fields, as leniently as pydantic: a number for a string, digits for one."""
    lenient, strict = ConfigDict(coerce_numbers_to_str=True), ConfigDict(strict=True)
    return {
        field.name: TypeAdapter(
            _unbounded(field.type), config=strict if field.name in struct.loose else lenient
        ).validate_python
        for field in msgspec.structs.fields(struct)
        if field.name in _plan_of(struct).names and field.name not in {*struct.nested, "usage"}
    }


def _unbounded(kind: Any) -> Any:
    """The type of a field, with values in it that are nested as deep as JSON is read."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return Union[tuple(map(_unbounded, arguments))]  # noqa: UP007 - of so many
    if origin is dict:
        return dict[str, Any]
    return tuple[Any, ...] if origin is tuple and arguments[0] == Value else kind


def _typed(struct: type[Struct], fields: Mapping[str, Any], log: _Log) -> Struct:
    """The struct of fields of whatever type; those that hold structs are right already."""
    log.count_struct()
    checks = _checks_of(struct)
    names = _plan_of(struct).names
    own: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None:
            continue
        if name not in names:
            extra.update(value if type(value) is Extra else {name: value})
            continue
        if name in struct.loose and is_list(value):
            value = tuple(value)  # noqa: PLW2901 - as JSON gives a list
        try:
            own[name] = checks[name](value) if name in checks else value
        except ValidationError as error:
            if name in struct.loose:
                extra[name] = fields[name]
            elif name in _METADATA:
                _set_aside(extra, name, value, log)
            else:
                raise ValueError(f"{name} is of another type") from error
        else:
            if type(own[name]) is not type(value):
                log.add("type-converted", value, own[name])
    made: Struct = make(struct, **own, extra=Extra(extra) if extra else None)
    return made


def _set_aside(extra: dict[str, Any], name: str, value: Any, log: _Log) -> None:
    extra[set_aside(name)] = value
    log.add("set-aside", {name: value}, None)


def _chunk(struct: type[StreamChunk], raw: Mapping[str, Any], log: _Log) -> StreamChunk:
    fields = dict(raw)
    fields["choices"] = _list_of(fields.get("choices"), StreamChoice, log) if "choices" in fields else ()
    usage = fields.get("usage")
    if is_object(usage):
        fields["usage"] = _usage(usage, log)
    elif usage is not None and not isinstance(usage, Usage):
        _set_aside(fields, "usage", fields.pop("usage"), log)
    return _typed(struct, fields, log)


def _usage(raw: Mapping[str, Any], log: _Log) -> Usage:
    check_fields(raw)
    fields = dict(raw)
    try:
        return Usage.model_validate(fields)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            name = str(problem["loc"][0])
            _set_aside(fields, name, fields.pop(name), log)
        return Usage.model_validate(fields)


def _choice(struct: type[StreamChoice], raw: Mapping[str, Any], log: _Log) -> StreamChoice:
    fields = dict(raw)
    fields["delta"] = _object_in(fields, "delta", Delta, log, empty={})
    reason = fields.get("finish_reason")
    if isinstance(reason, int | float) and not reason:
        # No end: 0 or false.
        _set_aside(fields, "finish_reason", fields.pop("finish_reason"), log)
    return _typed(struct, fields, log)


def _delta(struct: type[Delta], raw: Mapping[str, Any], log: _Log) -> Delta:
    fields = dict(raw)
    content = fields.get("content")
    if is_list(content) or is_object(content):
        parts = content if is_list(content) else [content]
        fields["content"] = "".join(_texts(parts)) if parts else None
        fields["content_parts"] = parts
        log.add("parts-joined", content, fields["content"])
    elif content is False:
        _set_aside(fields, "content", fields.pop("content"), log)
    if "tool_calls" in fields:
        fields["tool_calls"] = _list_of(fields["tool_calls"], ToolCallDelta, log) or None
    for name in ("reasoning_content", "reasoning"):
        if is_list(value := fields.get(name)) or is_object(value):
            fields[set_aside(name)] = value
            fields[name] = "".join(texts_of(value)) or None
            log.add("parts-joined", value, fields[name])
    fields["function_call"] = _object_in(fields, "function_call", FunctionCallDelta, log)
    _read_parts(fields, log)
    return _typed(struct, fields, log)


def _read_parts(fields: dict[str, Any], log: _Log) -> None:
    """Read what says which part of an answer a delta is of; what says nothing of that is set aside."""
    part, blocks = fields.get("part"), fields.get("blocks")
    try:
        if part is not None:
            fields["part"] = _element(part, DeltaPart, log)
        if blocks is not None:
            fields["blocks"] = tuple([_element(each, DeltaBlock, log) for each in _checked_list(blocks)])
    except LimitExceededError:
        raise
    except ValueError:
        for name, value in (("part", part), ("blocks", blocks)):
            if value is not None:
                del fields[name]
                _set_aside(fields, name, value, log)


def _checked_list(value: Any) -> list[Any]:
    if not is_list(value) or len(value) > MAX_ELEMENTS:
        raise ValueError("not a list of objects")
    return value


def _tool_call(struct: type[ToolCallDelta], raw: Mapping[str, Any], log: _Log) -> ToolCallDelta:
    return _typed(struct, {**raw, "function": _object_in(raw, "function", FunctionCallDelta, log)}, log)


def _object_in(
    owner: Mapping[str, Any], name: str, struct: type[Struct], log: _Log, *, empty: object = None
) -> Struct | None:
    """The object in a field; what is empty there is none, and is noted as ``empty``."""
    value = owner.get(name)
    if value is None or isinstance(value, struct):
        return value
    if is_object(value):
        return _element(value, struct, log)
    if value:
        raise ValueError(f"{name} is not an object")
    # Some servers write an empty object as [], since their language has but one type for both.
    log.add("type-converted", value, empty)
    return None


def _function(struct: type[FunctionCallDelta], raw: Mapping[str, Any], log: _Log) -> FunctionCallDelta:
    fields = dict(raw)
    arguments = fields.get("arguments")
    if is_list(arguments) or isinstance(arguments, bool):
        fields[set_aside("arguments")] = arguments
        fields["arguments"] = to_json(arguments).decode()
        log.add("type-converted", arguments, fields["arguments"])
    return _typed(struct, fields, log)


def _list_of(value: Any, struct: type[Struct], log: _Log) -> tuple[Struct, ...]:
    """A list of objects: nothing is none of them, and a single one, known by its fields, is one."""
    if not value:
        if not is_list(value):
            log.add("type-converted", value, [])
        return ()
    elements: list[Any] = value if is_list(value) else [value]
    if elements is not value:
        if not is_object(value) or _TELLING[struct].isdisjoint(value):
            raise ValueError("not a list of objects")
        log.add("type-converted", value, elements)
    if len(elements) > MAX_ELEMENTS:
        raise ValueError(f"a list of more than {MAX_ELEMENTS} elements")
    return tuple([_element(each, struct, log) for each in elements if each is not None])


def _element(value: Any, struct: type[Struct], log: _Log) -> Struct:
    if isinstance(value, struct):
        return value
    if not is_object(value):
        raise ValueError("a list of objects has an element that is not an object")
    element: Struct = _READERS[struct](struct, value, log)
    return element


def _texts(parts: list[Any]) -> Iterator[str]:
    """The texts of the answer in a list of content parts."""
    for part in parts:
        if isinstance(part, str):
            yield part
        elif is_object(part) and not is_thinking(part) and isinstance(part.get("text"), str):
            yield part["text"]


_READERS: dict[type[WireStruct], Callable[[Any, Mapping[str, Any], _Log], Any]] = {
    StreamChunk: _chunk,
    StreamChoice: _choice,
    Delta: _delta,
    ToolCallDelta: _tool_call,
    FunctionCallDelta: _function,
    DeltaPart: _typed,
    DeltaBlock: _typed,
}
