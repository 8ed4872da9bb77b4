"""`python -m cloud day`: show, compare, explain and close a business day of a lot."""

import argparse
from collections.abc import Callable
from datetime import date, datetime, timedelta

from cloud import anchors, day_report, days, lots
from cloud.day_rounds import DayRounds
from cloud.lots import Lot
from cloud.payments.base import PaymentProvider
from cloud.store import Store
from parking.errors import BadMessage, Code
from parking.reports import day_of, day_span


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The arguments of `day NAME`."""
    parser.add_argument("lot", help="lot code")
    parser.add_argument("day", nargs="?", default="yesterday", help="business day, like 2026-11-24")
    if name == "explain":
        parser.add_argument("key", help="the key in brackets behind a difference, or `all`")
    if name in ("explain", "close"):
        parser.add_argument("--by", required=True, help="who says so")
    if name == "explain":
        parser.add_argument("--reason", required=True, help="why this is as it should be, or what was done about it")
    parser.add_argument("--language", choices=("ja", "en"), default="ja", help="language of the report")


class DayCommands:
    """The commands on an open store; each returns the report to print."""

    def __init__(self, store: Store, providers: dict[str, PaymentProvider], clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._rounds = DayRounds(store, providers, clock)

    async def show(self, options: argparse.Namespace) -> str:
        """The day as it stands."""
        lot, day = await self._which(options)
        async with self._store.read() as db:
            report = await days.report(db, lot.id, day)
            head = await anchors.last_before(db, lot.id, day_span(day, lot.zone, lot.day_starts)[1])
        return day_report.render(report, lot.name.get(options.language, lot.code), options.language, head)

    async def compare(self, options: argparse.Namespace) -> str:
        """Compare now. Raises Refused(CONFLICT) for a closed day, and what a provider raises."""
        lot, day = await self._which(options)
        await self._rounds.compare(lot, day)
        return await self.show(options)

    async def explain(self, options: argparse.Namespace) -> str:
        """Give one difference, or all that have none, a reason."""
        lot, day = await self._which(options)
        async with self._store.write() as tx:
            keys = [options.key]
            if options.key == "all":
                keys = [one.key for one in (await days.report(tx.connection, lot.id, day)).unexplained]
            for key in keys:
                await days.explain(tx, lot.id, day, key, options.reason, options.by, self._clock())
        return await self.show(options)

    async def close(self, options: argparse.Namespace) -> str:
        """Compare once more, and close the day for good if nothing is left unexplained."""
        lot, day = await self._which(options)
        await self._rounds.compare(lot, day)
        async with self._store.write() as tx:
            await days.close(tx, lot.id, day, options.by, self._clock())
        return await self.show(options)

    async def _which(self, options: argparse.Namespace) -> tuple[Lot, date]:
        async with self._store.read() as db:
            lot = await lots.by_code(db, options.lot)
        if options.day == "yesterday":
            return lot, day_of(self._clock(), lot.zone, lot.day_starts) - timedelta(days=1)
        try:
            return lot, date.fromisoformat(options.day)
        except ValueError as error:
            raise BadMessage(Code.BAD_MESSAGE, f"{options.day!r} is no day", "write it like 2026-11-24") from error
