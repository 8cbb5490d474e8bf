"""Where the log lines of this library go: to loguru, or to the standard ``logging``.

No line has text of a message, a header or a key. By default they go to loguru and are disabled there.
"""

from __future__ import annotations

import logging

import loguru

__all__ = ["log_to_logging"]


class Log:
    """Writes log lines. A message has ``{}`` for each argument."""

    target: logging.Logger | None = None

    def debug(self, message: str, *values: object) -> None:
        """Write a line that a developer may want to see."""
        if self.target is None:
            loguru.logger.opt(depth=1).debug(message, *values)
        elif self.target.isEnabledFor(logging.DEBUG):
            self.target.debug(message.format(*values), stacklevel=2)

    def warning(self, message: str, *values: object) -> None:
        """Write a line about something that the user may want to fix."""
        if self.target is None:
            loguru.logger.opt(depth=1).warning(message, *values)
        else:
            self.target.warning(message.format(*values), stacklevel=2)


logger: Log = Log()


def log_to_logging(target: logging.Logger | str | None = "rxllm") -> None:
    """Send the log lines of this library to the standard ``logging`` instead of loguru.

    Levels and handlers are those of ``logging``. Without handlers, warnings go to stderr.

    Args:
        target: The logger, or its name. ``None`` goes back to loguru, where ``logger.enable("rxllm")`` shows the lines.

    Example:
        >>> import logging, rxllm
        >>> rxllm.log_to_logging()
        >>> logging.getLogger("rxllm").setLevel(logging.DEBUG)
        >>> rxllm.log_to_logging(None)
    """
    logger.target = logging.getLogger(target) if isinstance(target, str) else target
