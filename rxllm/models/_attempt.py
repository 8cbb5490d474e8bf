"""What became of one try to get an answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from rxllm.exceptions import RxllmError
from rxllm.harmless import harmless, message_of
from rxllm.models._ending import AnswerEnding
from rxllm.models._model import Model
from rxllm.models._stream_info import StreamInfo
from rxllm.models._usage import Usage


def _read_error(value: Any) -> Exception | None:
    """An error, or one made of the text that it was stored as."""
    return value if value is None or isinstance(value, Exception) else RxllmError(str(value))


def _write_error(error: Exception | None) -> str | None:
    return None if error is None else described(error)


def described(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {harmless(message_of(error))}"


class Attempt(Model):
    """One try to get an answer: a request and its outcome.

    Attributes:
        stream: The request, as far as it is known, if an answer had begun.
        usage: What it cost, if the server had said so.
        ending: How it ended: ``"stopped"`` if another try was faster, ``None`` if that is not known.
        error: The error, without traceback; ``None`` if the try did not fail, or if that is not known. In a recording,
            errors are ``RxllmError`` with the same text.
    """

    stream: StreamInfo | None = None
    usage: Usage | None = None
    ending: AnswerEnding | None = None
    error: Annotated[Exception | None, PlainValidator(_read_error), PlainSerializer(_write_error)] = None
