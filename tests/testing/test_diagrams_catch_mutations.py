"""An operator that is off by one tick, in its delay, its order or its completion, fails its own diagram.

Each of ours is mutated from outside, by what is piped behind it; three are mutated in their code.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxllm import operators
from rxllm.testing import check_marbles

FRAME = 0.01
END: Any = object()


def emit(observer: abc.ObserverBase[Any], event: Any) -> None:
    if event is END:
        observer.on_completed()
    elif isinstance(event, Exception):
        observer.on_error(event)
    else:
        observer.on_next(event)


Mutation = Callable[[list[Any], Callable[[float, Any], None], Any], None]
"""Gets what came so far, what emits after so many seconds, and what comes now: an item, ``END`` or an error."""


def is_end(event: Any) -> bool:
    return event is END or isinstance(event, Exception)


def one_tick_late(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
    del before
    later(FRAME, event)


def ends_one_tick_late(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
    del before
    later(FRAME if is_end(event) else 0, event)


def never_ends(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
    del before
    if not is_end(event):
        later(0, event)


def first_two_swapped(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
    if before or is_end(event):
        later(0, event)
    if len(before) == 1 or (is_end(event) and len(before) < 2):
        later(0, before[0])


def first_one_twice(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
    later(0, event)
    if not before:
        later(0, event)


MUTATIONS: list[Mutation] = [one_tick_late, ends_one_tick_late, never_ends, first_two_swapped, first_one_twice]


def mutated(operator: Callable[..., Any], mutation: Mutation) -> Callable[..., Any]:
    """The operator, with something behind it that mutates what it emits."""

    @functools.wraps(operator)
    def mutant(*args: Any, **kwargs: Any) -> Callable[[Observable[Any]], Observable[Any]]:
        original = operator(*args, **kwargs)

        def pipe(source: Observable[Any]) -> Observable[Any]:
            def subscribe(
                observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
            ) -> abc.DisposableBase:
                before: list[Any] = []
                timers: list[asyncio.Handle] = []

                def later(seconds: float, event: Any) -> None:
                    if seconds:
                        timers.append(asyncio.get_running_loop().call_later(seconds, emit, observer, event))
                    else:
                        emit(observer, event)

                def take(event: Any) -> None:
                    mutation(before, later, event)
                    before.append(event)

                def stop() -> None:
                    for timer in timers:
                        timer.cancel()

                upstream = original(source).subscribe(take, take, lambda: take(END), scheduler=scheduler)
                return CompositeDisposable(upstream, Disposable(stop))

            return Observable(subscribe)

        return pipe

    return mutant


def assert_caught(operator: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError) as caught:
        check_marbles(operator)

    message = str(caught.value).splitlines()
    assert message[0].startswith(f"{operator.__name__}: the marbles differ from ")
    assert [line[:10] for line in message[1:4]] == ["expected  ", "actual    ", "          "]
    assert message[3].strip() == "^"
    assert message[1] != message[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@pytest.mark.parametrize("name", operators.__all__)
def test_every_operator_is_held_to_its_diagram(name: str, mutation: Mutation) -> None:
    assert_caught(mutated(getattr(operators, name), mutation))


def test_the_way_to_mutate_is_no_mutation() -> None:
    def unchanged(before: list[Any], later: Callable[[float, Any], None], event: Any) -> None:
        del before
        later(0, event)

    for name in operators.__all__:
        check_marbles(mutated(getattr(operators, name), unchanged))


# In the code


class Mutator(ast.NodeTransformer):
    """Replaces the calls of a function or method, and counts them."""

    def __init__(self, called: str, replacement: Callable[[ast.Call], ast.expr]) -> None:
        self.called = called
        self.replacement = replacement
        self.replaced = 0

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if ast.unparse(node.func).rpartition(".")[2] != self.called:
            return node
        self.replaced += 1
        return ast.copy_location(self.replacement(node), node)


def recompiled(module: str, called: str, replacement: str) -> ModuleType:
    """A module in which the calls of a function are replaced; the replacement is a format of its parts."""
    original = importlib.import_module(module)

    def replace(call: ast.Call) -> ast.expr:
        func = ast.unparse(call.func)
        parts = {"call": ast.unparse(call), "func": func, "receiver": func.rpartition(".")[0]}
        arguments = [ast.unparse(argument) for argument in call.args]
        return ast.parse(replacement.format(*arguments, **parts), mode="eval").body

    mutator = Mutator(called, replace)
    tree = ast.fix_missing_locations(mutator.visit(ast.parse(inspect.getsource(original))))
    assert mutator.replaced, f"{module} calls {called} no more: choose another mutation"
    mutant = ModuleType(original.__name__)
    vars(mutant).update({"__package__": original.__package__, "asyncio": asyncio})
    # Dataclasses and the like look their module up by its name; the original will do.
    exec(compile(tree, str(original.__file__), "exec"), vars(mutant))  # noqa: S102 - our own code, with one change
    return mutant


def test_a_delay_that_is_one_tick_too_long_is_caught() -> None:
    replacement = f"{{func}}({{0}}, {{1}}, {{2}} + {FRAME}, {{3}})"
    mutant = recompiled("rxllm.operators._timeout_per_chunk", "_Silence", replacement)

    assert_caught(mutant.timeout_per_chunk)


def test_an_order_that_is_reversed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = recompiled("rxllm.flow._backlog", "popleft", "{receiver}.pop()")
    module = importlib.import_module("rxllm.operators._buffer_with_backpressure")
    monkeypatch.setattr(module, "Backlog", mutant.Backlog)

    assert_caught(operators.buffer_with_backpressure)


def test_a_completion_that_is_one_tick_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    replacement = f"asyncio.get_running_loop().call_later({FRAME}, lambda: {{call}})"
    mutant = recompiled("rxllm.flow._fan_out", "end", replacement)
    monkeypatch.setattr(importlib.import_module("rxllm.flow._operation"), "FanOut", mutant.FanOut)

    assert_caught(operators.accumulate)
