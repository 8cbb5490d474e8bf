"""A chat: questions, and what is done with their answers.

Rules:

1. A turn has an event loop of its own. Ctrl-C leaves it: what had come of the answer is shown, stored, and part of the
   conversation. At the prompt no loop runs, and Ctrl-C ends the program. SIGTERM ends it in either case.
2. An answer that is not whole is shown as far as it came, and is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from reactivex import operators as rx_ops

from rxllm import bridges
from rxllm import operators as ops
from rxllm.cli._approval_prompt import AtTheTerminal
from rxllm.cli._chat_store import ChatStore
from rxllm.cli._conversation import Conversation
from rxllm.cli._outcome import Status, UsageError, complain, mark_drawn, say
from rxllm.cli._prompt import typed_question
from rxllm.cli._showing import draws, show
from rxllm.cli._signals import ended_by
from rxllm.cli._target import Target
from rxllm.client import LLMClient
from rxllm.exceptions import TruncatedStreamError
from rxllm.flow import Stream
from rxllm.models import ChatCompleted, ChatEvent, ChatRequest, Message
from rxllm.sinks import DisplayStyle
from rxllm.tools import ToolRegistry

_HELP = """\
/exit    leaves, like Ctrl-D
/new     begins another conversation
Ctrl-C   stops the answer
\\        at the end of a line: the question goes on in the next line"""


@dataclass
class Chat:
    """A chat with a model.

    Attributes:
        target: Whom to ask.
        client: Its client.
        fields: The fields of each request, beside the messages.
        conversation: What was said.
        tools: What the model may call.
        yes: Whether tools run without anybody being asked.
        style: How answers are shown.
        reasoning: Whether to show the reasoning where only text is shown.
        silence: After how many seconds without anything an answer is given up.
        store: Where the chat is kept.
    """

    target: Target
    client: LLMClient
    fields: Mapping[str, Any]
    conversation: Conversation = field(default_factory=Conversation)
    tools: ToolRegistry = field(default_factory=ToolRegistry)
    yes: bool = False
    style: DisplayStyle = "auto"
    reasoning: bool = False
    silence: float | None = None
    store: ChatStore | None = None

    def ask(self, question: str) -> Status:
        """Ask, and show the answer.

        Raises:
            TruncatedStreamError: The answer is not whole.
            Exception: What else it failed with.
        """
        try:
            with self.target.advising():
                last = bridges.run(self._turn(question))
        finally:
            self.conversation.end_turn()
        ending = last.completion.ending
        if ending != "completed":
            error = TruncatedStreamError(f"the answer is not whole: it ended by {ending!r}")
            if draws(self.style):
                mark_drawn(error)  # as the last line of what is drawn
            raise error
        return Status.WHOLE

    def hold(self, *, debug: bool) -> Status:
        """Ask whatever somebody types, until they have enough."""
        say(f"{self.fields['model']} · /help shows the commands, Ctrl-D leaves")
        while (question := typed_question()) not in {None, "/exit", "/quit"}:
            match question:
                case "":
                    pass
                case "/help":
                    say(_HELP)
                case "/new":
                    self._begin_anew()
                case _:
                    self._try(str(question), debug=debug)
        return Status.WHOLE

    def _try(self, question: str, *, debug: bool) -> None:
        """Ask; what fails is told, and is no reason to leave."""
        try:
            self.ask(question)
        except KeyboardInterrupt:
            if ended_by() is not None:
                raise
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in a line
            complain(error, debug=debug)
        if draws(self.style):
            say("")  # plain text ends with an empty line

    def _begin_anew(self) -> None:
        self.conversation = Conversation(self.conversation.system)
        if self.store is not None:
            self.store.begin_anew()

    async def _turn(self, question: str) -> ChatCompleted:
        system = self.conversation.system
        asked = [*([] if system is None else [system]), Message.user(question)]
        for message in asked:
            self.conversation.add(message)
        approver = None if self.yes or not self.tools else AtTheTerminal()
        events = self._events(approver)
        kept = events if self.store is None else self.store.keep(asked, events)
        heard = kept.pipe(rx_ops.do_action(self.conversation.add))
        when_asked = None if approver is None else approver.is_shown.set
        last: ChatCompleted = await show(heard, self.style, reasoning=self.reasoning, when_asked=when_asked)
        return last

    def _events(self, approver: AtTheTerminal | None) -> Stream[ChatEvent]:
        try:
            request = ChatRequest(messages=[*self.conversation.request], **self.fields)
            patience = None if self.silence is None else ops.timeout_per_chunk(self.silence)
            return self.client.chat_with_tools(request, self.tools, through=patience, approve=approver)
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except ValueError as error:
            raise UsageError(str(error)) from error
