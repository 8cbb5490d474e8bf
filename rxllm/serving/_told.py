"""What there is to tell of an answer, part by part, whatever brought it: chunks, events of a conversation, texts.

Protocols that have parts of their own are written for these words alone. An order that they can rely on:

1. A text or reasoning begins, gains, and ends. Only one of them is open at a time, beside any number of inputs.
2. The input of a call begins when its identifier and name are known, gains text, and is ready once. What comes of the
   call, if it is run here, comes behind that.
3. A step is one request and its answer. All that is open ends before the step does.
4. ``Restart`` takes back what the step has told, and the step begins again with a ``StepStart`` of the same number.
5. What comes of a call is told once its input is ready, and of a call that was told. No text is open then. The call may
   be one of an earlier step: a provider that paused goes on with it in the next answer.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

from rxllm.models import OpenFinishReason, StreamInfo, Usage

TextKind: TypeAlias = Literal["text", "reasoning"]


class StepStart(NamedTuple):
    """A request has begun to be answered.

    Attributes:
        number: Which, from 1.
        id: The identifier of the answer, as the provider gave it.
        model: The model that answers.
        stream: What is known of the request.
    """

    number: int
    id: str | None = None
    model: str | None = None
    stream: StreamInfo | None = None


class TextStart(NamedTuple):
    """A text begins."""

    id: str
    kind: TextKind


class TextPiece(NamedTuple):
    """A text gained something."""

    id: str
    kind: TextKind
    text: str


class TextEnd(NamedTuple):
    """A text has ended."""

    id: str
    kind: TextKind


class InputStart(NamedTuple):
    """A call begins.

    Attributes:
        id: The identifier of the call, unique within the stream.
        name: The name of the tool.
        by_server: Whether the provider runs it.
    """

    id: str
    name: str
    by_server: bool = False


class InputPiece(NamedTuple):
    """The input of a call gained text."""

    id: str
    text: str


class InputReady(NamedTuple):
    """The input of a call is whole, or was cut.

    Attributes:
        id: The identifier of the call.
        name: The name of the tool.
        text: The input as it came, JSON as a rule.
        whole: Whether it is whole.
        by_server: Whether the provider runs it.
        is_text: Whether it is a text and no JSON: that of a custom tool.
    """

    id: str
    name: str
    text: str
    whole: bool = True
    by_server: bool = False
    is_text: bool = False


class Approval(NamedTuple):
    """Somebody is asked about a call (``approved`` is ``None``), or has decided."""

    id: str
    approved: bool | None = None
    reason: str | None = None


class Output(NamedTuple):
    """What a call came to.

    Attributes:
        id: The identifier of the call.
        content: What the model is told.
        error: What went wrong, if anything did.
        refused: Whether it was not run, because somebody said no.
        by_server: Whether the provider ran it.
    """

    id: str
    content: Any
    error: str | None = None
    refused: bool = False
    by_server: bool = False


class Source(NamedTuple):
    """Where something of the answer comes from."""

    id: str
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    filename: str | None = None


class Picture(NamedTuple):
    """A file in the answer: an image as a rule.

    Attributes:
        url: Where it is; ``data:`` URLs have all of it.
        media_type: What it is.
    """

    url: str
    media_type: str


class StepEnd(NamedTuple):
    """An answer is whole.

    Attributes:
        reason: Why it ended.
        usage: What it cost.
    """

    reason: OpenFinishReason | None
    usage: Usage | None


class Restart(NamedTuple):
    """The step begins anew: what it told does not count.

    Attributes:
        attempt: Which try it is now, if that is known.
        takes_all: Whether steps that have ended do not count either.
    """

    attempt: int | None = None
    takes_all: bool = False


Told: TypeAlias = (
    StepStart
    | TextStart
    | TextPiece
    | TextEnd
    | InputStart
    | InputPiece
    | InputReady
    | Approval
    | Output
    | Source
    | Picture
    | StepEnd
    | Restart
)
