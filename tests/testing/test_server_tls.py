"""The scripted server over TLS."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import aiohttp
import pytest

from rxllm.testing import ScriptedServer, script

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="makes its certificate with openssl, which is not installed")


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, and that of a client that trusts it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = f"{OPENSSL} req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


async def test_an_answer_over_tls_and_a_peer_that_leaves(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer("Hello", [b"abc", script.stall()], ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        assert server.url.startswith("https://")
        assert server.ws_url.startswith("wss://")
        async with session.post(server.url) as response:
            assert (await response.text()).endswith("data: [DONE]\n\n")
        async with session.post(server.url) as response:
            assert await response.content.readany() == b"abc"
        await server.requests[1].peer_left.wait()
        await server.wait_disconnected()


async def test_writes_stop_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer(script.flood(24_000_000), ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        request = await server.wait_for_request()
        await request.writes_stopped()
        assert request.bytes_written < 16_000_000
        await response.read()
        await request.finished.wait()


@pytest.mark.parametrize("end", [script.cut(), script.reset()])
async def test_a_cut_over_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext], end: script.Step) -> None:
    ours, theirs = contexts
    read = asyncio.Event()
    connector = aiohttp.TCPConnector(ssl=theirs)
    async with (
        ScriptedServer([b"abc", script.wait_for(read), end], ssl=ours) as server,
        aiohttp.ClientSession(connector=connector) as session,
        session.post(server.url) as response,
    ):
        assert await response.content.readany() == b"abc"
        read.set()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
