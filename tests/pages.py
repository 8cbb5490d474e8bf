"""The programs on the pages of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Program", "programs_of"]

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))

# A python block, and what it prints: the text block that follows, if nothing but a sentence stands between them.
_BLOCK = re.compile(r"^```python\n(.*?)^```\n+(?:[^\n`#|]+:\n\n)?(?:^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
# A block that begins so is a file beside those that come after it on its page, which can import it.
_FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Program:
    """A block of Python: its page, its code, and what the page says that it prints."""

    page: Path
    code: str
    printed: str

    @property
    def file(self) -> str | None:
        """The name of the file that it is, if it says so."""
        named = _FILE.match(self.code)
        return named and named[1]

    def write_neighbours(self, folder: Path) -> None:
        """Write the files of its page."""
        for each in programs_of(self.page):
            if each.file is not None:
                (folder / each.file).write_text(each.code, "utf-8")


def programs_of(page: Path) -> Iterator[Program]:
    """The programs of a page, in order."""
    for code, printed in _BLOCK.findall(page.read_text("utf-8")):
        yield Program(page, code, printed)
