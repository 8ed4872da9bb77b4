"""What holds for every way to reach a host: one booking per reference, ever, and what is claimed is true.

The databases are real servers, started here: implementations that we did not write. What a host makes of its tables and
files is ours (drivers/host_link/simtables.py, simfolder.py).
"""

import dataclasses
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drivers import base
from parking.errors import Code, Environment, NotSent
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef
from tests.drivers.host_link.mishaps import WAYS, away, back, killed_after_writing, quiet, said, settled, soon, until
from tests.rigs.databases import PASSWORD


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=WAYS)
def lane(request: pytest.FixtureRequest, lane_of: Any) -> Any:
    return lane_of(request.param)


class TestReading:
    def test_lists_the_open_stays(self, lane: Any) -> None:
        second = lane.world.arrive().name
        lane.world.pay_cash(second)
        lane.shown()
        found = {stay.ref.name: stay for stay in lane.driver.stays(soon())}
        assert set(found) == {lane.ticket, second}
        there = lane.world.host_stays()[0]
        assert (found[lane.ticket].ref.entered_at, found[lane.ticket].plate) == (there.entered_at, there.plate)
        assert (found[lane.ticket].paid, found[lane.ticket].paid_by) == (0, "")
        assert until(lambda: [one for one in lane.driver.stays(soon()) if (one.paid, one.paid_by) == (200, "cash")])

    def test_a_quote_is_the_hosts_fee_and_holds_for_as_long_as_it_says(self, lane: Any) -> None:
        at = now() - timedelta(hours=3)  # our clock may be another than the host's
        quote = lane.driver.quote(lane.stay(), at, soon())
        assert (quote.stay.name, quote.amount) == (lane.ticket, 600)
        assert quote.stay.entered_at == lane.world.host_stays()[0].entered_at
        assert timedelta(0) < quote.valid_until - at <= timedelta(seconds=180)

    def test_a_paid_an_unknown_and_a_changed_stay_have_no_fee(self, lane: Any) -> None:
        yesterday = StayRef(NameKind.TICKET, lane.ticket, lane.world.host_stays()[0].entered_at - timedelta(days=1))
        assert lane.driver.quote(yesterday, now(), soon()).code is Code.STAY_CHANGED
        assert lane.driver.quote(lane.stay("00000001"), now(), soon()).code is Code.STAY_UNKNOWN
        lane.world.pay_cash(lane.ticket)
        assert until(lambda: isinstance(lane.driver.quote(lane.stay(), now(), soon()), base.Refused))
        assert lane.driver.quote(lane.stay(), now(), soon()).code is Code.ALREADY_PAID

    def test_the_books_show_what_came_under_a_reference_and_no_cash(self, lane: Any) -> None:
        lane.settle()
        lane.world.pay_cash(lane.world.arrive().name)
        lane.shown()
        (paid,) = lane.world.host_bookings(lane.ticket)
        hour = timedelta(hours=1)
        since = paid.at - hour if lane.way != "folder" else paid.at  # the folder's books begin with the simulator
        (booking,) = until(lambda: lane.driver.bookings(since, paid.at + timedelta(microseconds=1), soon()))
        assert (booking.reference, booking.amount, booking.receipt) == ("DK-1002-1", 600, paid.receipt)
        assert abs(booking.booked_at - paid.at) < timedelta(seconds=1)
        assert not [one for one in lane.driver.bookings(paid.at, paid.at, soon()) if one.booked_at != paid.at]

    def test_a_booking_that_was_struck_is_not_in_the_books_any_more(self, lane: Any) -> None:
        lane.settle()
        (paid,) = lane.world.host_bookings(lane.ticket)
        lane.world.strike_booking("DK-1002-1")
        assert until(lambda: lane.driver.bookings(paid.at, paid.at + timedelta(microseconds=1), soon()) == [])


