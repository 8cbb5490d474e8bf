"""``rxllm`` on the command line. It needs the extra ``cli``, which is imported when the program begins."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import version

__all__ = ["main"]

_USAGE, _INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program ``rxllm``.

    Args:
        arguments: Those of the command line, by default.

    Returns:
        The exit status: see the guide to the command line.
    """
    if importlib.util.find_spec("typer") is None:
        if (sys.argv[1:] if arguments is None else arguments) == ["--version"]:
            sys.stdout.write(f"rxllm {version('rxllm')}\n")
            return 0
        sys.stderr.write("rxllm: the command line needs an extra: pip install 'rxllm[cli]'\n")
        return _USAGE
    try:
        from rxllm.cli import _app  # noqa: PLC0415 - an extra

        return _app.run_app(arguments)
    except KeyboardInterrupt:  # before a command has begun
        return _INTERRUPTED
