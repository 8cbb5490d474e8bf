"""What a dialect says of a request that it cannot send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rxllm.exceptions import UnsupportedRequestError

__all__ = ["field_refused"]


def field_refused(dialect: str, send: Callable[[], object]) -> str:
    """The field that a dialect cannot say, and of which it says so."""
    with pytest.raises(UnsupportedRequestError) as caught:
        send()
    assert caught.value.dialect == dialect
    assert f"{dialect} cannot send {caught.value.field}: " in str(caught.value)
    return caught.value.field
