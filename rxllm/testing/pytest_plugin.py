"""Fixtures for pytest: ``chat_server``, ``marbles`` and ``leak_check``.

pytest finds them where rxllm is installed (entry point ``rxllm``; ``-p no:rxllm`` leaves them out).

Rules:

1. Whoever uses no fixture pays nothing: the parts of ``rxllm.testing`` are imported when they are asked for.
2. No plugin for asynchronous tests is needed, and none in particular. Where the test is a coroutine that pytest-asyncio
   or anyio runs on asyncio, the server and the check are in its event loop. Everywhere else, in a synchronous test or
   on trio, the server has a loop in a thread of its own, and the check sees threads and pauses.
3. The check comes first and goes last: what the server has open while it runs is no leak.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any, Literal

import pytest

from rxllm import testing

__all__ = ["chat_server", "leak_check", "marbles"]

LOOP_SCOPES = ("function", "class", "module", "package", "session")
IN_ASYNCIO = "rxllm-asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and the fixtures for pytest-asyncio if that is there."""
    config.addinivalue_line(
        "markers", "chat_server(*scripts, **arguments): the arguments of chat_server's ScriptedServer"
    )
    config.addinivalue_line("markers", "leak_check(pauses=True): whether leak_check counts the pauses that are left")
    pytest_asyncio = sys.modules.get("pytest_asyncio")
    # An old one must not break the runs of those who use none of this.
    if pytest_asyncio is not None and "loop_scope" in inspect.signature(pytest_asyncio.fixture).parameters:
        config.pluginmanager.register(_fixtures_for(pytest_asyncio), IN_ASYNCIO)


@pytest.fixture
def marbles() -> testing.Marbles:
    """A ``Marbles`` for diagrams in virtual time, with frames of 10 ms."""
    return testing.Marbles()


@pytest.fixture
def leak_check(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if the test, or a later fixture of the test, leaves tasks, sockets, timers, threads or pauses behind.

    With ``@pytest.mark.leak_check(pauses=False)``, pauses may be left. ``usefixtures = ["leak_check"]`` in the
    configuration of pytest checks every test.
    """
    in_loop = _in_loop(request, "check")
    if in_loop is None:
        with _check(request):
            yield
    else:
        request.getfixturevalue(in_loop)
        yield


@pytest.fixture
def chat_server(request: pytest.FixtureRequest) -> Iterator[testing.ScriptedServer]:
    """A running ``ScriptedServer``.

    First it answers with the scripts of ``@pytest.mark.chat_server("Hello", …)``, which takes the arguments of
    ``ScriptedServer``, then with those given to its ``add``.
    """
    if "leak_check" in request.fixturenames:
        request.getfixturevalue("leak_check")
    in_loop = _in_loop(request, "server")
    if in_loop is None:
        with _server(request) as server:
            yield server
    else:
        yield request.getfixturevalue(in_loop)


def _check(request: pytest.FixtureRequest) -> testing.leak_check:
    marker: pytest.Mark | None = request.node.get_closest_marker("leak_check")
    return testing.leak_check(**marker.kwargs) if marker else testing.leak_check()


def _server(request: pytest.FixtureRequest) -> testing.ScriptedServer:
    marker: pytest.Mark | None = request.node.get_closest_marker("chat_server")
    return testing.ScriptedServer(*marker.args, **marker.kwargs) if marker else testing.ScriptedServer()


# In the loop of the test


def _in_loop(request: pytest.FixtureRequest, what: Literal["check", "server"]) -> str | None:
    """The name of the fixture that is in the loop of the test; ``None`` if that has none, or one of trio."""
    if request.config.pluginmanager.hasplugin(IN_ASYNCIO) and sys.modules["pytest_asyncio"].is_async_test(request.node):
        return f"_{what}_in_{_loop_scope(request.node)}_loop"
    if _is_coroutine_of_anyio(request) and request.getfixturevalue("anyio_backend_name") == "asyncio":
        return f"_{what}_in_anyio"
    return None


def _loop_scope(test: Any) -> str:
    """Which of its loops pytest-asyncio runs a test in."""
    marker = test.get_closest_marker("asyncio")
    scope = marker and marker.kwargs.get("loop_scope")
    return str(scope or test.config.getini("asyncio_default_test_loop_scope"))


def _is_coroutine_of_anyio(request: pytest.FixtureRequest) -> bool:
    function = getattr(request, "function", None)
    # Hypothesis wraps a coroutine function in an ordinary one.
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    return "anyio_backend" in request.fixturenames and inspect.iscoroutinefunction(inner)


def _new_check() -> Callable[[pytest.FixtureRequest], AsyncIterator[None]]:
    async def check(request: pytest.FixtureRequest) -> AsyncIterator[None]:
        async with _check(request):
            yield

    return check


def _new_server() -> Callable[[pytest.FixtureRequest], AsyncIterator[testing.ScriptedServer]]:
    async def server(request: pytest.FixtureRequest) -> AsyncIterator[testing.ScriptedServer]:
        async with _server(request) as server:
            yield server

    return server


def _fixtures_for(pytest_asyncio: ModuleType) -> ModuleType:
    """The fixtures in the loops of pytest-asyncio, in which a fixture has one loop, and a test any of several."""
    fixtures = ModuleType(IN_ASYNCIO)
    for scope in LOOP_SCOPES:
        for what, new in (("check", _new_check), ("server", _new_server)):
            name = f"_{what}_in_{scope}_loop"
            # What marks a fixture's loop is written on its function: each has one of its own.
            setattr(fixtures, name, pytest_asyncio.fixture(loop_scope=scope, name=name)(new()))
    return fixtures


check_in_anyio: Any = pytest.fixture(name="_check_in_anyio")(_new_check())
server_in_anyio: Any = pytest.fixture(name="_server_in_anyio")(_new_server())
