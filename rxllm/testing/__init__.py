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
    from rxllm.testing._log_engine_cases import LogEngineCase, OpenEngine, log_engine_cases
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
        _assertions="assert_marbles assert_pauses assert_subscriptions",
        _chunks="finish_chunk text_chunk tool_chunk",
        _diagrams="DiagramError",
        _docstrings="check_marbles",
        _laws="check_operator",
        _leaks="LeakError leak_check",
        _log_engine_cases="LogEngineCase OpenEngine log_engine_cases",
        _marbles="Marbles MarbleSink MarbleSource",
        _pictures="draw_marbles",
        _recordings="Completed Failed Hold Item MarbleError Recording Window",
        _server="Script ScriptedServer",
        _server_request="ReceivedRequest",
        _tls="TLSContexts tls_contexts",
        _virtual_time="VirtualTimeError VirtualTimeLoop VirtualTimeScheduler run_virtual virtual_time",
        _wire_recordings="WireRecording",
        _wire_replay="record replay replay_reads",
    )

__all__ = [
    "Completed",
    "DiagramError",
    "Failed",
    "Hold",
    "Item",
    "LeakError",
    "LogEngineCase",
    "MarbleError",
    "MarbleSink",
    "MarbleSource",
    "Marbles",
    "OpenEngine",
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
    "log_engine_cases",
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
