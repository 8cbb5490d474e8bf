"""What a request says of the tools: schemas made of annotations, and functions that cannot be tools."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from rxllm import ToolRegistry

if TYPE_CHECKING:
    from decimal import Decimal


class Unit(Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(BaseModel):
    """A place on earth."""

    city: str
    title: str = "none"


class Node(BaseModel):
    children: list[Annotated[Node, Field(description="below")]] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def get_weather(
    city: Annotated[str, Field(description="The name of the city", min_length=1)],
    unit: Unit = Unit.CELSIUS,
    *,
    day: date | None = None,
) -> str:
    """The weather in a city.

    Says nothing of the sea.
    """
    return f"{city} {unit} {day}"


def parameters(function: Callable[..., Any], *, strict: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = ToolRegistry([function], strict=strict).schemas()[0]["function"]["parameters"]
    return found


def test_a_function_as_requests_carry_it() -> None:
    assert ToolRegistry([get_weather]).schemas() == [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather in a city.\n\nSays nothing of the sea.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "city": {"type": "string", "description": "The name of the city", "minLength": 1},
                        "unit": {"$ref": "#/$defs/Unit", "default": "celsius"},
                        "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
                    },
                    "required": ["city"],
                    "additionalProperties": False,
                    "$defs": {"Unit": {"enum": ["celsius", "fahrenheit"], "title": "Unit", "type": "string"}},
                },
            },
        }
    ]


def test_its_strict_form() -> None:
    schema = ToolRegistry([get_weather], strict=True).schemas()[0]["function"]

    assert schema["strict"] is True
    assert schema["parameters"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The name of the city", "minLength": 1},
            "unit": {"$ref": "#/$defs/Unit"},
            "day": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        },
        "required": ["city", "unit", "day"],
        "additionalProperties": False,
        "$defs": {"Unit": {"enum": ["celsius", "fahrenheit"], "type": "string"}},
    }


def test_strict_forms_of_models_in_models() -> None:
    def tool(
        place: Annotated[Place, Field(description="where")],
        tree: Node,
        pair: tuple[int, str],
        pet: Annotated[Cat | Dog, Field(discriminator="kind")],
    ) -> None: ...

    strict = parameters(tool, strict=True)

    assert strict["properties"] == {
        "place": {"anyOf": [{"$ref": "#/$defs/Place"}], "description": "where"},
        "tree": {"$ref": "#/$defs/Node"},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "pet": {"anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]},
    }
    assert strict["$defs"]["Place"] == {
        "type": "object",
        "description": "A place on earth.",
        # A member that is called like a keyword is a member.
        "properties": {"city": {"type": "string"}, "title": {"type": "string"}},
        "required": ["city", "title"],
        "additionalProperties": False,
    }
    assert strict["$defs"]["Node"]["properties"]["children"]["items"] == {
        "anyOf": [{"$ref": "#/$defs/Node"}],
        "description": "below",
    }


def test_without_parameters_and_without_a_docstring() -> None:
    def now() -> float:
        return 0.0

    schema = ToolRegistry([now], strict=True).schemas()[0]["function"]
    assert "description" not in schema
    assert schema["parameters"] == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_names_that_models_of_pydantic_have_themselves() -> None:
    def tool(json: str, schema: int, copy: bool, model_config: str) -> None: ...

    assert list(parameters(tool)["properties"]) == ["json", "schema", "copy", "model_config"]


def test_a_default_that_is_no_json_is_left_out() -> None:
    def tool(key: object = SecretStr("s3cret")) -> None: ...

    assert "s3cret" not in str(parameters(tool))


def test_bound_methods() -> None:
    class Shop:
        def buy(self, what: str) -> str:
            return what

        @classmethod
        def close(cls, hour: int) -> None: ...

    registry = ToolRegistry([Shop().buy, Shop.close])
    assert [list(tool["function"]["parameters"]["properties"]) for tool in registry.schemas()] == [["what"], ["hour"]]


def test_the_decorator_leaves_the_function_as_it_is() -> None:
    registry = ToolRegistry()

    @registry.tool
    def first(a: int) -> int:
        return a

    @registry.tool(name="second-one", description="Another one.", strict=True)
    def second(a: int) -> int:
        return a

    assert first(1) == second(1) == 1
    assert list(registry) == ["first", "second-one"]
    assert len(registry) == 2
    assert "second-one" in registry
    assert "second" not in registry
    assert registry.schemas()[1]["function"]["description"] == "Another one."
    assert registry.schemas()[1]["function"]["strict"] is True
    assert "strict" not in registry.schemas()[0]["function"]


def unannotated(a: int, b: int) -> None: ...


# As a type checker would not have it.
del unannotated.__annotations__["a"]


def variadic(*rest: int) -> None: ...


def keywords(**rest: int) -> None: ...


def positional(a: int, /) -> None: ...


def unresolved(price: Decimal) -> None: ...


def callback(function: Callable[[], None]) -> None: ...


def opaque(a: object, b: Unusable) -> None: ...


class Unusable:
    pass


def generator() -> Iterator[int]:
    yield 1


async def async_generator() -> AsyncIterator[int]:
    yield 1


def anything(value: Any) -> None: ...


def table(cells: dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (unannotated, r"'unannotated'.* 'a' has no annotation"),
        (variadic, r"'variadic'.*\*rest"),
        (keywords, r"'keywords'.*\*\*rest"),
        (positional, "'positional'.* positional-only parameter 'a'"),
        (unresolved, "'unresolved'.*Decimal"),
        (callback, "'callback' has an annotation that is no use"),
        (opaque, "'opaque' has an annotation that is no use.*Unusable"),
        (generator, "'generator' is a generator"),
        (async_generator, "'async_generator' is a generator"),
        (functools.partial(get_weather, city="Paris"), "a tool is a function"),
        (Place, "a tool is a function"),
    ],
)
def test_functions_that_cannot_be_tools(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"(?s){message}"):
        ToolRegistry([function])


@pytest.mark.parametrize(
    ("function", "message"),
    [(anything, "'anything'.*any type"), (table, "'table'.*arbitrary members")],
)
def test_functions_without_a_strict_form(function: Callable[..., Any], message: str) -> None:
    ToolRegistry([function])
    with pytest.raises(TypeError, match=message):
        ToolRegistry([function], strict=True)


def test_a_name_is_used_once() -> None:
    with pytest.raises(ValueError, match="there is a tool 'get_weather' already"):
        ToolRegistry([get_weather, get_weather])


@pytest.mark.parametrize("name", ["", "a b", "größe", "x" * 65])
def test_names_that_servers_refuse(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a tool"):
        ToolRegistry().tool(name=name)(get_weather)
