"""The dialect of the page "A dialect of your own", through the client and against a server."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import rxllm
from rxllm import ChatCompletion, LLMClient, Message, StreamChunk
from rxllm import operators as ops
from rxllm.dialects import Dialect
from rxllm.sinks import JSONLinesSink
from rxllm.testing import ScriptedServer, script

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "write-a-dialect.md"
CODE = str(re.findall(r"^```python\n(# parrot\.py\n.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)[0])
KEY = "seed-0123456789"


@pytest.fixture(scope="module")
def parrot() -> Iterator[Dialect]:
    module = types.ModuleType("parrot")
    sys.modules["parrot"] = module  # a dataclass looks for its own
    exec(compile(CODE, str(PAGE), "exec"), vars(module))  # noqa: S102 - it is ours
    yield vars(module)["Parrot"]()
    del sys.modules["parrot"]


def says(*texts: str, part: int = 1) -> list[dict[str, Any]]:
    return [{"kind": "says", "part": part, "text": text} for text in texts]


HELLO = {"kind": "hello", "id": "p-1", "model": "grey-2"}
THOUGHT = [{"kind": "thinks", "part": 0, "text": "Salt?"}, {"kind": "part", "part": 0, "seal": "c2FsdA"}]
BYE = {"kind": "bye", "why": "said", "heard": 7, "said": 3}
SEALED = {"kind": "part", "part": 1, "seal": "c2Vh"}
ANSWER: list[dict[str, Any]] = [HELLO, *THOUGHT, *says("Rivers carry ", "salt."), SEALED, BYE]
QUESTION = Message.user("Why is the sea salty?")


def client(server: ScriptedServer, dialect: Dialect, **options: Any) -> LLMClient:
    given: dict[str, Any] = {"base_url": server.origin, "dialect": dialect, "api_key": KEY, "retries": 0, **options}
    return LLMClient(**given)


def test_it_has_sixty_lines() -> None:
    lines = [line for line in CODE.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 60


@pytest.mark.parametrize("fragment", [None, 1, 7], ids=["whole", "byte by byte", "in pieces"])
async def test_an_answer_through_the_client(parrot: Dialect, fragment: int | None) -> None:
    async with ScriptedServer(ANSWER, fragment=fragment) as server:
        answer = await client(server, parrot).chat(model="grey", messages=[QUESTION], temperature=0, sings=True)
    assert (answer.text, answer.message.reasoning_text, answer.ending) == ("Rivers carry salt.", "Salt?", "completed")
    assert (answer.id, answer.model, answer.complete, answer.repairs) == ("p-1", "grey-2", True, ())
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    (request,) = server.requests
    assert (request.path, request.headers["parrot-key"], request.headers["parrot-version"]) == ("/v2/talk", KEY, "3")
    spoken = {"by": "user", "says": "Why is the sea salty?"}
    assert request.json == {"model": "grey", "messages": [spoken], "temperature": 0, "sings": True}


async def test_connections_are_used_again(parrot: Dialect) -> None:
    async with ScriptedServer(ANSWER, repeat=True) as server, client(server, parrot) as talking:
        for _ in range(5):
            assert (await talking.chat(model="grey", messages=[QUESTION])).complete
        assert (len(server.requests), server.connections) == (5, 1)


async def chunks_of(source: rxllm.Stream[StreamChunk]) -> tuple[list[StreamChunk], Exception | None]:
    chunks: list[StreamChunk] = []
    try:
        async for chunk in source:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
    except rxllm.RxllmError as error:
        return chunks, error
    return chunks, None


@pytest.mark.parametrize("end", range(len(ANSWER)))
async def test_an_answer_that_is_cut_is_never_whole(parrot: Dialect, end: int) -> None:
    """Whether the body ends in good order, or the connection is lost."""
    for cut, error in (([], rxllm.TruncatedStreamError), ([script.cut()], rxllm.StreamInterruptedError)):
        async with ScriptedServer([*ANSWER[:end], *cut]) as server:
            chunks, failure = await chunks_of(client(server, parrot).chat_stream(model="grey", messages=[QUESTION]))
        # Without an event it is no event stream, and a connection that is lost then may be lost before the answer.
        assert isinstance(failure, error if end else rxllm.RxllmError)
        assert len(chunks) == end


async def test_a_connection_that_is_lost_behind_the_end_is_no_loss(parrot: Dialect) -> None:
    async with ScriptedServer([*ANSWER, script.cut()]) as server:
        answer = await client(server, parrot).chat(model="grey", messages=[QUESTION])
    assert answer.complete
    assert [repair.kind for repair in answer.repairs] == ["cut-after-finish"]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"kind": "squawk", "why": "busy", "text": "later"}, rxllm.APIStreamError),
        ({"kind": "says", "part": 1}, rxllm.DecodeError),
        ({"no": "kind"}, rxllm.DecodeError),
        (script.Event("squawk!"), rxllm.DecodeError),
        (script.Event("[1]"), rxllm.DecodeError),
    ],
)
async def test_errors_come_behind_what_arrived(parrot: Dialect, event: Any, error: type[rxllm.RxllmError]) -> None:
    async with ScriptedServer([HELLO, *says("Rivers"), event]) as server:
        with pytest.raises(error) as caught:
            await client(server, parrot).chat(model="grey", messages=[QUESTION])
    assert isinstance(caught.value.partial, ChatCompletion)
    assert caught.value.partial.text == "Rivers"
    if isinstance(caught.value, rxllm.DecodeError):
        assert (caught.value.dialect, caught.value.position) == ("parrot", 2)
    else:
        assert caught.value.retryable


async def test_a_new_try_before_anything_came(parrot: Dialect) -> None:
    busy = [{"kind": "squawk", "why": "busy", "text": "later"}]
    async with ScriptedServer(busy, ANSWER) as server, asyncio.timeout(20):
        answer = await client(server, parrot, retries=1).chat(model="grey", messages=[QUESTION])
    assert answer.complete
    assert len(answer.attempts) == 1


async def sent(parrot: Dialect, server: ScriptedServer, *messages: Any) -> list[Any]:
    await client(server, parrot).chat(model="grey", messages=messages)
    spoken: list[Any] = server.requests[-1].json["messages"]
    return spoken[1:]


async def test_what_came_from_there_goes_back_as_it_came_and_nothing_else_does(parrot: Dialect, tmp_path: Path) -> None:
    async with ScriptedServer(ANSWER, repeat=True) as server, ScriptedServer(ANSWER, repeat=True) as other:
        source = client(server, parrot).chat_stream(model="grey", messages=[QUESTION])
        answer = await source.pipe(ops.tee_to(JSONLinesSink(tmp_path / "answer.jsonl")), ops.accumulate())
        replayed = await rxllm.from_recording(tmp_path / "answer.jsonl").pipe(ops.accumulate())
        blocks = [THOUGHT[1], SEALED]
        for message in (answer.message, replayed.message, Message.model_validate(answer.message.model_dump())):
            assert await sent(parrot, server, QUESTION, message) == [{"by": "assistant", "says": blocks}]
            text = [{"by": "assistant", "says": "Rivers carry salt."}]
            assert await sent(parrot, other, QUESTION, message) == text
        edited = answer.message.model_copy(update={"content": "No idea."})
        assert await sent(parrot, server, QUESTION, edited) == [{"by": "assistant", "says": "No idea."}]
        own = {"by": "parrot", "says": "Polly"}
        assert await sent(parrot, server, QUESTION, own) == [own]
        # Nothing of it reaches another dialect.
        other.add("Hello")
        await LLMClient(base_url=other.base_url).chat(model="m", messages=[QUESTION, answer.message])
    assert "seal" not in other.requests[-1].body.decode()


async def test_what_it_cannot_say_is_an_error_before_anything_is_sent(parrot: Dialect) -> None:
    async with ScriptedServer() as server:
        with pytest.raises(rxllm.UnsupportedRequestError) as caught:
            await client(server, parrot).chat(model="grey", messages=[QUESTION], tools=[{"type": "function"}])
        with pytest.raises(rxllm.UnsupportedRequestError, match="parrot is not spoken over WebSockets"):
            client(server, parrot).websocket_stream(model="grey", messages=[QUESTION])
    assert (caught.value.dialect, caught.value.field, server.requests) == ("parrot", "tools", [])


async def test_its_key_goes_home_and_nowhere_else(parrot: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARROT_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
    async with ScriptedServer(ANSWER, repeat=True) as proxy:
        for base_url, key in (("http://localhost", KEY), ("http://api.parrot.example", ""), ("http://elsewhere", "")):
            await client(proxy, parrot, base_url=base_url, api_key=None, proxy=proxy.origin).chat(
                model="grey", messages=[QUESTION]
            )
            assert proxy.requests[-1].headers["parrot-key"] == key
            assert "authorization" not in proxy.requests[-1].headers


async def test_operators_take_it_as_any_other(parrot: Dialect) -> None:
    async with ScriptedServer(ANSWER, repeat=True) as server:
        stream = client(server, parrot).chat_stream(model="grey", messages=[QUESTION])
        words = [word async for word in stream.pipe(ops.content())]
        first, *_ = [chunk async for chunk in stream]
    assert words == ["Rivers carry ", "salt."]
    assert first.begins
    assert first.stream is not None
    assert first.stream.dialect == "parrot"


async def frames(events: Sequence[Any]) -> AsyncIterator[str]:
    for event in events:
        yield json.dumps(event)


async def test_it_is_parsed_from_frames_as_well(parrot: Dialect) -> None:
    answer = await rxllm.from_async_iterable(frames(ANSWER)).pipe(ops.parse(parrot), ops.accumulate())
    assert answer.text == "Rivers carry salt."
    tired = [HELLO, {**BYE, "why": "tired"}, {"kind": "preens"}]
    answer = await rxllm.from_async_iterable(frames(tired)).pipe(ops.parse(parrot), ops.accumulate())
    assert answer.ending == "length"
