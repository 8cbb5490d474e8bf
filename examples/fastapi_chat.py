"""A back end for ``useChat`` of Vercel's AI SDK, with resumable streams: FastAPI, and a log in a file.

    pip install fastapi uvicorn                  besides rxllm
    python examples/fastapi_chat.py --serve      then let a page with useChat ask http://127.0.0.1:8766/api/chat
    python examples/fastapi_chat.py              asks itself, as useChat does

In the page::

    const { messages, sendMessage } = useChat({ id: chatId, resume: true })

``resume`` makes ``useChat`` ask for ``/api/chat/ID/stream`` when the page is loaded. Its own ``stop`` only closes the
connection of the page, and the answer goes on: let a button send a POST to ``/api/chat/ID/stop``, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import aiohttp
from _browser_chat_answers import answer_like_a_model
from _endpoint import MODELS, Endpoint
from _running import Lines, stoppable
from pydantic import BaseModel, Field

import rxllm
from rxllm import ChatRequest, Message
from rxllm.harmless import harmless, printable
from rxllm.serving import StreamingResponse, UIMessageStream

try:
    import uvicorn
    from fastapi import FastAPI
except ImportError:
    sys.exit("this example needs FastAPI and a server for it: pip install fastapi uvicorn")

TOOLS = rxllm.ToolRegistry()


@TOOLS.tool
async def get_weather(city: str) -> str:
    """The weather now."""
    return {"Paris": "18 degrees, rain", "Tokyo": "27 degrees, sun"}[city]


# The back end begins here …


class UIMessage(BaseModel):
    """A message of the page. Of its parts only the texts go to the model here."""

    role: Literal["system", "user", "assistant"]
    parts: list[dict[str, Any]]

    def message(self) -> Message:
        """The same for the model."""
        return Message(role=self.role, content="".join(part["text"] for part in self.parts if part["type"] == "text"))


class Asked(BaseModel):
    """What ``useChat`` sends."""

    id: str = Field(pattern=r"^[\w-]{1,100}$")
    messages: list[UIMessage] = Field(min_length=1)


def back_end(server: Endpoint, log: rxllm.Log) -> FastAPI:
    """The application."""

    @asynccontextmanager
    async def with_client(app: FastAPI) -> AsyncGenerator[None]:
        async with server.connect(answer_like_a_model) as app.state.client:
            yield

    app = FastAPI(lifespan=with_client)

    def followed(name: str) -> StreamingResponse:
        # The page replaces the message with this identifier, if it has a part of it.
        return StreamingResponse(rxllm.from_log(log, name), protocol=UIMessageStream(message_id=name))

    async def running(chat: str) -> str | None:
        names = [each.stream for each in await log.list() if each.alive and each.stream.startswith(f"{chat}/")]
        return names[-1] if names else None

    @app.post("/api/chat")
    async def ask(asked: Asked) -> StreamingResponse:
        request = ChatRequest(model=server.model, messages=[each.message() for each in asked.messages], max_tokens=2000)
        production = log.produce(f"{asked.id}/{uuid4().hex}", app.state.client.chat_with_tools(request, TOOLS))
        await production.claimed()
        return followed(production.name)

    @app.get("/api/chat/{chat}/stream")
    async def resume(chat: str) -> StreamingResponse:
        # Where there is no stream, the answer is 204: useChat shows what it has.
        return followed(await running(chat) or f"{chat}/none")

    @app.post("/api/chat/{chat}/stop", status_code=204)
    async def stop(chat: str) -> None:
        if name := await running(chat):
            await log.cancel(name, "stopped on the page")

    return app


# … and ends here. What follows runs it, and asks it.


async def read(response: aiohttp.ClientResponse, parts: int | None = None) -> None:
    """Print the text of an answer, or of so many parts of it; ``useChat`` makes a message of them."""
    lines = Lines(" " * 32)
    lines.add(f"{response.method:4} {response.url.path.replace(CHAT, 'ID'):21} {response.status}  ")
    async for line in response.content:
        data = line.decode().removeprefix("data: ").rstrip()
        if not data.startswith("{"):
            continue
        match part := json.loads(data):
            case {"type": "text-delta", "delta": text}:
                lines.add(printable(text).replace("\n", " "))
            case {"type": "tool-input-available"}:
                lines.add(f" ({harmless(part['toolName'])} of {harmless(json.dumps(part['input']))}) ")
            case {"type": "abort" | "error"}:
                lines.add(f" [{part['type']}]")
            case _:
                pass
        if parts is not None:
            parts -= 1
            if parts == 0:
                break
    lines.end()


CHAT = "chat-" + uuid4().hex[:8]


async def visit(session: aiohttp.ClientSession) -> None:
    """Ask, reload in the middle, and stop another answer."""

    async def ask(text: str, parts: int | None = None) -> None:
        said = {"id": uuid4().hex, "role": "user", "parts": [{"type": "text", "text": text}]}
        async with session.post(
            "/api/chat", json={"id": CHAT, "messages": [said], "trigger": "submit-message"}
        ) as response:
            await read(response, parts)

    await ask("Show me a loop that reads a stream.", parts=12)
    async with session.get(f"/api/chat/{CHAT}/stream") as response:  # the page is loaded again
        await read(response)
    await ask("What is the weather in Paris and in Tokyo?")
    await ask("Count to 200", parts=12)
    async with session.post(f"/api/chat/{CHAT}/stop") as response:
        await read(response)
    async with session.get(f"/api/chat/{CHAT}/stream") as response:
        await read(response)


async def main(server: Endpoint, port: int = 0, *, stays: bool = False) -> None:
    """Serve; and unless that is all, visit the server and stop."""
    log = rxllm.SQLiteLog(Path(tempfile.mkdtemp(prefix="rxllm-")) / "chats.db")
    config = uvicorn.Config(back_end(server, log), port=port, log_level="warning", ws="none", lifespan="on")
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started and not serving.done():  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.01)
    if running.started:
        origin = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
        print(f"{origin}/api/chat", flush=True)
        try:
            if not stays:
                async with aiohttp.ClientSession(origin) as session:
                    await visit(session)
        finally:
            running.should_exit = running.should_exit or not stays
            await serving


def run() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help="serve, and do not visit")
    parser.add_argument("--port", type=int, default=8766, help="where to serve")
    parser.add_argument(
        "--dialect", choices=list(MODELS), default=Endpoint.dialect, help="what the model's server speaks"
    )
    arguments = parser.parse_args()
    server = Endpoint(arguments.dialect)
    asyncio.run(main(server, arguments.port, stays=True) if arguments.serve else main(server))


if __name__ == "__main__":
    with stoppable():
        run()
