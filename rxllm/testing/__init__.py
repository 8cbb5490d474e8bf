"""Tools for testing what is built with rxllm: marbles in virtual time, laws of operators, a server, leak checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rxllm._lazy import lazy_exports

if TYPE_CHECKING:
    from rxllm.testing import script
    from rxllm.testing._assertions import assert_marbles, assert_pauses, assert_subscriptions
    from rxllm.testing._chunks import finish_chunk, text_chunk, tool_chunk
    from rxllm.testing._diagrams import DiagramError
    from rxllm.testing._docstrings import check_marbles
    from rxllm.testing._laws import check_operator
    from rxllm.testing._leaks import LeakError, leak_check
    from rxllm.testing._marbles import Marbles, MarbleSink, MarbleSource
    from rxllm.testing._pictures import draw_marbles
    from rxllm.testing._recordings import Completed, Failed, Hold, Item, MarbleError, Recording, Window
    from rxllm.testing._server import Script, ScriptedServer
    from rxllm.testing._server_request import ReceivedRequest
    from rxllm.testing._tls import TLSContexts, tls_contexts
    from rxllm.testing._virtual_time import (
        VirtualTimeError,
        VirtualTimeLoop,
        VirtualTimeScheduler,
        run_virtual,
        virtual_time,
    )
    from rxllm.testing._wire_recordings import WireRecording
    from rxllm.testing._wire_replay import record, replay, replay_reads
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        "script",
        assert_marbles="_assertions",
        assert_pauses="_assertions",
        assert_subscriptions="_assertions",
        finish_chunk="_chunks",
        text_chunk="_chunks",
        tool_chunk="_chunks",
        DiagramError="_diagrams",
        check_marbles="_docstrings",
        check_operator="_laws",
        LeakError="_leaks",
        leak_check="_leaks",
        Marbles="_marbles",
        MarbleSink="_marbles",
        MarbleSource="_marbles",
        draw_marbles="_pictures",
        Completed="_recordings",
        Failed="_recordings",
        Hold="_recordings",
        Item="_recordings",
        MarbleError="_recordings",
        Recording="_recordings",
        Window="_recordings",
        Script="_server",
        ScriptedServer="_server",
        ReceivedRequest="_server_request",
        TLSContexts="_tls",
        tls_contexts="_tls",
        VirtualTimeError="_virtual_time",
        VirtualTimeLoop="_virtual_time",
        VirtualTimeScheduler="_virtual_time",
        run_virtual="_virtual_time",
        virtual_time="_virtual_time",
        WireRecording="_wire_recordings",
        record="_wire_replay",
        replay="_wire_replay",
        replay_reads="_wire_replay",
    )

__all__ = [
    "Completed",
    "DiagramError",
    "Failed",
    "Hold",
    "Item",
    "LeakError",
    "MarbleError",
    "MarbleSink",
    "MarbleSource",
    "Marbles",
    "ReceivedRequest",
    "Recording",
    "Script",
    "ScriptedServer",
    "TLSContexts",
    "VirtualTimeError",
    "VirtualTimeLoop",
    "VirtualTimeScheduler",
    "Window",
    "WireRecording",
    "assert_marbles",
    "assert_pauses",
    "assert_subscriptions",
    "check_marbles",
    "check_operator",
    "draw_marbles",
    "finish_chunk",
    "leak_check",
    "record",
    "replay",
    "replay_reads",
    "run_virtual",
    "script",
    "text_chunk",
    "tls_contexts",
    "tool_chunk",
    "virtual_time",
]
