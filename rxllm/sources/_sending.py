"""Sending a request until there is an answer, and the translation of what goes wrong until then.

A connection of the pool may be closed by the server in the moment in which a request goes over it. If no byte came
back, the request is sent once more over a new connection. Nothing else is sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from rxllm.exceptions import APIConnectionError, LimitExceededError, as_cause, excerpt
from rxllm.logs import logger
from rxllm.sources._aiohttp_internals import close_idle
from rxllm.sources._credentials import Headers, Secrets, shown
from rxllm.sources._request_body import RequestBody
from rxllm.sources._url_fault import HOW_TO_WRITE_A_PROXY

Answer = TypeVar("Answer")

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


async def answer_of(url: URL, secrets: Secrets, request: Awaitable[Answer]) -> Answer:
    """Await the answer to a request, and translate what goes wrong before there is one.

    Raises:
        APIConnectionError: There is none.
        LimitExceededError: Its head has a line that is too long.
    """
    too_long: LineTooLong | None = None
    try:
        return await request
    except aiohttp.ClientResponseError as error:
        reason = excerpt(secrets.scrub(error.message))
        too_long = _too_long_line(error)
    except aiohttp.InvalidURL:
        # The URL of the request was looked at before; the error shows that of the session's proxy, with its password.
        reason = f"the URL of the session's proxy is none that can be used: {HOW_TO_WRITE_A_PROXY}"
    except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
        # A ValueError is about a header, a RuntimeError about a closed session.
        reason = str(error) or type(error).__name__
        raise APIConnectionError(f"no answer from {shown(url)}: {reason}") from as_cause(error)
    # Outside the handler: that error holds the request with its headers and query, and must not be this one's context.
    if too_long is not None:
        message = f"the head of the answer from {shown(url)} is too large: {reason}"
        raise LimitExceededError(message, limit="max_field_size", maximum=int(too_long.args[1]))
    raise APIConnectionError(f"no answer from {shown(url)}: {reason}")


def _too_long_line(error: BaseException | None) -> LineTooLong | None:
    """What aiohttp found too long, if it was that."""
    while error is not None and not isinstance(error, LineTooLong):
        error = error.__cause__
    return error


async def send(  # noqa: PLR0917
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    body: bytes | None,
    headers: Headers,
    secrets: Secrets,
    options: dict[str, Any],
    *,
    may_repeat: bool = True,
) -> aiohttp.ClientResponse:
    """Send a request, and once more if it met a connection of the pool that the server had closed.

    aiohttp does that by itself for requests without a body.

    Raises:
        APIConnectionError: There is no answer.
        LimitExceededError: Its head has a line that is too long.
    """
    payload = None if body is None and method.upper() in _BODILESS else RequestBody(body or b"")
    request = session.request(method, url, headers=headers, data=payload, allow_redirects=False, **options)
    try:
        return await answer_of(url, secrets, request)
    except BaseException as error:
        if payload is None:
            raise
        payload.abort()
        if not (may_repeat and payload.met_dead_connection(error.__cause__)):
            raise
        logger.debug("a connection to {} had been closed: the request is sent over another", shown(url))
    # Others that have lain in the pool may be dead, too.
    close_idle(session.connector, url)
    return await send(session, method, url, body, headers, secrets, options, may_repeat=False)
