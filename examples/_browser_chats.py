"""What ``browser_chat.py`` keeps of a chat: nothing but streams of a log, so that each process knows all of them.

Each turn is two streams, its question and its answer. Whoever claims the stream of the question has asked it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

import reactivex
from pydantic import BaseModel, Field

import rxllm
from rxllm import ChatRequest, LLMClient, Message, ToolRegistry
from rxllm.sources import LogStream

REMEMBERED_TURNS = 20
TOOLS = ToolRegistry()
WEATHER = {"Paris": "18 degrees, rain", "Tokyo": "27 degrees, sun"}


@TOOLS.tool
async def get_weather(city: Annotated[str, Field(description="The name of the city")]) -> str:
    """The weather now."""
    await asyncio.sleep(0.8)  # the weather service thinks
    if city not in WEATHER:
        raise LookupError(f"there is no {city}")
    return WEATHER[city]


class Question(BaseModel):
    """What somebody asked.

    Attributes:
        question: The text.
        again: The number of the turn that this one takes the place of, because its answer failed or was stopped.
    """

    question: str = Field(min_length=1, max_length=20_000)
    again: int | None = None


class Chats:
    """All chats, for this process.

    Args:
        log: Where they are.
        client: Asks the model.
        model: Which one.
    """

    def __init__(self, log: rxllm.Log, client: LLMClient, model: str) -> None:
        self._log = log
        self._client = client
        self._model = model

    async def asked(self, chat: str, number: int) -> Question | None:
        """The question of a turn; ``None`` if nobody has asked it yet."""
        with suppress(rxllm.UnknownStreamError, rxllm.StreamInterruptedError):
            async for said in rxllm.from_log(self._log, f"{chat}/{number}/question"):
                return Question.model_validate_json(said)
        return None

    async def ask(self, chat: str, number: int, question: Question) -> None:
        """Ask the question of a turn.

        Raises:
            StreamTakenError: Somebody was faster, in this process or another one.
        """
        await self._log.produce(f"{chat}/{number}/question", reactivex.just(question.model_dump_json()))
        with suppress(rxllm.StreamTakenError):  # another process has seen the question, and was faster
            await self.produce(chat, number)

    async def produce(self, chat: str, number: int) -> None:
        """Let the model answer, unless another process does; also if the process that did is dead."""
        question = await self.asked(chat, number)
        if question is None:
            raise rxllm.UnknownStreamError(f"{chat}/{number}")
        messages = [*await self._history(chat, number, question.again), Message.user(question.question)]
        request = ChatRequest(model=self._model, messages=messages, max_tokens=2000)
        conversation = self._client.chat_with_tools(request, TOOLS)
        await self._log.produce(f"{chat}/{number}/answer", conversation).claimed()

    def answer(self, chat: str, number: int) -> LogStream[rxllm.ChatEvent]:
        """The answer of a turn, as it comes."""
        return rxllm.from_log(self._log, f"{chat}/{number}/answer")

    async def stop(self, chat: str, number: int) -> None:
        """Stop the answer of a turn, whichever process produces it."""
        await self._log.cancel(f"{chat}/{number}/answer", "stopped on the page", by="the reader")

    async def _history(self, chat: str, number: int, again: int | None) -> list[Message]:
        """The messages of the turns before; of a stopped answer what there was, of a failed one nothing."""
        messages: list[Message] = []
        replaced = {again}
        for earlier in reversed(range(max(0, number - REMEMBERED_TURNS), number)):
            question = await self.asked(chat, earlier)
            if question is None:
                raise rxllm.UnknownStreamError(f"{chat}/{earlier}")
            if earlier not in replaced and (answer := await self._messages(chat, earlier)):
                messages[:0] = [Message.user(question.question), *answer]
            replaced.add(question.again)
        return messages

    async def _messages(self, chat: str, number: int) -> list[Message]:
        said: list[str] = []
        try:
            async for event in self.answer(chat, number):
                match event:
                    case rxllm.TextDelta():
                        said.append(event.text)
                    case rxllm.Restarted():
                        said.clear()
                    case rxllm.ChatCompleted():
                        return [*event.messages]
                    case _:
                        pass
        except rxllm.StreamCancelledError:
            return [Message.assistant("".join(said))] if said else []
        except rxllm.RxllmError:
            pass
        return []
