"""What a decoder says of what it cannot read: what, where in the stream, and how it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rxllm.dialects._stream_error import error_from, is_name_of_error
from rxllm.exceptions import DecodeError, LimitExceededError, excerpt
from rxllm.harmless import EXCERPT_LENGTH
from rxllm.models import is_object, loads


@dataclass(frozen=True, slots=True)
class Misfit:
    """The errors of the decoders of one dialect.

    Args:
        dialect: The name of the dialect.
        protocol: What the protocol is called.
        advice: What to do about an answer of another one.
        unit: What its streams are made of.
    """

    dialect: str
    protocol: str
    advice: str
    unit: str = "event"

    def object_in(self, text: str, position: int, name: str, read: Callable[[str], Any] = loads) -> Mapping[str, Any]:
        """The object that a unit is.

        Args:
            text: What came.
            position: Which unit of the stream it is.
            name: Its name.
            read: Reads JSON.

        Raises:
            APIStreamError: It is none, and its name says that it is an error.
            DecodeError: It is none.
            LimitExceededError: There is too much in it.
        """
        said = text.strip()
        value: Any = None
        if said.startswith("{"):
            try:
                value = read(said)
            except LimitExceededError:
                raise
            except ValueError as problem:
                raise self.malformed(position, text, "it is malformed") from problem
        if is_object(value):
            return value
        if is_name_of_error(name):
            raise error_from(said, position, name)
        raise self.malformed(position, text, "it is not a JSON object")

    def malformed(self, position: int, text: str, reason: str) -> DecodeError:
        """The error about what is nothing of the dialect.

        Args:
            position: Which unit of the stream it is.
            text: What came.
            reason: What is wrong with it.
        """
        one = f"an {self.unit}" if self.unit == "event" else f"a {self.unit}"
        return self.error(position, f"{self.unit} {position} is not {one} of {self.dialect}, {reason}", text)

    def of_another(self, position: int, protocol: str | None, text: str) -> DecodeError:
        """The error about what is of another protocol."""
        where = f"{self.unit} {position} looks like {protocol}; it is not a stream of {self.protocol}"
        return self.error(position, f"{where}: {self.advice}, or use a dialect that reads it", text)

    def error(self, position: int, message: str, text: str) -> DecodeError:
        """Any other error about what came."""
        shown = f"{message}: {excerpt(text)}"
        return DecodeError(shown, dialect=self.dialect, position=position, text=text[:EXCERPT_LENGTH])
