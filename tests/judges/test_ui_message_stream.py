"""``useChat``'s own client reads our UI message streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import reactivex
from aiohttp import web
from reactivex import Observable, Subject

import rxllm
from rxllm import ApprovalRequested, Approved, Refused, SQLiteLog, StreamChunk, ToolCall, ToolRegistry, serving
from rxllm.exceptions import APIStatusError, StreamCancelledError
from rxllm.models import Delta, DeltaBlock, DeltaPart, StreamChoice, marked
from rxllm.serving import UIMessageStream
from rxllm.testing import ScriptedServer, finish_chunk, script, text_chunk, tool_chunk

Judge: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]
Serve: TypeAlias = Callable[[Observable[Any], UIMessageStream], Any]

SCRIPT = "ui-message-stream.mjs"
REPLAY = "/chat/judge/stream"


@asynccontextmanager
async def running(*routes: web.RouteDef) -> AsyncGenerator[str]:
    """The origin of a server."""
    app = web.Application()
    app.router.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def aiohttp_server(*, post: Observable[Any], resume: Observable[Any], ui: UIMessageStream) -> AsyncGenerator[str]:
    """The URL of a chat in ``aiohttp.web``."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, post, protocol=ui)

    async def replay(request: web.Request) -> web.StreamResponse:
        return await serving.aiohttp_response(request, resume, protocol=ui)

    async with running(web.post("/chat", answer), web.get(REPLAY, replay)) as origin:
        yield f"{origin}/chat"


@asynccontextmanager
async def asgi_server(*, post: Observable[Any], resume: Observable[Any], ui: UIMessageStream) -> AsyncGenerator[str]:
    """The URL of the same chat as an ASGI application, in uvicorn."""
    uvicorn = pytest.importorskip("uvicorn")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        pipeline = post if scope["method"] == "POST" else resume
        await serving.StreamingResponse(pipeline, protocol=ui)(scope, receive, send)

    # What a connection waits for behind its answer is left behind by uvicorn: no connection stays open.
    alone: dict[str, Any] = {"headers": [("connection", "close")], "timeout_keep_alive": 0}
    config = uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="warning", **alone)
    server = uvicorn.Server(config)
    if not config.loaded:
        config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/chat"
    finally:
        await server.shutdown()


