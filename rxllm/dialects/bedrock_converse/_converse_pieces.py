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

    def piece_of(self, kind: str) -> str | None:
        """The piece in a delta of that kind; ``None`` if it is not one of that alone."""
        text, tool, reasoning = self.text, self.input, self.reasoning
        if tool is None and reasoning is None:
            return text if kind == TEXT else None
        if text is None and reasoning is None and tool is not None:
            return tool.input if kind == INPUT else None
        if text is None and tool is None and reasoning is not None:
            return reasoning.text if kind == REASONING else None
        return None


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
    ValueError: It is not UTF-8.
"""
