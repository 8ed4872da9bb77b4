"""Stays keep their identity over readings and restarts, so that a payment opens for its own car only (P7)."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from bridge.stays import KnownStay, fold, present
from drivers.base import Stay
from parking.money import yen
from parking.stay import NameKind, StayRef

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LATER = T0 + timedelta(hours=1)


def bay(name: str, at: datetime) -> Stay:
    return Stay(StayRef(NameKind.BAY, name, at))


def known(*stays: KnownStay) -> dict[str, KnownStay]:
    return {stay.ref.key: stay for stay in stays}


def after(seen: list[Stay], held: dict[str, KnownStay], first: bool = False) -> dict[str, KnownStay]:
    change = fold(held, seen, LATER, first)
    kept = {key: stay for key, stay in held.items() if stay not in change.closed}
    return kept | known(*change.updated) | known(*change.opened)


def test_a_car_arrives_stays_and_leaves() -> None:
    held = after([bay("7", T0)], {}, first=True)
    assert [stay.ref for stay in held.values()] == [StayRef(NameKind.BAY, "7", T0)]
    assert after([bay("7", T0)], held) == held
    assert after([], held) == {}


def test_another_car_in_the_same_bay_is_another_stay() -> None:
    held = after([bay("7", T0)], {}, first=True)
    change = fold(held, [bay("7", LATER)], LATER, first=False)
    assert [stay.ref.entered_at for stay in change.closed] == [T0]
    assert [stay.ref.entered_at for stay in change.opened] == [LATER]


def test_a_restart_keeps_the_stay_of_a_car_that_is_held() -> None:
    held = after([bay("7", T0)], {}, first=True)
    again = after([bay("7", LATER)], held, first=True)
    assert [stay.ref.entered_at for stay in again.values()] == [T0]
    assert after([bay("7", LATER)], again) == again
    assert present(again, [bay("7", LATER)], StayRef(NameKind.BAY, "7", T0)) == StayRef(NameKind.BAY, "7", T0)


def test_a_restart_starts_a_new_stay_where_the_plate_was_down() -> None:
    held = after([bay("7", T0)], {}, first=True)
    paid = {key: replace(stay, settled=True) for key, stay in held.items()}
    change = fold(paid, [bay("7", LATER)], LATER, first=True)
    assert [stay.ref.entered_at for stay in change.opened] == [LATER]


def test_a_ticket_is_itself_whatever_the_restart() -> None:
    ticket = Stay(StayRef(NameKind.TICKET, "00481273", T0), paid=yen(0))
    held = after([ticket], {}, first=True)
    paid = Stay(ticket.ref, paid=yen(800), paid_by="cash")
    (stay,) = after([paid], held, first=True).values()
    assert (stay.paid, stay.paid_by) == (800, "cash")


def test_who_stands_there() -> None:
    held = after([bay("7", T0)], {}, first=True)
    mine = StayRef(NameKind.BAY, "7", T0)
    assert present(held, [bay("7", T0)], mine) == mine
    assert present(held, [bay("7", LATER)], mine) == StayRef(NameKind.BAY, "7", LATER)
    assert present(held, [bay("8", T0)], mine) is None
