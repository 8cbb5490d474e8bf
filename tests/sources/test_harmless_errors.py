"""What is taken out of an error on its way out of a source, and what stays."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

import rxllm
from rxllm.exceptions import DecodeError, RepairError
from rxllm.sources import Secrets

KEY = "sk-a-secret-that-is-long"
SECRETS = Secrets({"Authorization": f"Bearer {KEY}"})


def raised(error: Exception) -> Exception:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    return error


def test_message_attributes_and_notes() -> None:
    error = RepairError(f"no {KEY}", kind=KEY, position=1, before=[{KEY: (KEY, 1)}, {KEY}], after=KEY.encode())
    error.add_note(f"note {KEY}")
    assert SECRETS.scrub_error(error) is error
    assert KEY not in f"{error} {vars(error)}"
    assert error.before == [{"…": ("…", 1)}, {"…"}]
    assert error.after == "…".encode()
    assert error.__notes__ == ["note …"]


def test_what_has_no_secret_stays_the_same_object() -> None:
    cause = OSError(5, "broken")
    error = DecodeError("no", dialect="x", position=0, text="text")
    error.__cause__, error.__context__, error.__suppress_context__ = cause, KeyError("a"), False
    before = RepairError("no", kind="x", position=0, before=b"\xff", after=None)
    SECRETS.scrub_error(before)
    SECRETS.scrub_error(error)
    assert error.__cause__ is cause
    assert isinstance(error.__context__, KeyError)
    assert not error.__suppress_context__
    assert before.before == b"\xff"


class UnshowableError(Exception):
    def __repr__(self) -> str:
        raise RuntimeError(KEY)


class HolderError(Exception):
    """Shows nothing, but has it in an attribute."""

    def __init__(self) -> None:
        super().__init__("held")
        self.held = KEY


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (ValueError(KEY), "ValueError: …"),
        (HolderError(), "HolderError: held"),
        (UnshowableError(), "UnshowableError"),
        (OSError("cannot reach http://me:pw@host"), "OSError: cannot reach http://…@host"),
        (ValueError("BasicAuth(login='me', password='pw')"), "ValueError: BasicAuth(…)"),
        (ExceptionGroup("several", [ValueError(KEY)]), "ExceptionGroup: several (1 sub-exception)"),
    ],
)
def test_a_cause_that_shows_a_secret_is_replaced(cause: Exception, text: str) -> None:
    error = rxllm.APIConnectionError("no")
    error.__cause__ = cause
    cause.__cause__ = ValueError(f"deeper {KEY}")
    cause.__context__ = error
    SECRETS.scrub_error(error)
    assert str(error.__cause__) == text
    assert error.__cause__ is not None
    assert str(error.__cause__.__cause__) == "ValueError: deeper …"


def test_the_members_of_a_group_lose_the_frames_of_the_machinery() -> None:
    group = ExceptionGroup("several", [rxllm.APIConnectionError(KEY), ValueError("mine")])
    error = rxllm.APIConnectionError("no")
    error.__cause__ = ExceptionGroup("of none", [group])
    error.__context__ = None
    SECRETS.scrub_error(error)
    assert KEY not in "".join(traceback.format_exception(error))


def test_an_exception_of_ones_own_stays_as_it_is_and_keeps_its_frames() -> None:
    error: Any = raised(KeyError(KEY))
    SECRETS.scrub_error(error)
    assert error.args == (KEY,)
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)] == ["raised", "fail"]


def test_a_fault_of_the_library_says_where_it_was() -> None:
    with pytest.raises(TypeError) as caught:
        rxllm.from_sse("http://host").pipe(5)  # type: ignore[arg-type]
    failure = caught.value
    assert failure.__traceback__ is not None
    # Seen from a source there is no frame but those of the machinery.
    failure.__traceback__ = failure.__traceback__.tb_next
    SECRETS.scrub_error(failure)
    assert failure.__traceback__ is None
    assert "raised in apply, " in failure.__notes__[0]
    assert "_apply.py" in failure.__notes__[0]


def test_it_can_be_pickled_and_shows_nothing() -> None:
    error = raised(DecodeError(f"no {KEY}", dialect="x", position=0, text=KEY))
    error.__cause__ = ValueError(KEY)
    SECRETS.scrub_error(error)
    assert KEY.encode() not in pickle.dumps([error, error.__cause__])
