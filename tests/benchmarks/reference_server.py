"""The reference server of Durable Streams: installed with npm into a folder, and started."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

from tests.benchmarks.processes import listening

__all__ = ["VERSION", "install", "reference_server"]

VERSION = "0.3.7"
_PACKAGE = f"@durable-streams/server@{VERSION}"
_INSTALL = ("install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
_PATIENCE = 120

# It ends when its standard input does. What the server tells about itself would stand before the port.
_PROGRAM = """
import { DurableStreamTestServer } from "@durable-streams/server"
console.info = () => {}
const [dataDir] = process.argv.slice(1)
const server = new DurableStreamTestServer({ port: 0, host: "127.0.0.1", dataDir })
console.log(new URL(await server.start()).port)
process.stdin.on("end", () => process.exit()).resume()
"""


def install(folder: Path) -> str | None:
    """Install the server.

    Returns:
        Why that cannot be done; None if it is done.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(
            [_found("npm"), *_INSTALL, "--prefix", str(folder), _PACKAGE],
            check=True,
            capture_output=True,
            timeout=_PATIENCE,
            cwd=folder,
        )
        return None
    return f"npm could not install {_PACKAGE}"


@contextlib.contextmanager
def reference_server(installed: Path, files: Path | None = None) -> Generator[str]:
    """Start the server; gives its origin.

    Args:
        installed: Where it was installed.
        files: Where it keeps streams; None for in memory.
    """
    command = [_found("node"), "--input-type=module", "--eval", _PROGRAM, *([str(files)] if files else [])]
    with listening(command, installed) as origin:
        yield origin


def _found(program: str) -> str:
    path = shutil.which(program)
    assert path is not None
    return path
