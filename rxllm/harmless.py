r"""Text of foreign origin, made harmless before anybody sees it: what a model, a server or a file says.

Rules:

1. Nothing of it controls a terminal, turns the order of what stands around it, or hides. What would is replaced by
   something that can be seen.
2. Nothing is taken out of a message: a word that was cut in two by such a character does not become whole.
3. What people write with stays: flags, emoji that are put together, joiners, soft hyphens, the number signs of Arabic.
4. A message is one line, and bounded. It says how much is left out.
5. Text that comes in pieces becomes what it becomes as a whole.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["EXCERPT_LENGTH", "MESSAGE_LENGTH", "PrintableText", "excerpt", "harmless", "message_of", "printable"]

MESSAGE_LENGTH = 1000
"""How many characters the text of an error has at most."""

EXCERPT_LENGTH = 200
"""How many characters of an offending text are shown."""

_SYMBOLS_OF_CONTROLS = 0x2400
_REPLACEMENT = "\ufffd"

# C0 without tab and line feed, delete, C1; marks, embeddings, overrides and isolates of direction; separators of lines
# and paragraphs; invisible operators; the byte order mark; annotations; surrogates; what is not a character (Unicode,
# section 23.7); tags, and what is reserved for more that cannot be seen.
_NEVER_SHOWN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2061-\u206f\ufeff\ufff0-\ufffb\ud800-\udfff"
    r"\ufdd0-\ufdef\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
) + "".join(rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(0x11))
# What cannot be seen by itself, and shapes what stands around it: joiners, places for a break, variation selectors,
# fillers. A few stand together in one emoji; with more one can hide a text.
_SHAPING = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060\u3164\ufe00-\ufe0f\uffa0"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0100-\U000e01ef"
)
_TOGETHER = 3

# The flag of a part of a country (UTS 51, annex C.1): a black flag, the code of the part in tags, the end of tags.
_LETTER, _DIGIT = r"[\U000e0061-\U000e007a]", r"[\U000e0030-\U000e0039]"
_CODE = rf"(?:{_LETTER}{{2}}|{_DIGIT}{{3}})[\U000e0030-\U000e0039\U000e0061-\U000e007a]{{1,4}}"
_FLAG = rf"\U0001f3f4{_CODE}\U000e007f"

_replaced = re.compile(rf"({_FLAG})|[{_NEVER_SHOWN}]|(?<=[{_SHAPING}]{{{_TOGETHER}}})[{_SHAPING}]").sub
_unfinished_flag = re.compile(r"\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{0,7}\Z").search
_last_shaping = re.compile(rf"[{_SHAPING}]{{1,{_TOGETHER}}}\Z").search
_IN_ONE_LINE = {ord(control): _SYMBOLS_OF_CONTROLS + ord(control) for control in "\t\n\r"}


def printable(text: str) -> str:
    r"""Replace what could control a terminal, or deceive whoever looks at it, by something visible.

    >>> printable("\x1b[31mred\x07 café \u202egnp.exe")
    '␛[31mred␇ café �gnp.exe'

    C0 controls become their symbols (U+2400 and following), a CR nothing, the rest of them U+FFFD. Line feeds and tabs
    stay.

    Args:
        text: The whole of a text. For one that comes in pieces there is ``PrintableText``.
    """
    # Most texts are of this kind, and what is not asked for each character takes a hundredth of the time.
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return _replaced(_visible, text)


def _visible(found: re.Match[str]) -> str:
    character = found[0]
    if found[1]:
        return character
    if character == "\r":
        return ""
    return chr(_SYMBOLS_OF_CONTROLS + ord(character)) if character < " " else _REPLACEMENT


class PrintableText:
    r"""A text that comes in pieces: what ``printable`` makes of the whole, however it was cut.

    The end of a piece waits for the next one if it may be the beginning of a flag: nine characters at most.

    >>> text = PrintableText()
    >>> text.add("\x1b[31m") + text.add("red") + text.close()
    '␛[31mred'
    """

    __slots__ = ("_before", "_waiting")

    def __init__(self) -> None:
        self._waiting = ""
        # The characters without a look of their own that the last piece ended with.
        self._before = ""

    def add(self, piece: str) -> str:
        """Add a piece; returns what can be shown now."""
        text = self._waiting + piece
        unfinished = _unfinished_flag(text)
        end = len(text) if unfinished is None else unfinished.start()
        self._waiting = text[end:]
        return self._shown(text[:end])

    def close(self) -> str:
        """Take note that the text has ended; returns the rest of it."""
        rest, self._waiting = self._waiting, ""
        return self._shown(rest)

    def _shown(self, text: str) -> str:
        before = self._before
        text = before + text
        last = _last_shaping(text)
        self._before = "" if last is None else last[0]
        # What came before the piece was shown as it is, since it is no more than may stand together.
        return printable(text)[len(before) :]


def harmless(text: str, length: int = MESSAGE_LENGTH) -> str:
    r"""The start of a text for a message, as a display shows it, in one line.

    >>> harmless("over\rwritten\n\x1b[31m")
    'over␍written␊␛[31m'
    >>> harmless("a" * 9, length=4)
    'aaaa… (5 more)'

    Args:
        text: What somebody else said.
        length: How many characters of it are shown.
    """
    return _start_of(text, length) + _left_out(len(text) - length)


def excerpt(text: str | bytes, length: int = EXCERPT_LENGTH) -> str:
    r"""The start of an offending text in quotation marks, for a message that goes on behind it.

    >>> excerpt(b"<html>\x1b[31m")
    "'<html>␛[31m'"
    >>> excerpt("a" * 9, length=4)
    "'aaaa'… (5 more)"

    Args:
        text: What somebody else said, as text or in UTF-8.
        length: How many characters of it are shown; of bytes, how many bytes.
    """
    left = len(text) - length
    if isinstance(text, bytes):
        # Cut before it is decoded, since it may be megabytes long. What the cut leaves of a character is not shown.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        head = decoder.decode(text[:length], final=left <= 0)
        left += len(decoder.getstate()[0])
        text = head
    shown = _start_of(text, length)
    mark = '"' if "'" in shown and '"' not in shown else "'"
    return f"{mark}{shown}{mark}{_left_out(left)}"


def message_of(error: BaseException) -> str:
    """What an error says, as it says it. Whoever tells of one does not fail if it cannot say anything.

    Args:
        error: An error of somebody else, whose ``__str__`` may fail.
    """
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - that is told instead
        return f"(its text failed with {type(failure).__name__})"


def _start_of(text: str, length: int) -> str:
    return printable(text[:length].translate(_IN_ONE_LINE))


def _left_out(count: int) -> str:
    return f"… ({count} more)" if count > 0 else ""
