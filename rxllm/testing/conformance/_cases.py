"""All cases, in the order of the catalogue."""

from __future__ import annotations

from rxllm.testing.conformance._anthropic_cases import ANTHROPIC_CASES
from rxllm.testing.conformance._bedrock_cases import BEDROCK_CASES
from rxllm.testing.conformance._case import Case
from rxllm.testing.conformance._cohere_cases import COHERE_CASES
from rxllm.testing.conformance._content_cases import CONTENT_CASES
from rxllm.testing.conformance._end_cases import END_CASES, ERROR_CASES, NETWORK_CASES
from rxllm.testing.conformance._framing_cases import FRAMING_CASES, LEAVING_CASES, TIME_CASES
from rxllm.testing.conformance._gemini_cases import GEMINI_CASES
from rxllm.testing.conformance._ollama_cases import OLLAMA_CASES
from rxllm.testing.conformance._responses_cases import RESPONSES_CASES
from rxllm.testing.conformance._tool_call_cases import TOOL_CALL_CASES
from rxllm.testing.conformance._trying_cases import FALLBACK_CASES, RETRYING_CASES

__all__ = ["CASES"]

CASES: tuple[Case, ...] = (
    *TOOL_CALL_CASES,
    *CONTENT_CASES,
    *END_CASES,
    *ERROR_CASES,
    *FRAMING_CASES,
    *LEAVING_CASES,
    *NETWORK_CASES,
    *TIME_CASES,
    *RETRYING_CASES,
    *FALLBACK_CASES,
    *ANTHROPIC_CASES,
    *RESPONSES_CASES,
    *GEMINI_CASES,
    *COHERE_CASES,
    *OLLAMA_CASES,
    *BEDROCK_CASES,
)
"""Every case there is, in the order of the catalogue."""
