"""The texts within an item of the Responses API: each comes in pieces and once more as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["ItemText", "Payload", "texts_of"]

Payload: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a kind of text is sent.

    Attributes:
        event: What its events are called.
        field: The field that has the whole.
        holder: What the events of the part that it is are called; empty if the text is a field of the item.
        place: The field with the part's index.
        empty: The part before anything of it has come.
    """

    event: str
    field: str
    holder: str = ""
    place: str = ""
    empty: tuple[tuple[str, Any], ...] = ()


_OUTPUT = (("annotations", ()), ("logprobs", ()))
_FORMS = {
    "output_text": _Form("response.output_text", "text", "response.content_part", "content_index", _OUTPUT),
    "refusal": _Form("response.refusal", "refusal", "response.content_part", "content_index"),
    "summary_text": _Form(
        "response.reasoning_summary_text", "text", "response.reasoning_summary_part", "summary_index"
    ),
    "reasoning_text": _Form("response.reasoning_text", "text", "response.content_part", "content_index"),
    "function_call": _Form("response.function_call_arguments", "arguments"),
    "custom_tool_call": _Form("response.custom_tool_call_input", "input"),
}


@dataclass(frozen=True, slots=True)
class ItemText:
    """A text of an item.

    Attributes:
        kind: The type of the part, or of the item, that it is the text of.
        item_id: The identifier of the item.
        output_index: Where the item stands.
        index: Where the part stands in the item.
    """

    kind: str
    item_id: str
    output_index: int
    index: int = 0

    @property
    def _form(self) -> _Form:
        return _FORMS[self.kind]

    @property
    def _place(self) -> Payload:
        form = self._form
        return {
            "item_id": self.item_id,
            "output_index": self.output_index,
            **({form.place: self.index} if form.place else {}),
        }

    @property
    def _logprobs(self) -> Payload:
        return {"logprobs": []} if self.kind == "output_text" else {}

    def part(self, text: str) -> Payload:
        """The part with this text."""
        return {"type": self.kind, **{name: list(value) for name, value in self._form.empty}, self._form.field: text}

    def begun(self) -> Iterator[Payload]:
        """The events before the text."""
        if holder := self._form.holder:
            yield {"type": f"{holder}.added", **self._place, "part": self.part("")}

    def added(self, text: str) -> Payload:
        """The event with a piece of the text."""
        return {"type": f"{self._form.event}.delta", **self._place, "delta": text, **self._logprobs}

    def annotated(self, number: int, annotation: Payload) -> Payload:
        """The event with an annotation of the text."""
        kind = f"{self._form.event}.annotation.added"
        return {"type": kind, **self._place, "annotation_index": number, "annotation": annotation}

    def ended(self, part: Payload) -> Iterator[Payload]:
        """The events behind the text, with the whole part or item."""
        form = self._form
        yield {"type": f"{form.event}.done", **self._place, form.field: part[form.field], **self._logprobs}
        if form.holder:
            yield {"type": f"{form.holder}.done", **self._place, "part": part}

    def whole(self, part: Payload) -> Iterator[Payload]:
        """All events of a part, or of an item, that is given whole."""
        yield from self.begun()
        if text := part[self._form.field]:
            yield self.added(text)
        for number, annotation in enumerate(part.get("annotations") or ()):
            yield self.annotated(number, annotation)
        yield from self.ended(part)


def texts_of(item: Payload, output_index: int) -> tuple[Payload, list[tuple[ItemText, Payload]]]:
    """An item as it begins, and the texts that then come of it, each with what has it."""
    kind, item_id = str(item.get("type")), str(item.get("id"))
    if kind in {"message", "reasoning"}:
        parts = [(name, item[name]) for name in ("summary", "content") if item.get(name)]
        texts = [
            (ItemText(part["type"], item_id, output_index, number), part)
            for _, listed in parts
            for number, part in enumerate(listed)
        ]
        return {**item, **{name: [] for name, _ in parts}}, texts
    if kind in _FORMS:
        return {**item, _FORMS[kind].field: ""}, [(ItemText(kind, item_id, output_index), item)]
    return item, []
