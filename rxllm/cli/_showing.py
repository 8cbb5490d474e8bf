"""How an answer is shown.

Rules:

1. On a terminal the display shows all of it.
2. Elsewhere stdout gets the text of the answer and nothing else, so that another program can go on with it. What is
   beside it goes to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias

import reactivex
from reactivex import operators as rx_ops

from rxllm import operators as ops
from rxllm.cli._echo import echo
from rxllm.cli._outcome import mark_drawn, reword
from rxllm.flow import Stream
from rxllm.models import (
    ApprovalRequested,
    ChatCompleted,
    ReasoningDelta,
    RoundCompleted,
    StreamChunk,
    TextDelta,
    is_chat_event,
)
from rxllm.sinks import ConsoleSink, DisplayStyle
from rxllm.typing import Ending, OperatorFunction, SinkStream

Show: TypeAlias = OperatorFunction[Any, Any]
Choose: TypeAlias = Callable[[Any], object | None]


async def show(
    stream: Stream[Any],
    style: DisplayStyle,
    *,
    reasoning: bool = False,
    when_asked: Callable[[], object] | None = None,
) -> Any:
    """Show an answer; gives its last item.

    Args:
        stream: The answer.
        style: As in ``operators.tee_to_display``.
        reasoning: Whether to show the reasoning where stdout gets the text only.
        when_asked: Called when it can be seen which call somebody is asked about.

    Raises:
        Exception: What the answer failed with.
    """
    shown = stream.pipe(rx_ops.do_action(on_error=reword), _shown(style, reasoning, when_asked))
    if not draws(style):
        return await shown
    try:
        with echo(on=False) if sys.stdout.isatty() else nullcontext():
            return await shown
    except Exception as error:
        mark_drawn(error)
        raise


def draws(style: DisplayStyle) -> bool:
    """Whether stdout gets more than text."""
    return ConsoleSink(style=style).draws


def _shown(style: DisplayStyle, reasoning: bool, when_asked: Callable[[], object] | None) -> Show:  # noqa: FBT001 - passed on
    if sys.stdout.isatty() or style == "rich":
        if when_asked is None:
            return ops.tee_to_display(style=style)
        return ops.tee_to(_Part(ConsoleSink(style=style), _all, when_asked))
    beside = _beside if reasoning else _beside_without_reasoning
    return reactivex.compose(
        ops.tee_to(_Part(ConsoleSink(sys.stdout, end="", style="plain"), _answer)),
        ops.tee_to(_Part(ConsoleSink(sys.stderr, end="", style="plain"), beside, when_asked)),
    )


class _Part:
    """A sink that shows a part of what passes.

    Args:
        sink: What shows it.
        choose: What is shown of an item; ``None`` for nothing.
        when_asked: Called when an ``ApprovalRequested`` is shown.
    """

    def __init__(self, sink: ConsoleSink, choose: Choose, when_asked: Callable[[], object] | None = None) -> None:
        self._sink = sink
        self._choose = choose
        self._when_asked = when_asked

    async def open(self) -> SinkStream[Any]:
        """Begin a stream."""
        return _PartStream(await self._sink.open(), self._choose, self._when_asked)


class _PartStream:
    def __init__(self, stream: SinkStream[Any], choose: Choose, when_asked: Callable[[], object] | None) -> None:
        self._stream = stream
        self._choose = choose
        self._when_asked = when_asked
        self._in_line = False
        broken = getattr(stream, "broken", None)
        if broken is not None:
            self.broken = broken

    async def write(self, items: Sequence[Any], /) -> None:
        """Show what is chosen of items."""
        chosen = [what for item in items if (what := self._choose(item)) is not None]
        if chosen:
            await self._stream.write(chosen)
            self._in_line = _is_in_line(chosen[-1])
        if self._when_asked is not None and any(isinstance(item, ApprovalRequested) for item in items):
            self._when_asked()

    async def close(self, ending: Ending, /) -> None:
        """End the line that was begun."""
        if self._in_line:
            await self._stream.write(["\n"])
        await self._stream.close(ending)


def _is_in_line(item: Any) -> bool:
    """Whether a text does not end its line."""
    text = item.text if isinstance(item, TextDelta | ReasoningDelta) else item
    return isinstance(text, str) and not text.endswith("\n")


def _all(item: Any) -> object:
    return item


def _answer(item: Any) -> object | None:
    """The text of the answer."""
    if isinstance(item, StreamChunk):
        return item.text or None
    is_answer = isinstance(item, TextDelta | RoundCompleted)
    return item if is_answer or not is_chat_event(item) else None


def _beside(item: Any) -> object | None:
    """What is not the text of the answer."""
    if isinstance(item, StreamChunk):
        return "[the answer begins anew]\n" if item.restarts else None
    is_answer = isinstance(item, TextDelta | RoundCompleted | ChatCompleted)
    return item if is_chat_event(item) and not is_answer else None


def _beside_without_reasoning(item: Any) -> object | None:
    return None if isinstance(item, ReasoningDelta) else _beside(item)
