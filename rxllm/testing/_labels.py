"""Short texts for the values in a picture.

Rules:

1. A value is labelled with what a reader looks for in it: a chunk with its text or fragment, an event with its data.
2. A label shows every character: what cannot be printed is escaped, a space at an edge is an open box.
3. A label may come from a model, or from anywhere: nothing in it is trusted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import cast

from rxllm.models import StreamChunk, ToolCall
from rxllm.wire import AWSFrame, ServerSentEvent

__all__ = ["cells", "clipped", "label_of", "printable"]

SPACE = "\N{OPEN BOX}"
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def label_of(value: object) -> str:
    r"""The text that a value is labelled with.

    >>> from rxllm.testing import text_chunk
    >>> label_of(text_chunk(" Hel\n"))
    '␣Hel\\n'
    """
    if isinstance(value, StreamChunk):
        text = "".join(_fragments(value))
    elif isinstance(value, ServerSentEvent):
        text = value.data
    elif isinstance(value, AWSFrame):
        text = value.payload.decode("utf-8", "backslashreplace")
    elif isinstance(value, ToolCall):
        text = f"{value.function.name}({value.function.arguments})"
    elif isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
    elif isinstance(value, BaseException):
        message = str(value)
        text = f"{type(value).__name__}: {message}" if message else type(value).__name__
    elif isinstance(value, type):
        text = value.__name__
    elif isinstance(value, set | frozenset):
        # In an order that is the same in each process.
        text = "{" + ", ".join(sorted(map(repr, cast("set[object]", value)))) + "}"
    else:
        text = value if isinstance(value, str) else repr(value)
    return _visible(text)


def _fragments(chunk: StreamChunk) -> Iterator[str]:
    """What a chunk brings, in the order in which it is read."""
    for choice in chunk.choices:
        delta = choice.delta
        yield delta.reasoning_text or ""
        yield delta.content or ""
        for call in delta.tool_calls or ():
            if call.function is not None:
                yield f"{call.function.name}(" if call.function.name else ""
                yield str(call.function.arguments or "")
        yield f"[{choice.finish_reason}]" if choice.finish_reason else ""


def printable(text: str) -> str:
    """A text whose other characters are escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _visible(text: str) -> str:
    """A printable text in which spaces at the edges can be seen."""
    shown = printable(text)
    core = shown.strip(" ")
    before = len(shown) - len(shown.lstrip(" "))
    return SPACE * before + core + SPACE * (len(shown) - before - len(core))


def cells(text: str) -> int:
    """How many cells of a fixed-width font a text takes (Unicode standard annex 11).

    >>> cells("Hel"), cells("日本"), cells("e\N{COMBINING ACUTE ACCENT}")
    (3, 4, 1)
    """
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def clipped(text: str, most: int) -> str:
    """A text that takes so many cells at most.

    >>> clipped("Hello", 4)
    'Hel…'
    """
    if cells(text) <= most:
        return text
    while cells(text) >= most:
        text = text[:-1]
    return text + ELLIPSIS
