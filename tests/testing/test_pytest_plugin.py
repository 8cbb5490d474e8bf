"""The fixtures for pytest, as users get them: through the entry point, in runs of their own.

Each run is a process with ``-W error``: what a plugin warns of would end every run of the user's tests.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from rxllm import operators as ops
from rxllm.testing import Marbles, ScriptedServer, assert_marbles, pytest_plugin, script

ASK = """
import asyncio
import aiohttp
import pytest

async def ask(server, *, close=True):
    session = aiohttp.ClientSession()
    async with session.post(server.url, json={}) as response:
        text = await response.text()
    if close:
        await session.close()
    return text

def ask_synchronously(server):
    import http.client
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", "{}", {"Content-Type": "application/json"})
    text = connection.getresponse().read().decode()
    connection.close()
    return text
"""

SERVED = """
@pytest.mark.chat_server("one", line_end="\\r\\n")
async def test_async(chat_server):
    chat_server.add("two")
    asyncio.current_task()
    assert "one" in await ask(chat_server)
    assert "two" in await ask(chat_server)
    request = await asyncio.wait_for(chat_server.wait_for_request(1), 10)
    assert request.number == 1
"""

SERVED_TO_ALL = """
@pytest.mark.chat_server("one")
def test_sync(chat_server):
    assert "one" in ask_synchronously(chat_server)
    assert [request.json for request in chat_server.requests] == [{}]
"""

LEAKS = """
async def test_task(leak_check):
    test_task.task = asyncio.get_running_loop().create_task(asyncio.Event().wait())

async def test_timer(leak_check):
    asyncio.get_running_loop().call_later(1000, print)

async def test_connection(leak_check, chat_server):
    chat_server.add("one")
    test_connection.text = await ask(chat_server)

async def test_clean(chat_server, leak_check):
    chat_server.add("one")
    session = aiohttp.ClientSession()
    response = await session.post(chat_server.url)
    await response.read()
    await session.close()
"""

SYNC_LEAKS = """
from rxllm import FlowControl

def test_pause(leak_check):
    test_pause.flow = FlowControl()
    test_pause.flow.pause("somebody")

@pytest.mark.leak_check(pauses=False)
def test_pause_on_purpose(leak_check):
    test_pause_on_purpose.flow = FlowControl()
    test_pause_on_purpose.flow.pause("somebody")

def test_marbles(marbles, leak_check):
    assert str(marbles.run(marbles.cold("-a|"))) == "-a|"
"""


NEITHER = ("-p", "no:asyncio", "-p", "no:anyio")
ANYIO = ("-p", "no:asyncio")


def run(
    pytester: pytest.Pytester, *code: str, mode: str | None = "auto", arguments: tuple[str, ...] = ()
) -> pytest.RunResult:
    """Run tests in a process of their own; without a mode, without pytest-asyncio."""
    ini = "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n"
    if mode is not None:
        ini += f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
    pytester.makeini(ini)
    pytester.makepyfile(test_users="\n".join([ASK, *code]))
    # What has no part in this costs time.
    needless = [argument for name in ("cov", "hypothesispytest", "cacheprovider") for argument in ("-p", f"no:{name}")]
    return pytester.runpytest_subprocess(*needless, *arguments)


def test_the_entry_point_brings_the_fixtures(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures", "-q")

    result.stdout.fnmatch_lines(["marbles -- *pytest_plugin.py*", "leak_check -- *", "chat_server -- *"])
    assert "_in_anyio" not in result.stdout.str()


def test_pytest_asyncio_in_its_strict_mode(pytester: pytest.Pytester) -> None:
    served = SERVED.replace("async def", "@pytest.mark.asyncio\nasync def")

    run(pytester, served, mode="strict").assert_outcomes(passed=1)


def test_in_whatever_loop_the_test_has(pytester: pytest.Pytester) -> None:
    served = [
        SERVED.replace("async def test", f'@pytest.mark.asyncio(loop_scope="{scope}")\nasync def test_{scope}')
        for scope in ("function", "module", "package", "session")
    ]
    in_class = SERVED.replace("async def", '@pytest.mark.asyncio(loop_scope="class")\nasync def')
    in_class = in_class.replace("\n", "\n    ").replace("test_async(", "test_async(self, ")
    arguments = ("-o", "asyncio_default_test_loop_scope=session")

    result = run(pytester, SERVED, *served, f"class TestServed:{in_class}", arguments=arguments)

    result.assert_outcomes(passed=6)


def test_with_anyio_on_asyncio(pytester: pytest.Pytester) -> None:
    code = """
pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    result = run(pytester, code, SERVED, SERVED_TO_ALL, LEAKS, mode=None, arguments=ANYIO)

    result.assert_outcomes(passed=6, errors=2)
    result.stdout.fnmatch_lines(["E *left behind:*", "E *task <Task pending*", "E *timer <TimerHandle*"])


def test_with_anyio_on_trio(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.chat_server("one")
async def test_async(anyio_backend, chat_server, leak_check, marbles):
    assert "one" in ask_synchronously(chat_server)
    assert len(chat_server.requests) == 1
"""
    run(pytester, code, mode=None, arguments=ANYIO).assert_outcomes(passed=1)


def test_with_neither(pytester: pytest.Pytester) -> None:
    run(pytester, SERVED_TO_ALL, SYNC_LEAKS, mode=None, arguments=NEITHER).assert_outcomes(passed=4, errors=1)


def test_leaks_are_errors_of_the_test_that_left_them(pytester: pytest.Pytester) -> None:
    result = run(pytester, LEAKS, SYNC_LEAKS)

    result.assert_outcomes(passed=7, errors=3)
    result.stdout.fnmatch_lines(
        [
            "E *left behind:*",
            "E *task <Task pending*",
            "E *timer <TimerHandle*",
            "E *a pause held by 'somebody'*",
        ]
    )


def test_every_test_is_checked_if_the_configuration_says_so(pytester: pytest.Pytester) -> None:
    leaky = "def test_pause():\n    from rxllm import FlowControl\n    FlowControl().pause('somebody')"

    run(pytester, leaky, arguments=("-o", "usefixtures=leak_check")).assert_outcomes(passed=1, errors=1)


def test_an_unanswered_request_is_an_error_of_the_test(pytester: pytest.Pytester) -> None:
    code = """
def test_sync(chat_server):
    assert "no_script" in ask_synchronously(chat_server)

async def test_async(chat_server):
    assert "no_script" in await ask(chat_server)
"""
    result = run(pytester, code)

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["E *no script is left for this request*"])


def test_without_the_plugin_there_are_no_fixtures(pytester: pytest.Pytester) -> None:
    result = run(pytester, "def test_sync(marbles):\n    pass", arguments=("-p", "no:rxllm"))

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'marbles' not found*"])


def test_a_run_that_uses_none_of_it_imports_none_of_it() -> None:
    code = "import sys, rxllm.testing.pytest_plugin; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    modules = set(output.stdout.split())
    assert "rxllm.testing" in modules
    assert not {"aiohttp", "pydantic", "reactivex", "hypothesis", "trustme", "rxllm.flow"} & modules


# In this process


def test_a_server_without_a_check(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ASK + SERVED_TO_ALL)

    pytester.runpytest_inprocess("-p", "no:cacheprovider", *ANYIO).assert_outcomes(passed=1)


def test_a_server_in_the_loop_of_anyio(pytester: pytest.Pytester) -> None:
    backend = "pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    pytester.makepyfile(ASK + backend + SERVED)

    pytester.runpytest_inprocess("-p", "no:cacheprovider", *ANYIO).assert_outcomes(passed=1)


def test_marbles_are_a_stage(marbles: Marbles) -> None:
    assert_marbles(marbles.run(marbles.chunks("-H-i|").pipe(ops.content())), "-H-i|")


@pytest.mark.chat_server("Hello", [script.stall()])
async def test_a_server_takes_its_scripts_from_the_marker(chat_server: ScriptedServer) -> None:
    assert chat_server.requests == []
    assert chat_server.open_connections == 0


def test_a_synchronous_test_has_a_server_in_a_thread(chat_server: ScriptedServer) -> None:
    assert chat_server.origin.startswith("http://127.0.0.1:")


def test_a_plugin_that_is_too_old_is_left_alone(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fixture(function: Callable[..., object]) -> Callable[..., object]:
        return function

    old = ModuleType("pytest_asyncio")
    vars(old)["fixture"] = fixture
    registered: list[object] = []
    monkeypatch.setitem(sys.modules, "pytest_asyncio", old)
    monkeypatch.setattr(pytestconfig.pluginmanager, "register", registered.append)

    pytest_plugin.pytest_configure(pytestconfig)

    assert registered == []
