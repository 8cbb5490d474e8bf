"""What grows under paths, in the content or in the arguments of all calls.

Rules:

1. There is one scan a text, whatever the number of paths. A change that is under several comes once for each.
2. The content of each choice is a text of its own, and so are the arguments of each call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

from rxllm.accumulators._beginning import Beginning
from rxllm.accumulators._new_tuple import new_tuple
from rxllm.accumulators.calls._watched_call import WatchedCall
from rxllm.accumulators.calls._watched_calls import WatchedCallsFold
from rxllm.accumulators.json._json_text import JSONTextFold
from rxllm.accumulators.json._path import JSONPath, PathFilter
from rxllm.exceptions import RestartError, items_then
from rxllm.models import JSONPathMatch, StreamChunk


class JSONPathAccumulator:
    """Finds values in the JSON of one stream: see ``operators.json_path``.

    Args:
        paths: The paths to look for: see ``operators.json_path``.
        of: Where to look: ``"arguments"`` or ``"content"``.
        text_around: Whether there may be text around the JSON in the content.

    Raises:
        ValueError: A path has a mistake, or no path is given.
    """

    __slots__ = ("_beginning", "_calls", "_contents", "_filter", "_of")

    def __init__(
        self, paths: Sequence[str], *, of: Literal["arguments", "content"] = "arguments", text_around: bool = False
    ) -> None:
        parsed = [JSONPath(path) for path in paths]
        if not parsed:
            raise ValueError("there is no path to look for")
        if of not in {"arguments", "content"}:
            raise ValueError(f"of must be 'arguments' or 'content', not {of!r}")
        self._of = of
        self._filter = PathFilter(parsed)
        self._calls = _ArgumentsFold(self._filter)
        # By choice.
        new_text = partial(JSONTextFold, text_around=text_around, opening="[" if parsed[0].into_array else "{")
        self._contents: defaultdict[int, JSONTextFold] = defaultdict(new_text)
        self._beginning = Beginning()

    def add(self, chunk: StreamChunk) -> Iterable[JSONPathMatch]:
        """Take the next chunk; iterate over the result at once.

        Args:
            chunk: The chunk.

        Returns:
            A list of matches, in order. If matches come before an error, an iterable that gives them and then raises
            the error.

        Raises:
            DecodeError: The content is not JSON.
            MixedAnswersError: The chunk begins another answer.
            RestartError: The answer begins anew after some of it was read.
            ToolCallError: A fragment belongs to no call, or arguments cannot become a JSON object any more.
            LimitExceededError: The JSON is too long or nested too deeply, or there are too many calls.
        """
        if self._of == "arguments":
            return self._calls.add(chunk)
        found: list[JSONPathMatch] = []
        if chunk.slots is not self._beginning.slots:
            restarts = self._beginning.restarts(chunk, lambda: (None, None))
            if restarts and self._contents:
                raise RestartError("json_path")
        try:
            for choice in chunk.choices:
                content = choice.delta.content
                if content:
                    place = (choice.index, None, None)
                    _find(self._filter, self._contents[choice.index], content, place, found)
        except Exception as error:  # noqa: BLE001 - raised behind what was found
            return items_then(found, error)
        return found

    process_chunk = add
    """The name that ``add`` had in 0.1."""

    def close(self) -> Iterator[JSONPathMatch]:
        """Note that the stream ended: this completes content that is a number or a word such as ``true``.

        Yields:
            The matches.

        Raises:
            DecodeError: The content is neither complete nor such a number or word.
        """
        for index, text in self._contents.items():
            for change in text.fold.close(cut=True):
                for pattern in self._filter.patterns(change.path):
                    yield JSONPathMatch(pattern, *change, index)

    finish = close
    """The name that ``close`` had in 0.1."""

    def partial(self) -> None:
        """``None``: the matches have already been returned."""


class _ArgumentsFold(WatchedCallsFold[JSONPathMatch]):
    """The same in the arguments of calls."""

    __slots__ = ("_filter",)
    _name = "json_path"

    def __init__(self, paths: PathFilter) -> None:
        super().__init__()
        self._filter = paths

    def _report(self, watched: WatchedCall, piece: str, found: list[JSONPathMatch]) -> None:
        call = watched.call
        if piece:
            _find(self._filter, watched, piece, (call.choice, call.index, call.name or None), found)


def _find(
    paths: PathFilter,
    growing: WatchedCall | JSONTextFold,
    piece: str,
    place: tuple[int, int | None, str | None],
    found: list[JSONPathMatch],
) -> None:
    """Find what a text gains with a piece.

    Args:
        paths: Under which paths.
        growing: The text.
        piece: The piece.
        place: The choice, and the index and name of the call, where the text is.
        found: Where to put it.
    """
    add, fold = found.append, growing.fold
    if fold.add_piece(piece):
        # A piece of a string, as nearly all are: not to be asked for changes saves 0.2 µs.
        path = fold.path
        for pattern in paths.found if path is paths.path else paths.patterns(path):
            add(new_tuple(JSONPathMatch, (pattern, path, piece, None, False, *place)))
    else:
        for change in growing.add(piece):
            for pattern in paths.patterns(change[0]):
                add(new_tuple(JSONPathMatch, (pattern, *change, *place)))
