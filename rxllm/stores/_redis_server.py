"""The way to a Redis server: commands, and waiting for a server that is gone.

What is not typed in redis-py is used here and nowhere else. Of it there is the protocol and the connections: how often
something is tried, and how long that takes, is said here, and answers come as the server gives them.

Rules:

1. A server that is out of reach, starts, or has become a replica is waited for, up to ``patience`` seconds. So whatever
   is sent has to be such that it can be sent twice.
2. Errors show no password: neither the URL, nor an error of redis-py as their cause, whose frames hold it.
3. A connection belongs to one event loop, and is let go of when nobody uses the server in that loop any more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import SecretStr
from redis.asyncio import Connection, ReadOnlyError, RedisError
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NotReachedError
from redis.exceptions import TimeoutError as NotAnsweredError

from rxllm.exceptions import LogUnavailableError, RecordingError, excerpt
from rxllm.stores._redis_scripts import Script

__all__ = ["Link", "Server"]

Argument: TypeAlias = str | bytes | int | float

# For how long an answer is waited for, in seconds.
_ANSWER = 10.0
# How long is waited between two tries, in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

# Of a server that is starting, redis-py says that it is not reached.
_MAY_PASS = (
    NotReachedError,
    NotAnsweredError,
    ReadOnlyError,
    ClusterDownError,
    TryAgainError,
    OSError,
)
_CODE = re.compile(r"(?:^|-)(OOM|READONLY|NOREPLICAS|BUSY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) ")
_NOT_TRUSTED = "CERTIFICATE_VERIFY_FAILED"
_WILL_NOT_PASS = (AuthenticationError, AuthorizationError)
_HOW_TO_WRITE = (
    "the URL of a Redis server looks like redis://user:password@host:6379/0, rediss://… over TLS, or unix:///path; "
    "write each of : / ? # [ ] @ % in user and password as %3A, %2F, …"
)


class _Connection(Protocol):
    """What is used of a connection of redis-py."""

    async def send_command(self, *command: Argument) -> None:
        """Send a command; connects before, if need be."""

    async def read_response(self) -> Any:
        """The answer to it."""

    async def disconnect(self, nowait: bool = False) -> None:  # noqa: FBT001, FBT002 - redis-py's own
        """Close it."""


class Server:
    """A server, and the connections to it.

    Args:
        url: Where it is.
        patience: For how many seconds one that is out of reach is waited for.

    Attributes:
        name: Where it is, without user and password.

    Raises:
        ValueError: The URL is none.
    """

    def __init__(self, url: SecretStr, *, patience: float) -> None:
        self.patience = patience
        self.name = _shown(url)
        self._url = url
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self.connection()

    def connection(self) -> _Connection:
        """Make a connection that is not open yet.

        Raises:
            ValueError: The URL has unknown options.
        """
        try:
            options = cast("dict[str, Any]", parse_url(self._url.get_secret_value()))
            kind: Callable[..., _Connection] = options.pop("connection_class", Connection)
            own = {"protocol": 2, "decode_responses": False, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}
            return kind(**{**options, **own})
        except (TypeError, ValueError, RedisError):
            pass
        raise ValueError(f"{_HOW_TO_WRITE}; after the ? is an option that redis-py does not know")

    def without_password(self, text: str) -> str:
        """A text in which the server may have said again what it was sent."""
        password = cast("dict[str, Any]", parse_url(self._url.get_secret_value())).get("password")
        return text.replace(password, "…") if password else text

    def link(self) -> Link:
        """The connections of the running loop; each user releases them once."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None:
            link = self._links[loop] = Link(self)
        link.users += 1
        return link

    async def release(self, link: Link) -> None:
        """Use the connections no more; the last user closes them."""
        link.users -= 1
        if not link.users:
            del self._links[asyncio.get_running_loop()]
            await link.close()


