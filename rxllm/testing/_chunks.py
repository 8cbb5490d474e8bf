"""Chunks, written shortly.

>>> text_chunk("Hel").choices[0].delta.content
'Hel'
"""

from __future__ import annotations

from rxllm.models import Delta, FunctionCallDelta, StreamChoice, StreamChunk, ToolCallDelta

__all__ = ["finish_chunk", "text_chunk", "tool_chunk"]


def text_chunk(text: str, *, choice: int = 0) -> StreamChunk:
    """A chunk with a fragment of the text.

    Args:
        text: The fragment.
        choice: The index of the choice.
    """
    return _chunk(choice, Delta(content=text))


def tool_chunk(
    arguments: str | None = None,
    *,
    index: int | None = 0,
    id: str | None = None,
    name: str | None = None,
    choice: int = 0,
) -> StreamChunk:
    """A chunk with a fragment of a tool call.

    >>> tool_chunk('{"ci', id="a", name="weather").choices[0].delta.tool_calls[0].function.arguments
    '{"ci'

    Args:
        arguments: A fragment of the arguments' JSON text.
        index: The position of the call among those of its choice.
        id: The identifier of the call.
        name: The name of the function, or a fragment of it.
        choice: The index of the choice.
    """
    function = FunctionCallDelta(name=name, arguments=arguments)
    return _chunk(choice, Delta(tool_calls=(ToolCallDelta(index=index, id=id, function=function),)))


def finish_chunk(reason: str = "stop", *, choice: int = 0) -> StreamChunk:
    """A chunk that ends a choice.

    Args:
        reason: Its ``finish_reason``.
        choice: The index of the choice.
    """
    return _chunk(choice, Delta(), reason)


def _chunk(choice: int, delta: Delta, reason: str | None = None) -> StreamChunk:
    return StreamChunk(choices=(StreamChoice(index=choice, delta=delta, finish_reason=reason),))
