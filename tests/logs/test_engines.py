"""The engines of logs, as the conformance suite sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rxllm import RedisLog, SQLiteLog
from rxllm.testing import LogEngineCase, log_engine_cases
from tests.logs.redis_server import RedisServer


@pytest.mark.parametrize("case", log_engine_cases, ids=lambda case: case.__name__)
async def test_sqlite(case: LogEngineCase, tmp_path: Path) -> None:
    await case(lambda: SQLiteLog(tmp_path / "log.db").engine)


@pytest.mark.parametrize("case", log_engine_cases, ids=lambda case: case.__name__)
async def test_redis(case: LogEngineCase, redis_server: RedisServer, prefix: str) -> None:
    await case(lambda: RedisLog(redis_server.url, prefix=prefix).engine)
