"""How a display shows what it gets."""

from __future__ import annotations

import codecs
import importlib.util
import os
import sys
from typing import Literal, TextIO, TypeAlias

DisplayStyle: TypeAlias = Literal["auto", "plain", "rich"]
Drawing: TypeAlias = Literal["plain", "rich", "notebook"]

_STYLES = {"auto", "plain", "rich"}
_PACKAGES = ("rich", "markdown_it")


def check_style(style: str) -> None:
    """Check what a caller wants.

    Raises:
        ValueError: It is not a style.
        ImportError: It is ``"rich"``, and that is not installed.
    """
    if style not in _STYLES:
        raise ValueError(f"style must be 'auto', 'plain' or 'rich', not {style!r}")
    if style == "rich" and not _is_installed():
        raise ImportError("style='rich' needs the extra of that name: pip install 'rxllm[rich]'")


def drawing_for(style: DisplayStyle, file: TextIO | None) -> Drawing:
    """What to do in a style, where a file is what it is now.

    Args:
        style: The style.
        file: Where to; ``None`` if nobody said.
    """
    if style == "plain":
        return "plain"
    if file is None and in_notebook():
        return "notebook"
    return "rich" if style == "rich" or _suits(file or sys.stdout) else "plain"


def is_terminal(file: TextIO) -> bool:
    """Whether a file is a terminal."""
    try:
        return file.isatty()
    except (OSError, ValueError, AttributeError):
        return False  # a closed file, or one that has only what plain style needs


def _suits(file: TextIO) -> bool:
    """Whether a file is a terminal that shows what the rich style writes, and is wanted to."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in {"dumb", "unknown"}:
        return False
    return is_terminal(file) and _has_all_characters(file) and _is_installed() and _obeys()


def _has_all_characters(file: TextIO) -> bool:
    try:
        return codecs.lookup(file.encoding).name.startswith("utf")
    except (LookupError, TypeError, AttributeError):
        return False


def _is_installed() -> bool:
    return all(importlib.util.find_spec(package) is not None for package in _PACKAGES)


def _obeys() -> bool:
    """Whether the terminal obeys escape sequences: older ones of Windows do not."""
    from rich.console import detect_legacy_windows  # noqa: PLC0415 - only here is it known to be installed

    return not detect_legacy_windows()


def in_notebook() -> bool:
    """Whether this is a cell of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
