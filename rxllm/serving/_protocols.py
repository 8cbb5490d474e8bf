"""Protocols by their names."""

from __future__ import annotations

from difflib import get_close_matches

from rxllm.serving._agui import AGUI
from rxllm.serving._events_protocol import Events
from rxllm.serving._openai_protocol import OpenAIChat
from rxllm.serving._protocol import ServingProtocol
from rxllm.serving._ui_message_stream import UIMessageStream

PROTOCOLS: tuple[ServingProtocol, ...] = (Events(), OpenAIChat(), UIMessageStream(), AGUI())
"""Those that come with the library."""

_BY_NAME = {each.name: each for each in PROTOCOLS}


def protocol_named(protocol: str | ServingProtocol) -> ServingProtocol:
    """The protocol of a name; a protocol is what it is.

    Raises:
        ValueError: None has that name.
    """
    if not isinstance(protocol, str):
        return protocol
    found = _BY_NAME.get(protocol)
    if found is None:
        near = get_close_matches(protocol, _BY_NAME, 1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"protocol must be one of {', '.join(_BY_NAME)}, not {protocol!r}{hint}")
    return found
