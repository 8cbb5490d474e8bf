"""The dialects by name."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType

from rxllm.dialects._auto import AnyDecoder
from rxllm.dialects._dialect import Dialect, Reader

# Where each is, and its class.
_PLACES = MappingProxyType(
    {
        "openai-chat": ("openai_chat._openai_chat", "OpenAIChat"),
        "anthropic": ("anthropic._anthropic", "Anthropic"),
        "openai-responses": ("openai_responses._openai_responses", "OpenAIResponses"),
        "gemini": ("gemini._gemini", "Gemini"),
        "bedrock-converse": ("bedrock_converse._bedrock_converse", "BedrockConverse"),
        "cohere": ("cohere._cohere", "Cohere"),
        "ollama": ("ollama._ollama", "Ollama"),
    }
)


class _Dialects(dict[str, Dialect]):
    """The dialects with their default options. Each is imported when it is asked for: most programs use one."""

    def __missing__(self, name: str) -> Dialect:
        place, kind = _PLACES[name]
        made: Dialect = getattr(import_module(f"rxllm.dialects.{place}"), kind)()
        self[name] = made
        return made


_DIALECTS = _Dialects()
_AUTO = "auto"


class _AnyDialect:
    """What reads any dialect."""

    name = _AUTO

    def decoder(self) -> AnyDecoder:
        """A decoder for one stream."""
        return AnyDecoder(_DIALECTS)


def get_dialect(dialect: str | Dialect) -> Dialect:
    """Look up a dialect by its name, with its default options.

    Args:
        dialect: The name; a dialect itself is returned as it is.

    Returns:
        The dialect.

    Raises:
        ValueError: No dialect has that name.
        TypeError: It is neither a name nor a dialect.

    >>> get_dialect("openai-chat").home.base_url
    'https://api.openai.com/v1'
    """
    if not isinstance(dialect, str):
        _check(dialect, "http_request")
        return dialect
    if dialect == _AUTO:
        raise ValueError("'auto' recognizes a dialect by its answer: to send a request, name the dialect")
    return _named(dialect)


def get_reader(dialect: str | Reader) -> Reader:
    """Look up the reader of a dialect by its name. ``"auto"`` recognizes the dialect by the first events.

    Raises:
        ValueError: No dialect has that name.
        TypeError: It is neither a name nor a dialect.
    """
    if not isinstance(dialect, str):
        _check(dialect, "decoder")
        return dialect
    return _AnyDialect() if dialect == _AUTO else _named(dialect)


def _check(dialect: object, method: str) -> None:
    if isinstance(dialect, type) or not callable(getattr(dialect, method, None)):
        kind = dialect.__name__ if isinstance(dialect, type) else type(dialect).__name__
        raise TypeError(
            f"a dialect must be a name, such as 'openai-chat', or a dialect, such as OpenAIChat(), not {kind}"
        )


def _named(name: str) -> Dialect:
    try:
        return _DIALECTS[name]
    except KeyError:
        raise ValueError(f"unknown dialect {name!r}; there are: {', '.join(_PLACES)}") from None
