"""How answers of OpenAI's Responses API end: whole, too early, with an error."""

from __future__ import annotations

from functools import partial

from rxllm.testing.conformance._case import Case, Failure, Whole
from rxllm.testing.conformance._named_events import CHAT_BODY, dialect_case, named
from rxllm.testing.conformance._responses_wire import USAGE, WHOLE, calls, created, done, message, response, texts
from rxllm.testing.conformance._wire import DONE, IMPATIENT, said
from rxllm.testing.script import Answer, api_error, cut, status

__all__ = ["RESPONSES_END_CASES"]

SHOWN = "the kettle is empty"
LATE = said("It is late.")

case = partial(dialect_case, "openai-responses")

CHAT_ERROR = {"error": {"type": "server_error", "code": "server_error", "message": SHOWN, "param": None}}
FAILED = response("failed", error={"code": "server_error", "message": SHOWN})
ANTHROPIC = named({"type": "message_start", "message": {"id": "m", "type": "message", "content": [], "usage": {}}})

RESPONSES_END_CASES: tuple[Case, ...] = (
    *(
        case(
            f"O8-{reason}",
            f"an answer that is incomplete: {reason}",
            named(
                created(),
                *texts()[:-1],
                done(message("It is late.", "incomplete")),
                response(
                    "incomplete",
                    [message("It is late.", "incomplete")],
                    incomplete_details={"reason": reason},
                    usage=USAGE,
                ),
            ),
            said("It is late.", finish_reason=word),
        )
        for reason, word in (("max_output_tokens", "length"), ("content_filter", "content_filter"))
    ),
    case(
        "O8-usage",
        "usage with the cache and the reasoning within",
        named(*WHOLE),
        Whole(LATE.choices, usage={"prompt_tokens": 25, "completion_tokens": 40, "total_tokens": 65}),
    ),
    case("O9-text", "the end in a text", named(created(), *texts()[:3]), None),
    case("O9-call", "the end in a call", named(created(), *calls('{"city":', ' "Paris"}')[:2]), None),
    case("O9-item", "the end behind a message", named(created(), *texts()), None),
    case("O9-closed", "the end behind a call that is whole", named(created(), *calls('{"city": "Paris"}')), None),
    case("O9-created", "the end behind the beginning", named(created()), None),
    case("O9-done", "[DONE] in place of the last event", named(created(), *texts()) + DONE, None),
    case("O9-lost", "the connection lost in a text", Answer((named(created(), *texts()[:3]), cut())), None),
    *(
        case(f"O10-{name}", f"{title} in place of an answer", named(created(), error), Failure(shows=SHOWN))
        for name, title, error in (
            (
                "flat",
                "an error that is flat",
                {"type": "error", "code": "server_error", "message": SHOWN, "param": None},
            ),
            ("nested", "an error that is nested", {"type": "error", **CHAT_ERROR}),
            ("failed", "response.failed", FAILED),
        )
    ),
    case(
        "O10-both",
        "an error behind text, and response.failed",
        named(created(), *texts()[:4], {"type": "error", **CHAT_ERROR}, FAILED),
        Failure(shows=SHOWN),
    ),
    *(
        case(
            f"O10-{code}",
            f"the status {code}",
            api_error(code, SHOWN, headers=IMPATIENT),
            Failure(shows=SHOWN),
            may_repeat=passes,
        )
        for code, passes in ((400, False), (401, False), (429, True))
    ),
    case("O10-detail", "a status with a body of its own form", status(400, {"detail": SHOWN}), Failure(shows=SHOWN)),
    case("O11-chat", "chat completions instead", CHAT_BODY + DONE, None),
    case("O11-anthropic", "events of Anthropic's instead", ANTHROPIC, None),
)
