"""Hosts by name: where they are, and what they are sent."""

from __future__ import annotations

import dataclasses
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rxllm
from rxllm import LLMClient, Message
from rxllm.dialects import HOSTS, Home, OpenAIChat, get_host
from rxllm.testing import ScriptedServer

KEY = "sk-canary-0123456789"
QUESTION = Message.user("Is it old?")
CALL = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
# As accumulating a stream makes it, with what only its provider knows.
THOUGHT = Message.model_validate(
    {"role": "assistant", "content": None, "reasoning_content": "Hm.", "signature": "s", "tool_calls": [CALL]}
)
RESULT = Message.tool("yes", tool_call_id="call-1")

ADDRESSES = {
    "groq": ("https://api.groq.com/openai/v1/chat/completions", "GROQ_API_KEY"),
    "openrouter": ("https://openrouter.ai/api/v1/chat/completions", "OPENROUTER_API_KEY"),
    "together": ("https://api.together.xyz/v1/chat/completions", "TOGETHER_API_KEY"),
    "fireworks": ("https://api.fireworks.ai/inference/v1/chat/completions", "FIREWORKS_API_KEY"),
    "deepseek": ("https://api.deepseek.com/chat/completions", "DEEPSEEK_API_KEY"),
    "mistral": ("https://api.mistral.ai/v1/chat/completions", "MISTRAL_API_KEY"),
    "xai": ("https://api.x.ai/v1/chat/completions", "XAI_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1/chat/completions", "CEREBRAS_API_KEY"),
    "perplexity": ("https://api.perplexity.ai/chat/completions", "PERPLEXITY_API_KEY"),
    "ollama-cloud": ("https://ollama.com/api/chat", "OLLAMA_API_KEY"),
    "ollama": ("http://localhost:11434/v1/chat/completions", None),
    "lm-studio": ("http://localhost:1234/v1/chat/completions", None),
    "vllm": ("http://localhost:8000/v1/chat/completions", None),
    "llama.cpp": ("http://localhost:8080/v1/chat/completions", None),
}
CHATS = {name: host for name, host in HOSTS.items() if isinstance(host, OpenAIChat)}
STRICT = {"groq", "cerebras", "mistral", "perplexity"}


@pytest.mark.parametrize("name", HOSTS)
def test_each_host_has_an_address_and_a_variable_for_its_key(name: str) -> None:
    home = HOSTS[name].home
    wire = HOSTS[name].http_request(rxllm.ChatRequest(model="m", messages=[]), endpoint(str(home.base_url)))
    assert (wire.url, home.key_variable) == ADDRESSES[name]


def endpoint(base_url: str) -> rxllm.dialects.Endpoint:
    return rxllm.dialects.Endpoint(base_url=base_url)


def test_all_of_them_are_there() -> None:
    assert HOSTS.keys() == ADDRESSES.keys()
    assert list(HOSTS) == sorted(HOSTS)
    assert len({each.home.key_variable for each in HOSTS.values() if each.home.key_variable}) == 10


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Groq", "groq"),
        ("lm_studio", "lm-studio"),
        ("LM Studio", "lm-studio"),
        ("lmstudio", "lm-studio"),
        ("llama-cpp", "llama.cpp"),
        ("llamacpp", "llama.cpp"),
        ("x.ai", "xai"),
        ("vLLM", "vllm"),
    ],
)
def test_however_a_name_is_spelled(name: str, host: str) -> None:
    assert get_host(name) is HOSTS[host]


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    for look_up in (get_host, LLMClient.for_host):
        with pytest.raises(
            ValueError, match=r"unknown host .gorq.; there are: cerebras, .*, groq, .*, xai; for any other"
        ):
            look_up("gorq")
        with pytest.raises(ValueError, match="unknown host ''"):
            look_up("")


@pytest.mark.parametrize("name", HOSTS)
def test_a_client_for_each_host(name: str) -> None:
    base_url = str(HOSTS[name].home.base_url)
    client = LLMClient.for_host(name, retries=0)
    assert repr(client).replace("/'", "'") == f"LLMClient(base_url={base_url!r}, dialect={HOSTS[name].name!r})"


