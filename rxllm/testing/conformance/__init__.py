"""A conformance suite for clients of OpenAI-compatible streams.

Each case is something that a server or a network was seen to do, played by a ``ScriptedServer`` on a loopback port, and
what a correct client makes of it. A client is any coroutine function from an address to an answer; ``rxllm`` need
not be in it. From the command line, ``rxllm conformance MODULE:FUNCTION``, or the same behind
``python -m rxllm.testing.conformance``; in a test, ``check``.
"""

from rxllm.testing.conformance._case import Case, Expectation, ExpectedChoice, Failure, Leaves, Redirected, Way, Whole
from rxllm.testing.conformance._cases import CASES
from rxllm.testing.conformance._client import CHUNK_TIMEOUT, rxllm_client, rxllm_fallback, rxllm_retrying
from rxllm.testing.conformance._command import main as main
from rxllm.testing.conformance._quirks import QUIRKS, Quirk
from rxllm.testing.conformance._results import (
    ALL_FIELDS,
    CallResult,
    ChatResult,
    ChoiceResult,
    ResultField,
    read_result,
)
from rxllm.testing.conformance._run import Client, FallbackClient, check, run_case, run_conformance
from rxllm.testing.conformance._verdict import Outcome, Report, Verdict, dumped, matrix

__all__ = [
    "ALL_FIELDS",
    "CASES",
    "CHUNK_TIMEOUT",
    "QUIRKS",
    "CallResult",
    "Case",
    "ChatResult",
    "ChoiceResult",
    "Client",
    "Expectation",
    "ExpectedChoice",
    "Failure",
    "FallbackClient",
    "Leaves",
    "Outcome",
    "Quirk",
    "Redirected",
    "Report",
    "ResultField",
    "Verdict",
    "Way",
    "Whole",
    "check",
    "dumped",
    "matrix",
    "read_result",
    "run_case",
    "run_conformance",
    "rxllm_client",
    "rxllm_fallback",
    "rxllm_retrying",
]
