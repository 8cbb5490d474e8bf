"""No key of the environment reaches another provider: each pair of those that there are."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from yarl import URL

import rxllm
from rxllm import LLMClient
from rxllm.dialects import Dialect, Endpoint
from rxllm.testing import ReceivedRequest, ScriptedServer, TLSContexts, script
from tests.client.test_keys import Here
from tests.providers import providers

REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])
GIVEN = "sk-given-0123456789"
PROVIDERS = providers()
ADDRESSES = {name: str(each.home.base_url) for name, each in PROVIDERS.items() if each.home.base_url}
# Those that cannot be anywhere but on the network.
REMOTE = {name: url for name, url in ADDRESSES.items() if url.startswith("https:")}


def marker(variable: str) -> str:
    """The key that a variable has."""
    return f"key-of-{variable.lower().replace('_', '-')}-0123456789"


MARKERS = {
    each.home.key_variable: marker(each.home.key_variable) for each in PROVIDERS.values() if each.home.key_variable
}


@pytest.fixture(autouse=True)
def every_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in PROVIDERS.values():
        if each.home.base_url_variable:
            monkeypatch.delenv(each.home.base_url_variable, raising=False)
    for variable, key in MARKERS.items():
        monkeypatch.setenv(variable, key)


def keys_in(request: ReceivedRequest) -> set[str]:
    """The keys that a request has anywhere: in a header, the URL or the body."""
    text = json.dumps([request.path, request.query, request.headers, request.body.decode("latin-1")])
    return {key for key in (*MARKERS.values(), GIVEN) if key in text}


async def ask(base_url: str | None, dialect: Dialect, **options: Any) -> None:
    """Send a request. What comes back may be of another dialect."""
    client = LLMClient(base_url=base_url, dialect=dialect, retries=0, **options)
    async with asyncio.timeout(60):
        with contextlib.suppress(rxllm.RxllmError):
            await client.chat(REQUEST)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_key_of_the_environment_reaches_no_other_provider(name: str, tls: TLSContexts) -> None:
    dialect = PROVIDERS[name]
    own = {MARKERS[dialect.home.key_variable]} if dialect.home.key_variable else set[str]()
    async with (
        ScriptedServer("Hello", repeat=True, ssl=tls.server) as server,
        ScriptedServer("Hello", repeat=True) as proxy,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Here(server))) as session,
    ):
        for other, address in ADDRESSES.items():
            if other in REMOTE:
                await ask(address, dialect, session=session, ssl=False)
                (request,) = server.requests
                server.requests.clear()
                is_own = URL(address).origin() == URL(ADDRESSES.get(name, "http://none")).origin()
            else:
                await ask(address, dialect, proxy=proxy.origin)
                (request,) = proxy.requests
                proxy.requests.clear()
                is_own = True  # this machine
            assert keys_in(request) == (own if is_own else set()), (name, address)
            # The same address without encryption, and one that only looks like it.
            for base_url in (f"http://{URL(address).host}.elsewhere/v1", *plain(address)):
                await ask(base_url, dialect, proxy=proxy.origin)
                (request,) = proxy.requests
                proxy.requests.clear()
                assert keys_in(request) == set(), (name, base_url)


def plain(address: str) -> Iterator[str]:
    if address.startswith("https:"):
        yield address.replace("https:", "http:", 1)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_key_that_is_given_goes_where_it_is_told_and_no_other_does(name: str) -> None:
    async with ScriptedServer("Hello", repeat=True) as proxy:
        for base_url in ("http://api.elsewhere/v1", "http://localhost/v1"):
            await ask(base_url, PROVIDERS[name], proxy=proxy.origin, api_key=GIVEN)
            assert keys_in(proxy.requests[-1]) == {GIVEN}


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_base_url_of_the_environment_gets_its_own_key_only(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = PROVIDERS[name].home
    variables = {each.home.base_url_variable for each in PROVIDERS.values()} - {None}
    for variable in variables:
        monkeypatch.setenv(str(variable), address_in(variable))
    async with ScriptedServer("Hello", repeat=True) as proxy:
        for variable in variables - {home.base_url_variable}:
            await ask(address_in(variable), PROVIDERS[name], proxy=proxy.origin)
            assert keys_in(proxy.requests[-1]) == set()
        if home.base_url_variable:
            await ask(None, PROVIDERS[name], proxy=proxy.origin)
            assert proxy.requests[-1].headers["host"] == URL(address_in(home.base_url_variable)).authority
            assert keys_in(proxy.requests[-1]) == {MARKERS[home.key_variable or ""]}


def address_in(variable: str | None) -> str:
    return f"http://{str(variable).lower().replace('_', '-')}.example:8000/v1"


@pytest.mark.parametrize("name", REMOTE)
async def test_a_redirect_takes_no_key_along(name: str, tls: TLSContexts) -> None:
    dialect = PROVIDERS[name]
    logins = {"X-Api-Key": GIVEN, "Api-Key": GIVEN, "X-Goog-Api-Key": GIVEN, "Cookie": f"a={GIVEN}", "X-Own": GIVEN}
    here = str(URL(REMOTE[name]).host)
    elsewhere = {str(URL(address).host): address for address in REMOTE.values() if URL(address).host != here}
    targets: list[str] = []

    def answer(request: ReceivedRequest) -> script.Answer:
        is_here = request.headers["host"] == here
        return script.redirect(f"{targets[-1]}/elsewhere") if is_here else script.as_answer("Hello")

    async with (
        ScriptedServer(answer, repeat=True, ssl=tls.server) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Here(server))) as session,
    ):
        for there, address in elsewhere.items():
            targets.append(address)
            for headers in (None, logins):
                await ask(None, dialect, session=session, ssl=False, headers=headers)
                first, second = server.requests[-2:]
                assert (first.headers["host"], second.headers["host"]) == (here, there)
                assert keys_in(first), there
                assert keys_in(second) == set(), there
                assert not {"authorization", *map(str.lower, logins)} & second.headers.keys()


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_key_is_in_no_repr(name: str) -> None:
    client = LLMClient(dialect=PROVIDERS[name], base_url=f"https://user:{GIVEN}@host/v1?k={GIVEN}", api_key=GIVEN)
    endpoint = Endpoint(base_url=f"https://user:{GIVEN}@host/v1?k={GIVEN}", key=SecretStr(GIVEN))
    wire = PROVIDERS[name].http_request(REQUEST, endpoint)
    for each in (client, endpoint, wire, PROVIDERS[name]):
        assert GIVEN not in f"{each} {each!r}"
    assert GIVEN in json.dumps([*wire.headers.values()])
