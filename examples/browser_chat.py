"""A chat in the browser whose answers live in a log: reload the page, open a second tab, nothing is lost or doubled.

    python examples/browser_chat.py --serve          then open the address that it prints, and press Ctrl-C to end it
    python examples/browser_chat.py --serve --redis redis://localhost:6379
                                                     two processes on two ports share the chats; needs rxllm[redis]
    python examples/browser_chat.py                  no browser: visits itself, and prints what a page would have got

The page is in ``_browser_chat``: HTML, CSS and JavaScript as they are, without a build step. What is kept of a chat is
in ``_browser_chats.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from _browser_chat_answers import answer_like_a_model
from _browser_chats import Chats, Question
from _endpoint import MODELS, Endpoint
from _running import Lines, introduce, stoppable
from aiohttp import web
from pydantic import ValidationError

import rxllm
from rxllm.harmless import harmless, printable
from rxllm.serving import aiohttp_response

PAGE = Path(__file__).parent / "_browser_chat"
FILES = {"chat.css": "text/css", "chat.js": "text/javascript", "markdown.js": "text/javascript"}
# Nothing from elsewhere, no script or style in the page, and no HTML made of text: see markdown.js.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
WAIT_SECONDS, LOOK_SECONDS = 20.0, 0.25
RELOADED_AT = 9

CHATS: web.AppKey[Chats] = web.AppKey("chats", Chats)
routes = web.RouteTableDef()
TURN = r"/api/{chat:[0-9A-Za-z-]{8,64}}/{number:\d{1,4}}"


def place(request: web.Request) -> tuple[Chats, str, int]:
    """Where a request leads: the chats, the name of one, the number of a turn."""
    return request.app[CHATS], request.match_info["chat"], int(request.match_info["number"])


@routes.get("/")
@routes.get("/c/{chat:[0-9A-Za-z-]{8,64}}")
async def page(_: web.Request) -> web.StreamResponse:
    """The page. Which chat it shows is in its address."""
    return web.FileResponse(PAGE / "index.html", headers=HEADERS)


@routes.get("/{file:chat.css|chat.js|markdown.js}")
async def part_of_page(request: web.Request) -> web.StreamResponse:
    """A file that the page loads."""
    name = request.match_info["file"]
    return web.FileResponse(PAGE / name, headers={**HEADERS, "Content-Type": f"{FILES[name]}; charset=utf-8"})


@routes.get(TURN)
async def question_of(request: web.Request) -> web.StreamResponse:
    """The question of a turn, waited for if the page likes: so it learns what is asked elsewhere."""
    chats, chat, number = place(request)
    # The log of another process tells nobody of new streams: this looks for one.
    looks = int(WAIT_SECONDS / LOOK_SECONDS) if "wait" in request.query else 0
    while (question := await chats.asked(chat, number)) is None and looks:
        looks -= 1
        await asyncio.sleep(LOOK_SECONDS)
    return web.Response(status=204) if question is None else web.json_response(question.model_dump())


@routes.post(TURN)
async def ask(request: web.Request) -> web.StreamResponse:
    """Ask the question of a turn."""
    chats, chat, number = place(request)
    if request.content_type != "application/json":  # a form of another site can send anything else
        return web.Response(status=415)
    try:
        question = Question.model_validate_json(await request.read())
    except ValidationError:
        return web.Response(status=400)
    return await tried(chats.ask(chat, number, question))


@routes.get(TURN + "/answer")
async def answer_of(request: web.Request) -> web.StreamResponse:
    """The answer of a turn, from where the page was."""
    chats, chat, number = place(request)
    return await aiohttp_response(request, chats.answer(chat, number), protocol="events")


@routes.post(TURN + "/answer")
async def go_on(request: web.Request) -> web.StreamResponse:
    """Answer a turn anew, because the process that did is dead."""
    chats, chat, number = place(request)
    return await tried(chats.produce(chat, number))


@routes.post(TURN + "/stop")
async def stop(request: web.Request) -> web.StreamResponse:
    """Stop the answer of a turn."""
    chats, chat, number = place(request)
    return await tried(chats.stop(chat, number))


async def tried(step: Any) -> web.Response:
    """What became of a step."""
    try:
        await step
    except rxllm.StreamTakenError as taken:
        return web.json_response({"ended": taken.ended}, status=409)
    except rxllm.UnknownStreamError:
        return web.Response(status=404)
    return web.Response(status=204)


def application(server: Endpoint, log: rxllm.Log) -> web.Application:
    """The application of one process."""

    async def with_client(app: web.Application) -> AsyncIterator[None]:
        async with server.connect(answer_like_a_model) as client:
            app[CHATS] = Chats(log, client, server.model)
            yield

    app = web.Application(client_max_size=100_000)
    app.cleanup_ctx.append(with_client)
    app.add_routes(routes)
    return app


def open_log(where: str | None) -> rxllm.Log:
    """The log: in Redis, in a file, or in a file that is gone afterwards."""
    if where is None:
        where = str(Path(tempfile.mkdtemp(prefix="rxllm-")) / "chats.db")
    return rxllm.RedisLog(where) if where.startswith(("redis", "unix:")) else rxllm.SQLiteLog(where)


async def events_of(body: aiohttp.StreamReader) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The position and the event of each frame, as a page reads them."""
    position = ""
    async for line in body:
        field, _, value = line.decode().rstrip().partition(": ")
        if field == "id":
            position = value
        elif field == "data":
            yield position, json.loads(value)


