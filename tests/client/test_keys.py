"""Which key a client sends where."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import aiohttp
import aiohttp.abc
import pytest
from pydantic import SecretStr

import rxllm
from rxllm import LLMClient
from rxllm.dialects import Home, OpenAIChat
from rxllm.testing import ScriptedServer, TLSContexts, script

KEY = "sk-of-the-environment-and-long"
OTHER_KEY = "sk-given-and-long-enough"
REQUEST = rxllm.ChatRequest(model="m", messages=[{"role": "user", "content": "Hi"}])


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


async def key_at(base_url: str | None, proxy: ScriptedServer, api_key: str | SecretStr | None = None) -> str | None:
    """Which key arrives where a client sends its request; over http all goes through the proxy, for any host."""
    proxy.add("Hello")
    client = LLMClient(base_url=base_url, api_key=api_key, proxy=proxy.origin)
    await client.chat(REQUEST)
    return proxy.requests[-1].headers.get("authorization", "").removeprefix("Bearer ") or None


@pytest.mark.parametrize(
    "base_url",
    [
        *(
            "http://api.elsewhere/v1",
            "http://api.openai.com.elsewhere/v1",
            "http://openai.com/v1",
            "http://10.0.0.1/v1",
        ),
        # The provider's own, but for everybody on the way to read.
        *("http://api.openai.com/v1", "http://api.openai.com:443/v1"),
        *("http://localhost.elsewhere/v1", "http://0.0.0.0/v1", "http://128.0.0.1/v1", "http://[::2]/v1"),
    ],
)
async def test_a_key_of_the_environment_does_not_go_elsewhere(base_url: str) -> None:
    async with ScriptedServer() as proxy:
        assert await key_at(base_url, proxy) is None
        assert await key_at(base_url, proxy, OTHER_KEY) == OTHER_KEY
        assert await key_at(base_url, proxy, SecretStr(OTHER_KEY)) == OTHER_KEY


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "my.localhost:8080", "127.0.0.1:1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_a_key_of_the_environment_goes_to_this_machine(host: str) -> None:
    async with ScriptedServer() as proxy:
        assert await key_at(f"http://{host}/v1", proxy) == KEY


async def test_a_key_of_the_environment_goes_to_the_base_url_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.example:8000/v1")
    async with ScriptedServer() as proxy:
        assert await key_at(None, proxy) == KEY
        assert await key_at("http://llm.example:8000/v2", proxy) == KEY
        assert await key_at("http://llm.example/v1", proxy) is None
        for unreadable in ("http://[::1/v1", "llm.example:8000/v1", "mailto:me@llm.example"):
            monkeypatch.setenv("OPENAI_BASE_URL", unreadable)
            assert await key_at("http://llm.example:8000/v1", proxy) is None


class Here(aiohttp.abc.AbstractResolver):
    """Finds every host at one port of this machine."""

    def __init__(self, server: ScriptedServer) -> None:
        self._port = int(server.origin.rpartition(":")[2])

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        del port
        return [{"hostname": host, "host": "127.0.0.1", "port": self._port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        """Nothing is held."""


async def test_a_key_of_the_environment_goes_to_its_provider(tls: TLSContexts) -> None:
    urls = (None, "https://api.openai.com/v1", "https://API.OPENAI.COM:443/v2", "https://api.elsewhere/v1")
    async with (
        ScriptedServer("Hello", repeat=True, ssl=tls.server) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Here(server))) as session,
    ):
        for url in urls:
            await LLMClient(base_url=url, session=session, ssl=False).chat(REQUEST)

    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [f"Bearer {KEY}"] * 3 + [None]


@pytest.mark.parametrize("base_url", ["localhost.elsewhere/v1", "mailto:me@localhost.elsewhere"])
async def test_what_is_no_url_of_http_gets_no_key(base_url: str) -> None:
    with pytest.raises(ValueError, match=r"^base_url cannot be requested: "):
        LLMClient(base_url=base_url)


async def test_a_key_with_a_line_break_at_its_end_is_sent_without(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer() as proxy:
        assert await key_at("http://elsewhere/v1", proxy, f"{OTHER_KEY}\n") == OTHER_KEY
        monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\r\n")
        assert await key_at("http://localhost/v1", proxy) == KEY
        assert await key_at("http://localhost/v1", proxy, "") is None


Ask = Callable[[LLMClient], Awaitable[object]]
WAYS: tuple[Ask, ...] = (lambda client: client.chat(REQUEST), lambda client: client.websocket_stream(REQUEST))


@pytest.mark.parametrize("ask", WAYS, ids=["SSE", "WebSocket"])
async def test_a_refusal_says_which_key_there_is_and_why_it_was_not_sent(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ScriptedServer(script.status(401, "who are you?"), repeat=True) as proxy:

        async def refusal(**options: str | dict[str, str]) -> str:
            given: dict[str, object] = {"base_url": "http://api.elsewhere/v1", "proxy": proxy.origin, **options}
            with pytest.raises(rxllm.APIStatusError) as caught:
                await ask(LLMClient(**given))  # type: ignore[arg-type]
            assert KEY not in str(caught.value)
            return str(caught.value)

        withheld = await refusal()
        assert withheld.startswith("401 ")
        assert withheld.endswith(
            "; the client sent no key: OPENAI_API_KEY is set, but goes only to https://api.openai.com, to "
            "OPENAI_BASE_URL and to this machine; to send a key elsewhere, give it as api_key="
        )
        assert (await refusal(api_key="")).endswith("; the client sent no key: api_key is empty")
        for with_key in (
            {"api_key": OTHER_KEY},
            {"headers": {"X-Api-Key": OTHER_KEY}},
            {"base_url": "http://localhost"},
        ):
            assert "the client sent no key" not in await refusal(**with_key)
        monkeypatch.delenv("OPENAI_API_KEY")
        assert (await refusal()).endswith("give it as api_key=, or set OPENAI_API_KEY, which is not set")


async def test_other_errors_say_nothing_of_keys() -> None:
    async with ScriptedServer(script.status(404, ""), repeat=True) as proxy:
        with pytest.raises(rxllm.APIStatusError) as caught:
            await LLMClient(base_url="http://api.elsewhere/v1", proxy=proxy.origin).chat(REQUEST)
    assert "key" not in str(caught.value)


def test_a_dialect_without_a_home_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = OpenAIChat(home=Home(base_url=None))
    dialect = OpenAIChat(home=Home(base_url=None, base_url_variable="ACME_BASE_URL"))
    for each, advice in ((nowhere, ""), (dialect, ", or set ACME_BASE_URL")):
        with pytest.raises(ValueError, match=r"^this dialect has no base URL of its own: ") as caught:
            LLMClient(dialect=each)
        assert str(caught.value).endswith(f": give it as base_url={advice}")
    monkeypatch.setenv("ACME_BASE_URL", "https://acme.example/v1")
    assert repr(LLMClient(dialect=dialect)) == "LLMClient(base_url='https://acme.example/v1', dialect='openai-chat')"
    monkeypatch.setenv("ACME_BASE_URL", "acme.example/v1")
    with pytest.raises(ValueError, match=r"^ACME_BASE_URL cannot be requested: it has no scheme"):
        LLMClient(dialect=dialect)


async def test_a_dialect_without_variables_says_in_a_refusal_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer(script.status(401, "no"), repeat=True) as proxy:
        monkeypatch.setenv("ACME_API_KEY", KEY)
        for home, absence in (
            (Home(base_url=None), "give it as api_key="),
            (
                Home(base_url=None, key_variable="ACME_API_KEY"),
                "ACME_API_KEY is set, but goes only to this machine; to ",
            ),
        ):
            with pytest.raises(rxllm.APIStatusError) as caught:
                await LLMClient(base_url="http://elsewhere/v1", proxy=proxy.origin, dialect=OpenAIChat(home=home)).chat(
                    REQUEST
                )
            assert f"; the client sent no key: {absence}" in str(caught.value)
    assert all("authorization" not in request.headers for request in proxy.requests)