class TestBooking:
    def test_is_confirmed_with_the_hosts_receipt(self, lane: Any) -> None:
        outcome = lane.settle()
        assert isinstance(outcome, base.Applied), outcome
        assert outcome.level is Level.LEGACY_CONFIRMED
        (booked,) = lane.world.host_bookings(lane.ticket)
        assert (booked.reference, booked.amount) == ("DK-1002-1", 600)
        assert outcome.evidence[0].kind is EvidenceKind.RECEIPT
        assert booked.receipt in outcome.evidence[0].text

    def test_is_journaled_before_and_holds_what_is_written(self, lane: Any) -> None:
        lane.settle()
        (raw,) = lane.journal.intents
        assert lane.journal.booked_before == [0]
        for word in (b"DK-1002-1", lane.ticket.encode(), b"600"):
            assert word in raw
        assert PASSWORD.encode() not in raw

    def test_does_not_happen_if_the_intent_cannot_be_committed(self, lane: Any) -> None:
        lane.journal.refuse = NotSent(Code.JOURNAL, "disk full")
        with pytest.raises(NotSent):
            lane.settle()
        time.sleep(0.1)
        assert lane.references() == []
        lane.journal.refuse = None
        assert isinstance(lane.settle(), base.Applied)

    def test_again_under_the_same_reference_writes_nothing(self, lane: Any) -> None:
        first, again = lane.settle(), lane.settle()
        assert isinstance(first, base.Applied)
        assert isinstance(again, base.Applied)
        assert again.level is Level.LEGACY_CONFIRMED
        assert len(lane.journal.intents) == 1
        assert lane.references() == ["DK-1002-1"]

    def test_of_another_stay_under_a_used_reference_does_not_happen(self, lane: Any) -> None:
        lane.settle()
        lane.ticket = lane.world.arrive(minutes_ago=65).name
        lane.shown()
        outcome = lane.settle()
        wanted = (base.Uncertain, Code.CONTRADICTION) if lane.way == "folder" else (base.Refused, Code.CONFLICT)
        assert (type(outcome), outcome.code) == wanted  # of a folder only the host's answer is left
        assert lane.references() == []

    def test_gives_way_to_cash(self, lane: Any) -> None:
        lane.world.pay_cash(lane.ticket)
        assert until(lambda: isinstance(lane.driver.quote(lane.stay(), now(), soon()), base.Refused))
        assert lane.settle().code is Code.ALREADY_PAID
        assert lane.journal.intents == []
        assert lane.references() == [""]

    def test_gives_way_to_cash_also_between_the_look_and_the_writing(self, lane: Any) -> None:
        lane.journal.meanwhile = lambda: lane.world.pay_cash(lane.ticket)
        outcome = lane.settle()
        assert isinstance(outcome, base.Refused), outcome
        assert outcome.code is Code.ALREADY_PAID
        assert lane.references() == [""]
        assert isinstance(until(lambda: said(lane, base.Cash)), base.Cash)

    @pytest.mark.parametrize("amount", [400, 800])
    def test_of_an_amount_that_is_not_due_does_not_happen(self, lane: Any, amount: int) -> None:
        outcome = lane.settle(amount)
        assert (outcome.code, lane.journal.intents, lane.references()) == (Code.WRONG_AMOUNT, [], [])

    def test_for_another_stay_under_the_same_ticket_does_not_happen(self, lane: Any) -> None:
        yesterday = StayRef(NameKind.TICKET, lane.ticket, lane.world.host_stays()[0].entered_at - timedelta(days=1))
        assert lane.driver.settle(dataclasses.replace(lane.order(), stay=yesterday)).code is Code.STAY_CHANGED
        assert lane.journal.intents == []

    def test_of_a_stay_that_the_host_does_not_know_does_not_happen(self, lane: Any) -> None:
        lane.ticket = "00000001"
        assert lane.settle().code is Code.STAY_UNKNOWN
        assert lane.journal.intents == []

    def test_where_the_host_is_away_is_certainly_not_sent_and_works_again(self, lane: Any) -> None:
        away(lane)
        for deed in (lane.settle, lambda: lane.driver.stays(soon())):
            with pytest.raises((NotSent, Environment)) as error:
                deed()
            assert error.value.remedy
        assert isinstance(lane.who(), base.CannotTell)
        assert lane.journal.intents == []
        back(lane)
        assert isinstance(until(lambda: settled(lane)), base.Applied)
        assert lane.references() == ["DK-1002-1"]

    def test_is_ours_to_a_bridge_that_was_killed_right_after_writing(self, lane: Any) -> None:
        """A process of its own is killed as soon as its writing shows; a new driver asks who paid."""
        quiet(lane, True)
        killed_after_writing(lane)
        if lane.way != "http":
            assert isinstance(lane.who(), base.CannotTell)
        quiet(lane, False)
        assert isinstance(until(lambda: said(lane, base.Ours)), base.Ours)
        assert isinstance(lane.settle(), base.Applied)
        assert lane.journal.intents == []
        assert lane.references() == ["DK-1002-1"]
