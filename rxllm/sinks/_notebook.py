"""A display in the cell of a notebook: one output, which is replaced as the answer grows."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

from rxllm.harmless import harmless
from rxllm.models import ApprovalRequested, as_markdown
from rxllm.sinks._plain_text import PlainText
from rxllm.typing import Ending

# Each time the whole of the answer is sent.
_FRAME_SECONDS = 0.2


class _Output(Protocol):
    def update(self, data: object, *, raw: bool) -> object: ...


class NotebookStream:
    """The stream of a sink in a notebook."""

    def __init__(self) -> None:
        self._plain = PlainText(line_end="\n\n")
        self._text = ""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._output = _output(_bundle(""))

    async def write(self, items: Sequence[object], /) -> None:
        """Take items, and draw them soon."""
        self._text += self._plain.add(items)
        if any(isinstance(item, ApprovalRequested) for item in items):
            self._draw()  # somebody is about to be asked
        elif self._timer is None:
            self._timer = self._loop.call_later(_FRAME_SECONDS, self._draw)

    async def close(self, ending: Ending, /) -> None:
        """Draw all of it, and how it ended."""
        self._text += self._plain.close()
        if ending.error is not None:
            self._text += f"\n\n✗ {harmless(f'{type(ending.error).__name__}: {ending.error}')}"
        elif ending.kind != "completed":
            self._text += "\n\n■ stopped"
        self._draw()

    def _draw(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._output.update(_bundle(self._text), raw=True)


def _bundle(text: str) -> dict[str, str]:
    return {"text/markdown": as_markdown(text), "text/plain": text}


def _output(bundle: dict[str, str]) -> _Output:
    """The place in the cell. Only in a notebook is it certain that there is such a module."""
    display: Any = importlib.import_module("IPython.display").display
    return cast("_Output", display(bundle, raw=True, display_id=True))
