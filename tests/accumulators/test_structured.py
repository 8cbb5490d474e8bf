"""A pydantic model out of JSON that grows."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    field_validator,
    model_validator,
)

from rxllm.accumulators import StructuredAccumulator
from rxllm.exceptions import DecodeError, LimitExceededError, StructuredOutputError


class Step(BaseModel):
    text: str
    minutes: Annotated[int, Field(ge=0)] = 0
    parts: list[Step] | None = None


class Recipe(BaseModel):
    title: str
    steps: list[Step]
    rating: float | None = None
    tags: list[str] = []


TEXT = (
    '{"title": "Soup", "steps": [{"text": "Boil", "minutes": 5}, {"text": "Stir", "parts": [{"text": "left"}]}],'
    ' "rating": 4.5, "tags": ["hot"]}'
)


def grow(model: type[BaseModel], text: str, size: int = 1, *, text_around: bool = False) -> list[Any]:
    """The snapshots of a text that comes in pieces, as dictionaries of what is there."""
    accumulator = StructuredAccumulator(model, text_around=text_around)
    snapshots = [accumulator.add(text[start : start + size]) for start in range(0, len(text), size)]
    snapshots.append(accumulator.close())
    return [snapshot for snapshot in snapshots if snapshot is not None]


def dumped(snapshots: list[Any]) -> list[Any]:
    return [snapshot.model_dump(exclude_unset=True) for snapshot in snapshots]


def test_each_field_as_it_completes() -> None:
    snapshots = grow(Recipe, TEXT)
    assert all(type(each) is Recipe for each in snapshots)
    boil = {"text": "Boil", "minutes": 5}
    left = {"text": "left"}
    stir = {"text": "Stir", "parts": [left]}
    whole = {"title": "Soup", "steps": [boil, stir], "rating": 4.5, "tags": ["hot"]}
    assert dumped(snapshots) == [
        {"title": "Soup"},
        {"title": "Soup", "steps": [{"text": "Boil"}]},
        # A number is complete with what follows it, and that is the end of the step.
        {"title": "Soup", "steps": [boil]},
        {"title": "Soup", "steps": [boil, {"text": "Stir"}]},
        {"title": "Soup", "steps": [boil, {"text": "Stir", "parts": [left]}]},
        {"title": "Soup", "steps": [boil, {"text": "Stir", "parts": [left]}]},
        {"title": "Soup", "steps": [boil, stir]},
        {"title": "Soup", "steps": [boil, stir]},
        {"title": "Soup", "steps": [boil, stir]},
        {"title": "Soup", "steps": [boil, stir], "rating": 4.5},
        {"title": "Soup", "steps": [boil, stir], "rating": 4.5, "tags": ["hot"]},
        {"title": "Soup", "steps": [boil, stir], "rating": 4.5, "tags": ["hot"]},
        whole,
    ]
    assert snapshots[-1] == Recipe.model_validate_json(TEXT)
    assert not hasattr(snapshots[0], "steps")
    assert snapshots[0].rating is None


@given(st.lists(st.integers(1, 30)))
def test_the_last_is_the_whole_however_it_is_cut(sizes: list[int]) -> None:
    accumulator = StructuredAccumulator(Recipe)
    rest = TEXT
    for size in sizes:
        accumulator.add(rest[:size])
        rest = rest[size:]
    accumulator.add(rest)
    assert accumulator.close() is None
    assert accumulator.latest == Recipe.model_validate_json(TEXT)


@pytest.mark.parametrize(
    ("text", "path", "seen"),
    [
        ('{"title": 5', ("title",), ", "),
        ('{"title": "Soup", "steps": [{"text": "Boil", "minutes": -5', ("steps", 0, "minutes"), "}"),
        ('{"steps": [{"text": "a"}, {"text": "b", "parts": [{"text": null', ("steps", 1, "parts", 0, "text"), "}"),
        ('{"steps": [{"minutes": 1', ("steps", 0, "text"), "}"),
        ('{"steps": [1', ("steps", 0), ","),
        ('{"tags": ["a", 1', ("tags", 1), "]"),
        ('{"steps": {"a": 1', ("steps",), "}"),
        ('{"title": "a", "rating": "x', ("rating",), '"'),
        ('{"title": "a"', ("steps",), "}"),
        ('["a"', (), "]"),
    ],
)
def test_a_value_that_breaks_the_schema_fails_as_soon_as_it_is_complete(
    text: str, path: tuple[str | int, ...], seen: str
) -> None:
    accumulator = StructuredAccumulator(Recipe)
    for character in text:
        accumulator.add(character)
    with pytest.raises(StructuredOutputError) as caught:
        accumulator.add(seen)
    assert caught.value.path == path
    written = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".") or "$"
    assert str(caught.value).startswith(f"{written} does not fit ")


def test_what_is_no_json_and_what_ends_early() -> None:
    with pytest.raises(DecodeError, match="character 10"):
        grow(Recipe, '{"title": soup}')
    with pytest.raises(DecodeError, match="ended before"):
        grow(Recipe, TEXT[:-1])
    for nothing in ("", " \n"):
        with pytest.raises(StructuredOutputError, match="there is no JSON"):
            grow(Recipe, nothing)
    with pytest.raises(DecodeError, match="unexpected character"):
        grow(Recipe, TEXT + "x")
    with pytest.raises(LimitExceededError):
        grow(Recipe, "[" * 1000)
    with pytest.raises(StructuredOutputError):
        grow(Recipe, " 42 ")


def test_text_around_is_an_option() -> None:
    text = f"Here you are:\n```json\n{TEXT}\n```\nEnjoy {{it}}!"
    with pytest.raises(DecodeError):
        grow(Recipe, text)
    for size in (1, 7, len(text)):
        assert grow(Recipe, text, size, text_around=True)[-1] == Recipe.model_validate_json(TEXT)
    with pytest.raises(StructuredOutputError, match="there is no JSON"):
        grow(Recipe, "I would rather not.", text_around=True)


def test_white_space_around_is_none() -> None:
    assert grow(Recipe, f"\n {TEXT} \n")[-1] == Recipe.model_validate_json(TEXT)


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow", strict=True, validate_default=True)

    price: Decimal = Field(alias="the-price")
    kind: Literal["a", "b"] = Field(validation_alias=AliasChoices("sort", AliasPath("deep", "kind")))
    inner: list[Aliased] = Field(alias="in", default=[])


def test_aliases_extras_and_strictness_are_those_of_json() -> None:
    text = '{"the-price": "1.10", "in": [{"price": 2.50, "deep": {"kind": "b"}}], "sort": "a", "more": [1]}'
    snapshots = grow(Aliased, text)
    assert snapshots[0].price == Decimal("1.10")
    assert snapshots[1].inner[0].price == Decimal("2.5")
    assert snapshots[-1] == Aliased.model_validate_json(text)
    assert snapshots[-1].model_extra == {"more": [1]}
    with pytest.raises(StructuredOutputError) as caught:
        grow(Aliased, '{"the-price": "x", ')
    assert caught.value.path == ("the-price",)


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


def test_a_member_that_is_forbidden_fails_at_once() -> None:
    with pytest.raises(StructuredOutputError) as caught:
        grow(Forbidding, '{"other": 1, ')
    assert caught.value.path == ("other",)


class Range(BaseModel):
    """Validators of all kinds that see values after pydantic, or whole models."""

    low: int
    high: Annotated[int, AfterValidator(lambda value: value * 10)]
    _checked: bool = False

    @field_validator("low")
    @classmethod
    def is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value

    @model_validator(mode="after")
    def is_ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError("reversed")
        return self

    def model_post_init(self, _: Any, /) -> None:
        self._checked = self.low <= self.high


class Ranges(BaseModel):
    ranges: list[Range]
    least: int = 0


def test_validators_of_a_model_see_whole_ones_only() -> None:
    snapshots = grow(Ranges, '{"ranges": [{"low": 2, "high": 1}], "least": 1}')
    assert dumped(snapshots)[:2] == [{"ranges": [{"low": 2}]}, {"ranges": [{"low": 2, "high": 10}]}]
    assert snapshots[-1].ranges[0]._checked
    with pytest.raises(StructuredOutputError, match="odd") as caught:
        grow(Ranges, '{"ranges": [{"low": 3,')
    assert caught.value.path == ("ranges", 0, "low")
    with pytest.raises(StructuredOutputError, match="reversed") as caught:
        grow(Ranges, '{"ranges": [{"low": 22, "high": 1}')
    assert caught.value.path == ("ranges", 0)


class Halved(BaseModel):
    """Input that does not look like the schema."""

    whole: list[int]
    noted: Annotated[list[int], BeforeValidator(lambda text: [len(each) for each in text])] = []
    optional: Annotated[list[int], Field(max_length=2)] | None = None
    listed: list[Annotated[list[int], BeforeValidator(lambda text: [1] if text == ["x"] else text)]] = []
    either: list[int] | dict[str, int] | None = None

    @field_validator("whole", mode="before")
    @classmethod
    def split(cls, value: list[str]) -> list[int]:
        return [int(each, 16) for each in value]


def test_what_a_validator_sees_first_is_validated_as_a_whole() -> None:
    text = '{"whole": ["ff", "10"], "noted": ["ab"], "optional": [1, 2], "listed": [["x"]], "either": {"a": 1}}'
    snapshots = grow(Halved, text)
    assert dumped(snapshots)[0] == {"whole": [255, 16]}
    assert {"whole": [255, 16], "noted": [2], "optional": [1]} in dumped(snapshots)
    assert snapshots[-1] == Halved.model_validate_json(text)
    with pytest.raises(StructuredOutputError) as caught:
        grow(Halved, '{"optional": [1, 2, 3]')
    assert caught.value.path == ("optional",)


class Wrapped(BaseModel):
    inner: list[int]

    @model_validator(mode="before")
    @classmethod
    def unwrap(cls, value: Any) -> Any:
        return value["outer"]


class CustomInit(BaseModel):
    value: int

    def __init__(self, **data: Any) -> None:
        super().__init__(value=data["number"])


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Wrapped, '{"outer": {"inner": [1, 2]}}'),
        (CustomInit, '{"number": 1}'),
        (RootModel[list[int]], "[1, 2]"),
        (RootModel[int], "42"),
    ],
)
def test_a_model_that_looks_at_its_input_itself_comes_whole(model: type[BaseModel], text: str) -> None:
    assert grow(model, text) == [model.model_validate_json(text)]


def test_a_lone_surrogate_and_numbers_that_json_does_not_have() -> None:
    snapshots = grow(Recipe, '{"title": "\\ud800", "steps": [], "rating": NaN}')
    assert snapshots[-1].title == "\ufffd"
    assert snapshots[-1].rating != snapshots[-1].rating


def test_of_duplicate_names_the_last_counts() -> None:
    snapshots = grow(Recipe, '{"title": "a", "steps": [{"text": "b"}], "steps": [], "title": "c"}')
    assert snapshots[-1] == Recipe(title="c", steps=[])
