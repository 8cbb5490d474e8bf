"""A script said in each dialect, by a real server, comes to the same completion."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rxllm import ChatCompletion, ChatRequest, LLMClient, Message
from rxllm.testing import ScriptedServer, script
from rxllm.testing.script import DIALECTS, Answer, ScriptDialect
from tests.thorough import times

REQUEST = ChatRequest(model="scripted", messages=[Message.user("What time is it?")])

# Each kind of part once in a row: what follows another of its kind is one with it.
texts = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4)
arguments = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3)
calls = st.lists(st.tuples(st.sampled_from(["look", "listen"]), arguments, st.integers(1, 9)), max_size=3)


@st.composite
def scripts(draw: st.DrawFn) -> tuple[script.Step, ...]:
    parts: list[Any] = [map(script.reasoning, draw(texts))] if draw(st.booleans()) else []
    parts += [map(script.text, draw(texts))] if draw(st.booleans()) else []
    parts += [
        script.tool_call(name, values, id=f"call_{index}", index=index, piece_length=length)
        for index, (name, values, length) in enumerate(draw(calls))
    ]
    tokens = draw(st.integers(1, 99))
    reason = draw(st.sampled_from([None, "content_filter"]))
    return script.answer(*parts or ["x"], finish_reason=reason, completion_tokens=tokens)


async def completion(dialect: ScriptDialect, steps: tuple[script.Step, ...], fragment: int | None) -> ChatCompletion:
    async with (
        ScriptedServer(Answer(steps, fragment=fragment), dialect=dialect) as server,
        LLMClient(base_url=server.base_url, api_key="secret", dialect=dialect) as client,
    ):
        return await client.chat(REQUEST)


def told(answer: ChatCompletion) -> dict[str, Any]:
    """What there is in a completion, whoever said it."""
    assert answer.usage is not None
    return {
        "text": answer.text,
        "reasoning": answer.message.reasoning_text,
        # Where arguments are an object, they are written anew.
        "calls": [(call.id, call.function.name, call.function.parsed) for call in answer.message.tool_calls],
        "unfinished": len(answer.choices[0].incomplete_tool_calls),
        "reason": answer.choices[0].finish_reason,
        "tokens": (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens),
        "whole": (answer.complete, answer.ending),
        "repairs": answer.repairs,
    }


@given(steps=scripts(), fragment=st.sampled_from([None, None, 1, 7]))
@settings(max_examples=times(8))
def test_a_script_is_the_same_answer_in_each_dialect(steps: tuple[script.Step, ...], fragment: int | None) -> None:
    async def answers() -> list[ChatCompletion]:
        return [await completion(dialect, steps, fragment) for dialect in DIALECTS]

    first, *others = map(told, asyncio.run(answers()))
    assert others == [first] * len(others)
