"""Whether arguments are what they are to be: a mistake is told where it stands, and not when the first item comes."""

from __future__ import annotations

from numbers import Integral, Real


def check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    """Check a time.

    Args:
        name: What the argument is called.
        value: What was given.
        zero: Whether it may be none.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative, not a number (NaN), too large for a float, or 0 and must not be.
    """
    seconds = _number(name, value, "a number of seconds")
    if not (seconds >= 0 if zero else seconds > 0):
        least = "at least 0" if zero else "positive"
        raise ValueError(f"{name} must be {least}, a number of seconds, not {value}")


def check_positive(name: str, value: object) -> None:
    """Check a number that is to be more than 0: see ``check_seconds``."""
    if not _number(name, value, "a number") > 0:
        raise ValueError(f"{name} must be positive, not {value}")


def check_count(name: str, value: object, *, least: int = 1) -> None:
    """Check a number of things.

    Args:
        name: What the argument is called.
        value: What was given.
        least: How many there have to be.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is less.
    """
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, not {_shown(value)}")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_callable(name: str, value: object) -> None:
    """Check a function.

    Raises:
        TypeError: It is none.
    """
    if not callable(value):
        raise TypeError(f"{name} must be a function, not {_shown(value)}")


def check_kind(name: str, value: object, kind: type, advice: str = "") -> None:
    """Check of what class something is.

    Args:
        name: What it is called.
        value: What was given.
        kind: The class.
        advice: What to write instead.

    Raises:
        TypeError: It is of another class.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, not {_shown(value)}{advice and f': {advice}'}")


def _number(name: str, value: object, what: str) -> float:
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be {what}, not {_shown(value)}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be {what} that a float can hold") from None


def _shown(value: object) -> str:
    """What was given, in a message: its class, and a short text as it is."""
    short = 20
    if not isinstance(value, str) or len(value) > short:
        return type(value).__name__
    quotes = ": leave out the quotes" if value.strip().replace(".", "", 1).isdecimal() else ""
    return f"the text {value!a}{quotes}"
