"""Who is compared: coroutine functions from the address of chat completions to an answer.

Each is written as its own documentation says, with a read time-out of two seconds where it has one. What a library
leaves to its users, which is the fold of the chunks, is the hand-written fold for all of them. Those that are not
installed are left out (extras ``bench`` and ``peers``).
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import aiohttp

from rxllm.testing.conformance import (
    CASES,
    CHUNK_TIMEOUT,
    QUIRKS,
    CallResult,
    Case,
    ChatResult,
    ChoiceResult,
    Client,
    FallbackClient,
    rxllm_client,
    rxllm_fallback,
    rxllm_retrying,
)
from rxllm.testing.script import DIALECTS, ScriptDialect
from tests.conformance import frameworks, vendors
from tests.conformance.handwritten import Fold, hand_written

__all__ = ["PEERS", "Peer", "installed"]

REQUEST: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What time is it?"}]}
KEY = {"Authorization": "Bearer none"}


AREAS = tuple(dict.fromkeys(quirk.area for quirk in QUIRKS.values()))
# What a decoder of events leaves to its users.
FRAMING = tuple(area for area in AREAS if area not in {"tool calls", "content"})


@dataclass(frozen=True)
class Peer:
    """One of those that are compared.

    Attributes:
        name: What the table calls it.
        packages: What has to be installed; the first one's version is shown.
        client: The client.
        about: How it is written, in a sentence.
        areas: What of the catalogue is its own affair, and not that of who uses it.
        retrying: The client as it tries again, if it does.
        fallback: The client with a second server, if it knows of such.
        dialects: What it speaks.
    """

    name: str
    packages: tuple[str, ...]
    client: Client
    about: str
    areas: tuple[str, ...] = AREAS
    retrying: Client | None = None
    fallback: FallbackClient | None = None
    dialects: tuple[ScriptDialect, ...] = DIALECTS[:1]

    @property
    def cases(self) -> list[Case]:
        """The cases that it is run through."""
        return [case for case in CASES if case.quirk.area in self.areas and case.dialect in self.dialects]

    @property
    def versions(self) -> str:
        """The packages with their versions."""
        return ", ".join(f"{package} {version(package)}" for package in self.packages)


def openai_client(url: str) -> Any:
    library: Any = importlib.import_module("openai")
    return library.AsyncOpenAI(base_url=url.removesuffix("/chat/completions"), api_key="none", timeout=CHUNK_TIMEOUT)


async def openai_loop(url: str) -> ChatResult:
    """The loop of the guides: text as it comes, fragments of calls appended by index."""
    pieces: list[str] = []
    calls: dict[int, Any] = {}
    finish_reason: str | None = None
    async with openai_client(url) as client:
        async for chunk in await client.chat.completions.create(**REQUEST, stream=True):
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            pieces.append(delta.content or "")
            fragments: list[Any] = delta.tool_calls or []
            for fragment in fragments:
                if fragment.index not in calls:
                    calls[fragment.index] = fragment
                else:
                    calls[fragment.index].function.arguments += fragment.function.arguments
            finish_reason = chunk.choices[0].finish_reason or finish_reason
    made = tuple(CallResult(call.function.name, call.function.arguments, call.id) for call in calls.values())
    choice = ChoiceResult(text="".join(pieces), tool_calls=made, finish_reason=finish_reason)
    return ChatResult((choice,), reports=frozenset({"text", "tool_calls", "finish_reason"}))


async def openai_stream(url: str) -> Any:
    async with openai_client(url) as client, client.chat.completions.stream(**REQUEST) as stream:
        return await stream.get_final_completion()


async def httpx_sse(url: str) -> Any:
    httpx: Any = importlib.import_module("httpx")
    library: Any = importlib.import_module("httpx_sse")
    fold = Fold()
    async with (
        httpx.AsyncClient(timeout=CHUNK_TIMEOUT) as client,
        library.aconnect_sse(client, "POST", url, json=REQUEST, headers=KEY) as source,
    ):
        source.response.raise_for_status()
        async for event in source.aiter_sse():
            if event.data == "[DONE]":
                break
            fold.add(event.json())
    return fold.completion()


async def aiohttp_sse_client2(url: str) -> Any:
    library: Any = importlib.import_module("aiohttp_sse_client2.client")
    timeout = aiohttp.ClientTimeout(total=None, sock_read=CHUNK_TIMEOUT)
    # By default it connects again after 5 seconds.
    options: dict[str, Any] = {"option": {"method": "POST"}, "reconnection_time": timedelta(milliseconds=10)}
    fold = Fold()
    async with library.EventSource(url, **options, json=REQUEST, headers=KEY, timeout=timeout) as source:
        async for event in source:
            if event.data == "[DONE]":
                break
            fold.add(json.loads(event.data))
    return fold.completion()


PEERS = (
    Peer(
        "rxllm",
        ("rxllm",),
        rxllm_client,
        "`LLMClient.chat_stream`, `timeout_per_chunk(2)`, `accumulate`; without `retries=0` in R1 to R6, in R7 and R8 "
        "with `fallback`.",
        retrying=rxllm_retrying,
        fallback=rxllm_fallback,
        dialects=DIALECTS,
    ),
    Peer(
        "openai, loop",
        ("openai",),
        openai_loop,
        "`create(stream=True)`, and the loop of OpenAI's guides: the first choice's text, calls appended by index.",
        retrying=openai_loop,
    ),
    Peer(
        "openai, stream()",
        ("openai",),
        openai_stream,
        "`client.chat.completions.stream()` and `get_final_completion()`.",
        retrying=openai_stream,
    ),
    Peer(
        "anthropic, stream()",
        ("anthropic",),
        vendors.anthropic_stream,
        "`client.messages.stream()` and `get_final_message()`.",
        dialects=("anthropic",),
    ),
    Peer(
        "openai, responses.stream()",
        ("openai",),
        vendors.openai_responses,
        "`client.responses.stream()` and `get_final_response()`.",
        dialects=("openai-responses",),
    ),
    Peer(
        "google-genai, generate_content_stream()",
        ("google-genai",),
        vendors.gemini_stream,
        "`client.aio.models.generate_content_stream()`; parts added up as its documentation has it.",
        dialects=("gemini",),
    ),
    Peer(
        "cohere, chat_stream()",
        ("cohere",),
        vendors.cohere_stream,
        "`AsyncClientV2.chat_stream()`; texts and calls added up as its documentation has it.",
        dialects=("cohere",),
    ),
    Peer(
        "ollama, chat()",
        ("ollama",),
        vendors.ollama_chat,
        "`AsyncClient.chat(stream=True)`; texts and calls added up as its documentation has it.",
        dialects=("ollama",),
    ),
    Peer(
        "botocore, converse_stream()",
        ("botocore",),
        vendors.bedrock_converse,
        "`client.converse_stream()`, and the blocks put together by their index.",
        dialects=("bedrock-converse",),
    ),
    Peer(
        "langchain-openai",
        ("langchain-openai", "openai"),
        frameworks.langchain,
        "`ChatOpenAI.astream`, and the chunks added up; in R7 and R8 `with_fallbacks`.",
        retrying=frameworks.langchain,
        fallback=frameworks.langchain_fallback,
    ),
    Peer(
        "pydantic-ai",
        ("pydantic-ai-slim", "openai"),
        frameworks.pydantic_ai,
        "`direct.model_request_stream`, read to its end, then `get()`; in R7 and R8 with a `FallbackModel`.",
        retrying=frameworks.pydantic_ai,
        fallback=frameworks.pydantic_ai_fallback,
    ),
    Peer(
        "litellm",
        ("litellm", "openai"),
        frameworks.litellm,
        "`acompletion(stream=True)` and `stream_chunk_builder`; with `num_retries=2` in R1 to R6, a `Router` with "
        "`fallbacks` in R7 and R8.",
        retrying=frameworks.litellm_retrying,
        fallback=frameworks.litellm_router,
    ),
    Peer(
        "httpx-sse",
        ("httpx-sse", "httpx"),
        httpx_sse,
        "`aconnect_sse`, `raise_for_status`, and the hand-written fold.",
        FRAMING,
    ),
    Peer(
        "aiohttp-sse-client2",
        ("aiohttp-sse-client2", "aiohttp"),
        aiohttp_sse_client2,
        "`EventSource` with the method POST, and the hand-written fold.",
        FRAMING,
        retrying=aiohttp_sse_client2,
    ),
    Peer(
        "hand-written",
        ("aiohttp",),
        hand_written,
        "aiohttp, `raise_for_status`, split at the blank line, `json.loads`, and a fold by index.",
    ),
)


def installed() -> list[Peer]:
    """Those that can run here."""
    return [peer for peer in PEERS if all(map(_is_installed, peer.packages))]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
