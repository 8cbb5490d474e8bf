"""What a display shows in plain style: text, and for what is no text a line in brackets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from rxllm.harmless import PrintableText, harmless
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    Approved,
    ChatEvent,
    ReasoningDelta,
    Refused,
    Restarted,
    RoundCompleted,
    Stopped,
    StreamChunk,
    TextDelta,
    ToolCallEvent,
    ToolResult,
    ToolResultEvent,
    is_chat_event,
)
from rxllm.wire import AWSFrame, ServerSentEvent

# What a terminal shows cannot be taken back: what counts is what follows this.
_ANEW = "[the answer begins anew]"
_LENGTH = 300


def require_shown(item: object) -> None:
    """Check that there is something to show of an item.

    Raises:
        TypeError: It is of another class.
    """
    if isinstance(item, StreamChunk | str | ServerSentEvent | AWSFrame) or is_chat_event(item):
        return
    kind = type(item)
    maker = getattr(kind, "made_by", None)
    advice = StreamChunk.made_of.get(kind.__name__, "") if maker is None else f"put the display before {maker}()"
    shown = "StreamChunk, ServerSentEvent, AWSFrame, str and events of a chat"
    message = f"a display shows {shown}, and got {kind.__name__}"
    raise TypeError(f"{message}: {advice}" if advice else message)


class PlainText:
    """The text of items, made harmless.

    Args:
        line_end: What stands between lines. In Markdown one line feed alone is a blank.
    """

    def __init__(self, line_end: str = "\n") -> None:
        self._text = PrintableText()
        self._line_feed = line_end
        self._anew = f"{line_end}{_ANEW}{line_end}"
        # Where the text of events is: in a line that has begun; within reasoning.
        self._in_line = False
        self._reasons = False
        # The calls whose refusal was told, and whose result tells nothing else.
        self._refused: set[str] = set()

    def add(self, items: Sequence[object]) -> str:
        """What is to be written for items.

        Raises:
            TypeError: There is nothing to show of the class of one.
        """
        return self._text.add("".join(map(self._told, items)))

    def close(self) -> str:
        """The rest."""
        return self._text.close()

    def _told(self, item: object) -> str:
        if isinstance(item, StreamChunk):
            return f"{self._anew}{item.text}" if item.restarts else item.text
        if isinstance(item, str):
            return item
        if isinstance(item, ServerSentEvent):
            return item.data
        if isinstance(item, AWSFrame):
            return item.payload.decode(errors="replace")
        require_shown(item)
        text = self._event(cast("ChatEvent", item))
        if text:
            self._in_line = not text.endswith("\n")
        return text

    def _event(self, event: ChatEvent) -> str:
        match event:
            case TextDelta():
                before, self._reasons = "\n\n" if self._reasons else "", False
                return f"{before}{event.text}"
            case ReasoningDelta():
                before, self._reasons = "" if self._reasons else f"{self._line_end()}[reasoning] ", True
                return f"{before}{event.text}"
            case Restarted():
                self._reasons = False
                return self._anew
            case RoundCompleted():
                self._reasons = False
                return self._line_end()
            case _:
                said = "" if self._is_told(event) else _said(event)
                return self._line(said) if said else ""

    def _is_told(self, event: ChatEvent) -> bool:
        """Whether it is the result of a call whose refusal stands there already."""
        match event:
            case ApprovalGiven(decision=Refused()):
                self._refused.add(event.call.id)
            case ToolResultEvent(result=ToolResult(error="refused", call=call)) if call.id in self._refused:
                self._refused.remove(call.id)
                return True
            case _:
                pass
        return False

    def _line(self, said: str) -> str:
        self._reasons = False
        return f"{self._line_end()}[{said}]{self._line_feed}"

    def _line_end(self) -> str:
        return self._line_feed if self._in_line else ""


def _said(event: ChatEvent) -> str:
    """The words for what is no text; ``""`` if there are none."""
    match event:
        case ToolCallEvent():
            said = f"calls {_called(event.call.function.name, event.call.function.arguments)}"
        case ToolResultEvent():
            name, result = harmless(event.result.call.function.name, _LENGTH), event.result
            said = f"{name} {'gave' if result.error is None else 'failed'}: {harmless(result.content.strip(), _LENGTH)}"
        case ApprovalRequested():
            said = f"may it run? {_called(event.call.function.name, event.call.function.arguments)}"
        case ApprovalGiven():
            decision = event.decision
            came_to = "approved" if isinstance(decision, Approved) else f"refused: {harmless(decision.reason, _LENGTH)}"
            said = f"{harmless(event.call.function.name, _LENGTH)} is {came_to}"
        case Stopped():
            said = "stopped"
        case _:
            said = ""
    return said


def _called(name: str, arguments: str) -> str:
    return f"{harmless(name, _LENGTH)} {harmless(arguments, _LENGTH)}"
