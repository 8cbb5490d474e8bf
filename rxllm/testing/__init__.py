"""Tools for testing what is built with rxllm: marbles in virtual time, a scripted chat server, leak checks."""

from rxllm.testing import script
from rxllm.testing._chunks import finish_chunk, text_chunk, tool_chunk
from rxllm.testing._diagrams import DiagramError
from rxllm.testing._docstrings import check_marbles
from rxllm.testing._leaks import LeakError, leak_check
from rxllm.testing._marbles import Marbles, MarbleSource
from rxllm.testing._recordings import (
    Completed,
    Failed,
    Hold,
    Item,
    MarbleError,
    Recording,
    Window,
    assert_marbles,
    assert_pauses,
    assert_subscriptions,
)
from rxllm.testing._server import Script, ScriptedServer
from rxllm.testing._server_request import ReceivedRequest
from rxllm.testing._virtual_time import (
    VirtualTimeError,
    VirtualTimeLoop,
    VirtualTimeScheduler,
    run_virtual,
    virtual_time,
)

__all__ = [
    "Completed",
    "DiagramError",
    "Failed",
    "Hold",
    "Item",
    "LeakError",
    "MarbleError",
    "MarbleSource",
    "Marbles",
    "ReceivedRequest",
    "Recording",
    "Script",
    "ScriptedServer",
    "VirtualTimeError",
    "VirtualTimeLoop",
    "VirtualTimeScheduler",
    "Window",
    "assert_marbles",
    "assert_pauses",
    "assert_subscriptions",
    "check_marbles",
    "finish_chunk",
    "leak_check",
    "run_virtual",
    "script",
    "text_chunk",
    "tool_chunk",
    "virtual_time",
]
