"""Every error that rxllm raises.

::

    RxllmError
    ├── APIError                       the other side, or the way to it
    │   ├── APIConnectionError         no connection: name, route, TLS, refused (ConnectionError)
    │   ├── APIStatusError             an answer with a status of 400 or more
    │   ├── APIResponseError           an answer that is not an event stream
    │   └── APIStreamError             an error object in the middle of the stream
    ├── StreamInterruptedError         the connection was lost in the middle (ConnectionError)
    ├── TruncatedStreamError           the stream ended before the answer did
    ├── EmptyStreamError               the stream ended, and nothing of an answer had come
    ├── DecodeError                    bytes or JSON that the protocol does not allow (ValueError)
    ├── MixedAnswersError              chunks of a second answer came after those of the first (ValueError)
    ├── RestartError                   an answer began anew, and what was emitted cannot be taken back
    ├── LimitExceededError             too large, too deep or too many (ValueError)
    ├── ToolCallError                  fragments of a tool call that do not fit together (ValueError)
    ├── ToolExecutionError             a tool call that could not be carried out
    ├── ApprovalError                  the function that approves tool calls failed
    ├── RepairError                    something had to be put right, and strict=True (ValueError)
    ├── StructuredOutputError          an answer in JSON that breaks its schema (ValueError)
    ├── ChunkTimeoutError              silence for too long (TimeoutError)
    ├── DeadlineExceededError          it took too long, with all tries (TimeoutError)
    ├── AllAttemptsFailedError         each of several sources failed
    ├── BufferOverflowError            a full buffer with nobody to pause
    ├── UnsupportedRequestError        the provider's API has no form for a request (ValueError)
    ├── StreamCancelledError           somebody stopped a stream of a log
    ├── RecordingError                 a recording that is missing or not readable
    │   ├── UnknownStreamError         a log has no such stream (LookupError)
    │   ├── PositionError              a position that is not in the stream (ValueError)
    │   ├── StreamTakenError           a stream that has a writer, or has ended
    │   ├── ClaimLostError             another writer has claimed the stream
    │   └── LogUnavailableError        the log cannot be reached, for a while perhaps (ConnectionError)
    ├── NoRunningLoopError             subscribed outside an event loop (RuntimeError)
    └── MissingExtraError              an optional dependency is not installed (ImportError)

An error that ends a stream early has the answer so far in ``partial``, if an operator below put it together. In
``gathered`` it has what an operator of another kind had gathered until then.
No message contains a header, a query string or a key.

What a server, a model or a file says is text of foreign origin. ``str(error)``, ``repr(error)`` and notes show it as
``rxllm.harmless`` makes it: one line, without anything that controls a terminal, 1,000 characters at most. ``message``
and the other attributes hold it as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar

from rxllm.harmless import MESSAGE_LENGTH, excerpt, harmless, message_of

if TYPE_CHECKING:
    from rxllm.models import Attempt, ChatCompletion, LogPosition, StreamInfo

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APIStreamError",
    "AllAttemptsFailedError",
    "ApprovalError",
    "BufferOverflowError",
    "ChunkTimeoutError",
    "ClaimLostError",
    "DeadlineExceededError",
    "DecodeError",
    "EmptyStreamError",
    "LimitExceededError",
    "LogUnavailableError",
    "MissingExtraError",
    "MixedAnswersError",
    "NoRunningLoopError",
    "PositionError",
    "RecordingError",
    "RepairError",
    "RestartError",
    "RxllmError",
    "StreamCancelledError",
    "StreamInterruptedError",
    "StreamTakenError",
    "StructuredOutputError",
    "ToolCallError",
    "ToolExecutionError",
    "ToolFailure",
    "TruncatedStreamError",
    "UnknownStreamError",
    "UnsupportedRequestError",
    "excerpt",
]

T = TypeVar("T")


class ItemsThenError(list[T]):
    """The items that were good in some input, and the error about the rest: iterating gives those, and then raises."""

    __slots__ = ("_error",)

    def __init__(self, items: Iterable[T], error: Exception) -> None:
        super().__init__(items)
        self._error = error

    def __iter__(self) -> Iterator[T]:
        yield from super().__iter__()
        try:
            raise self._error
        finally:
            del self  # which holds the error, whose traceback holds this frame

    def __radd__(self, before: Any) -> None:
        """Append the items to a list, for ``+=``, and raise; so does ``+``, which would lose the error."""
        items = iter(self)
        del self  # as above
        before.extend(items)


def items_then(items: list[T], error: Exception) -> list[T]:
    """The items that were good, and then the error; without items, the error at once.

    Raises:
        Exception: The error.
    """
    if items:
        return ItemsThenError(items, error)
    try:
        raise error
    finally:
        del error  # whose traceback holds this frame


class RxllmError(Exception):
    """The base of all errors of this library.

    Attributes:
        partial: The answer as far as it had come, with ``complete=False``, if ``accumulate``, ``accumulate_snapshots``
            or ``LLMClient.chat_with_tools`` put it together; else ``None``.
        gathered: What another operator had gathered of the answer: see the docstring of the operator. ``None`` if there
            is no such operator.
        attempts: The outcome of each try, the last one included, if several were made: by ``retry_with_backoff``,
            ``LLMClient(retries=…)``, ``fallback``, ``hedge`` or ``ClientPool``.
        retryable: Whether the same request may succeed another time.
        stream: The request that failed, as far as it is known, if there was one.
    """

    partial: ChatCompletion | None = None
    gathered: object | None = None
    attempts: tuple[Attempt, ...] = ()
    retryable: bool = False
    stream: StreamInfo | None = None

    @property
    def message(self) -> str:
        """The message before it was made harmless: it may contain any text of a server, of any length."""
        return super().__str__()

    def __str__(self) -> str:
        return harmless(self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({excerpt(self.message, MESSAGE_LENGTH)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """How it is pickled and copied: without its constructor, which takes other arguments than a message."""
        return type(self).__new__, (type(self),), {**vars(self), "args": self.args}


class WithheldError(Exception):
    """Stands for an error of somebody else that is not to be shown as it is: it names its class and has its text.

    Attributes:
        name: The name of the class.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.name: str = text.partition(":")[0]

    @classmethod
    def of(cls, error: BaseException, text: str) -> Self:
        """What stands for an error, with what may be shown of its text; without its causes."""
        if isinstance(error, cls):
            return cls(text)  # which begins with the name
        name = type(error).__name__
        return cls(harmless(f"{name}: {text}" if text else name))


