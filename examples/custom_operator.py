"""An operator of your own, its tests, and what a test says when the operator is wrong.

``sentences`` gathers text to whole sentences, so that the first can be read out while the next is being written. The
functions ``test_…`` are what you would give to pytest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from _endpoint import Endpoint, endpoint
from _running import stoppable
from reactivex import operators as rx_ops

import rxllm
from rxllm import ChatRequest, Message, OperatorFunction
from rxllm import operators as ops
from rxllm.flow import Operation, operate
from rxllm.harmless import printable
from rxllm.testing import Marbles, MarbleSource, assert_marbles, assert_pauses, check_operator

QUESTION = "What is the moon? Three short sentences."
ANSWER = "The moon is a ball of rock. It has no air and no water. It goes around the earth in a month."


def sentences() -> OperatorFunction[str, str]:
    """Emit each sentence when the next one begins, and the last at the end.

    ::

        source  -a-b-c-d---|
                sentences()
        result  ---x---y---(z|)
    """
    return operate(Sentences)


class Sentences(Operation[str, str]):
    """One subscription: what an item becomes, and what comes with the end.

    What is returned is emitted in order. While the consumer pauses it waits here, and the source waits, too.
    """

    begun = ""

    def on_item(self, text: str, /) -> Iterable[str]:
        """Return the sentences that this text ends."""
        *whole, self.begun = re.split(r"(?<=[.!?])\s+", self.begun + text)
        return whole

    def on_end(self) -> Iterable[str]:
        """Return the last sentence: none begins behind it."""
        return [self.begun] if self.begun else []


def text_source(marbles: Marbles) -> MarbleSource[str]:
    """Two sentences and the beginning of a third, in pieces."""
    return marbles.cold("-a-b-c-d---|", a="It is", b=" late. Go", c=" home", d="! Bye")


def test_each_sentence_comes_when_the_next_begins() -> None:
    """The diagram of the docstring, to the millisecond: it runs in virtual time."""
    marbles = Marbles()
    recording = marbles.run(text_source(marbles).pipe(sentences()))
    print(recording)
    assert_marbles(recording, "---x---y---(z|)", x="It is late.", y="Go home!", z="Bye")


def test_a_slow_reader_pauses_the_source() -> None:
    """A consumer takes three frames for a sentence: ``sentences`` knows nothing of that, and yet the source waits."""
    marbles = Marbles()
    source = text_source(marbles)
    recording = marbles.run(source.pipe(sentences()), takes=3)
    print(recording)
    assert_marbles(recording, "---x---y---z--|", x="It is late.", y="Go home!", z="Bye")
    assert_pauses(source, "---[--][--][--]")


def test_it_keeps_the_laws_of_operators() -> None:
    """What holds for every operator is tried some hundred times: batches, pauses, dispose, errors.

    A text may hold any number of sentences. While the reader pauses none comes, and the source keeps the next text.
    """
    check_operator(sentences, ["It is", " late. Go", " home! Come in. Sit. Eat", ". Please."])


def show_a_failure() -> None:
    """What a test says that expects the second sentence too early."""
    marbles = Marbles()
    recording = marbles.run(text_source(marbles).pipe(sentences()))
    try:
        assert_marbles(recording, "---x-y-----(z|)", x="It is late.", y="Go home!", z="Bye")
    except AssertionError as failure:
        print(failure)


async def main(server: Endpoint) -> None:
    """Use the operator on an answer."""
    request = ChatRequest(model=server.model, messages=[Message.user(QUESTION)], max_tokens=200)
    async with server.connect(ANSWER) as client:
        await client.chat_stream(request).pipe(
            ops.content(),
            sentences(),
            rx_ops.do_action(lambda sentence: print(f"  read out: {printable(sentence)}", flush=True)),
        )


if __name__ == "__main__":
    with stoppable():
        chosen = endpoint()
        print("The test:\n")
        test_each_sentence_comes_when_the_next_begins()
        print("\nWith a slow reader:\n")
        test_a_slow_reader_pauses_the_source()
        test_it_keeps_the_laws_of_operators()
        print("\nA test that fails:\n")
        show_a_failure()
        print("\nAt work:\n")
        rxllm.run(main(chosen))
