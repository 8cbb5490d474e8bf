"""What every test has: a stage for marbles, and a check that nothing is left behind."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rxllm.testing import Marbles, leak_check


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "leaves_pauses: takes pauses on purpose and leaves them held")


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check for leaks around each test and its fixtures; in the loop, if the test is a coroutine."""
    if _is_async(request.function):
        request.getfixturevalue("nothing_left_in_loop")
        yield
        return
    with leak_check(pauses=_pauses_count(request)):
        yield


@pytest.fixture
async def nothing_left_in_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Check for leaks of the loop that the test runs in."""
    async with leak_check(pauses=_pauses_count(request)):
        yield


@pytest.fixture
def marbles() -> Marbles:
    """A stage with frames of 10 ms."""
    return Marbles()


def _is_async(function: Any) -> bool:
    # Hypothesis wraps a coroutine function in an ordinary one.
    hypothesis = getattr(function, "hypothesis", None)
    return inspect.iscoroutinefunction(hypothesis.inner_test if hypothesis else function)


def _pauses_count(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("leaves_pauses") is None