def as_cause(error: Exception) -> Exception:
    """An error of somebody else as the cause of one of ours: its text stands in tracebacks, too.

    Returns:
        The error; what stands for it if its text is not harmless.
    """
    text = message_of(error)
    return error if harmless(text) == text else WithheldError.of(error, text)


def attach_partial(error: Exception, partial: Callable[[], ChatCompletion]) -> tuple[()]:
    """Put what there is of an answer on an error of whatever class, unless an operator upstream has done so.

    Returns:
        Nothing: what comes before the error.
    """
    return _attach(error, "partial", partial)


def attach_gathered(error: Exception, gathered: Callable[[], object]) -> tuple[()]:
    """Put what was gathered on an error: see ``attach_partial``."""
    return _attach(error, "gathered", gathered)


def attach_attempts(error: Exception, attempts: tuple[Attempt, ...]) -> None:
    """Put what became of each try on an error of whatever class: whoever is further down knows of more."""
    vars(error)["attempts"] = attempts


def stream_of(error: Exception | None) -> StreamInfo | None:
    """What an error knows of the request that failed. Errors of others may have a ``stream`` that is another thing."""
    return error.stream if isinstance(error, RxllmError) else None


def attach_stream(error: Exception, stream: StreamInfo | None) -> None:
    """Put what is known of its request on an error of ours, unless that has been done."""
    if stream is not None and isinstance(error, RxllmError) and error.stream is None:
        error.stream = stream


def _attach(error: Exception, name: str, make: Callable[[], object]) -> tuple[()]:
    if getattr(error, name, None) is None:
        try:
            vars(error)[name] = make()
        except Exception as failure:  # noqa: BLE001 - the error that ended the stream has to arrive
            error.add_note(harmless(f"what had arrived cannot be shown: {failure!r}"))
    return ()


class APIError(RxllmError):
    """The server refused, failed, or could not be reached."""


class APIConnectionError(APIError, ConnectionError):
    """No connection could be made, so the request was not answered."""

    retryable: bool = True