@pytest.fixture(params=[aiohttp_server, asgi_server])
def chat(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """A host of a chat."""
    host = request.param

    def serve(post: Observable[Any], *, resume: Observable[Any] | None = None, **options: Any) -> Any:
        return host(post=post, resume=resume or reactivex.never(), ui=UIMessageStream(**options))

    return serve


def chunk(**fields: Any) -> StreamChunk:
    return StreamChunk(choices=(StreamChoice(index=0, delta=Delta(**fields)),))


def failing(items: list[Any], error: Exception) -> Observable[Any]:
    return reactivex.concat(reactivex.from_iterable(items), reactivex.throw(error))


def states(report: dict[str, Any]) -> list[str]:
    return [part["state"] for part in report["message"]["parts"] if "toolCallId" in part]


async def passes(judge: Judge, url: str, *arguments: str) -> dict[str, Any]:
    report = await judge(SCRIPT, url, "--strict", *arguments)
    assert report["ok"], report
    return report


async def test_our_parts_are_those_of_the_vendor(judges: Path) -> None:
    theirs = json.loads((judges / "ui-types.json").read_text())
    theirs.pop("package")
    ui = UIMessageStream
    assert {*ui.sent} | {*ui.not_sent} == {*theirs}
    assert not {*ui.sent} & {*ui.not_sent}
    assert all(ui.not_sent.values())
    for kind, fields in ui.sent.items():
        assert {*theirs[kind]["required"]} <= {*fields} <= {*theirs[kind]["fields"]}, kind


async def test_an_answer(judge: Judge, chat: Callable[..., Any]) -> None:
    answer = reactivex.of(text_chunk("Hel"), text_chunk("lo"), finish_chunk())
    async with chat(answer, message_id="m1", metadata={"model": "big"}, usage=True) as url:
        report = await passes(judge, url, "--expect", "Hello")
    assert (report["message"]["id"], report["message"]["metadata"]) == ("m1", {"model": "big"})


async def test_reasoning_sources_and_files(judge: Judge, chat: Callable[..., Any]) -> None:
    search = {"type": "web_search_call", "status": "completed"}
    answer = reactivex.of(
        chunk(reasoning="Hm.", part=DeltaPart(index=0, kind="reasoning")),
        chunk(part=DeltaPart(index=1, kind="server_tool", id="s"), blocks=(DeltaBlock(index=1, block=search),)),
        chunk(content="Yes.", part=DeltaPart(index=2, kind="text")),
        chunk(annotations=({"url": "https://a.example", "title": "A"}, {"filename": "b.pdf"})),
        chunk(images=({"image_url": {"url": "data:image/png;base64,AAAA"}},)),
        finish_chunk(),
    )
    async with chat(answer) as url:
        report = await passes(judge, url, "--expect", "Yes.")
    kinds = [part["type"] for part in report["message"]["parts"]]
    assert kinds == [
        *("step-start", "reasoning", "tool-web_search", "text", "source-url", "source-document", "file"),
    ]
    assert states(report) == ["output-available"]


async def test_calls_that_the_client_runs(judge: Judge, chat: Callable[..., Any]) -> None:
    calls = [
        tool_chunk('{"a": 1}', id="a", name="look"),
        tool_chunk('{"a": ', id="b", name="look", index=1),
        finish_chunk("length"),
    ]
    async with chat(reactivex.from_iterable(calls), dynamic=["look"]) as url:
        report = await passes(judge, url)
    assert [part["type"] for part in report["message"]["parts"]] == ["step-start", "dynamic-tool", "dynamic-tool"]
    async with chat(reactivex.of(calls[0], finish_chunk("tool_calls"))) as url:
        report = await passes(judge, url)
    assert report["message"]["parts"][1]["input"] == {"a": 1}
    assert states(report) == ["input-available"]


def look(where: str) -> object:
    """What is there."""
    if where == "nowhere":
        raise LookupError("secret")
    return {"seen": where}


async def approve(call: ToolCall) -> Approved | Refused:
    return Refused(reason="not there") if call.function.parsed.get("where") == "there" else Approved()


async def test_tools_that_run_here(judge: Judge, chat: Callable[..., Any]) -> None:
    def looking(index: int, where: str) -> Any:
        return script.tool_call("look", {"where": where}, id=f"call_{index}", index=index)

    calls = script.answer("I look.", *(looking(*each) for each in enumerate(["here", "there", "nowhere"])))
    async with (
        ScriptedServer(calls, script.answer("Done.")) as server,
        rxllm.LLMClient(base_url=server.base_url) as client,
    ):
        asked = {"model": "m", "messages": [{"role": "user", "content": "Look."}]}
        events = client.chat_with_tools(asked, ToolRegistry([look]), approve=approve)
        async with chat(events) as url:
            report = await passes(judge, url, "--expect", "I look.Done.")
    assert states(report) == ["output-available", "output-denied", "output-error"]
    assert "secret" not in str(report)


async def test_a_decision_about_what_was_not_asked(judge: Judge, chat: Callable[..., Any]) -> None:
    call = ToolCall.model_validate({"id": "a", "function": {"name": "look", "arguments": "{}"}})
    given = rxllm.ApprovalGiven(round=1, call=call, decision=Approved())
    async with chat(reactivex.of(given, ApprovalRequested(round=1, call=call))) as url:
        assert states(await passes(judge, url)) == ["approval-requested"]


async def test_an_error_behind_the_first_frame(judge: Judge, chat: Callable[..., Any]) -> None:
    error = APIStatusError("sk-123", status=429)
    async with chat(failing([text_chunk("Hel"), tool_chunk("{", id="a", name="look")], error)) as url:
        report = await passes(judge, url, "--outcome", "error", "--expect", "Hel")
    assert report["status"] == "error"
    assert states(report) == ["output-error"]


async def test_an_error_before_the_first_frame(judge: Judge, chat: Callable[..., Any]) -> None:
    async with chat(reactivex.throw(APIStatusError("sk-123", status=429))) as url:
        report = await judge(SCRIPT, url, "--strict", "--outcome", "error")
    # What a person sees, and no more.
    assert report["faults"] == [
        "outcome none, expected error",
        "the client: The model is busy. Try again in a while.",
    ]


async def test_a_stop(judge: Judge, chat: Callable[..., Any]) -> None:
    stopped = failing([text_chunk("Hel"), tool_chunk("{", id="a", name="look")], StreamCancelledError("stop"))
    async with chat(stopped) as url:
        report = await passes(judge, url, "--outcome", "abort", "--expect", "Hel")
    assert report["status"] == "ready"
    assert states(report) == ["input-streaming"]


async def test_a_restart(judge: Judge, chat: Callable[..., Any]) -> None:
    def again(text: str, *, restarts: bool = True) -> StreamChunk:
        return marked(text_chunk(text), begins=True, restarts=restarts)

    first = [again("One. ", restarts=False), tool_chunk("{", id="a", name="look"), again("One. "), finish_chunk()]
    later = [again("Wrong", restarts=False), again("Two."), finish_chunk()]
    async with chat(reactivex.of(*first, *later)) as url:
        report = await passes(judge, url, "--expect", "One. Two.")
    assert report["count"]["reset-step"] == 2


@pytest.fixture
def log(tmp_path: Path) -> SQLiteLog:
    return SQLiteLog(tmp_path / "log.db")


PIECES = [f"{number} words and some more of them to have a long text, " for number in range(200)]


async def test_a_page_that_comes_back(judge: Judge, chat: Callable[..., Any], log: SQLiteLog) -> None:
    chunks = [*map(text_chunk, PIECES), finish_chunk()]
    await log.produce("answer", reactivex.from_iterable(chunks))
    stream = rxllm.from_log(log, "answer")
    async with chat(stream, resume=rxllm.from_log(log, "answer")) as url:
        for arguments in (["--resume"], ["--resume", "--cut", "300"], ["--resume", "--cut", "15000"]):
            await passes(judge, url, "--expect", "".join(PIECES), *arguments)


async def test_a_page_that_comes_back_while_the_model_writes(
    judge: Judge, chat: Callable[..., Any], log: SQLiteLog
) -> None:
    answer: Subject[StreamChunk] = Subject()
    production = log.produce("answer", answer)
    await production.claimed()
    come_back = asyncio.Event()

    def resumed(_: object) -> Observable[Any]:
        come_back.set()
        return rxllm.from_log(log, "answer")

    async def write_the_rest() -> None:
        await come_back.wait()
        for piece in PIECES[100:]:
            answer.on_next(text_chunk(piece))
        answer.on_completed()
        await production

    for piece in PIECES[:100]:
        answer.on_next(text_chunk(piece))
    async with (
        asyncio.TaskGroup() as tasks,
        chat(rxllm.from_log(log, "answer"), resume=reactivex.defer(resumed)) as url,
    ):
        tasks.create_task(write_the_rest())
        await passes(judge, url, "--expect", "".join(PIECES), "--resume", "--cut", "3000")


async def test_there_is_nothing_to_come_back_to(judge: Judge, chat: Callable[..., Any], log: SQLiteLog) -> None:
    async with chat(reactivex.of("x"), resume=rxllm.from_log(log, "none")) as url:
        report = await judge(SCRIPT, url, "--resume")
    assert report["faults"][0] == "nothing to resume (204)"
    assert report["status"] == "ready"
