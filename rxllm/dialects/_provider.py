"""Who answers, in the words of OpenTelemetry's conventions (``gen_ai.provider.name``)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from rxllm.dialects._hosts import HOSTS

# The conventions have no name for those that are missing here: then it is that of the host, or of the dialect.
_BY_DIALECT: Mapping[str, str] = MappingProxyType(
    {
        "openai-chat": "openai",
        "openai-responses": "openai",
        "gemini": "gcp.gemini",
        "bedrock-converse": "aws.bedrock",
    }
)
_BY_HOST_NAME: Mapping[str, str] = MappingProxyType({"mistral": "mistral_ai", "xai": "x_ai", "ollama-cloud": "ollama"})
_BY_DOMAIN: Mapping[str, str] = MappingProxyType(
    {
        "openai.azure.com": "azure.ai.openai",
        "services.ai.azure.com": "azure.ai.inference",
        "models.ai.azure.com": "azure.ai.inference",
        "generativelanguage.googleapis.com": "gcp.gemini",
        "aiplatform.googleapis.com": "gcp.vertex_ai",
        "api.anthropic.com": "anthropic",
        "api.cohere.com": "cohere",
        "api.moonshot.ai": "moonshot_ai",
        "ml.cloud.ibm.com": "ibm.watsonx.ai",
    }
)


_APIS_OF_OPENAI: Mapping[str, str] = MappingProxyType(
    {"openai-chat": "chat_completions", "openai-responses": "responses"}
)


def openai_api_of(dialect: str | None) -> str | None:
    """Which interface of OpenAI a dialect is, as ``openai.api.type`` has it."""
    return None if dialect is None else _APIS_OF_OPENAI.get(dialect)


def _domains() -> Mapping[str, str]:
    """The providers by the domain of their hosts; what runs on this machine has none."""
    found: dict[str, str] = {}
    for name, dialect in HOSTS.items():
        domain = urlsplit(dialect.home.base_url or "").hostname
        if domain is not None and domain != "localhost":
            found[domain] = _BY_HOST_NAME.get(name, name)
    return {**found, **_BY_DOMAIN}


_DOMAINS = _domains()


def provider_of(dialect: str | None, host: str | None) -> str | None:
    """Who answers: by the server, if it is known, else by the dialect.

    Args:
        dialect: The name of the dialect; ``None`` if nobody knows.
        host: The name of the server, without a port; ``None`` if nobody knows.

    Returns:
        The name by the conventions if they have one, else that of the host or of the dialect.

    >>> provider_of("openai-chat", "api.groq.com"), provider_of("anthropic", "localhost")
    ('groq', 'anthropic')
    """
    labels = (host or "").lower().rstrip(".").split(".")
    for begin in range(len(labels)):
        if (found := _DOMAINS.get(".".join(labels[begin:]))) is not None:
            return found
    # These have the region in the middle, or in front, in the same label.
    if labels[0].startswith("bedrock-runtime") and "amazonaws" in labels:
        return "aws.bedrock"
    if labels[0].endswith("-aiplatform") and "googleapis" in labels:
        return "gcp.vertex_ai"
    return None if dialect is None else _BY_DIALECT.get(dialect, dialect)