class Own(LLMClient):
    """A client of one's own."""


def test_a_client_of_ones_own_class() -> None:
    assert type(Own.for_host("ollama")) is Own


async def sent(name: str, *messages: Message, **options: Any) -> dict[str, Any]:
    """The request that a client for a host sends, with its key of the environment."""
    async with ScriptedServer("Hello") as proxy:
        # Over http all goes through the proxy.
        base_url = str(HOSTS[name].home.base_url).replace("https:", "http:")
        client = LLMClient.for_host(name, base_url=base_url, proxy=proxy.origin, **options)
        answer = await client.chat(model="m", messages=list(messages))
    assert answer.text == "Hello"
    (request,) = proxy.requests
    return {**request.json, "key": request.headers.get("authorization")}


@pytest.mark.parametrize("name", CHATS)
async def test_what_of_an_answer_goes_back(name: str) -> None:
    body = await sent(name, QUESTION, THOUGHT, RESULT, QUESTION)
    message = body["messages"][1]
    assert message["tool_calls"] == [CALL]
    assert ("reasoning_content" in message) == (name not in STRICT)
    assert ("signature" in message) == (name not in STRICT | {"fireworks"})
    assert ("stream_options" in body) == (name != "mistral")
    assert body["stream"] is True


async def test_stream_options_of_ones_own_are_sent_to_whom_one_likes() -> None:
    async with ScriptedServer("Hello") as server:
        client = LLMClient.for_host("mistral", base_url=server.base_url)
        await client.chat(model="m", messages=[QUESTION], stream_options={"include_usage": False})
    assert server.requests[0].json["stream_options"] == {"include_usage": False}


async def test_a_server_of_ones_own_gets_a_key_if_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert (await sent("ollama", QUESTION))["key"] is None
    assert (await sent("ollama", QUESTION, api_key="mine"))["key"] == "Bearer mine"


async def test_a_host_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        home = Home(base_url=server.base_url, base_url_variable="ACME_BASE_URL", key_variable="ACME_API_KEY")
        for dialect in (OpenAIChat(home=home), dataclasses.replace(HOSTS["groq"], home=home)):
            monkeypatch.setenv("ACME_API_KEY", "acme")
            assert (await LLMClient(dialect=dialect).chat(model="m", messages=[QUESTION])).text == "Hello"
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer acme"] * 2


def test_the_dialect_is_that_of_the_host() -> None:
    with pytest.raises(TypeError, match="dialect"):
        LLMClient.for_host("groq", dialect="openai-chat")


WRONG: dict[str, dict[str, Any]] = {
    "base URL": {"base_url": f"groq.com/v1?key={KEY}"},
    "retries": {"retries": -1},
    "time-out": {"timeout": 0},
    "bytes": {"max_event_bytes": 0},
    "grace": {"grace_period": -1},
    "unknown": {"colour": KEY},
    "dialect": {"dialect": "x"},
    "headers": {"headers": [KEY]},
    "key": {"api_key": [KEY]},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("make", [LLMClient, partial(LLMClient.for_host, "groq")], ids=["client", "host"])
def test_a_wrong_option_shows_no_key_in_its_traceback(make: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)) as caught:
        make(**{"api_key": KEY, "headers": {"x-key": KEY}, "proxy": f"http://user:{KEY}@host", **wrong})
    failure = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    # The first frame is that of this test.
    failure.stack[:1] = []
    assert KEY not in "".join(failure.format())


def test_the_page_has_each_host_and_what_it_is_sent() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guides" / "hosts.md").read_text("utf-8")
    rows = [
        "| `{name}` | {url} | {key} | {lost} |".format(
            name=name,
            url=f"`{host.home.base_url}`" + (f", or `{variable}`" if (variable := host.home.base_url_variable) else ""),
            key=f"`{host.home.key_variable}`" if host.home.key_variable else "",
            lost=", ".join(
                [
                    *(["reasoning"] if getattr(host, "send_reasoning", "") == "never" else []),
                    *([] if getattr(host, "send_extras", True) else ["fields of providers"]),
                ]
            ),
        )
        .replace("|  |", "| |")
        .replace("|  |", "| |")
        for name, host in HOSTS.items()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
