"""Calls of one candidate of the Gemini API.

Rules:

1. A call is whole when it comes, or comes in pieces of its arguments. It ends when it says no more that it goes on, or
   when something else comes. One that goes on when the answer ends was cut, and is told as such.
2. A call without an identifier gets one of its own, which does not go back. It is made of what there is of the answer,
   so that the same stream gives the same.
3. Arguments are given on when they are whole: what is made of pieces may have gained anything anywhere until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from rxllm.dialects.gemini._gemini_arguments import PartialArguments
from rxllm.models import (
    Delta,
    DeltaBlock,
    DeltaPart,
    FunctionCallDelta,
    PartKind,
    ToolCallDelta,
    is_list,
    is_object,
    loads,
)

_OF_PIECES = frozenset({"partialArgs", "willContinue"})


@dataclass(slots=True, eq=False)
class _OpenCall:
    """A call whose arguments come in pieces."""

    part: DeltaPart
    index: int
    first: dict[str, Any]
    arguments: PartialArguments

    @property
    def block(self) -> dict[str, Any]:
        """The call as it would have come at once."""
        said = {name: value for name, value in self.first["functionCall"].items() if name not in _OF_PIECES}
        return {**self.first, "functionCall": {**said, "args": self.arguments.value}}

    def take(self, pieces: Iterable[object]) -> None:
        """Take pieces of the arguments."""
        for piece in pieces:
            if not is_object(piece):
                raise ValueError("a piece of arguments is not an object")
            self.arguments.add(piece)

    def gains(self, arguments: str, *, final: bool) -> Delta:
        """The arguments, at the end."""
        piece = ToolCallDelta(index=self.index, function=FunctionCallDelta(arguments=arguments))
        block = DeltaBlock(index=self.part.index, block=self.block, final=final)
        return Delta(part=self.part, tool_calls=(piece,), blocks=[block])


@dataclass(slots=True, eq=False)
class Calls:
    """The calls of one candidate.

    Args:
        candidate: Which.

    Attributes:
        count: How many there are.
    """

    candidate: int
    count: int = 0
    _open: _OpenCall | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a call that goes on."""
        return self._open is not None

    def goes_on(self, call: Mapping[str, Any]) -> bool:
        """Whether this belongs to the call that is open: only the first piece has the name."""
        return self._open is not None and not call.get("name")

    def grow(self, call: Mapping[str, Any]) -> list[Delta]:
        """Take the next piece of the call that is open.

        Raises:
            ValueError: It is malformed.
        """
        pieces, grown = call.get("partialArgs"), self._open
        if grown is not None and is_list(pieces):
            grown.take(pieces)
        return [] if call.get("willContinue") is True else self.end()

    def begin(self, part: Mapping[str, Any], index: int, answer_id: str) -> list[Delta]:
        """Take a call, or the beginning of one.

        Args:
            part: The part that it is.
            index: The place of the part.
            answer_id: The identifier of the answer.

        Raises:
            ValueError: It is malformed.
        """
        call = part["functionCall"]
        name, own_id = call.get("name"), call.get("id")
        if not isinstance(name, str):
            raise ValueError("a call has no name")  # noqa: TRY004 - the call is wrong
        comes_whole = call.get("partialArgs") is None and call.get("willContinue") is not True
        arguments = _arguments(call.get("args")) if comes_whole else ""
        call_id = own_id if isinstance(own_id, str) and own_id else None
        call_id = call_id or _made_up_id(answer_id, self.candidate, self.count, name, arguments)
        made = DeltaPart(index=index, id=call_id, kind=PartKind.TOOL_CALL, name=name)
        function = FunctionCallDelta(name=name, arguments=arguments)
        said = (ToolCallDelta(index=self.count, id=call_id, type="function", function=function),)
        self.count += 1
        if comes_whole:
            return [Delta(part=made, tool_calls=said, blocks=[DeltaBlock(index=index, block={**part})])]
        self._open = _OpenCall(made, self.count - 1, {**part}, PartialArguments(call.get("args")))
        return [Delta(part=made, tool_calls=said), *self.grow(call)]

    def end(self) -> list[Delta]:
        """End the call that is open, if there is one: something else comes."""
        call, self._open = self._open, None
        return [] if call is None else [call.gains(_json(call.arguments.value), final=True)]

    def cut(self) -> list[Delta]:
        """Tell what there is of the call that is open, if there is one: the answer has ended."""
        call, self._open = self._open, None
        # Without the last brace nobody takes it for arguments.
        return [] if call is None else [call.gains(_json(call.arguments.value)[:-1], final=False)]


def _arguments(args: object) -> str:
    """The arguments of a call that comes whole."""
    if isinstance(args, str):
        # Some gateways send them as OpenAI does.
        args = loads(args) if args.strip() else None
    if args is not None and not is_object(args):
        raise ValueError("the args of a call are not an object")
    return _json(args or {})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _made_up_id(*origin: object) -> str:
    return f"call_{sha256(ascii(origin).encode()).hexdigest()[:24]}"
