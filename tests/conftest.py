"""What every test has: the fixtures of ``rxllm.testing``, and a check that nothing is left behind."""

from __future__ import annotations

import pytest

from rxllm.testing import TLSContexts, tls_contexts

pytest_plugins = ["pytester", "rxllm.testing.pytest_plugin"]


@pytest.fixture(autouse=True)
def nothing_left(leak_check: None) -> None:
    """Check for leaks around each test and its fixtures."""


@pytest.fixture(scope="session")
def tls() -> TLSContexts:
    return tls_contexts()
