"""The marble diagram of each operator is what happens."""

from __future__ import annotations

import pytest

from rxllm import operators
from rxllm.testing import check_marbles


@pytest.mark.parametrize("name", operators.__all__)
def test_diagram(name: str) -> None:
    check_marbles(getattr(operators, name))
