"""A pay station of a simulated lot, as its customers see it: asks for money, takes cash, coins or a card.

The machine's own software, so what it believes is what counts here: a sale is a sale because the station says so. What
stands behind its payment line (cashless reader, terminal, coin acceptor) tells it what was paid; tests read `sales`.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from parking.errors import Code, Refused
from parking.money import NOTHING, Yen, yen

Note = Callable[[dict[str, str]], None]
"""Where the station's history goes."""


class Tender(StrEnum):
    """With what a sale was paid."""

    CASH = "cash"
    LINE = "line"
    """By what stands behind its payment line: ours."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A ticket that the station let go as paid."""

    at: datetime
    asked: Yen
    paid: Yen
    tender: Tender


@dataclass(slots=True)
class Station:
    """Thread-safe. `clock` gives aware UTC; `note` is given a line for each thing that happens."""

    name: str
    clock: Callable[[], datetime]
    note: Note
    sales: list[Sale] = field(default_factory=list)
    asked: Yen = NOTHING
    """What it wants for the ticket in it; nothing: it is idle."""
    coins: Yen = NOTHING
    """What has been credited towards it, coin by coin."""
    ticket: int = 0
    """Counts what it has asked for."""
    taken: int = 0
    """All yen that its payment line ever gave it, also those for which it asked nothing."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def open(self) -> bool:
        """Whether it waits for money."""
        return self.asked > 0

    @property
    def missing(self) -> int:
        """How much it still wants."""
        return max(0, self.asked - self.coins)

    def ask(self, amount: int) -> int:
        """A customer puts a ticket in. Raises Refused(CONFLICT) while it is busy. Returns the ticket's number."""
        with self.lock:
            if self.open:
                raise Refused(Code.CONFLICT, f"station {self.name} is busy")
            self.asked, self.coins, self.ticket = yen(amount), NOTHING, self.ticket + 1
            self._say("asked", amount)
            return self.ticket

    def cancel(self) -> bool:
        """The customer takes the ticket back; coins are given back. False if it was idle."""
        with self.lock:
            if not self.open:
                return False
            self._say("cancelled", self.coins)
            self._idle()
            return True

    def pay_cash(self) -> int:
        """The customer pays at the machine what is missing. Raises Refused(CONFLICT) if it is idle."""
        with self.lock:
            if not self.open:
                raise Refused(Code.CONFLICT, f"station {self.name} asks for nothing")
            return self._sold(self.asked, Tender.CASH)

    def paid(self, amount: int) -> bool:
        """Its payment line says that this was paid. False if it asks for nothing: then it is nobody's money."""
        with self.lock:
            self.taken += amount
            if not self.open:
                self._say("paid_for_nothing", amount)
                return False
            self._sold(amount, Tender.LINE)
            return True

    def coin(self, amount: int) -> int:
        """A coin was credited on its line; it is sold once there is enough. Returns what is missing still."""
        with self.lock:
            self.taken += amount
            self._say("coin", amount)
            if not self.open:
                self._say("paid_for_nothing", amount)
                return 0
            self.coins = yen(self.coins + amount)
            if self.coins >= self.asked:
                self._sold(self.coins, Tender.LINE)
                return 0
            return self.missing

    def shown(self) -> dict[str, int]:
        """What it asks for, and how often and for how much it was paid by its line and in cash."""
        with self.lock:
            by = {tender: [one.paid for one in self.sales if one.tender is tender] for tender in Tender}
            counts = {f"{tender}_sales": len(paid) for tender, paid in by.items()}
            shown = {"asked": self.asked, "ticket": self.ticket, "taken": self.taken}
            return {**shown, **counts, "line_yen": sum(by[Tender.LINE])}

    def _sold(self, amount: int, tender: Tender) -> int:
        sale = Sale(self.clock(), self.asked, yen(amount), tender)
        self.sales.append(sale)
        self._say("sold", amount, by=tender.value)
        self._idle()
        return sale.asked

    def _idle(self) -> None:
        self.asked, self.coins = NOTHING, NOTHING

    def _say(self, what: str, amount: int, **more: str) -> None:
        at = self.clock().isoformat(timespec="milliseconds")
        self.note(
            {"at": at, "what": what, "station": self.name, "ticket": str(self.ticket), "yen": str(amount), **more}
        )
