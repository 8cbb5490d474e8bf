"""Clients of a server that leave at once or stand still: ``python -m tests.soak.clients``.

1. So many clients leave at the same moment, each while its answer is under way: how long it takes until the provider
   has heard of it, and what is left then.
2. One client stands still while the provider has 200 MB to say: by how much the memory of the server grows, and how
   much the provider got rid of.

Both through ``aiohttp.web`` and through uvicorn.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import rxllm
from rxllm import serving
from rxllm.testing import LeakError, ScriptedServer, leak_check, script

TOTAL_BYTES = 200_000_000
CHUNK_BYTES = 65_536
MOST_BYTES = 16_000_000
MOST_SECONDS = 0.1

SERVER = """
import socket, sys
import rxllm
from rxllm import serving

host, provider = sys.argv[1:]
client = rxllm.LLMClient(base_url=provider, api_key="none")

def pipeline():
    return client.chat_stream(rxllm.ChatRequest(model="m", messages=[rxllm.Message.user("?")]))

listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
print(listening.getsockname()[1], flush=True)
if host == "aiohttp":
    from aiohttp import web

    async def handle(request):
        return await serving.aiohttp_response(request, pipeline())

    app = web.Application()
    app.router.add_get("/", handle)
    web.run_app(app, sock=listening, print=None, access_log=None)
else:
    import uvicorn

    async def app(scope, receive, send):
        await serving.StreamingResponse(pipeline())(scope, receive, send)

    config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
    uvicorn.Server(config).run([listening])
"""


@asynccontextmanager
async def server(host: str, provider: str) -> AsyncGenerator[tuple[int, int]]:
    """A server in a process of its own: its process and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, host, provider, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.pid, int(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has got the first bytes of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"data: ")
    return reader, writer


async def leave(host: str, clients: int) -> bool:
    """Let all leave at once; whether each was noticed in time."""
    async with (
        ScriptedServer([script.text("x"), script.stall()], repeat=True) as provider,
        server(host, provider.url) as (process, port),
    ):
        await (await ask(port))[1].drain()
        files = open_files(process)
        connections = [await ask(port) for _ in range(clients)]
        begun = asyncio.get_running_loop().time()
        for _, writer in connections:
            writer.transport.abort()
        took: list[float] = []
        for request in provider.requests[1:]:
            await request.peer_left.wait()
            took.append((request.peer_left_at or 0.0) - begun)
        await asyncio.sleep(0.5)
        left = open_files(process) - files
    took.sort()
    print(
        f"{host}: {clients} clients left at once; the provider heard of it after {took[len(took) // 2] * 1000:.0f} ms "
        f"(median), {took[-1] * 1000:.0f} ms (the last); {left} files left"
    )
    return left <= 0


async def leave_one_by_one(host: str, times: int) -> bool:
    """Let one leave at a time; whether each was noticed in time."""
    took: list[float] = []
    async with (
        ScriptedServer([script.text("x"), script.stall()], repeat=True) as provider,
        server(host, provider.url) as (_, port),
    ):
        for number in range(times):
            _, writer = await ask(port)
            begun = asyncio.get_running_loop().time()
            writer.transport.abort()
            request = await provider.wait_for_request(number)
            await request.peer_left.wait()
            took.append((request.peer_left_at or 0.0) - begun)
    took.sort()
    print(
        f"{host}: {times} clients left one by one; {took[times // 2] * 1000:.1f} ms (median), {took[-1] * 1000:.1f} ms"
    )
    return took[-1] < MOST_SECONDS


async def leave_here(clients: int) -> bool:
    """As above with everything in this process: no task, timer, connection or pause may be left."""
    try:
        async with (
            leak_check(),
            ScriptedServer([script.text("x"), script.stall()], repeat=True) as provider,
            rxllm.LLMClient(base_url=provider.url, api_key="none") as llm,
            served_here(llm) as port,
        ):
            connections = [await ask(port) for _ in range(clients)]
            for _, writer in connections:
                writer.transport.abort()
            for request in provider.requests:
                await request.peer_left.wait()
    except LeakError as error:
        print(error)
        return False
    print(f"in one process: {clients} clients left at once; nothing is left")
    return True


@asynccontextmanager
async def served_here(llm: rxllm.LLMClient) -> AsyncGenerator[int]:
    from aiohttp import web  # noqa: PLC0415 - only here

    async def handle(request: web.Request) -> web.StreamResponse:
        asked = rxllm.ChatRequest(model="m", messages=[rxllm.Message.user("?")])
        return await serving.aiohttp_response(request, llm.chat_stream(asked))

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def stand_still(host: str) -> bool:
    """Read nothing of 200 MB; whether the memory of the server stays where it is."""
    async with (
        ScriptedServer(script.answer("x"), script.flood(TOTAL_BYTES, size=CHUNK_BYTES)) as provider,
        server(host, provider.url) as (process, port),
    ):
        _, first = await ask(port)
        first.close()
        before = resident_bytes(process)
        reader, writer = await ask(port)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = await provider.wait_for_request(1)
        await request.writes_stopped()
        grown = resident_bytes(process) - before
        written = request.bytes_written
        writer.transport.abort()
        del reader
    print(
        f"{host}: with 200 MB to send and a client that stands still, the server grew by {grown / 1e6:.1f} MB, and the "
        f"provider's writes stopped after {written / 1e6:.1f} MB"
    )
    return max(grown, written) < MOST_BYTES


def resident_bytes(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()


def open_files(process: int) -> int:
    return len([*Path(f"/proc/{process}/fd").iterdir()])


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.clients", description=__doc__)
    parser.add_argument("--clients", type=int, default=500)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    begun = time.monotonic()
    good = [await leave_here(options.clients)]
    for host in ("aiohttp", "uvicorn"):
        good += [await leave(host, options.clients), await leave_one_by_one(host, 20), await stand_still(host)]
    print(f"{time.monotonic() - begun:.0f} s")
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
