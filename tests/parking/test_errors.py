"""Every error has a code that never changes by accident, and a text that says what to do."""

import re

import pytest

from parking.errors import BadMessage, Bug, Code, DaikoError, Environment, NotSent, Refused, Uncertain


def test_codes_are_unique_and_stable_words() -> None:
    assert len({code.value for code in Code}) == len(Code.__members__)
    for name, code in Code.__members__.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)
        assert name == code.value.upper().replace("-", "_")


@pytest.mark.parametrize("kind", [Refused, NotSent, Uncertain, Environment, BadMessage])
def test_an_error_says_what_happened_and_what_to_do(kind: type[DaikoError]) -> None:
    error = kind(Code.PORT_BUSY, "COM3 is open elsewhere", "close the vendor's tool")
    assert str(error) == "[port-busy] COM3 is open elsewhere — close the vendor's tool"
    assert str(kind(Code.PORT_BUSY, "COM3 is open elsewhere")) == "[port-busy] COM3 is open elsewhere"
    assert (error.code, error.detail, error.remedy) == (
        Code.PORT_BUSY,
        "COM3 is open elsewhere",
        "close the vendor's tool",
    )


def test_blame_is_in_the_type_and_no_kind_passes_for_another() -> None:
    kinds = (Refused, NotSent, Uncertain, Environment, BadMessage, Bug)
    for kind in kinds:
        assert issubclass(kind, DaikoError)
        assert not any(issubclass(kind, other) for other in kinds if other is not kind)


def test_a_bug_asks_to_be_reported() -> None:
    assert str(Bug("impossible state")).startswith("[bug] impossible state — please report")
