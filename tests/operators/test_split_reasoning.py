"""``split_reasoning``: inline reasoning goes where reasoning is read, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as rx_ops
from reactivex.disposable import SerialDisposable
from reactivex.subject import Subject

import rxllm
from rxllm import StreamChunk
from rxllm import operators as ops
from rxllm.exceptions import TruncatedStreamError
from rxllm.flow import FlowControl
from rxllm.models import marked
from rxllm.testing import Marbles, ScriptedServer, assert_marbles, finish_chunk, script, text_chunk


def deltas_of(chunk: StreamChunk) -> list[dict[str, Any]]:
    return [choice.delta.model_dump(exclude_none=True) for choice in chunk.choices]


DELTAS = rx_ops.map(deltas_of)


def chunk(*choices: dict[str, Any], **fields: Any) -> StreamChunk:
    return StreamChunk.from_wire({"choices": list(choices), **fields})


def split(*chunks: StreamChunk, **options: Any) -> list[StreamChunk]:
    result: list[StreamChunk] = []
    reactivex.of(*chunks).pipe(ops.split_reasoning(**options)).subscribe(result.append)
    return result


def cut(text: str, places: set[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise(sorted({0, *places, len(text)}))]


ANSWER = "<think>Is 1 < 2? </thin> is no tag.</think>\n\nYes: 1 <th 2.<"


@given(st.sets(st.integers(1, len(ANSWER) - 1)), st.sampled_from(["stop", None]))
def test_every_split_accumulates_to_the_same(places: set[int], reason: str | None) -> None:
    chunks = [text_chunk(fragment) for fragment in cut(ANSWER, places)]
    source = reactivex.of(*chunks, *([finish_chunk(reason)] if reason else []))

    message = rxllm.run(source.pipe(ops.split_reasoning(), ops.accumulate())).message

    assert message.reasoning_text == "Is 1 < 2? </thin> is no tag."
    assert message.content == "\n\nYes: 1 <th 2.<"


def test_one_chunk_out_for_each_chunk_in_at_the_same_time() -> None:
    marbles = Marbles()
    source = marbles.cold(
        "-a-b-c-d|", a=text_chunk("<th"), b=text_chunk("ink>H"), c=text_chunk("m</think> <"), d=finish_chunk()
    )

    assert_marbles(
        marbles.run(source.pipe(ops.split_reasoning(), DELTAS)),
        "-w-x-y-z|",
        w=[{}],
        x=[{"reasoning_content": "H"}],
        y=[{"content": " ", "reasoning_content": "m"}],
        z=[{"content": "<"}],
    )


def test_chunks_without_tags_are_passed_on_as_they_are() -> None:
    chunks = [
        chunk({"delta": {"role": "assistant", "content": None}}),
        text_chunk("Hi > "),
        finish_chunk(),
        chunk(usage={"total_tokens": 1}),
    ]

    result = split(*chunks)

    assert all(new is old for new, old in zip(result, chunks, strict=True))


def test_all_else_in_a_chunk_stays() -> None:
    whole: dict[str, Any] = {
        "id": "1",
        "model": "m",
        "usage": {"total_tokens": 3},
        "vendor": {"a": 1},
        "choices": [
            {
                "index": 1,
                "delta": {
                    "role": "assistant",
                    "content": "<think>Hm.",
                    "tool_calls": [{"index": 0, "id": "x"}],
                    "more": 2,
                },
                "logprobs": {"content": []},
                "finish_reason": "length",
                "extra": 3,
            }
        ],
    }

    (result,) = split(StreamChunk.from_wire(whole))

    whole["choices"][0]["delta"] |= {"content": None, "reasoning_content": "Hm."}
    assert result.model_dump(exclude_unset=True) == StreamChunk.from_wire(whole).model_dump(exclude_unset=True)


def test_the_given_chunks_are_not_changed() -> None:
    given_chunk = text_chunk("<think>Hm.</think>Yes")
    split(given_chunk)
    assert given_chunk == text_chunk("<think>Hm.</think>Yes")


def test_reasoning_that_the_server_sent_apart_is_not_lost() -> None:
    chunks = [
        chunk({"delta": {field: "First. ", "content": "<think>Then."}}) for field in ("reasoning", "reasoning_content")
    ]
    assert [split(each)[0].choices[0].delta.reasoning_text for each in chunks] == ["First. Then."] * 2


def test_choices_are_kept_apart() -> None:
    chunks = [
        chunk({"index": 0, "delta": {"content": "<think>a"}}, {"index": 1, "delta": {"content": "\n<thi"}}),
        chunk({"index": 1, "delta": {"content": "nk>c</"}}, {"index": 0, "delta": {"content": "</think>d"}}),
    ]

    deltas = [
        [(choice.index, choice.delta.content, choice.delta.reasoning_text) for choice in each.choices]
        for each in split(*chunks)
    ]

    assert deltas == [
        [(0, None, "a"), (1, "\n", None)],
        [(1, None, "c"), (0, "d", None)],
        [(1, None, "</")],
    ]


@pytest.mark.parametrize("reason", ["stop", None])
def test_reasoning_that_is_never_closed_goes_to_the_end(reason: str | None) -> None:
    chunks = [text_chunk("<think>Hm"), text_chunk(". </thi"), *([finish_chunk(reason)] if reason else [])]
    assert "".join(each.choices[0].delta.reasoning_text or "" for each in split(*chunks)) == "Hm. </thi"


SEVERAL = "<think>a</think>b<think>c</think>d"


@pytest.mark.parametrize(
    ("options", "text", "reasoning", "content"),
    [
        # At the beginning only, behind white space and reasoning.
        ({}, SEVERAL, "a", "b<think>c</think>d"),
        ({}, "\n <think>a</think>\n<think>b</think>c", "ab", "\n \nc"),
        ({}, "Models write `<think>` before they answer.", None, "Models write `<think>` before they answer."),
        ({}, "</think>a", None, "</think>a"),
        ({"anywhere": True}, SEVERAL, "ac", "bd"),
        ({"anywhere": True}, "Models write `<think>` first.", "` first.", "Models write `"),
        # A tag that the template has given already.
        ({"begins_inside": True}, "a</think>b<think>c", "a", "b<think>c"),
        ({"begins_inside": True}, "\n<think>a</think>b", "\na", "b"),
        ({"begins_inside": True}, "a<think>b</think>c", "a<think>b", "c"),
        ({"begins_inside": True}, "</think>a", None, "a"),
        ({"begins_inside": True, "anywhere": True}, "a</think>b<think>c", "ac", "b"),
        # Never closed.
        ({"begins_inside": True}, "a </thi", "a </thi", None),
        ({"begins_inside": True, "unclosed": "content"}, "a </thi", None, "a </thi"),
        ({"begins_inside": True, "unclosed": "content"}, "a</think>b", "a", "b"),
        ({"begins_inside": True, "unclosed": "content"}, " <think>a", " a", None),
        ({"begins_inside": True, "unclosed": "content"}, " <thi", None, " <thi"),
        ({"unclosed": "content"}, "<think>a", "a", None),
        # Other tags.
        ({"tags": ("[THINK]", "[/THINK]")}, "[THINK]a[/THINK]b", "a", "b"),
        ({"tags": [("[THINK]", "[/THINK]"), ("<think>", "</think>")]}, "<think>a[/THINK]</think>b", "a[/THINK]", "b"),
        ({"tags": [("[THINK]", "[/THINK]"), ("<think>", "</think>")]}, "[THINK]a[/THINK]<think>b", "ab", None),
        ({"tags": [("<t>", "</t>"), ("<t>", "<end>")]}, "<t>a<end>b", "a", "b"),
        ({"tags": ("◁think▷", "◁/think▷"), "begins_inside": True}, "◁think▷a◁/think▷b", "a", "b"),
        ({"tags": ("<|channel|>analysis", "<|end|>")}, "<|channel|>analysis a<|end|>b", " a", "b"),
    ],
)
@given(data=st.data())
def test_what_is_reasoning(
    options: dict[str, Any], text: str, reasoning: str | None, content: str | None, data: st.DataObject
) -> None:
    places = data.draw(st.sets(st.integers(1, len(text) - 1)))
    # Two choices at once, cut at the same places, and an end with and without a reason.
    parts = cut(text, places)
    chunks = [chunk(*({"index": index, "delta": {"content": part}} for index in (0, 1))) for part in parts]
    ends = [finish_chunk("stop")] if data.draw(st.booleans()) else []

    completion = rxllm.run(reactivex.of(*chunks, *ends).pipe(ops.split_reasoning(**options), ops.accumulate()))

    for choice in completion.choices:
        assert choice.message.reasoning_text == reasoning
        assert choice.message.content == content or (choice.message.content, content) == ("", None)


def test_what_may_be_the_answer_is_held_back_until_that_is_known() -> None:
    marbles = Marbles()
    source = marbles.cold("-a-b-c-|", a=text_chunk("H"), b=text_chunk("m"), c=text_chunk(".</think>Y"))

    recording = marbles.run(
        source.pipe(ops.split_reasoning(begins_inside=True, unclosed="content"), DELTAS),
    )

    assert_marbles(recording, "-x-x-y-|", x=[{}], y=[{"content": "Y", "reasoning_content": "Hm."}])


@pytest.mark.parametrize("end", ["|", "#"])
def test_what_was_never_closed_comes_at_the_end_and_before_an_error(end: str) -> None:
    marbles = Marbles()
    source = marbles.cold(f"-a-b-{end}", {"a": text_chunk("H"), "b": text_chunk("m <")}, error=ConnectionError)

    recording = marbles.run(
        source.pipe(ops.split_reasoning(begins_inside=True, unclosed="content"), DELTAS),
    )

    assert_marbles(recording, f"-x-x-(y{end})", error=ConnectionError, x=[{}], y=[{"content": "Hm <"}])


@pytest.mark.parametrize("options", [{}, {"begins_inside": True, "unclosed": "content"}])
def test_of_an_answer_that_begins_anew_nothing_is_kept(options: dict[str, Any]) -> None:
    anew = marked(text_chunk("<think>b</think>c"), restarts=True)
    source = reactivex.of(text_chunk("<think>a"), text_chunk("a <"), anew, finish_chunk())

    message = rxllm.run(source.pipe(ops.split_reasoning(**options), ops.accumulate())).message

    assert (message.reasoning_text, message.content) == ("b", "c")


def test_what_is_held_back_is_bounded() -> None:
    chunks = [text_chunk("a" * 1024 * 1024)] * 17
    source = reactivex.of(*chunks).pipe(ops.split_reasoning(begins_inside=True, unclosed="content"))
    with pytest.raises(rxllm.LimitExceededError, match="wait for a closing tag"):
        rxllm.run(source)


@pytest.mark.parametrize(
    "options",
    [
        *({"tags": tags} for tags in ([], ["ab"], [("a",)], ("a", "b", "c"), [("a", 1)], [("a", "b")] * 40)),
        *({"tags": tags} for tags in (("", "b"), (" a", "b"), ("a", "b" * 101), [("<a", "b"), ("<ab", "c")])),
        {"unclosed": "text"},
    ],
)
def test_what_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tag|unclosed"):
        ops.split_reasoning(**options)


def test_an_answer_that_begins_with_reasoning() -> None:
    chunks = [chunk({"delta": {"role": "assistant", "content": ""}}), text_chunk("Hm.</thi"), text_chunk("nk>Yes.")]

    result = split(*chunks, begins_inside=True)

    assert result[0] is chunks[0]
    assert [(each.choices[0].delta.content, each.choices[0].delta.reasoning_text) for each in result[1:]] == [
        (None, "Hm."),
        ("Yes.", None),
    ]


def test_another_tag() -> None:
    (result,) = split(text_chunk("<Reason><think>a</Reason>"), tag="Reason")
    assert (result.choices[0].delta.content, result.choices[0].delta.reasoning_text) == (None, "<think>a")


def test_before_an_error_comes_what_was_held() -> None:
    marbles = Marbles()
    source = marbles.cold("-a#", {"a": text_chunk(" <")}, error=ConnectionError)

    recording = marbles.run(source.pipe(ops.split_reasoning(), DELTAS))

    assert_marbles(recording, "-x(y#)", error=ConnectionError, x=[{"content": " "}], y=[{"content": "<"}])


async def take(item: StreamChunk) -> str:
    return item.choices[0].delta.content or ""


def test_what_was_held_waits_for_a_consumer_that_pauses_and_the_end_behind_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=text_chunk(" <"))

    recording = marbles.run(source.pipe(ops.split_reasoning(), DELTAS), takes=4)

    assert_marbles(recording, "-x---y---|", x=[{"content": " "}], y=[{"content": "<"}])


@pytest.mark.parametrize("end", ["|", "#"])
def test_of_several_choices_one_after_the_other_waits_for_that_consumer(end: str) -> None:
    marbles = Marbles()
    both = chunk({"index": 0, "delta": {"content": "<"}}, {"index": 1, "delta": {"content": "<t"}})
    source = marbles.cold(f"-a{end}", {"a": both}, error=ConnectionError)

    recording = marbles.run(source.pipe(ops.split_reasoning(), DELTAS), takes=2)

    assert_marbles(
        recording,
        f"-x-y-z-{end}",
        error=ConnectionError,
        x=[{}, {}],
        y=[{"content": "<"}],
        z=[{"content": "<t"}],
    )


def test_disposing_while_the_end_waits_forgets_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=text_chunk("<"))

    recording = marbles.run(source.pipe(ops.split_reasoning(), DELTAS), takes=4, subscribed="^------!")

    assert_marbles(recording, "-x---y", x=[{}], y=[{"content": "<"}])


def test_who_pauses_and_leaves_with_what_was_held_is_forgotten() -> None:
    class Flow(FlowControl):
        def when_resumed(self, callback: Callable[[], None]) -> Callable[[], None]:
            pytest.fail(f"{callback} waits for a producer that was left")

    flow = Flow()
    source: Subject[StreamChunk] = Subject()
    subscription = SerialDisposable()
    received: list[str | None] = []

    def on_next(item: StreamChunk) -> None:
        received.append(item.choices[0].delta.content)
        if received == [None, "<"]:
            flow.pause("test")
            subscription.dispose()

    subscription.disposable = source.pipe(ops.split_reasoning()).subscribe(on_next)
    flow.deliver(source.on_next, text_chunk("<"))
    source.on_completed()

    assert received == [None, "<"]
    flow.resume("test")


def test_what_was_held_waits_while_its_producer_is_paused() -> None:
    """The end comes from elsewhere, in the middle of a pause."""
    marbles = Marbles()
    source = marbles.cold("-a-", a=text_chunk(" <"))
    cut_off = source.pipe(rx_ops.take_until(marbles.cold("--z-", z=0)))

    recording = marbles.run(cut_off.pipe(ops.split_reasoning(), DELTAS), takes=4)

    assert_marbles(recording, "-x---y---|", x=[{"content": " "}], y=[{"content": "<"}])


def test_it_does_not_overflow_who_is_busy() -> None:
    """An error in the same emission as the last item: whoever took that item has no place yet for what was held."""
    marbles = Marbles()
    frames = marbles.cold("-a-", a='{"choices":[{"delta":{"content":" <"}}]}')
    broken = frames.pipe(ops.parse(), rx_ops.merge(marbles.cold("-#", error=ConnectionError)))

    recording = marbles.run(broken.pipe(ops.split_reasoning(), ops.map_async(take)))

    assert_marbles(recording, "-(xy#)", error=ConnectionError, x=" ", y="<")


def test_disposing_while_something_waits_forgets_it() -> None:
    marbles = Marbles()
    source = marbles.cold("-a|", a=text_chunk(" <"))

    recording = marbles.run(source.pipe(ops.split_reasoning(), DELTAS), takes=4, subscribed="^--!")

    assert_marbles(recording, "-x", x=[{"content": " "}])


async def test_over_a_real_connection_byte_by_byte() -> None:
    answer = [*map(script.text, ("<", "think>\n", "Hm 🙂.</th", "ink", ">\n\nYes."))]
    async with (
        ScriptedServer([*answer, script.finish(), script.usage(), script.done()], fragment=1) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        request = rxllm.ChatRequest(model="m", messages=[])
        completion = await client.chat_stream(request).pipe(ops.split_reasoning(), ops.accumulate())

    assert completion.message.reasoning_text == "\nHm 🙂."
    assert completion.message.content == "\n\nYes."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None


async def test_of_a_connection_that_is_cut_nothing_is_lost() -> None:
    async with (
        ScriptedServer([script.text("<think>Hm. </th"), script.cut()]) as server,
        rxllm.LLMClient(retries=0, base_url=server.base_url) as client,
    ):
        stream = client.chat_stream(rxllm.ChatRequest(model="m", messages=[]))
        with pytest.raises((TruncatedStreamError, rxllm.StreamInterruptedError)) as caught:
            await stream.pipe(ops.split_reasoning(), ops.accumulate())

    assert isinstance(caught.value.partial, rxllm.ChatCompletion)
    assert caught.value.partial.message.reasoning_text == "Hm. </th"


@pytest.mark.parametrize("tag", ["", "<think>", "a b"])
def test_a_tag_is_a_name(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a name of a tag"):
        ops.split_reasoning(tag)


def test_a_chunk_with_the_beginning_of_no_tag_is_the_same_object() -> None:
    chunk = text_chunk("1 <2 and 3> 2")
    assert rxllm.run(reactivex.of(chunk).pipe(ops.split_reasoning())) is chunk
