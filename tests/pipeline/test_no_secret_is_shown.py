"""A canary is sent wherever a key may stand, servers echo it in every spelling, and no output of any failure has it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import hashlib
import html
import io
import json
import pickle
import re
import sys
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest
from loguru import logger
from reactivex import Observable
from yarl import URL

import rxllm
from rxllm import operators as ops
from rxllm.dialects import HOSTS, OpenAIChat
from rxllm.sinks import JSONLinesSink, SQLiteSink
from rxllm.tools import ToolRegistry
from tests.providers import providers

# What to look for: two halves, for only a part may be shown, and an escape in the middle hides the whole.
HALVES = ("CANARY", "0123456789")


def canary(where: str) -> str:
    return f"CANARY{where}/0123456789+{where}=="


HEADER, QUERY, PASSWORD, BODY = (canary(where) for where in ("header", "query", "password", "body"))
IN_PATH = "CANARYpath-0123456789"
PROTOCOL = "openai-insecure-api-key.CANARYprotocol-0123456789"
COOKIE = "CANARYcookie-0123456789"
LOGIN = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
# What is sent with every request below; a URL with a login has no header for one.
SENT = (HEADER, QUERY, IN_PATH, COOKIE, canary("own"))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "slashes escaped": lambda word: word.replace("/", r"\/"),
    "escaped by number": lambda word: word.replace("/", r"\u002f").replace("=", r"\u003D").replace("+", r"\u002B"),
    "all escaped": lambda word: "".join(f"\\u{ord(letter):04x}" for letter in word),
    "twice JSON": lambda word: json.dumps(json.dumps(word.replace("/", r"\/")))[1:-1],
    "percent": lambda word: quote(word, safe=""),
    "percent, lower case": lambda word: quote(word, safe="").lower().replace("canary", "CANARY"),
    "percent twice": lambda word: quote(quote(word, safe=""), safe=""),
    "percent, all": lambda word: "".join(f"%{byte:02x}" for byte in word.encode()),
    "HTML": lambda word: html.escape(word).replace("/", "&#x2F;").replace("+", "&#43;"),
}


def shown_in(text: str) -> list[str]:
    """What is shown of a canary in a text, also if it is escaped there."""
    texts = {text, unquote(unquote(text)), html.unescape(text)}
    texts.add(re.sub(r"\\+u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), text))
    return [half for half in (*HALVES, LOGIN[:12]) for each in texts if half in each]


# Outputs


@pytest.fixture(autouse=True, scope="module")
def nothing_on_the_screen() -> Iterator[None]:
    """Without what loguru writes by default: nobody reads it, and it takes as long as all else."""
    with contextlib.suppress(ValueError):  # removed by somebody else
        logger.remove(0)
    yield
    logger.add(sys.stderr)


@contextlib.contextmanager
def logging(*, backtrace: bool = True) -> Generator[io.StringIO]:
    """All that loguru writes, with the variables of the frames of tracebacks, as it does by default.

    Without ``backtrace`` those above the place where an error was caught are left out: those of these tests, of which
    Python 3.13 knows also when an error is logged later.
    """
    output = io.StringIO()
    logger.enable("rxllm")
    handler = logger.add(output, level="TRACE", diagnose=True, backtrace=backtrace)
    try:
        yield output
    finally:
        logger.remove(handler)
        logger.disable("rxllm")


def of_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def outputs(error: BaseException) -> Iterator[str]:
    """All that an error may show."""
    for each in of_chain(error):
        yield f"{each} {each!r} {vars(each)!r} {each.args!r}"
        yield " ".join(str(getattr(each, name, "")) for name in dir(each) if not name.startswith("__"))
    yield "".join(traceback.format_exception(error))
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    yield pickle.dumps(error).decode("latin-1")
    yield repr(vars(copy.copy(error)))
    with logging(backtrace=False) as output:
        logger.opt(exception=error).error("failed")
    yield output.getvalue()


async def failure_of(what: Awaitable[object], folder: Path) -> rxllm.RxllmError:
    """The error that something fails with, once it is certain that it, the logs and the files show nothing."""
    with logging() as output:
        async with asyncio.timeout(20):
            try:
                await what
            except rxllm.RxllmError as error:
                error.__traceback__ = _without_this(error)
                failure = error
            else:
                pytest.fail("nothing failed")
    for text in (*outputs(failure), output.getvalue(), *files_in(folder)):
        assert not shown_in(text), text
    return failure


def files_in(folder: Path) -> Iterator[str]:
    return (path.read_bytes().decode("latin-1") for path in folder.iterdir())


def _without_this(error: BaseException) -> Any:
    """The traceback from the library on: the frames of these tests have the canaries in their variables."""
    found = error.__traceback__
    while found is not None and found.tb_frame.f_globals["__name__"] == __name__:
        found = found.tb_next
    return found


# Servers


@dataclass(repr=False)
class Echo:
    """A server that answers as it is told, whatever it is asked."""

    url: URL
    answer: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            await reader.readexactly(int(fields.get("Content-Length", 0)))
            key = fields.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())  # noqa: S324 - RFC 6455
            writer.write(self.answer.replace(b"ACCEPT", accept))
            await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncGenerator[Echo]:
    server = Echo(URL())
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = URL(f"http://127.0.0.1:{port}/v1/{IN_PATH}/chat?key={quote(QUERY, safe='')}")
        yield server


def response(status: str, body: str = "", **headers: str) -> bytes:
    fields = {"Connection": "close"} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n{body}".encode()


def events(*texts: str) -> bytes:
    return response("200 OK", "".join(f"{text}\n\n" for text in texts), Content_Type="text/event-stream")


def chunk(text: str, **more: object) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}], **more})


ANSWERS: dict[str, Callable[[str], bytes]] = {
    "body of a refusal": lambda said: response("401 no", f'{{"error": {{"message": "no key {said}"}}}}'),
    "cut body": lambda said: response("500 no", "x" * 185 + said),
    "very long body": lambda said: response("500 no", "x" * (16 * 1024 - len(said) + 3) + said),
    "reason": lambda said: response(f"403 no {said}"),
    "request id": lambda said: response("429 no", "{}", X_Request_Id=said),
    "redirect": lambda said: response("302 no", Location=f"http://127.0.0.1:1/{said}?{said}"),
    "no redirect": lambda said: response("302 no", Location=f"ftp://{said}/{said}"),
    "page": lambda said: response("200 OK", f"<p>{said}</p>", Content_Type="text/html"),
    "media type": lambda said: response("200 OK", "x", Content_Type=f"text/{said}"),
    "no HTTP": lambda said: f"{said}\r\n\r\n".encode(),
    "odd header": lambda said: response("200 OK", "", **{f"X-{said}\0": "x"}),
    "JSON": lambda said: response("200 OK", f'{{"error": "no {said}"}}', Content_Type="application/json"),
    "other protocol": lambda said: response(
        "200 OK", f'{{"type": "message", "content": [{{"text": "{said}"}}]}}', Content_Type="application/json"
    ),
    "error in the stream": lambda said: events(
        chunk("Hel"), f'data: {{"error": {{"message": "no {said}", "code": "{said}", "type": "{said}"}}}}'
    ),
    "first event": lambda said: events(f'data: {{"error": "no {said}"}}'),
    "beside the events": lambda said: events(f'error: {{"message": "no {said}"}}'),
    "no JSON": lambda said: events(f"data: {{{said}"),
    "no JSON, cut": lambda said: events("data: {" + "x" * 185 + said + "x" * 99),
    "passed over, then cut": lambda said: events(f'data: {{"note": "{said}"}}', chunk("Hel")),
    "other event": lambda said: events(
        f'event: response.created\ndata: {{"type": "response.created", "id": "{said}"}}'
    ),
    "wrong types": lambda said: events(f'data: {{"choices": "{said}"}}'),
    "given up": lambda said: events(
        f'data: {{"choices": [{{"finish_reason": "abort"}}], "error": {{"code": "{said}"}}}}'
    ),
    "cut": lambda said: response(
        "200 OK", f"ff\r\n: {said}\r\n\r\n", Content_Type="text/event-stream", Transfer_Encoding="chunked"
    ),
}


def frame(opcode: int, payload: str) -> bytes:
    data = payload.encode()
    return bytes([0x80 | opcode, 126, *len(data).to_bytes(2, "big")]) + data


def socket(*frames: bytes, protocol: str = "") -> bytes:
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Accept": "ACCEPT"}
    if protocol:
        fields["Sec_WebSocket_Protocol"] = protocol
    return response("101 Switching", **fields) + b"".join(frames)


def closing(code: int, reason: str) -> bytes:
    data = code.to_bytes(2, "big") + reason.encode()[:120]
    return bytes([0x88, len(data)]) + data


FRAMES: dict[str, Callable[[str], bytes]] = {
    "refusal": lambda said: response(f"401 no {said}", said, X_Request_Id=said),
    "error": lambda said: socket(frame(1, f'{{"error": {{"message": "no {said}", "code": "{said}"}}}}')),
    "no JSON": lambda said: socket(frame(1, f"{{{said}")),
    "binary": lambda said: socket(frame(2, f"no {said}")),
    "close": lambda said: socket(closing(4001, f"no {said}")),
    "protocol": lambda said: socket(frame(3, said), protocol="other"),
}


# Ways

REQUEST = rxllm.ChatRequest(model="any", messages=[{"role": "user", "content": BODY}])
HEADERS = {"X-Api-Key": HEADER, "X-Own": canary("own"), "X-Other": PROTOCOL, "Cookie": f"a={COOKIE}"}
AUTHORIZATION = {"Authorization": f"Bearer {HEADER}"}


def with_login(url: URL) -> URL:
    return url.with_user("user").with_password(PASSWORD)


def bare(url: URL, _: Path) -> Awaitable[object]:
    return rxllm.from_sse(with_login(url), json={"text": BODY}, headers=HEADERS)


def parsed(url: URL, _: Path) -> Awaitable[object]:
    return rxllm.from_sse(url, json={"text": BODY}, headers=HEADERS | AUTHORIZATION).pipe(ops.parse(), ops.accumulate())


def recorded(url: URL, folder: Path) -> Awaitable[object]:
    source = rxllm.from_sse(with_login(url), json={"text": BODY}, headers=HEADERS, record=folder / "wire.jsonl")
    return source.pipe(
        ops.tee_to(JSONLinesSink(folder / "events.jsonl")),
        ops.parse(),
        ops.tee_to(JSONLinesSink(folder / "chunks.jsonl")),
        ops.tee_to(SQLiteSink(folder / "chunks.db")),
        ops.buffer_with_backpressure(4),
        ops.accumulate(),
    )


def of_client(url: URL, folder: Path) -> Awaitable[object]:
    return client_for(url, record=folder / "wire.jsonl").chat(REQUEST)


def client_for(url: URL, **options: Any) -> rxllm.LLMClient:
    return rxllm.LLMClient(retries=0, base_url=url, api_key=HEADER, headers=HEADERS, **options)


def of_conversation(url: URL, _: Path) -> Awaitable[object]:
    return client_for(url).chat_with_tools(REQUEST, ToolRegistry())


WAYS = (bare, parsed, recorded, of_client, of_conversation)
# What is an error for whoever decodes it, and not before.
NEEDS_PARSE = {
    *("error in the stream", "first event", "beside the events", "no JSON", "no JSON, cut", "passed over, then cut"),
    *("other event", "wrong types", "given up"),
}


SOCKET_WAYS: tuple[Callable[[URL, Path], Awaitable[object]], ...] = (
    lambda url, _: rxllm.from_websocket(with_login(url), send=({"text": BODY},), headers=HEADERS, protocols=[PROTOCOL]),
    lambda url, folder: rxllm.from_websocket(
        url, send=({"text": BODY},), headers=HEADERS, protocols=["chat", PROTOCOL], record=folder / "wire.jsonl"
    ).pipe(ops.tee_to(SQLiteSink(folder / "frames.db")), ops.parse(), ops.accumulate()),
    lambda url, folder: client_for(url, record=folder / "wire.jsonl").websocket_stream(REQUEST).pipe(ops.accumulate()),
)


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_what_a_server_echoes_is_shown_nowhere(spelling: str, echo: Echo, tmp_path: Path) -> None:
    said = " ".join(map(SPELLINGS[spelling], SENT))
    count = 0
    for number, (name, answer) in enumerate(ANSWERS.items()):
        echo.answer = answer(said)
        ways = [way for way in WAYS if name not in NEEDS_PARSE or way is not bare]
        for way in ways if spelling == "plain" else [ways[number % len(ways)]]:
            folder = tmp_path / f"{number}-{way.__name__}"
            folder.mkdir()
            await failure_of(way(echo.url, folder), folder)
            count += 1
    assert count == (106 if spelling == "plain" else len(ANSWERS))


# What one of them reads is no failure of it.
READ_BY_SOME = {"JSON", "other protocol"}


@pytest.mark.parametrize("name", providers())
async def test_what_a_server_echoes_to_a_client_of_any_provider_is_shown_nowhere(
    name: str, echo: Echo, tmp_path: Path
) -> None:
    said = " ".join(SENT)
    answers = [answer for kind, answer in ANSWERS.items() if kind not in READ_BY_SOME]
    # Hosts of one dialect share what there is to do.
    is_host = name in HOSTS
    for number, answer in enumerate(answers[[*HOSTS].index(name) :: len(HOSTS)] if is_host else answers):
        echo.answer = answer(said)
        folder = tmp_path / str(number)
        folder.mkdir()
        record = None if is_host else folder / "wire.jsonl"
        client = client_for(echo.url, record=record, dialect=providers()[name])
        assert not shown_in(repr(client))
        await failure_of(client.chat(REQUEST), folder)


@pytest.mark.parametrize("spelling", ["plain", "escaped by number", "percent"])
async def test_what_the_other_side_of_a_websocket_echoes_is_shown_nowhere(
    spelling: str, echo: Echo, tmp_path: Path
) -> None:
    said = " ".join(map(SPELLINGS[spelling], (HEADER, PROTOCOL, QUERY, IN_PATH)))
    for number, answer in enumerate(FRAMES.values()):
        echo.answer = answer(said)
        for way_number, way in enumerate(SOCKET_WAYS):
            folder = tmp_path / f"{number}-{way_number}"
            folder.mkdir()
            await failure_of(way(echo.url.with_scheme("ws"), folder), folder)


# What fails before there is an answer


def of_environment(url: URL, proxy: str, monkeypatch: pytest.MonkeyPatch) -> Awaitable[object]:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return rxllm.from_sse(url)


async def of_session(url: URL, proxy: str, _: pytest.MonkeyPatch) -> object:
    async with aiohttp.ClientSession(proxy=proxy) as session:
        return await rxllm.from_sse(url, session=session)


PROXIED: tuple[Callable[[URL, str, pytest.MonkeyPatch], Awaitable[object]], ...] = (
    lambda url, proxy, _: rxllm.from_sse(url, proxy=proxy).pipe(ops.parse()),
    lambda url, proxy, _: rxllm.from_websocket(url, proxy=proxy),
    lambda url, proxy, _: rxllm.LLMClient(retries=0, base_url=url, proxy=proxy).chat(REQUEST),
    of_environment,
    of_session,
)


async def test_a_proxy_is_shown_nowhere(echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    password = f"{HALVES[0]}proxy{HALVES[1]}"
    login = base64.b64encode(f"user:{password}".encode()).decode()
    port = echo.url.port
    proxies = [
        *(f"user:{password}@127.0.0.1:1", f"http://user:{password}@127.0.0.1:1", f"//user:{password}@127.0.0.1:1"),
        *(f"http://user:{password}@127.0.0.1:99999", f"http://user:{password}@127.0.0.1:x", f"http://user:{password}@"),
        *(f"http://user:{password}{letter}x@127.0.0.1:1" for letter in "#/[?\\ "),
        *(f"{scheme}://user:{password}@127.0.0.1:1" for scheme in ("socks5", "ftp", "", "htp", "https")),
        *(
            f"http://user:{password}@127.0.0.1:{port}",
            f"http://{password}@127.0.0.1:1",
            f"http://:{password}@127.0.0.1:1",
        ),
        f"http://user:a/b{quote(password + '/', safe='')}@127.0.0.1:1",
    ]
    echo.answer = response("407 no", f"no proxy for user:{password}, {login}")
    for number, proxy in enumerate(proxies):
        for place in {number % len(PROXIED), (number + 1) % len(PROXIED)}:
            monkeypatch.undo()
            await failure_of(PROXIED[place](echo.url, proxy, monkeypatch), tmp_path)


@pytest.mark.parametrize(
    "value",
    [f"{HEADER}\n", f"{HEADER}\r\nX: y", f"{HEADER}\0", None, 5, [HEADER]],
    ids=["LF", "CRLF", "0", "None", "int", "list"],
)
async def test_a_header_that_cannot_be_sent_is_named_without_its_value(value: Any, echo: Echo, tmp_path: Path) -> None:
    headers = {"X-Key": value}
    for source in (
        rxllm.from_sse(echo.url, headers=headers),
        rxllm.from_websocket(echo.url, headers=headers),
        rxllm.LLMClient(retries=0, base_url=echo.url, headers=headers).chat_stream(REQUEST),
    ):
        failure = await failure_of(source, tmp_path)
        assert "the value of the header 'X-Key'" in str(failure)


async def test_a_header_in_bytes_is_sent_and_known(echo: Echo, tmp_path: Path) -> None:
    echo.answer = response("401 no", HEADER)
    headers: Any = {b"X-Key": HEADER.encode(), "accept": b"*/*"}
    failure = await failure_of(rxllm.from_sse(echo.url, headers=headers), tmp_path)
    assert isinstance(failure, rxllm.APIStatusError)
    assert failure.body == "…"


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://user:CANARY0123456789{letter}x@127.0.0.1:1/" for letter in "#/[?"),
        *("user:CANARY0123456789@127.0.0.1/", "http://user:CANARY0123456789@127.0.0.1:99999/", "CANARY0123456789"),
        *("ftp://user:CANARY0123456789@host/", "http://user:CANARY0123456789@[::1/", "//CANARY0123456789/"),
    ],
)
async def test_a_url_that_cannot_be_read_is_shown_nowhere(url: str, tmp_path: Path) -> None:
    for source in (rxllm.from_sse(url), rxllm.from_websocket(url)):
        await failure_of(source, tmp_path)
    try:
        chunks = rxllm.LLMClient(retries=0, base_url=url).chat_stream(REQUEST)
    except ValueError as error:
        error.__traceback__ = _without_this(error)
        failure = traceback.TracebackException.from_exception(error, capture_locals=True)
    else:
        failure = traceback.TracebackException.from_exception(await failure_of(chunks, tmp_path))
    assert not shown_in("".join(failure.format()))


async def test_an_exception_of_ones_own_shows_what_one_holds_oneself_and_no_more(echo: Echo, tmp_path: Path) -> None:
    """Its traceback, and the frames that are under way where it is logged, are without what the source holds."""
    own = ValueError(f"mine: {PROTOCOL}")

    def fail(_: object) -> None:
        try:
            raise own
        except ValueError:
            logger.exception("failed")
            raise

    def log(error: Exception) -> None:
        logger.opt(exception=error).error("failed")
        ended.set()

    async with aiohttp.ClientSession() as session:
        sources: list[tuple[Observable[Any], bytes]] = [
            (rxllm.from_sse(with_login(echo.url), headers=HEADERS, record=tmp_path / "wire"), events(chunk("Hel"))),
            (rxllm.from_sse(with_login(echo.url), headers=HEADERS, session=session), events(chunk("Hel"))),
            (client_for(echo.url).chat_stream(REQUEST), events(chunk("Hel"))),
            (rxllm.from_websocket(echo.url.with_scheme("ws"), headers=HEADERS), socket(frame(1, "Hel"))),
        ]
        for source, echo.answer in sources:
            ended = asyncio.Event()
            with logging() as output:
                subscription = source.subscribe(fail, log)
                await ended.wait()
            subscription.dispose()
            assert str(own) == f"mine: {PROTOCOL}"
            assert output.getvalue().count("raise own") == 2
            assert "await produce(emitter)" in output.getvalue()
            assert not shown_in(output.getvalue().replace(PROTOCOL, ""))
            own.__traceback__ = None


async def test_who_is_told_of_an_event_is_not_told_the_key(echo: Echo) -> None:
    note = f'data: {{"note": "{HEADER}"}}'
    echo.answer = events(f"data: {{no {HEADER}", note, chunk("Hello"), "data: [DONE]")
    errors: list[rxllm.DecodeError] = []
    repairs: list[rxllm.Repair] = []
    dialect = OpenAIChat(skip_malformed=True, on_malformed=errors.append, on_repair=repairs.append)
    with logging() as output:
        await rxllm.from_sse(echo.url, headers=HEADERS).pipe(ops.parse(dialect))
    assert len(errors) == 1
    assert [repair.kind for repair in repairs][:1] == ["event-passed-over"]
    for text in (output.getvalue(), str(repairs), *outputs(errors[0])):
        assert not shown_in(text)
