"""What every test has: a stage for marbles, and a check that nothing is left behind."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trustme

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


# Certificates of an authority of our own


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # It names types of pyOpenSSL, which is not installed.
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context
