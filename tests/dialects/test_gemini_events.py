"""The events of the Gemini API, also odd ones: what each becomes, and what is refused."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
import reactivex
from hypothesis import given, settings
from hypothesis import strategies as st

import rxllm
from rxllm import operators as ops
from rxllm.accumulators import StreamAccumulator
from rxllm.dialects import Gemini, get_reader
from rxllm.exceptions import (
    APIStreamError,
    DecodeError,
    EmptyStreamError,
    LimitExceededError,
    RxllmError,
    TruncatedStreamError,
)
from rxllm.models import ChatCompletion, CompletionChoice, StreamChunk
from rxllm.wire import ServerSentEvent
from tests.thorough import times

Fields = dict[str, Any]
HEAD: Fields = {"modelVersion": "gemini-x", "responseId": "r1"}
STOP: Fields = {"finishReason": "STOP"}


def event(
    *parts: Fields, index: int | None = None, reason: str | None = None, usage: Any = None, **more: Any
) -> Fields:
    """An event with one candidate."""
    candidate: Fields = {**({} if index is None else {"index": index}), **more}
    if parts:
        candidate["content"] = {"role": "model", "parts": [*parts]}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], **({} if usage is None else {"usageMetadata": usage}), **HEAD}


def text(said: str, **fields: Any) -> Fields:
    return {"text": said, **fields}


def thought(said: str, **fields: Any) -> Fields:
    return {"text": said, "thought": True, **fields}


def call(name: str | None = "f", **fields: Any) -> Fields:
    return {"functionCall": {**({} if name is None else {"name": name}), **fields}}


def more(*pieces: tuple[str, Fields], goes_on: bool = True) -> Fields:
    """The next pieces of a call that is open."""
    said = [{"jsonPath": path, **value} for path, value in pieces]
    return call(None, partialArgs=said, **({"willContinue": True} if goes_on else {}))


END = event(reason="STOP")


def decoded(*events: Any) -> list[StreamChunk]:
    decoder = get_reader("gemini").decoder()
    return [chunk for each in events for chunk in decoder.decode(as_text(each))]


def as_text(said: Any) -> Any:
    return said if isinstance(said, str | ServerSentEvent | bytes) else json.dumps(said)


def answer(*events: Any, strict: bool = True) -> ChatCompletion:
    texts = map(as_text, events)
    return rxllm.run(reactivex.from_iterable(texts).pipe(ops.parse("gemini"), ops.accumulate(strict=strict)))


def failure(*events: Any) -> RxllmError:
    with pytest.raises(RxllmError) as caught:
        answer(*events)
    return caught.value


def native(choice: CompletionChoice) -> Any:
    return (choice.model_extra or {}).get("native_finish_reason")


def parts_of(completion: ChatCompletion) -> list[tuple[str, str]]:
    return [(str(part.kind), part.text) for part in completion.message.parts]


def blocks_of(completion: ChatCompletion) -> list[Fields | None]:
    return [part.block for part in completion.message.parts]


def calls_of(completion: ChatCompletion) -> list[tuple[str, Any]]:
    return [(each.function.name, each.function.parsed) for each in completion.message.tool_calls]


# Texts


def test_thoughts_and_texts_are_parts_of_all_their_pieces() -> None:
    completion = answer(event(thought("a")), event(thought("b")), event(text("c")), event(text("d"), text("e")), END)
    assert parts_of(completion) == [("reasoning", "ab"), ("text", "cde")]
    assert blocks_of(completion) == [thought("ab"), text("cde")]
    assert (completion.content, completion.message.reasoning_text) == ("cde", "ab")
    assert (completion.id, completion.model, completion.message.role) == ("r1", "gemini-x", "assistant")
    assert (completion.ending, completion.choices[0].finish_reason) == ("completed", "stop")
    assert native(completion.choices[0]) == "STOP"


def test_a_signature_belongs_to_the_very_part_that_it_came_on() -> None:
    signed = [text("b", thoughtSignature="s1"), text("", thoughtSignature="s2"), thought("t", thoughtSignature="s3")]
    completion = answer(event(text("a")), *(event(each) for each in signed), event(text("c")), END)
    assert blocks_of(completion) == [text("a"), *signed, text("c")]
    assert (completion.content, completion.message.reasoning_text) == ("abc", "t")


def test_the_chunks_of_a_text_have_the_very_same_part_and_each_its_event() -> None:
    events = [event(text("a")), event(text("b")), event(text("c"))]
    chunks = decoded(*events)
    assert len({id(chunk.choices[0].delta.part) for chunk in chunks}) == 1
    assert [chunk.event for chunk in chunks] == [json.dumps(each) for each in events]
    assert [chunk.text for chunk in chunks] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "slow", [{"avgLogprobs": -1.5}, {"content": {"parts": [text("b"), text("")], "role": "model"}}]
)
def test_what_is_read_in_full_gives_the_same_as_what_the_compiled_decoder_takes(slow: Fields) -> None:
    odd = event(text("b"))
    odd["candidates"][0] |= slow
    fast, other = (answer(event(text("a")), each, event(text("c")), END) for each in (event(text("b")), odd))
    assert (fast.content, blocks_of(fast)) == (other.content, blocks_of(other)) == ("abc", [text("abc")])


def test_another_model_and_time_in_the_middle_are_told_from_there_on() -> None:
    first = {**event(text("a")), "createTime": "2026-01-02T03:04:05.5Z"}
    late = {**event(text("c")), "modelVersion": "gemini-y"}
    chunks = decoded(first, event(text("b")), late, {**event(text("d")), "modelVersion": "gemini-y"})
    assert [chunk.model for chunk in chunks] == ["gemini-x", "gemini-x", "gemini-y", "gemini-y"]
    assert {chunk.created for chunk in chunks} == {1767323045}
    assert answer({**event(text("a"), reason="STOP"), "createTime": "soon"}).created is None


def test_empty_texts_empty_contents_and_empty_candidates_are_nothing() -> None:
    nothing: list[Any] = [
        event(text("")),
        event(),
        {"candidates": [{"content": {"role": "model"}}]},
        {"candidates": []},
    ]
    completion = answer(event(text("a")), *nothing, {"usageMetadata": {}}, event(text("b")), END)
    assert blocks_of(completion) == [text("ab")]


def test_a_large_event() -> None:
    completion = answer(event(text("a")), event(text("x" * 100_000)), END)
    assert blocks_of(completion) == [text("a" + "x" * 100_000)]


def test_images_and_parts_that_nobody_knows() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "c291"}}
    completion = answer(event(text("a"), image, sound, {"later": 1}), END)
    assert [kind for kind, _ in parts_of(completion)] == ["text", "image", "other", "other"]
    assert blocks_of(completion) == [text("a"), image, sound, {"later": 1}]


def test_several_candidates() -> None:
    both = [{"index": index, "content": {"parts": [text(said)]}} for index, said in enumerate("ab")]
    ends = [{"index": 1, "finishReason": "MAX_TOKENS"}, {"index": 0, "finishReason": "STOP"}]
    completion = answer(
        {"candidates": both, **HEAD}, event(text("c"), index=1), event(text("d"), index=1), {"candidates": ends}
    )
    assert [(choice.message.text, choice.finish_reason) for choice in completion.choices] == [
        ("a", "stop"),
        ("bcd", "length"),
    ]
    unnumbered = [{**{name: each[name] for name in each if name != "index"}, **STOP} for each in both]
    assert [choice.message.text for choice in answer({"candidates": unnumbered}).choices] == ["a", "b"]
    error = failure({"candidates": both, **HEAD}, event(index=1, reason="STOP"))
    assert isinstance(error, TruncatedStreamError)
    assert error.unfinished == (0,)


# Calls


def test_calls_come_whole_and_get_an_identifier_if_they_have_none() -> None:
    first, second = call("f", args={"a": [1, "é"]}, id="mine"), {**call("g"), "thoughtSignature": "s"}
    completion = answer(event(text("a")), event(first, second), event(call("g")), END)
    assert calls_of(completion) == [("f", {"a": [1, "é"]}), ("g", {}), ("g", {})]
    assert blocks_of(completion) == [text("a"), first, second, call("g")]
    ids = [each.id for each in completion.message.tool_calls]
    assert ids[0] == "mine"
    assert len(set(ids)) == 3
    again = answer(event(text("a")), event(first, second), event(call("g")), END)
    assert [each.id for each in again.message.tool_calls] == ids
    assert (completion.choices[0].finish_reason, completion.ending) == ("tool_calls", "completed")
    assert completion.repairs == ()


@pytest.mark.parametrize(
    ("args", "expected"), [(None, {}), ({}, {}), ('{"a": 1}', {"a": 1}), (" ", {}), ({"a": None}, {"a": None})]
)
def test_arguments(args: Any, expected: Any) -> None:
    assert calls_of(answer(event(call(args=args)), END)) == [("f", expected)]


def test_an_empty_text_beside_a_call_hides_nothing() -> None:
    assert calls_of(answer(event({"text": "", **call(args={"a": 1})}), END)) == [("f", {"a": 1})]


def test_calls_of_an_answer_that_its_length_cut_are_none() -> None:
    completion = answer(event(call(args={"a": 1}), reason="MAX_TOKENS"))
    assert (completion.ending, completion.message.tool_calls) == ("length", [])
    assert [each.name for each in completion.choices[0].incomplete_tool_calls] == ["f"]


PIECES = (
    ("$.name", {"stringValue": "Os", "willContinue": True}),
    ("$.name", {"stringValue": "lo"}),
    ("$.count", {"numberValue": 3.0}),
    ("$.part", {"numberValue": 0.5}),
    ("$.exact", {"numberValue": 7}),
    ("$.good", {"boolValue": False}),
    ("$.none", {"nullValue": "NULL_VALUE"}),
    ("$.name", {"willContinue": False}),
    ("$.grid[0][0]", {"numberValue": 1}),
    ("$.grid[0][1]", {"numberValue": 2}),
    ("$.grid[1][0]", {"stringValue": "x"}),
    ("$.grid[1][0]", {"stringValue": "y"}),
    ("$.list[0].a.b", {"stringValue": "deep"}),
    ("$['it']", {"stringValue": "quoted"}),
    ('$["a.b"].c', {"boolValue": True}),
)
WHOLE: Fields = {
    "name": "Oslo",
    "count": 3,
    "part": 0.5,
    "exact": 7,
    "good": False,
    "none": None,
    "grid": [[1, 2], ["xy"]],
    "list": [{"a": {"b": "deep"}}],
    "it": "quoted",
    "a.b": {"c": True},
}


@pytest.mark.parametrize(
    "ends",
    [
        [more(goes_on=False)],
        [call(None)],
        [call(None), call(None)],
        [call("g", args={})],
        [text("", thoughtSignature="s")],
        [call("g", willContinue=True), call(None)],
    ],
)
def test_a_call_whose_arguments_come_in_pieces(ends: list[Fields]) -> None:
    begun = {**call("f", id="c1", willContinue=True), "thoughtSignature": "s1"}
    completion = answer(event(text("a")), event(begun), *(event(more(piece)) for piece in PIECES), event(*ends), END)
    assert calls_of(completion)[0] == ("f", WHOLE)
    block = blocks_of(completion)[1]
    assert block == {"functionCall": {"name": "f", "id": "c1", "args": WHOLE}, "thoughtSignature": "s1"}
    assert completion.message.tool_calls[0].id == "c1"
    assert completion.message.is_as_it_came
    assert completion.repairs == ()


def test_the_first_piece_may_come_with_the_name_and_with_arguments() -> None:
    first = call("f", args={"a": 1}, partialArgs=[{"jsonPath": "$.b", "stringValue": "x"}])
    assert calls_of(answer(event(first), END)) == [("f", {"a": 1, "b": "x"})]


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "MALFORMED_FUNCTION_CALL"])
def test_a_call_that_goes_on_when_the_answer_ends_was_cut(reason: str) -> None:
    completion = answer(event(call("f", willContinue=True)), event(more(PIECES[0])), event(reason=reason), strict=False)
    assert completion.message.tool_calls == []
    assert [(each.name, each.arguments) for each in completion.choices[0].incomplete_tool_calls] == [
        ("f", '{"name": "Os"')
    ]
    assert not any(part.final for part in completion.message.parts)
    for ends in ((), (END,)):
        error = failure(event(call("f", willContinue=True)), event(more(PIECES[0])), *ends)
        assert isinstance(error, TruncatedStreamError)
        assert error.partial is not None
        assert [each.name for each in error.partial.choices[0].incomplete_tool_calls] == ["f"]


def test_an_escaped_quote_in_a_path() -> None:
    begun = event(call("f", willContinue=True))
    completion = answer(begun, event(more(("$['it\\'s']", {"stringValue": "x"}), goes_on=False)), END)
    assert calls_of(completion) == [("f", {"it's": "x"})]


def test_a_long_string_in_many_pieces_costs_no_more_than_its_text() -> None:
    begun = event(call("f", willContinue=True))
    piece = as_text(event(more(("$.a", {"stringValue": "x" * 1000}))))
    decoder = get_reader("gemini").decoder()
    list(decoder.decode(as_text(begun)))
    for _ in range(20_000):
        list(decoder.decode(piece))
    (chunk, *_) = decoder.decode(as_text(event(call(None))))
    (said,) = [*(chunk.choices[0].delta.tool_calls or ())]
    assert said.function is not None
    assert len(said.function.arguments or "") == 20_000_000 + len('{"a": ""}')


BAD_PATHS = ["", "a", "$", "$.", "$x", "$[x]", "$['a", "$.a[", "$" + ".a" * 101, "$[0]", "$.list[3]", "$.name.inner", 5]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths(path: Any) -> None:
    begun = [event(call("f", willContinue=True)), event(more(PIECES[0], ("$.list[0]", {"boolValue": True})))]
    error = failure(event(text("x")), *begun, event(more((path, {"stringValue": "a"}))))
    assert isinstance(error, DecodeError)
    assert (error.dialect, error.position) == ("gemini", 3)
    assert "a piece of arguments" in str(error)
    assert error.partial is not None
    assert error.partial.content == "x"


# Tools of the provider


def test_code_that_the_provider_runs_is_no_call_of_ours() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    result: Fields = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    completion = answer(event(code), event(result), event(text("one")), event(code), event(result), END)
    assert [kind for kind, _ in parts_of(completion)] == [
        *("server_tool", "server_result", "text", "server_tool", "server_result")
    ]
    assert blocks_of(completion) == [code, result, text("one"), code, result]
    parts = completion.message.parts
    assert (parts[0].name, parts[0].text) == ("code_execution", "print(1)")
    assert (parts[0].id, parts[3].id) == (parts[1].id, parts[4].id)
    assert parts[0].id != parts[3].id
    assert completion.message.tool_calls == []
    assert completion.choices[0].finish_reason == "stop"


def test_tools_of_the_provider_have_a_name_and_an_input() -> None:
    tool = {"toolCall": {"id": "t1", "toolType": "GOOGLE_MAPS", "args": {"q": 1}}}
    result: Fields = {"toolResponse": {"id": "t1", "response": {}}}
    completion = answer(event(tool, {"toolCall": {}}, result), END)
    assert [(part.id, part.name, part.text) for part in completion.message.parts][::2] == [
        ("t1", "GOOGLE_MAPS", '{"q": 1}'),
        ("t1", None, ""),
    ]


def test_sources_are_annotations_each_once() -> None:
    chunks = [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"uri": "https://b"}}, {"web": 1}, {}]
    supports = [
        {"segment": {"endIndex": 4, "text": "said"}, "groundingChunkIndices": [0, 2, 9, "x"]},
        {"groundingChunkIndices": 1},
    ]
    grounding = {"groundingChunks": chunks, "groundingSupports": supports}
    cited = {"citationSources": [{"uri": "https://c", "startIndex": 1, "endIndex": 2}, {"license": "x"}]}
    completion = answer(
        event(text("a"), groundingMetadata=grounding),
        event(text("b"), groundingMetadata=grounding, citationMetadata=cited),
        event(reason="STOP", groundingMetadata=5, citationMetadata={"citations": [{"uri": "https://d"}, 5]}),
    )
    assert [*(completion.message.annotations or ())] == [
        {"type": "url_citation", "url_citation": said}
        for said in (
            {"url": "https://a", "title": "A", "start_index": 0, "end_index": 4},
            {"url": "https://b"},
            {"url": "https://c", "start_index": 1, "end_index": 2},
            {"url": "https://d"},
        )
    ]


def test_what_a_candidate_says_besides_is_kept_with_its_choice() -> None:
    ratings = [{"category": "c", "probability": "LOW"}]
    own = ("delta", "logprobs", "slots", "extra", "finish_reason", "message", "self", "cls", "")
    odd: Fields = {**dict.fromkeys(own, 5), "index": 0}
    completion = answer(event(text("a"), avgLogprobs=-0.5, **odd), event(reason="STOP", safetyRatings=ratings))
    extra = completion.choices[0].model_extra or {}
    assert (extra["avgLogprobs"], extra["safetyRatings"]) == (-0.5, ratings)
    assert completion.choices[0].finish_reason == "stop"


# Ends


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("CONTINUATION", "CONTINUATION"),
    ],
)
def test_reasons(word: str, ours: str) -> None:
    (choice,) = answer(event(text("a")), event(reason=word), strict=False).choices
    assert (choice.finish_reason, native(choice)) == (ours, word)


def test_a_reason_in_each_event_ends_nothing() -> None:
    events = [event(text("a"), reason="STOP"), event(text("b"), reason="STOP"), event(text("c"), reason="MAX_TOKENS")]
    assert {choice.finish_reason for chunk in decoded(*events) for choice in chunk.choices} == {None}
    completion = answer(*events)
    assert (completion.content, completion.ending) == ("abc", "length")


def test_without_a_reason_no_answer_is_whole() -> None:
    for last in (event(text("b")), event(text("b"), reason="FINISH_REASON_UNSPECIFIED"), event(finishReason=None)):
        error = failure(event(text("a")), last)
        assert isinstance(error, TruncatedStreamError)
        assert (error.unfinished, error.events) == ((0,), 2)
        assert error.partial is not None
        assert error.partial.content.startswith("a")


@pytest.mark.parametrize("events", [[], ["", "[DONE]"], [{"usageMetadata": {}}], [{"foo": 1}], [{"candidates": []}]])
def test_no_candidate_is_no_answer(events: list[Any]) -> None:
    assert isinstance(failure(*events), EmptyStreamError)


def test_a_request_that_was_blocked() -> None:
    feedback = {"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 4}, **HEAD}
    completion = answer(feedback)
    (choice,) = completion.choices
    assert (choice.finish_reason, native(choice)) == ("content_filter", "OTHER")
    assert (completion.content, completion.ending, completion.message.role) == ("", "content_filter", "assistant")
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 4
    (cut,) = answer(event(text("a")), feedback).choices
    assert (cut.message.text, cut.finish_reason, native(cut)) == ("a", "content_filter", "OTHER")
    (ended,) = answer({"promptFeedback": {"safetyRatings": []}}, event(text("a")), {"promptFeedback": 5}, END).choices
    assert ended.finish_reason == "stop"


# Usage


def usage(prompt: Any = 5, candidates: Any = 2, total: Any = 7, **more: Any) -> Fields:
    said = {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "totalTokenCount": total, **more}
    return {name: value for name, value in said.items() if value is not None}


def tokens(completion: ChatCompletion) -> tuple[int | None, int | None, int | None]:
    assert completion.usage is not None
    return completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (usage(), (5, 2, 7)),
        (usage(thoughtsTokenCount=3, total=10), (5, 5, 10)),
        (usage(toolUsePromptTokenCount=4, total=None), (9, 2, 11)),
        (usage(candidates=None, total=None), (5, None, None)),
        (usage(candidates=None, thoughtsTokenCount=3, total=8), (5, 3, 8)),
        (
            usage(prompt=True, candidates="2", total=-1, thoughtsTokenCount=2**63, toolUsePromptTokenCount=1),
            (1, None, None),
        ),
    ],
)
def test_what_is_within_what(said: Fields, expected: Any) -> None:
    completion = answer(event(text("a"), usage=said, reason="STOP"))
    assert tokens(completion) == expected
    assert completion.repairs == ()


def test_details_and_the_words_of_the_provider() -> None:
    said = usage(cachedContentTokenCount=4, thoughtsTokenCount=3, total=10, trafficType="ON_DEMAND")
    found = answer(event(text("a"), usage=said, reason="STOP")).usage
    assert found is not None
    assert found.model_extra == {
        **said,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


@pytest.mark.parametrize("said", [{}, {"trafficType": "x"}, 5, "x", [], None])
def test_usage_that_is_none(said: Any) -> None:
    assert answer({**event(text("a")), "usageMetadata": said}, event(text("b"), usage=said), END).usage is None


def test_each_statement_is_of_the_whole_and_may_fall() -> None:
    events = [event(text("a"), usage=usage(candidates=9, total=14)), event(text("b"), usage=usage())]
    completion = answer(*events, END)
    assert tokens(completion) == (5, 2, 7)
    assert completion.repairs == ()
    silent = answer(*events, event(text("c")), END)
    assert tokens(silent) == (5, 2, 7)


def test_usage_is_told_while_an_answer_comes_and_whole_however_it_ends() -> None:
    events = [event(text("a"), usage=usage(candidates=count, total=5 + count)) for count in range(1, 200)]
    told = [chunk.usage.completion_tokens for chunk in decoded(*events) if chunk.usage is not None]
    assert told[0] == 1
    assert len(told) >= 3
    assert told == sorted(told, key=lambda count: count or 0)
    assert tokens(answer(*events, END)) == (5, 199, 204)
    for error in (failure(*events), failure(*events, {"error": {"code": 500}}), failure(*events, "{")):
        assert error.partial is not None
        assert (len(error.partial.content), tokens(error.partial)) == (199, (5, 199, 204))


def test_numbers_that_nobody_can_count() -> None:
    odd = as_text(event(text("b"))).replace(
        '"modelVersion"', '"usageMetadata": {"promptTokenCount": 1e999}, "modelVersion"'
    )
    assert answer(event(text("a")), *[odd] * 70, END).usage is None


# Errors


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        *(("UNAVAILABLE", 503, True), ("RESOURCE_EXHAUSTED", 429, True), ("INTERNAL", 500, True)),
        *(("DEADLINE_EXCEEDED", 504, True), ("CANCELLED", 499, False), ("INVALID_ARGUMENT", 400, False)),
    ],
)
def test_an_error_in_the_stream(status: str, code: int, *, retryable: bool) -> None:
    said = {"error": {"code": code, "message": "So it is.", "status": status}}
    for events in ([event(text("a")), said], [[event(text("a")), said]], [event(text("a"), reason="STOP"), said]):
        error = failure(*events)
        assert isinstance(error, APIStreamError)
        assert (error.type, error.code, error.retryable, error.message) == (status, code, retryable, "So it is.")
        assert error.partial is not None
        assert error.partial.content == "a"


@pytest.mark.parametrize(
    "said",
    [
        {"error": "boom"},
        {"error": {"message": "boom"}},
        {**event(text("b")), "error": {"message": "boom"}},
        {"message": "boom"},
        ServerSentEvent("boom", "error"),
        ServerSentEvent('{"message": "boom"}', "error"),
    ],
)
def test_errors_in_other_words(said: Any) -> None:
    error = failure(event(text("a")), said)
    assert isinstance(error, APIStreamError)
    assert error.message == "boom"
    assert error.position == 1


def test_an_error_on_lines_that_are_no_event() -> None:
    said = json.dumps({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, indent=2)
    body = f"data: {as_text(event(text('a'), reason='STOP'))}\r\n\r\n{said}\r\n"
    with pytest.raises(APIStreamError, match="busy") as caught:
        rxllm.run(reactivex.of(body.encode()).pipe(ops.decode_sse(), ops.parse("gemini"), ops.accumulate()))
    assert caught.value.partial is not None
    assert caught.value.partial.content == "a"


# Other wrappings


def test_a_response_in_another_object_and_an_array_of_them() -> None:
    wrapped = {"response": event(text("a")), "traceId": "t"}
    completion = answer(wrapped, [event(text("b")), {"response": event(text("c"))}], END)
    assert (completion.content, completion.id) == ("abc", "r1")
    assert answer(as_text(event(text("a"))).encode(), ServerSentEvent(as_text(event(text("b")))), END).content == "ab"


BODY = [event(text("a")), event(text("b"), usage=usage()), END]


@pytest.mark.parametrize(
    "body", [BODY, [{"response": each} for each in BODY], event(text("ab"), reason="STOP", usage=usage())]
)
def test_an_answer_that_came_as_a_whole(body: Any) -> None:
    decoder = Gemini().decoder()
    accumulator = StreamAccumulator()
    accumulator.add_all(decoder.decode_body(json.dumps(body, indent=1)))
    completion = accumulator.completion(ended=True)
    assert (completion.content, completion.complete, tokens(completion)) == ("ab", True, (5, 2, 7))
    assert [repair.kind for repair in completion.repairs] == ["answer-not-streamed"]
    assert (decoder.done, [*decoder.close()]) == (True, [])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps(BODY)[:-20], TruncatedStreamError),
        (json.dumps(BODY)[:-1], TruncatedStreamError),
        (json.dumps(BODY[:2]), TruncatedStreamError),
        (json.dumps([*BODY[:2], {"error": {"code": 503, "message": "busy"}}]), APIStreamError),
        (f"[{json.dumps(BODY[0])}, {json.dumps(BODY[1])}, 5, {{]", TruncatedStreamError),
    ],
)
def test_of_a_body_that_is_not_whole_there_is_what_came(body: str, kind: type[Exception]) -> None:
    accumulator = StreamAccumulator()
    with pytest.raises(kind):
        accumulator.add_all(Gemini().decoder().decode_body(body))
    completion = accumulator.completion()
    assert (completion.content, tokens(completion)) == ("ab", (5, 2, 7))


@pytest.mark.parametrize("body", ["<html>", '{"a":1}', "[]", "[1]", '[{"a":1}]', '[{"candidates"', "{"])
def test_a_body_that_is_nothing_known(body: str) -> None:
    assert [*Gemini().decoder().decode_body(body)] == []


def test_a_body_of_another_protocol() -> None:
    with pytest.raises(DecodeError, match="chat completions"):
        Gemini().decoder().decode_body(json.dumps({"choices": []}))


# Bad input


BAD: list[Any] = [
    *("x", "{", "5", '"x"', "[]", "[1]", '{"candidates": [}'),
    {"candidates": [5]},
    {"candidates": [{"index": -1}]},
    {"candidates": [{"index": "0"}]},
    {"candidates": [{"index": True}]},
    event(5),  # type: ignore[arg-type]
    event({"functionCall": {"args": {"a": 1}}}),
    event(call(5)),  # type: ignore[arg-type]
    event(call(args=5)),
    event(call(args="{")),
    event(call(partialArgs=[5])),
]


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_says_where_it_stood_and_what_came_before_is_there(bad: Any) -> None:
    error = failure(event(text("x")), event(text("y"), usage=usage()), bad)
    assert isinstance(error, DecodeError)
    assert (error.dialect, error.position) == ("gemini", 2)
    assert error.partial is not None
    assert (error.partial.content, tokens(error.partial)) == ("xy", (5, 2, 7))


def test_what_came_in_the_same_event_before_bad_input_is_there() -> None:
    both = {"candidates": [{"content": {"parts": [text("a")]}}, 5], **HEAD}
    error = failure([event(text("x")), both])
    assert isinstance(error, DecodeError)
    assert error.partial is not None
    assert error.partial.content == "xa"


def test_what_is_nothing_known_is_passed_over() -> None:
    completion = answer({"heartbeat": 1}, event(text("a")), {"later": {}}, {"choices": []}, event(text("b")), END)
    assert completion.content == "ab"


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"choices": [{"delta": {"content": "x"}}]}, "the chat completions of OpenAI"),
        ({"type": "message_start", "message": {"id": "m"}}, "the Messages API of Anthropic"),
    ],
)
def test_a_stream_of_another_protocol_is_named(other: Fields, name: str) -> None:
    error = failure(other)
    assert isinstance(error, DecodeError)
    assert f"event 0 looks like {name}" in str(error)


def test_too_much_of_something_is_refused() -> None:
    parts = failure(event(*[{"later": 1}] * 4097))
    candidates = failure({"candidates": [{"index": index} for index in range(129)]})
    many = as_text(event(text("a"))).replace('"modelVersion"', '"more": [' + "0," * 600_000 + '0], "modelVersion"')
    large = failure(event(text("a")), many)
    deep = failure(f'{{"candidates": [], "more": {"[" * 300}{"]" * 300}}}')
    for error, word in (
        (parts, "4096 parts"),
        (candidates, "128 candidates"),
        (large, "event 1 is too much"),
        (deep, ""),
    ):
        assert isinstance(error, LimitExceededError)
        assert word in str(error)


def test_what_is_kept_of_an_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxllm.dialects._kept._MAX_KEPT", 400)
    assert isinstance(failure(event(text("x" * 100)), *[event(text("y" * 20))] * 40), LimitExceededError)
    assert isinstance(failure(event({"later": "x" * 500})), LimitExceededError)
    assert answer(event(text("x" * 10)), event(text("x" * 10)), END).content == "x" * 20


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "model", "STOP"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "args", "parts", "text", "functionCall", "partialArgs"]), inner)
    ),
    max_leaves=5,
)
CANDIDATES = st.dictionaries(
    st.sampled_from(["content", "finishReason", "index", "groundingMetadata", "delta", "extra", "logprobs"]), VALUES
)
ODD = st.dictionaries(
    st.sampled_from(["usageMetadata", "promptFeedback", "error", "modelVersion", "response", "createTime"]), VALUES
)
PARTS = st.dictionaries(st.sampled_from(["text", "thought", "functionCall", "toolCall", "inlineData"]), VALUES)
EVENTS = (
    ODD
    | VALUES
    | CANDIDATES.map(lambda said: {"candidates": [said]})
    | PARTS.map(lambda said: event(said, reason="STOP"))
)


@settings(max_examples=times(60))
@given(st.lists(EVENTS, max_size=4))
def test_whatever_comes_is_an_answer_or_an_error_of_ours(events: list[Any]) -> None:
    try:
        completion = answer(*events, strict=False)
    except RxllmError:
        return
    assert completion.complete


@pytest.mark.parametrize(
    "bad",
    [
        *("x", "{", {"error": {"code": 500}}, {"candidates": [5]}, [event(text("a")), {"candidates": [5]}], None),
        event({"functionCall": {"name": 5}}),
    ],
)
def test_a_decoder_that_refused_holds_no_error_and_is_in_no_circle(bad: Any) -> None:
    good = as_text(event(text("a"), usage=usage()))

    def fail() -> bool:
        decoder = get_reader("gemini").decoder()
        try:
            for said in (good, good, as_text(bad)) if bad is not None else (good, good):
                list(decoder.decode(said))
            list(decoder.close())
        except RxllmError:
            return True
        return False

    assert fail()
    gc.collect()
    gc.disable()
    try:
        assert fail()
        assert gc.collect() == 0
    finally:
        gc.enable()
