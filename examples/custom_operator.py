"""An operator of your own, its marble test, and what the test says when the operator is wrong.

``sentences`` gathers text to whole sentences, so that the first can be read out while the next is being written. The
two functions ``test_…`` are what you would give to pytest.
"""

from __future__ import annotations

import asyncio
import re

from _endpoint import MODEL, connect
from reactivex import Observable, abc
from reactivex import operators as rx_ops

from rxllm import ChatRequest, OperatorFunction
from rxllm import operators as ops
from rxllm.testing import Marbles, MarbleSource, assert_marbles, assert_pauses

QUESTION = "What is the moon? Three short sentences."
ANSWER = "The moon is a ball of rock. It has no air and no water. It goes around the earth in a month."


def sentences() -> OperatorFunction[str, str]:
    """Emit each sentence when the next one begins, and the last at the end.

    ::

        source  -a-b-c-d-|
                sentences()
        result  ---x---y-(z|)
    """

    def sentences_(source: Observable[str]) -> Observable[str]:
        def subscribe(
            observer: abc.ObserverBase[str], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            begun = ""

            def on_next(text: str) -> None:
                nonlocal begun
                *whole, begun = re.split(r"(?<=[.!?])\s+", begun + text)
                for sentence in whole:
                    observer.on_next(sentence)

            def on_completed() -> None:
                if begun:
                    observer.on_next(begun)
                observer.on_completed()

            return source.subscribe(on_next, observer.on_error, on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return sentences_


def text_source(marbles: Marbles) -> MarbleSource[str]:
    """Two sentences and the beginning of a third, in pieces."""
    return marbles.cold("-a-b-c-d-|", a="It is", b=" late. Go", c=" home", d="! Bye")


def test_each_sentence_comes_when_the_next_begins() -> None:
    """The diagram of the docstring, to the millisecond: it runs in virtual time."""
    marbles = Marbles()
    recording = marbles.run(text_source(marbles).pipe(sentences()))
    print(recording)
    assert_marbles(recording, "---x---y-(z|)", x="It is late.", y="Go home!", z="Bye")


def test_a_slow_reader_pauses_the_source() -> None:
    """A consumer takes three frames for a sentence: ``sentences`` knows nothing of that, and yet the source waits."""
    marbles = Marbles()
    source = text_source(marbles)
    recording = marbles.run(source.pipe(sentences()), takes=3)
    print(recording)
    assert_marbles(recording, "---x---y--(z|)", x="It is late.", y="Go home!", z="Bye")
    assert_pauses(source, "---[--][--]")


def show_a_failure() -> None:
    """What a test says that expects the second sentence too early."""
    marbles = Marbles()
    recording = marbles.run(text_source(marbles).pipe(sentences()))
    try:
        assert_marbles(recording, "---x-y---(z|)", x="It is late.", y="Go home!", z="Bye")
    except AssertionError as failure:
        print(failure)


async def main() -> None:
    """Use the operator on an answer."""
    request = ChatRequest(model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_tokens=200)
    async with connect(ANSWER) as client:
        await client.chat_stream(request).pipe(
            ops.content(),
            sentences(),
            rx_ops.do_action(lambda sentence: print(f"  read out: {sentence}", flush=True)),
        )


if __name__ == "__main__":
    print("The test:\n")
    test_each_sentence_comes_when_the_next_begins()
    print("\nWith a slow reader:\n")
    test_a_slow_reader_pauses_the_source()
    print("\nA test that fails:\n")
    show_a_failure()
    print("\nAt work:\n")
    asyncio.run(main())
