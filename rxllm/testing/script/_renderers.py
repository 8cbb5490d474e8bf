"""The dialects that a script can be said in, by name."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from rxllm.testing.script._anthropic_renderer import AnthropicRenderer
from rxllm.testing.script._bedrock_renderer import BedrockConverseRenderer
from rxllm.testing.script._chat_renderer import ChatRenderer
from rxllm.testing.script._cohere_renderer import CohereRenderer
from rxllm.testing.script._gemini_renderer import GeminiRenderer
from rxllm.testing.script._ollama_renderer import OllamaRenderer
from rxllm.testing.script._renderer import Renderer
from rxllm.testing.script._responses_renderer import ResponsesRenderer

__all__ = ["DIALECTS", "ScriptDialect", "renderer_of"]

ScriptDialect: TypeAlias = Literal[
    "openai-chat", "anthropic", "openai-responses", "gemini", "bedrock-converse", "cohere", "ollama"
]
"""What a scripted server may speak."""

DIALECTS: tuple[ScriptDialect, ...] = get_args(ScriptDialect)
"""All of them; the first one is what is spoken unless another one is named."""

_RENDERERS: dict[str, type[Renderer]] = {
    each.name: each
    for each in (
        *(ChatRenderer, AnthropicRenderer, ResponsesRenderer, GeminiRenderer),
        *(BedrockConverseRenderer, CohereRenderer, OllamaRenderer),
    )
}


def renderer_of(dialect: str) -> type[Renderer]:
    """What says a script in this dialect.

    Raises:
        ValueError: There is no such dialect.
    """
    try:
        return _RENDERERS[dialect]
    except KeyError:
        raise ValueError(f"no script can be said in {dialect!r}; dialects are: {', '.join(_RENDERERS)}") from None
