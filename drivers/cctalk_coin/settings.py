"""How the device that we are is built: what `device.Acceptor` is to know of the options."""

from dataclasses import dataclass

from drivers.cctalk_coin.billtable import BillTable
from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.coinset import CoinSet
from drivers.cctalk_coin.inhibits import Inhibits
from drivers.cctalk_coin.kinds import Accepts


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds, `values` yen by place; see README.md for the options. Usual for coins."""

    accepts: Accepts = Accepts.COINS
    values: tuple[int, ...] = (10, 50, 100, 500)
    country: str = "JP"
    scaling: int = 1000
    escrow: bool = True
    escrow_seconds: float = 30.0
    address: int = 2
    check: Check = Check.SUM
    echo: bool = True
    patience: float = 0.35
    confirm: int = 3
    step: int = 100
    pause: float = 0.0
    grace: float = 2.0
    always_open: bool = False
    simple_polls: bool = False
    master_only: bool = False
    serial: int = 1
    nak: bool = True
    seconds_per_char: float = 10 / 9600

    def money(self) -> Inhibits:
        """What it knows of money, as after power-up."""
        if self.accepts is Accepts.COINS:
            return CoinSet(self.values, self.country, self.master_only)
        return BillTable(self.values, self.country, self.scaling, self.escrow, self.master_only)
