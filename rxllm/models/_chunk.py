"""A piece of a streamed answer, in the words of OpenAI's chat completions.

Everything in a delta is optional. Reading one is the floor of the library's cost, so the declared fields are
those that are read; the others are extras, and are as cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from rxllm.models._base import OpenFinishReason, OpenRole, WireModel
from rxllm.models._lenient import MAX_ELEMENTS, parse_leniently
from rxllm.models._reasoning import find_reasoning
from rxllm.models._usage import Usage

__all__ = ["Delta", "FunctionCallDelta", "StreamChoice", "StreamChunk", "ToolCallDelta"]


class FunctionCallDelta(WireModel):
    """A fragment of a function's name and arguments.

    Attributes:
        name: The name, usually on the first fragment only.
        arguments: A fragment of the arguments' JSON text; some servers send the whole object instead.
    """

    name: str | None = None
    arguments: Annotated[str | dict[str, Any], Field(union_mode="left_to_right")] | None = None


class ToolCallDelta(WireModel):
    """A fragment of a tool call.

    Attributes:
        index: The position of the call among the calls of its choice; not to be trusted.
        id: The identifier of the call, usually on the first fragment only.
        type: The kind of tool.
        function: The fragment itself.
    """

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionCallDelta | None = None


class Delta(WireModel):
    """What a choice gained.

    Content that came as a list of parts is here as its text; the parts themselves are kept as the extra field
    ``content_parts``.

    Attributes:
        role: Who speaks.
        content: A fragment of the text.
        refusal: A fragment of the text in which the model declines.
        tool_calls: Fragments of tool calls.
        function_call: A fragment of the one call of the older protocol.
        reasoning_content: A fragment of the reasoning, in one spelling.
        reasoning: A fragment of the reasoning, in the other.
    """

    role: OpenRole | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[list[ToolCallDelta], Field(fail_fast=True, max_length=MAX_ELEMENTS)] | None = None
    function_call: FunctionCallDelta | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def reasoning_text(self) -> str | None:
        """The fragment of reasoning, wherever the server put it.

        The first of these that has a text: ``reasoning_content``, ``reasoning``, ``reasoning_text``, ``thinking``,
        content parts of type ``thinking``, ``reasoning_details``. ``None`` if there is none in this delta.
        """
        return find_reasoning(self.reasoning_content, self.reasoning, self.__pydantic_extra__)[1] or None


class StreamChoice(WireModel):
    """What one of the parallel answers gained.

    Attributes:
        index: Which of the answers.
        delta: What it gained; empty if the server sent none.
        finish_reason: Why it ended; ``None`` while it goes on.
        logprobs: The log probabilities of the tokens in this delta.
    """

    index: int = 0
    delta: Delta = Field(default_factory=Delta)
    finish_reason: OpenFinishReason | None = None
    logprobs: dict[str, Any] | None = None


class StreamChunk(WireModel):
    """One event of a streamed answer.

    Attributes:
        id: The identifier of the answer.
        object: The kind of object, ``"chat.completion.chunk"``.
        created: When the answer was begun, in seconds of Unix time.
        model: The model that answers.
        choices: What the answers gained; often one, none where only usage is reported.
        usage: What the answer cost, if this chunk says so.
        service_tier: The tier that served the request.
        system_fingerprint: The server's configuration.
    """

    id: str | None = None
    object: str | None = None
    created: Annotated[int | float, Field(union_mode="left_to_right")] | None = None
    model: str | None = None
    choices: Annotated[list[StreamChoice], Field(fail_fast=True, max_length=MAX_ELEMENTS)] = Field(
        default_factory=list[StreamChoice]
    )
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None

    @classmethod
    def from_wire(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        r"""Read a chunk as servers really send it.

        The compiled validator gets the text first. Only if that refuses it, the JSON is read again and put right:
        ``choices`` or ``delta`` that are ``null`` or, for an empty object, ``[]`` or ``""``; content or reasoning in
        parts, arguments that are no string, a lone surrogate in a string (replaced by U+FFFD). Metadata of a type
        that cannot be right is set aside as ``<name>_original``. ``NaN`` and ``Infinity`` are read as floats; of
        duplicate keys the last counts.

        Args:
            data: The JSON text of one event, or the object it stands for.

        Returns:
            The chunk.

        Raises:
            ValueError: The text is no JSON, is nested deeper than 200 levels, or is no chunk; or it has more than
                10,000 choices or calls in one list.

        >>> chunk = StreamChunk.from_wire('{"choices": [{"delta": {"content": [{"type": "text", "text": "Hi"}]}}]}')
        >>> chunk.choices[0].delta.content
        'Hi'
        """
        try:
            if isinstance(data, str | bytes):
                return cls.model_validate_json(data)
            return cls.model_validate(data)
        except ValueError:
            return parse_leniently(cls.model_validate, data)
