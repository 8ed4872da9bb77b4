"""`python -m bridge cash`: what must be in the box of a station that counts our payments as its coins or bills."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

import msgspec

from bridge.case import Case
from bridge.config import BridgeConfig
from bridge.journal_file import read_only
from drivers.cctalk_coin.audit import Doubt, audit, coins_of, lines
from parking.desk import CasePhase
from parking.errors import Code, Environment
from parking.stay import LotId

FAMILY = "cctalk_coin"


def cash_audit(
    config: BridgeConfig, lot: LotId | None, desk: str | None, since: datetime | None, counted: Mapping[int, int]
) -> tuple[list[str], list[str]]:
    """The audit in Japanese and in English. `counted`: the station's own numbers of coins by value, since `since`.

    Raises Environment: CONFIG if the lot has no such station, or several; JOURNAL.
    """
    lot, desk = _station(config, lot, desk)
    ours: Counter[int] = Counter()
    doubts = []
    with closing(read_only(config.data / "journal.db")) as journal:
        for (body,) in journal.execute("select body from cases where lot = ? order by number", (lot,)):
            case = msgspec.json.decode(body, type=Case)
            before = since is not None and (case.tried_since or case.since) < since
            if case.stay.name != desk or case.phase is CasePhase.REFUSED or before:
                continue
            coins = coins_of(proof.text for proof in case.evidence)
            ours += coins
            known = sum(value * count for value, count in coins.items())
            if case.credited is not None and case.credited > known:
                doubts.append(Doubt(case.reference, case.credited - known))
    rows = audit(counted, ours)
    return lines(rows, doubts, "ja"), lines(rows, doubts, "en")


def _station(config: BridgeConfig, lot: LotId | None, desk: str | None) -> tuple[LotId, str]:
    """Which station is meant; the only one needs not be named."""
    stations = [
        (number, str(device.options.get("desk", "1")))
        for number, profile in config.lots.items()
        for device in profile.device
        if device.family == FAMILY
    ]
    meant = [one for one in stations if lot in (None, one[0]) and desk in (None, one[1])]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"--lot {number} --desk {name}" for number, name in stations) or "this bridge has none"
    raise Environment(Code.CONFIG, f"{'several' if meant else 'no'} such stations with coins or bills of ours", there)