class Link:
    """The connections of one event loop.

    Attributes:
        users: How many use them.
        returned: When the server was last there again, by the clock of the loop; ``None`` if it never was away.
    """

    def __init__(self, server: Server) -> None:
        self.users = 0
        self.returned: float | None = None
        self._failures = 0
        self._server = server
        self._idle: list[_Connection] = []

    async def run(self, script: Script, keys: list[bytes], *arguments: Argument) -> list[Any]:
        """Run a script there, in one round trip if the server knows it already.

        Raises:
            LogUnavailableError: The server is out of reach.
            RecordingError: It refuses.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._server.patience
        pause = 0.0
        while True:
            try:
                return cast("list[Any]", await self._run_once(script, len(keys), *keys, *arguments))
            except (RedisError, OSError) as error:
                failure = self._failure(error, may_wait=loop.time() + pause < until)
            if failure is not None:
                # Out here it has no cause: what redis-py says may hold the password.
                raise failure
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    async def wait_for(self, *command: Argument, seconds: float) -> Any:
        """Send a command for which the server itself waits.

        Args:
            command: The command.
            seconds: For how long at most.

        Returns:
            The answer; ``None`` if there was none until then, or if the connection broke: whoever waits for something
            has to look anew whether it may still come.

        Raises:
            RecordingError: The server refuses.
        """
        try:
            return await self._ask(seconds, *command)
        except (RedisError, OSError) as error:
            failure = self._failure(error, may_wait=True)
        if failure is not None:
            raise failure
        return None

    async def close(self) -> None:
        """Close what nobody uses."""
        try:
            while self._idle:
                await self._idle.pop().disconnect()
        finally:
            # Whoever waits may be cancelled while one closes, and nobody else knows of the others.
            while self._idle:
                await self._idle.pop().disconnect(nowait=True)

    async def _ask(self, block: float, *command: Argument) -> Any:
        connection = self._idle.pop() if self._idle else self._server.connection()
        try:
            async with asyncio.timeout(block + min(_ANSWER, self._server.patience)):
                await connection.send_command(*command)
                answer = await connection.read_response()
        except NoScriptError:
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        if self._failures > 1:
            self.returned = asyncio.get_running_loop().time()
        self._failures = 0
        return answer

    async def _run_once(self, script: Script, *arguments: Argument) -> Any:
        try:
            return await self._ask(0.0, "EVALSHA", script.digest, *arguments)
        except NoScriptError:
            return await self._ask(0.0, "EVAL", script.text, *arguments)

    def _failure(self, error: Exception, *, may_wait: bool) -> RecordingError | None:
        """What to raise; ``None`` if it may pass, and there is time."""
        name = self._server.name
        # A script fails with the error of a command in it, of which there is but the text.
        found = _CODE.search(str(error))
        code = "" if found is None else found[1]
        if isinstance(error, _WILL_NOT_PASS):
            return RecordingError(f"{name}: the server does not accept the user and the password of the URL")
        if _NOT_TRUSTED in str(error):
            return RecordingError(f"{name}: the certificate of the server is not accepted: {self._said(error)}")
        if isinstance(error, OutOfMemoryError) or code == "OOM":
            return RecordingError(f"{name}: the server has no memory left (its maxmemory)")
        if not isinstance(error, _MAY_PASS) and not code:
            return RecordingError(f"{name}: the server refuses: {self._said(error)}")
        # A server may close a connection that was idle. One that does not take the next either is away.
        self._failures += 2 if isinstance(error, TimeoutError) else 1
        if may_wait:
            return None
        return LogUnavailableError(f"{name}: could not be reached for {self._server.patience:g} s: {self._said(error)}")

    def _said(self, error: Exception) -> str:
        return f"{type(error).__name__}: {excerpt(self._server.without_password(str(error)))}"


def _shown(url: SecretStr) -> str:
    """A URL without user, password and options.

    Raises:
        ValueError: It is none of a Redis server.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        host, port = parts.hostname or "localhost", parts.port or 6379
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(_HOW_TO_WRITE)
    if parts.scheme == "unix" and parts.path:
        return f"unix://{parts.path}"
    path = parts.path.strip("/")
    if parts.scheme not in {"redis", "rediss"} or not (path.isdecimal() or not path):
        raise ValueError(_HOW_TO_WRITE)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}/{path or 0}"
