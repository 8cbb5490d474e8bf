"""The vendor's client of AG-UI reads what we serve."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import reactivex
from reactivex import Observable

from rxllm.exceptions import APIConnectionError, APIStatusError, StreamCancelledError
from rxllm.models import Restarted
from rxllm.serving import AGUI
from tests.judges.conversation_server import served
from tests.recorded import each_of, streams
from tests.serving.conversations import ANSWER, ASKED, CALLS, CONVERSATION, DIALECTS, FIRST_ROUND, delta, read

Judge = Callable[..., Awaitable[dict[str, Any]]]


def pipeline(items: Sequence[object], error: Exception | None = None) -> Observable[Any]:
    source: Observable[Any] = reactivex.from_iterable(items)
    return source if error is None else reactivex.concat(source, reactivex.throw(error))


PAGE = {"type": "url_citation", "url": "https://example.com/a"}
OTHER = {"type": "url_citation", "url": "https://example.com/b"}


def test_each_event_of_the_protocol_is_in_our_table_or_named_as_not_ours(judges: Path) -> None:
    theirs: dict[str, Any] = json.loads((judges / "agui-types.json").read_text(encoding="utf-8"))
    assert theirs.pop("protocol") == "1.0"
    theirs.pop("package")

    assert theirs.keys() == AGUI.sent.keys() | AGUI.not_sent.keys()
    for kind, fields in AGUI.sent.items():
        assert set(fields) <= set(theirs[kind]["fields"]), kind
        assert set(theirs[kind]["required"]) <= set(fields), kind


@pytest.mark.parametrize(
    ("items", "error", "outcome", "text"),
    [
        pytest.param(ANSWER, None, "success", "Hello", id="answer"),
        pytest.param(["Hel", "lo"], None, "success", "Hello", id="texts"),
        pytest.param(CALLS, None, "success", "Two calls.", id="calls for the client"),
        pytest.param(CONVERSATION, None, "success", "Let me see.It is sunny.", id="tools run here"),
        pytest.param(
            [delta(content="a", annotations=[PAGE, OTHER]), delta(content="b")], None, "success", "ab", id="sources"
        ),
        pytest.param(ASKED, None, "interrupt", "Let me see.", id="interrupt"),
        pytest.param(FIRST_ROUND[:5], StreamCancelledError("stopped"), "cancelled", "Let me see.", id="cancelled"),
        pytest.param(FIRST_ROUND[:5], APIConnectionError("x"), "error", "Let me see.", id="error"),
        pytest.param([*FIRST_ROUND[:3], Restarted(round=1)], None, "error", "Let me ", id="restart"),
        pytest.param([Restarted(round=1), *FIRST_ROUND[:3]], None, "success", "Let me ", id="restart of nothing"),
    ],
)
async def test_the_client_reads_it(
    judge: Judge, items: Sequence[object], error: Exception | None, outcome: str, text: str
) -> None:
    async with served(lambda: pipeline(items, error), AGUI()) as url:
        report = await judge("ag-ui.mjs", url, "--strict", "--outcome", outcome, "--expect", text)

    assert report["ok"], report


async def test_the_messages_that_the_client_has_at_the_end(judge: Judge) -> None:
    async with served(lambda: pipeline(CONVERSATION), AGUI()) as url:
        report = await judge("ag-ui.mjs", url, "--strict")

    assert report["ok"], report
    assert [(each["role"], each["content"]) for each in report["messages"]] == [
        ("reasoning", "Oslo, then."),
        ("assistant", "Let me see."),
        ("tool", '{"sky": "clear"}'),
        ("assistant", "It is sunny."),
    ]
    (call,) = report["messages"][1]["toolCalls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert report["messages"][2]["toolCallId"] == call["id"]
    assert report["usage"] == [{"inputTokens": 6, "outputTokens": 4, "totalTokens": 10}]


async def test_an_error_before_the_first_frame_is_a_status(judge: Judge) -> None:
    async with served(lambda: pipeline([], APIStatusError("busy", status=429)), AGUI()) as url:
        report = await judge("ag-ui.mjs", url, "--outcome", "error")

    assert any("429" in fault for fault in report["faults"])


@each_of(streams(*DIALECTS)[::12], "dialect", "wire")
async def test_the_client_reads_answers_of_all_dialects(judge: Judge, dialect: str, wire: bytes) -> None:
    chunks, errors = read(wire, dialect)
    said = "".join(chunk.text for chunk in chunks)
    refused = "".join(each.delta.refusal or "" for chunk in chunks for each in chunk.choices)
    outcome = "error" if errors else "success"

    async with served(lambda: pipeline(chunks, errors[0] if errors else None), AGUI()) as url:
        report = await judge("ag-ui.mjs", url, "--strict", "--outcome", outcome, "--expect", said + refused)

    # An error before the first frame is a status, which the vendor's client throws as it is.
    assert report["ok"] or (errors and not chunks), report
