"""Chunks that nobody has read: whatever looks at one finds a ``StreamChunk``."""

from __future__ import annotations

import copy
import gc
import json
import operator
import pickle
import pprint
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import singledispatch
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SerializeAsAny, TypeAdapter, ValidationError

from rxllm.accumulators import StreamAccumulator
from rxllm.exceptions import LimitExceededError, RxllmError
from rxllm.models import ChatCompletion, Delta, Role, StreamChoice, StreamChunk
from rxllm.models._base import replaced
from rxllm.models._json import is_list, is_object
from rxllm.models._unread import Shape, Unread, UnreadChunk, shape_of, text_of, unread

VALUE: dict[str, Any] = {
    "id": "c-1",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "m",
    "obfuscation": "{1}",
    "prompt_filter_results": [{"index": 0, "content_filter_results": {"hate": {"filtered": False}}}],
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "{0}", "refusal": None, "tool_calls": None},
            "logprobs": None,
            "finish_reason": None,
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
        }
    ],
}
CALL: dict[str, Any] = {
    "choices": [{"delta": {"tool_calls": [{"index": 0, "x": {"y": []}, "function": {"arguments": "{0}"}}]}}]
}


def shape(value: dict[str, Any]) -> Shape:
    found = shape_of(
        StreamChunk.from_wire(json.dumps(value)), [string for string in ("{0}", "{1}") if string in str(value)]
    )
    assert found is not None
    return found


SHAPE = shape(VALUE)


def wire_of(value: dict[str, Any], text: str, beside: str = "") -> str:
    """The JSON text of a chunk with strings for ``{0}`` and ``{1}``."""
    return json.dumps(value).replace('"{0}"', json.dumps(text)).replace('"{1}"', json.dumps(beside))


def unread_chunk(found: Shape, wire: str, text: str, beside: str = "") -> StreamChunk:
    return UnreadChunk.of(Unread(found, wire, text, [beside] if found.beside else []))


def both(text: str = "Hel", beside: str = "xyz") -> tuple[StreamChunk, StreamChunk]:
    """A chunk that nobody has read, and the same one as validation makes it."""
    wire = wire_of(VALUE, text, beside)
    return unread_chunk(SHAPE, wire, text, beside), StreamChunk.from_wire(wire)


def state(model: BaseModel) -> tuple[Any, ...]:
    """All that a model consists of, to its last part."""
    return (
        model.__class__,
        [(name, part(value)) for name, value in vars(model).items()],
        model.__pydantic_fields_set__,
        [(name, part(value)) for name, value in (model.__pydantic_extra__ or {}).items()],
        model.__pydantic_private__,
    )


