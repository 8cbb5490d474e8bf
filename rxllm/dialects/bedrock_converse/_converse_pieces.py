"""What nearly all events of the Converse API are: a piece of a text, of reasoning or of the input of a tool."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

TEXT, INPUT, REASONING = "text", "toolUse", "reasoningContent"
"""The deltas that pieces come in."""

PIECES = frozenset({TEXT, INPUT, REASONING})
"""All of them."""


class _Input(msgspec.Struct, gc=False):
    input: str


class _Reasoning(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str


class _Delta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    text: str | None = None
    input: _Input | None = msgspec.field(name=INPUT, default=None)
    reasoning: _Reasoning | None = msgspec.field(name=REASONING, default=None)

    def said(self) -> tuple[str, str] | None:
        """Which delta it is, and the piece in it; ``None`` if it is not one of them alone."""
        text, tool, reasoning = self.text, self.input, self.reasoning
        if tool is None and reasoning is None:
            return None if text is None else (TEXT, text)
        if text is not None:
            return None
        if reasoning is None:
            return None if tool is None else (INPUT, tool.input)
        return (REASONING, reasoning.text) if tool is None else None


class Piece(msgspec.Struct, gc=False):
    """A piece of a block. What an event has besides is padding.

    Attributes:
        index: The index of the block.
        delta: The piece.
    """

    index: int = msgspec.field(name="contentBlockIndex")
    delta: _Delta


decode_piece: Callable[[bytes], Piece] = msgspec.json.Decoder(Piece).decode
"""Read a piece.

Raises:
    msgspec.MsgspecError: It is something else.
    ValueError: It is no UTF-8.
"""
