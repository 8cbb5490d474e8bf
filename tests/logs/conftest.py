"""One Redis server for all tests of logs, and what they share with those of stores."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.logs.redis_server import RedisServer
from tests.stores import conftest

place = conftest.place


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """What the keys of a test begin with: its log is empty."""
    return uuid4().hex
