"""Finds broken promises in a run's history. Shares no code with the relay, and knows nothing of how it decides.

It reads what the machines did, where the money went, and what people said; never what the bridge believed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from simulation.history import History, Money, Signed

OBSERVE = 10.0
"""Seconds within which a machine that was told in time may act."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise (P1 … P11, see docs/architecture.md) that did not hold, and where it shows."""

    promise: str
    what: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.promise}: {self.what}"


def check(history: History) -> list[Broken]:
    """All broken promises of a run that has come to its end."""
    return [
        *_acts_once(history),
        *_acts_signed(history),
        *_in_order(history),
        *_money_ends_once(history),
        *_charge_and_release_agree(history),
        *_cash_wins(history),
        *_nothing_back_in_doubt(history),
        *_nothing_forgotten(history),
    ]


def _acts_once(history: History) -> Iterator[Broken]:
    """P2: a device acts at most once for a completion."""
    told = Counter((act.kind, act.number) for act in history.acts if act.by == "relay")
    for (kind, number), times in told.items():
        if times > 1:
            yield Broken("P2", f"completion {number} made a machine {kind} {times} times")


def _acts_signed(history: History) -> Iterator[Broken]:
    """P7: nothing acts that was not signed, nor for another stay, nor after its time."""
    signed = {one.number: one for one in history.signed}
    for act in history.acts:
        if act.by != "relay":
            continue
        paid = signed.get(act.number)
        if paid is None or act.number in history.forged:
            yield Broken("P7", f"a machine acted on number {act.number}, which was never signed")
        elif act.at > paid.valid_until + OBSERVE:
            yield Broken("P7", f"a machine acted on number {act.number} after it had expired")
        elif paid.stay != act.stay:
            yield Broken("P7", f"completion {act.number} of {paid.stay} opened for {act.stay}")


def _in_order(history: History) -> Iterator[Broken]:
    """P10: what came first acts first: no act for a stay after one for a later number."""
    latest: dict[tuple[str, str], int] = {}
    for act in history.acts:
        if act.by != "relay":
            continue
        before = latest.get((act.stay, act.kind), 0)
        if act.number < before:
            yield Broken("P10", f"number {act.number} acted after number {before} of the same stay")
        latest[act.stay, act.kind] = max(before, act.number)


def _money_ends_once(history: History) -> Iterator[Broken]:
    """P1: authorized money ends as exactly one of captured, voided, refunded; or a person has it in hand."""
    for order, moves in _by_order(history).items():
        states = [move.state for move in moves]
        if "authorized" not in states:
            continue
        ended = [state for state in states if state != "authorized"]
        if not ended:
            yield Broken("P1", f"order {order} was authorized and never ended")
        elif ended not in (["captured"], ["voided"], ["captured", "refunded"]):
            yield Broken("P1", f"order {order} went {' → '.join(states)}")


def _charge_and_release_agree(history: History) -> Iterator[Broken]:
    """P1: who is charged was let out, and who was let out on our word is charged, or a person said otherwise."""
    by_order = _by_order(history)
    for paid in history.signed:
        end = by_order[paid.order][-1].state if paid.order in by_order else ""
        ours = any(act.number == paid.number and act.by == "relay" for act in history.acts)
        words = {one.what for one in history.people if one.number == paid.number or _about(one.number, one.stay, paid)}
        if end == "captured" and not ours and not words & {"settled", "opened"}:
            yield Broken("P1", f"order {paid.order} was captured, and nobody let the car of {paid.stay} out")
        if end == "captured" and any((one.what, one.number) == ("gave_back", paid.number) for one in history.people):
            yield Broken("P1", f"order {paid.order} was kept although a person gave it back")
        returned = end in ("voided", "refunded") and paid.order not in history.losses
        if returned and ours and not words & {"not_settled", "gave_back"}:
            yield Broken("P1", f"the car of {paid.stay} left on order {paid.order}, which was {end}; no loss is listed")


def _about(number: int, stay: str, paid: Signed) -> bool:
    """A person who opened spoke of a stay, not of a number."""
    return number == 0 and stay == paid.stay


def _cash_wins(history: History) -> Iterator[Broken]:
    """P6: where cash was taken before our booking, the phone is not charged, unless a person said so."""
    by_order = _by_order(history)
    for paid in history.signed:
        if paid.order not in by_order or by_order[paid.order][-1].state != "captured":
            continue
        cash = [act.at for act in history.acts if act.by == "cash" and act.stay == paid.stay]
        booked = [act.at for act in history.acts if act.by == "relay" and act.number == paid.number]
        words = {one.what for one in history.people if one.number == paid.number or _about(one.number, one.stay, paid)}
        if cash and not (booked and min(booked) < min(cash)) and not words & {"settled", "opened"}:
            yield Broken("P6", f"{paid.stay} was paid in cash and by order {paid.order}")


def _nothing_back_in_doubt(history: History) -> Iterator[Broken]:
    """P5: no money goes back while the lot is in doubt about it."""
    numbers = {one.order: one.number for one in history.signed}
    for move in history.money:
        if move.state not in ("voided", "refunded") or move.order not in numbers:
            continue
        said = [one for one in history.said if one.number == numbers[move.order] and one.at <= move.at]
        if said and said[-1].what == "in_doubt":
            yield Broken("P5", f"order {move.order} was {move.state} while the lot was in doubt")


def _nothing_forgotten(history: History) -> Iterator[Broken]:
    """P3: what was acknowledged as received is in the journal."""
    if history.replaced_at is not None:
        return  # the office PC is gone with its journal; what it had is in doubt at the cloud
    for one in history.said:
        if one.what == "received" and one.number not in history.kept:
            yield Broken("P3", f"completion {one.number} was acknowledged and is not in the journal")


def _by_order(history: History) -> dict[str, list[Money]]:
    found: dict[str, list[Money]] = {}
    for move in history.money:
        found.setdefault(move.order, []).append(move)
    return found
