"""Every public operator, with what it is fed with and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

import reactivex
from reactivex import compose
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import EmptyStreamError
from rxllm.testing import finish_chunk, text_chunk, tool_chunk
from rxllm.typing import Ending
from rxllm.wire import AWSFrame, encode_aws_frame


class Discard:
    """A sink that takes everything and keeps nothing."""

    async def open(self) -> Discard:
        return self

    async def write(self, items: Sequence[Any], /) -> None: ...

    async def close(self, ending: Ending, /) -> None: ...


class Quiet:
    """A text file that takes everything."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


async def identity(item: Any) -> Any:
    return item


async def shout(text: str) -> str:
    return text.upper()


def told(result: rxllm.ToolResult) -> str:
    return result.content


@dataclass
class Case:
    """An operator, what it is fed with, and what it makes of ``-a-b-c-|``, ``-a-#`` and ``-|``."""

    operator: Callable[[], Any]
    letters: dict[str, Any]
    many: str = "-a-b-c-|"
    failed: str = "-a-#"
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    empty: str = "-|"
    empty_error: Any = None
    holds: int = 0

    @property
    def expected(self) -> dict[str, Any]:
        return self.results or self.letters


# Takes a batch as a whole, and lets the rest wait.
BATCH = 2

TEXT = {"a": text_chunk("Hel"), "b": text_chunk("lo"), "c": finish_chunk()}
AWS_3 = encode_aws_frame({}, b"3")
WORDS = {"a": "Hel", "b": "lo", "c": "!"}


def no(_: Exception) -> bool:
    return False


def content_of(completion: rxllm.ChatCompletion) -> Any:
    return completion.message.content


def name_of(call: rxllm.ToolCall) -> str:
    return call.function.name


def value_of(match: rxllm.JSONPathMatch) -> Any:
    return match.value


def fields_of(usage: rxllm.Usage) -> set[str]:
    return usage.model_fields_set


def is_delta(event: rxllm.PartEvent) -> bool:
    return event.type == "part_delta"


def text_of(event: rxllm.PartEvent) -> Any:
    return event.text if isinstance(event, rxllm.PartDelta) else None


def arguments_of(progress: rxllm.ToolCallProgress) -> Any:
    return progress.arguments


CONTENT = rx_ops.map(content_of)
NAME = rx_ops.map(name_of)
VALUE = rx_ops.map(value_of)
FIELDS = rx_ops.map(fields_of)
ARGUMENTS = rx_ops.map(arguments_of)
PIECES: Callable[[Any], Any] = compose(rx_ops.filter(is_delta), rx_ops.map(text_of))

CASES = {
    "accumulate": Case(lambda: compose(ops.accumulate(), CONTENT), TEXT, "-------(x|)", "---#", {"x": "Hello"}),
    "accumulate_snapshots": Case(
        lambda: compose(ops.accumulate_snapshots(), CONTENT),
        TEXT,
        "-x-y-y-|",
        "-x-#",
        {"x": "Hel", "y": "Hello"},
    ),
    "accumulate_tool_calls": Case(
        lambda: compose(ops.accumulate_tool_calls(), NAME),
        {"a": tool_chunk("{", id="1", name="f"), "b": tool_chunk("}"), "c": finish_chunk("tool_calls")},
        "-------(x|)",
        "---#",
        {"x": "f"},
    ),
    "buffer_with_backpressure": Case(lambda: ops.buffer_with_backpressure(1), WORDS, holds=1),
    "content": Case(ops.content, TEXT, "-x-y---|", "-x-#", {"x": "Hel", "y": "lo"}, holds=BATCH),
    "deadline": Case(lambda: ops.deadline(60), WORDS),
    "decode_aws_frames": Case(
        ops.decode_aws_frames,
        {"a": encode_aws_frame({}, b"1"), "b": encode_aws_frame({}, b"2") + AWS_3[:9], "c": AWS_3[9:]},
        results={name: AWSFrame({}, payload) for name, payload in (("a", b"1"), ("b", b"2"), ("c", b"3"))},
    ),
    "decode_ndjson": Case(
        ops.decode_ndjson, {"a": b"1\n", "b": b"2\n3", "c": b"4\n"}, results={"a": "1", "b": "2", "c": "34"}
    ),
    "decode_sse": Case(
        ops.decode_sse,
        {"a": b"data: 1\n\n", "b": b"data: 2\n\nda", "c": b"ta: 3\n\n"},
        results={name: rxllm.ServerSentEvent(data) for name, data in (("a", "1"), ("b", "2"), ("c", "3"))},
    ),
    "json_path": Case(
        lambda: compose(ops.json_path("[*]", of="content"), VALUE),
        {"a": text_chunk("[1,"), "b": text_chunk("2,"), "c": text_chunk("3]")},
        results={"a": 1, "b": 2, "c": 3},
    ),
    "map_async": Case(lambda: ops.map_async(identity), WORDS, holds=1),
    "measure": Case(lambda: ops.measure(on_end=repr), WORDS),
    "parse": Case(
        ops.parse,
        {letter: chunk.model_dump_json(exclude_unset=True) for letter, chunk in TEXT.items()},
        results=TEXT,
        empty="-#",
        empty_error=EmptyStreamError,
        holds=BATCH,
    ),
    "parse_structured": Case(
        lambda: compose(ops.parse_structured(rxllm.Usage), FIELDS),
        {
            "a": text_chunk('{"prompt_tokens":1,'),
            "b": text_chunk('"completion_tokens":2,'),
            "c": text_chunk('"total_tokens":3}'),
        },
        results={
            "a": {"prompt_tokens"},
            "b": {"prompt_tokens", "completion_tokens"},
            "c": {"prompt_tokens", "completion_tokens", "total_tokens"},
        },
    ),
    "parts": Case(lambda: compose(ops.parts(), PIECES), TEXT, "-x-y---|", "-x-#", {"x": "Hel", "y": "lo"}),
    "rate_limit": Case(lambda: ops.rate_limit(rxllm.Limits()), WORDS),
    "retry_with_backoff": Case(lambda: ops.retry_with_backoff(retry_on=no), WORDS),
    "run_tools": Case(
        lambda: compose(ops.run_tools(rxllm.ToolRegistry([shout]), max_concurrency=1), rx_ops.map(told)),
        {
            letter: rxllm.ToolCall.model_validate(
                {"id": letter, "function": {"name": "shout", "arguments": f'{{"text": "{word}"}}'}}
            )
            for letter, word in WORDS.items()
        },
        results={"a": "HEL", "b": "LO", "c": "!"},
        holds=1,
    ),
    "split_reasoning": Case(ops.split_reasoning, TEXT, holds=BATCH),
    "stop_when": Case(lambda: ops.stop_when(reactivex.never()), WORDS),
    "tee_to": Case(lambda: ops.tee_to(Discard()), WORDS),
    "tee_to_display": Case(lambda: ops.tee_to_display(cast("TextIO", Quiet())), WORDS),
    "timeout_per_chunk": Case(lambda: ops.timeout_per_chunk(60), WORDS),
    "tool_call_progress": Case(
        lambda: compose(ops.tool_call_progress(), ARGUMENTS),
        {"a": tool_chunk('{"x":"', id="1", name="f"), "b": tool_chunk("y"), "c": tool_chunk('z"}')},
        results={"a": {"x": ""}, "b": {"x": "y"}, "c": {"x": "yz"}},
    ),
    "trace": Case(ops.trace, WORDS),
}
