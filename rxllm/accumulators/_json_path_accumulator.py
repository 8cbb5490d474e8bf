"""What grows under paths, in the content or in the arguments of all calls.

Rules:

1. There is one scan a text, whatever the number of paths. A change that is under several comes once for each.
2. The content of each choice is a text of its own, and so are the arguments of each call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from rxllm.accumulators._json_path import JSONPath, PathFilter
from rxllm.accumulators._json_text import JSONText
from rxllm.accumulators._tool_call_progress import ToolCallProgressAccumulator
from rxllm.models import JSONChange, JSONPathMatch, StreamChunk

__all__ = ["JSONPathAccumulator"]

# The constructor of a NamedTuple is a Python function around this one. Without it a match costs 0.3 µs less.
_new_match: Callable[[type[JSONPathMatch], tuple[Any, ...]], JSONPathMatch] = vars(tuple)["__new__"]


class JSONPathAccumulator:
    """The fold of one stream.

    Args:
        paths: What to look for: see ``operators.json_path``.
        of: In what.
        text_around: Whether there may be text around the JSON in the content.

    Raises:
        ValueError: A path is none, or there is none.
    """

    __slots__ = ("_calls", "_contents", "_filter", "_of", "_opening", "_text_around")

    def __init__(
        self, paths: Sequence[str], *, of: Literal["arguments", "content"] = "arguments", text_around: bool = False
    ) -> None:
        parsed = [JSONPath(path) for path in paths]
        if not parsed:
            raise ValueError("there is no path to look for")
        if of not in {"arguments", "content"}:
            raise ValueError(f"paths are of arguments or of content, not of {of!r}")
        self._of = of
        self._text_around = text_around
        self._opening: Literal["{", "["] = "[" if parsed[0].into_array else "{"
        self._filter = PathFilter(parsed)
        self._calls = ToolCallProgressAccumulator()
        self._contents: dict[int, JSONText] = {}

    def process_chunk(self, chunk: StreamChunk) -> Iterator[JSONPathMatch]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Yields:
            What is found, in order.

        Raises:
            DecodeError: The content is no JSON.
            ToolCallError: A fragment fits nowhere, or arguments cannot become a JSON object any more.
            LimitExceededError: There is too much of something.
        """
        if self._of == "arguments":
            for call, changes in self._calls.changes(chunk):
                for change in changes:
                    for pattern in self._filter.patterns(change):
                        yield _new_match(JSONPathMatch, (pattern, *change, call.choice, call.index, call.name or None))
            return
        for choice in chunk.choices:
            if choice.delta.content:
                text = self._contents.get(choice.index)
                if text is None:
                    text = self._contents[choice.index] = JSONText(text_around=self._text_around, opening=self._opening)
                yield from self._in_content(choice.index, text.feed(choice.delta.content))

    def finish(self) -> Iterator[JSONPathMatch]:
        """Take note that the stream ended, which completes content that is a number or a word.

        Yields:
            What is found.

        Raises:
            DecodeError: It is neither.
        """
        for index, text in self._contents.items():
            yield from self._in_content(index, text.fold.flush())

    def _in_content(self, choice: int, changes: Iterable[JSONChange]) -> Iterator[JSONPathMatch]:
        for change in changes:
            for pattern in self._filter.patterns(change):
                yield _new_match(JSONPathMatch, (pattern, *change, choice, None, None))
