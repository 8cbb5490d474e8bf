"""What every test has: the fixtures of ``rxllm.testing``, and a check that nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest

from rxllm.testing import TLSContexts, tls_contexts
from tests.thorough import FULL, times

# A shell that runs the tests in the background has Ctrl-C ignored, and so would the programs that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["pytester", "rxllm.testing.pytest_plugin"]

# How long an example takes is said by what else the machine does, and is no reason to fail.
hypothesis.settings.register_profile(
    "rxllm", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# Whether a commit passes is the same each time: neither chance nor what an earlier run left decides, also about which
# lines are covered. New examples are drawn on the machines of those who develop, where one that fails is kept.
hypothesis.settings.register_profile(
    "rxllm-ci", hypothesis.settings.get_profile("rxllm"), derandomize=True, database=None
)
# What runs in full looks for what nobody has seen yet, and prints how to see it again.
hypothesis.settings.register_profile("rxllm-full", hypothesis.settings.get_profile("rxllm"), max_examples=times(100))
hypothesis.settings.load_profile("rxllm-full" if FULL else "rxllm-ci" if os.environ.get("CI") else "rxllm")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run the tests of files that are named in this process: they are done before workers would have begun."""
    return 0 if all(".py" in argument for argument in config.args) else None


def pytest_collection_finish() -> None:
    """Have no later collection of garbage look at the modules and tests: they stay, and are most of what there is."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def nothing_left(leak_check: None) -> None:
    """Check for leaks around each test and its fixtures."""


@pytest.fixture(autouse=True)
def interrupts_as_before() -> Iterator[None]:
    """Handle Ctrl-C as before: an interrupted command ignores it from then on, and a server leaves its handler."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a path that is short enough for a socket within, whatever the test is called."""
    with TemporaryDirectory(prefix="rxllm-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def tls() -> TLSContexts:
    return tls_contexts()
