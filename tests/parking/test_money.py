"""Yen are whole, never negative and never absurd."""

import pytest

from parking.errors import BadMessage, Code
from parking.money import MOST, NOTHING, show, yen


@pytest.mark.parametrize("amount", [0, 1, 1200, MOST])
def test_a_fee_is_taken_as_it_is(amount: int) -> None:
    assert yen(amount) == amount


@pytest.mark.parametrize("value", [-1, MOST + 1, 100.0, "100", True, None, 10**30])
def test_what_is_no_fee_is_refused(value: object) -> None:
    with pytest.raises(BadMessage) as refused:
        yen(value)
    assert refused.value.code is Code.BAD_AMOUNT
    assert repr(value) in refused.value.detail


def test_amounts_are_written_for_the_reader() -> None:
    assert show(yen(1200)) == "1,200円"
    assert show(yen(1200), "ja-JP") == "1,200円"
    assert show(yen(1200), "en") == "¥1,200"
    assert show(NOTHING, "en") == "¥0"
