"""Where the inspector is asked: who gets there, what is left behind, and what becomes of nonsense."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest

import rxllm
from rxllm.telemetry import Endpoint, Report, StageReport, StreamReport, _inspect, ask, endpoints, inspect
from rxllm.telemetry._answering import Answering

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def directory(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes of this test meet."""
    found = short_path / "meet"
    monkeypatch.setenv("RXLLM_INSPECT_DIRECTORY", str(found))
    return found


def report_of(endpoint: Endpoint) -> Report:
    return msgspec.json.decode(ask(endpoint, PATIENCE), type=Report)


def path_of(inspection: rxllm.telemetry.Inspection) -> Path:
    assert inspection.path is not None
    return Path(inspection.path)


# One or the other: Unix sockets, or ports where there are none.


def have_no_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system that has none, where a pair of sockets is one of ports."""
    pair, family = socket.socketpair, socket.AF_UNIX
    monkeypatch.setattr(socket, "socketpair", lambda: pair(family))
    monkeypatch.delattr(socket, "AF_UNIX")


@pytest.fixture(params=["socket", "port"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "port":
        have_no_unix_sockets(monkeypatch)
    return str(request.param)


def test_it_is_asked_and_leaves_nothing_behind(kind: str, directory: Path) -> None:
    with inspect() as inspection:
        (endpoint,) = endpoints()
        assert endpoint == (path_of(inspection), os.getpid())
        assert endpoint.path.suffix == {"socket": ".sock", "port": ".port"}[kind]
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(endpoint.path.stat().st_mode) == 0o600
        report = report_of(endpoint)

    assert (report.pid, report.streams, report.more) == (os.getpid(), [], 0)
    assert report.version == version("rxllm")
    assert [*directory.iterdir()] == []
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        ask(endpoint, PATIENCE)


@contextmanager
def connected(path: Path) -> Generator[socket.socket]:
    if path.suffix == ".port":
        connection = socket.create_connection(("127.0.0.1", int(path.read_text().split()[0])), PATIENCE)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
    with connection:
        yield connection


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[]\n",
        b'{"format":"x"}\n',
        b"\xff\n",
        b"x" * 5000,
        b'{"token":"wrong"}\n',
        b"",
    ],
)
def test_nonsense_is_not_answered_and_harms_nobody(kind: str, nonsense: bytes) -> None:
    del kind
    with inspect() as inspection:
        with connected(path_of(inspection)) as connection:
            with suppress(OSError):  # what was not read to its end
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        (endpoint,) = endpoints()
        assert report_of(endpoint).pid == os.getpid()


def test_without_the_token_a_port_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    have_no_unix_sockets(monkeypatch)
    with inspect() as inspection, connected(path_of(inspection)) as connection:
        connection.sendall(b"{}\n")
        assert connection.recv(1) == b""


def test_one_who_asks_and_leaves_or_says_nothing_holds_up_nobody_for_long(kind: str) -> None:
    del kind
    with inspect() as inspection:
        with connected(path_of(inspection)) as connection:
            connection.sendall(b"{}\n")
        with connected(path_of(inspection)):
            (endpoint,) = endpoints()
            assert report_of(endpoint).pid == os.getpid()


def test_somebody_else_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    with inspect() as inspection, connected(path_of(inspection)) as connection:
        connection.sendall(b"{}\n")
        assert connection.recv(1) == b"{"
        if os.getuid():
            monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
            with connected(path_of(inspection)) as another:
                another.sendall(b"{}\n")
                assert another.recv(1) == b""


AS_ANOTHER = """
import os, sys
from pathlib import Path
from rxllm.telemetry import Endpoint, ask
os.setuid(65534)
try:
    print(ask(Endpoint(Path(sys.argv[1]), 1), 60))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_user_is_not_answered_though_the_directory_lets_them_in(directory: Path) -> None:
    with inspect() as inspection, ExitStack() as restored:
        for each in (directory, *directory.parents[:-1]):
            if each.stat().st_uid == os.getuid() and not each.stat().st_mode & 0o001:
                restored.callback(each.chmod, stat.S_IMODE(each.stat().st_mode))
                each.chmod(0o755)
        path_of(inspection).chmod(0o666)
        said = subprocess.check_output([sys.executable, "-c", AS_ANOTHER, path_of(inspection)], text=True)

    assert said in {"b''\n", "BrokenPipeError\n", "ConnectionResetError\n"}


