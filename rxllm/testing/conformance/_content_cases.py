"""Text, reasoning, usage and everything else that is no tool call."""

from __future__ import annotations

from typing import Any

from rxllm.testing.conformance._case import Case, ExpectedChoice, Whole
from rxllm.testing.conformance._wire import DONE, OPENING, STOP, case, chunk, delta, event, said

__all__ = ["CONTENT_CASES"]

COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
COUNTED = Whole((ExpectedChoice(text="It is late."),), usage=COUNTS)
SPLIT = Whole((ExpectedChoice(text="It is late."),), usage={"prompt_tokens": 25, "completion_tokens": 40})
LATE = delta(content="It is ") + delta(content="late.")
FILTERED = {"hate": {"filtered": False, "severity": "safe"}}


def logprobs(token: str) -> bytes:
    entry = {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}
    return chunk([{"index": 0, "delta": {"content": token}, "logprobs": {"content": [entry]}, "finish_reason": None}])


def counted(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}


def counting(prompt: int | None, completion: int | None) -> bytes:
    total = (prompt or 0) + (completion or 0)
    return chunk([], usage={"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total})


def thought(field: str, text: str) -> bytes:
    fields: dict[str, Any] = {field: text}
    return delta(**fields)


STRANGE = {
    "named": ("a gateway's named event", b"event: gateway.status\n" + event({"status": "queued", "position": 3})),
    "ping": ("an event named ping", b"event: ping\n" + event({"type": "ping"})),
    "empty": ("an empty object", event({})),
    "object": ("an object without choices", event({"id": "chatcmpl-1", "object": "chat.completion.chunk"})),
    "done": ("DONE without brackets", b"data: DONE\n\n"),
}

CONTENT_CASES: tuple[Case, ...] = (
    case(
        "Q20-no-choices",
        "a first chunk with filter results and no choices",
        chunk([], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": FILTERED}]) + LATE + STOP,
        said("It is late."),
    ),
    case(
        "Q20-no-delta",
        "a choice with filter results and no delta",
        OPENING + LATE + chunk([{"index": 0, "finish_reason": None, "content_filter_results": FILTERED}]) + STOP,
        said("It is late."),
    ),
    case(
        "Q20-null-delta",
        "a delta that is null",
        OPENING + LATE + chunk([{"index": 0, "delta": None, "finish_reason": None}]) + STOP,
        said("It is late."),
    ),
    case("Q21-after", "usage after the finish", LATE + delta("stop") + chunk([], usage=COUNTS) + DONE, COUNTED),
    case(
        "Q21-null-choices",
        "usage in a chunk whose choices are null",
        LATE + delta("stop") + chunk(None, usage=COUNTS) + DONE,
        COUNTED,
    ),
    case(
        "Q21-cumulative",
        "usage in every chunk, growing",
        chunk([{"index": 0, "delta": {"content": "It is "}, "finish_reason": None}], usage=counted(2))
        + chunk([{"index": 0, "delta": {"content": "late."}, "finish_reason": None}], usage=counted(4))
        + chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=counted(5))
        + DONE,
        COUNTED,
    ),
    case(
        "Q21-then-null",
        "usage, and then a chunk whose usage is null",
        LATE + delta("stop") + chunk([], usage=COUNTS) + chunk([], usage=None) + DONE,
        COUNTED,
    ),
    *(
        case(
            f"Q22-{name}",
            f"reasoning in `{name}`",
            thought(name, "It is ") + thought(name, "dark.") + LATE + STOP,
            said("It is late.", reasoning="It is dark."),
        )
        for name in ("reasoning_content", "reasoning")
    ),
    case(
        "Q22-parts",
        "reasoning as content parts of type thinking",
        delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "It is "}]}])
        + delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "dark."}]}])
        + LATE
        + STOP,
        said("It is late.", reasoning="It is dark."),
    ),
    case(
        "Q23-refusal",
        "refusal: false and an empty role in each delta",
        delta(role="assistant", content="It is ", refusal=False)
        + delta(role="", content="late.", refusal=False)
        + STOP,
        said("It is late."),
    ),
    case(
        "Q23-placeholder",
        "a first chunk with an empty id and model",
        event({"id": "", "object": "", "created": 0, "model": "", "choices": []}) + LATE + STOP,
        said("It is late."),
    ),
    case(
        "Q24",
        "two choices in turns",
        b"".join(delta(choice=index, content=text) for index, text in ((0, "a"), (1, "x"), (0, "b"), (1, "y")))
        + delta("stop", 0)
        + delta("stop", 1)
        + DONE,
        Whole(
            (
                ExpectedChoice(0, "ab", finish_reason="stop"),
                ExpectedChoice(1, "xy", finish_reason="stop"),
            )
        ),
    ),
    case("Q25", "ha, haha", OPENING + delta(content="ha") + delta(content="haha") + STOP, said("hahaha")),
    case(
        "Q26",
        "a field of the message that nobody knows",
        OPENING + delta(content="It is ", mood={"calm": True}) + delta(content="late.") + STOP,
        said("It is late.", extra={"mood": {"calm": True}}),
    ),
    case(
        "Q27-refusal",
        "a refusal in two pieces",
        OPENING + delta(refusal="I would ") + delta(refusal="rather not.") + STOP,
        said("", refusal="I would rather not."),
    ),
    case(
        "Q27-logprobs",
        "log probabilities in two chunks",
        OPENING + logprobs("It is ") + logprobs("late.") + STOP,
        said("It is late.", logprobs=("It is ", "late.")),
    ),
    case(
        "Q28",
        "a text completion",
        b"".join(
            event({"id": "cmpl-1", "object": "text_completion", "choices": [{"index": 0, "text": text, **reason}]})
            for text, reason in (("It is ", {"finish_reason": None}), ("late.", {"finish_reason": "stop"}))
        )
        + DONE,
        said("It is late."),
    ),
    case(
        "Q29-zero",
        "the tokens of the request first, then those of the answer with a zero",
        counting(25, 1) + LATE + delta("stop") + counting(0, 40) + DONE,
        SPLIT,
    ),
    case(
        "Q29-null",
        "the tokens of the request first, then those of the answer with a null",
        counting(25, None) + LATE + delta("stop") + counting(None, 40) + DONE,
        SPLIT,
    ),
    case(
        "Q29-zeros",
        "usage, and then a chunk of zeros",
        LATE + delta("stop") + counting(25, 40) + counting(0, 0) + DONE,
        SPLIT,
    ),
    *(
        case(
            f"Q59-{name}",
            f"{title} in the middle",
            delta(role="assistant", content="It is ") + strange + delta(content="late.") + STOP,
            said("It is late."),
        )
        for name, (title, strange) in STRANGE.items()
    ),
)
