"""How characters look on a serial line. Pure: what is needed by those who never open one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How characters look on a serial line; ignored by TCP. `parity` is N, E or O."""

    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1

    def __str__(self) -> str:
        """As installers write it: 9600 baud, 8E1."""
        return f"{self.baud} baud, 8{self.parity}{self.stop_bits}"

    @property
    def seconds_per_char(self) -> float:
        """Wire time of one character: start bit, 8 data bits, parity if any, stop bits."""
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud
