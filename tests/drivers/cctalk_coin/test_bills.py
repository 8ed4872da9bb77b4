"""The bill validator as its host sees it: published answers, its bills' names, the escrow, and what may be credited."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import base
from drivers.cctalk_coin.account import Fate, verdict
from drivers.cctalk_coin.account import testimony as said_of
from drivers.cctalk_coin.billtable import BillTable, bill_id
from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.cctalk_coin.escrow import BACK, DONE, FAILED, IS_EMPTY, MORE_TIME, STACK, Escrow, State
from drivers.cctalk_coin.events import Events
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import BILLS, Accepts
from parking.outcome import Level
from tests.rigs.cctalk_table import Table

RECORDED = tomllib.loads((Path(__file__).parents[2] / "vectors" / "cctalk_coin" / "bills.toml").read_text())["answer"]
HELD, STACKED, RETURNED = bytes((1, 1)), bytes((1, 0)), bytes((0, 1))


def validator(**settings):
    """A validator that takes 1000 yen (type 1) and 2000 yen (type 2)."""
    usual = {"accepts": Accepts.BILLS, "values": (1000, 2000), "address": 40, "check": Check.CRC, "step": 1000}
    return Table(**usual | settings)


def paying(amount=3000, **settings):
    """A host has let money in, and a payment has begun."""
    table = validator(**settings)
    table.enable()
    return table, table.pay(amount)


class TestRecordedAnswers:
    @pytest.mark.parametrize("one", RECORDED, ids=lambda one: one["name"])
    def test_are_understood_and_written_the_same(self, one):
        raw = bytes(one["raw"])
        (frame,) = Codec(Check.CRC, None).feed(raw)
        events = Events()
        events.counter = one["counter"] - len(one["events"])
        for event in one["events"]:
            events.add(tuple(event))
        assert frame.data == events.data()
        assert Codec(Check.CRC, None).encode(Frame(1, 0, events.data(), 0)) == raw

    def test_our_own_bill_that_goes_back_and_forth_is_told_in_the_same_way(self):
        table, _ = paying(values=(0, 0, 1000))
        assert table.poll() == bytes((1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0))
        table.ask(Header.ROUTE_BILL, b"\0")
        assert table.poll() == bytes((2, 0, 1, 3, 1, 0, 0, 0, 0, 0, 0))


class TestIdentity:
    def test_is_that_of_a_bill_validator(self):
        table = validator()
        assert table.ask(Header.CATEGORY) == b"Bill Validator"
        assert table.ask(Header.OPTION_FLAGS) == b"\x03"
        assert table.ask(Header.FIRMWARE_UPGRADE) == b"\0"
        assert table.ask(Header.CURRENCY_REVISION) == table.ask(Header.CURRENCY_REVISION, b"JP") == b"JPY00001"
        assert table.ask(Header.CURRENCY_REVISION, b"GB") is None

    def test_knows_every_header_that_is_listed_and_none_that_are_for_coins(self):
        asks = {
            Header.BILL_ID: b"\1",
            Header.SCALING: b"JP",
            Header.BILL_POSITION: b"JP",
            Header.SET_BILL_MODE: b"\3",
            Header.ROUTE_BILL: b"\0",
            Header.SET_MASTER_INHIBIT: b"\1",
            Header.SET_INHIBITS: b"\0\0",
            Header.LATCH_OUTPUTS: b"\0",
            Header.TEST_OUTPUTS: b"\0",
        }
        table = validator()
        for header in {*BILLS.fixed, *BILLS.taken, *BILLS.running, *BillTable.questions, *BillTable.orders}:
            assert table.ask(header, asks.get(header, b"")) is not None, header
        for header in (Header.CREDIT, Header.COIN_ID, Header.SORTER_PATHS):
            assert table.ask(header, b"\1" if header != Header.CREDIT else b"") is None
        coins = Table()
        for header in (Header.BILL_EVENTS, Header.ROUTE_BILL, Header.BILL_ID, Header.BILL_MODE):
            assert coins.ask(header, asks.get(header, b"")) is None

    @pytest.mark.parametrize(
        ("value", "scaling", "name"),
        [(1000, 1000, b"JP0001A"), (10_000, 1000, b"JP0010A"), (1000, 1, b"JP1000A"), (0, 1, b".......")],
    )
    def test_of_a_bill_has_seven_characters(self, value, scaling, name):
        assert bill_id(value, "JP", scaling) == name

    def test_of_a_type_is_told_with_its_scaling_and_place(self):
        table = validator(values=(1000, 0, 5000), scaling=10)
        assert [table.ask(Header.BILL_ID, bytes((at,))) for at in (1, 2, 3, 16)] == [
            b"JP0100A",
            b".......",
            b"JP0500A",
            b".......",
        ]
        assert table.ask(Header.BILL_ID, b"\0") is None
        assert table.ask(Header.BILL_ID, b"\x11") is None
        assert table.ask(Header.SCALING, b"JP") == b"\x0a\0\0"
        assert table.ask(Header.BILL_POSITION, b"JP") == b"\5\0"
        assert (table.ask(Header.SCALING, b"GB"), table.ask(Header.BILL_POSITION, b"GB")) == (bytes(3), bytes(2))

    @pytest.mark.parametrize("mask", [b"\xff", b"\xff\xff", b"\xff" * 3, b"\xff" * 8])
    def test_inhibits_may_be_of_more_types_than_ours(self, mask):
        table = validator()
        assert table.ask(Header.SET_INHIBITS, mask) == b""
        assert table.acceptor._inhibits.enabled() == {1: 1000, 2: 2000}
        assert table.ask(Header.INHIBITS) == mask[:2].ljust(2, b"\0")

    def test_is_the_same_under_the_sum(self):
        table = validator(check=Check.SUM)
        assert table.hear(bytes((40, 0, 1, 254, 217))) == bytes((1, 0, 40, 0, 215))

    def test_an_address_poll_is_answered_after_the_time_of_forty_addresses(self):
        table = validator(check=Check.SUM)
        assert table.hear(bytes.fromhex("00 00 01 fd 02")) == b""
        assert table.acceptor.due(table.now + 0.15) == b""
        assert table.acceptor.due(table.now + 0.17) == b"\x28"


class TestEscrow:
    def full(self):
        escrow = Escrow(30.0)
        escrow.take(3, 0.0)
        return escrow

    def test_that_is_empty_says_so(self):
        escrow = Escrow(30.0)
        assert [escrow.route(code, 0.0) for code in (BACK, STACK, MORE_TIME)] == [IS_EMPTY] * 3
        assert escrow.moved() is None

    @pytest.mark.parametrize(("code", "other", "event"), [(STACK, BACK, (3, 0)), (BACK, STACK, (0, 1))])
    def test_does_as_it_is_told_once_and_acknowledges_the_same_order_again(self, code, other, event):
        escrow = self.full()
        assert escrow.moved() is None
        assert escrow.route(code, 1.0) == DONE
        assert escrow.route(code, 1.1) == DONE
        assert escrow.route(other, 1.2) == FAILED
        assert escrow.route(MORE_TIME, 1.2) == FAILED
        assert escrow.moved() == event
        assert escrow.moved() is None
        assert escrow.route(code, 2.0) == IS_EMPTY

    def test_gives_more_time_when_asked(self):
        escrow = self.full()
        assert not escrow.overdue(29.9)
        assert escrow.route(MORE_TIME, 29.9) == DONE
        assert not escrow.overdue(59.8)
        assert escrow.overdue(60.0)

    def test_does_not_know_other_routes(self):
        escrow = self.full()
        assert escrow.route(7, 1.0) == FAILED
        assert escrow.state is State.HOLDS


class TestWithEscrow:
    def test_a_bill_is_credited_by_the_event_after_the_hosts_order_and_by_no_other(self):
        table, account = paying(1000)
        assert table.poll()[:3] == b"\1" + HELD
        assert [table.poll()[:3] for _ in range(4)] == [b"\1" + HELD] * 4
        assert (account.delivered, account.open_, account.credits[0].fate) == (0, 0, Fate.HELD)
        assert isinstance(said_of(account), base.CannotTell)
        assert table.ask(Header.ROUTE_BILL, b"\1") == b""
        assert (account.delivered, account.open_) == (0, 1000)
        assert table.poll()[:5] == b"\2" + STACKED + HELD
        assert account.delivered == 0
        table.poll()
        assert account.delivered == 1000
        assert account.credits[0].number == 2

    def test_bills_follow_one_after_the_other(self):
        table, account = paying(2000)
        said = []
        for _ in range(2):
            said.append(table.poll()[:3])
            table.ask(Header.ROUTE_BILL, b"\1")
            said.append(table.poll()[:3])
        assert said == [b"\1" + HELD, b"\2" + STACKED, b"\3" + HELD, b"\4" + STACKED]
        table.poll()
        assert account.delivered == 2000

    def test_is_believed_only_after_as_many_polls_as_the_host_may_lose_replies(self):
        table, account = paying(1000, confirm=3)
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\1")
        assert [(table.poll()[0], account.delivered) for _ in range(4)] == [(2, 0), (2, 0), (2, 0), (2, 1000)]

    def test_a_bill_that_is_given_back_ends_the_payment_and_is_not_credited(self):
        table, account = paying()
        table.poll()
        assert table.ask(Header.ROUTE_BILL, b"\0") == b""
        assert [table.poll()[:3] for _ in range(3)] == [b"\2" + RETURNED] * 3
        assert table.acceptor.finished(account, table.now)
        outcome = verdict(account)
        assert isinstance(outcome, base.Refused)
        assert "gave a bill back" in outcome.detail
        assert isinstance(said_of(account), base.Nobody)

    def test_the_second_one_given_back_leaves_the_first_credited(self):
        table, account = paying()
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\1")
        table.poll()
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\0")
        table.poll()
        assert table.acceptor.finished(account, table.now)
        outcome = verdict(account)
        assert (outcome.credited, outcome.level) == (1000, Level.LINK_ACKED)
        assert outcome.evidence[0].text == "event counter 0 → 2: 1×1000"

    def test_an_order_said_again_because_its_answer_was_lost_moves_one_bill(self):
        table, account = paying(1000)
        table.poll()
        assert [table.ask(Header.ROUTE_BILL, b"\1") for _ in range(3)] == [b""] * 3
        assert table.poll()[:3] == b"\2" + STACKED
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xfe"
        table.poll()
        assert (account.delivered, table.acceptor.counter) == (1000, 2)

    def test_an_order_without_a_bill_credits_nothing(self):
        table = validator()
        table.enable()
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xfe"
        assert table.ask(Header.ROUTE_BILL, b"") is None
        assert table.poll() == bytes(11)

    def test_a_bill_of_which_the_host_says_nothing_goes_back_in_the_end(self):
        table, account = paying(escrow_seconds=5.0)
        table.poll()
        said = [table.poll()[:3] for _ in range(30)]
        assert said[0] == b"\1" + HELD
        assert said[-1] == b"\2" + RETURNED
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xfe"
        assert table.poll()[:3] == b"\2" + RETURNED
        assert isinstance(verdict(account), base.Refused)

    def test_a_bill_goes_back_when_the_time_is_over_and_can_no_longer_be_stacked(self):
        table, account = paying()
        table.poll()
        table.acceptor.withdraw(account)
        assert isinstance(verdict(account), base.Refused)
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xff"
        assert table.poll()[:3] == b"\2" + RETURNED

    def test_a_bill_that_was_ordered_into_the_stacker_does_not_go_back(self):
        table, account = paying()
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\1")
        table.acceptor.withdraw(account)
        assert verdict(account) == base.Uncertain(account.words, credited=1000)
        assert table.poll()[:3] == b"\2" + STACKED
        table.poll()
        assert verdict(account).credited == 1000

    def test_a_host_that_shuts_while_it_decides_may_still_take_the_bill_and_has_not_said_that_it_has_enough(self):
        table, account = paying()
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0")
        assert not table.acceptor.finished(account, table.now)
        table.ask(Header.ROUTE_BILL, b"\1")
        assert table.poll()[:3] == b"\2" + STACKED
        table.poll()
        assert table.acceptor.finished(account, table.now)
        outcome = verdict(account)
        assert (outcome.credited, outcome.level) == (1000, Level.LINK_ACKED)

    def test_a_bill_does_not_stay_for_the_next_customer(self):
        table, account = paying()
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0")
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\1")
        assert isinstance(verdict(account), base.Refused)
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xff"
        assert table.poll()[:3] == b"\2" + RETURNED

    def test_the_station_that_shuts_right_after_it_read_the_credit_has_enough(self):
        table, account = paying()
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\1")
        table.poll()
        table.ask(Header.SET_INHIBITS, b"\0\0")
        table.poll()
        outcome = verdict(account)
        assert (outcome.credited, outcome.level) == (1000, Level.LEGACY_CONFIRMED)

    def test_the_letter_is_what_goes_out(self):
        table = validator()
        table.enable()
        letter = table.acceptor.letter(2000)
        table.pay(2000)
        said = b""
        for _ in range(2):
            said += table.hear(table.asks(Header.BILL_EVENTS))
            table.ask(Header.ROUTE_BILL, b"\1")
            said += table.hear(table.asks(Header.BILL_EVENTS))
        assert said == letter


class TestWithoutEscrow:
    def test_the_host_turns_it_off_and_bills_are_credited_at_once(self):
        table = validator()
        assert table.ask(Header.BILL_MODE) == b"\3"
        assert table.ask(Header.SET_BILL_MODE, b"\1") == b""
        assert table.ask(Header.BILL_MODE) == b"\1"
        table.enable()
        account = table.pay(2000)
        assert [table.poll()[:3] for _ in range(2)] == [b"\1" + STACKED, b"\2" + STACKED]
        table.poll()
        assert account.delivered == 2000
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xfe"

    def test_the_mode_is_forgotten_with_the_power(self):
        table = validator(escrow=False)
        assert table.ask(Header.BILL_MODE) == b"\1"
        table.ask(Header.SET_BILL_MODE, b"\3")
        table.ask(Header.RESET)
        assert table.ask(Header.BILL_MODE) == b"\1"
        assert table.ask(Header.SET_BILL_MODE, b"") is None

    def test_uses_no_bill_above_the_step(self):
        table, account = paying(2000, escrow=False, step=1000)
        for _ in range(4):
            table.poll()
        assert [one.value for one in account.credits] == [1000, 1000]
        larger, account = paying(3000, escrow=False, step=2000)
        for _ in range(4):
            larger.poll()
        assert [one.value for one in account.credits] == [2000, 1000]

    def test_an_amount_that_bills_do_not_make_has_no_letter(self):
        table = validator()
        table.enable()
        assert table.acceptor.letter(1500) is None


ORDERED, WAITS = True, False


class TestForgets:
    """A bill in escrow credits nothing when the power goes; one that was ordered into the stacker may have."""

    def at(self, ordered):
        table, account = paying()
        table.poll()
        if ordered:
            table.ask(Header.ROUTE_BILL, b"\1")
        return table, account

    def check(self, table, account, ordered):
        assert [one.fate for one in account.credits] == [Fate.UNKNOWN if ordered else Fate.KEPT]
        table.enable()
        assert table.poll() == bytes(11)
        assert table.ask(Header.ROUTE_BILL, b"\1") == b"\xfe"
        assert table.poll() == bytes(11)
        assert isinstance(verdict(account), base.Uncertain if ordered else base.Refused)

    @pytest.mark.parametrize("ordered", [ORDERED, WAITS])
    def test_in_a_silence(self, ordered):
        table, account = self.at(ordered)
        table.poll(wait=0.4)
        self.check(table, account, ordered)

    @pytest.mark.parametrize("ordered", [ORDERED, WAITS])
    def test_when_we_did_not_serve_the_line_even_if_an_order_waits_for_us(self, ordered):
        table, account = self.at(ordered)
        table.now += 0.4
        assert table.acceptor.receive(table.asks(Header.ROUTE_BILL, b"\1"), table.now) == b""
        self.check(table, account, ordered)

    @pytest.mark.parametrize("ordered", [ORDERED, WAITS])
    @pytest.mark.parametrize(
        ("header", "data"),
        [
            (Header.RESET, b""),
            (Header.CATEGORY, b""),
            (Header.BILL_ID, b"\2"),
            (Header.SCALING, b"EU"),
            (Header.SET_BILL_MODE, b"\3"),
        ],
    )
    def test_when_the_host_begins_anew(self, header, data, ordered):
        table, account = self.at(ordered)
        assert table.ask(header, data) is not None
        self.check(table, account, ordered)

    def test_not_when_the_host_changes_the_mode(self):
        table, account = self.at(ORDERED)
        assert table.ask(Header.SET_BILL_MODE, b"\0") == b""
        assert table.poll()[:3] == b"\2" + STACKED
        table.poll()
        assert account.delivered == 1000

    @pytest.mark.parametrize("ordered", [ORDERED, WAITS])
    def test_when_the_line_breaks(self, ordered):
        table, account = self.at(ordered)
        table.acceptor.lost(table.now, certain=False)
        table.acceptor.opened(table.now)
        self.check(table, account, ordered)

    def test_when_the_event_that_says_that_it_is_held_had_half_left(self):
        table, account = paying()
        assert table.acceptor.receive(table.asks(Header.BILL_EVENTS), table.now + 0.2) != b""
        table.acceptor.lost(table.now + 0.2, certain=False)
        table.acceptor.opened(table.now + 0.2)
        self.check(table, account, WAITS)


@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 5, 255, None]), st.booleans()), max_size=30))
def test_whatever_the_host_orders_nothing_is_delivered_that_it_did_not_order_and_read(orders):
    table, account = paying()
    table.poll()
    stacked = 0
    for code, known in orders:
        held = account.credits[-1].fate is Fate.HELD
        if code is None:
            table.poll(echo=known)
        elif table.ask(Header.ROUTE_BILL, bytes((code,)), echo=known) == b"" and held and code == STACK:
            stacked += 1
        assert account.delivered <= 1000 * stacked
        assert account.delivered + account.open_ <= 3000
    assert sum(one.fate in (Fate.SHOWN, Fate.DELIVERED) for one in account.credits) == stacked
