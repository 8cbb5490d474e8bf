"""``from_sse`` against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import pathlib
import threading
import traceback
from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import pytest
from loguru import logger
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable
from yarl import URL

from rxllm.exceptions import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    LimitExceededError,
    NoRunningLoopError,
    RxllmError,
    StreamInterruptedError,
)
from rxllm.flow import FlowControl
from rxllm.sources import Headers, Secrets, _http_request, from_sse
from rxllm.testing import ReceivedRequest, ScriptedServer, script
from rxllm.wire import ServerSentEvent

KEY = "sk-a-secret-that-is-long"


def goes_on(event: ServerSentEvent) -> bool:
    return event.data != "[DONE]"


async def collect(source: Observable[ServerSentEvent]) -> list[ServerSentEvent]:
    return await source.pipe(rx_ops.to_list())


async def test_events_arrive_in_order_and_the_end_of_the_body_completes() -> None:
    async with ScriptedServer([b"data: 1\n\n", b"event: e\nid: 7\ndata: 2\n\n", b"data: 3"]) as server:
        assert await collect(from_sse(server.url)) == [
            ServerSentEvent("1"),
            ServerSentEvent("2", "e", "7"),
        ]


async def test_it_is_cold_and_each_subscription_sends_one_request() -> None:
    async with ScriptedServer("Hello", repeat=True) as server:
        source = from_sse(server.url, json={"model": "m", "text": "naïve"}, headers={"X-Own": "1"})
        assert server.requests == []
        first = await collect(source)
        second = await collect(source)

    assert [event.data for event in first] == [event.data for event in second]
    assert [request.json for request in server.requests] == [{"model": "m", "text": "naïve"}] * 2
    request = server.requests[0]
    assert request.method == "POST"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-own"] == "1"


async def test_another_method_without_a_body() -> None:
    async with ScriptedServer("Hello") as server:
        await collect(from_sse(server.url, method="GET"))

    assert server.requests[0].method == "GET"
    assert server.requests[0].body == b""


async def test_a_hundred_requests_in_a_row_use_one_connection() -> None:
    async with ScriptedServer("Hello", repeat=True) as server, aiohttp.ClientSession() as session:
        for _ in range(100):
            # A consumer that leaves as soon as it sees the end marker, as ``parse`` does.
            await from_sse(server.url, session=session).pipe(rx_ops.take_while(goes_on))

    assert len(server.requests) == 100
    assert server.connections == 1


async def test_a_body_that_ends_a_moment_after_the_end_marker_leaves_the_connection_reusable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a slow machine a moment is long.
    monkeypatch.setattr(_http_request, "END_OF_BODY_SECONDS", 60)
    late_end: list[script.StepLike] = [script.text("Hello"), script.done(), script.delay(0.01)]
    async with ScriptedServer(late_end, repeat=True) as server, aiohttp.ClientSession() as session:
        for _ in range(3):
            await from_sse(server.url, session=session).pipe(rx_ops.take_while(goes_on))

    assert server.connections == 1


async def test_without_an_end_marker_leaving_at_the_marker_closes_the_connection() -> None:
    ended = [*script.answer("Hello"), script.stall()]
    async with ScriptedServer(ended) as server:
        await from_sse(server.url, end_marker=None).pipe(rx_ops.take_while(goes_on))
        await server.requests[0].peer_left.wait()


async def test_a_body_that_stays_open_after_the_end_marker_does_not_hold_it_back_for_long() -> None:
    async with ScriptedServer([script.text("Hello"), script.done(), script.stall()]) as server:
        events = await collect(from_sse(server.url).pipe(rx_ops.take(2)))
        await server.requests[0].peer_left.wait()

    assert events[1].data == "[DONE]"


async def test_what_follows_the_end_marker_is_emitted() -> None:
    async with ScriptedServer([script.done(), b"data: more\n\n"]) as server:
        assert [event.data for event in await collect(from_sse(server.url))] == ["[DONE]", "more"]


async def test_dispose_closes_the_connection() -> None:
    async with ScriptedServer([script.text("Hello"), script.stall()]) as server:
        arrived = asyncio.Event()
        subscription = from_sse(server.url).subscribe(lambda _: arrived.set())
        await arrived.wait()

        subscription.dispose()
        await server.requests[0].peer_left.wait()


async def test_dispose_before_the_first_byte_closes_the_connection() -> None:
    async with ScriptedServer([script.stall()]) as server:
        subscription = from_sse(server.url).subscribe()
        request = await server.wait_for_request()

        subscription.dispose()
        await request.peer_left.wait()


async def test_dispose_before_the_request_is_sent_sends_none() -> None:
    async with ScriptedServer() as server:
        from_sse(server.url).subscribe().dispose()
        for _ in range(10):
            await asyncio.sleep(0)

    assert server.requests == []


async def test_dispose_from_another_thread() -> None:
    async with ScriptedServer([script.stall()]) as server:
        subscription = from_sse(server.url).subscribe()
        request = await server.wait_for_request()

        await asyncio.to_thread(subscription.dispose)
        await request.peer_left.wait()


def test_dispose_from_another_thread_when_the_loop_is_closed() -> None:
    async def main() -> abc.DisposableBase:
        return from_sse("http://127.0.0.1:9/").subscribe(on_error=lambda _: None)

    subscription = asyncio.run(main())

    thread = threading.Thread(target=subscription.dispose)
    thread.start()
    thread.join()


async def test_nothing_is_emitted_after_a_dispose_in_the_middle_of_a_read() -> None:
    async with ScriptedServer([b"data: 1\n\ndata: 2\n\ndata: 3\n\n", script.stall()]) as server:
        received: list[str] = []
        subscription = SerialDisposable()

        def on_next(event: ServerSentEvent) -> None:
            received.append(event.data)
            subscription.dispose()

        subscription.disposable = from_sse(server.url).subscribe(on_next)
        await (await server.wait_for_request()).peer_left.wait()

    assert received == ["1"]


async def test_a_paused_source_does_not_emit_the_rest_of_a_read_nor_the_end() -> None:
    flows: list[FlowControl] = []
    received: list[str] = []
    ended = asyncio.Event()

    def on_next(event: ServerSentEvent) -> None:
        received.append(event.data)
        flow = FlowControl.current()
        assert flow is not None
        flow.pause("test")
        flows.append(flow)

    async with ScriptedServer([b"data: 1\n\ndata: 2\n\n"]) as server:
        from_sse(server.url).subscribe(on_next, on_completed=ended.set)
        await (await server.wait_for_request()).finished.wait()
        for number in (1, 2):
            while len(received) < number:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(received) == number
            assert not ended.is_set()
            flows[-1].resume("test")
        await ended.wait()


@pytest.mark.parametrize("end", [script.cut(), script.reset()], ids=["FIN", "RST"])
async def test_a_lost_connection_is_an_interruption_and_not_the_end(end: script.StepLike) -> None:
    received: list[ServerSentEvent] = []
    async with ScriptedServer([b"data: 1\n\n", script.delay(0.01), b"data: 2\n\ndata: 3", end]) as server:
        with pytest.raises(StreamInterruptedError, match="lost after 2 events") as caught:
            await from_sse(server.url).pipe(rx_ops.do_action(received.append))

    assert received == [ServerSentEvent("1"), ServerSentEvent("2")]
    assert caught.value.events == 2


async def test_what_arrived_together_with_the_loss_is_emitted_before_it() -> None:
    """The reader of aiohttp raises before it gives out what is in its buffer: a paused consumer would lose it."""
    received: list[str] = []
    async with ScriptedServer([b"data: 1\n\n", script.delay(0.01), b"data: 2\n\n", script.cut()]) as server:
        flows: list[FlowControl] = []

        def on_next(event: ServerSentEvent) -> None:
            received.append(event.data)
            flow = FlowControl.current()
            if not flows and flow is not None:
                flow.pause("test")
                flows.append(flow)

        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        from_sse(server.url).subscribe(on_next, failed.set_result)
        await (await server.wait_for_request()).finished.wait()
        await server.wait_disconnected()
        flows[0].resume("test")
        assert isinstance(await failed, StreamInterruptedError)

    assert received == ["1", "2"]


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "3"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({"x-ms-retry-after-ms": "2500", "retry-after": "3"}, 2.5),
        ({}, None),
    ],
)
async def test_an_error_status(headers: dict[str, str], retry_after: float | None) -> None:
    answer = script.status(429, {"error": {"message": "slow down"}}, headers=headers | {"x-request-id": "r-1"})
    async with ScriptedServer(answer) as server:
        with pytest.raises(APIStatusError, match=r"429.*slow down") as caught:
            await collect(from_sse(server.url, headers={"X-Own": "1"}))

    assert caught.value.status == 429
    assert json.loads(caught.value.body) == {"error": {"message": "slow down"}}
    assert caught.value.request_id == "r-1"
    assert caught.value.retry_after == retry_after


@pytest.mark.parametrize(
    ("headers", "retry_after"), [({}, 20.0), ({"retry-after": "soon"}, 20.0), ({"retry-after": "3"}, 3.0)]
)
async def test_the_body_of_an_error_may_say_how_long_to_wait(headers: dict[str, str], retry_after: float) -> None:
    body = {"error": {"code": 429, "details": [{"retryDelay": "20s"}]}}
    async with ScriptedServer(script.status(429, body, headers=headers)) as server:
        with pytest.raises(APIStatusError) as caught:
            await collect(from_sse(server.url))

    assert caught.value.retry_after == retry_after


async def test_the_body_of_an_error_is_bounded() -> None:
    async with ScriptedServer(script.status(500, "x" * 1_000_000)) as server:
        with pytest.raises(APIStatusError) as caught:
            await collect(from_sse(server.url))

    assert len(caught.value.body) == 16 * 1024
    assert len(str(caught.value)) < 500


async def test_an_error_body_that_is_cut_is_shown_as_far_as_it_came() -> None:
    answer = script.Answer([b"broken", script.cut()], status=502, content_type="text/plain", framing="length")
    async with ScriptedServer(answer) as server:
        with pytest.raises(APIStatusError, match="502") as caught:
            await collect(from_sse(server.url))

    assert caught.value.request_id == "req-0"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b'{"error": {"message": "no such model"}}', "application/json"), (b"<html>no such model</html>", "text/html")],
)
async def test_a_success_that_is_no_event_stream(body: bytes, content_type: str) -> None:
    async with ScriptedServer(script.Answer([body], content_type=content_type)) as server:
        with pytest.raises(APIResponseError, match="no such model") as caught:
            await collect(from_sse(server.url))

    assert caught.value.status == 200
    assert caught.value.content_type == content_type
    assert caught.value.body == body.decode()
    assert caught.value.request_id == "req-0"


async def test_a_wrong_media_type_can_be_allowed() -> None:
    async with ScriptedServer(script.Answer([b"data: 1\n\n"], content_type="text/plain")) as server:
        assert await collect(from_sse(server.url, check_content_type=False)) == [ServerSentEvent("1")]


async def test_an_answer_without_a_media_type_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with ScriptedServer(script.Answer([head + b"data: 1\n\n"], framing="none")) as server:
        assert await collect(from_sse(server.url)) == [ServerSentEvent("1")]


@pytest.mark.parametrize("body", [b'{"error": {"message": "no such model"}}', b"<html>no such model</html>\n\n"])
async def test_a_body_that_is_no_event_stream_and_does_not_say_so(body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with ScriptedServer(script.Answer([head + body], framing="none")) as server:
        with pytest.raises(APIResponseError, match="no such model"):
            await collect(from_sse(server.url))


async def test_a_body_of_nothing_but_comments_is_an_event_stream_without_events() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    async with ScriptedServer(script.Answer([head + b": ping\n\n"], framing="none")) as server:
        assert await collect(from_sse(server.url)) == []


def test_a_limit_that_is_none_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match="max_event_bytes"):
        from_sse("http://127.0.0.1:9/", max_event_bytes=0)


async def test_a_session_that_is_closed_while_the_body_of_an_error_is_read() -> None:
    answer = script.Answer([b"wait", script.stall()], status=500, content_type="text/plain")
    async with ScriptedServer(answer) as server:
        async with aiohttp.ClientSession() as session:
            failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            from_sse(server.url, session=session).subscribe(on_error=failed.set_result)
            request = await server.wait_for_request()
            while not request.bytes_written:
                await asyncio.sleep(0)
            for _ in range(100):  # turns in which the client reads the head
                await asyncio.sleep(0)
        assert isinstance(await failed, APIStatusError)


async def test_no_server() -> None:
    async with ScriptedServer() as server:
        url = server.url
    with pytest.raises(APIConnectionError, match=r"no answer from http://127\.0\.0\.1"):
        await collect(from_sse(url))


async def test_a_connection_that_is_closed_before_the_answer() -> None:
    async with ScriptedServer(script.Answer([script.cut()], framing="none")) as server:
        with pytest.raises(APIConnectionError, match="no answer"):
            await collect(from_sse(server.url))


@pytest.mark.parametrize(
    "url",
    ["/relative", "ftp://host/path", "http://", "http://host:99999/", "http://[::1/", "http://\udc80/", "http://xn--/"],
)
async def test_what_is_no_http_url(url: str) -> None:
    with pytest.raises(APIConnectionError, match="none that can be requested"):
        await collect(from_sse(url))


async def test_an_event_over_the_limit_fails_after_those_before_it() -> None:
    received: list[ServerSentEvent] = []
    async with ScriptedServer([b"data: 1\n\ndata: " + b"x" * 5_000]) as server:
        with pytest.raises(LimitExceededError):
            await from_sse(server.url, max_event_bytes=1_000).pipe(rx_ops.do_action(received.append))

    assert received == [ServerSentEvent("1")]


def test_outside_a_loop_it_says_what_to_do() -> None:
    errors: list[Exception] = []
    from_sse("http://127.0.0.1:9/").subscribe(on_error=errors.append)

    assert isinstance(errors[0], NoRunningLoopError)
    assert "rxllm.run" in str(errors[0])


async def test_an_observer_that_throws_ends_the_stream_with_its_exception() -> None:
    async with ScriptedServer([script.text("Hello"), script.stall()]) as server:

        def broken(source: Observable[Any]) -> Observable[Any]:
            def subscribe(
                observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
            ) -> abc.DisposableBase:
                def on_next(_: Any) -> None:
                    raise ZeroDivisionError

                return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

            return Observable(subscribe)

        with pytest.raises(ZeroDivisionError):
            await from_sse(server.url).pipe(broken)
        await server.requests[0].peer_left.wait()


async def test_the_task_being_cancelled_by_somebody_else_ends_the_stream() -> None:
    async with ScriptedServer([script.text("Hello"), script.stall()]) as server:
        before = asyncio.all_tasks()
        failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        from_sse(server.url).subscribe(on_error=failed.set_result)
        (task,) = asyncio.all_tasks() - before
        await server.wait_for_request()

        task.cancel()
        assert isinstance(await failed, StreamInterruptedError)


async def test_the_task_being_cancelled_before_its_first_step_ends_the_stream() -> None:
    before = asyncio.all_tasks()
    failed: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    from_sse("http://127.0.0.1:9/").subscribe(on_error=failed.set_result)
    (task,) = asyncio.all_tasks() - before

    task.cancel()
    assert isinstance(await failed, StreamInterruptedError)


async def test_a_source_that_always_has_data_gives_the_loop_its_turns() -> None:
    turns = 0
    counting = True

    async def count() -> None:
        nonlocal turns
        while counting:
            turns += 1
            await asyncio.sleep(0)

    async with ScriptedServer([b"data: x\n\n" * 6_400]) as server:
        counter = asyncio.create_task(count())
        seen: list[int] = []

        def note(_: ServerSentEvent) -> None:
            seen.append(turns)

        await from_sse(server.url).pipe(rx_ops.do_action(note))
        assert seen[-1] - seen[0] >= 6_400 // 128 - 1
        counting = False
        await counter


# Redirects and secrets


async def test_a_redirect_within_the_origin_keeps_method_body_and_headers() -> None:
    async with ScriptedServer(script.redirect("/elsewhere"), "Hello") as server:
        await collect(from_sse(server.url, json={"a": 1}, headers={"Authorization": f"Bearer {KEY}"}))

    assert server.requests[1].path == "/elsewhere"
    assert server.requests[1].method == "POST"
    assert server.requests[1].json == {"a": 1}
    assert server.requests[1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_redirect_to_another_origin_drops_whatever_may_be_a_credential() -> None:
    headers = {"Authorization": f"Bearer {KEY}", "api-key": KEY, "Cookie": f"session={KEY}", "X-Own": KEY}
    async with (
        ScriptedServer("Hello") as other,
        ScriptedServer(script.redirect(other.url)) as server,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        events = await collect(from_sse(server.url, json={"a": 1}, headers=headers, session=session))

    assert events[-1].data == "[DONE]"
    assert server.requests[0].headers["x-api-key"] == KEY
    assert other.requests[0].json == {"a": 1}
    assert KEY not in str(other.requests[0].headers)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_redirects_that_ask_for_another_page_become_get(status: int) -> None:
    async with ScriptedServer(script.redirect("/elsewhere", code=status), "Hello") as server:
        await collect(from_sse(server.url, json={"a": 1}))

    assert server.requests[1].method == "GET"
    assert server.requests[1].body == b""


@pytest.mark.parametrize("location", ["ftp://host/", "http://:80/", "http://[::1/"])
async def test_redirects_to_what_is_no_http_url(location: str) -> None:
    async with ScriptedServer(script.redirect(location)) as server:
        with pytest.raises(APIConnectionError, match="none that can be requested"):
            await collect(from_sse(server.url))


async def test_credentials_that_an_answer_echoes_are_blotted_out_wherever_they_stand() -> None:
    head = f"HTTP/1.1 401 bad {KEY}\r\nContent-Type: text/{KEY}\r\nConnection: close\r\n\r\n".encode()
    cut = b"x" * (16 * 1024 - 12) + KEY.encode()
    answers = [script.Answer([head + body], framing="none") for body in (KEY.encode(), cut)]
    no_type = script.Answer([f"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbad {KEY}".encode()], framing="none")
    unreadable = script.Answer([f"{KEY}\r\n\r\n".encode()], framing="none")
    wrong_type = script.Answer([b"hi"], content_type=f"text/{KEY}")
    async with (
        ScriptedServer(*answers, no_type, unreadable, wrong_type) as server,
        aiohttp.ClientSession(headers={"api-key": KEY}) as session,
    ):
        for _ in range(5):
            with pytest.raises(APIError) as caught:
                await collect(from_sse(f"{server.url}?key={KEY}", session=session))
            assert KEY[:10] not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("key", ["a/secret+of=base64", "secret key & more"])
async def test_a_credential_that_an_answer_echoes_as_it_stood_in_the_url_is_blotted_out(key: str) -> None:
    def refuse(request: ReceivedRequest) -> script.Answer:
        return script.status(404, {"error": f"there is no /v1?{request.query}"})

    async with ScriptedServer(refuse) as server:
        url = URL(server.url).with_query(key=key)
        for asked in (url, f"{server.url}?key={quote(key, safe='/=')}"):
            with pytest.raises(APIStatusError) as caught:
                await collect(from_sse(asked))
            assert "?key=…" in str(caught.value)
            assert "key=…" in caught.value.body


async def test_dispose_while_the_body_of_an_error_is_read() -> None:
    answer = script.Answer([b"wait", script.stall()], status=500, content_type="text/plain")
    async with ScriptedServer(answer) as server:
        subscription = from_sse(server.url).subscribe()
        request = await server.wait_for_request()
        while not request.bytes_written:
            await asyncio.sleep(0)

        subscription.dispose()
        await request.peer_left.wait()


def test_a_traceback_that_shows_variables_shows_no_key() -> None:
    assert repr(Headers({"Authorization": KEY, "Accept": "*/*"})) == "{'Authorization': '…', 'Accept': '*/*'}"
    assert KEY not in repr(Secrets({"Authorization": KEY}))


def test_a_secret_is_known_as_it_was_when_it_was_sent() -> None:
    """What is blotted out is found when an error needs it, and the session may have been given another key by then."""
    headers, url = {"Authorization": f"Bearer {KEY}", "Cookie": f"a=1; session={KEY[::-1]}"}, {"key": "in-the-query"}
    secrets = Secrets(headers, url)
    headers["Authorization"] = "Bearer another-key-that-is-long"
    del headers["Cookie"], url["key"]

    assert secrets.scrub(f"{KEY} {KEY[::-1]} in-the-query") == "… … …"
    assert secrets.scrub("another-key-that-is-long") == "another-key-that-is-long"


async def test_a_key_that_changes_while_the_answer_comes_is_blotted_out() -> None:
    async with ScriptedServer() as server, aiohttp.ClientSession(headers={"Authorization": KEY}) as session:

        def refuse(request: ReceivedRequest) -> script.Answer:
            session.headers["Authorization"] = "another-key"
            return script.status(401, {"error": f"{request.headers['authorization']} is wrong"})

        server.add(refuse)
        with pytest.raises(APIStatusError) as caught:
            await collect(from_sse(server.url, session=session))

    assert KEY not in f"{caught.value!r} {vars(caught.value)}"
    assert "… is wrong" in caught.value.body


async def test_a_large_request() -> None:
    async with ScriptedServer(script.redirect("/elsewhere"), "Hello") as server:
        await collect(from_sse(server.url, json={"text": "x" * 3_000_000}))

    assert len(server.requests[1].json["text"]) == 3_000_000


async def test_what_comes_with_the_end_marker_does_not_wait_for_the_end_of_the_body() -> None:
    received: list[str] = []
    before_the_end: list[list[str]] = []
    async with ScriptedServer([b"data: 1\n\ndata: [DONE]\n\n", script.stall()]) as server:
        subscription = from_sse(server.url).subscribe(lambda event: received.append(event.data))
        while not received:
            await asyncio.sleep(0)
        before_the_end.append(list(received))
        subscription.dispose()

    assert before_the_end == [["1"]]


async def test_an_answer_that_cannot_be_read_shows_neither_query_nor_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-Long: " + KEY.encode() + b"a" * 100_000 + b"\r\n\r\n"
    async with ScriptedServer(script.Answer([head], framing="none")) as server:
        source = from_sse(f"{server.url}?key={KEY}", headers={"Authorization": f"Bearer {KEY}"})
        with pytest.raises(LimitExceededError, match="too large") as caught:
            await collect(source)

    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_headers_of_ones_own_replace_the_usual_ones_whatever_their_case() -> None:
    async with ScriptedServer("Hello") as server:
        await collect(from_sse(server.url, json={}, headers={"accept": "*/*", "content-type": "application/x-own"}))

    assert server.requests[0].headers["accept"] == "*/*"
    assert server.requests[0].headers["content-type"] == "application/x-own"


async def test_half_a_surrogate_pair_in_a_request_is_sent_as_a_question_mark() -> None:
    async with ScriptedServer("Hello") as server:
        await collect(from_sse(server.url, json={"text": "\ud83d!"}))

    assert server.requests[0].json == {"text": "?!"}


async def test_a_closed_session() -> None:
    async with aiohttp.ClientSession() as session:
        pass
    with pytest.raises(APIConnectionError, match="closed"):
        await collect(from_sse("http://127.0.0.1:9/", session=session))


async def test_the_proxy_of_the_environment_is_used_and_its_credentials_are_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with ScriptedServer("Hello", repeat=True) as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin)
        await collect(from_sse("http://llm.invalid/"))
        await collect(from_sse("http://llm.invalid/", headers={"Authorization": f"Bearer {KEY}"}))

    assert "authorization" not in proxy.requests[0].headers
    assert proxy.requests[1].headers["authorization"] == f"Bearer {KEY}"


async def test_redirects_without_end() -> None:
    async with ScriptedServer(script.redirect("/again"), repeat=True) as server:
        with pytest.raises(APIConnectionError, match="more than 5 redirects"):
            await collect(from_sse(server.url))

    assert len(server.requests) == 6


async def test_a_redirect_that_leads_nowhere() -> None:
    async with ScriptedServer(script.status(307, "")) as server:
        with pytest.raises(APIStatusError, match="307"):
            await collect(from_sse(server.url))


@contextlib.contextmanager
def logged() -> Any:
    """All that loguru writes, with the variables of the frames of tracebacks, as it does by default."""
    output = io.StringIO()
    logger.enable("rxllm")
    handler = logger.add(output, level=0, diagnose=True, backtrace=True)
    yield output
    logger.remove(handler)
    logger.disable("rxllm")


async def failing(kind: str) -> AsyncIterator[str]:
    if kind == "no server":
        async with ScriptedServer() as server:
            url = server.url
        yield url
    elif kind == "status":
        async with ScriptedServer(script.status(401, f"Incorrect API key provided: {KEY}")) as server:
            yield server.url
    elif kind == "no event stream":
        async with ScriptedServer(script.Answer([f"<p>{KEY}</p>".encode()], content_type="text/html")) as server:
            yield server.url
    else:
        async with ScriptedServer([script.text("Hello"), script.cut()]) as server:
            yield server.url


@pytest.mark.parametrize("kind", ["no server", "status", "no event stream", "cut"])
async def test_the_key_appears_nowhere(kind: str) -> None:
    async for url in failing(kind):
        source = from_sse(url, json={}, headers={"Authorization": f"Bearer {KEY}"})
        with logged() as output:
            with pytest.raises(RxllmError) as caught:
                await collect(source)
            logger.opt(exception=caught.value).error("failed")
        assert KEY not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
        assert "failed" in output.getvalue()
        assert KEY not in output.getvalue()


async def test_a_key_in_the_query_is_in_no_message() -> None:
    async with ScriptedServer(script.status(500, "")) as server:
        with pytest.raises(APIStatusError) as caught:
            await collect(from_sse(f"{server.url}?key={KEY}"))

    assert KEY not in str(caught.value)
    assert server.requests[0].query == f"key={KEY}"


async def test_dispose_cuts_a_connection_whose_server_does_not_read() -> None:
    """What has not been sent yet of a large request does not keep it open."""
    connected, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:  # noqa: ARG002 - as its base has it
            self.transport.pause_reading()
            connected.set()
            self.write()

        def write(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                loop.call_later(0.001, self.write)

        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as its base has it
            gone.set()

    async with await loop.create_server(Deaf, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        subscription = from_sse(url, json="x" * 20_000_000).subscribe()
        await connected.wait()
        subscription.dispose()
        await gone.wait()


async def test_a_large_request_that_nobody_takes() -> None:
    async with await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    with pytest.raises(APIConnectionError):
        await from_sse(f"http://127.0.0.1:{port}/", json="x" * 100_000)
