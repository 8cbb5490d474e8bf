"""The rows that Markdown becomes.

A list is drawn item by item, code line by line: see ``_blocks``. The target of a link is shown behind it, so that
nobody is led astray, and nothing of a text becomes part of an escape sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from rxllm.sinks.screen._blocks import Block, CodeLine, FenceHead, Prose
from rxllm.sinks.screen._cells import cut
from rxllm.sinks.screen._code import CodeLines
from rxllm.sinks.screen._rows import BOLD, DIM, EMPTY, PLAIN, Row, Span, both, folded, indented, row, wrapped
from rxllm.sinks.screen._table import table_rows

_CODE = "36"
_HEADINGS = {"h1": "1;4;35", "h2": "1;35"}
_HEADING = "1"
_LINK = "4"
_BULLETS = "•◦▪"
_CODE_INDENT = Span("  ")
# With less room nothing is put in front of a row.
_LEAST = 6
_MARKS = {"strong_open": "1", "em_open": "3", "s_open": "9", "link_open": _LINK}


def rows_of(block: Block, width: int) -> list[Row]:
    """The rows of a block on a screen of so many columns."""
    what = block.what
    if isinstance(what, Prose):
        rows = wrapped([Span(what.text)], width)
    elif isinstance(what, FenceHead):
        rows = [row(_CODE_INDENT, Span(cut(what.language, width - 2), DIM))] if what.language else []
    elif isinstance(what, CodeLine):
        rows = _code_rows(what.spans, width)
    else:
        rows = _rows(what.tokens, width, number=what.number)
    return [EMPTY, *rows] if block.gap else rows


def _code_rows(spans: Sequence[Span], width: int) -> list[Row]:
    return folded(spans, width) if width < _LEAST else indented(folded(spans, width - 2), _CODE_INDENT)


def _rows(tokens: Sequence[Token], width: int, *, depth: int = 0, number: int | None = None) -> list[Row]:
    """The rows of blocks that stand one under the other."""
    rows: list[Row] = []
    for group in _children(tokens):
        if rows and not (group[0].hidden or _is_list(group[0])):
            rows.append(EMPTY)
        rows += _block(group, max(1, width), depth, number)
    return rows


def _block(group: Sequence[Token], width: int, depth: int, number: int | None) -> list[Row]:
    opening, inner = group[0], group[1:-1]
    match opening.type:
        case "paragraph_open":
            rows = wrapped(list(_spans(inner)), width)
        case "heading_open":
            rows = wrapped(list(_spans(inner, _HEADINGS.get(opening.tag, _HEADING))), width)
        case "bullet_list_open" | "ordered_list_open":
            rows = _list(opening, inner, width, depth, number)
        case "blockquote_open":
            rows = _quote(inner, width, depth)
        case "table_open":
            rows = table_rows(*_cells_of_table(inner), width)
        case "hr":
            rows = [row(Span("─" * width, DIM))]
        case _:
            rows = _code(opening, width)
    return rows


def _quote(inner: Sequence[Token], width: int, depth: int) -> list[Row]:
    if width < _LEAST:
        return _rows(inner, width, depth=depth)
    bar = Span("│ ", DIM)
    return indented(_rows(inner, width - 2, depth=depth), bar, bar) or [row(bar)]


def _code(token: Token, width: int) -> list[Row]:
    """Code within something else, or code by indentation."""
    language = token.info.split(maxsplit=1)[0] if token.info.strip() else ""
    code = CodeLines(language)
    return [each for line in token.content.removesuffix("\n").split("\n") for each in _code_rows(code.add(line), width)]


def _list(opening: Token, inner: Sequence[Token], width: int, depth: int, number: int | None) -> list[Row]:
    first = int(opening.attrGet("start") or 1) if number is None else number
    rows: list[Row] = []
    for offset, item in enumerate(_children(inner)):
        ordered = opening.type == "ordered_list_open"
        mark = f"{first + offset}. " if ordered else f"{_BULLETS[depth % len(_BULLETS)]} "
        if width - len(mark) < _LEAST:
            rows += [*wrapped([Span(mark, _CODE)], width), *_rows(item[1:-1], width, depth=depth + 1)]
        else:
            content = _rows(item[1:-1], width - len(mark), depth=depth + 1) or [EMPTY]
            rows += indented(content, Span(mark, _CODE))
    return rows


def _is_list(token: Token) -> bool:
    return token.type in {"bullet_list_open", "ordered_list_open"}


def _children(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The blocks in a row of tokens, each with all that is in it."""
    start = 0
    for place, token in enumerate(tokens):
        if token.level == tokens[0].level and token.nesting <= 0:
            yield tokens[start : place + 1]
            start = place + 1


def _cells_of_table(tokens: Sequence[Token]) -> tuple[list[list[list[Span]]], list[str]]:
    """The rows of a table, the heads first, each the spans of its cells; and how its columns are aligned."""
    lines: list[list[list[Span]]] = []
    alignments: list[str] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            lines.append([])
        elif token.type in {"th_open", "td_open"}:
            is_head = token.type == "th_open"
            lines[-1].append(list(_spans([tokens[place + 1]], BOLD if is_head else PLAIN)))
            if is_head:
                alignments.append(str(token.attrGet("style") or "").rpartition(":")[2])
    return lines, alignments


def _spans(tokens: Sequence[Token], style: str = PLAIN) -> Iterator[Span]:
    """The text of a paragraph."""
    for token in tokens:
        yield from _inline(token.children or [], style)


def _inline(tokens: Sequence[Token], style: str) -> Iterator[Span]:
    styles = [style]
    targets: list[tuple[str, list[str]]] = []
    for token in tokens:
        if token.type in _MARKS:
            styles.append(both(styles[-1], _MARKS[token.type]))
            if token.type == "link_open":
                targets.append((str(token.attrGet("href") or ""), []))
        elif token.nesting < 0:
            styles.pop()
            if token.type == "link_close":
                yield from _target(*targets.pop(), styles[-1])
        else:
            shown = list(_text(token, styles[-1]))
            for _, said in targets:
                said += [span.text for span in shown]
            yield from shown


def _text(token: Token, style: str) -> Iterator[Span]:
    match token.type:
        case "code_inline":
            yield Span(token.content, both(style, _CODE))
        case "softbreak":
            yield Span(" ", style)
        case "hardbreak":
            yield Span("\n")
        case "image":
            yield Span(f"[{token.content or 'image'}]", both(style, DIM))
            yield from _target(str(token.attrGet("src") or ""), [], style)
        case _:
            yield Span(token.content, style)


def _target(address: str, said: list[str], style: str) -> Iterator[Span]:
    """Where a link leads, unless it says so itself."""
    if address and address.removeprefix("mailto:") != "".join(said):
        yield Span(f" ({address})", both(style, DIM))
