"""What a person sees of an answer or a conversation, besides its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import rxllm
from rxllm.models import (
    ApprovalGiven,
    ApprovalRequested,
    ChatCompleted,
    ReasoningDelta,
    Restarted,
    RoundCompleted,
    Stopped,
    TextDelta,
    ToolCallEvent,
    ToolInputDelta,
    ToolResultEvent,
    marked,
    put_timing,
)
from rxllm.sinks.screen import _screen
from rxllm.sinks.screen._answer import Shown
from rxllm.sinks.screen._words import seconds, summary, together
from rxllm.testing import finish_chunk, text_chunk
from rxllm.typing import Ending
from rxllm.wire import AWSFrame
from tests.sinks.terminal import Paper, Shower, Terminal, foreign_controls


def a_call(name: str = "get_weather", arguments: str = '{"city": "Paris"}', identifier: str = "1") -> rxllm.ToolCall:
    return rxllm.ToolCall.model_validate({"id": identifier, "function": {"name": name, "arguments": arguments}})


def result_of(call: rxllm.ToolCall, content: str = "21 °C", error: str | None = None) -> ToolResultEvent:
    result = rxllm.ToolResult.model_validate({"call": call, "content": content, "error": error})
    return ToolResultEvent(round=1, result=result)


def delta(**fields: object) -> rxllm.StreamChunk:
    return rxllm.StreamChunk.from_wire({"choices": [{"index": 0, "delta": fields}]})


def call_delta(**fields: object) -> rxllm.StreamChunk:
    return delta(tool_calls=[{"index": 0, **fields}])


class MuteError(Exception):
    def __str__(self) -> str:
        raise LookupError


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(60)


@pytest.fixture
def shower(terminal: Terminal) -> Shower:
    return Shower(terminal)


def test_a_spinner_until_something_of_an_answer_comes(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.draw()
    first = terminal.rows
    shower.now = 1.25
    shower.add(answer, rxllm.StreamChunk())
    second = terminal.rows
    assert shower.screen.moves
    shower.add(answer, text_chunk("Hello"))

    assert (first, second, terminal.rows) == (["⠋ waiting 0.00 s"], ["⠹ waiting 1.2 s"], ["Hello"])
    assert not shower.screen.moves


def test_text_of_strings_events_and_choice_0(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, "\n\n", "Hel", rxllm.ServerSentEvent("lo"), text_chunk(" you"), text_chunk("no", choice=1))
    shower.add(answer, AWSFrame({}, b" there"), delta(refusal=", no"), finish_chunk("stop"))
    shower.close(answer)

    assert terminal.rows == ["Hello you there, no"]


def test_reasoning_is_folded_when_the_answer_begins(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, delta(reasoning_content=" "), delta(reasoning_content="".join(f"line {n}\n" for n in range(9))))
    shower.now = 61.0
    shower.add(answer, delta(reasoning_content="and \x1b[2J more"))
    assert terminal.rows == [
        "⠋ reasoning 1 min 1 s",
        *(f"  line {number}" for number in range(4, 9)),
        "  and ␛[2J more",
    ]
    shower.add(answer, text_chunk("Yes."))

    assert terminal.rows == ["∴ reasoned for 1 min 1 s, 76 characters", "", "Yes."]


def test_a_call_that_is_written_run_and_done(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, TextDelta(round=1, text="I look."), ToolInputDelta(round=1, index=0, text=""))
    assert terminal.rows == ["I look.", "", "⠋ …"]
    shower.add(answer, ToolInputDelta(round=1, index=0, id="1", name="get_weather", text='{"ci'))
    assert terminal.rows == ["I look.", "", '⠋ get_weather {"ci']
    call = a_call()
    shower.add(answer, ToolCallEvent(round=1, call=call))
    shower.now = 1.5
    shower.draw()
    assert terminal.rows == ["I look.", "", '⠴ get_weather {"city": "Paris"} 1.5 s']
    shower.add(answer, result_of(call), RoundCompleted(round=1, completion=rxllm.ChatCompletion(), messages=()))
    shower.add(answer, TextDelta(round=2, text="It is warm."))
    shower.add(answer, ChatCompleted(round=2, completion=rxllm.ChatCompletion(), messages=()))
    shower.close(answer)

    assert terminal.rows == ["I look.", "", '✓ get_weather {"city": "Paris"} 1.5 s', "  → 21 °C", "", "It is warm."]


def test_a_call_that_fails_and_one_that_says_nothing(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    first, second = a_call("a"), a_call("b", "x" * 90, "2")
    shower.add(answer, ToolCallEvent(round=1, call=first), ToolCallEvent(round=1, call=second))
    shower.add(answer, result_of(second.model_copy(), "no\nreason", "failed"), result_of(first, " "))
    shower.close(answer)

    assert terminal.rows == [f"✗ b {'x' * 47}… 0.00 s", "  → no␊reason", '✓ a {"city": "Paris"} 0.00 s']


def test_a_result_whose_call_nobody_told_of(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, result_of(a_call()))
    shower.close(answer)

    assert terminal.rows == ['✓ get_weather {"city": "Paris"} 0.00 s', "  → 21 °C"]


def test_while_somebody_is_asked_the_screen_is_theirs(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    calls = [a_call("a", "{}"), a_call("b", "{}", "2"), a_call("c", "{}", "3")]
    shower.add(answer, *(ToolCallEvent(round=1, call=call) for call in calls))
    shower.add(answer, ApprovalRequested(round=1, call=calls[0]))
    assert terminal.rows == ["? a {} may it run?"]
    assert not shower.screen.moves
    decisions = [rxllm.Approved(), rxllm.Approved(arguments={"x": 1}), rxllm.Refused(reason="not\x07now")]
    for call, decision in zip(calls, decisions, strict=True):
        shower.add(answer, ApprovalRequested(round=1, call=call))
        shower.add(answer, ApprovalGiven(round=1, call=call, decision=decision))
    shower.add(answer, result_of(calls[2], "not now", "refused"))
    shower.close(answer)

    assert terminal.rows == [
        *("? a {} may it run?", "? a {} may it run?", "  approved"),
        *("? b {} may it run?", '  approved with {"x": 1}', "? c {} may it run?", "  refused: not␇now"),
        *("→ a {}", "→ b {}"),
    ]


def test_what_somebody_decides_about_is_shown_as_a_whole(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    call = a_call("write", '{"text": "' + "word " * 20 + '"}')
    shower.add(answer, ToolCallEvent(round=1, call=call), ApprovalRequested(round=1, call=call))

    assert terminal.rows == [
        "? write may it run?",
        '  {"text": "word word word word word word word word word',
        '  word word word word word word word word word word word "}',
    ]


def test_nothing_is_drawn_while_somebody_is_asked(terminal: Terminal, shower: Shower) -> None:
    first, second, third = shower.begin(), shower.begin(), shower.begin()
    call = a_call("write", "{}")
    shower.add(first, "The first.")
    shower.add(second, ToolCallEvent(round=1, call=call))
    shower.add(second, ApprovalRequested(round=1, call=call))
    asked = [*terminal.rows]
    terminal.write("[y/N] y\n")
    shower.add(first, "\n\nMore.\n\nEven more.")
    shower.add(third, "Third.")
    shower.close(third)
    quiet = [*terminal.rows]
    shower.add(second, ApprovalGiven(round=1, call=call, decision=rxllm.Approved()))
    for answer in (first, second):
        shower.close(answer)

    question = ["╭─ another answer", "│ ? write {} may it run?", "╰─"]
    assert asked == question
    assert quiet == [*question, "[y/N] y"]
    assert terminal.rows == [
        *(*quiet, "The first.", "╭─ another answer", "│ Third.", "╰─"),
        *("", "More.", "", "Even more.", "", "  approved", "→ write {}"),
    ]


def test_one_question_follows_another_and_each_is_seen(terminal: Terminal, shower: Shower) -> None:
    answer, other = shower.begin(), shower.begin()
    first, second = a_call("a", "{}"), a_call("a", "{}")
    shower.add(answer, ToolCallEvent(round=1, call=first), ToolCallEvent(round=1, call=second))
    shower.add(answer, ApprovalRequested(round=1, call=first))
    shower.screen.answers[0].add(ApprovalGiven(round=1, call=first, decision=rxllm.Approved()), 0.0)
    shower.add(answer, ApprovalRequested(round=1, call=second))
    shower.add(other, "The other one.")

    assert terminal.rows == ["? a {} may it run?", "  approved", "? a {} may it run?"]


def test_while_somebody_is_asked_not_any_amount_waits(
    terminal: Terminal, shower: Shower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_screen, "_MOST_WAITING", 12)
    asking, other, call = shower.begin(), shower.begin(), a_call("a", "{}")
    shower.add(asking, ToolCallEvent(round=1, call=call), ApprovalRequested(round=1, call=call))
    shower.add(other, "12345\n\n67890\n\n")

    assert terminal.rows == ["? a {} may it run?", "╭─ another answer", "│ 12345", "╰─"]


def test_where_nothing_is_drawn_twice_nobody_answers(terminal: Terminal) -> None:
    shower = Shower(terminal, live=False)
    answer, other, call = shower.begin(), shower.begin(), a_call("a", "{}")
    shower.add(answer, ToolCallEvent(round=1, call=call), ApprovalRequested(round=1, call=call))
    shower.add(other, "Other.")
    shower.close(other)

    assert terminal.rows == ["? a {} may it run?", "╭─ another answer", "│ Other.", "╰─"]


def test_calls_of_chunks_that_nobody_runs(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, call_delta(id="1", function={"name": "get_weather", "arguments": ""}))
    for piece in ('{"city": "Par', 'is", "street": "', "r" * 90):
        shower.add(answer, call_delta(function={"arguments": piece}))
    assert terminal.rows == [f"⠋ get_weather …{'r' * 44}"]
    shower.add(answer, text_chunk("That is all."))
    shower.close(answer)

    assert terminal.rows == [f"→ get_weather …{'r' * 44}", "", "That is all."]


def test_a_fragment_that_fits_nowhere_ends_nothing(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    many = [{"index": number, "id": str(number), "function": {"name": "f"}} for number in range(200)]
    for _ in range(60):
        shower.screen.answers[0].add(delta(tool_calls=many), 0.0)
        many = [{**call, "id": f"{call['id']}x"} for call in many]
    shower.add(answer, text_chunk("Text"), text_chunk(" goes on."))
    shower.close(answer)

    assert terminal.rows[-1] == "Text goes on."


def test_an_answer_that_begins_anew(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, text_chunk("Final.\n\nNot\nfin"))
    shower.add(answer, marked(text_chunk("Once more."), restarts=True))
    shower.close(answer)
    anew = "↻ the answer begins anew: what stands above does not count"

    assert terminal.rows == ["Final.", "", anew, "", "Once more."]


def test_a_conversation_whose_round_begins_anew(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, ReasoningDelta(round=1, text="hm"), Restarted(round=1, attempt=2))
    assert shower.screen.moves
    shower.close(answer)

    assert terminal.rows == ["↻ the answer begins anew: what stands above does not count", "(attempt 2)"]


@pytest.mark.parametrize(
    ("ending", "row"),
    [
        (Ending("failed", rxllm.StreamInterruptedError("gone\x1b[2J\nnow")), "✗ StreamInterruptedError: gone␛[2J␊now"),
        (Ending("failed", MuteError()), "✗ MuteError: (its text failed with LookupError)"),
        (Ending("cancelled"), "■ stopped"),
        (Ending("stopped"), "■ stopped"),
    ],
)
def test_what_was_drawn_stays_and_is_marked(terminal: Terminal, shower: Shower, ending: Ending, row: str) -> None:
    answer = shower.begin()
    shower.add(answer, "Half a **sent")
    shower.close(answer, ending)

    assert terminal.rows == ["Half a **sent", "", row]


def test_an_answer_that_was_too_long(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, text_chunk("Half"), finish_chunk("length"))
    shower.close(answer)

    assert terminal.rows == ["Half", "", "■ ended with: length"]


def test_a_conversation_that_was_stopped(terminal: Terminal, shower: Shower) -> None:
    answer = shower.begin()
    shower.add(answer, TextDelta(round=1, text="Half"), Stopped(round=1))
    shower.close(answer, Ending("stopped"))

    assert terminal.rows == ["Half", "", "■ stopped"]


def test_two_answers_share_the_screen(terminal: Terminal, shower: Shower) -> None:
    first, second, third = shower.begin(), shower.begin(), shower.begin()
    shower.add(first, "One.\n\nThe\nfir")
    shower.add(second, "Of the \x1b[2J second")
    assert terminal.rows == [
        *("One.", "", "The fir", "⠋ another answer: Of the ␛[2J second", "⠋ another answer"),
    ]
    shower.close(second)
    shower.add(first, "st.")
    shower.add(third, "Third.")
    shower.close(first)
    shower.close(third)

    assert terminal.rows == [
        *("One.", "╭─ another answer", "│ Of the ␛[2J second", "╰─"),
        *("", "The first.", "", "Third."),
    ]


def test_an_answer_that_waits_with_very_much_is_shown_before_its_end(
    terminal: Terminal, shower: Shower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_screen, "_MOST_WAITING", 12)
    first, second = shower.begin(), shower.begin()
    shower.add(first, "First.")
    shower.add(second, "12345\n\n67890\n")

    assert terminal.rows == ["╭─ another answer", "│ 12345", "╰─", "First.", "⠋ another answer: 12345 67890"]


def test_what_is_no_terminal_gets_what_is_final(terminal: Terminal) -> None:
    shower = Shower(terminal, live=False)
    answer = shower.begin()
    shower.add(answer, delta(reasoning_content="hm"), "One.\n\nTwo")
    assert not shower.screen.moves
    shower.add(answer, ".\n\n- a")
    shower.close(answer)

    assert (
        "".join(terminal.written)
        == "\x1b[2m∴ reasoned for 0.00 s, 2 characters\x1b[0m\n\nOne.\n\nTwo.\n\n\x1b[36m• \x1b[0ma\n"
    )


def test_figures() -> None:
    timing = rxllm.Timing(first_text=0.2, tokens_per_second=85.4, total=70.0, paused=1.5, attempts=2)
    usage = rxllm.Usage(completion_tokens=1512)

    assert summary(timing, usage, 0.25, 3) == (
        "first token 0.25 s · 85 tokens/s · 1,512 tokens · paused 1.5 s · 2 attempts · 3 rounds · 1 min 10 s"
    )
    assert summary(None, None, 0.25) == summary(rxllm.Timing(total=1.0), None, 0.25) == ""
    assert summary(timing, usage, None).startswith("85 tokens/s")
    # What came as one piece has no rate.
    assert summary(timing.model_copy(update={"tokens_per_second": 40_000.0}), usage, 0.25).startswith(
        "first token 0.25 s · 1,512 tokens"
    )
    assert seconds(0.5) == "0.50 s"


def test_figures_of_a_conversation() -> None:
    rounds: list[rxllm.ChatCompletion] = []
    for text, call, rate in ((None, 0.3, 50.0), (0.5, None, 25.0)):
        timing = rxllm.Timing(first_text=text, first_call=call, tokens_per_second=rate, paused=1.0, attempts=2)
        completion = rxllm.ChatCompletion(usage=rxllm.Usage(completion_tokens=100))
        rounds.append(put_timing(completion, lambda _, timing=timing: timing))  # type: ignore[misc]
    assert together(rxllm.Timing(total=9.0), rounds) == rxllm.Timing(
        first_text=0.5, first_call=0.3, tokens_per_second=200 / 6, total=9.0, paused=2.0, attempts=3
    )
    assert together(None, [rxllm.ChatCompletion()]) is None


ROLE, TEXT = delta(role="assistant"), text_chunk("Yes.")


@pytest.mark.parametrize(
    ("items", "seconds"),
    [
        ([ROLE, delta(reasoning_content="hm"), TEXT], "0.50 s"),
        ([ROLE, ROLE, call_delta(id="1", function={"name": "f", "arguments": ""})], "0.75 s"),
        ([ROLE, ROLE, TEXT], "0.75 s"),
        ([ROLE, TEXT, marked(TEXT, restarts=True)], "0.75 s"),
    ],
)
def test_the_first_token_is_what_can_be_read_first(
    terminal: Terminal, shower: Shower, items: list[rxllm.StreamChunk], seconds: str
) -> None:
    answer = shower.begin()
    for item in items:
        shower.now += 0.25
        shower.add(answer, item)
    answer.close(Ending("completed"), shower.now, rxllm.Timing(first_text=0.1))
    shower.draw()

    assert terminal.rows[-1] == f"first token {seconds}"


ESCAPES = "\x1b[31m\x1b]0;title\x07\x9b2J\x1b[2J\x1b(0\x1bc\x0e\b\b\r\x00\x7f\u202e\u2066"


def ways(text: str) -> Iterator[Callable[[], list[Shown]]]:
    yield lambda: [text_chunk(text)]
    yield lambda: [delta(reasoning_content=f"a{text}")]
    yield lambda: [delta(refusal=text)]
    yield lambda: [call_delta(id=text, function={"name": text, "arguments": text})]
    yield lambda: [rxllm.ServerSentEvent(text), text]
    yield lambda: [f"```{text}\n{text}\n```\n\n[{text}]({text}) ![{text}](<{text}>)\n\n|{text}|\n|--|\n|{text}|\n"]
    yield lambda: [
        ToolCallEvent(round=1, call=a_call(text, text, text)),
        result_of(a_call(text, text, text), text, "failed"),
    ]
    yield lambda: [
        ApprovalRequested(round=1, call=a_call(text, text)),
        ApprovalGiven(round=1, call=a_call(text, text), decision=rxllm.Refused(reason=text)),
    ]


def test_nothing_reaches_the_terminal_that_it_obeys(terminal: Terminal) -> None:
    for way in ways(ESCAPES):
        shower = Shower(terminal)
        answer = shower.begin()
        shower.add(answer, *way())
        shower.close(answer, Ending("failed", rxllm.StreamInterruptedError(ESCAPES)))

    assert terminal.title == ""


def test_an_escape_sequence_split_anywhere() -> None:
    paper = Paper()
    for first in range(len(ESCAPES)):
        shower = Shower(paper)
        answer = shower.begin()
        shower.add(answer, ESCAPES[:first], ESCAPES[first:])
        shower.add(answer, delta(reasoning_content=f"a{ESCAPES[:first]}"), delta(reasoning_content=ESCAPES[first:]))
        for text in (ESCAPES[:first], ESCAPES[first:]):
            shower.add(answer, ToolInputDelta(round=1, index=0, name=text or None, text=text))
        shower.close(answer)

    assert foreign_controls("".join(paper.written)) == set()
