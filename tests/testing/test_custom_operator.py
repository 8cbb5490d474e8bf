"""The operator of the guide, with its error of one, is caught by the test of ten lines that stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "testing.md").read_text("utf-8")
FILES = dict(re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
(FAILURE,) = re.findall(r"^```text\n(the marbles differ.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_test_has_ten_lines() -> None:
    lines = FILES["test_joined"].splitlines()

    assert len([line for line in lines if line.strip()]) <= 10


def test_the_error_is_caught_and_both_diagrams_are_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(joined=FILES["joined"], test_joined=FILES["test_joined"])

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "test_joined.py")

    result.assert_outcomes(failed=1)
    shown = [line.removeprefix("E").strip() for line in result.stdout.lines if line.startswith("E ")]
    assert [line.removeprefix("AssertionError: ") for line in shown] == [line.strip() for line in FAILURE.splitlines()]
    assert "expected  ----x---y---(z|)" in FAILURE
    assert "actual    ------A-----(B|)" in FAILURE


def test_put_right_it_passes(pytester: pytest.Pytester) -> None:
    right = FILES["joined"].replace("> self._count", ">= self._count")
    pytester.makepyfile(joined=right, test_joined=FILES["test_joined"], test_client=FILES["test_client"])

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error")

    result.assert_outcomes(passed=2)