_PASSING = frozenset({408, 409, 425, 429})
_SERVER_FAULT = 500


class APIStatusError(APIError):
    """The server answered with a status of 400 or more.

    Attributes:
        status: The HTTP status code.
        body: The start of the response body, bounded.
        request_id: The server's identifier of the request, from its headers.
        retry_after: Seconds to wait before another try, if a header or the body said so: as a number of seconds or
            milliseconds, or as a date (RFC 9110, section 10.2.3). A date in the past gives 0, more than a century gives
            ``None``.
        retryable: Whether the status is temporary (408, 409, 425, 429) or a fault of the server (500 and more). A
            source sets it to ``False`` if the body names a problem that waiting does not solve
            (``insufficient_quota``). If the server sends ``x-should-retry``, that decides.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable: bool = status in _PASSING or status >= _SERVER_FAULT


@dataclass(slots=True, repr=False)
class UnreadBody:
    """The body of a successful answer that is not a stream, for a decoder, which may know it.

    It may hold an echo of a key, so its ``repr`` shows nothing.

    Attributes:
        text: The body as it came.
        stream: What is known of the request.
        secrets: What to blot out of an error about it.
    """

    text: str
    stream: Any
    secrets: Any


class APIResponseError(APIError):
    """The server answered with success, but not with the stream that was asked for.

    Attributes:
        status: The HTTP status code.
        content_type: The media type that came instead of the expected one, such as ``text/event-stream``.
        body: The start of the response body, bounded.
        request_id: The server's identifier of the request, from its headers.
    """

    # What may hold an echo of a key is not copied with the error, and is gone once ``parse`` has looked at it.
    __slots__ = ("unread",)
    unread: UnreadBody | None

    def __init__(
        self, message: str, *, status: int, content_type: str, body: str = "", request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.unread = None
        self.status = status
        self.content_type = content_type
        self.body = body
        self.request_id = request_id


class APIStreamError(APIError):
    """The server reported an error in the middle of the stream.

    Attributes:
        type: The provider's kind of error, ``overloaded_error`` for example.
        code: The provider's code, as it came.
        retryable: Whether the same request may succeed later: overload, rate limits, server faults.
        retry_after: Seconds to wait before another try, if a field or the text of the error said so.
        position: Which event of the stream this was, counted from 0.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        code: str | int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        position: int | None = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.position = position


class StreamInterruptedError(RxllmError, ConnectionError):
    """The connection was lost after the stream had begun; or, in a log, the writer of the stream is dead.

    Attributes:
        events: How many items of the source had arrived.
        position: For a stream of a log, the position of the last item: go on from there. ``None`` if there was no item,
            and for other streams.
    """

    retryable: bool = True
    position: LogPosition | None = None

    def __init__(self, message: str, *, events: int = 0) -> None:
        super().__init__(message)
        self.events = events


class TruncatedStreamError(RxllmError):
    """The stream ended in good order, but the answer in it did not.

    Attributes:
        unfinished: The indexes of the choices that had not ended, or that the server gave up.
        events: How many events had arrived.
    """

    retryable: bool = True

    def __init__(self, message: str, *, unfinished: tuple[int, ...] = (), events: int = 0) -> None:
        super().__init__(message)
        self.unfinished = unfinished
        self.events = events


class EmptyStreamError(RxllmError):
    """The stream ended without an answer: an awaited stream gave no item, or a parsed stream had no choice."""

    retryable: bool = True


class DecodeError(RxllmError, ValueError):
    """Data arrived that the protocol or the dialect does not allow.

    Attributes:
        dialect: The name of the dialect or wire format; ``"json"`` for the JSON that a model wrote.
        position: The number of the event in the stream, counted from 0; for ``"json"``, the number of the character in
            the text.
        text: The start of the offending text.
    """

    def __init__(self, message: str, *, dialect: str, position: int, text: str) -> None:
        super().__init__(message)
        self.dialect = dialect
        self.position = position
        self.text = text


class MixedAnswersError(RxllmError, ValueError):
    """The chunks of a second answer came after those of the first. They cannot be joined to one answer.

    Attributes:
        partials: The first and the second answer, as far as they had come.
    """

    def __init__(self, message: str, *, partials: tuple[object, ...]) -> None:
        super().__init__(message)
        self.partials = partials


