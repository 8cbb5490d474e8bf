"""JSON in the text of an answer.

Rules:

1. By default the text is JSON and nothing else.
2. With text around it, the JSON begins at the first bracket of the kind that is looked for, and what follows its end
   is ignored. So a fence (three backticks, ``json``) and prose may stand around it, but no other bracket of that kind
   before it.
"""

from __future__ import annotations

from typing import Literal

from rxllm.accumulators.json._json_fold import JSONFold
from rxllm.models import JSONChange


class JSONTextFold:
    """The fold of one text.

    Args:
        text_around: Whether there may be other text around the JSON.
        opening: With which bracket it begins then.

    Attributes:
        fold: The fold of the JSON itself.
        begun: Whether there is any.
    """

    __slots__ = ("_opening", "_text_around", "begun", "fold")

    def __init__(self, *, text_around: bool = False, opening: Literal["{", "["] = "{") -> None:
        self.fold = JSONFold()
        self.begun = False
        self._opening = opening
        self._text_around = text_around

    def add(self, text: str) -> list[JSONChange]:
        """Go on with the next piece of the text: see ``JSONFold.add``."""
        if not self.begun:
            if self._text_around:
                text = text[text.find(self._opening) :] if self._opening in text else ""
            self.begun = bool(text.strip())
        return self.fold.add(text, more_may_follow=self._text_around)
