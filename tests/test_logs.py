"""Log lines go to loguru, where they are disabled, or to the standard ``logging``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import loguru
import pytest

import rxllm
from rxllm import operators as ops
from rxllm.testing import ScriptedServer, script


class Failing:
    async def open(self) -> Any:
        raise OSError("full")


async def warn_and_debug() -> None:
    """Log a warning and a debug line."""
    async with ScriptedServer([*script.words("Rivers"), script.finish(), script.raw(b"data: un")]) as server:
        chunks = rxllm.LLMClient(base_url=server.base_url).chat_stream(model="any", messages=[])
        await chunks.pipe(ops.tee_to(Failing(), on_error="detach"), ops.accumulate())


LINES = [
    ("WARNING", "a sink failed and is detached: OSError", "_sink_writer.py"),
    ("DEBUG", "the body ended in the middle of an event: 8 bytes are discarded", "_http_request.py"),
]


@pytest.fixture
def in_loguru() -> Iterator[list[tuple[str, str, str]]]:
    lines: list[tuple[str, str, str]] = []

    def note(message: Any) -> None:
        record = message.record
        lines.append((record["level"].name, record["message"], record["file"].name))

    number = loguru.logger.add(note, level=0, filter="rxllm")
    yield lines
    loguru.logger.remove(number)
    loguru.logger.disable("rxllm")
    rxllm.log_to_logging(None)


async def test_they_go_to_loguru_when_they_are_enabled(in_loguru: list[tuple[str, str, str]]) -> None:
    await warn_and_debug()
    assert in_loguru == []

    loguru.logger.enable("rxllm")
    await warn_and_debug()
    assert sorted(in_loguru) == sorted(LINES)


@pytest.mark.parametrize("target", ["rxllm", "an.application", logging.getLogger("an.application")])
async def test_they_go_to_logging_when_it_is_asked_for(
    target: str | logging.Logger, in_loguru: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    loguru.logger.enable("rxllm")
    rxllm.log_to_logging(target)
    name = target if isinstance(target, str) else target.name

    with caplog.at_level(logging.DEBUG, name):
        await warn_and_debug()
    with caplog.at_level(logging.WARNING, name):
        await warn_and_debug()

    lines = [(record.levelname, record.message, record.filename) for record in caplog.records if record.name == name]
    assert sorted(lines) == sorted([*LINES, LINES[0]])
    assert in_loguru == []


async def test_it_is_the_logger_of_the_library(
    in_loguru: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    rxllm.log_to_logging()
    with caplog.at_level(logging.WARNING, "rxllm"):  # whatever an example has set
        await warn_and_debug()
    assert [record.name for record in caplog.records] == ["rxllm"]
    assert in_loguru == []
