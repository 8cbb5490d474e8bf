"""Lines of code in colours, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from rich.syntax import Syntax

from rxllm.sinks.screen._rows import DIM, PLAIN, Span

# By the names that Pygments has for kinds of text.
_STYLES = {
    "Token.Comment": DIM,
    "Token.Keyword": "35",
    "Token.Name.Builtin": "36",
    "Token.Name.Function": "34",
    "Token.Name.Class": "34",
    "Token.Name.Decorator": "36",
    "Token.Name.Tag": "35",
    "Token.Name.Attribute": "36",
    "Token.Literal.Number": "36",
    "Token.Operator.Word": "35",
    "Token.Literal.String": "32",
}
_OPEN = ("Token.Literal.String", "Token.Comment.Multiline")
# Longer lines are not looked at, nor more characters of a text or comment that goes on over lines.
_LONGEST = 400
_MOST = 4000


class CodeLines:
    """Gives each line its colours when it is whole, and looks at none twice, unless a text goes on over lines.

    Args:
        language: What the block says it is; not to be trusted.
    """

    def __init__(self, language: str) -> None:
        lexer = Syntax("", language).lexer if language else None
        self._lex: Callable[[str], Iterable[tuple[object, str]]] | None = None if lexer is None else lexer.get_tokens
        # What began in an earlier line and has not ended.
        self._open = ""

    def add(self, line: str) -> list[Span]:
        """The spans of the next line."""
        if self._lex is None or len(line) > _LONGEST:
            return [Span(line)]
        text = f"{self._open}{line}\n"
        spans: list[Span] = []
        last, skipped = "", len(self._open)
        for kind, value in self._lex(text):
            shown, skipped = value[skipped:], max(0, skipped - len(value))
            if shown:
                last = str(kind)
                spans.append(Span(shown.rstrip("\n"), _style_of(last)))
        self._open = text if last.startswith(_OPEN) and len(text) < _MOST else ""
        return spans


@lru_cache(maxsize=256)
def _style_of(kind: str) -> str:
    while kind:
        if (style := _STYLES.get(kind)) is not None:
            return style
        kind = kind.rpartition(".")[0]
    return PLAIN
