"""What a stream failed with, as it is recorded: its type, its message, and the attributes that are plain values."""

from __future__ import annotations

from inspect import signature
from typing import Any, cast

from rxllm import exceptions
from rxllm.exceptions import RecordingError, RxllmError
from rxllm.harmless import EXCERPT_LENGTH, harmless, message_of
from rxllm.stores._plain import plain
from rxllm.stores._records import ErrorRecord
from rxllm.typing import Ending

__all__ = ["decode_error", "encode_error"]

_ERRORS: dict[str, type[RxllmError]] = {
    name: error for name, error in vars(exceptions).items() if isinstance(error, type) and issubclass(error, RxllmError)
}


def encode_error(ending: Ending) -> ErrorRecord | None:
    """Record what a stream failed with: type, message, and the attributes that are plain values."""
    error = ending.error
    if error is None:
        return None
    cls = type(error)
    name = cls.__name__ if _ERRORS.get(cls.__name__) is cls else f"{cls.__module__}.{cls.__qualname__}"
    attributes = {name: _attribute(value) for name, value in vars(error).items() if _is_attribute(cls, name)}
    return ErrorRecord(name, error.message if isinstance(error, RxllmError) else message_of(error), attributes)


def decode_error(record: ErrorRecord) -> RxllmError:
    """Make the error again: of the same type with the same message and attributes, if it is one of this library's."""
    cls = _ERRORS.get(record.type)
    if cls is None:
        return RecordingError(
            f"the recorded stream failed with {harmless(record.type, EXCERPT_LENGTH)}: {record.message}"
        )
    # The constructors make messages of their own arguments; this is what they hand on to the standard library's,
    # of which OSError takes it in __new__ already, unless the class has a constructor of its own.
    error = cls.__new__(cls, record.message)
    super(RxllmError, error).__init__(record.message)
    # What an older version did not know of is as if nothing had been said of it.
    for name, parameter in signature(cls.__init__).parameters.items():
        if parameter.default is not parameter.empty:
            setattr(error, name, parameter.default)
    for name, value in record.attributes.items():
        if _is_attribute(cls, name):
            setattr(error, name, tuple(cast("list[object]", value)) if isinstance(value, list) else value)
    return error


def _is_attribute(cls: type[Exception], name: str) -> bool:
    """Whether a name is one that the constructor of an error sets, and no part of how exceptions work."""
    return name == "retryable" or not (name.startswith("_") or hasattr(cls, name))


def _attribute(value: object) -> Any:
    """A plain value, so that whoever reads the attribute finds one: ``None`` for what has no JSON."""
    try:
        # In errors, sequences are tuples.
        return [plain(each) for each in cast("tuple[object, ...]", value)] if isinstance(value, tuple) else plain(value)
    except (TypeError, RecursionError):
        return None
