"""Which blocks of a Markdown text are final while it grows.

Rules:

1. A block is final when a later one has begun on a line that is whole. Nothing that comes later changes it, since
   nothing refers to what stands elsewhere: definitions of links are text, like all else that would be seen nowhere.
2. An item of a list is final when the next one has begun; a line of code when it is whole.
3. What is final is never looked at again. What is behind it is read as if it stood alone.
4. So it is of no matter in which pieces the text came.
5. A block with more than ``LONGEST`` characters is cut there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rxllm.sinks.screen._code import CodeLines
from rxllm.sinks.screen._rows import Span

LONGEST = 1 << 15

_parse = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("reference").parse
# A line that is only text, whatever comes behind it in that line.
_is_prose: Callable[[str], object] = re.compile(r"[A-Za-z][^\n*_`\[\]<>&|~\\!]*\Z").match
_fence_line = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[^\n]*\n", re.MULTILINE).search
_of_fence = re.compile(r"( {0,3})(`{3,}|~{3,})([^\n]*)\n").match


class Prose(NamedTuple):
    """A paragraph without any markup."""

    text: str


class Tokens(NamedTuple):
    """A block as the parser sees it.

    Attributes:
        tokens: The block.
        number: The number of the first item, if it goes on a list that began earlier.
    """

    tokens: Sequence[Token]
    number: int | None = None


class FenceHead(NamedTuple):
    """The beginning of code."""

    language: str


class CodeLine(NamedTuple):
    """A line of code."""

    spans: Sequence[Span]


class Block(NamedTuple):
    """Something that is shown in rows of its own.

    Attributes:
        gap: Whether an empty row stands in front.
        what: What it is.
    """

    gap: bool
    what: Prose | Tokens | FenceHead | CodeLine


class _Fence:
    """Code that has begun."""

    def __init__(self, indent: str, marks: str, language: str) -> None:
        self._indent = re.compile(rf" {{0,{len(indent)}}}")
        self.is_end: Callable[[str], object] = re.compile(rf" {{0,3}}{marks[0]}{{{len(marks)},}}[ \t]*\Z").match
        self.may_be_end: Callable[[str], object] = re.compile(rf" {{0,3}}{marks[0]}*[ \t]*\Z").match
        self._lines = CodeLines(language)

    def line(self, text: str) -> Block:
        return Block(gap=False, what=CodeLine(self._lines.add(self._dedented(text))))

    def unfinished(self, text: str) -> Block:
        return Block(gap=False, what=CodeLine([Span(self._dedented(text))]))

    def _dedented(self, text: str) -> str:
        return self._indent.sub("", text, count=1)


class _Place(NamedTuple):
    """What stands in front of a text.

    Attributes:
        begun: Whether anything does.
        number: If that is an item of a list that goes on: the number of the next one.
        gap: And whether an empty row stands between the two.
    """

    begun: bool = False
    number: int | None = None
    gap: bool = False


class Blocks:
    """A Markdown text that grows."""

    def __init__(self) -> None:
        self._text = ""
        # What came since it was last looked at: a text that grows by each of many pieces would be copied each time.
        self._pieces: list[str] = []
        self._fence: _Fence | None = None
        self._place = _Place()
        # How much of the text was seen not to have a final block in it.
        self._seen = 0

    def add(self, text: str) -> None:
        """Let it grow by a piece."""
        self._pieces.append(text)

    def final(self, *, closed: bool = False) -> Iterator[Block]:
        """Take what has become final; all of it if the text is ``closed``."""
        came = "".join(self._pieces)
        self._pieces.clear()
        # A bit at a time: whatever is cut off the front moves the rest.
        for start in range(0, len(came), LONGEST):
            self._text += came[start : start + LONGEST]
            yield from self._take(closed=False)
        if closed:
            yield from self._take(closed=True)

    def _take(self, *, closed: bool) -> Iterator[Block]:
        while self._text:
            before = len(self._text), self._seen
            if self._fence is not None:
                yield from self._code(self._fence, closed=closed)
            else:
                yield from self._blocks(closed=closed)
            if (len(self._text), self._seen) == before:
                return

    def rest(self) -> Iterator[Block]:
        """What is not final, as it would be if nothing more came."""
        text, place = "".join([self._text, *self._pieces]), self._place
        if self._fence is not None:
            if text and not self._fence.may_be_end(text):
                yield self._fence.unfinished(text)
        elif place.number is None and _is_prose(text):
            yield Block(place.begun, Prose(text))
        else:
            lines = text.split("\n")
            for group in _groups(_parse(text)):
                yield from _shown(group, lines, place)
                place = _Place(begun=True)

    def _code(self, fence: _Fence, *, closed: bool) -> Iterator[Block]:
        """Take the lines of code that are whole."""
        start = 0
        while True:
            end = self._text.find("\n", start, start + LONGEST)
            behind = end + 1
            if end < 0 and len(self._text) - start > LONGEST:
                end = behind = start + LONGEST
            elif end < 0 and closed and start < len(self._text):
                end = behind = len(self._text)
            if end < 0:
                break
            line = self._text[start:end]
            start = behind
            if fence.is_end(line):
                self._fence = None
                break
            yield fence.line(line)
        self._cut(start)

    def _blocks(self, *, closed: bool) -> Iterator[Block]:
        """Take the blocks that are final: those in front of code or of the last one, and of that what can be had."""
        text = self._text
        too_long = len(text) > LONGEST
        whole = closed and not too_long
        end = len(text) if whole else text.rfind("\n", 0 if too_long else self._seen, LONGEST) + 1
        if not end and not too_long:
            return
        # Code is not read by the parser: what is behind its beginning would be read for nothing, at each code anew.
        if not self._seen and (opening := _fence_line(text, 0, end or LONGEST)):
            end, whole, too_long = opening.end(), False, False
        seen = text[: end or LONGEST]
        groups = _groups(_parse(seen))
        starts = _line_starts(seen)
        lines = seen.split("\n")
        for place, group in enumerate(groups):
            start = starts[_line(group[0])]
            if group[0].type == "fence" and (opening := _of_fence(text, start)):
                yield self._open_fence(opening, group[0].info)
                self._cut(opening.end())
                return
            if place == len(groups) - 1 and not whole:
                yield from self._last(group, lines, starts, forced=too_long and not start)
                return
            yield from _shown(group, lines, self._place)
            self._place = _Place(begun=True)
        self._cut(len(seen))

    def _last(self, group: list[Token], lines: list[str], starts: list[int], *, forced: bool) -> Iterator[Block]:
        """Take of the last block what is final: the items of a list but the last one; all if it is too long."""
        shown = list(_shown(group, lines, self._place))
        last = shown[-1].what
        if len(shown) > 1 and isinstance(last, Tokens):
            yield from shown[:-1]
            self._place = _Place(begun=True, number=last.number, gap=shown[-1].gap)
            self._cut(starts[_line(last.tokens[1])])
        elif forced:
            yield from shown
            self._place = _Place(begun=True)
            self._cut(starts[-1] if lines[-1] == "" else starts[-1] + len(lines[-1]))
        else:
            start = starts[_line(group[0])]
            end = starts[-1]
            self._cut(start)
            self._seen = end - start

    def _cut(self, at: int) -> None:
        if at:
            self._text = self._text[at:]
            self._seen = 0

    def _open_fence(self, opening: re.Match[str], info: str) -> Block:
        language = _language(info)
        self._fence = _Fence(opening[1], opening[2], language)
        gap, self._place = self._place.begun, _Place(begun=True)
        return Block(gap, FenceHead(language))


def _shown(group: list[Token], lines: Sequence[str], place: _Place) -> Iterator[Block]:
    """What a block of the text is shown as: the items of a list one by one."""
    opening = group[0]
    if opening.type == "fence":
        # Its first line is not whole: else the code would have been begun.
        yield Block(place.begun, FenceHead(_language(opening.info)))
    elif opening.type in {"bullet_list_open", "ordered_list_open"}:
        number = int(opening.attrGet("start") or 1) if place.number is None else place.number
        gap = place.begun if place.number is None else place.gap
        for offset, item in enumerate(_items(group)):
            if offset:
                gap = not lines[_line(item[0]) - 1].strip(" \t")
            yield Block(gap, Tokens([opening, *item, group[-1]], number + offset))
    else:
        yield Block(place.begun, Tokens(group))


def _language(info: str) -> str:
    return info.split(maxsplit=1)[0] if info.strip() else ""


def _groups(tokens: Sequence[Token]) -> list[list[Token]]:
    """The blocks of the outermost level."""
    groups: list[list[Token]] = []
    for token in tokens:
        if token.level == 0 and token.nesting >= 0:
            groups.append([])
        groups[-1].append(token)
    return groups


def _items(group: Sequence[Token]) -> list[list[Token]]:
    """The items of a list."""
    items: list[list[Token]] = []
    for token in group[1:-1]:
        if token.level == 1 and token.nesting == 1:
            items.append([])
        items[-1].append(token)
    return items


def _line(token: Token) -> int:
    """The number of the line in which a token begins."""
    return token.map[0] if token.map else 0


def _line_starts(text: str) -> list[int]:
    """Where the lines of a text begin."""
    starts = [0]
    while (end := text.find("\n", starts[-1])) >= 0:
        starts.append(end + 1)
    return starts
