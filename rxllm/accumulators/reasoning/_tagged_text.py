r"""Text that begins with a part between tags, taken apart while it grows.

Rules:

1. Exactly the characters of an opening tag begin such a part, and those of the closing tag that belongs to it end it.
   Within a part an opening tag is text, outside a closing tag is.
2. A part counts where nothing but white space and other parts stand before it: behind that, a tag is what the text is
   about. With ``anywhere`` it counts everywhere.
3. A text that begins inside may repeat the opening tag, behind white space. It is dropped.
4. A part that is never closed goes on to the end. Of one that the text began inside of, without that tag, an option
   says whether it is such a part at all. If not, it is held back until it is closed.
5. The end of a fragment that may be the beginning of the next tag is held back: at most the tag but for one character.
6. Whatever the fragmentation, the two texts are the same, and no character but a dropped tag is lost.

>>> text = TaggedText("think")
>>> for fragment in ("<thi", "nk>Hm.</think", ">Yes: 1 <", " 2"):
...     print(text.add(fragment))
Parted(outside='', inside='')
Parted(outside='', inside='Hm.')
Parted(outside='Yes: 1 <', inside='')
Parted(outside=' 2', inside='')
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from rxllm.accumulators.reasoning._tags import LONGEST_TAG, TagPair, Tags, TagSet, pairs_of
from rxllm.exceptions import LimitExceededError

MAX_HELD_CHARACTERS = 16 * 1024 * 1024
"""How much is held back at most of a part that may be none."""

Unclosed: TypeAlias = Literal["inside", "outside"]

_VISIBLE = re.compile(r"\S")


class Parted(NamedTuple):
    """The parts of a text, inside and outside of the tags.

    Attributes:
        outside: The text outside of the tags.
        inside: The text between the tags.
    """

    outside: str
    inside: str


class TaggedText:
    """Splits one growing text at tags.

    Args:
        tag: The name in the tags: ``<tag>`` and ``</tag>``.
        inside: Whether the text begins between the tags, without the opening tag.
        anywhere: Whether tags count everywhere, not only at the beginning.
        tags: Other tags instead of ``tag``: a pair, or several pairs, each spelled as the model writes it:
            ``("[THINK]", "[/THINK]")``.
        unclosed: Where text belongs that begins inside and is never closed. With ``"outside"``, it is held back until
            the closing tag or the end.

    Raises:
        ValueError: ``tag`` is empty or has white space, ``<``, ``>`` or ``/`` in it; ``tags`` are not pairs, or one of
            them is part of another.

    Attributes:
        held: The end of the text so far, if it may be the beginning of a tag.
        inside: Whether the text stands between the tags.
        settled: Whether all text that follows is outside.
        mark: If a fragment does not have this character, all of it is where ``inside`` says; ``""`` if there is no such
            character.
    """

    __slots__ = (
        *("_anywhere", "_at_start", "_begins_inside", "_sought", "_tags", "_unclosed", "_waiting", "_waiting_length"),
        *("held", "inside", "mark", "settled"),
    )

    def __init__(
        self,
        tag: str = "think",
        *,
        inside: bool = False,
        anywhere: bool = False,
        tags: TagPair | Iterable[TagPair] | None = None,
        unclosed: Unclosed = "inside",
    ) -> None:
        if unclosed not in {"inside", "outside"}:
            raise ValueError(f"unclosed must be 'inside' or 'outside', not {unclosed!r}")
        self._tags = Tags(pairs_of(tag, tags))
        self._anywhere = anywhere
        self._unclosed: Unclosed = unclosed
        self._begins_inside = inside
        self._begin()

    def anew(self) -> TaggedText:
        """A new object with the same arguments."""
        text = object.__new__(TaggedText)
        text._tags = self._tags
        text._anywhere = self._anywhere
        text._unclosed = self._unclosed
        text._begins_inside = self._begins_inside
        text._begin()
        return text

    def _begin(self) -> None:
        inside = self._begins_inside
        self.inside: bool = inside
        self.held: str = ""
        self.settled: bool = False
        # What is looked for; at the start, an opening tag comes before that, behind white space or not at all.
        self._sought: TagSet = self._tags.closing if inside else self._tags.opening
        self._at_start = inside or not self._anywhere
        # What is held back until the part is closed.
        self._waiting: list[str] | None = [] if inside and self._unclosed == "outside" else None
        self._waiting_length = 0
        self._look()

    def add(self, fragment: str) -> Parted:
        """Take the next fragment, and return the text whose place is certain by now.

        Raises:
            LimitExceededError: Too much text would have to be held back.
        """
        if self.settled:
            return Parted(fragment, "")
        if self.mark not in fragment:
            return Parted("", fragment) if self.inside else Parted(fragment, "")
        parts: tuple[list[str], list[str]] = ([], [])
        text, self.held = self.held + fragment, ""
        at = 0
        while at < len(text):
            at = (self._take_start if self._at_start else self._take_to_tag)(text, at, parts)
        self._look()
        return Parted("".join(parts[0]), "".join(parts[1]))

    def close(self) -> Parted:
        """Note that the text has ended, and return the text that was held back."""
        held, self.held = self.held, ""
        if self._waiting is not None:
            held = "".join(self._waiting) + held
            self._settle()
        self._look()
        return Parted("", held) if self.inside else Parted(held, "")

    feed = add
    flush = close
    """The names that ``add`` and ``close`` had in 0.1."""

    @property
    def holds(self) -> bool:
        """Whether text is held back."""
        return bool(self.held or self._waiting)

    def _look(self) -> None:
        self.mark: str = "" if self._at_start or self.held or self._waiting is not None else self._sought.start

    def _settle(self) -> None:
        self.settled = True
        self.inside = False
        self._at_start = False
        self._waiting = None

    def _take_start(self, text: str, at: int, parts: tuple[list[str], list[str]]) -> int:
        """Take white space, and the opening tag behind it if there is one; returns how far that was."""
        visible = _VISIBLE.search(text, at)
        place = len(text) if visible is None else visible.start()
        self._put(text[at:place], parts)
        opening = self._tags.opening
        tag = opening.at(text, place)
        if tag is not None:
            # Of a text that begins inside it is dropped.
            self._open(tag[0], parts)
            return tag.end()
        if visible is None:
            return place
        if opening.may_become(text[place : place + LONGEST_TAG]):
            self.held = text[place:]
            return len(text)
        self._at_start = False
        if self.inside:
            return place
        self._settle()
        parts[0].append(text[place:])
        return len(text)

    def _take_to_tag(self, text: str, at: int, parts: tuple[list[str], list[str]]) -> int:
        """Take text up to the next tag, and that; returns how far that was."""
        tag = self._sought.find(text, at)
        if tag is None:
            place = self._sought.place_of_beginning(text, at)
            self._put(text[at:place], parts)
            self.held = text[place:]
            return len(text)
        self._put(text[at : tag.start()], parts)
        if self.inside:
            self._stop_waiting(parts)
            self.inside = False
            self._at_start = not self._anywhere
            self._sought = self._tags.opening
        else:
            self._open(tag[0], parts)
        return tag.end()

    def _open(self, tag: str, parts: tuple[list[str], list[str]]) -> None:
        self._stop_waiting(parts)
        self.inside = True
        self._at_start = False
        self._sought = self._tags.closing_of(tag)

    def _put(self, text: str, parts: tuple[list[str], list[str]]) -> None:
        if self._waiting is None:
            parts[self.inside].append(text)
            return
        self._waiting.append(text)
        self._waiting_length += len(text)
        if self._waiting_length > MAX_HELD_CHARACTERS:
            raise LimitExceededError(
                f"more than {MAX_HELD_CHARACTERS} characters wait for a closing tag",
                limit="MAX_HELD_CHARACTERS",
                maximum=MAX_HELD_CHARACTERS,
            )

    def _stop_waiting(self, parts: tuple[list[str], list[str]]) -> None:
        """Give what waited: it was a part."""
        if self._waiting is not None:
            parts[1].extend(self._waiting)
            self._waiting = None
