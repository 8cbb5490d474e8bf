"""Writes the Python blocks of the documentation as files, for type checkers.

``python -m tests.typing.programs_of_docs FOLDER``. A block that begins with its file's name gets that name, beside the
others of its page, which may import it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+)\.py\n")


def write_programs(folder: Path) -> list[Path]:
    """Write all of them; returns the files."""
    written: list[Path] = []
    for page in PAGES:
        name = page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_").replace("-", "_")
        for number, code in enumerate(BLOCK.findall(page.read_text("utf-8")), 1):
            named = FILE.match(code)
            path = folder / (f"{named[1]}.py" if named else f"{name}_{number}.py")
            if path.exists() and path.read_text("utf-8") != code:
                raise FileExistsError(f"two pages have a file {path.name}")
            path.write_text(code, "utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    sys.stdout.write(f"{len(write_programs(Path(sys.argv[1])))} programs\n")
