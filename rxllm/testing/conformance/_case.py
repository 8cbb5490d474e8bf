"""A case: what a server does, and what is expected of the client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from rxllm.testing.conformance._quirks import QUIRKS, Quirk
from rxllm.testing.conformance._results import CallResult
from rxllm.testing.script import Answer, ScriptDialect

__all__ = ["Case", "Expectation", "ExpectedChoice", "Failure", "Leaves", "Redirected", "Way", "Whole"]


@dataclass(frozen=True, slots=True)
class ExpectedChoice:
    """One of the parallel answers, as it has to be. What is ``None`` is not looked at.

    Attributes:
        index: Which of them.
        text: The text.
        reasoning: The reasoning.
        refusal: The text in which the model declines.
        tool_calls: The calls, in order. An id of ``None`` is not looked at; arguments are compared as JSON.
        finish_reason: Why it ended.
        logprobs: The tokens of which log probabilities came.
        extra: Further fields that the message has to have.
    """

    index: int = 0
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[CallResult, ...] = ()
    finish_reason: str | None = None
    logprobs: tuple[str, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Whole:
    """The client returns the whole answer.

    Attributes:
        choices: The parallel answers.
        usage: Counts of tokens that have to be told.
        or_failure: An error is right, too: what came has no one meaning.
    """

    choices: tuple[ExpectedChoice, ...] = (ExpectedChoice(),)
    usage: Mapping[str, int] = field(default_factory=dict[str, int])
    or_failure: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """The client raises: an answer that is cut is not taken for a whole one, a server's error not for an answer.

    Attributes:
        shows: What the message of the error, of one of its causes, or of its notes has to contain.
        partial: The text that had come. The error has it in ``partial``, in whichever shape a client returns an answer;
            a client whose errors have no ``partial`` does not tell.
    """

    shows: str = ""
    partial: str = ""


@dataclass(frozen=True, slots=True)
class Leaves:
    """The client's task is cancelled: it ends as cancelled, and the server sees the connection close.

    Attributes:
        turns: How many turns of the event loop after the server's last write the task is cancelled; each is a run
            of its own.
    """

    turns: tuple[int, ...] = (20,)


@dataclass(frozen=True, slots=True)
class Redirected:
    """The client is redirected to another origin: the header with its key does not go there."""


Expectation: TypeAlias = Whole | Failure | Leaves | Redirected
"""What a case expects of a client."""


Way: TypeAlias = Literal["once", "retrying", "fallback"]
"""How a client is run: as it is, as it tries again in its usual way, or with a second server."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a server or the network does, and what a correct client makes of it.

    Attributes:
        id: The row of the catalogue, and which of its cases: ``"Q6-null"``.
        title: What happens, in a few words.
        answers: What the server sends. If there are several, each is a run of its own and all have to go well.
        expected: What the client has to do.
        silent: The server goes silent: the client has to have a time-out of its own.
        may_repeat: The request may be sent again, since nothing was answered or the answer asks for it.
        way: How the client is run.
        then: What comes after the answer, in the same run: what further requests get, in order, or what the second
            server sends. More requests than there are answers are a failure, unless the request may be sent again.
        wait: How many seconds the second request has to come after the first, by the clock of the server.
        dialect: What the server speaks, which gives the address that the client gets.
    """

    id: str
    title: str
    answers: tuple[Answer, ...]
    expected: Expectation
    silent: bool = False
    may_repeat: bool = False
    way: Way = "once"
    then: tuple[Answer, ...] = ()
    wait: float = 0.0
    dialect: ScriptDialect = "openai-chat"

    def __str__(self) -> str:
        return self.id

    @property
    def quirk(self) -> Quirk:
        """The row of the catalogue that the case stands for."""
        return QUIRKS[self.id.partition("-")[0]]
