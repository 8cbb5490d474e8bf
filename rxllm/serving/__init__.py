"""Ways out over HTTP: a pipeline as what a browser or another client reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.serving._aiohttp import aiohttp_response
    from rxllm.serving._asgi import StreamingResponse
    from rxllm.serving._closing import close_all
    from rxllm.serving._events import Events
    from rxllm.serving._frames import frames
    from rxllm.serving._protocol import Asked, FrameWriter, ServedEnd, ServingProtocol
    from rxllm.serving._public_error import PublicError
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        _aiohttp="aiohttp_response",
        _asgi="StreamingResponse",
        _closing="close_all",
        _events="Events",
        _frames="frames",
        _protocol="Asked FrameWriter ServedEnd ServingProtocol",
        _public_error="PublicError",
    )

__all__ = [
    "Asked",
    "Events",
    "FrameWriter",
    "PublicError",
    "ServedEnd",
    "ServingProtocol",
    "StreamingResponse",
    "aiohttp_response",
    "close_all",
    "frames",
]
