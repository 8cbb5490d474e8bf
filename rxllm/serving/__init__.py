"""Ways out over HTTP: a pipeline as what a browser or another client reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.serving._agui import AGUI
    from rxllm.serving._aiohttp import aiohttp_response
    from rxllm.serving._asgi import StreamingResponse
    from rxllm.serving._closing import close_all
    from rxllm.serving._events_protocol import Events
    from rxllm.serving._frames import frames
    from rxllm.serving._openai_protocol import OpenAIChat
    from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd, ServingProtocol
    from rxllm.serving._public_error import PublicError
    from rxllm.serving._ui_message_stream import UIMessageStream
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        _agui="AGUI",
        _aiohttp="aiohttp_response",
        _asgi="StreamingResponse",
        _closing="close_all",
        _events_protocol="Events",
        _frames="frames",
        _openai_protocol="OpenAIChat",
        _protocol="Asked FrameWriter ServedEnd ServingProtocol",
        _public_error="PublicError",
        _ui_message_stream="UIMessageStream",
    )

__all__ = [
    "AGUI",
    "Asked",
    "Events",
    "FrameWriter",
    "OpenAIChat",
    "PublicError",
    "ServedEnd",
    "ServingProtocol",
    "StreamingResponse",
    "UIMessageStream",
    "aiohttp_response",
    "close_all",
    "frames",
]
