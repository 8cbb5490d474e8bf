"""What the tests of stores share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.places import Place


@pytest.fixture
def place() -> Iterator[Place]:
    # Not tmp_path, into which only its owner may look.
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        yield place
        place.unlock()