async def visit(session: aiohttp.ClientSession, chat: str, number: int, question: str) -> None:
    """Ask, read a little, leave as a reload does, and go on exactly there."""
    print(f"you    {question}")
    url = f"/api/{chat}/{number}"
    async with session.post(url, json={"question": question}) as asked:
        asked.raise_for_status()
    position, seen, page = "", 0, Page()
    while position != "end":
        async with session.get(f"{url}/answer", params={"after": position} if position else {}) as response:
            async for where, event in events_of(response.content):
                position, seen = where, seen + 1
                page.show(event)
                if seen == RELOADED_AT:
                    page.lines.add("⟳")
                    break
    page.lines.end()


class Page:
    """Prints what a page shows."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.lines.add("model  ")

    def show(self, event: dict[str, Any]) -> None:
        """Print what it shows of an event."""
        match event:
            case {"type": "text", "text": text}:
                self.lines.add(printable(text))
            case {"type": "tool_call", "call": {"function": call}}:
                self.lines.line(f"       runs {harmless(call['name'])} with {harmless(call['arguments'])}")
            case {"type": "tool_result", "result": {"content": content}}:
                self.lines.line(f"       it says: {harmless(content)}")
            case {"type": "end", "ending": "failed", "error": {"message": message}}:
                self.lines.line(f"       {harmless(message)}")
            case _:
                pass


async def main(server: Endpoint, where: str | None = None) -> None:
    """Visit a server of this process without a browser, in a chat of two turns."""
    runner = web.AppRunner(application(server, open_log(where)), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            async with session.get("/") as response:
                print(f"{response.status} {response.content_type}, {len(await response.text())} characters\n")
            chat = uuid4().hex
            await visit(session, chat, 0, "What is the weather in Paris, Tokyo and Atlantis?")
            await visit(session, chat, 1, "Show me a loop that reads a stream.")
    finally:
        await runner.cleanup()
    print("\n⟳ marks the reload. To see the page: python examples/browser_chat.py --serve")


def serve(server: Endpoint, where: str | None, port: int) -> None:
    """Serve until Ctrl-C or SIGTERM."""

    def ready(_: str) -> None:
        print(f"rxllm chat: http://127.0.0.1:{port}", flush=True)

    web.run_app(application(server, open_log(where)), host="127.0.0.1", port=port, shutdown_timeout=1, print=ready)


async def serve_twice(dialect: str, redis: str, ports: list[int]) -> None:
    """Two processes with one log; they end with this one."""
    own = [sys.executable, __file__, "--serve", "--dialect", dialect, "--redis", redis]
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    processes = [await asyncio.create_subprocess_exec(*own, "--port", str(port), "--alone") for port in ports]
    try:
        await asyncio.gather(*(process.wait() for process in processes))
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def run() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="serve the page; without it, visit it without a browser")
    parser.add_argument(
        "--port", type=int, default=8765, help="where; with --redis the second process has the next one"
    )
    parser.add_argument("--redis", metavar="URL", help="a log in Redis, for two processes")
    parser.add_argument("--file", metavar="PATH", help="a log in a file that stays; without it, chats end with this")
    parser.add_argument(
        "--dialect", choices=list(MODELS), default=Endpoint.dialect, help="what the model's server speaks"
    )
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    server, where = Endpoint(arguments.dialect), arguments.redis or arguments.file
    if not arguments.serve:
        with stoppable():
            introduce()
            rxllm.run(main(server, where))
    elif arguments.redis and not arguments.alone:
        asyncio.run(serve_twice(arguments.dialect, arguments.redis, [arguments.port, arguments.port + 1]))
    else:
        serve(server, where, arguments.port)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        run()
