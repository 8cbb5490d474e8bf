"""Makes the picture at the top of the README, of a real run.

    python -m docs.moving_picture [FILE]

It runs ``chat.py`` on a terminal of its own, notes what is written there and when, and has an emulator (``pyte``) say
what that looks like. It needs a system with pseudo terminals, and ``pip install -e '.[test]'``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from docs.moving_picture.chat import PAUSE
from docs.moving_picture.frames import frames
from docs.moving_picture.recording import Written, joined, recorded, typed
from docs.moving_picture.svg import svg

COLUMNS, LINES = 80, 26
COMMAND = "python chat.py"
HERE = Path(__file__).parent
PICTURE = HERE.parent / "_static" / "chat.svg"


def record(pause: float = PAUSE) -> list[Written]:
    """Run the chat, behind a command that is typed.

    Args:
        pause: How many seconds lie between two pieces of the answer.
    """
    return joined(typed(COMMAND), recorded([sys.executable, str(HERE / "chat.py"), str(pause)], COLUMNS, LINES))


def picture(recording: Sequence[Written]) -> str:
    """Draw a recording."""
    return svg(frames(recording, COLUMNS, LINES), COLUMNS, LINES, COMMAND)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=PICTURE, help="where to write it")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between two pieces of the answer")
    chosen = parser.parse_args(arguments)
    chosen.file.write_text(picture(record(chosen.pause)), encoding="utf-8")


if __name__ == "__main__":
    main()
