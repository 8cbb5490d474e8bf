"""Folders that become read-only in the middle of a test."""

from __future__ import annotations

import os
from pathlib import Path


class Place:
    """A folder that becomes one where this process can read, and can no longer write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._user = os.geteuid()
        path.chmod(0o755)

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.path.iterdir()}

    def lock(self) -> None:
        for file in self.path.iterdir():
            file.chmod(0o444)
        self.path.chmod(0o555)
        if self._user == 0:
            # Nothing is read-only to root.
            os.seteuid(65534)

    def unlock(self) -> None:
        os.seteuid(self._user)
        self.path.chmod(0o755)
