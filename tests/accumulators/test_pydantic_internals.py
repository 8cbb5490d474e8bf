"""What is used of pydantic beyond its public interface is still as it was when this was written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from rxllm.accumulators import _pydantic_internals as internals


class City(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    population: int = 0

    @field_validator("name", mode="before")
    @classmethod
    def _early(cls, value: Any) -> Any:
        return value

    @field_validator("population")
    @classmethod
    def _late(cls, value: int) -> int:
        return value

    @model_validator(mode="after")
    def _whole(self) -> City:
        if not self.name:
            raise ValueError("no name")
        return self


class Unread(City):
    """What becomes a city."""


def test_pydantic_changed_where_a_model_keeps_its_state() -> None:
    city = City.model_validate({"name": "Paris", "river": "Seine"})
    unread = internals.new_model(Unread)
    internals.put_private(unread, ("a", "state"))
    assert internals.private_of(unread) == ("a", "state")

    internals.become(unread, City, city)

    assert type(unread) is City
    assert unread == city
    assert unread.model_extra == {"river": "Seine"}
    assert unread.model_fields_set == {"name", "river"}
    assert internals.private_of(unread) is None


def test_pydantic_changed_what_it_says_of_validators() -> None:
    class Early(City):
        @model_validator(mode="before")
        @classmethod
        def _early_whole(cls, value: Any) -> Any:
            return value

    class Own(City):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)

    assert internals.fields_validated_early(City) == {"name"}
    assert [internals.has_early_validators(each) for each in (City, Early, Own)] == [False, True, True]


def test_pydantic_changed_how_a_model_is_made_to_require_nothing() -> None:
    class Draft(City):
        pass

    internals.require_nothing(Draft)

    assert Draft.model_validate({}).model_fields_set == set()
    assert Draft.model_validate({"name": ""}).name == ""
    with pytest.raises(ValueError, match="population"):
        Draft.model_validate({"population": "many"})
    with pytest.raises(ValueError, match="no name"):
        City(name="")
