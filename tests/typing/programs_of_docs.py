"""Writes the Python blocks of the documentation as files, for type checkers.

``python -m tests.typing.programs_of_docs FOLDER``. A block that begins with its file's name gets that name, beside the
others of its page, which may import it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.pages import PAGES, ROOT, programs_of


def write_programs(folder: Path) -> list[Path]:
    """Write all of them; returns the files."""
    written: list[Path] = []
    for page in (ROOT / "README.md", *PAGES):
        name = page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_").replace("-", "_")
        for number, program in enumerate(programs_of(page), 1):
            path = folder / (program.file or f"{name}_{number}.py")
            if path.exists() and path.read_text("utf-8") != program.code:
                raise FileExistsError(f"two pages have a file {path.name}")
            path.write_text(program.code, "utf-8")
            written.append(path)
    return written


if __name__ == "__main__":
    sys.stdout.write(f"{len(write_programs(Path(sys.argv[1])))} programs\n")
