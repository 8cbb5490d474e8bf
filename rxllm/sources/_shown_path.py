"""Which parts of the path of a URL a message may show: some services have the key in it.

Short words and those that are known to be of an API are shown, and what stands behind a word that says what it is.

>>> shown_path("/v1/chat/completions"), shown_path("/openai/deployments/my-gpt-4o/chat/completions")
('/v1/chat/completions', '/openai/deployments/my-gpt-4o/chat/completions')
>>> shown_path("/team-4f7a9c01d2/v1/chat")
'/…/v1/chat'
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SHORT = 7

_WORDS = frozenset(
    {
        *("accounts", "assistants", "chat-completions", "compatible", "compatible-mode", "completion", "completions"),
        *("converse-stream", "deployments", "endpoints", "event-stream", "generate", "generate_stream", "inference"),
        *("invocations", "locations", "messages", "openapi", "predictions", "projects", "providers", "publishers"),
        *("realtime", "responses", "serverless", "services", "serving-endpoints", "streaming", "workspaces"),
    }
)
# What stands behind one of these is a name.
_NAMING = frozenset({"deployments", "endpoints", "engines", "locations", "models", "model", "providers", "publishers"})
_VERSION = re.compile(r"v\d\w{0,8}")
_RUN = re.compile(r"[A-Za-z0-9]+")
_LONGEST_RUN = 12


def _is_shown(segment: str, before: str) -> bool:
    if len(segment) <= _SHORT or segment.lower() in _WORDS or _VERSION.fullmatch(segment):
        return True
    return before.lower() in _NAMING and not looks_like_key(segment)


def looks_like_key(name: str) -> bool:
    """Whether what stands where a name does may be a key: a long run of letters and digits is in it."""
    return any(len(run) > _LONGEST_RUN and not run.isalpha() for run in _RUN.findall(name))


def _segments(path: str) -> Iterator[tuple[str, bool]]:
    before = ""
    for segment in path.split("/"):
        yield segment, _is_shown(segment, before)
        before = segment


def shown_path(path: str) -> str:
    """The path with ``…`` for what may be a key."""
    return "/".join(segment if is_shown else "…" for segment, is_shown in _segments(path))


def keys_in(path: str) -> list[str]:
    """The segments of a path that may be keys."""
    return [segment for segment, is_shown in _segments(path) if not is_shown]
