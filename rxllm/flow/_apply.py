"""How ``pipe`` puts an operator behind a stream, and what it says of something that is none."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

from reactivex import Observable

_MAKERS = ("rxllm.operators.", "reactivex.operators")


def apply(operator: Any, source: object) -> object:
    """What an operator makes of a stream.

    Raises:
        TypeError: It is not an operator, or what stands before it has made no observable.
    """
    if not _is_observable(source):
        raise TypeError(f"{_name(operator)} stands behind something that made {_kind(source)} and no observable")
    if advice := _fault_of(operator):
        raise TypeError(f"pipe() takes operators: {advice}")
    try:
        made: object = operator(source)
    except Exception as error:
        error.add_note(f"raised by {_name(operator)}, which pipe() calls with the whole stream and not with each item")
        raise
    if inspect.iscoroutine(made):
        made.close()
        raise TypeError(f"pipe() takes operators: {_name(operator)} is a coroutine function: map_async() calls it")
    if callable(made) and not _is_observable(made):
        raise TypeError(f"pipe() takes operators: {_name(operator)} made {_kind(made)} and no observable of the stream")
    return made


def _fault_of(operator: Any) -> str:
    """What is wrong with an operator: ``""`` if it may be one."""
    name = _name(operator)
    if type(operator) is FunctionType:
        # What makes operators is in modules of such names; what it makes was defined within a function.
        is_maker = operator.__module__.startswith(_MAKERS) and "<" not in operator.__qualname__
        return f"{name} makes one and has to be called: write {name}({_needed(operator)})" if is_maker else ""
    if isinstance(operator, type):
        return f"{name} is a class: {'tee_to() takes a sink made of it' if _is_sink(operator) else 'make one'}"
    return "" if callable(operator) else _fault_of_object(operator)


def _fault_of_object(value: object) -> str:
    if _is_sink(value):
        return f"{_kind(value)} is a sink: write tee_to(…) around it"
    if isinstance(value, list | tuple):
        return "write them one after the other, pipe(a, b), and not in a list"
    if _is_observable(value):
        return f"{_kind(value)} is an observable: reactivex.operators has merge() and concat() for two streams"
    return f"{_kind(value)} is not one" if value is not None else "None is not one: does a function lack its 'return'?"


def _needed(function: FunctionType) -> str:
    """What stands between the brackets of a call: dots if it needs arguments."""
    parameters = inspect.signature(function).parameters.values()
    return "…" if any(each.default is each.empty and each.kind is not each.KEYWORD_ONLY for each in parameters) else ""


def _is_sink(value: object) -> bool:
    return inspect.iscoroutinefunction(getattr(value, "open", None))


def _is_observable(value: object) -> bool:
    return isinstance(value, Observable)


def _kind(value: object) -> str:
    return "a function" if inspect.isroutine(value) else type(value).__name__


def _name(operator: object) -> str:
    return str(getattr(operator, "__name__", type(operator).__name__))
