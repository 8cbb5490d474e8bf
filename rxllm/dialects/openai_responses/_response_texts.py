"""What is in an item: of which kind it is, its texts, its annotations, and the deltas that say so.

Rules:

1. Calls are those of functions and of custom tools: they are to be run by who asked. Whatever else is called is the
   server's, and its input is a text of the part alone.
2. An annotation has the form that it has in chat completions, and names its part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace
from pydantic_core import to_json

from rxllm.dialects.openai_responses._response_events import (
    ARGUMENTS,
    CODE,
    DIFF,
    INPUT,
    MCP_ARGUMENTS,
    OUTPUT_TEXT,
    REASONING,
    REFUSAL,
    SUMMARY,
    Place,
    TextOf,
)
from rxllm.models import (
    Delta,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    ToolCallDelta,
    is_list,
    is_object,
    make,
)

CUSTOM_CALL = "custom_tool_call"

_KINDS: Mapping[str, PartKind] = MappingProxyType(
    {
        "message": PartKind.TEXT,
        "reasoning": PartKind.REASONING,
        "function_call": PartKind.TOOL_CALL,
        CUSTOM_CALL: PartKind.TOOL_CALL,
        "image_generation_call": PartKind.IMAGE,
        "program": PartKind.SERVER_TOOL,
        "mcp_list_tools": PartKind.SERVER_RESULT,
    }
)


def kind_of(type_: str) -> PartKind:
    """What an item of a type is."""
    known = _KINDS.get(type_)
    if known is not None:
        return known
    if type_.endswith("_call"):
        return PartKind.SERVER_TOOL
    return PartKind.SERVER_RESULT if type_.endswith("_output") else PartKind.OTHER


def placed(of: TextOf, kind: PartKind, type_: str) -> TextOf:
    """Which text of an item one is: the input of a call is called by what the item is, not by what the event is."""
    if kind == PartKind.TOOL_CALL:
        return INPUT if type_ == CUSTOM_CALL or (not type_ and of is INPUT) else ARGUMENTS
    # The input of a tool of the server, in the event of a function's.
    return MCP_ARGUMENTS if of.place in (Place.ARGUMENTS, Place.INPUT) else of


def delta_of(of: TextOf, part: DeltaPart, call: int | None, piece: str) -> Delta:
    """The delta with a piece of a text."""
    made: Delta
    if of.place is Place.ARGUMENTS:
        function = make(FunctionCallDelta, arguments=piece)
        made = make(Delta, tool_calls=(make(ToolCallDelta, index=call, function=function),), part=part)
    elif of.place is Place.INPUT:
        made = make(Delta, tool_calls=(make(ToolCallDelta, index=call, custom={"input": piece}),), part=part)
    elif of.place is Place.OWN:
        made = make(Delta, part=replace(part, text=piece))
    else:
        made = make(Delta, part=part, **{of.place: piece})
    return made


def begin_call(type_: str, part: DeltaPart, call: int | None) -> Delta:
    """The delta with which a call begins: what it calls, before its arguments."""
    if type_ == CUSTOM_CALL:
        custom = {"name": part.name, "input": ""}
        fragment = ToolCallDelta(index=call, id=part.id, type="custom", custom=custom)
    else:
        function = FunctionCallDelta(name=part.name, arguments="")
        fragment = ToolCallDelta(index=call, id=part.id, type="function", function=function)
    return Delta(tool_calls=(fragment,), part=part)


def texts_in(block: Mapping[str, Any]) -> Iterator[tuple[TextOf, int | None, str]]:
    """The texts of an item: which they are, which of several, and what they say."""
    type_ = block.get("type")
    if type_ == "reasoning":
        yield from _texts_in(block.get("summary"), SUMMARY, {})
        yield from _texts_in(block.get("content"), REASONING, {})
    elif type_ == "message":
        yield from _texts_in(block.get("content"), OUTPUT_TEXT, {"refusal": REFUSAL})
    for of, owner in _INPUTS.get(type_ if isinstance(type_, str) else "", ()):
        inner = block.get(owner) if owner else block
        value = inner.get(of.whole) if is_object(inner) else None
        if text := text_of(value):
            yield of, None, text


_INPUTS: Mapping[str, tuple[tuple[TextOf, str], ...]] = MappingProxyType(
    {
        "function_call": ((ARGUMENTS, ""),),
        CUSTOM_CALL: ((INPUT, ""),),
        "code_interpreter_call": ((CODE, ""),),
        "mcp_call": ((MCP_ARGUMENTS, ""),),
        "apply_patch_call": ((DIFF, "operation"),),
    }
)


def _texts_in(pieces: Any, usual: TextOf, others: Mapping[str, TextOf]) -> Iterator[tuple[TextOf, int | None, str]]:
    for sub, piece in enumerate(pieces if is_list(pieces) else ()):
        if is_object(piece):
            of = others.get(str(piece.get("type")), usual)
            if isinstance(text := piece.get(of.whole), str) and text:
                yield of, sub, text


def text_of(value: Any) -> str:
    """Input as text: some servers send the object that it stands for."""
    if isinstance(value, str):
        return value
    return to_json(value).decode() if is_object(value) else ""


def annotations_in(block: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The annotations of an item, in order."""
    content = block.get("content")
    for piece in content if is_list(content) else ():
        found = piece.get("annotations") if is_object(piece) else None
        yield from (each for each in (found if is_list(found) else ()) if is_object(each))


def annotation(said: Mapping[str, Any], part: DeltaPart) -> dict[str, Any]:
    """An annotation in the form of chat completions."""
    kind = said.get("type")
    if not isinstance(kind, str) or kind in said:
        return {**said, "part": part.index}
    return {"type": kind, kind: {name: value for name, value in said.items() if name != "type"}, "part": part.index}
