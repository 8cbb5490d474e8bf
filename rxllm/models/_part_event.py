"""The parts of an answer as they come: what ``operators.parts`` emits.

Events are told apart by their class or by ``type``, and are JSON for whoever is to see them, a browser for example:
``TypeAdapter(PartEvent)`` reads them back.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from rxllm.models._part import MessagePart, OpenPartKind


class _OfPart(BaseModel):
    # The operator that makes it, for errors about a wrong order.
    made_by: ClassVar[str] = "parts"

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    choice: int = 0
    index: int


class PartStart(_OfPart):
    """A part of the answer begins.

    Attributes:
        choice: The index of the choice.
        index: The place of the part among the parts of its choice. They may have gaps.
        kind: The kind of part, as far as it is known: a ``PartKind``, or another word of the provider.
        id: Its identifier, or that of the call in it, if that has come.
        name: The name of the tool in it, if that has come.
    """

    type: Literal["part_start"] = "part_start"
    kind: OpenPartKind
    id: str | None = None
    name: str | None = None


class PartDelta(_OfPart):
    """A part of the answer gained text.

    Attributes:
        choice: The index of the choice.
        index: The place of the part.
        kind: The kind of the text. It is the kind of its part, with two exceptions within a text part: a refusal, and
            reasoning that an operator took out.
        text: What it gained; never empty.
    """

    type: Literal["part_delta"] = "part_delta"
    kind: OpenPartKind
    text: str


class PartEnd(_OfPart):
    """A part of the answer has ended.

    Attributes:
        choice: The index of the choice.
        index: The place of the part.
        part: The part. If it is not ``final``, it was cut.
    """

    type: Literal["part_end"] = "part_end"
    part: MessagePart


PartEvent: TypeAlias = Annotated[PartStart | PartDelta | PartEnd, Field(discriminator="type")]
"""What ``operators.parts`` emits."""
