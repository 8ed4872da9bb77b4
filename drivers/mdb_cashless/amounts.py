"""Yen as they are written on the line and counted on the bus: exactly, or not at all.

An amount on the bus is a whole number of units of `scale` x 10^-`decimals` yen in 16 bits, or in 32 where both sides
agreed on that (MDB/ICP 4.2, sections 7.4.2 and 7.4.18); the adapter writes and reads it with `decimals` digits behind
the point. FFFF stands for "unknown", so it is no amount.

The maker's examples have two digits behind the point, and do not say whether `mdb-decimal-places=0` takes them away. So
where none were agreed on, and the adapter took that (`zeros`), a fraction of nothing but zeros may stand there.
"""

import re
from dataclasses import dataclass

from parking.money import MOST, Yen


@dataclass(frozen=True, slots=True)
class Amounts:
    """How this machine and its adapter write amounts."""

    decimals: int = 0
    scale: int = 1
    wide: bool = False

    @property
    def _most_units(self) -> int:
        return 0xFFFFFFFE if self.wide else 0xFFFE

    def read(self, text: str, zeros: bool = False) -> Yen | None:
        """The yen of what is written; None if that is nothing, no whole yen, or not written as it was agreed.

        "4.50" where no decimals were agreed may be 450 yen of a machine that counts in hundredths, or a mistake in the
        profile. It is no amount either way.
        """
        form = r"(\d+)" if self.decimals == 0 else rf"(\d+)\.(\d{{{self.decimals}}})"
        if zeros and self.decimals == 0:
            form = r"(\d+)(?:\.0{1,3})?"
        found = re.fullmatch(form, text, re.ASCII)
        if found is None:
            return None
        value, rest = divmod(int("".join(found.groups())), 10**self.decimals)
        if rest or not 0 < value <= MOST or self.say(Yen(value)) is None:
            return None
        return Yen(value)

    def say(self, amount: Yen) -> str | None:
        """How `amount` is written; None if it cannot be said in whole units, or is more than the bus can carry."""
        units, rest = divmod(amount * 10**self.decimals, self.scale)
        if rest or not 0 < units <= self._most_units:
            return None
        return f"{amount}" if self.decimals == 0 else f"{amount}.{'0' * self.decimals}"

    def most(self) -> Yen:
        """The largest amount that can be said."""
        return Yen(min(MOST, self._most_units * self.scale // 10**self.decimals))
