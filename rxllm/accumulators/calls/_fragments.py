"""What a fragment of a call says, and whether it is of the call at its index: see the rules of ``_tool_calls``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators.calls._growing_call import GrowingCall
from rxllm.models import FunctionCallDelta, ToolCallDelta


def text_of_arguments(arguments: str | dict[str, Any] | None, choice: int, log: RepairLog) -> str:
    """The arguments of a fragment as text."""
    if not isinstance(arguments, dict):
        return arguments or ""
    text = to_json(arguments).decode()
    log.add("arguments-serialized", choice, arguments, text)
    return text


def with_custom_as_function(fragment: ToolCallDelta, custom: Mapping[str, Any]) -> ToolCallDelta:
    """The fragment with the name and input of a custom tool in the place of a function's."""
    function = FunctionCallDelta.model_validate({"name": custom.get("name"), "arguments": custom.get("input")})
    return fragment.model_copy(update={"type": "custom", "function": function, "custom": None})


def is_another(there: GrowingCall, call_id: str, name: str, arguments: str) -> bool:
    """Whether a fragment, its identifier unknown, is of another call than the one at its index."""
    if there.named_again and arguments.strip():
        return True
    if call_id and name:
        if there.id or there.name not in ("", name):
            return True
        # The call there has no identifier yet, so this may be it: unless it is complete without.
        return there.closed and bool(there.name or arguments.strip())
    if name:
        # A name alone, after the arguments: the one that was missing, or once more the same.
        late = not arguments.strip() and there.name in ("", name)
        return not late and there.closed and not _is_of_the_same(there, name, arguments)
    if call_id:
        return bool(there.id) and bool(arguments.strip()) and there.closed
    return False


def _is_of_the_same(there: GrowingCall, name: str, arguments: str) -> bool:
    """Whether a fragment without an identifier goes on with a call that has one, or says all of it once more."""
    if not there.id or name != there.name:
        return False
    return there.says_nothing or there.repeats(arguments)


def name_to_come(call: GrowingCall) -> str:
    """The name of the call after this one, if it came as a repetition of this one's."""
    return call.name if call.named_again else ""
