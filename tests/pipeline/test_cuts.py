"""A connection cut at every byte gives the whole message or an error with what had arrived; never a shorter message."""

from __future__ import annotations

import pytest
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import EmptyStreamError, StreamInterruptedError, TruncatedStreamError
from rxllm.models import ChatCompletion
from rxllm.testing import ScriptedServer, script
from rxllm.wire import SSEDecoder

BODY = "".join(
    f"data: {data}\n\n"
    for data in [
        '{"id":"c-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}',
        '{"id":"c-1","choices":[{"index":0,"delta":{"content":"Caf\u00e9, "}}]}',
        '{"id":"c-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{\\"a\\""}}]}}]}',
        '{"id":"c-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}',
        '{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
        '{"id":"c-1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}',
        "[DONE]",
    ]
).encode()


async def answered(url: str) -> ChatCompletion:
    return await rxllm.from_sse(url).pipe(ops.parse(), ops.accumulate())


def fold(body: bytes) -> ChatCompletion:
    """What had arrived, by the same fold without a network."""
    accumulator = rxllm.StreamAccumulator()
    for event in SSEDecoder().feed(body):
        if event.data != "[DONE]":
            accumulator.add(rxllm.StreamChunk.from_wire(event.data))
    return accumulator.partial()


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
async def test_at_every_byte(framing: script.Framing) -> None:
    # With a Content-Length what lies behind the cut is counted, too.
    answers = [script.Answer([BODY[:cut], script.cut(), BODY[cut:]], framing=framing) for cut in range(len(BODY))]
    finished = BODY.index(b'"tool_calls"}]}\n\n') + len(b'"tool_calls"}]}\n\n')
    whole = fold(BODY)
    async with ScriptedServer(*answers) as server:
        for cut in range(len(BODY)):
            try:
                completion = await answered(server.url)
            except (StreamInterruptedError, TruncatedStreamError, EmptyStreamError) as error:
                partial = error.partial
                assert partial is not None
                expected = fold(BODY[:cut])
                assert partial == expected, cut
                assert cut < finished
                assert not any(choice.message.tool_calls for choice in partial.choices), cut
            else:
                # The answer is whole as soon as its one choice has finished, however the body ends.
                assert cut >= finished, cut
                assert (completion.complete, completion.ending) == (True, "completed")
                assert completion.message == whole.message or completion.message.tool_calls, cut
                assert [call.function.arguments for call in completion.message.tool_calls or []] == ['{"a":1}']


async def test_the_whole_body() -> None:
    async with ScriptedServer(BODY) as server:
        completion = await answered(server.url)

    assert completion.message.content == "Café, "
    assert completion.usage is not None
    assert completion.usage.total_tokens == 3


async def test_what_arrived_before_an_interruption_was_emitted() -> None:
    received: list[rxllm.StreamChunk] = []
    async with ScriptedServer(script.Answer([BODY[:450], script.reset()])) as server:
        with pytest.raises(StreamInterruptedError):
            await rxllm.from_sse(server.url).pipe(ops.parse(), rx_ops.do_action(received.append))

    assert len(received) >= 4
