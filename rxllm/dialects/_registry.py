"""The dialects by name."""

from __future__ import annotations

from types import MappingProxyType

from rxllm.dialects._dialect import Dialect
from rxllm.dialects._openai_chat import OpenAIChat

_DIALECTS: MappingProxyType[str, Dialect] = MappingProxyType({each.name: each for each in (OpenAIChat(),)})


def get_dialect(dialect: str | Dialect) -> Dialect:
    """Look up a dialect by its name, with its default options.

    Args:
        dialect: The name; a dialect itself is returned as it is.

    Returns:
        The dialect.

    Raises:
        ValueError: No dialect has that name.
        TypeError: It is neither a name nor a dialect.

    >>> get_dialect("openai-chat").path
    '/chat/completions'
    """
    if not isinstance(dialect, str):
        if isinstance(dialect, type) or not callable(getattr(dialect, "decoder", None)):
            kind = dialect.__name__ if isinstance(dialect, type) else type(dialect).__name__
            raise TypeError(f"a dialect is its name, as 'openai-chat', or a dialect, as OpenAIChat(), not {kind}")
        return dialect
    try:
        return _DIALECTS[dialect]
    except KeyError:
        raise ValueError(f"unknown dialect {dialect!r}; there are: {', '.join(_DIALECTS)}") from None
