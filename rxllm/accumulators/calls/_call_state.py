"""A tool call as it was at one time, and what that comes to.

Rules:

1. A call that has finished has a name. Without an identifier it gets one that is made up, the same from the same
   stream; without arguments, the empty object.
2. Two values glued together are two calls in one, and no way to tell them apart: an error.
3. The input of a custom tool is any text.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.exceptions import ToolCallError, excerpt
from rxllm.models import FunctionCall, IncompleteToolCall, ToolCall, is_open

_DECODER = json.JSONDecoder()


class CallState(NamedTuple):
    """A call as it was at one time.

    Attributes:
        choice: The index of the choice.
        serial: In which order the calls of the choice began.
        number: The index that the server gave it, or that was made up.
        id: Its identifier, ``""`` while there is none.
        name: The name of the function, ``""`` while there is none.
        type: The kind of tool, ``""`` while it is not said.
        text: The arguments, as they go on growing.
        length: How many fragments of them there were.
        extra: What else a provider sent with the call.
        function_extra: What else a provider sent with the function.
    """

    choice: int
    serial: int
    number: int
    id: str
    name: str
    type: str
    text: Text
    length: int
    extra: dict[str, Any]
    function_extra: dict[str, Any]

    @property
    def is_open(self) -> bool:
        """Whether the arguments have begun and not ended; the input of a custom tool, which is any text, has."""
        return self.type != "custom" and is_open(self.text.read(self.length))

    def tool_call(self, log: RepairLog) -> ToolCall:
        """The finished call.

        Raises:
            ToolCallError: It has no name, or two values glued together for arguments.
        """
        arguments = self.text.read(self.length)
        if not self.name:
            raise self.error("a tool call has no name", arguments)
        custom: dict[str, Any] = {}
        if self.type == "custom":
            custom = {"custom": {"name": self.name, "input": arguments}}
        elif not arguments.strip():
            log.add("arguments-empty", self[:2], arguments, "{}")
            arguments = "{}"
        elif _is_glued(arguments):
            raise self.error(f"the arguments of {excerpt(self.name)} are more than one value", arguments)
        extra = {} if custom else self.function_extra
        function = FunctionCall.model_validate({**extra, "name": self.name, "arguments": arguments})
        kind = {"type": self.type or "function", **custom}
        return ToolCall.model_validate({**self.extra, "id": self._call_id(log), **kind, "function": function})

    def incomplete(self, length: int | None = None) -> IncompleteToolCall:
        """What there is of the call.

        Args:
            length: How many fragments of the arguments there were, if more had come than when this was noted.
        """
        return IncompleteToolCall.model_validate(
            {
                **self.extra,
                "index": self.number,
                "id": self.id or None,
                "name": self.name or None,
                "arguments": self.text.read(self.length if length is None else length),
            }
        )

    def _call_id(self, log: RepairLog) -> str:
        if self.id:
            return self.id
        # Something to send the result under. The same stream always gets the same.
        made_up = f"call_{self.choice}_{self.serial}"
        log.add("id-made-up", self[:2], None, made_up)
        return made_up

    def error(self, message: str, text: str) -> ToolCallError:
        """The error about a text that belongs to the call, or would."""
        return ToolCallError(f"{message}: {excerpt(text)}", choice=self.choice, call_id=self.id or None, text=text)


def _is_glued(arguments: str) -> bool:
    """Whether another value begins where the first one ends: see rule 2."""
    text = arguments.lstrip()
    try:
        _, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return text[end:].lstrip()[:1] in {"{", "[", '"'}
