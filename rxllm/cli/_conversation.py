"""The conversation so far: what the next request begins with.

It is a fold of what is stored, so that a chat that goes on in another process goes on with the same messages.
"""

from __future__ import annotations

from rxllm.models import Message, Role, RoundCompleted, TextDelta


class Conversation:
    """What was said.

    Attributes:
        system: How the model is to behave, if somebody said so.
        messages: What was said since, as the next request has it.
    """

    def __init__(self, system: Message | None = None) -> None:
        self.system = system
        self.messages: list[Message] = []
        # Of the turn under way: what was asked, whether it was answered, and the text of an answer that is not whole.
        self._asked: list[Message] = []
        self._is_answered = False
        self._text = ""

    @property
    def request(self) -> list[Message]:
        """The messages of the next request."""
        system = [] if self.system is None else [self.system]
        return [*system, *self.messages, *self._asked]

    def add(self, item: object) -> None:
        """Take the next item: a message of the user or the system, or an event of the answer."""
        match item:
            case Message(role=Role.SYSTEM):
                self.system = item
            case Message():
                self._asked.append(item)
            case TextDelta():
                self._text += item.text
            case RoundCompleted():
                self._answer(*item.messages)
            case _:
                pass

    def end_turn(self) -> None:
        """Take note that a turn is over, whole or not. A question without any answer does not count."""
        if self._text.strip():
            self._answer(Message.assistant(self._text))
        if self._is_answered:
            self.messages += self._asked
        self._asked, self._is_answered, self._text = [], False, ""

    def _answer(self, *messages: Message) -> None:
        self._asked += messages
        self._is_answered, self._text = True, ""
