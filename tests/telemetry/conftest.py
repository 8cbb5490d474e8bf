"""An SDK that keeps in memory what it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.telemetry.told import Told, telling


@pytest.fixture
def told() -> Iterator[Told]:
    with telling() as told:
        yield told
