"""What ``rxllm record`` does.

Rules:

1. A key is never an argument. A header that looks as if it had one is refused, unless its value comes from a variable.
2. No file is written over unless somebody says so: a bug that was recorded may not come again.
3. Whatever came is in the file, also if the program is stopped. The exit status tells whether it was a whole answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yarl import URL

from rxllm.bridges import run
from rxllm.cli._outcome import Status, UsageError, say
from rxllm.cli._prompt import piped_text
from rxllm.cli._target import key_of
from rxllm.harmless import harmless
from rxllm.sources import fault_of
from rxllm.testing import WireRecording
from rxllm.testing import record as record_request
from rxllm.wire import Framing

_SECRET = re.compile(r"auth|key|token|cookie|secret|password|signature", re.IGNORECASE)
_REFERENCE = re.compile(r"(.*?)env:(\w+)", re.DOTALL)
# RFC 9110, section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_VALUE = re.compile(r"[\0\r\n]")
_HTTP_ERROR = 400
_GOOD_ENDS = frozenset({"eof", "closed"})
_WEBSOCKETS = frozenset({"ws", "wss"})


@dataclass(frozen=True)
class Request:
    """What is sent.

    Attributes:
        url: Where to.
        body: The body as JSON; ``None`` for none.
        method: The method, if somebody says which.
        headers: The headers, those with a key among them.
        framing: How the body of the answer is framed.
    """

    url: str
    body: Any
    method: str | None
    headers: Mapping[str, str] = field(repr=False)
    framing: Framing = "sse"


def body_of(data: str | None) -> Any:
    """The body that ``--data`` says.

    Raises:
        UsageError: It is not JSON, or the file cannot be read.
    """
    if data is None:
        return None
    name = data.removeprefix("@")
    try:
        text = data if name == data else piped_text() if name == "-" else Path(name).read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise UsageError(f"--data: {name}: {error.strerror or error}") from error
    except ValueError as error:
        where = "" if name == data else f" in {'stdin' if name == '-' else name}"
        raise UsageError(f"--data must be JSON, and the text{where} is not: {error}") from error


def headers_of(texts: Sequence[str], key_variable: str | None) -> dict[str, str]:
    """The headers that the command line says.

    Args:
        texts: Headers as ``NAME=VALUE``.
        key_variable: Which variable has a bearer token.

    Raises:
        UsageError: One is none, a variable is not set, or a key is an argument.
    """
    headers = {} if key_variable is None else {"Authorization": f"Bearer {key_of(key_variable)}"}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and _TOKEN.fullmatch(name)):
            # What was written may hold a key.
            raise UsageError("a header is NAME=VALUE, as in x-team=blue, and a name has no blank and no colon")
        found = _REFERENCE.fullmatch(value)
        if found is None and _SECRET.search(name):
            raise UsageError(
                f"other users can see a key on the command line: put it into a variable, and write {name}=env:VARIABLE"
            )
        headers[name] = value if found is None else f"{found[1]}{key_of(found[2])}"
    for name, value in headers.items():
        if _NO_VALUE.search(value):
            raise UsageError(f"the value of the header {name} is more than one line, or has a character of no text")
    return headers


def record_to(path: Path, request: Request, *, force: bool) -> Status:
    """Send a request, and record what comes.

    Raises:
        UsageError: The file exists, or the URL or the method is none.
        RecordingError: The file cannot be written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists: give another --out, or --force to replace it")
    scheme = URL(request.url).scheme if "://" in request.url else ""
    if scheme not in _WEBSOCKETS and (fault := fault_of(request.url)):
        raise UsageError(f"the URL cannot be requested: {fault}")
    if request.method is not None and not _TOKEN.fullmatch(request.method):
        raise UsageError("a method is one word, such as POST")
    _warn_of_no_stream(request.body)
    try:
        recording = run(
            record_request(
                request.url,
                path,
                framing=request.framing,
                json=request.body,
                method=request.method or ("GET" if request.body is None else "POST"),
                headers=request.headers,
            )
        )
    except KeyboardInterrupt:
        say(f"stopped: {path} has what had arrived")
        raise
    return _tell(recording, path)


def _warn_of_no_stream(body: Any) -> None:
    if isinstance(body, dict) and "messages" in body and "stream" not in body:
        say('the body does not ask for a stream: most servers want "stream": true in it')


def _tell(recording: WireRecording, path: Path) -> Status:
    """Say what was recorded; gives whether it is a whole answer."""
    response, end = recording.response, recording.end
    if response is None or end is None:
        reason = "" if end is None or end.error is None else f" ({harmless(end.error)})"
        say(f"no answer came{reason}: {path} says so")
        return Status.FAILED
    kind = harmless(response.headers.get("content-type", "no content type"), 60)
    error = "" if end.error is None else f" ({harmless(end.error)})"
    say(
        f"status {response.status}, {kind}: {len(recording.reads)} reads, {len(recording.body):,} bytes "
        f"in {end.at:.1f} s, ended by {end.ending}{error}\n"
        f"It is in {path}: look through it before you pass it on, for the answer is in there.\n"
        f"Play it again: rxllm replay {path}"
    )
    whole = response.status < _HTTP_ERROR and end.ending in _GOOD_ENDS and end.error is None
    return Status.WHOLE if whole else Status.FAILED
