"""A whole answer, or what there is of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from pydantic import Field

from rxllm.models._as_markdown import as_code, as_markdown
from rxllm.models._attempt import Attempt
from rxllm.models._ending import AnswerEnding, ending_of, is_reason, worst_of
from rxllm.models._message import IncompleteToolCall, Message
from rxllm.models._model import Model, OpenFinishReason
from rxllm.models._repair import Repair
from rxllm.models._timing import Timing
from rxllm.models._usage import Usage, total_of

_MEASURED = "(measured)"


class CompletionChoice(Model):
    """One of the parallel answers.

    Attributes:
        index: The number of the answer.
        message: The answer.
        finish_reason: Why it ended; ``None`` if the server never said.
        logprobs: The log probabilities of its tokens.
        incomplete_tool_calls: The calls that are not finished, as far as they had arrived.
    """

    index: int = 0
    message: Message = Field(default_factory=Message)
    finish_reason: OpenFinishReason | None = None
    logprobs: dict[str, Any] | None = None
    incomplete_tool_calls: list[IncompleteToolCall] = Field(default_factory=list[IncompleteToolCall])


def _ending_by_reasons(fields: dict[str, Any]) -> AnswerEnding:
    """How an answer ended whose writer did not know of endings: a server that does not stream, or an older version."""
    if not fields.get("complete", True):
        return "truncated"
    choices: list[CompletionChoice] = fields.get("choices", [])
    reasons = [choice.finish_reason for choice in choices]
    return worst_of(ending_of(reason) if reason and is_reason(reason) else "unknown" for reason in reasons)


class ChatCompletion(Model):
    """An answer of a language model.

    Attributes:
        id: The identifier of the answer.
        object: The kind of object.
        created: When the answer began, in seconds of Unix time.
        model: The model that answered.
        choices: The parallel answers, in order of their index.
        usage: The token counts, if the server sent them.
        service_tier: The tier that served the request.
        system_fingerprint: The server's configuration.
        complete: Whether the answer is whole. False if the stream was cut, for example.
        ending: How it ended; of several choices, the worst counts. ``None`` in a snapshot, while the answer goes on.

            ==================  =================================================================  ==========
            ``ending``          what the server said, or what happened                             complete
            ==================  =================================================================  ==========
            ``completed``       ``stop``, ``tool_calls``, and known words for them (``end_turn``)  yes
            ``length``          ``length``, ``max_tokens`` and the like                            yes
            ``content_filter``  a filter stepped in                                                yes
            ``unknown``         a word that nobody knows, or ``[DONE]`` and no word; no tool runs  yes
            ``paused``          ``pause_turn``: the model wants to be asked to go on               no
            ``stopped``         you stopped it                                                     no
            ``truncated``       the stream was cut, or the server said that it gave up             no
            ``timed_out``       it took too long                                                   no
            ``failed``          an error came in the stream, or was made of it                     no
            ==================  =================================================================  ==========
        repairs: What was repaired in the stream. Not part of ``model_dump``. attempts: The tries that failed before
        this answer, oldest first; empty if the first try succeeded. Not part of ``model_dump``.
    """

    # The operator that makes it, for errors about a wrong order.
    made_by: ClassVar[str] = "accumulate"

    id: str | None = None
    object: str = "chat.completion"
    created: int | float | None = None
    model: str | None = None
    choices: list[CompletionChoice] = Field(default_factory=list[CompletionChoice])
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    complete: bool = True
    ending: AnswerEnding | None = Field(default_factory=_ending_by_reasons)
    repairs: tuple[Repair, ...] = Field(default=(), exclude=True, repr=False)
    attempts: tuple[Attempt, ...] = Field(default=(), exclude=True, repr=False)

    @cached_property
    def timing(self) -> Timing | None:
        """How fast the answer came, if ``accumulate``, ``chat`` or ``chat_with_tools`` made this completion.

        ``None`` for a completion that was made by hand or read from a file, and for a snapshot. Not part of
        ``model_dump``, and ``==`` ignores it: the same answer may come at another speed.
        """
        # Beside the fields, where pydantic looks at neither this nor what is cached of it.
        measured: Callable[[Usage | None], Timing] | None = vars(self).pop(_MEASURED, None)
        return None if measured is None else measured(self.usage)

    @property
    def total_usage(self) -> Usage | None:
        """The token counts of all tries, added up; ``None`` if no server sent any."""
        return total_of([*(attempt.usage for attempt in self.attempts), self.usage])

    @property
    def message(self) -> Message:
        """The message of choice 0; an empty message if there is no choice 0."""
        return next((choice.message for choice in self.choices if choice.index == 0), Message(content=""))

    @property
    def text(self) -> str:
        """The text of choice 0; ``""`` if there is none."""
        return self.message.text

    @property
    def content(self) -> str:
        """The same as ``text``."""
        return self.message.text

    def _repr_markdown_(self) -> str:
        """How a notebook shows it: the text, the calls, and how it ended, if not as it should. No HTML, no pictures."""
        parts = [as_markdown(self.text)] if self.text else []
        parts += [f"- {as_code(f'{call.function.name} {call.function.arguments}')}" for call in self.message.tool_calls]
        if self.ending not in {None, "completed"}:
            parts.append(f"*({self.ending})*")
        return "\n\n".join(parts)


def put_timing(completion: ChatCompletion, measured: Callable[[Usage | None], Timing]) -> ChatCompletion:
    """Give a completion its ``timing``, which is worked out when somebody asks; returns the same completion.

    Args:
        completion: The completion.
        measured: Gives it, from what the answer cost. It has to be picklable.
    """
    vars(completion)[_MEASURED] = measured
    return completion
