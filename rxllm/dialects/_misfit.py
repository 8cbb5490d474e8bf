"""What a decoder says of what it cannot read: what, where in the stream, and how it begins."""

from __future__ import annotations

from dataclasses import dataclass

from rxllm.exceptions import DecodeError, excerpt
from rxllm.harmless import EXCERPT_LENGTH


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

    def malformed(self, position: int, text: str, reason: str) -> DecodeError:
        """The error about what is nothing of the dialect.

        Args:
            position: Which unit of the stream it is.
            text: What came.
            reason: What is wrong with it.
        """
        return self.error(position, f"{self.unit} {position} is no {self.unit} of {self.dialect}, {reason}", text)

    def of_another(self, position: int, protocol: str | None, text: str) -> DecodeError:
        """The error about what is of another protocol."""
        where = f"{self.unit} {position} looks like {protocol}; it is no stream of {self.protocol}"
        return self.error(position, f"{where}: {self.advice}, or use a dialect that reads it", text)

    def error(self, position: int, message: str, text: str) -> DecodeError:
        """Any other error about what came."""
        shown = f"{message}: {excerpt(text)}"
        return DecodeError(shown, dialect=self.dialect, position=position, text=text[:EXCERPT_LENGTH])
