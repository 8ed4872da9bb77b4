"""Money is a whole number of yen: no floats, no fractions, never negative."""

from typing import Final, NewType

from parking.errors import BadMessage, Code

Yen = NewType("Yen", int)

NOTHING: Final = Yen(0)

MOST: Final = Yen(9_999_999)
"""No fee of a parking lot comes near this; a larger amount is a defect (an inherited stay, a wrong unit)."""


def yen(value: object) -> Yen:
    """Return `value` as yen; raise BadMessage(BAD_AMOUNT) unless it is an int in 0…9,999,999."""
    if type(value) is not int or not 0 <= value <= MOST:
        raise BadMessage(Code.BAD_AMOUNT, f"{value!r} is not an amount in whole yen between 0 and {MOST:,}")
    return Yen(value)


def show(amount: Yen, language: str = "ja") -> str:
    """Write an amount for people: `1,200円` in Japanese, `¥1,200` elsewhere."""
    return f"{amount:,}円" if language.startswith("ja") else f"¥{amount:,}"