# Places.


def test_a_directory_that_others_may_enter_is_refused(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    with pytest.raises(
        OSError, match=r"found no directory .* belong to you and to have mode 0700.*RXLLM_INSPECT_DIRECTORY"
    ):
        inspect()
    assert endpoints() == []


def test_a_link_is_refused(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    directory.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="found no directory"):
        inspect()


def test_what_is_in_the_way_is_told(directory: Path) -> None:
    directory.write_text("a file")
    with pytest.raises(OSError, match="File exists"):
        inspect()


def test_a_path_that_is_too_long_for_a_socket_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RXLLM_INSPECT_DIRECTORY", str(tmp_path / ("long" * 40)))
    with pytest.raises(OSError, match=r"too long.*a directory of yours with a short path"):
        inspect()
    assert endpoints() == []


def test_a_service_without_a_directory_for_its_user_is_found_from_a_terminal_that_has_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RXLLM_INSPECT_DIRECTORY")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "run").mkdir()
    with inspect() as inspection:
        assert path_of(inspection).parent in {tmp_path / f"rxllm-{os.getuid()}", Path(f"/run/user/{os.getuid()}/rxllm")}
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
        assert path_of(inspection) in {endpoint.path for endpoint in endpoints()}
    with inspect() as inspection:
        assert path_of(inspection).parent == tmp_path / "run" / "rxllm"


def test_a_directory_at_which_one_may_not_look_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RXLLM_INSPECT_DIRECTORY")
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/{'long' * 100}")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with inspect() as inspection:
        assert path_of(inspection) in {endpoint.path for endpoint in endpoints()}


def test_where_there_are_no_users_the_directory_is_named_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RXLLM_INSPECT_DIRECTORY")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delattr(os, "getuid")
    have_no_unix_sockets(monkeypatch)
    with inspect() as inspection:
        assert path_of(inspection).parent == tmp_path / "rxllm"


# Processes that end, and such as are made.

PROGRAM = """
import os, sys, time
from rxllm.telemetry import inspect
inspect()
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@contextmanager
def program(code: str = PROGRAM) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_a_killed_process_left_behind_is_refused_and_cleaned_away_by_the_next(directory: Path) -> None:
    with program() as process:
        pid = int(line_of(process))
        (endpoint,) = endpoints()
        assert report_of(endpoint).pid == endpoint.pid == pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert endpoints() == [endpoint]
        with pytest.raises(ConnectionRefusedError):
            ask(endpoint, PATIENCE)
    # Of these nobody knows whether they are somebody's.
    others = [directory / "1-a.txt", directory / "x-1.sock", directory / "7-odd.port"]
    for other in others:
        other.write_text("nonsense")
    with inspect() as inspection:
        assert sorted(directory.iterdir()) == sorted([path_of(inspection), *others])


def test_a_program_that_ends_cleans_up(directory: Path) -> None:
    with program() as process:
        line_of(process)
        process.communicate()
        assert process.returncode == 0
    assert [*directory.iterdir()] == []


def test_one_that_is_stopped_does_not_answer_however_often_it_is_asked() -> None:
    with program() as process:
        line_of(process)
        (endpoint,) = endpoints()
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        for _ in range(70):  # more than may wait for it
            with pytest.raises(TimeoutError):
                ask(endpoint, 0.001)
        process.send_signal(signal.SIGCONT)
        report: Report | None = None
        while report is None:
            with suppress(TimeoutError):
                report = report_of(endpoint)
        assert report.pid == process.pid


FORKING = """
import os, sys
from rxllm.telemetry import endpoints, inspect
inspection = inspect()
sys.stdin.readline()
child = os.fork()
if not child:
    inspection.close()
    print("child", inspection.path, flush=True)
    with inspect() as own:
        print(own.path, len(endpoints()), flush=True)
    print(len(endpoints()), flush=True)
    sys.stdin.readline()
    os._exit(0)
sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_what_a_fork_made_does_not_answer_for_its_parent_and_may_be_inspected_itself() -> None:
    with program(FORKING) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert line_of(process) == "child None"
        path, count = line_of(process).split()
        assert count == "2"
        assert line_of(process) == "1"
        (endpoint,) = endpoints()
        assert endpoint.pid == process.pid
        assert str(endpoint.path) != path
        assert report_of(endpoint).pid == process.pid
        process.kill()
        process.wait()
        # The child has the same standard input, and goes on.
        with pytest.raises(ConnectionRefusedError):
            ask(endpoint, PATIENCE)


def test_what_a_fork_made_without_an_inspection_has_none() -> None:
    assert subprocess.check_output(
        [
            sys.executable,
            "-c",
            "import os; import rxllm.telemetry._inspect\nif not os.fork(): print('fine', flush=True)",
        ],
        text=True,
    ).startswith("fine")


def test_after_a_fork_there_is_no_inspection_and_the_file_is_the_parents(directory: Path) -> None:
    inspection = inspect()
    path = path_of(inspection)
    thread = _inspect.this_process.answering
    assert thread is not None
    thread.close()
    path.touch()  # it is still there for the parent
    _inspect.this_process.after_fork()
    assert inspection.path is None
    assert [*directory.iterdir()] == [path]
    _inspect.this_process.after_fork()
    _inspect.this_process.end()
    _inspect.no_forks(after_in_child=None)


def test_what_a_fork_closes_is_not_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    with inspect() as inspection:
        path = inspection.path
        with monkeypatch.context() as within:
            another = inspect()
            within.setattr(os, "getpid", lambda: 1)
            another.close()
        assert inspection.path == path
        _inspect.this_process.leave()


def test_a_report_that_is_too_long_has_fewer_streams_and_says_so() -> None:
    stage = StageReport(name="x" * 1000, waiting=1)
    streams = [StreamReport(number=number, seconds=1.0, stages=[stage] * 50) for number in range(500)]
    answering = Answering(lambda: Report(pid=1, program="p", version="1", seconds=1.0, streams=streams, more=7))
    (endpoint,) = endpoints()
    report = report_of(endpoint)
    answering.close()

    assert len(report.streams) == 125
    assert report.more == 7 + 375


# Answers of somebody who is no inspector.


@contextmanager
def impostor(directory: Path, *pieces: bytes, then_wait: bool = False) -> Generator[Endpoint]:
    directory.mkdir(mode=0o700)
    path = directory / "1-impostor.sock"
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection = listener.accept()[0]
            with connection, suppress(OSError):
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)
                if then_wait:
                    done.wait(PATIENCE)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield Endpoint(path, 1)
        finally:
            done.set()
            thread.join()


def test_an_answer_without_end_is_refused(directory: Path) -> None:
    with impostor(directory, *[b"x" * 1_000_000] * 9) as endpoint, pytest.raises(ValueError, match="too long"):
        ask(endpoint, PATIENCE)


def test_an_answer_that_comes_too_slowly_is_none(directory: Path) -> None:
    with impostor(directory, b"{", then_wait=True) as endpoint, pytest.raises(TimeoutError):
        ask(endpoint, 0.05)


def test_one_who_has_no_time_gets_none(directory: Path) -> None:
    with impostor(directory, b"{}\n") as endpoint, pytest.raises(TimeoutError):
        ask(endpoint, 0)


def test_half_an_answer_is_given_as_it_is(directory: Path) -> None:
    with impostor(directory, b'{"for') as endpoint:
        assert ask(endpoint, PATIENCE) == b'{"for'
