"""Running a call: valid arguments, results as text, and every way to fail."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, NoReturn

import pytest
from pydantic import AfterValidator, BaseModel, Field, ValidationError

import rxllm
from rxllm import FunctionCall, Message, Role, ToolCall, ToolRegistry
from rxllm.exceptions import ToolCallError, ToolExecutionError


def call(name: str, arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(id="call_1", function=FunctionCall(name=name, arguments=arguments), **fields)


async def run(function: Callable[..., Any], arguments: str = "{}", **options: Any) -> rxllm.ToolResult:
    return await ToolRegistry([function]).run(call(function.__name__, arguments), **options)


class Place(BaseModel):
    city: str


@dataclass
class Weather:
    city: str
    degrees: float


async def test_arguments_are_what_the_annotations_say() -> None:
    got: list[Any] = []

    async def tool(place: Place, when: date, tags: set[str], n: Annotated[int, Field(gt=0)] = 1) -> None:
        got.extend((place, when, tags, n))

    result = await run(tool, '{"place": {"city": "Paris"}, "when": "2025-06-01", "tags": ["a", "a"]}')

    assert result.error is None
    assert got == [Place(city="Paris"), date(2025, 6, 1), {"a"}, 1]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("18 degrees", "18 degrees"),
        ("", ""),
        (None, "null"),
        (1.5, "1.5"),
        (Place(city="Paris"), '{"city":"Paris"}'),
        ([Weather("Paris", 18)], '[{"city":"Paris","degrees":18}]'),
        (date(2025, 6, 1), '"2025-06-01"'),
        ("a lone \udcff surrogate", "a lone ? surrogate"),
    ],
)
async def test_what_it_returned_as_text(value: object, content: str) -> None:
    async def tool() -> object:
        return value

    result = await run(tool)

    assert result.error is None
    assert result.value == value
    assert result.content == content
    assert result.message() == Message(role=Role.TOOL, tool_call_id="call_1", content=content)
    assert result.model_dump() == {"call": call("tool").model_dump(), "content": content, "error": None}


variable = contextvars.ContextVar("variable", default="unset")


async def test_a_function_runs_in_a_thread_with_the_context_of_the_caller() -> None:
    def tool() -> list[Any]:
        return [threading.current_thread() is threading.main_thread(), variable.get()]

    variable.set("set")
    assert (await run(tool)).value == [False, "set"]


async def test_a_coroutine_function_runs_in_the_loop() -> None:
    async def tool() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert (await run(tool)).value is True


async def test_a_function_that_returns_an_awaitable() -> None:
    async def coroutine() -> str:
        return "awaited"

    def tool() -> Awaitable[str]:
        return coroutine()

    assert (await run(tool)).content == "awaited"


def raising(error: BaseException) -> tuple[Callable[[], NoReturn], Callable[[], Awaitable[NoReturn]]]:
    def tool() -> NoReturn:
        raise error

    async def async_tool() -> NoReturn:
        raise error

    return tool, async_tool


@pytest.mark.parametrize("error", [LookupError("no such city"), TimeoutError("no such city")])
async def test_what_it_raised_is_told_to_the_model(error: Exception) -> None:
    tool, async_tool = raising(error)

    result = await run(tool)

    assert result.error == "failed"
    assert result.content == f"'tool' failed: {type(error).__name__}: no such city"
    assert result.exception is error
    told = (await run(async_tool, timeout=60)).content
    assert told == f"'async_tool' failed: {type(error).__name__}: no such city"


async def test_what_no_future_can_carry_out_of_a_thread() -> None:
    tool, _ = raising(StopIteration())

    assert (await run(tool)).content == "'tool' failed: RuntimeError: coroutine raised StopIteration"


async def test_or_is_raised() -> None:
    tool, _ = raising(LookupError("no such city"))

    with pytest.raises(ToolExecutionError, match="'tool' failed: LookupError: no such city") as caught:
        await run(tool, on_error="raise")

    assert (caught.value.kind, caught.value.name, caught.value.call_id) == ("failed", "tool", "call_1")
    assert isinstance(caught.value.__cause__, LookupError)


def not_paris(city: str) -> str:
    if city == "Paris":
        raise ValueError("not Paris")
    return city


async def test_arguments_that_are_not_valid() -> None:
    async def tool(city: Annotated[str, AfterValidator(not_paris)], n: int, place: Place) -> None:
        raise AssertionError(city, n, place)

    result = await run(tool, '{"city": "Paris", "n": "x", "place": {}, "b": 1}')

    assert result.error == "invalid_arguments"
    assert result.content == (
        "the arguments of 'tool' are not valid: city: Value error, not Paris; n: Input should be a valid integer, "
        "unable to parse string as an integer; place.city: Field required; b: Unexpected keyword argument"
    )
    assert isinstance(result.exception, ValidationError)


async def test_of_very_many_problems_the_first_are_told() -> None:
    async def tool(numbers: list[int]) -> None:
        raise AssertionError(numbers)

    result = await run(tool, f'{{"numbers": [{", ".join(["null"] * 100)}]}}')

    assert result.content.endswith("numbers.9: Input should be a valid integer; and 90 more")


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", '"text"', "", '{"a": 1}{"a": 2}', "[" * 1000])
async def test_arguments_that_are_no_json_object(arguments: str) -> None:
    async def tool() -> None:
        raise AssertionError

    result = await run(tool, arguments)

    assert result.error == "invalid_arguments"
    assert "the arguments of 'tool' are not a JSON object" in result.content
    assert isinstance(result.exception, ToolCallError)


async def test_a_validation_error_of_the_tool_itself_is_its_failure() -> None:
    async def tool() -> None:
        Place.model_validate({})

    assert (await run(tool)).error == "failed"


async def test_a_tool_that_nobody_registered() -> None:
    async def tool() -> None: ...

    registry = ToolRegistry([tool])

    result = await registry.run(call("rm_\x1b[31m_rf"))

    assert result.error == "unknown_tool"
    assert result.content == "there is no tool 'rm_␛[31m_rf'; there are: tool"
    assert (await ToolRegistry().run(call("tool"))).content == "there is no tool 'tool'; there are: none"


async def test_a_custom_tool_is_no_function() -> None:
    async def tool() -> None:
        raise AssertionError

    result = await ToolRegistry([tool]).run(call("tool", "{}", type="custom"))
    assert result.error == "unknown_tool"


async def test_what_cannot_be_said_in_json() -> None:
    async def tool() -> object:
        return object()

    result = await run(tool)

    assert result.error == "failed"
    assert result.content.startswith("'tool' failed: PydanticSerializationError: Unable to serialize")


async def test_too_long() -> None:
    cancelled: list[bool] = []

    async def tool() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    result = await run(tool, timeout=0.001)

    assert result.error == "timeout"
    assert result.content == "'tool' took longer than 0.001 s"
    assert cancelled == [True]


async def test_nobody_waits_for_a_thread_that_takes_too_long() -> None:
    release = threading.Event()
    ended = threading.Event()

    def tool() -> None:
        release.wait()
        ended.set()

    assert (await run(tool, timeout=0.001)).error == "timeout"
    # It cannot be killed, and ends when it does.
    release.set()
    assert await asyncio.to_thread(ended.wait, 10)


async def test_a_cancellation_passes_through() -> None:
    began = asyncio.Event()

    async def tool() -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(run(tool))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_that_a_tool_brought_upon_itself_is_its_failure() -> None:
    _, tool = raising(asyncio.CancelledError())

    result = await run(tool)

    assert result.error == "failed"
    assert result.content == "'async_tool' was cancelled"


async def test_no_credential_is_told() -> None:
    secrets = {
        "postgres://anna:pa55word@db/sales": "postgres://***@db/sales",
        "GET https://api.test/v1?appid=pa55word failed": "GET https://api.test/v1?*** failed",
        "{'Authorization': 'Bearer pa55word'}": "{'Authorization': *** ***'}",
        "Bearer pa55word was refused": "Bearer *** was refused",
        "api_key=pa55word, again": "api_key=***, again",
        '"access_token": "pa55word", again': '"access_token": ***", again',
        "Incorrect API key provided: sk-proj-pa55word_123": "Incorrect API key provided: ***",
    }
    for message, told in secrets.items():
        tool, _ = raising(ConnectionError(message))
        result = await run(tool)
        assert result.content == f"'tool' failed: ConnectionError: {told}"
        assert "pa55word" not in f"{result!r} {result.model_dump_json()}"


async def test_neither_traceback_nor_causes_nor_notes_are_told_and_the_text_is_bounded() -> None:
    async def tool() -> None:
        error = ValueError("x" * 10_000)
        error.add_note("note")
        raise error from KeyError("cause")

    result = await run(tool)

    assert len(result.content) < 600
    assert result.content.endswith("x…")
    assert not {"Traceback", "cause", "note"} & set(result.content.split())


async def test_an_exception_without_a_message() -> None:
    tool, _ = raising(ZeroDivisionError())
    assert (await run(tool)).content == "'tool' failed: ZeroDivisionError"


async def test_an_exception_that_cannot_say_anything() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise LookupError

    tool, _ = raising(MuteError())
    assert (await run(tool)).content == "'tool' failed: MuteError: (its text failed with LookupError)"


async def test_other_words_for_errors() -> None:
    tool, _ = raising(LookupError("secret"))
    registry = ToolRegistry([tool], describe_error=lambda error: f"try again ({type(error).__name__})\udcff")

    assert (await registry.run(call("tool"))).content == "'tool' failed: try again (LookupError)?"


# Approval


async def test_a_call_runs_as_it_was_approved() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    shown: list[ToolCall] = []

    async def approve(call: ToolCall) -> rxllm.Approved:
        shown.append(call)
        return rxllm.Approved(arguments=call.function.parsed | {"b": 3})

    result = await run(add, '{"a": 1, "b": 2}', approve=approve)

    assert (result.value, result.content) == (4, 'Approved with other arguments: {"a":1,"b":3}\n4')
    assert result.call == shown[0]


async def test_who_is_asked_sees_what_the_model_wrote_and_nobody_is_asked_about_what_cannot_run() -> None:
    async def tool(when: date) -> str:
        return when.isoformat()

    async def approve(call: ToolCall) -> bool:
        return call.function.arguments == '{"when": "2025-06-01"}'

    registry = ToolRegistry([tool])
    for arguments, error in (
        ('{"when": "2025-06-01"}', None),
        ('{"when": "2025-06-02"}', "refused"),
        ('{"when": "June"}', "invalid_arguments"),
    ):
        made = call("tool", arguments)
        assert registry.accepts(made) == (error != "invalid_arguments")
        assert (await registry.run(made, approve=approve)).error == error
    assert not registry.accepts(call("other"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"path": "a", "n": [1, {"b": None}]}, {"path": "a", "n": [1, {"b": None}]}),
        ({"when": date(2025, 6, 1), "place": Place(city="Paris")}, {"when": "2025-06-01", "place": {"city": "Paris"}}),
        ({}, {}),
        (None, None),
    ],
)
def test_arguments_are_kept_as_json(given: dict[str, Any] | None, kept: dict[str, Any] | None) -> None:
    approved = rxllm.Approved(arguments=given)
    if given:
        given["path"] = "changed later"

    assert approved.arguments == kept


@pytest.mark.parametrize(
    "given",
    ["{}", [1], {"a": object()}, {"a": "\ud800"}, {1: {2: object()}}],
    ids=["text", "list", "object", "surrogate", "deep"],
)
def test_what_is_no_json_object_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        rxllm.Approved(arguments=given)


@pytest.mark.parametrize("decision", [rxllm.Approved, rxllm.Refused])
def test_a_misspelled_field_decides_nothing(decision: Any) -> None:
    with pytest.raises(ValidationError, match="argument"):
        decision(argument={"path": "b"})
    with pytest.raises(ValidationError):
        rxllm.Refused.model_validate({"reason": 5})


async def test_cancelling_whoever_runs_a_call_cancels_the_question() -> None:
    asked = asyncio.Event()
    left: list[str] = []

    async def tool() -> None:
        left.append("run")

    async def approve(_: ToolCall) -> bool:
        asked.set()
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            return await answer
        finally:
            left.append("cancelled")

    task = asyncio.create_task(run(tool, approve=approve))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert left == ["cancelled"]


async def test_an_answer_that_comes_in_spite_of_being_cancelled_does_not_count() -> None:
    asked = asyncio.Event()
    ran: list[bool] = []

    async def tool() -> None:
        ran.append(True)

    async def stubborn(_: ToolCall) -> bool:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return True

    task = asyncio.create_task(run(tool, approve=stubborn))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ran == []


async def test_whoever_was_cancelled_before_and_went_on_is_asked_as_usual() -> None:
    async def tool() -> str:
        return "ran"

    async def approve(_: ToolCall) -> bool:
        await asyncio.sleep(0)
        return True

    async def main() -> rxllm.ToolResult:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return await run(tool, approve=approve)

    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    task.cancel()

    assert (await task).content == "ran"
