"""What the structs of a chunk have in common.

Rules:

1. A struct is made by a compiled decoder, at once and once. It is frozen: ``model_copy(update=…)`` makes a changed one.
2. Null is absent. So is what nobody sent, and a ``None`` given to a constructor.
3. A field that no struct declares is in ``extra``, which JSON cannot name: its type is one that JSON does not have.
   Its owner comes by way of ``_lenient``, as everything does that the compiled decoder refuses.
4. Lists are tuples: whoever reads a chunk may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn, Self, TypeAlias, TypeVar, cast

import msgspec
from pydantic import BaseModel
from pydantic_core import CoreSchema, core_schema, to_json

S = TypeVar("S", bound="WireStruct")
T = TypeVar("T")

MAX_ELEMENTS = 10_000
"""How many choices, or fragments of calls, one list may have."""

if TYPE_CHECKING:
    Value: TypeAlias = Any
    # A constructor takes lists, too; what it makes is a tuple, as what the decoder makes is.
    Items: TypeAlias = Sequence[T]
    BoundedItems: TypeAlias = Sequence[T]
else:

    def _bounded(depth: int) -> Any:
        """The type of JSON values that are nested so deep at most."""
        value: Any = str | int | float | bool | None
        for _ in range(depth):
            value = str | int | float | bool | None | list[value] | dict[str, value]
        return value

    # What a compiled decoder takes is not nested deep, so that nobody has to look. Deeper ones are read the slow way.
    Value = _bounded(5)

    class Items:
        """A list of values."""

        def __class_getitem__(cls, item: Any) -> Any:
            return tuple[item, ...]

    class BoundedItems:
        """A list of structs, of which there are not too many."""

        def __class_getitem__(cls, item: Any) -> Any:
            return Annotated[tuple[item, ...], msgspec.Meta(max_length=MAX_ELEMENTS)]


HIDDEN_EXTRA = "(extra)"
"""What ``extra`` is called where msgspec itself encodes or converts a struct."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Extra(dict[str, Any]):
    """The fields of one object that no struct declares. It does not change, either."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a chunk does not change: model_copy(update=...) makes a changed one")

    __setitem__: Any = _refuse
    __delitem__: Any = _refuse
    __ior__: Any = _refuse
    clear: Any = _refuse
    pop: Any = _refuse
    popitem: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Extra, (dict(self),)


def hidden(name: str) -> Any:
    """A field that is not part of the JSON, ``None`` unless it is set."""
    return msgspec.field(default=None, name=name)


class _Meta(msgspec.StructMeta):
    """Makes a struct that is called for as the decoder makes it: see the rules."""

    if TYPE_CHECKING:
        ...  # who reads types reads the fields, as of a dataclass
    else:

        def __call__(cls, **fields: Any) -> Any:  # noqa: N805 - of a metaclass
            return _made(cls, fields)


make: Callable[..., Any] = msgspec.StructMeta.__call__
"""Make a struct of values that are as the decoder would give them: ``make(Delta, content="Hi")``."""


def _made(cls: type[S], fields: Mapping[str, Any]) -> S:
    own: dict[str, Any] = {}
    extra: dict[str, Any] = dict(fields.get("extra") or {})
    for name, value in fields.items():
        if value is None or name == "extra":
            continue
        if name not in cls.__struct_fields__:
            extra[name] = value
        else:
            own[name] = _as_decoded(value, cls.nested.get(name) or cls.validated.get(name))
    made: S = make(cls, **own, extra=Extra(extra) if extra else None)
    return made


def _as_decoded(value: Any, nested: type[WireStruct | BaseModel] | None) -> Any:
    if isinstance(value, list | tuple):
        # What a provider sent in a list stays what it is.
        elements = cast("list[Any]", value)
        return tuple(elements if nested is None else [_as_decoded(each, nested) for each in elements])
    return nested.model_validate(value) if nested is not None and isinstance(value, Mapping) else value


class WireStruct(
    msgspec.Struct,
    metaclass=_Meta,
    frozen=True,
    kw_only=True,
    # Nothing in a chunk can refer to it, and the garbage collector has nothing to look at.
    gc=False,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """An object in a chunk, with what people use on pydantic models.

    Attributes:
        extra: The fields that are not declared; ``None`` if there are none. ``model_extra`` is always a mapping.
    """

    nested: ClassVar[Mapping[str, type[WireStruct]]] = MappingProxyType({})
    """Which fields hold structs."""

    validated: ClassVar[Mapping[str, type[BaseModel]]] = MappingProxyType({})
    """Which fields hold models."""

    loose: ClassVar[frozenset[str]] = frozenset()
    """Which fields are kept in ``extra``, under their names, if they come in another type than the declared one."""

    extra: Extra | None = hidden(HIDDEN_EXTRA)

    @property
    def model_extra(self) -> Mapping[str, Any]:
        """The fields that are not declared, by name; not to be written to."""
        return _NOTHING if self.extra is None else self.extra

    def own_fields(self) -> Iterator[tuple[str, Any]]:
        """The declared fields that are part of the JSON, by name; ``None`` if they are absent."""
        for name, written_as in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True):
            if name == written_as:
                yield name, getattr(self, name)

    def __repr__(self) -> str:
        defaults = dict(zip(self.__struct_fields__, self.__struct_defaults__, strict=True))
        own = ((name, value) for name, value in self.own_fields() if value != defaults[name])
        shown = ", ".join(f"{name}={value!r}" for name, value in (*own, *self.model_extra.items()))
        return f"{type(self).__name__}({shown})"

    @classmethod
    def model_validate(cls, value: Any, /) -> Self:
        """Read an object, as leniently as ``StreamChunk.from_wire``; one that is read already is returned as it is.

        Raises:
            ValueError: It is not such an object.
        """
        from rxllm.models._lenient import read_object  # noqa: PLC0415 - which needs the structs

        return value if isinstance(value, cls) else read_object(cls, value)

    @classmethod
    def model_validate_json(cls, text: str | bytes, /) -> Self:
        """Read a JSON text: see ``model_validate``.

        Raises:
            ValueError: It is not JSON, or no such object.
        """
        from rxllm.models._lenient import read  # noqa: PLC0415 - which needs the structs

        return read(cls, text)

    def model_dump(
        self, *, mode: str = "python", exclude_none: bool = True, exclude_unset: bool = False
    ) -> dict[str, Any]:
        """The fields as a dictionary that is yours, the undeclared ones among them.

        Args:
            mode: As pydantic has it. A chunk holds nothing but what JSON has, so both give the same.
            exclude_none: Whether to leave out what is absent, which is ``None``.
            exclude_unset: The same: what is unset is ``None``.
        """

        def plain(value: Any) -> Any:
            if isinstance(value, list | tuple):
                return [plain(each) for each in cast("list[Any]", value)]
            if isinstance(value, dict):
                return {name: plain(each) for name, each in cast("dict[str, Any]", value).items()}
            if isinstance(value, WireStruct | BaseModel):
                return value.model_dump(mode=mode, exclude_none=exclude_none, exclude_unset=exclude_unset)
            return value

        kept = not (exclude_none or exclude_unset)
        fields = (*self.own_fields(), *self.model_extra.items())
        return {name: plain(value) for name, value in fields if value is not None or kept}

    def model_dump_json(self, *, exclude_none: bool = True, exclude_unset: bool = False) -> str:
        """The JSON text of ``model_dump``, with ``null`` for ``NaN`` and the infinities, which JSON does not have."""
        dumped = self.model_dump(mode="json", exclude_none=exclude_none, exclude_unset=exclude_unset)
        return to_json(dumped, inf_nan_mode="null").decode()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with other values in some fields.

        Args:
            update: The values by name, as the constructor takes them; ``None`` takes a field away. Names that are
                not declared go to ``extra``; under that name all undeclared fields are given at once.
            deep: Whether to copy what the fields hold, too. Nothing but dictionaries in it could be changed.
        """
        if deep:
            return deepcopy(self).model_copy(update=update)
        changed = update or _NOTHING
        kept = {name: getattr(self, name) for name in self.__struct_fields__}
        # Undeclared fields are not given by name: one may be called as a field that is not part of the JSON.
        kept["extra"] = {name: value for name, value in self.model_extra.items() if name not in changed}
        return type(self)(**{**kept, **changed})

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        """How pydantic reads and writes it, as a field of a model or the answer of a web framework."""
        return core_schema.no_info_plain_validator_function(
            cls.model_validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value, info: value.model_dump(mode=info.mode), info_arg=True
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: Any) -> dict[str, Any]:
        """The JSON schema, without what is hidden."""
        from rxllm.models._struct_schema import schema_of  # noqa: PLC0415 - rare

        return schema_of(cls)


put_extra: Callable[[WireStruct, Extra | None], None] = vars(WireStruct)["extra"].__set__
"""Set the undeclared fields of a struct that nobody else has yet."""


# For annotations in structs: some have a field that is called "type".
Structs: TypeAlias = Mapping[str, type[WireStruct]]
Models: TypeAlias = Mapping[str, type[BaseModel]]
