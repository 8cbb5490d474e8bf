"""Answers under another media type, answers that were not streamed, and errors hidden in the framing.

Over real connections, through the client, ``from_sse`` and the replay of what was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import operators as rx_ops

import rxllm
from rxllm import operators as ops
from rxllm.exceptions import (
    APIResponseError,
    APIStreamError,
    DecodeError,
    RxllmError,
    StreamInterruptedError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, ChatRequest
from rxllm.sources import WireRecorder
from rxllm.testing import ScriptedServer, replay, script
from rxllm.wire import ServerSentEvent

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "How late is it?"}])


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


DONE = b"data: [DONE]\n\n"
TEXT = delta(content="It is ")
TEN = TEXT + delta(content="ten.") + delta("stop") + DONE
MESSAGE = {"role": "assistant", "content": "It is ten."}
COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "model": "m",
    "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
WHOLE = json.dumps(COMPLETION).encode()
ERROR = b'{"error": {"code": 500, "message": "context size exceeded", "type": "server_error"}}'
OLLAMA = b'{"model": "m", "created_at": "t", "message": {"role": "assistant", "content": "Hi"}, "done": false}\n'


def typed(content_type: str, *steps: script.StepLike, **options: Any) -> script.Answer:
    return script.Answer(steps, content_type=content_type, **options)


def raw(*headers: str, body: bytes) -> script.Answer:
    head = "\r\n".join(["HTTP/1.1 200 OK", *headers, "Connection: close", "", ""]).encode()
    return script.Answer([head + body], framing="none")


async def ended(source: reactivex.Observable[Any]) -> ChatCompletion | RxllmError:
    try:
        return await source.pipe(ops.accumulate())
    except RxllmError as error:
        return error


async def each_way(answer: script.Answer, tmp_path: Path) -> list[ChatCompletion | RxllmError]:
    """What becomes of an answer: by the client, the source with an operator of reactivex below it, and by replay."""
    recordings = [WireRecorder(tmp_path / "client.jsonl"), WireRecorder(tmp_path / "source.jsonl")]
    async with ScriptedServer(answer, answer) as server:
        async with rxllm.LLMClient(retries=0, base_url=server.base_url, record=recordings[0]) as client:
            results = [await ended(client.chat_stream(REQUEST))]
        source = rxllm.from_sse(server.url, record=recordings[1])
        results.append(await ended(source.pipe(rx_ops.map(lambda each: each), ops.parse())))
    for recorder in recordings:
        await recorder.wait_closed()
        results.append(await ended(replay(recorder.path, timing="none").pipe(ops.parse())))
    return results


# Media types


@pytest.mark.parametrize("fragment", [None, 1, 3])
@pytest.mark.parametrize(
    "start", [b"", b": ping\n\n", b"\n\n", b"\xef\xbb\xbf", b"event: message\n", b"id: 1\nretry: 5\n"]
)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/octet-stream", "text/html; charset=utf-8", "application/json"]
)
async def test_row_48_an_event_stream_under_another_media_type_is_one(
    content_type: str, start: bytes, fragment: int | None
) -> None:
    async with ScriptedServer(typed(content_type, start + TEN, fragment=fragment)) as server:
        completion = await rxllm.from_sse(server.url).pipe(ops.parse(), ops.accumulate())
    assert (completion.content, completion.repairs) == ("It is ten.", ())


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Content-Type: application/json, text/event-stream; charset=utf-8",),
        ("Content-Type: Text/Event-Stream", "Content-Type: application/json"),
        ("Content-Type: text/event-stream", "Content-Type: text/event-stream; charset=utf-8"),
        ("Content-Type: nonsense",),
        ("Content-Type: ;",),
    ],
)
async def test_row_48_two_media_types_one_that_is_none_and_none_at_all(
    headers: tuple[str, ...], tmp_path: Path
) -> None:
    for result in await each_way(raw(*headers, body=TEN), tmp_path):
        assert isinstance(result, ChatCompletion)
        assert result.content == "It is ten."


async def test_the_first_chunk_does_not_wait_for_more_than_the_first_bytes() -> None:
    async with (
        ScriptedServer(typed("text/plain", TEXT, script.stall())) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        chunk = await client.chat_stream(REQUEST).pipe(rx_ops.first())
        assert chunk.text == "It is "
        assert chunk.stream is not None
        assert chunk.stream.bytes == len(TEXT)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", ERROR),
        ("application/json", b"\n \n" + ERROR),
        ("application/json", b'{"message": "no such model"}'),
        ("application/json", b'"no such model"'),
        ("application/json", b""),
        ("application/json", b"da"),
        ("text/plain", b"no such model"),
        ("text/plain", b"error: no such model"),
        ("text/html", b"<html>a proxy</html>\n\n"),
        ("text/html, application/json", b"<html>a proxy</html>"),
        ("application/json", b'{"choices": []}\n{"error"'),
    ],
)
async def test_row_43_pages_and_errors_stay_errors_about_the_answer(
    content_type: str, body: bytes, tmp_path: Path
) -> None:
    for result in await each_way(typed(content_type, body, framing="length"), tmp_path):
        assert isinstance(result, APIResponseError)
        assert (result.status, result.content_type) == (200, content_type)
        assert result.body.strip() == body.decode().strip()
        assert f"with {content_type} instead of text/event-stream" in str(result)
        assert result.partial == ChatCompletion(choices=[], complete=False, ending="failed")


@pytest.mark.parametrize("body", [b"<html>a proxy</html>", b"<html>\n\n</html>\n", b"Bad gateway\n", b"<!-- : -->\r\n"])
@pytest.mark.parametrize("headers", [(), ("Content-Type: text/event-stream",)])
async def test_a_page_that_is_called_an_event_stream_or_nothing_is_an_error_about_the_answer(
    body: bytes, headers: tuple[str, ...], tmp_path: Path
) -> None:
    for result in await each_way(raw(*headers, body=body), tmp_path):
        assert isinstance(result, APIResponseError)
        assert "answered 200 with no event stream" in str(result)
        assert body.decode().split("\n")[0].strip() in result.body


async def test_a_page_that_comes_in_pieces_is_shown_as_far_as_16_kib() -> None:
    page = b"<html>\n" + b"x" * 40_000
    async with ScriptedServer(typed("text/html", page, fragment=1_000)) as server:
        result = await ended(rxllm.from_sse(server.url).pipe(ops.parse()))
    assert isinstance(result, APIResponseError)
    assert result.body == page[: 16 * 1024].decode()


async def test_a_handshake_that_was_answered_has_no_body_to_look_at() -> None:
    async with (
        ScriptedServer(script.status(202, WHOLE)) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        assert isinstance(await ended(client.websocket_stream(REQUEST)), APIResponseError)


async def test_a_body_without_events_can_be_allowed() -> None:
    async with ScriptedServer(typed("text/event-stream", b"<html>\n")) as server:
        assert await rxllm.from_sse(server.url, check_content_type=False).pipe(rx_ops.to_list()) == []


@pytest.mark.parametrize("start", [b"", b" ", b"dat"])
async def test_a_connection_that_is_lost_before_the_first_bytes(start: bytes, tmp_path: Path) -> None:
    answer = typed("text/plain", script.raw(start), script.delay(0.01), script.reset())
    for result in await each_way(answer, tmp_path):
        assert isinstance(result, StreamInterruptedError)


# An answer that was not streamed


@pytest.mark.parametrize(
    "answer",
    [
        typed("application/json", WHOLE, framing="length"),
        typed("application/json; charset=utf-8", b"\n\n \n", WHOLE, b"\n", fragment=7),
        typed("application/json", json.dumps(COMPLETION, indent=2).replace("\n", "\r\n").encode()),
        typed("text/plain", WHOLE),
        raw(body=WHOLE),
        raw("Content-Type: application/json, text/event-stream", body=WHOLE),
    ],
)
async def test_row_47_a_completion_that_was_not_streamed_is_an_answer(answer: script.Answer, tmp_path: Path) -> None:
    for result in await each_way(answer, tmp_path):
        assert isinstance(result, ChatCompletion)
        assert (result.content, result.complete, result.choices[0].finish_reason) == ("It is ten.", True, "stop")
        assert result.usage is not None
        assert result.usage.total_tokens == 3
        assert [repair.kind for repair in result.repairs] == ["answer-not-streamed"]


@pytest.mark.parametrize("body", [WHOLE, json.dumps(COMPLETION, indent=2).encode(), b": ping\n\n" + WHOLE + b"\n\n"])
async def test_a_completion_under_the_media_type_of_events_is_an_answer(body: bytes, tmp_path: Path) -> None:
    for result in await each_way(typed("text/event-stream", body, fragment=50), tmp_path):
        assert isinstance(result, ChatCompletion)
        assert (result.content, result.complete) == ("It is ten.", True)


async def test_a_completion_that_was_not_streamed_may_be_long_and_tells_of_its_request() -> None:
    long = json.dumps({**COMPLETION, "choices": [{"message": {"content": "x" * 100_000}}]}).encode()
    headers = {"x-ratelimit-remaining-requests": "41"}
    async with (
        ScriptedServer(*[typed("application/json", long, headers=headers)] * 2) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        (chunk,) = await client.chat_stream(REQUEST).pipe(rx_ops.to_list())
        completion = await client.chat(REQUEST)
    assert completion.content == chunk.text == "x" * 100_000
    assert chunk.begins
    assert chunk.stream is not None
    assert (chunk.stream.request_id, chunk.stream.model, chunk.stream.dialect) == ("req-0", "m", "openai-chat")
    assert chunk.stream.rate_limits == headers
    assert chunk.stream.bytes == len(long)


async def test_tools_are_run_of_an_answer_that_was_not_streamed() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    calling = {**COMPLETION, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    calls: list[str] = []

    def now() -> str:
        """Tell the time."""
        calls.append("now")
        return "ten"

    answers = [typed("application/json", json.dumps(each).encode()) for each in (calling, COMPLETION)]
    async with (
        ScriptedServer(*answers) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        last = await client.chat_with_tools(REQUEST, rxllm.ToolRegistry([now]))
    assert calls == ["now"]
    assert isinstance(last, rxllm.ChatCompleted)
    assert last.completion.content == "It is ten."


async def test_what_holds_less_than_a_whole_answer_is_no_answer() -> None:
    cut = typed("application/json", WHOLE[:-5], script.delay(0.01), script.cut())
    too_long = typed("application/json", WHOLE[:-1] + b', "padding": "' + b" " * 40_000 + b'"}')
    async with ScriptedServer(cut, too_long) as server:
        for max_event_bytes in (1_000, 20_000):
            result = await ended(rxllm.from_sse(server.url, max_event_bytes=max_event_bytes).pipe(ops.parse()))
            assert isinstance(result, APIResponseError)
            assert result.body.startswith('{"id": "c"')


async def test_without_parse_such_an_answer_is_an_error_and_its_text_is_not_shown() -> None:
    key = "sk-a-secret-that-is-long"
    body = json.dumps({"error": f"{key} is wrong"}).encode()
    async with ScriptedServer(typed("application/json", body)) as server:
        with pytest.raises(APIResponseError) as caught:
            await rxllm.from_sse(server.url, headers={"Authorization": f"Bearer {key}"})
    assert key not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert "… is wrong" in caught.value.body


# Of other protocols


@pytest.mark.parametrize(
    ("answer", "protocol"),
    [
        # Nobody waits for the end of such a body.
        (typed("application/x-ndjson", OLLAMA, OLLAMA, script.stall(), fragment=30), "Ollama"),
        (typed("application/json", b'[{\n"candidates": [{"content": {}}]\n}\n,\n{"cand'), "Gemini"),
        (
            typed("application/vnd.amazon.eventstream", b"\0\0\0\x8d\0\0\0R\x0b:event-type\x07\0\x0cmessageStart"),
            "Bedrock",
        ),
        (typed("text/plain", b'f:{"messageId":"1"}\n0:"Hi"\n'), "AI SDK"),
        (typed("application/json", b'{"object": "response", "output": []}'), "Responses"),
        (typed("text/event-stream", OLLAMA * 2), "Ollama"),
        (
            typed("text/plain", b"event: message_start\n" + event({"type": "message_start"}), script.stall()),
            "Anthropic",
        ),
        (typed("text/event-stream", event({"type": "response.created"}), script.stall()), "Responses"),
    ],
)
async def test_row_49_an_answer_of_another_protocol_is_named(
    answer: script.Answer, protocol: str, tmp_path: Path
) -> None:
    for result in await each_way(answer, tmp_path):
        assert isinstance(result, DecodeError)
        assert "it is not a chat completions stream" in str(result)
        assert protocol in str(result)
        assert result.position == 0


@pytest.mark.parametrize(
    ("frames", "content"),
    [
        (['{"id": "c", "choices": [{"text": "It is ten.", "finish_reason": "stop"}]}'], "It is ten."),
        ([json.dumps(COMPLETION)], "It is ten."),
        (["{}", TEXT[6:-2].decode(), '{"sources": []}', "DONE", delta("stop")[6:-2].decode()], "It is "),
        (['{"type": "session.created"}'], None),
        (['{"type": "message_start", "message": {}}'], None),
        ([OLLAMA.decode()], None),
    ],
)
async def test_the_same_over_a_websocket(frames: list[str], content: str | None) -> None:
    answer = script.Answer([script.Event(frame) for frame in frames])
    async with (
        ScriptedServer(answer) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        result = await ended(client.websocket_stream(REQUEST))
    if content is None:
        assert isinstance(result, DecodeError)
        assert "it is not a chat completions stream" in str(result)
    else:
        assert isinstance(result, ChatCompletion)
        assert result.content == content


# Errors hidden in the framing


@pytest.mark.parametrize("fragment", [None, 1])
@pytest.mark.parametrize(
    "rest",
    [
        b"error: " + ERROR + b"\n\n" + DONE,
        b"error:" + ERROR + b"\n\n",
        b"error: " + ERROR,
        b"error: " + ERROR + b"\nfoo: bar\n" + DONE,
        b"error: " + json.dumps(json.loads(ERROR), indent=1).encode() + b"\n\n",
        b"error: context size exceeded\r\n\r\n" + DONE,
        b"error: null\n\n" + ERROR + b"\n",
        ERROR + b"\n\n",
        ERROR + b"\n\n" + DONE,
        ERROR + b"\n" + DONE,
        ERROR + b"\n\n" + TEXT + delta("stop") + DONE,
        json.dumps(json.loads(ERROR), indent=2).encode() + b"\n\n" + DONE,
        b": ping\n\n" + ERROR,
        json.dumps(json.loads(ERROR), indent=2).encode(),
        b'foo: bar\n{"status": "busy"}\n' + ERROR + b"\n",
    ],
)
@pytest.mark.parametrize("start", [b"", TEXT])
async def test_rows_45_and_46_an_error_beside_the_events_is_the_error(
    start: bytes, rest: bytes, fragment: int | None, tmp_path: Path
) -> None:
    for result in await each_way(typed("text/event-stream", start + rest, fragment=fragment), tmp_path):
        assert isinstance(result, APIStreamError)
        assert str(result) == "context size exceeded"
        assert isinstance(result.partial, ChatCompletion)
        assert result.partial.content == ("It is " if start else "")


async def test_an_error_beside_the_events_is_told_at_once_and_before_a_loss() -> None:
    steps: list[Callable[[], script.StepLike]] = [script.stall, script.reset]
    for step in steps:
        async with ScriptedServer(
            typed("text/event-stream", TEXT + b"error: " + ERROR + b"\n\n", script.delay(0.01), step())
        ) as server:
            result = await ended(rxllm.from_sse(server.url).pipe(ops.parse()))
        assert isinstance(result, APIStreamError)


@pytest.mark.parametrize(
    "stray", [b"error: null\n", b"error:\n", b"error: {}\n", b"errors: boom\n", b"foo\n", b'{"x": 1}\n']
)
async def test_lines_that_say_nothing_change_nothing(stray: bytes) -> None:
    for body in (stray + b"\n" + TEN, stray + TEN, TEXT + stray + b"\n" + delta("stop") + stray):
        async with ScriptedServer(typed("text/event-stream", body)) as server:
            result = await ended(rxllm.from_sse(server.url).pipe(ops.parse()))
        assert isinstance(result, ChatCompletion)
        assert result.complete


@pytest.mark.parametrize(("rest", "kind"), [([], TruncatedStreamError), ([script.cut()], StreamInterruptedError)])
@pytest.mark.parametrize("start", [b"error: ", b""])
async def test_half_an_error_is_none_and_is_shown_with_what_it_left(
    start: bytes, rest: list[script.StepLike], kind: type[Exception], tmp_path: Path
) -> None:
    for result in await each_way(typed("text/event-stream", TEXT + start + ERROR[:-3], *rest), tmp_path):
        assert isinstance(result, kind)
        (note,) = result.__notes__
        assert note.startswith(f"besides events, the stream had: '{start.decode()}")
        assert "context size exceeded" in note


async def test_a_list_of_objects_that_is_no_stream_of_events_is_read_as_a_whole() -> None:
    body = json.dumps([{"a": "x" * 30_000}, {"b": 1}], indent=1).encode()
    for content_type in ("application/json", "text/event-stream"):
        async with ScriptedServer(typed(content_type, body, fragment=4096)) as server:
            source = rxllm.from_sse(server.url)
            with pytest.raises(APIResponseError) as caught:
                await source.pipe(rx_ops.count())
        assert caught.value.unread is not None
        assert json.loads(caught.value.unread.text) == json.loads(body)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_operator_finds_them_as_well(size: int) -> None:
    def events(body: bytes) -> list[ServerSentEvent]:
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        return rxllm.run(reactivex.of(*pieces).pipe(ops.decode_sse(), rx_ops.to_list()))

    assert events(b"data: 1\n\nerror: {}x\n\ndata: 2\n\n") == [
        ServerSentEvent("1"),
        ServerSentEvent("2"),
    ]
    assert events(b"data: 1\n\nerror: boom\ndata: 2\n\n") == [
        ServerSentEvent("1"),
        ServerSentEvent("boom", "error"),
        ServerSentEvent("2"),
    ]
    assert events(ERROR) == [ServerSentEvent(ERROR.decode())]
    assert events(b"data: 1\n\n") == [ServerSentEvent("1")]
