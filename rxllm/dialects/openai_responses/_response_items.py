"""The items of an answer, as far as they came: which one an event is about, and what of its texts is missing.

Rules:

1. The place of an item (``output_index``) says which one it is, for some servers give it another identifier in each
   event. Without a place its identifier does, and without that the item that is open.
2. A piece of a text may come before its item. The item begins with it then; what it is called comes later.
3. Some servers give all items one place. An item that begins where another one is done has the next free place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rxllm.dialects.openai_responses._grown_text import Grown
from rxllm.dialects.openai_responses._response_events import ARGUMENTS, Place, TextOf
from rxllm.dialects.openai_responses._response_texts import kind_of, placed
from rxllm.exceptions import LimitExceededError
from rxllm.models import DeltaPart, PartKind, make

MAX_ITEMS = 4096
"""How many items an answer may have."""

MAX_TEXTS = 4096
"""How many texts an item may have."""

_TOOLS = frozenset({PartKind.TOOL_CALL, PartKind.SERVER_TOOL, PartKind.SERVER_RESULT, PartKind.IMAGE})


@dataclass(slots=True, eq=False)
class Item:
    """An item.

    Attributes:
        index: Its place among the parts of the answer.
        kind: What it is.
        place: Its place in the provider's words, if that is known.
        type: The provider's word for that, ``""`` until it came.
        id: Its identifier.
        call: Its number among the calls, if it is one.
        call_id: The identifier of the call in it.
        name: The name of the tool in it.
        block: The item itself, once it is done.
        annotations: How many annotations of it came.
        is_incomplete: Whether it was cut, as its block says.
        is_named: Whether a delta has said that it is there.
    """

    index: int
    kind: PartKind
    place: int | None = None
    type: str = ""
    id: str | None = None
    call: int | None = None
    call_id: str | None = None
    name: str | None = None
    block: Mapping[str, Any] | None = None
    annotations: int = 0
    is_incomplete: bool = False
    is_named: bool = False
    _part: DeltaPart | None = None
    _texts: dict[tuple[str, int | None], Grown] = field(default_factory=dict[tuple[str, int | None], Grown])

    @property
    def part(self) -> DeltaPart:
        """What the deltas of the item say that they belong to: the same object until more is known of it."""
        if self._part is None:
            self._part = self._part_of(None)
        return self._part

    def _part_of(self, sub: int | None) -> DeltaPart:
        part: DeltaPart = make(
            DeltaPart, index=self.index, kind=str(self.kind), id=self.call_id or self.id, name=self.name, sub=sub
        )
        return part

    def describe(self, block: Mapping[str, Any]) -> None:
        """Take what the provider says of the item."""
        self.type = _text(block.get("type")) or self.type
        self.kind = kind_of(self.type)
        self.id = _text(block.get("id")) or self.id
        self.name = _text(block.get("name")) or self.name
        if self.kind == PartKind.TOOL_CALL:
            self.call_id = _text(block.get("call_id")) or self.call_id
        before, self._part = self._part, None
        if before == self.part:
            self._part = before
            return
        for text in self._texts.values():
            text.part = self._part_of(text.sub)

    @property
    def is_cut(self) -> bool:
        """Whether it is a call that is not whole, also if it was announced as done."""
        if self.kind != PartKind.TOOL_CALL or self.block is not None:
            return self.kind == PartKind.TOOL_CALL and self.is_incomplete
        said = [text for text in self._texts.values() if text.of.place is Place.ARGUMENTS]
        return not said or not (said[0].is_whole or said[0].last.rstrip().endswith("}"))

    def arguments(self) -> Grown:
        """The arguments of the call that it is."""
        return self.text(ARGUMENTS, None)

    def become(self, kind: PartKind) -> None:
        """Take note what it is, before the provider says so."""
        self.kind = kind
        self._part = None

    def takes(self, of: TextOf) -> bool:
        """Whether a text of that kind may be one of this item's."""
        return self.kind in (of.kind, PartKind.OTHER) or (self.kind in _TOOLS and of.kind in _TOOLS)

    def text(self, of: TextOf, sub: int | None) -> Grown:
        """A text of the item.

        Raises:
            LimitExceededError: There are too many.
        """
        of = placed(of, self.kind, self.type)
        # Servers leave out which text it is if there is one.
        sub = (sub or 0) if of.sub else None
        text = self._texts.get((of.name, sub))
        if text is None:
            if len(self._texts) >= MAX_TEXTS:
                raise _too_many("texts in an item", MAX_TEXTS)
            part = self.part if sub is None else self._part_of(sub)
            pieces = list[str]() if of.place in (Place.ARGUMENTS, Place.INPUT) else None
            text = self._texts[of.name, sub] = Grown(of, sub, part, self.call, pieces=pieces)
        return text


