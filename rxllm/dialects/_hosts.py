"""Hosts that speak the chat completions of OpenAI, or another dialect, with what is peculiar to each.

Rules:

1. A host is a dialect value with a home. To add one, add a line: where it is, which variable has its key, and what of
   an earlier answer it takes back.
2. A variable for the base URL is named only where the vendor's own client reads a base URL of this form from it.
3. A server on this machine has no variable for its key: most want none. ``api_key=`` is sent to them, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rxllm.dialects._endpoint import Home
from rxllm.dialects.ollama._ollama import Ollama
from rxllm.dialects.openai_chat._openai_chat import OpenAIChat


def _at(base_url: str, key: str | None = None, variable: str | None = None, **options: Any) -> OpenAIChat:
    return OpenAIChat(home=Home(base_url=base_url, base_url_variable=variable, key_variable=key), **options)


# They answer with 400 or 422 to a message that has a field which they do not know; the reasoning of others is one.
_STRICT: Mapping[str, Any] = MappingProxyType({"send_reasoning": "never", "send_extras": False})

HOSTS: Mapping[str, OpenAIChat | Ollama] = MappingProxyType(
    {
        "cerebras": _at("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", **_STRICT),
        # It refuses a conversation whose tool rounds come without their reasoning, also later ones. Other reasoning
        # it ignores.
        "deepseek": _at("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
        "fireworks": _at("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", send_extras=False),
        "groq": _at("https://api.groq.com/openai/v1", "GROQ_API_KEY", **_STRICT),
        "llama.cpp": _at("http://localhost:8080/v1"),
        "lm-studio": _at("http://localhost:1234/v1"),
        # It sends the usage unasked, and refuses to be asked.
        "mistral": _at("https://api.mistral.ai/v1", "MISTRAL_API_KEY", asks_usage=False, **_STRICT),
        "ollama": _at("http://localhost:11434/v1"),
        "ollama-cloud": Ollama(cloud=True),
        "openrouter": _at("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "perplexity": _at("https://api.perplexity.ai", "PERPLEXITY_API_KEY", "PERPLEXITY_BASE_URL", **_STRICT),
        "together": _at("https://api.together.xyz/v1", "TOGETHER_API_KEY", "TOGETHER_BASE_URL"),
        "vllm": _at("http://localhost:8000/v1"),
        "xai": _at("https://api.x.ai/v1", "XAI_API_KEY"),
    }
)
"""The hosts by name, each a dialect with a home."""


def _spelled(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


_SPELLED = {_spelled(name): dialect for name, dialect in HOSTS.items()}


def get_host(name: str) -> OpenAIChat | Ollama:
    """Look up the dialect of a host by its name. Case, dots, hyphens and spaces do not matter.

    Args:
        name: The name.

    Returns:
        The dialect, with its home and its options.

    Raises:
        ValueError: No host has that name.

    >>> get_host("LM Studio").home.base_url
    'http://localhost:1234/v1'
    """
    try:
        return _SPELLED[_spelled(name)]
    except KeyError:
        raise ValueError(
            f"unknown host {name!r}; there are: {', '.join(HOSTS)}; for any other give LLMClient a base_url, or a "
            "dialect with a home: OpenAIChat(home=Home(…))"
        ) from None
