"""A log in Redis."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr

from rxllm.exceptions import MissingExtraError
from rxllm.flow import check_count, check_kind, check_seconds
from rxllm.stores._log import Log

__all__ = ["RedisLog"]


class RedisLog(Log):
    """A log in a Redis server, for all machines that reach it.

    Each stream is a Redis Stream, whose IDs are the positions. The one clock that counts is that of the server. What
    the log has taken is as safe as the server is told to keep it: see its ``appendonly`` and ``maxmemory-policy``.

    Needs redis-py: ``pip install 'rxllm[redis]'``; and Redis 6.2 or later, or a server that speaks like it. A cluster
    needs a proxy that knows where the keys are: all of a log are in one slot.

    Args:
        url: Where the server is: ``redis://user:password@host:6379/0``, ``rediss://…`` over TLS, ``unix:///path``;
            behind a ``?`` what redis-py knows. No error and no ``repr`` shows user, password and options.
        prefix: What the names of all keys begin with: several logs may be in one server.
        lease: As for ``Log``, like the next two.
        keep_for: How long streams are kept.
        keep_bytes: How many bytes are kept.
        patience: For how many seconds a server that is out of reach is waited for, before it is a
            ``LogUnavailableError``. Until then writers wait, and pause what they write from.
        max_item_bytes: How large an item may be; a larger one fails its stream with ``LimitExceededError``. A batch
            has no more either.

    Attributes:
        server: Where the server is, without user, password and options.

    Raises:
        MissingExtraError: redis-py is not installed.
        TypeError: An argument is of another type.
        ValueError: The URL is none of a Redis server, the prefix none, or a number is not positive.

    See also:
        ``rxllm.from_log``, ``SQLiteLog``
    """

    def __init__(
        self,
        url: str | SecretStr,
        *,
        prefix: str = "rxllm",
        lease: float = 10.0,
        keep_for: float | timedelta | None = None,
        keep_bytes: int | None = None,
        patience: float = 30.0,
        max_item_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        check_kind("prefix", prefix, str)
        if not prefix or not prefix.isprintable() or {*"{}"} & {*prefix}:
            raise ValueError(
                "prefix must have one character at least, and only such as can be printed, but for { and }"
            )
        check_seconds("patience", patience)
        check_count("max_item_bytes", max_item_bytes)
        secret = url if isinstance(url, SecretStr) else SecretStr(url)
        check_kind("url", secret.get_secret_value(), str)
        try:
            from rxllm.stores._redis_engine import RedisEngine  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as error:
            raise MissingExtraError("RedisLog needs redis-py: install rxllm[redis]", extra="rxllm[redis]") from error
        engine = RedisEngine(secret, prefix=prefix, patience=patience, max_item_bytes=max_item_bytes)
        self.server: str = engine.server.name
        super().__init__(engine, lease=lease, keep_for=keep_for, keep_bytes=keep_bytes)