class Items:
    """The items of one answer.

    Attributes:
        all: Those that began, in the order in which they did.
    """

    __slots__ = ("_at", "_by_id", "_calls", "_last", "_used", "all")

    def __init__(self) -> None:
        self.all: list[Item] = []
        self._at: dict[int, Item] = {}
        self._by_id: dict[str, Item] = {}
        self._used: set[int] = set()
        self._last = -1
        self._calls = 0

    def with_text(self, of: TextOf, place: int | None, item_id: str | None) -> Item:
        """The item that a text is of; it begins if there is none."""
        item = self.find(place, item_id)
        if item is None and place is None:
            item = next((each for each in reversed(self.all) if each.block is None and each.takes(of)), None)
        if item is None or not item.takes(of):
            item = self._begin(of.kind, place)
        if item.kind == PartKind.OTHER and not item.type:
            item.become(of.kind)
            self._number(item)
        return item

    def find(self, place: int | None, item_id: str | None) -> Item | None:
        """The item of a place; without a place that of an identifier."""
        return self._at.get(place) if place is not None else self._by_id.get(item_id or "")

    def announced(self, block: Mapping[str, Any], place: int | None) -> Item:
        """The item that a provider says is there, or is done; it begins if it has not.

        Raises:
            LimitExceededError: There are too many.
        """
        item = self.find(place, _text(block.get("id")))
        if item is None and self.all:
            last = self.all[-1]
            # It may have begun with a piece of a text.
            item = last if not last.type and (place is None or last.place is None) else None
        if item is None or not _is_same(item, block):
            item = self._begin(kind_of(_text(block.get("type")) or ""), place)
        elif place is not None:
            self._at[place] = item
            item.place = place
        self._describe(item, block)
        return item

    def finished(self, block: Mapping[str, Any], place: int | None) -> Item:
        """The item that a provider says is done; it begins if it has not.

        Raises:
            LimitExceededError: There are too many.
        """
        item = self.find(place, _text(block.get("id")))
        if item is None and place is None:
            item = next((each for each in reversed(self.all) if _is_same(each, block)), None)
        if item is None or item.type not in ("", block.get("type")):
            return self.announced(block, place)
        self._describe(item, block)
        return item

    def _describe(self, item: Item, block: Mapping[str, Any]) -> None:
        item.describe(block)
        self._number(item)
        if item.id is not None:
            self._by_id.setdefault(item.id, item)

    def _number(self, item: Item) -> None:
        if item.kind == PartKind.TOOL_CALL and item.call is None:
            item.call = self._calls
            self._calls += 1

    def _begin(self, kind: PartKind, place: int | None) -> Item:
        if len(self.all) >= MAX_ITEMS:
            raise _too_many("items", MAX_ITEMS)
        index = place if place is not None and place not in self._used else self._last + 1
        self._used.add(index)
        self._last = max(self._last, index)
        item = Item(index, kind, place)
        self._number(item)
        self.all.append(item)
        if place is not None:
            self._at[place] = item
        return item

    def matched(self, output: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Item, Mapping[str, Any]]]:
        """The items of the list of all with those that came; what did not come begins.

        An identifier tells which is which, its own or that of the call in it; what is left, the order of those that are
        of one type.
        """
        blocks = [*output]
        found = self._named_in(blocks)
        taken = {id(item) for item in found}
        left: dict[str, list[Item]] = {}
        for item in sorted(self.all, key=lambda each: each.index, reverse=True):
            if id(item) not in taken:
                left.setdefault(item.type or item.kind, []).append(item)
        for place, (block, known) in enumerate(zip(blocks, found, strict=True)):
            type_ = _text(block.get("type")) or ""
            same = left.get(type_) or left.get(kind_of(type_)) or []
            item = known or (same.pop() if same else self._begin(kind_of(type_), place))
            self._describe(item, block)
            yield item, block

    def _named_in(self, blocks: Iterable[Mapping[str, Any]]) -> list[Item | None]:
        """The items that came of those in a list, as far as an identifier says."""
        left = {("id", item.id): item for item in self.all} | {("call_id", item.call_id): item for item in self.all}
        found: list[Item | None] = []
        for block in blocks:
            keys = [(name, _text(block.get(name))) for name in ("id", "call_id")]
            known = [left[key] for key in keys if key[1] and key in left]
            item = next((each for each in known if each.type in ("", block.get("type"))), None)
            if item is not None:
                left.pop(("id", item.id), None)
                left.pop(("call_id", item.call_id), None)
            found.append(item)
        return found


def _is_same(item: Item, block: Mapping[str, Any]) -> bool:
    """Whether an item that is not done may be the one that a block is of."""
    type_ = _text(block.get("type")) or ""
    if not item.type:
        return item.kind in (kind_of(type_), PartKind.OTHER)
    return item.block is None and item.type == type_


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _too_many(what: str, maximum: int) -> LimitExceededError:
    limit = f"max_{what.split(maxsplit=1)[0]}"
    return LimitExceededError(f"there are more than {maximum} {what}", limit=limit, maximum=maximum)
