"""`python -m cloud bridge`: who waits for approval, who serves which lot, and what was decided about them."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from cloud import approval, listing
from cloud.orders import Orders
from cloud.store import Store
from parking.errors import BadMessage, Code

COMMANDS: Final = {
    "list": "List bridges: who waits, who serves which lot, when each was last heard.",
    "acts": "List what was decided about bridges, by whom and when.",
    "approve": "Let a waiting bridge serve its lots; whoever served them before is refused from then on.",
    "reject": "Turn down a bridge that waits.",
    "revoke": "Refuse a bridge from now on, for example a stolen PC.",
}
_COLUMNS: Final = {
    "list": ("id", "name", "lots", "fingerprint", "state", "software", "asked_at", "heard_at"),
    "acts": ("at", "verb", "bridge_id", "actor", "detail"),
}
_ASK: Final = "拠点の画面の指紋 / fingerprint on the screen in the lot: "


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The arguments of `bridge NAME`."""
    if name in _COLUMNS:
        parser.add_argument("--json", action="store_true", help="as JSON")
        return
    parser.add_argument("bridge", help="its id, see `bridge list`")
    parser.add_argument("--by", required=True, help="who decides; kept for good")
    if name == "approve":
        parser.add_argument(
            "--fingerprint",
            help="as the person in the lot reads it from the bridge's screen, never copied from `bridge list`; "
            "asked for at the terminal if it is not given",
        )
    else:
        parser.add_argument("--reason", default="", help="why; kept with it")


class BridgeCommands:
    """The commands on an open store; each returns what to print."""

    def __init__(self, store: Store, orders: Orders, clock: Callable[[], datetime]) -> None:
        self._store, self._orders, self._clock = store, orders, clock

    async def run(self, name: str, options: argparse.Namespace) -> str:
        """Run one command. Raises what `cloud.approval` raises, BadMessage if there is no fingerprint to compare."""
        if name in _COLUMNS:
            rows = await self._rows(name)
            if options.json:
                return json.dumps(rows, ensure_ascii=False, indent=1)
            return listing.table(rows, _COLUMNS[name])
        bridge, by = options.bridge.strip(), options.by
        shown = _fingerprint(options.fingerprint) if name == "approve" else ""
        async with self._store.write() as tx:
            match name:
                case "approve":
                    generation = await approval.approve(tx, self._orders, bridge, shown, by, self._clock())
                    return f"bridge {bridge} is approved, generation {generation}"
                case "reject":
                    await approval.reject(tx, bridge, by, options.reason, self._clock())
                    return f"bridge {bridge} is turned down"
                case _:
                    await approval.revoke(tx, bridge, by, options.reason, self._clock())
                    return f"bridge {bridge} is revoked"

    async def _rows(self, name: str) -> list[dict[str, Any]]:
        async with self._store.read() as db:
            return await (approval.listed(db, self._clock()) if name == "list" else approval.acts(db))


def _fingerprint(given: str | None) -> str:
    """What the lot shows. Raises BadMessage(FINGERPRINT) without a terminal to ask at."""
    if given is not None:
        return given
    if not sys.stdin.isatty():
        detail = "the fingerprint that the lot shows is needed"
        raise BadMessage(Code.FINGERPRINT, detail, "give --fingerprint, as read from the bridge's screen")
    return input(_ASK)
