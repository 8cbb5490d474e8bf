"""Libraries that put a layer of their own over the chunks (extra ``peers``), each written as its documentation says."""

from __future__ import annotations

import importlib
import json
from typing import Any

from rxllm.testing.conformance import ALL_FIELDS, CHUNK_TIMEOUT, CallResult, ChatResult, ChoiceResult

__all__ = [
    "langchain",
    "langchain_fallback",
    "litellm",
    "litellm_retrying",
    "litellm_router",
    "pydantic_ai",
    "pydantic_ai_fallback",
]

QUESTION = "What time is it?"
MODEL = "gpt-4o-mini"
KEY = "none"


def base_url(url: str) -> str:
    return url.removesuffix("/chat/completions")


def as_text(arguments: str | dict[str, Any] | None) -> str:
    """Arguments that may be parsed already, or missing."""
    return arguments if isinstance(arguments, str) and arguments else json.dumps(arguments or {})


def langchain_model(url: str) -> Any:
    library: Any = importlib.import_module("langchain_openai")
    return library.ChatOpenAI(base_url=base_url(url), api_key=KEY, model=MODEL, timeout=CHUNK_TIMEOUT)


async def langchain(url: str) -> ChatResult:
    """``ChatOpenAI.astream``, and chunks added up. The arguments of its calls are parsed. It tries again by default."""
    return await langchain_result(langchain_model(url))


async def langchain_fallback(url: str, other: str) -> ChatResult:
    """The same, ``with_fallbacks``."""
    return await langchain_result(langchain_model(url).with_fallbacks([langchain_model(other)]))


async def langchain_result(model: Any) -> ChatResult:
    full: Any = None
    async for chunk in model.astream(QUESTION):
        full = chunk if full is None else full + chunk
    made = [(call["name"], json.dumps(call["args"]), call["id"]) for call in full.tool_calls]
    made += [(call["name"] or "", call["args"] or "", call["id"]) for call in full.invalid_tool_calls]
    counts: dict[str, int] = full.usage_metadata or {}
    logprobs: dict[str, list[dict[str, Any]]] = full.response_metadata.get("logprobs") or {}
    choice = ChoiceResult(
        text=full.text,
        refusal=full.additional_kwargs.get("refusal") or "",
        tool_calls=tuple(CallResult(name, arguments, identifier) for name, arguments, identifier in made),
        finish_reason=full.response_metadata.get("finish_reason"),
        logprobs=tuple(each["token"] for each in logprobs.get("content") or ()),
    )
    usage = {
        "prompt_tokens": counts.get("input_tokens"),
        "completion_tokens": counts.get("output_tokens"),
        "total_tokens": counts.get("total_tokens"),
    }
    # It is for OpenAI's own fields: https://reference.langchain.com/python/integrations/langchain_openai/ChatOpenAI
    return ChatResult((choice,), usage, ALL_FIELDS - {"choices", "reasoning", "extra"})


async def litellm(url: str) -> Any:
    """``acompletion(stream=True)`` and ``stream_chunk_builder``."""
    return await litellm_result(litellm_library().acompletion, litellm_parameters(url))


async def litellm_retrying(url: str) -> Any:
    """The same with ``num_retries``: https://docs.litellm.ai/docs/completion/reliable_completions"""
    return await litellm_result(litellm_library().acompletion, {**litellm_parameters(url), "num_retries": 2})


async def litellm_router(url: str, other: str) -> Any:
    """A ``Router`` with a fallback: https://docs.litellm.ai/docs/routing"""
    library = litellm_library()
    models = [
        {"model_name": name, "litellm_params": litellm_parameters(each)}
        for name, each in (("one", url), ("two", other))
    ]
    router = library.Router(model_list=models, fallbacks=[{"one": ["two"]}])
    return await litellm_result(router.acompletion, {"model": "one"})


def litellm_library() -> Any:
    library: Any = importlib.import_module("litellm")
    library.suppress_debug_info = True
    return library


def litellm_parameters(url: str) -> dict[str, Any]:
    return {"model": f"openai/{MODEL}", "api_base": base_url(url), "api_key": KEY, "timeout": CHUNK_TIMEOUT}


async def litellm_result(complete: Any, parameters: dict[str, Any]) -> Any:
    messages = [{"role": "user", "content": QUESTION}]
    stream = await complete(messages=messages, stream=True, stream_options={"include_usage": True}, **parameters)
    return litellm_library().stream_chunk_builder([chunk async for chunk in stream], messages=messages)


def pydantic_ai_model(url: str) -> Any:
    models: Any = importlib.import_module("pydantic_ai.models.openai")
    providers: Any = importlib.import_module("pydantic_ai.providers.openai")
    return models.OpenAIChatModel(MODEL, provider=providers.OpenAIProvider(base_url=base_url(url), api_key=KEY))


async def pydantic_ai(url: str) -> ChatResult:
    """``direct.model_request_stream``, read to its end; then ``get``. One answer is all that it knows.

    It tries again by default.
    """
    return await pydantic_ai_result(pydantic_ai_model(url))


async def pydantic_ai_fallback(url: str, other: str) -> ChatResult:
    """The same with a ``FallbackModel``."""
    fallback: Any = importlib.import_module("pydantic_ai.models.fallback")
    return await pydantic_ai_result(fallback.FallbackModel(pydantic_ai_model(url), pydantic_ai_model(other)))


async def pydantic_ai_result(model: Any) -> ChatResult:
    direct: Any = importlib.import_module("pydantic_ai.direct")
    messages: Any = importlib.import_module("pydantic_ai.messages")
    settings: Any = importlib.import_module("pydantic_ai.settings")
    async with direct.model_request_stream(
        model,
        [messages.ModelRequest.user_text_prompt(QUESTION)],
        model_settings=settings.ModelSettings(timeout=CHUNK_TIMEOUT),
    ) as stream:
        async for _ in stream:
            pass
        response = stream.get()
    parts = response.parts
    choice = ChoiceResult(
        text="".join(part.content for part in parts if part.part_kind == "text"),
        reasoning="".join(part.content for part in parts if part.part_kind == "thinking"),
        tool_calls=tuple(
            CallResult(part.tool_name, as_text(part.args), part.tool_call_id)
            for part in parts
            if part.part_kind == "tool-call"
        ),
        finish_reason=response.finish_reason and response.finish_reason.replace("tool_call", "tool_calls"),
    )
    usage = {
        "prompt_tokens": response.usage.input_tokens,
        "completion_tokens": response.usage.output_tokens,
        "total_tokens": response.usage.total_tokens,
    }
    return ChatResult((choice,), usage, frozenset({"text", "reasoning", "tool_calls", "finish_reason", "usage"}))
