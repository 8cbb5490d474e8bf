"""Tools in whatever form a provider gives them: those that it runs, and those whose input is a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rxllm.models import MessagePart, PartKind, ToolCallDelta, is_object
from rxllm.serving._references import picture_of_block
from rxllm.serving._step import Step
from rxllm.serving._told import Output, Told

_FAILED = "failed"

# What comes of these is a part of its own.
_RESULT_APART = frozenset({"tool_search_call", "shell_call", "local_shell_call", "apply_patch_call", "computer_call"})


def custom_calls(calls: Iterable[ToolCallDelta]) -> list[str]:
    """The identifiers of the calls among them whose input is a text."""
    return [call.id for call in calls if call.id and call.custom is not None]


def part_of_provider(step: Step, part: MessagePart, key: int) -> Iterator[Told]:
    """Tell of a part that the provider made: a tool that it ran, a result, a picture.

    Args:
        step: The step.
        part: The part.
        key: Which input of the step it is, if it is one.
    """
    if part.kind == PartKind.SERVER_TOOL:
        given = part.id or f"part-{part.index}"
        yield from step.ready(key, given, _tool_of(part), part.text, whole=part.final, by_server=True)
        if _has_result(part):
            yield from _result(step, given, part)
    elif part.kind == PartKind.SERVER_RESULT:
        yield from _result(step, part.id or "", part)
    elif part.kind == PartKind.IMAGE:
        yield from picture_of_block(part.block)


def _result(step: Step, given: str, part: MessagePart) -> Iterator[Told]:
    if (call := step.known(given)) is not None:
        yield from step.end_text()
        yield from step.settle(call)
        call.has_outcome = True
        content, error = _outcome(part.block)
        yield Output(call.id, content, error=error, by_server=call.by_server)


def _tool_of(part: MessagePart) -> str:
    """The name of a tool: that of the part, else what the block is."""
    return part.name or _type(part.block).removesuffix("_call")


def _has_result(part: MessagePart) -> bool:
    """Whether a part with a tool has what came of it, too: so it is in Responses, but for some."""
    type_ = _type(part.block)
    return part.final and type_.endswith("_call") and type_ not in _RESULT_APART


def _outcome(block: Mapping[str, Any] | None) -> tuple[Any, str | None]:
    """What came of a tool, and whether it failed."""
    if block is None:
        return None, None
    content = block.get("content", block)
    inner = _type(content) if is_object(content) else ""
    failed = block.get("is_error") or block.get("error") or block.get("status") == "failed" or inner.endswith("_error")
    return content, _FAILED if failed else None


def _type(block: Mapping[str, Any] | None) -> str:
    found = None if block is None else block.get("type")
    return found if isinstance(found, str) else ""
