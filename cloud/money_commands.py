"""`python -m cloud` overrides, claims, losses, alarms, anchors, resolve, refund: what people did and decide."""

import argparse
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec

from cloud import alarms, anchors, claims, decisions, listing, lots, overrides
from cloud.decisions import Decision
from cloud.orders import Orders
from cloud.store import Store
from parking.wire import encode

COMMANDS: Final = {
    "overrides": "List what was opened by hand at a lot, for whom, and what became of the payment.",
    "claims": "List a lot's claims: cars let out, to be paid later.",
    "losses": "List a lot's losses: cars let out whose money is not there.",
    "alarms": "List a lot's alarms.",
    "anchors": "List the heads of the audit chain that a lot's bridges have reported.",
    "resolve": "Decide a payment that a replaced bridge left in doubt.",
    "refund": "Give a captured payment back.",
}
_COLUMNS: Final = {
    "overrides": ("at", "exit", "verb", "actor", "reason", "whose", "stay_key", "outcome", "payment", "command_id"),
    "claims": ("claim_id", "made_at", "stay_key", "amount", "state", "until", "actor", "order_id"),
    "losses": ("at", "amount", "order_id", "claim_id", "detail"),
    "alarms": ("at", "code", "order_id", "detail"),
    "anchors": ("generation", "entry", "head", "at", "seen_at"),
}


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The arguments of one command."""
    if name in _COLUMNS:
        parser.add_argument("lot", help="lot code")
        help_ = "for `python -m bridge audit verify --anchors FILE`" if name == "anchors" else "as JSON"
        parser.add_argument("--json", action="store_true", help=help_)
        if name == "overrides":
            parser.add_argument("--unmatched", action="store_true", help="only those of which nobody has said for whom")
        return
    parser.add_argument("order", help="order id, see `payments`")
    if name == "resolve":
        parser.add_argument("verdict", choices=("settled", "not-settled"), help="did the lot let the car out?")
    parser.add_argument("--reason", required=True, help="how that is known, or why")
    parser.add_argument("--by", required=True, help="who decides")
    parser.add_argument("--second", default="", help="who agrees, above the lot's limit for one person")


class MoneyCommands:
    """The commands on an open store; each returns what to print."""

    def __init__(self, store: Store, orders: Orders, clock: Callable[[], datetime]) -> None:
        self._store, self._orders, self._clock = store, orders, clock

    async def run(self, name: str, options: argparse.Namespace) -> str:
        """Run one command. Raises what `cloud.decisions` raises, and Refused(LOT_UNKNOWN)."""
        if name in _COLUMNS:
            return await self._list(name, options)
        decision, now = Decision(options.by, options.reason, options.second), self._clock()
        async with self._store.write() as tx:
            if name == "refund":
                await decisions.refund(tx, self._orders, options.order, decision, now)
            else:
                settled = options.verdict == "settled"
                await decisions.resolve(tx, self._orders, options.order, decision, settled=settled, now=now)
            standing = await self._orders.standing(tx, options.order)
        return f"order {options.order} is {standing.value} now"

    async def _list(self, name: str, options: argparse.Namespace) -> str:
        async with self._store.read() as db:
            lot = (await lots.by_code(db, options.lot)).id
            match name:
                case "anchors":
                    found = await anchors.of_lot(db, lot)
                    if options.json:
                        return encode(found).decode()
                    rows: list[dict[str, Any]] = [msgspec.structs.asdict(one) for one in found.anchors]
                case "overrides":
                    rows = await overrides.listed(db, lot, unmatched=options.unmatched)
                case "claims":
                    rows = await claims.listed(db, lot)
                case "losses":
                    rows = await alarms.losses_of(db, lot)
                case _:
                    rows = await alarms.alarms_of(db, lot)
        if options.json:
            return json.dumps(rows, ensure_ascii=False, indent=1)
        return listing.table(rows, _COLUMNS[name])
