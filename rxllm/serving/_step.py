"""One step of an answer: what is open in it, and how it is told in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rxllm.serving._told import InputPiece, InputReady, InputStart, TextEnd, TextKind, TextPiece, TextStart, Told

_UNNAMED = "unnamed"
"""What a tool is called that a model gave no name: clients take none without one, and know none of this one."""


@dataclass(slots=True, eq=False)
class GrowingInput:
    """The input of a call, while the model writes it.

    Attributes:
        id: What the call is known by to whoever is told; empty as long as it was not told.
        given: The identifier that the model gave.
        name: The name of the tool.
        by_server: Whether the provider runs it.
        pieces: What came of it, until it is ready.
        ready: Whether it is whole, or was cut.
        has_outcome: Whether it was told what came of the call.
    """

    given: str = ""
    name: str = ""
    by_server: bool = False
    id: str = ""
    pieces: list[str] = field(default_factory=list[str])
    ready: bool = False
    has_outcome: bool = False


class Names:
    """Identifiers that are unique within a stream.

    Args:
        taken: Those that no call gets.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._texts = 0
        self._calls = set(taken)
        self._times: dict[str, int] = {}

    def text(self) -> str:
        """One for a text."""
        self._texts += 1
        return f"t{self._texts}"

    def call(self, given: str) -> str:
        """One for a call: its own, unless another one of the stream has that, or it has none."""
        made = given = given or "call"
        while made in self._calls:
            times = self._times[given] = self._times.get(given, 1) + 1
            made = f"{given}-{times}"
        self._calls.add(made)
        return made


class Step:
    """What is told of one request and its answer.

    Args:
        names: Gives identifiers.
        former: The calls of earlier steps, by the identifiers that the model gave.
    """

    def __init__(self, names: Names, former: Mapping[str, GrowingInput]) -> None:
        self._names = names
        self._former = former
        self._text: TextStart | None = None
        self._inputs: dict[int, GrowingInput] = {}

    def say(self, kind: TextKind, text: str) -> Iterator[Told]:
        """Tell a piece of a text; another one that is open ends."""
        open_text = self._text
        if open_text is None or open_text.kind != kind:
            yield from self.end_text()
            open_text = self._text = TextStart(self._names.text(), kind)
            yield open_text
        yield TextPiece(open_text.id, kind, text)

    def piece(self, text: str) -> TextPiece | None:
        """A piece of the text that is open; ``None`` if what is open is none."""
        opened = self._text
        return TextPiece(opened.id, "text", text) if opened is not None and opened.kind == "text" else None

    def end_text(self) -> Iterator[Told]:
        """End the text that is open, if one is."""
        if (text := self._text) is not None:
            self._text = None
            yield TextEnd(text.id, text.kind)

    def grow(
        self, key: int, given: str | None, name: str | None, text: str, *, by_server: bool = False
    ) -> Iterator[Told]:
        """Tell what an input gained. It is held as long as the call has no identifier or no name.

        Args:
            key: Which input of the step.
            given: The identifier of the call, if that has come.
            name: The name of the tool, if that has come.
            text: What it gained.
            by_server: Whether the provider runs it.
        """
        found = self._inputs.get(key)
        if found is None:
            found = self._inputs[key] = GrowingInput(by_server=by_server)
        if found.ready:
            return
        if not found.id:
            found.given, found.name = given or found.given, name or found.name
        if text:
            found.pieces.append(text)
        if found.id:
            if text:
                yield InputPiece(found.id, text)
        elif found.given and found.name:
            yield from self._start(found)

    def ready(
        self,
        key: int,
        given: str,
        name: str,
        text: str,
        *,
        whole: bool = True,
        by_server: bool = False,
        is_text: bool = False,
    ) -> Iterator[Told]:
        """Tell that an input is ready. Nothing is told of one that was cut before its tool was known.

        Args:
            key: Which input of the step.
            given: The identifier of the call.
            name: The name of the tool.
            text: All of the input.
            whole: Whether it is whole.
            by_server: Whether the provider runs it.
            is_text: Whether it is a text, and no JSON.
        """
        found = self._inputs.setdefault(key, GrowingInput())
        if found.ready:
            return
        if not found.id:
            found.given, found.by_server = given or found.given, by_server
            found.name = name or found.name or (_UNNAMED if whole else "")
            found.pieces = found.pieces or [text]
            if found.name:
                yield from self._start(found)
        found.ready = True
        found.given = given or found.given
        found.pieces.clear()
        if found.id:
            yield InputReady(found.id, name or found.name, text, whole, found.by_server, is_text)

    def key_of(self, given: str, name: str, text: str) -> int:
        """Find the input of a call that is ready now; a new key if there is none.

        The input has the identifier of the call, or none yet. If several calls came with one identifier, all but the
        first have got another one since: then name and text tell which it is.
        """
        waiting = {key: each for key, each in self._inputs.items() if not each.ready}
        own = [key for key, each in waiting.items() if each.given == given]
        unnamed = [key for key, each in waiting.items() if not each.given]
        same = [key for key, each in waiting.items() if each.name == name and "".join(each.pieces) == text]
        return next(iter([*own, *unnamed, *same]), len(self._inputs))

    def called(self, given: str, *, is_repeated: bool = False) -> GrowingInput | None:
        """Find the call with an identifier, if it was told.

        If several calls have it, the first one without an outcome counts; if all have an outcome, the last one.

        Args:
            given: The identifier that the model gave.
            is_repeated: Whether to take the last one without an outcome: its identifier was used before.
        """
        own = [each for each in self._inputs.values() if each.given == given and each.id]
        waiting = [each for each in own if not each.has_outcome]
        return next(iter([*reversed(waiting)] if is_repeated else waiting), own[-1] if own else None)

    def known(self, given: str) -> GrowingInput | None:
        """Find the call with an identifier, in this step or an earlier one."""
        return self.called(given) or self._former.get(given)

    def settle(self, found: GrowingInput, *, whole: bool = True) -> Iterator[Told]:
        """Tell that an input is ready, as far as it has come."""
        if found.id and not found.ready:
            found.ready = True
            text = "".join(found.pieces)
            found.pieces.clear()
            yield InputReady(found.id, found.name, text, whole, found.by_server)

    def calls(self) -> dict[str, GrowingInput]:
        """The calls that were told, by the identifiers that the model gave."""
        return {each.given: each for each in self._inputs.values() if each.id}

    def end(self) -> Iterator[Told]:
        """End what is open: inputs that are not ready were cut."""
        yield from self.end_text()
        for each in self._inputs.values():
            yield from self.settle(each, whole=False)

    def _start(self, found: GrowingInput) -> Iterator[Told]:
        yield from self.end_text()
        found.id = self._names.call(found.given)
        yield InputStart(found.id, found.name, found.by_server)
        if text := "".join(found.pieces):
            yield InputPiece(found.id, text)