def part(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return state(value)
    return [part(each) for each in value] if is_list(value) else (type(value), value)


class Holder(BaseModel):
    chunk: StreamChunk


class HolderOfAnything(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    chunk: SerializeAsAny[BaseModel]
    other: Any = None


class HolderOfOneOfSeveral(BaseModel):
    chunk: ChatCompletion | StreamChunk | str


class Reviewing(BaseModel):
    model_config = ConfigDict(revalidate_instances="always")

    chunk: StreamChunk


@singledispatch
def kind_of(value: object) -> str:
    return type(value).__name__


@kind_of.register
def _(value: StreamChunk) -> str:
    return f"chunk {value.id}"


def matched(value: object) -> tuple[str | None, int]:
    match value:
        case StreamChunk(id=identifier, choices=[StreamChoice(index=index)]):
            return identifier, index
        case _:
            raise AssertionError(value)


def written(chunk: StreamChunk, name: str, value: object) -> StreamChunk:
    setattr(chunk, name, value)
    return chunk


def without(chunk: StreamChunk, name: str) -> StreamChunk:
    delattr(chunk, name)
    return chunk


def unpickled(data: bytes) -> tuple[Any, ...]:
    return state(pickle.loads(data))  # noqa: S301 - pickled here


LOOKS: dict[str, Callable[[StreamChunk], Any]] = {
    "attribute": lambda chunk: chunk.id,
    "extra": lambda chunk: chunk.model_extra,
    "extra by name": lambda chunk: getattr(chunk, "obfuscation"),  # noqa: B009 - no field
    "missing attribute": lambda chunk: getattr(chunk, "nothing", "none"),
    "fields set": lambda chunk: chunk.model_fields_set,
    "state": state,
    "repr": repr,
    "str": str,
    "format": lambda chunk: f"{chunk!s:>4}",
    "pprint": pprint.pformat,
    "iteration": list,
    "dict": dict,
    "vars": vars,
    "dir": dir,
    "class": lambda chunk: chunk.__class__,
    "truth": bool,
    "isinstance": lambda chunk: isinstance(cast("object", chunk), StreamChunk),
    "isinstance of an abstract class": lambda chunk: isinstance(chunk, Iterator),
    "match": matched,
    "singledispatch": kind_of,
    "callable": callable,
    "copy": lambda chunk: state(copy.copy(chunk)),
    "copy of a copy": lambda chunk: copy.copy(copy.copy(chunk)),
    "deepcopy": lambda chunk: state(copy.deepcopy(chunk)),
    "model_copy": lambda chunk: state(chunk.model_copy()),
    "deep model_copy": lambda chunk: state(chunk.model_copy(deep=True)),
    "model_copy with an update": lambda chunk: state(chunk.model_copy(update={"id": "x"})),
    "replaced": lambda chunk: state(replaced(chunk, {"id": "x"})),
    "pickle": lambda chunk: unpickled(pickle.dumps(chunk)),
    "pickle of a copy": lambda chunk: unpickled(pickle.dumps(copy.copy(chunk))),
    "oldest pickle": lambda chunk: unpickled(pickle.dumps(chunk, 2)),
    "dump": lambda chunk: chunk.model_dump(),
    "dump of what is set": lambda chunk: chunk.model_dump(exclude_unset=True),
    "dump without nulls": lambda chunk: chunk.model_dump(exclude_none=True, exclude_defaults=True),
    "dump of JSON": lambda chunk: chunk.model_dump_json(),
    "dump of JSON of what is set": lambda chunk: chunk.model_dump_json(exclude_unset=True, indent=1),
    "dump by the class": StreamChunk.model_dump,
    "serializer": lambda chunk: StreamChunk.__pydantic_serializer__.to_json(chunk, exclude_unset=True),
    "adapter": lambda chunk: TypeAdapter(StreamChunk).dump_json(chunk, exclude_unset=True),
    "adapter of several": lambda chunk: TypeAdapter(list[ChatCompletion | StreamChunk]).dump_python([chunk]),
    "adapter of anything": lambda chunk: TypeAdapter(Any).dump_json({"a": [chunk]}),
    "validation": lambda chunk: state(StreamChunk.model_validate(chunk)),
    "validation of attributes": lambda chunk: state(StreamChunk.model_validate(chunk, from_attributes=True)),
    "validation again": lambda chunk: state(Reviewing(chunk=chunk)),
    "strict validation": lambda chunk: state(Holder.model_validate({"chunk": chunk}, strict=True)),
    "nested": lambda chunk: Holder(chunk=chunk).model_dump_json(exclude_unset=True),
    "nested in anything": lambda chunk: HolderOfAnything(chunk=chunk, other=chunk).model_dump_json(exclude_unset=True),
    "nested in one of several": lambda chunk: HolderOfOneOfSeveral(chunk=chunk).model_dump(),
    "nested, unvalidated": lambda chunk: Holder.model_construct(chunk=chunk).model_dump_json(),
    "nested repr": lambda chunk: repr([{"chunk": chunk}]),
    "written": lambda chunk: state(written(chunk, "id", "other")),
    "extra written": lambda chunk: state(written(chunk, "obfuscation", "other")),
    "new extra": lambda chunk: state(written(chunk, "news", 1)),
    "deleted": lambda chunk: state(without(chunk, "obfuscation")),
    "method": operator.methodcaller("model_dump"),
    "weak reference": lambda chunk: weakref.ref(chunk)() is chunk,
    "membership": lambda chunk: [chunk].index(chunk),
    "text": lambda chunk: (text_of(chunk), text_of(chunk, 1)),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_nobody_can_tell(look: Callable[[StreamChunk], Any]) -> None:
    late, early = both()

    assert look(late) == look(early)
    assert state(late) == state(early)


IMPOSSIBLE: list[Callable[[Any], Any]] = [hash, len, abs, int, operator.itemgetter(0), operator.attrgetter("nothing")]


@pytest.mark.parametrize("look", IMPOSSIBLE)
def test_what_a_chunk_cannot_do_this_cannot_either(look: Callable[[Any], Any]) -> None:
    raised: list[Any] = []
    for chunk in both():
        with pytest.raises((TypeError, AttributeError)) as caught:
            look(chunk)
        # What the interpreter itself says names the type.
        raised.append((caught.type, str(caught.value).replace("UnreadChunk", "StreamChunk")))
    assert raised[0] == raised[1]


def test_equality_in_either_direction() -> None:
    late, early = both()
    assert late == early
    late, early = both()
    assert early == late
    late, early = both()
    assert (late != early) is False
    late, early = both("other")[0], both()[1]
    assert late != early
    late, early = both("other")[0], both()[1]
    assert early != late
    assert both()[0] == both()[0]
    assert both()[0] != both("x")[0]
    other: object = "x"
    assert both()[0] != other
    assert [both()[0]] == [both()[1]]


def test_a_field_is_deleted_as_from_any_chunk() -> None:
    late, early = both()
    del late.id
    del early.id
    assert vars(late) == vars(early)


def test_a_field_that_there_is_not_cannot_be_deleted() -> None:
    with pytest.raises(AttributeError):
        del both()[0].nothing  # type: ignore[attr-defined]


def test_what_is_wrong_with_a_chunk_is_said_in_the_same_words() -> None:
    messages: list[str] = []
    for chunk in both():
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(ChatCompletion).validate_python(chunk)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_copy_that_nobody_has_read_is_none_that_could_be_read() -> None:
    duplicate = copy.copy(both()[0])
    assert unread(duplicate) is None
    assert text_of(duplicate) == "Hel"


def test_it_is_read_once() -> None:
    late, _ = both()
    choices = late.choices
    late.choices[0].delta.content = "mine"
    assert late.choices is choices
    assert late.choices[0].delta.content == "mine"
    assert unread(late) is None


def test_no_validator_is_made_for_it() -> None:
    late, _ = both()
    assert late.model_dump()
    assert not UnreadChunk.__pydantic_complete__


# What two have in common


def mutables(value: Any) -> Iterator[object]:
    """Everything in a value that could be changed."""
    if isinstance(value, BaseModel):
        yield from (value, vars(value), value.__pydantic_fields_set__, value.__pydantic_extra__)
        for each in (*vars(value).values(), *(value.__pydantic_extra__ or {}).values()):
            yield from mutables(each)
    elif is_object(value):
        yield value
        for each in value.values():
            yield from mutables(each)
    elif is_list(value):
        yield value
        for each in value:
            yield from mutables(each)


@pytest.mark.parametrize("value", [VALUE, CALL], ids=["text", "call"])
def test_two_of_a_shape_share_nothing_that_could_be_changed(value: dict[str, Any]) -> None:
    found = shape(value)
    one, other = (unread_chunk(found, wire_of(value, "a", "b"), "a", "b") for _ in range(2))
    assert {id(each) for each in mutables(one)}.isdisjoint(id(each) for each in mutables(other))


def test_it_keeps_no_other_alive() -> None:
    late, _ = both()
    reference = weakref.ref(late)
    del late
    gc.collect()
    assert reference() is None


def test_many_threads_may_read_one() -> None:
    expected = state(both()[1])
    for _ in range(50):
        late, _ = both()
        start = threading.Barrier(4)
        found: list[Any] = []

        def read(chunk: StreamChunk = late, start: threading.Barrier = start, found: list[Any] = found) -> None:
            start.wait()
            found.append(state(chunk))

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [expected] * 4


def test_a_thread_that_comes_while_another_reads_finds_the_chunk() -> None:
    # Between the last write and the change of the class: so a copy is left, too.
    late = copy.copy(both()[0])
    assert type(late) is UnreadChunk
    assert late.id == "c-1"


# Which chunks there is a shape of


def shape_in(value: dict[str, Any], *strings: str) -> Shape | None:
    return shape_of(StreamChunk.from_wire(json.dumps(value)), strings)


def chunk_of(delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, **choice}]}


@pytest.mark.parametrize(
    ("value", "strings"),
    [
        (chunk_of({"content": "x"}), ["T"]),
        (chunk_of({"role": "T"}), ["T"]),
        (chunk_of({"content": "T"}) | {"id": "U"}, ["T", "U"]),
        (chunk_of({"content": "T", "reasoning": "U"}), ["T", "U"]),
        (chunk_of({"content": "T"}, note="U"), ["T", "U"]),
        ({"pad": "T", "choices": []}, ["T"]),
        ({"pad": "T", "bad": "U", "choices": []}, ["T", "U"]),
        ({"choices": [*chunk_of({"content": "T"})["choices"], {"index": 1}]}, ["T"]),
        (chunk_of({"tool_calls": [{"index": 0}, {"function": {"name": "T"}}]}), ["T"]),
        (chunk_of({"function_call": {"arguments": "T"}}), ["T"]),
        (chunk_of({"reasoning_details": [{"text": "T"}]}), ["T"]),
    ],
)
def test_no_shape(value: dict[str, Any], strings: list[str]) -> None:
    assert shape_in(value, *strings) is None


PLAIN: list[dict[str, Any]] = [
    {"content": "T"},
    {"content": "T", "role": "assistant"},
    {"content": "T", "role": None, "refusal": None, "tool_calls": None, "reasoning": "", "reasoning_content": ""},
    {"content": "T", "tool_calls": []},
    {"content": "T", "annotations": []},
]
NOT_PLAIN: list[dict[str, Any]] = [
    {"reasoning_content": "T"},
    {"reasoning": "T"},
    {"refusal": "T"},
    {"content": "T", "reasoning": "x"},
    {"content": "T", "refusal": "x"},
    {"content": "T", "annotations": [{}]},
    {"content": "T", "thinking": "x"},
    {"content": "T", "tool_calls": [{"index": 0}]},
    {"content": "T", "function_call": {"name": "x"}},
    {"tool_calls": [{"function": {"arguments": "T"}}, {"index": 1}]},
    {"tool_calls": [{"function": {"arguments": "T"}}]},
]


@pytest.mark.parametrize(
    ("value", "is_plain"),
    [
        *((chunk_of(delta), True) for delta in PLAIN),
        *((chunk_of(delta), False) for delta in NOT_PLAIN),
        (chunk_of({"content": "T"}, finish_reason=None), True),
        (chunk_of({"content": "T"}, finish_reason=""), True),
        (chunk_of({"content": "T"}, finish_reason="stop"), False),
        (chunk_of({"content": "T"}, logprobs={}), True),
        (chunk_of({"content": "T"}, logprobs={"content": [{"token": "x"}]}), False),
        (chunk_of({"content": "T"}, token_ids=[1]), False),
        (chunk_of({"content": "T"}) | {"usage": {"total_tokens": 1}}, False),
        (chunk_of({"content": "T"}, content_filter_results={"hate": {}}), True),
    ],
)
def test_plain_is_a_chunk_of_which_nothing_but_its_content_counts_again(value: dict[str, Any], is_plain: bool) -> None:
    found = shape_in(value, "T")
    assert found is not None
    assert found.is_plain is is_plain
    chunk = unread_chunk(found, json.dumps(value), "T")
    assert state(chunk) == state(StreamChunk.from_wire(json.dumps(value)))


def test_only_of_a_chunk_that_nobody_has_read_is_it_known_without_reading() -> None:
    late, early = both()
    assert text_of(late) == "Hel"
    assert unread(late) is not None
    assert unread(early) is None


def test_the_text_of_reasoning_is_no_content() -> None:
    value = chunk_of({"reasoning": "T"})
    found = shape_in(value, "T")
    assert found is not None
    assert text_of(unread_chunk(found, json.dumps(value), "T")) == ""


@pytest.mark.parametrize(("choice", "text"), [(0, "ac"), (1, "b"), (2, "")])
def test_the_text_of_one_choice_of_several(choice: int, text: str) -> None:
    deltas = [(0, "a"), (1, "b"), (0, "c"), (1, None)]
    choices = [StreamChoice(index=index, delta=Delta(content=content)) for index, content in deltas]
    assert text_of(StreamChunk(choices=choices), choice) == text
    assert text_of(StreamChunk(choices=choices[:1]), choice) == ("a" if choice == 0 else "")
    assert text_of(StreamChunk(choices=choices[3:]), choice) == ""


def test_enumerations_and_extras_are_what_validation_makes_of_them() -> None:
    late, _ = both()
    assert late.choices[0].delta.role is Role.ASSISTANT
    assert late.usage is None


@given(st.text(), st.text())
def test_any_strings(text: str, beside: str) -> None:
    late, early = both(text, beside)
    assert text_of(late) == text_of(early)
    assert state(late) == state(early)


# What is accumulated


def folded(chunks: Sequence[StreamChunk], max_characters: int, max_choices: int) -> list[Any]:
    """All that an accumulator says on its way through chunks."""
    accumulator = StreamAccumulator(max_characters=max_characters, max_choices=max_choices)
    said: list[Any] = []
    for chunk in chunks:
        try:
            accumulator.process_chunk(chunk)
        except RxllmError as error:
            said.append(str(error))
        said.append(accumulator.snapshot())
    try:
        said.append(accumulator.completion(ended=True))
    except RxllmError as error:
        said += [str(error), accumulator.partial()]
    return [part(each) for each in said]


def made(choice: int, text: str, note: str | None, **extra: Any) -> dict[str, Any]:
    """A chunk of a stream whose other fields say something, too."""
    value = chunk_of({"role": "assistant", "content": text}, **extra)
    value["choices"][0]["index"] = choice
    return {**value, "id": f"c-{choice}", "model": "m", **({} if note is None else {"note": note})}


KINDS = [
    made(0, "{0}", None),
    made(0, "{0}", "{1}"),
    made(0, "{0}", None, seen=1) | {"provider": "one"},
    made(0, "{0}", None, seen=2) | {"provider": "two", "created": 0},
    made(1, "{0}", "{1}", filter={"hate": []}),
    made(0, "{0}", None, token_ids=[1]),
    made(0, "{0}", None, logprobs={"content": [{"token": "x"}]}),
    {**CALL, "provider": "three"},
    chunk_of({"reasoning": "{0}"}),
]
LEARNT = [shape(kind) for kind in KINDS]
SINGLE: list[dict[str, Any]] = [
    {"choices": [], "provider": "four", "usage": {"total_tokens": 1}},
    {"choices": [{"index": 0, "delta": {"content": "x"}, "seen": 3}], "note": "n"},
    {"choices": [{"index": 0, "delta": {"role": "tool"}, "finish_reason": "stop"}]},
    {"choices": [{"index": 2, "delta": {"content": "y"}}], "id": "c-2"},
]


def pair(kind: int, text: str, note: str, *, is_read: bool) -> tuple[StreamChunk, StreamChunk]:
    """A chunk that nobody has read unless it is said to be, and the same one as validation makes it."""
    wire = wire_of(KINDS[kind], text, note)
    late, early = unread_chunk(LEARNT[kind], wire, text, note), StreamChunk.from_wire(wire)
    if is_read:
        assert late == early
    return late, early


PAIRS = st.one_of(
    st.builds(
        pair,
        st.integers(0, len(KINDS) - 1),
        st.text("ab", max_size=3),
        st.text("cd", max_size=3),
        is_read=st.booleans(),
    ),
    st.sampled_from(SINGLE).map(lambda value: (StreamChunk.model_validate(value), StreamChunk.model_validate(value))),
)


@given(st.lists(PAIRS, max_size=12), st.integers(0, 60), st.integers(1, 3))
def test_any_stream_is_accumulated_as_if_each_chunk_had_been_read(
    pairs: list[tuple[StreamChunk, StreamChunk]], characters: int, choices: int
) -> None:
    late, early = ([pair[side] for pair in pairs] for side in (0, 1))
    assert folded(late, characters, choices) == folded(early, characters, choices)


def test_what_another_chunk_said_meanwhile_is_said_again() -> None:
    chunks = [
        pair(2, "a", "", is_read=False)[0],
        pair(2, "b", "", is_read=False)[0],
        StreamChunk.model_validate({"choices": [{"index": 0, "seen": 7}], "provider": "other"}),
        pair(2, "c", "", is_read=False)[0],
    ]
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.process_chunk(chunk)
    completion = accumulator.completion()
    assert completion.model_extra == {"provider": "one"}
    assert completion.choices[0].model_extra == {"seen": 1}
    assert completion.message.content == "abc"


def test_a_chunk_that_was_refused_is_refused_again() -> None:
    accumulator = StreamAccumulator(max_choices=1)
    accumulator.process_chunk(StreamChunk.model_validate(chunk_of({"content": "x"})))
    for _ in range(2):
        with pytest.raises(LimitExceededError):
            accumulator.process_chunk(pair(4, "a", "b", is_read=False)[0])


def test_text_that_nobody_has_read_counts_towards_the_limit() -> None:
    accumulator = StreamAccumulator(max_characters=100)
    accumulator.process_chunk(pair(0, "a", "", is_read=False)[0])
    with pytest.raises(LimitExceededError, match="longer than 100"):
        accumulator.process_chunk(pair(0, "a" * 100, "", is_read=False)[0])


def test_chunks_are_accumulated_without_being_read() -> None:
    chunks = [pair(1, text, "x", is_read=False)[0] for text in "abc"]
    accumulator = StreamAccumulator()
    for chunk in chunks:
        accumulator.process_chunk(chunk)
    assert [unread(chunk) is not None for chunk in chunks] == [False, True, True]
    assert accumulator.message().content == "abc"
