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

    Each stream is a Redis Stream, whose IDs are the positions. Only the clock of the server counts. How safe the items
    are depends on the settings of the server: see its ``appendonly`` and ``maxmemory-policy``. Needs redis-py
    (``pip install 'rxllm[redis]'``) and Redis 6.2 or later, or a compatible server. A cluster needs a proxy that finds
    the keys; all keys of a log are in one slot.

    Args:
        url: The URL of the server: ``redis://user:password@host:6379/0``, ``rediss://…`` over TLS, ``unix:///path``;
            options of redis-py may follow after a ``?``. User, password and options are in no error and no ``repr``.
        prefix: The beginning of the names of all keys. With different prefixes, several logs can use one server.
        lease: As for ``Log``.
        keep_for: As for ``Log``.
        keep_bytes: As for ``Log``.
        patience: How many seconds to wait for a server that cannot be reached, before a ``LogUnavailableError``. While
            writers wait, they pause their sources.
        max_item_bytes: The most bytes that one item may have. A larger item fails its stream with
            ``LimitExceededError``. A batch has no more bytes, either.

    Attributes:
        server: The URL of the server, without user, password and options.

    Raises:
        MissingExtraError: redis-py is not installed.
        TypeError: An argument is of another type.
        ValueError: ``url`` is not the URL of a Redis server, ``prefix`` is empty or has characters that are not
            allowed, or a number is not positive.

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
            raise ValueError("prefix must have at least one character, and only printable ones without { and }")
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
