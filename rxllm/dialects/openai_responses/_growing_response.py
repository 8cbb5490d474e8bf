"""An answer of the Responses API under way: what events say of it, in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rxllm.dialects._chunk_template import ChunkTemplate
from rxllm.dialects.openai_responses._grown_text import Grown
from rxllm.dialects.openai_responses._response_ends import reason_of, usage_of
from rxllm.dialects.openai_responses._response_events import MOST_PLACES, MalformedEventError, Piece, Place, TextOf
from rxllm.dialects.openai_responses._response_items import Item, Items
from rxllm.dialects.openai_responses._response_texts import (
    annotation,
    annotations_in,
    begin_call,
    delta_of,
    texts_in,
)
from rxllm.exceptions import excerpt
from rxllm.models import (
    Delta,
    DeltaBlock,
    PartKind,
    Role,
    StreamChoice,
    StreamChunk,
    is_list,
    is_object,
    make,
    marked,
    without_lone_surrogates,
)

_OBJECT = "chat.completion.chunk"
_NO_ARGUMENTS: tuple[Any, ...] = ("", "{}", "null", {}, None)
# Where the pieces go of which nearly all events are.
_ALIKE = frozenset({Place.CONTENT, Place.REASONING, Place.ARGUMENTS})


class Where(NamedTuple):
    """Which text of which item an event is about, as far as it says.

    Attributes:
        place: The place of the item.
        item_id: Its identifier.
        sub: Which of several texts of the item.
    """

    place: int | None = None
    item_id: str | None = None
    sub: int | None = None


def where_in(fields: Mapping[str, Any], sub: str = "") -> Where:
    """What the fields of an event say of it; ``sub`` is the name of the one that says which text."""
    item_id = fields.get("item_id")
    return Where(
        _number(fields.get("output_index")),
        item_id if isinstance(item_id, str) else None,
        _number(fields.get(sub)),
    )


class Expected(NamedTuple):
    """The next piece of the text that grows, which nearly always comes next.

    Attributes:
        event: The class of its event.
        place: The place of its item, as the event says it.
        sub: Which of several texts it is of, as the event says it.
        text: The text.
        template: What makes the chunk.
    """

    event: type[Piece]
    place: int
    sub: int | None
    text: Grown
    template: ChunkTemplate


class GrowingResponse:
    """An answer under way.

    Attributes:
        end: How it ended, ``""`` while it goes on.
        expected: What is expected to come next; ``None`` while that has to be looked at.
    """

    __slots__ = ("_created", "_has_head", "_id", "_items", "_model", "end", "expected")

    def __init__(self) -> None:
        self.end = ""
        self.expected: Expected | None = None
        self._items = Items()
        self._id: str | None = None
        self._created: int | float | None = None
        self._model: str | None = None
        self._has_head = False

    @property
    def has_begun(self) -> bool:
        """Whether something of it has come."""
        return self._has_head or self.has_items

    @property
    def has_items(self) -> bool:
        """Whether an item has begun."""
        return bool(self._items.all)

    def chunk(self, delta: Delta) -> StreamChunk:
        """The chunk that says what the answer gained."""
        made: StreamChunk = make(
            StreamChunk,
            id=self._id,
            object=_OBJECT,
            created=self._created,
            model=self._model,
            choices=(make(StreamChoice, delta=delta),),
        )
        return made

    def nothing(self) -> StreamChunk:
        """The chunk that says nothing."""
        return StreamChunk(id=self._id, object=_OBJECT, created=self._created, model=self._model)

    def begin(self, response: Mapping[str, Any]) -> Iterable[StreamChunk]:
        """Take what is said of the answer at its beginning."""
        is_first = not self._has_head
        self._take_head(response)
        return (self.chunk(Delta(role=str(Role.ASSISTANT))),) if is_first else ()

    def _take_head(self, response: Mapping[str, Any]) -> None:
        self._has_head = True
        said, created, model = (response.get(name) for name in ("id", "created_at", "model"))
        if isinstance(said, str):
            self._id = self._id or said
        if isinstance(created, int | float):
            self._created = self._created or created
        if isinstance(model, str):
            self._model = self._model or model

    def take_piece(
        self, of: TextOf, event: type[Piece] | None, where: Where, piece: str, logprobs: Any = None
    ) -> StreamChunk:
        """Take a piece of a text.

        Args:
            of: Which text it is of.
            event: The class of its event, if the compiled decoder reads it.
            where: Of which item it is.
            piece: The piece.
            logprobs: The log probabilities of its tokens.

        Raises:
            MalformedEventError: It is a piece of what is called with, and all of that has come.
        """
        item = self._items.with_text(of, where.place, where.item_id)
        text = item.text(of, where.sub)
        if text.pieces is not None and piece and (text.is_whole or item.block is not None):
            raise MalformedEventError(f"a piece for a call that is whole: {excerpt(piece)}")
        if text.half or event is None:
            # What the compiled decoder reads has no half.
            piece = _joined(text, piece)
        text.grow(piece)
        chunk = self.chunk(delta_of(text.of, text.part, text.call, piece))
        self.expected = None
        if event is not None and where.place is not None and text.of.place in _ALIKE and not text.half:
            self.expected = Expected(event, where.place, where.sub, text, ChunkTemplate(chunk, text.of.place))
        if is_list(logprobs) and logprobs:
            choice = chunk.choices[0].model_copy(update={"logprobs": {"content": logprobs}})
            chunk = chunk.model_copy(update={"choices": (choice,)})
        return chunk

    def take_whole(self, of: TextOf, where: Where, whole: str) -> Iterable[StreamChunk]:
        """Take all of a text; gives what was missing."""
        text = self._text_at(of, where)
        text.is_whole = True
        rest = text.rest_of(whole)
        return (self.chunk(delta_of(text.of, text.part, text.call, rest)),) if rest else ()

    def _text_at(self, of: TextOf, where: Where) -> Grown:
        return self._items.with_text(of, where.place, where.item_id).text(of, where.sub)

    def announce(self, block: Mapping[str, Any], where: Where) -> Iterable[StreamChunk]:
        """Take note that an item begins, with what is in it already."""
        item = self._items.announced(block, where.place)
        deltas = self._named(item)
        if item.kind != PartKind.TOOL_CALL or block.get("arguments") not in _NO_ARGUMENTS:
            deltas += self._missing(item, block)
        return map(self.chunk, deltas)

    def _named(self, item: Item) -> list[Delta]:
        """The delta that says that an item is there; nothing if one did."""
        if item.is_named:
            return []
        # The name of what it calls may come later.
        item.is_named = bool(item.type) and (item.call is None or item.name is not None)
        return [begin_call(item.type, item.part, item.call) if item.call is not None else Delta(part=item.part)]

    def finish_item(self, block: Mapping[str, Any], where: Where) -> Iterable[StreamChunk]:
        """Take an item that is done."""
        return map(self.chunk, self._finished(self._items.finished(block, where.place), block))

    def _finished(self, item: Item, block: Mapping[str, Any]) -> list[Delta]:
        if item.block == block:
            return []
        status = block.get("status")
        item.is_incomplete = status == "incomplete" or (status == "in_progress" and self.end not in ("", "completed"))
        deltas = [*self._named(item), *self._missing(item, block)]
        if item.type == "function_call" and not item.is_incomplete and not (text := item.arguments()).length:
            text.grow("{}")
            deltas.append(delta_of(text.of, text.part, text.call, "{}"))
        item.block = block
        final = DeltaBlock(index=item.index, block={**block}, final=not item.is_incomplete)
        return [*deltas, Delta(part=item.part, blocks=(final,))]

    def _missing(self, item: Item, block: Mapping[str, Any]) -> list[Delta]:
        """What an item says that did not come: ends of texts, annotations."""
        deltas: list[Delta] = []
        for of, sub, whole in texts_in(block):
            text = item.text(of, sub)
            if rest := text.rest_of(whole):
                deltas.append(delta_of(text.of, text.part, text.call, rest))
        said = [*annotations_in(block)][item.annotations :]
        if said:
            item.annotations += len(said)
            deltas.append(Delta(part=item.part, annotations=[annotation(each, item.part) for each in said]))
        return deltas

    def annotate(self, of: TextOf, said: Mapping[str, Any], where: Where) -> StreamChunk:
        """Take an annotation."""
        item = self._items.with_text(of, where.place, where.item_id)
        item.annotations += 1
        part = item.text(of, where.sub).part
        return self.chunk(Delta(part=part, annotations=(annotation(said, part),)))

    def finish(self, status: str, response: Mapping[str, Any]) -> Iterable[StreamChunk]:
        """Take the end of the answer, with all that is in it and did not come."""
        self.end = status
        self._take_head(response)
        output = response.get("output")
        blocks = [each for each in (output if is_list(output) else ()) if is_object(each)]
        deltas = [delta for item, block in self._items.matched(blocks) for delta in self._finished(item, block)]
        return [*map(self.chunk, deltas), *self._last(status, response)]

    def _last(self, status: str, response: Mapping[str, Any]) -> Iterable[StreamChunk]:
        """The chunk that says why the answer ended, unless it failed, and what it cost."""
        usage = usage_of(response)
        said = response.get("service_tier")
        fields: dict[str, Any] = {"usage": usage, "service_tier": said if isinstance(said, str) else None}
        if status == "failed":
            return () if usage is None else (self._last_chunk(fields),)
        calls = [item for item in self._items.all if item.kind == PartKind.TOOL_CALL]
        is_cut = any(item.is_cut for item in calls)
        reason, native = reason_of(status, response, has_calls=bool(calls), is_cut=is_cut)
        choice = StreamChoice(finish_reason=reason, native_finish_reason=native)
        return (self._last_chunk({**fields, "choices": (choice,)}),)

    def _last_chunk(self, fields: Mapping[str, Any]) -> StreamChunk:
        chunk = self.nothing().model_copy(update=fields)
        return chunk if chunk.usage is None else marked(chunk, replaces_usage=True)


def _joined(text: Grown, piece: str) -> str:
    """A piece with the half of a character that came before, and without the one that it ends with."""
    piece = text.half + piece
    text.half = piece[-1] if "\ud800" <= piece[-1:] <= "\udbff" else ""
    return without_lone_surrogates(piece[: len(piece) - len(text.half)])


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_PLACES else None
