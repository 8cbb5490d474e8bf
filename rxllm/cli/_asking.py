"""What ``rxllm chat`` does: it makes a chat of what the command line says, and holds it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rxllm.bridges import run
from rxllm.cli._approval_prompt import can_ask
from rxllm.cli._chat import Chat
from rxllm.cli._chat_store import ChatStore
from rxllm.cli._outcome import Status, UsageError, say
from rxllm.cli._prompt import piped_text
from rxllm.cli._target import Target
from rxllm.cli._tools_module import tools_of
from rxllm.harmless import harmless
from rxllm.models import Message
from rxllm.sinks import DisplayStyle
from rxllm.tools import ToolRegistry


@dataclass(frozen=True)
class Wishes:
    """What each request asks for, beside the conversation.

    Attributes:
        model: The model.
        temperature: How much chance there is in an answer.
        max_tokens: How long an answer may become.
        others: Other fields, as ``NAME=VALUE``.
    """

    model: str | None
    temperature: float | None
    max_tokens: int | None
    others: Sequence[str]

    def fields(self) -> dict[str, Any]:
        """The fields of a request.

        Raises:
            UsageError: There is no model, or a field is none.
        """
        model = self.model or os.environ.get("RXLLM_MODEL")
        if not model:
            raise UsageError("which model? Give --model NAME, or set RXLLM_MODEL")
        numbers = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        given = {name: value for name, value in numbers.items() if value is not None}
        return {"model": model, **given, **dict(map(_field, self.others))}


def _field(text: str) -> tuple[str, Any]:
    """A field, as JSON or else as text."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"a field is NAME=VALUE, as in top_p=0.9, and not {text!r}")
    if name == "messages":
        raise UsageError("the messages are what you ask and --system: no --field has them")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def run_chat(
    question: str | None,
    target: Target,
    wishes: Wishes,
    *,
    system: str | None,
    tools: str | None,
    yes: bool,
    store: Path | None,
    goes_on: bool,
    style: DisplayStyle,
    reasoning: bool,
    silence: float | None,
    debug: bool,
) -> Status:
    """Ask one question, or hold a chat.

    Raises:
        UsageError: Something that was asked for cannot be.
        Exception: What the only answer failed with.
    """
    if goes_on and store is None:
        raise UsageError("--continue needs the file of the chat: --store FILE")
    chat = Chat(
        target,
        target.client(),
        wishes.fields(),
        tools=ToolRegistry() if tools is None else _told(tools_of(tools), yes=yes),
        yes=yes,
        style=style,
        reasoning=reasoning,
        silence=silence,
        store=None if store is None else ChatStore(store),
    )
    if goes_on and chat.store is not None:
        run(chat.store.go_on(chat.conversation))
    if system is not None:
        chat.conversation.system = Message.system(system)
    if question is None and sys.stdin.isatty():
        return chat.hold(debug=debug)
    return chat.ask(_whole(question))


def _whole(question: str | None) -> str:
    """A question with what comes on stdin."""
    parts = [part for part in (question, piped_text()) if part]
    if not parts:
        raise UsageError("nothing was asked: give a question, or write it to stdin")
    return "\n\n".join(parts)


def _told(tools: ToolRegistry, *, yes: bool) -> ToolRegistry:
    """The tools, once it is said what they are."""
    asks = "run without asking" if yes else "you are asked" if can_ask() else "refused: no terminal; --yes runs them"
    say(f"tools ({asks}): {harmless(', '.join(tools))}")
    return tools
