"""Messages and the calls in them.

A ``ToolCall`` may be executed. What a stream that was cut leaves is an ``IncompleteToolCall``: another type, in
another place, without ``parsed``, so that it can be shown but neither run nor sent back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import BeforeValidator, Field

from rxllm.exceptions import ToolCallError, excerpt
from rxllm.models._attachment import Content, content_of
from rxllm.models._json import loads
from rxllm.models._lenient import is_set_aside
from rxllm.models._model import Model, OpenRole, Role
from rxllm.models._part import MessagePart, Origin, PartKind
from rxllm.models._reasoning import JOINED, find_reasoning


class FunctionCall(Model):
    """The function to call, and its arguments.

    Attributes:
        name: The name of the function.
        arguments: The arguments as the JSON text that the model wrote.
    """

    name: str
    arguments: str = "{}"

    @property
    def parsed(self) -> dict[str, Any]:
        """The arguments as a JSON object.

        ``NaN`` and ``Infinity`` are floats, a lone surrogate is U+FFFD, of duplicate keys the last counts.

        Raises:
            ToolCallError: They are not a JSON object.
        """
        try:
            value = loads(self.arguments)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ToolCallError(
                f"the arguments of {excerpt(self.name)} are not a JSON object: {excerpt(self.arguments)}",
                text=self.arguments,
            )
        return cast("dict[str, Any]", value)


class ToolCall(Model):
    """A finished call that the model asks for.

    A custom tool takes any text as input. Its call has that text as the arguments of ``function``; the extra field
    ``custom`` has it as the server sent it.

    Attributes:
        id: The identifier of the call; its result refers to it.
        type: The kind of tool.
        function: The function and its arguments.
    """

    # For errors about a wrong order of operators.
    made_by: ClassVar[str] = "accumulate_tool_calls"
    made_of: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "StreamChunk": "put accumulate_tool_calls() in front of it",
            "ChatCompletion": "put accumulate_tool_calls() in the place of accumulate()",
        }
    )

    id: str
    type: str = "function"
    function: FunctionCall


class IncompleteToolCall(Model):
    """A call whose stream ended too early, as far as it had arrived. Never execute it.

    Attributes:
        index: The position of the call among the calls of its choice.
        id: Its identifier, if that had arrived.
        name: The name of the function, if that had arrived.
        arguments: The start of the arguments' JSON text. It may be incomplete even if it parses.
    """

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""


# Those of the parts and of where they came from are for the dialect that they are of.
_NOT_SENT = {"content_parts", "annotations", "parts", "origin", "is_error", JOINED}


_SAID = frozenset({PartKind.TEXT, PartKind.REFUSAL})


def _none_to_list(value: Any) -> Any:
    return [] if value is None else value


class Message(Model):
    """A message of a conversation. Make it with ``Message.user("…")`` and the like.

    Attributes:
        role: The role of the speaker.
        content: The text, or a list of content parts.
        name: The name of the participant.
        tool_calls: The calls that the model asks for.
        tool_call_id: The identifier of the call whose result this message is.
        is_error: Whether that result is a failure, for providers that have such a field.
        refusal: The text in which the model declines.
        function_call: The one call of the older protocol.
        reasoning_content: The reasoning, in the field that some servers use.
        reasoning: The reasoning, in the field that other servers use.
        audio: The spoken answer: ``id``, ``data`` (base64), ``transcript``, ``expires_at``.
        annotations: Citations and the like.
        parts: The parts of the answer in their order, each also in the provider's own words, in dialects whose answers
            have parts. They are sent back to the same provider, unless you have changed the content or the calls.
        origin: Where the answer came from; ``None`` for a message made by hand.
    """

    role: OpenRole = Role.ASSISTANT
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], BeforeValidator(_none_to_list)] = Field(default_factory=list[ToolCall])
    tool_call_id: str | None = None
    is_error: bool | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    audio: dict[str, Any] | None = None
    annotations: list[Any] | None = None
    parts: Annotated[list[MessagePart], BeforeValidator(_none_to_list)] = Field(default_factory=list[MessagePart])
    origin: Origin | None = None

    @classmethod
    def user(cls, *content: Content, name: str | None = None) -> Self:
        """Make a message of the user.

        Args:
            *content: The text, or several pieces in order: text, ``Image``, ``Audio``, ``File``, and content parts in
                the server's format.
            name: The name of the participant.

        Raises:
            TypeError: A piece is something else.
        """
        return cls(role=Role.USER, content=content_of(content), name=name)

    @classmethod
    def system(cls, text: str, *, name: str | None = None) -> Self:
        """Make a message that tells the model how to behave."""
        return cls(role=Role.SYSTEM, content=text, name=name)

    @classmethod
    def assistant(
        cls, text: str | None = None, *, tool_calls: Sequence[ToolCall] = (), name: str | None = None
    ) -> Self:
        """Make a message of the model: an example of an answer, or an answer from another conversation.

        Args:
            text: The text, if there is any.
            tool_calls: The calls in it.
            name: The name of the participant.
        """
        return cls(role=Role.ASSISTANT, content=text, tool_calls=[*tool_calls], name=name)

    @classmethod
    def tool(cls, text: str, *, tool_call_id: str) -> Self:
        """Make the message that has the result of a call.

        Args:
            text: The result, as text or JSON.
            tool_call_id: The ``id`` of the ``ToolCall``.
        """
        return cls(role=Role.TOOL, content=text, tool_call_id=tool_call_id)

    @property
    def text(self) -> str:
        """The text of the message. If the content is a list of parts, the joined text of the text parts."""
        if isinstance(self.content, list):
            return "".join(part["text"] for part in self.content if isinstance(part.get("text"), str))
        return self.content or ""

    @property
    def reasoning_text(self) -> str | None:
        """The reasoning, wherever the server put it: see ``Delta.reasoning_text``.

        If the deltas of a stream used different fields, the extra field ``reasoning_joined`` has all of it in order,
        and is used first.
        """
        return find_reasoning(self.reasoning_content, self.reasoning, self.model_extra)[1] or None

    @property
    def is_as_it_came(self) -> bool:
        """Whether content, refusal and calls still say the same as the finished parts.

        False for a message with a text that was cut: no finished part has that text, so sending the parts would lose
        it.
        """
        final = [part for part in self.parts if part.final]
        said = "".join([part.text for part in final if part.kind in _SAID])
        called = [(part.id, part.name, part.text) for part in final if part.kind == PartKind.TOOL_CALL]
        calls = [(call.id, call.function.name, call.function.arguments) for call in self.tool_calls]
        is_same = not isinstance(self.content, list) and said == (self.content or "") + (self.refusal or "")
        return is_same and calls == called

    def to_wire(self) -> dict[str, Any]:
        """The message as servers accept it: without nulls and empty lists, which strict servers refuse.

        Returns:
            Role, content (null if there are only calls), calls, and the fields that a provider added. A spoken answer
            is sent as its identifier, as the protocol demands. Content parts that arrived in a stream are sent as their
            joined text. Originals of repaired values (``…_original``) are not sent.
        """
        dump = self.model_dump(mode="json", exclude=_NOT_SENT, exclude_none=True)
        fields = _without_originals(dump)
        if not self.tool_calls:
            del fields["tool_calls"]
        for call in fields.get("tool_calls", ()):
            if "custom" in call:
                del call["function"]
        if self.audio and "id" in self.audio:
            fields["audio"] = {"id": self.audio["id"]}
        if not (self.content or self.tool_calls or self.function_call or self.audio or self.refusal):
            fields["content"] = ""
        elif self.tool_calls or self.function_call:
            # Many servers want the name beside calls, whatever it holds.
            fields["content"] = self.content or None
        elif not self.content:
            fields.pop("content", None)
        return fields


def _without_originals(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message, without what was set aside in it and its calls."""
    kept = _kept(fields)
    if "function_call" in kept:
        kept["function_call"] = _kept(kept["function_call"])
    kept["tool_calls"] = [{**_kept(call), "function": _kept(call["function"])} for call in kept["tool_calls"]]
    return kept


def _kept(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not is_set_aside(name)}
