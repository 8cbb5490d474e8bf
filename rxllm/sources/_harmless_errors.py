"""Takes out of an error what must not be shown, wherever it may be shown from.

Rules:

1. Errors of this library are changed in place: message, attributes and notes.
2. Causes of other classes that show a secret are replaced. Some hold a whole request.
3. Tracebacks lose the frames of the machinery, down to the first of the user's own: tools that print a traceback with
   its variables (loguru with ``diagnose=True``) would show what these held.
4. An exception of a callback of the user's is passed on as it is, but for rule 3. If none but the machinery was there,
   it is a fault of this library, and a note says where.
"""

from __future__ import annotations

import re
import traceback as tracebacks
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeAlias

from rxllm.exceptions import RxllmError, WithheldError
from rxllm.models import is_object

Scrub: TypeAlias = Callable[[str], str]

_MACHINERY = frozenset(
    {
        *("rxllm", "aiohttp", "yarl", "multidict", "aiosignal", "aiohappyeyeballs", "reactivex", "msgspec", "pydantic"),
        *("asyncio", "ssl", "socket", "json", "http", "urllib", "contextlib", "encodings", "codecs", "base64"),
    }
)
# In a URL, and as aiohttp keeps that of a proxy in the errors about its connections.
_LOGIN = re.compile(r"(://)[^/\s'\"]*(@)|(BasicAuth\()[^)]*(\))")
# What an operator had gathered of the answer: that is what the model said.
_OF_THE_ANSWER = ("partial", "gathered", "partials")


def make_harmless(error: BaseException, scrub: Scrub) -> None:
    """Take the secrets out of an error, its notes, its causes and all their tracebacks.

    Args:
        error: The error.
        scrub: Takes them out of a text.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, RxllmError):
            _scrub_in_place(each, scrub)
        _scrub_notes(each, scrub)
        _leave_machinery(each, tell=each is error and not isinstance(each, RxllmError))
        _replace_causes(each, scrub)
        waiting += _below(each)


def _below(error: BaseException) -> Iterator[BaseException]:
    members: tuple[BaseException, ...] = getattr(error, "exceptions", ()) if _is_group(error) else ()
    for below in (error.__cause__, error.__context__, *members):
        if below is not None:
            yield below


def _is_group(error: BaseException) -> bool:
    return isinstance(error, BaseExceptionGroup)


def _scrub_in_place(error: RxllmError, scrub: Scrub) -> None:
    error.args = scrubbed(error.args, scrub)
    attributes = vars(error)
    for name in [name for name in attributes if name not in _OF_THE_ANSWER and not name.startswith("__")]:
        attributes[name] = scrubbed(attributes[name], scrub)


def scrubbed(value: Any, scrub: Scrub) -> Any:
    """A text, or a plain value with texts in it, without secrets; any other value as it is."""
    if isinstance(value, str):
        return scrub(value)
    if type(value) in {list, tuple, set, frozenset}:
        return type(value)(scrubbed(each, scrub) for each in value)
    if is_object(value):
        return {scrubbed(name, scrub): scrubbed(each, scrub) for name, each in value.items()}
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        harmless = scrub(text)
        return value if harmless == text else harmless.encode()
    return value


def _scrub_notes(error: BaseException, scrub: Scrub) -> None:
    notes: list[str] = getattr(error, "__notes__", [])
    notes[:] = scrubbed(notes, scrub)


def _leave_machinery(error: BaseException, *, tell: bool) -> None:
    found = kept = error.__traceback__
    while kept is not None and _is_machinery(kept):
        kept = kept.tb_next
    error.__traceback__ = kept
    if tell and found is not None and kept is None:
        last = tracebacks.extract_tb(found)[-1]
        error.add_note(f"raised in {last.name}, {last.filename}:{last.lineno}")


def _is_machinery(traceback: TracebackType) -> bool:
    return str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] in _MACHINERY


def _replace_causes(error: BaseException, scrub: Scrub) -> None:
    is_suppressed = error.__suppress_context__
    error.__cause__ = _without_secrets(error.__cause__, scrub)
    error.__context__ = _without_secrets(error.__context__, scrub)
    error.__suppress_context__ = is_suppressed


def _without_secrets(error: BaseException | None, scrub: Scrub) -> BaseException | None:
    """The error, or one that says the same without secrets."""
    if error is None or isinstance(error, RxllmError):
        return error
    text = _text_without_secrets(error, scrub)
    if text is None:
        return error
    withheld = WithheldError.of(error, text)
    withheld.__cause__, withheld.__context__ = error.__cause__, error.__context__
    withheld.__suppress_context__ = error.__suppress_context__
    return withheld


def _text_without_secrets(error: BaseException, scrub: Scrub) -> str | None:
    """What an error says, without the secrets that it shows; ``None`` if it shows none."""
    try:
        text = str(error)
        shown = f"{error!r} {vars(error)!r} {text}"
    except Exception:  # noqa: BLE001 - what cannot be shown cannot be looked at
        return ""
    if _LOGIN.search(shown) is None and scrub(shown) == shown:
        return None
    return _LOGIN.sub(r"\1\3…\2\4", scrub(text))
