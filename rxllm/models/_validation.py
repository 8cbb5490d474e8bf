"""What pydantic says of text of foreign origin, for the causes of errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from rxllm.harmless import EXCERPT_LENGTH, harmless

_MAX_PROBLEMS = 10


def harmless_validation(error: ValidationError) -> ValidationError:
    """The error as it is, or one that says the same in harmless words.

    Pydantic writes names of members, and the words of validators, into its text as they are; and as many problems as
    there are.

    Args:
        error: What pydantic raised.

    Returns:
        An error that may be printed. One that had to be made anew has the first ten problems, and shows no input.
    """
    problems = error.errors(include_url=False, include_context=False)
    if len(problems) <= _MAX_PROBLEMS and all(_is_harmless((*problem["loc"], problem["msg"])) for problem in problems):
        return error
    made = [_made_anew(problem) for problem in problems[:_MAX_PROBLEMS]]
    return ValidationError.from_exception_data(error.title, made, hide_input=True)


def _made_anew(problem: ErrorDetails) -> InitErrorDetails:
    # Pydantic wants literal words, whose braces it fills from a context; without one they may be any.
    words: tuple[Any, Any] = problem["type"], harmless(problem["msg"], EXCERPT_LENGTH)
    place = tuple(harmless(each, EXCERPT_LENGTH) if isinstance(each, str) else each for each in problem["loc"])
    return InitErrorDetails(type=PydanticCustomError(*words), loc=place, input=problem["input"])


def _is_harmless(words: Iterable[str | int]) -> bool:
    return all(harmless(str(each), EXCERPT_LENGTH) == str(each) for each in words)
