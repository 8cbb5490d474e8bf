"""What the accumulators use of pydantic beyond its public interface; nothing else may.

Rules:

1. A model keeps its state in four slots. One that nobody has read yet has something else in the slot for private
   attributes, and turns into a model of another class when it is read.
2. Which validators a model has, and in which mode, only its decorators tell.

``tests/accumulators/test_pydantic_internals.py`` says what broke when pydantic has changed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

_SLOTS = ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")

put_private: Callable[[BaseModel, Any], None] = vars(BaseModel)["__pydantic_private__"].__set__
"""Put something where a model has its private attributes. In a ``__dict__`` of its own it would cost 0.25 µs more."""

private_of: Callable[[BaseModel], Any] = vars(BaseModel)["__pydantic_private__"].__get__
"""What is there; ``None`` for a model without private attributes."""

new_model = object.__new__
"""Make a model without any state."""


def become(instance: BaseModel, model: type[BaseModel], state_of: BaseModel | None = None) -> None:
    """Turn a model into one of another class, with the state of a model of that class if one is given."""
    if state_of is not None:
        for slot in _SLOTS:
            object.__setattr__(instance, slot, getattr(state_of, slot))
    object.__setattr__(instance, "__class__", model)


def has_early_validators(model: type[BaseModel]) -> bool:
    """Whether something sees the input of a model before its fields are validated."""
    modes = {each.info.mode for each in model.__pydantic_decorators__.model_validators.values()}
    return not modes <= {"after"} or model.__pydantic_custom_init__


def fields_validated_early(model: type[BaseModel]) -> set[str]:
    """The fields with a validator that sees the input before pydantic does; ``"*"`` is all of them."""
    decorators = model.__pydantic_decorators__.field_validators.values()
    return {name for each in decorators if each.info.mode != "after" for name in each.info.fields}


def require_nothing(model: type[BaseModel]) -> None:
    """Make all fields of a model optional, and take away the validators of the whole."""
    model.__pydantic_decorators__.model_validators.clear()
    for field in model.model_fields.values():
        field.default, field.default_factory, field.validate_default = None, None, False
    model.model_rebuild(force=True)
