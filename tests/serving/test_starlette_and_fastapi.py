"""``StreamingResponse`` is an answer of Starlette and FastAPI, and does without them."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import aiohttp
import pytest
import reactivex
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rxllm import serving
from tests.serving.conftest import SECONDS, Client, Source, running_asgi, soon

Connect = Callable[..., Awaitable[Client]]


fastapi = FastAPI()
done = asyncio.Event()


async def who() -> str:
    return "you"


# With its type as annotation, of which FastAPI would make a model if it were no response.
@fastapi.post("/")
async def chat(
    body: dict[str, Any], name: Annotated[str, Depends(who)], background: BackgroundTasks
) -> serving.StreamingResponse:
    background.add_task(done.set)
    return serving.StreamingResponse(reactivex.of("Hello, ", name, body["mark"]), body=body)


async def test_a_route_of_fastapi_returns_it(http: aiohttp.ClientSession) -> None:
    async with running_asgi(fastapi) as url, http.post(url, json={"mark": "!"}) as response:
        text = await response.text()
        await soon(done)

    assert response.status == 200
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert [line for line in text.splitlines() if '"text":' in line][-1] == 'data: {"round":1,"type":"text","text":"!"}'


async def test_it_stands_behind_middlewares(http: aiohttp.ClientSession, connect: Connect, source: Source) -> None:
    seen: list[int] = []

    async def dispatch(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        seen.append(response.status_code)
        return response

    async def chat(_: Request) -> Any:
        response: Any = serving.StreamingResponse(source(), background=BackgroundTask(seen.append, 0))
        response.set_cookie("session", "abc")
        response.headers["Cache-Control"] = "no-store"
        return response

    middlewares = [
        Middleware(CORSMiddleware, allow_origins=["*"]),
        Middleware(GZipMiddleware, minimum_size=1),
        Middleware(BaseHTTPMiddleware, dispatch=dispatch),
    ]
    app = Starlette(routes=[Route("/", chat)], middleware=middlewares)
    async with asyncio.timeout(SECONDS), running_asgi(app) as url:
        source.put("Hel")
        async with http.get(url, headers={"Origin": "https://example.org"}) as response:
            assert b"Hel" in await response.content.readline()
            source.put("lo", None)
            await response.read()
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Set-Cookie"].startswith("session=abc")
        assert response.headers.getall("Cache-Control") == ["no-store"]
        assert "Content-Encoding" not in response.headers

        source.left.clear()
        source.put("Hel")
        client = await connect(url)
        client.ask()
        await client.until(b"Hel")
        client.reset()
        await soon(source.left)

    assert sorted(seen) == [0, 0, 200, 200]


def test_it_is_a_response_of_starlette_where_that_is() -> None:
    response: Any = serving.StreamingResponse(reactivex.empty())

    assert isinstance(response, Response)
    assert response.media_type == "text/event-stream"
    assert response.status_code == 200


def test_it_does_without_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.responses", None)
    found = importlib.util.find_spec("rxllm.serving._asgi")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)

    found.loader.exec_module(module)

    assert module.StreamingResponse.__mro__[1:] == (object,)
