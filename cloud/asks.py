"""What is in memory about lots: whether their bridges are heard, and fee questions under way. None of it lasts."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cloud.store import Bells
from parking.errors import Code, Environment
from parking.stay import NameKind
from parking.wire import Answer, Ask, Found, NotFound

HEARD_FOR: Final = timedelta(seconds=40)
ANSWER_WITHIN: Final = timedelta(seconds=8)
KEEP_EVERY: Final = timedelta(seconds=30)
"""How old the kept time of a last contact may get while the lot is heard."""


@dataclass(slots=True)
class _Line:
    feeds: int = 0
    heard: datetime | None = None
    last: datetime | None = None
    """The last contact, which the end of a feed is too."""
    kept: datetime | None = None
    asks: dict[str, tuple[Ask, asyncio.Future[Found | NotFound]]] = field(default_factory=dict)
    polled: set[str] = field(default_factory=set)
    """Asks that went out by long poll."""


class Lines:
    """The lines to the lots."""

    def __init__(self, bells: Bells, clock: Callable[[], datetime]) -> None:
        self._bells = bells
        self._clock = clock
        self._lines: dict[int, _Line] = {}

    def heard(self, lot: int) -> None:
        """The lot's bridge said something."""
        line = self._line(lot)
        line.heard = line.last = self._clock()

    @contextmanager
    def feed(self, lot: int) -> Iterator[None]:
        """As long as this lasts, the lot's bridge listens."""
        line = self._line(lot)
        line.feeds += 1
        try:
            yield
        finally:
            line.feeds -= 1
            line.last = self._clock()

    def listening(self) -> list[int]:
        """The lots whose bridges listen now."""
        return [lot for lot, line in self._lines.items() if line.feeds > 0]

    def online(self, lot: int) -> bool:
        """Whether the bridge listens now, or was heard within 40 s."""
        line = self._lines.get(lot)
        if line is None:
            return False
        return line.feeds > 0 or (line.heard is not None and self._clock() - line.heard < HEARD_FOR)

    def last_heard(self, lot: int) -> datetime | None:
        """When the lot's bridge was last heard by this process; now, while it listens."""
        line = self._lines.get(lot)
        if line is None:
            return None
        return self._clock() if line.feeds > 0 else line.last

    def to_keep(self) -> dict[int, datetime]:
        """The last contacts to be kept for the next process, by lot: half a minute newer than what is kept, or more."""
        found = {}
        for lot, line in self._lines.items():
            last = self.last_heard(lot)
            if last is not None and (line.kept is None or last - line.kept >= KEEP_EVERY):
                found[lot] = line.kept = last
        return found

    async def ask(self, lot: int, kind: NameKind, name: str) -> Found | NotFound:
        """Ask the legacy for a fee, through the bridge.

        Raises Environment(LOT_OFFLINE) if the bridge is not heard, Environment(DEVICE_UNAVAILABLE) after 8 s.
        """
        if not self.online(lot):
            raise Environment(Code.LOT_OFFLINE, f"lot {lot} is not connected", "pay at the machine, or try again")
        now, line = self._clock(), self._line(lot)
        ask = Ask(ask_id=secrets.token_hex(12), kind=kind, name=name, at=now, expires_at=now + ANSWER_WITHIN)
        answer: asyncio.Future[Found | NotFound] = asyncio.get_running_loop().create_future()
        line.asks[ask.ask_id] = (ask, answer)
        self._bells.ring(("feed", lot))
        try:
            return await asyncio.wait_for(answer, ANSWER_WITHIN.total_seconds())
        except TimeoutError:
            code = Code.DEVICE_UNAVAILABLE
            raise Environment(code, f"lot {lot} did not answer in time", "pay at the machine, or try again") from None
        finally:
            del line.asks[ask.ask_id]
            line.polled.discard(ask.ask_id)

    def waiting(self, lot: int, told: set[str] | None = None) -> list[Ask]:
        """Questions that wait for an answer and are not yet in `told`; they are in it afterwards.

        Without `told`, what long polls were told is remembered from one to the next.
        """
        line = self._line(lot)
        told = line.polled if told is None else told
        asks = [ask for ask, answer in line.asks.values() if ask.ask_id not in told and not answer.done()]
        told.update(ask.ask_id for ask in asks)
        return asks

    def answer(self, lot: int, answer: Answer) -> bool:
        """Hand an answer to who waits for it; False if nobody does (any more)."""
        line = self._lines.get(lot)
        found = line.asks.get(answer.ask_id) if line else None
        if found is None or found[1].done():
            return False
        found[1].set_result(answer.result)
        return True

    def _line(self, lot: int) -> _Line:
        return self._lines.setdefault(lot, _Line())
