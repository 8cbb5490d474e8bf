"""Deltas that repeat a text from its beginning, as some servers send them."""

from __future__ import annotations

from rxllm.models import StreamChoice

_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")


class UnrelatedTextError(ValueError):
    """A text does not begin with what the delta before it had.

    Attributes:
        name: Which text.
        text: The text.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


class CumulativeTexts:
    """What each text of each choice has had so far."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[tuple[int, str], str] = {}

    def new_in(self, choice: StreamChoice) -> StreamChoice:
        """The choice without what earlier deltas of it had already, in each text.

        Raises:
            UnrelatedTextError: A text is another one than before.
        """
        new: dict[str, str] = {}
        for name in _TEXT_FIELDS:
            text: str | None = getattr(choice.delta, name)
            if not text:
                continue
            before = self._texts.get((choice.index, name), "")
            if not text.startswith(before):
                raise UnrelatedTextError(name, text)
            self._texts[choice.index, name] = text
            new[name] = text[len(before) :]
        return choice.model_copy(update={"delta": choice.delta.model_copy(update=new)}) if new else choice
