"""The events that nearly all of a stream consists of: pieces of a text, read at once by a compiled decoder.

Rules:

1. What is not declared here is not looked at: numbers, padding. What says more, as log probabilities, is refused, and
   so is every other event; it is read the slow way, with the same result.
2. ``PIECES`` and ``WHOLES`` are the one place that knows which event is of which text.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from rxllm.models import PartKind

if TYPE_CHECKING:
    from typing import TypeAlias

MOST_PLACES = 2**31
"""What is no place of an item or of a text: a place is less."""

_PlaceOf = Annotated[int, msgspec.Meta(ge=0, lt=MOST_PLACES)]
_Nothing = Annotated[tuple[Any, ...], msgspec.Meta(max_length=0)]


class MalformedEventError(ValueError):
    """An event lacks what it is for, or contradicts those before; the text says how."""


class Place(StrEnum):
    """Where a text of a part goes: the field of a delta that takes it, or ``own`` for the text of the part alone."""

    CONTENT = "content"
    REFUSAL = "refusal"
    REASONING = "reasoning_content"
    ARGUMENTS = "arguments"
    INPUT = "input"
    OWN = "text"


class TextOf(NamedTuple):
    """Which text an event has a piece of, or all of it.

    Attributes:
        name: What the text is called; with ``sub``, which of several it is.
        place: Where it goes.
        kind: Of which kind a part is that has it.
        sub: The field that says which of several texts of the part it is.
        whole: The field that has the whole text, where the event has that.
    """

    name: str
    place: Place
    kind: PartKind
    sub: str
    whole: str


OUTPUT_TEXT = TextOf("output_text", Place.CONTENT, PartKind.TEXT, "content_index", "text")
REFUSAL = TextOf("refusal", Place.REFUSAL, PartKind.TEXT, "content_index", "refusal")
SUMMARY = TextOf("reasoning_summary_text", Place.REASONING, PartKind.REASONING, "summary_index", "text")
REASONING = TextOf("reasoning_text", Place.REASONING, PartKind.REASONING, "content_index", "text")
ARGUMENTS = TextOf("function_call_arguments", Place.ARGUMENTS, PartKind.TOOL_CALL, "", "arguments")
INPUT = TextOf("custom_tool_call_input", Place.INPUT, PartKind.TOOL_CALL, "", "input")
CODE = TextOf("code_interpreter_call_code", Place.OWN, PartKind.SERVER_TOOL, "", "code")
MCP_ARGUMENTS = TextOf("mcp_call_arguments", Place.OWN, PartKind.SERVER_TOOL, "", "arguments")
COMMAND = TextOf("shell_call_command", Place.OWN, PartKind.SERVER_TOOL, "command_index", "command")
OUTPUT = TextOf("shell_call_output_content", Place.OWN, PartKind.SERVER_RESULT, "command_index", "output")
DIFF = TextOf("apply_patch_call_operation_diff", Place.OWN, PartKind.SERVER_TOOL, "", "diff")

_TEXTS = (OUTPUT_TEXT, REFUSAL, SUMMARY, REASONING, ARGUMENTS, INPUT, CODE, MCP_ARGUMENTS, COMMAND, OUTPUT, DIFF)
# A spelling of older servers.
_SPELLINGS = {"mcp_call.arguments": MCP_ARGUMENTS, **{text.name: text for text in _TEXTS}}

PIECES: Mapping[str, TextOf] = MappingProxyType({f"response.{name}.delta": of for name, of in _SPELLINGS.items()})
"""The events that have a piece of a text."""

WHOLES: Mapping[str, TextOf] = MappingProxyType({f"response.{name}.done": of for name, of in _SPELLINGS.items()})
"""The events that have all of a text."""


class Piece(msgspec.Struct, frozen=True, gc=False):
    """An event with a piece of a text.

    Attributes:
        delta: The piece.
        output_index: The place of its part.
        item_id: The identifier of its part.
        sub: Which of several texts of the part it is of.
        logprobs: None, or it is refused.
    """

    delta: str
    output_index: _PlaceOf | None = None
    item_id: str | None = None
    logprobs: _Nothing | None = None
    sub: _PlaceOf | None = None


def _piece(of: TextOf) -> type[Piece]:
    made: type[Any] = msgspec.defstruct(
        f"Piece_{of.name}",
        [("sub", _PlaceOf | None, msgspec.field(default=None, name=of.sub or "sub"))],
        bases=(Piece,),
        tag_field="type",
        tag=f"response.{of.name}.delta",
        frozen=True,
        gc=False,
    )
    return made


_PIECES = {_piece(of): of for of in (OUTPUT_TEXT, SUMMARY, REASONING, ARGUMENTS)}

if TYPE_CHECKING:
    _AnyPiece: TypeAlias = Piece
else:
    from functools import reduce
    from operator import or_

    _AnyPiece = reduce(or_, _PIECES)

decode_piece = msgspec.json.Decoder(_AnyPiece).decode
"""Read an event of the frequent kinds. Raises ``msgspec.MsgspecError`` or ``ValueError`` for every other one."""

TEXT_OF_PIECE: Mapping[type[Piece], TextOf] = MappingProxyType(_PIECES)
"""Which text they are of."""