class RestartError(RxllmError):
    """An answer began anew after an operator had emitted items that it cannot take back.

    Attributes:
        operator: The operator.
    """

    def __init__(self, operator: str) -> None:
        super().__init__(f"the answer began anew, and {operator} cannot take back what it has emitted")
        self.operator = operator


class LimitExceededError(RxllmError, ValueError):
    """More data arrived than a limit allows, or it was nested too deeply.

    Attributes:
        limit: The name of the limit. If it can be set, that is the name of the parameter.
        maximum: The value of the limit.
    """

    def __init__(self, message: str, *, limit: str, maximum: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.maximum = maximum


class ToolCallError(RxllmError, ValueError):
    """A fragment belongs to no tool call, or the arguments of a call are not a JSON object.

    Attributes:
        choice: The index of the choice, if it is known.
        call_id: The identifier of the call, if it is known.
        text: The start of the offending text.
    """

    def __init__(self, message: str, *, choice: int | None = None, call_id: str | None = None, text: str = "") -> None:
        super().__init__(message)
        self.choice = choice
        self.call_id = call_id
        self.text = text


class RepairError(RxllmError, ValueError):
    """Something in the stream had to be repaired, and ``strict=True`` forbids that.

    Attributes:
        kind: What was wrong: a word from the table of kinds of ``rxllm.Repair``.
        position: The number of the item in the stream, counted from 0.
        before: What was sent.
        after: How it would have been read.
    """

    def __init__(self, message: str, *, kind: str, position: int, before: object, after: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.position = position
        self.before = before
        self.after = after


class StructuredOutputError(RxllmError, ValueError):
    """The answer has no JSON, its JSON was cut, or the JSON breaks the schema. ``__cause__`` is the error that was
    found.

    Attributes:
        path: The place in the JSON: names of members and numbers of elements, from the outside in.
        refusal: The start of the text in which the model refused, if the server sends refusals separately.
        finish_reason: Why the answer ended, in the server's word, if it has ended.
        text: The start of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        path: tuple[str | int, ...] = (),
        refusal: str | None = None,
        finish_reason: str | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message)
        self.path = path
        self.refusal = refusal
        self.finish_reason = finish_reason
        self.text = text


ToolFailure: TypeAlias = Literal["unknown_tool", "invalid_arguments", "duplicate", "refused", "timeout", "failed"]
"""Why a tool call was not carried out: see ``ToolExecutionError``. A call that was ``"refused"`` raises no error."""


class ToolExecutionError(RxllmError):
    """A tool call could not be carried out. ``__cause__`` is the exception of the tool, if there is one.

    Attributes:
        kind: ``"unknown_tool"``, ``"invalid_arguments"``, ``"duplicate"`` if a call with the same identifier was
            carried out already, ``"timeout"``, or ``"failed"`` if the tool raised or returned something that is not
            JSON.
        name: The name of the tool, as the model wrote it.
        call_id: The identifier of the call.
    """

    def __init__(self, message: str, *, kind: ToolFailure, name: str, call_id: str) -> None:
        super().__init__(message)
        self.kind: ToolFailure = kind
        self.name = name
        self.call_id = call_id


class ApprovalError(RxllmError):
    """The function that approves tool calls raised an exception, which is the ``__cause__``. The call was not run.

    Attributes:
        name: The name of the tool.
        call_id: The identifier of the call.
    """

    def __init__(self, message: str, *, name: str, call_id: str) -> None:
        super().__init__(message)
        self.name = name
        self.call_id = call_id


class ChunkTimeoutError(RxllmError, TimeoutError):
    """The producer was silent for too long.

    Attributes:
        phase: ``"first"`` if nothing of an answer had come, ``"gap"`` between two chunks.
        seconds: The limit that was passed, in seconds.
        chunks: How many chunks had arrived, including chunks that say nothing of an answer.
        bytes: How many bytes of the body came in that time, comments for example; ``None`` if that is not known.
        empty: How many chunks came in that time; none of them said anything of an answer.
    """

    retryable: bool = True

    def __init__(
        self, phase: Literal["first", "gap"], seconds: float, chunks: int, *, bytes: int | None = None, empty: int = 0
    ) -> None:
        waited = "the first chunk" if phase == "first" else f"a chunk after chunk {chunks - empty}"
        super().__init__(f"waited {seconds:g} s for {waited}{_meanwhile(bytes, empty)}")
        self.phase = phase
        self.seconds = seconds
        self.chunks = chunks
        self.bytes = bytes
        self.empty = empty


def _meanwhile(count: int | None, empty: int) -> str:
    """What came while somebody waited for a chunk."""
    came = [f"{count} byte{'s' * (count > 1)}"] if count else []
    if empty:
        came.append(f"{empty} empty chunk{'s' * (empty > 1)}")
    if came:
        return f": {' and '.join(came)} came, but nothing of an answer"
    return "" if count is None else ": no bytes came"


class DeadlineExceededError(RxllmError, TimeoutError):
    """A stream, with all its tries, took longer than its deadline allows.

    Attributes:
        seconds: The deadline, in seconds since the stream was subscribed to.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the deadline of {seconds:g} s has passed")
        self.seconds = seconds


class AllAttemptsFailedError(RxllmError):
    """Each of several sources failed.

    Attributes:
        errors: The errors, in the order of the failures. ``attempts`` also has the tries within each source.
    """

    def __init__(self, errors: tuple[Exception, ...]) -> None:
        reasons = "; ".join(f"{type(error).__name__}: {excerpt(str(error))}" for error in errors)
        super().__init__(f"all {len(errors)} sources failed: {reasons}")
        self.errors = errors
        self.retryable: bool = any(getattr(error, "retryable", False) for error in errors)


class BufferOverflowError(RxllmError):
    """A buffer is full, and the producer cannot be paused, or ``overflow`` is ``"error"``.

    Attributes:
        size: The most items that the buffer holds.
    """

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


class UnsupportedRequestError(RxllmError, ValueError):
    """A request has something that the provider's API does not support. Nothing was sent.

    Attributes:
        dialect: The name of the dialect.
        field: The name of the field of ``ChatRequest`` that is not supported, or of the field or part of a message.
    """

    def __init__(self, message: str, *, dialect: str, field: str) -> None:
        super().__init__(message)
        self.dialect = dialect
        self.field = field


class StreamCancelledError(RxllmError):
    """A stream of a log was stopped on purpose, by ``cancel``.

    Attributes:
        reason: The reason that was given.
        by: Who stopped it: a process, as ``host:pid``, or the name that was given. The message has it, too. It is meant
            for operators of the system: do not show it to clients.
    """

    def __init__(self, message: str, *, reason: str = "", by: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.by = by


class RecordingError(RxllmError):
    """A recording, or a stream in it, is missing or cannot be read."""


class UnknownStreamError(RecordingError, LookupError):
    """A log has no stream of that name, or the stream was removed.

    Attributes:
        name: The name.
    """

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class PositionError(RecordingError, ValueError):
    """A position is not in the stream: it is beyond the end, or another writer wrote the item with that number.

    Attributes:
        position: The position.
        last: The position of the last item of the stream; ``None`` if there is none.
    """

    def __init__(self, message: str, *, position: LogPosition | None = None, last: LogPosition | None = None) -> None:
        super().__init__(message)
        self.position = position
        self.last = last


class StreamTakenError(RecordingError):
    """A stream cannot be written to: it has a writer that is alive, or it has ended.

    Attributes:
        name: The name of the stream.
        ended: Whether the stream has ended. Then it cannot be claimed at all.
    """

    def __init__(self, message: str, *, name: str = "", ended: bool = False) -> None:
        super().__init__(message)
        self.name = name
        self.ended = ended


class ClaimLostError(RecordingError):
    """Another writer has claimed the stream meanwhile, or the stream was removed. Nothing was written since.

    Attributes:
        name: The name of the stream.
    """

    def __init__(self, message: str, *, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class LogUnavailableError(RecordingError, ConnectionError):
    """A log could not be reached for too long: its server is gone, or its file is locked."""

    retryable: bool = True


class NoRunningLoopError(RxllmError, RuntimeError):
    """A stream was subscribed to in a thread without a running event loop."""


class MissingExtraError(RxllmError, ImportError):
    """A feature needs an optional dependency.

    Attributes:
        extra: The package to install, ``rxllm[rich]`` for example.
    """

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message)
        self.extra = extra
