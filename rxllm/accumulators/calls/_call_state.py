"""A tool call as it was at one time, and what that comes to.

Rules:

1. A call that has finished has a name. What its arguments come to is said by ``_arguments``; if that is two calls in
   one, it is an error.
2. Without an identifier of its own it gets one that is made up: from the answer, its place in it, its name and its
   arguments. So all that read one answer, or a recording of it, get the same, and another answer has another.
3. The input of a custom tool is any text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rxllm.accumulators._repairs import RepairLog
from rxllm.accumulators._text import Text
from rxllm.accumulators.calls._settled_arguments import settle, without_placeholders
from rxllm.exceptions import ToolCallError, excerpt
from rxllm.models import FunctionCall, IncompleteToolCall, StreamChunk, ToolCall, is_open


class CallState(NamedTuple):
    """A call as it was at one time.

    Attributes:
        choice: The index of the choice.
        serial: In which order the calls of the choice began.
        number: The index that the server gave it, or that was made up.
        answer: What is known of the answer that it is in: see ``answer_of``.
        id: Its identifier, ``""`` while there is none.
        is_second: Whether the server gave that to another call before, so that it is none.
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
    answer: tuple[object, ...]
    id: str
    is_second: bool
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
        arguments = sent = self.text.read(self.length)
        if not self.name:
            raise self.error("a tool call has no name", sent)
        custom: dict[str, Any] = {}
        if self.type == "custom":
            custom = {"custom": {"name": self.name, "input": sent}}
        else:
            arguments, kinds, is_one = settle(sent)
            if not is_one:
                raise self.error(f"the arguments of {excerpt(self.name)} are more than one value", sent)
            for each in kinds:
                log.add(each, (self.choice, self.serial), sent, arguments)
        extra = {} if custom else self.function_extra
        function = FunctionCall.model_validate({**extra, "name": self.name, "arguments": arguments})
        kind = {"type": self.type or "function", **custom}
        return ToolCall.model_validate(
            {**self.extra, "id": self._call_id(arguments, log), **kind, "function": function}
        )

    def incomplete(self, length: int | None = None) -> IncompleteToolCall:
        """What there is of the call.

        Args:
            length: How many fragments of the arguments there were, if more had come than when this was noted.
        """
        arguments = self.text.read(self.length if length is None else length)
        return IncompleteToolCall.model_validate(
            {
                **self.extra,
                "index": self.number,
                "id": self.own_id or None,
                "name": self.name or None,
                "arguments": arguments if self.type == "custom" else without_placeholders(arguments),
            }
        )

    @property
    def own_id(self) -> str:
        """The identifier that the server gave to this call alone, ``""`` while there is none."""
        return "" if self.is_second else self.id

    def _call_id(self, arguments: str, log: RepairLog) -> str:
        if self.own_id:
            return self.id
        made_up = _made_up_id(*self.answer, self.choice, self.serial, self.name, arguments.strip())
        if not self.id:
            log.add("id-made-up", (self.choice, self.serial), None, made_up)
        return made_up

    def error(self, message: str, text: str) -> ToolCallError:
        """The error about a text that belongs to the call, or would."""
        return ToolCallError(f"{message}: {excerpt(text)}", choice=self.choice, call_id=self.id or None, text=text)


def answer_of(chunk: StreamChunk) -> tuple[object, ...]:
    """What tells the answer that a chunk is of from others, as far as it is known: its request, and its identifier."""
    stream = chunk.stream
    if stream is None:
        return (chunk.id,)
    return (stream.host, stream.request_id, stream.requested_at, stream.attempt, stream.nonce, chunk.id)


def _made_up_id(*origin: object) -> str:
    """An identifier that looks as most servers word it, the same for the same origin."""
    # Few programs need it, and a millisecond is much of what importing the folds takes.
    from hashlib import sha256  # noqa: PLC0415

    return f"call_{sha256(ascii(origin).encode()).hexdigest()[:24]}"
