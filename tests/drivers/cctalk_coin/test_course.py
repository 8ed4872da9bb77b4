"""How hosts differ in what they ask between their polls: what that proves, and which option it calls for."""

import pytest

from drivers import base
from drivers.cctalk_coin.account import Fate, verdict
from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import Accepts
from drivers.cctalk_coin.options import options_of
from drivers.profile import DeviceTable
from parking.outcome import Level
from tests.rigs.cctalk_table import Table

UNKNOWN = 176
HARMLESS = {
    Header.STATUS: b"",
    Header.SELF_CHECK: b"",
    Header.OPTO_STATES: b"",
    Header.INPUT_LINES: b"",
    Header.ACCEPT_COUNTER: b"",
    Header.INSERT_COUNTER: b"",
    Header.SORTER_OVERRIDE: b"",
    Header.SORTER_PATHS: b"\1",
    Header.SET_SORTER_PATHS: b"\1\1",
    UNKNOWN: b"",
}
"""What says nothing of a host that begins anew."""


def bills(**settings):
    """A validator that takes 1000 yen (type 1) and 2000 yen (type 2), with a payment of 3000 yen."""
    table = Table(accepts=Accepts.BILLS, values=(1000, 2000), address=40, check=Check.CRC, **{"step": 1000} | settings)
    table.enable()
    return table, table.pay(3000)


def rounds(table, times, *between, wait=0.1):
    """So many polls, each followed by these requests; the counter that each poll read."""
    read = []
    for _ in range(times):
        read.append(table.poll(wait=wait)[0])
        for header in between:
            table.ask(header, HARMLESS.get(header, b""), wait=wait)
    return read


class TestBetweenPolls:
    @pytest.mark.parametrize("header", HARMLESS)
    def test_what_says_nothing_changes_nothing(self, header):
        table = Table(confirm=3)
        table.ask(Header.SET_INHIBITS, b"\xff\xff")
        account = table.pay(200)
        assert rounds(table, 10, header) == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
        assert account.delivered == 200

    def test_bills_neither(self):
        table, account = bills()
        assert rounds(table, 1, Header.STATUS) == [1]
        table.ask(Header.ROUTE_BILL, b"\1")
        assert rounds(table, 2, Header.STATUS) == [2, 3]
        assert account.delivered == 1000

    def test_a_simple_poll_changes_nothing_where_the_option_says_so(self):
        table = Table(simple_polls=True)
        table.enable()
        account = table.pay(200)
        assert rounds(table, 4, Header.SIMPLE_POLL) == [1, 2, 2, 2]
        assert account.delivered == 200

    @pytest.mark.parametrize("header", [Header.SIMPLE_POLL, Header.CATEGORY, Header.ADDRESS_POLL])
    def test_what_a_host_asks_that_begins_anew_lets_no_coin_be_shown(self, header):
        """After it we would forget every coin as soon as it was shown: nobody would know what was credited."""
        table = Table()
        table.ask(Header.SET_INHIBITS, b"\xff\xff")
        account = table.pay(200)
        assert rounds(table, 10, header) == [0] * 10
        table.acceptor.withdraw(account)
        assert isinstance(verdict(account), base.Refused)
        named = "simple_polls" if header == Header.SIMPLE_POLL else f"header {int(header)}"
        assert named in verdict(account).detail
        assert named in table.acceptor.advice
        rounds(table, 2)
        assert table.acceptor.advice == ""

    def test_a_harmless_request_is_no_poll(self):
        """The replies to three tries may all have been lost; what the host asks then proves nothing."""
        table = Table(confirm=3)
        table.enable()
        account = table.pay(100)
        rounds(table, 3, Header.STATUS, Header.STATUS, Header.STATUS)
        assert (account.delivered, account.open_) == (0, 100)
        table.poll()
        assert account.delivered == 100

    def test_the_echo_of_another_reply_does_not_prove_that_the_counter_was_on_the_line(self):
        table = Table()
        table.enable()
        account = table.pay(100)
        table.poll(echo=False)
        table.ask(Header.STATUS)
        table.poll(echo=False)
        assert (account.delivered, account.open_) == (0, 100)

    def test_one_that_came_before_our_reply_was_over_takes_its_proof_away(self):
        table = Table(echo=False)
        table.enable()
        account = table.pay(100)
        table.poll()
        table.ask(Header.STATUS, wait=0.01)
        table.poll()
        assert (account.delivered, account.open_) == (0, 100)

    def test_a_simple_poll_forgets_a_coin_where_no_option_says_otherwise_and_names_it(self):
        table = Table()
        table.enable()
        account = table.pay(200)
        table.poll()
        table.ask(Header.SIMPLE_POLL)
        assert [one.fate for one in account.credits] == [Fate.UNKNOWN]
        assert "set simple_polls to true" in verdict(account).detail
        assert table.poll() == bytes(11)


class TestSatisfied:
    """A station that shuts where it always goes on has enough; one that asked something else first may begin anew."""

    def shuts(self, *between, before=(), **settings):
        table = Table(**settings)
        table.enable()
        account = table.pay(3000)
        rounds(table, 3, *before)
        rounds(table, 1, *between)
        table.ask(Header.SET_INHIBITS, b"\0\0")
        rounds(table, 2)
        assert verdict(account).credited == account.delivered > 0
        return verdict(account).level

    @pytest.mark.parametrize("header", [Header.STATUS, Header.INHIBITS, UNKNOWN])
    def test_after_what_it_always_asks(self, header):
        assert self.shuts(header, before=(header,)) is Level.LEGACY_CONFIRMED
        assert self.shuts(before=(header,)) is Level.LEGACY_CONFIRMED
        assert self.shuts(header, before=(header, Header.OPTO_STATES)) is Level.LEGACY_CONFIRMED

    @pytest.mark.parametrize("header", [Header.STATUS, Header.INHIBITS, UNKNOWN])
    def test_not_after_what_it_never_asked_before(self, header):
        assert self.shuts(header) is Level.LINK_ACKED
        assert self.shuts(header, header, before=(header,)) is Level.LINK_ACKED

    def test_after_a_simple_poll_only_if_it_stood_there_the_last_time(self):
        often = (Header.SIMPLE_POLL,)
        assert self.shuts(*often, before=often, simple_polls=True) is Level.LEGACY_CONFIRMED
        table = Table(simple_polls=True)
        table.enable()
        account = table.pay(3000)
        rounds(table, 3, *often)
        rounds(table, 2)  # two tries: it may have given up, and its RESET may have been lost
        table.ask(Header.SIMPLE_POLL)
        table.ask(Header.SET_INHIBITS, b"\0\0")
        rounds(table, 2)
        assert verdict(account).level is Level.LINK_ACKED


class TestBlinking:
    def test_a_station_that_lets_money_in_again_at_once_had_not_enough_and_the_option_is_named(self):
        table = Table(confirm=2)
        table.enable()
        account = table.pay(300)
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0", wait=0.1)
        table.ask(Header.SET_MASTER_INHIBIT, b"\1", wait=0.1)
        rounds(table, 4)
        outcome = verdict(account)
        assert (outcome.credited, outcome.level, len(outcome.evidence)) == (100, Level.LINK_ACKED, 1)
        assert "set pause_seconds to 0.4" in outcome.evidence[0].text
        assert "pause_seconds" in account.words

    def test_also_where_all_coins_had_been_taken_by_then(self):
        table = Table()
        table.enable()
        account = table.pay(300)
        table.poll()
        table.ask(Header.SET_INHIBITS, b"\x08\0", wait=0.1)
        rounds(table, 2)
        assert account.delivered == 100
        table.ask(Header.SET_MASTER_INHIBIT, b"\0", wait=0.1)
        assert not table.acceptor.finished(account, table.now)
        table.ask(Header.SET_MASTER_INHIBIT, b"\1", wait=0.1)
        assert table.acceptor.finished(account, table.now)
        assert verdict(account).level is Level.LINK_ACKED

    @pytest.mark.parametrize("polls", [0, 1])
    def test_a_station_that_polls_on_while_it_is_shut_or_stays_silent_has_enough(self, polls):
        table = Table(grace=0.5, patience=3.0)
        table.enable()
        account = table.pay(300)
        table.poll()
        table.poll()
        table.ask(Header.SET_INHIBITS, b"\0\0", wait=0.1)
        rounds(table, polls)
        table.acceptor.due(table.now + 0.6)
        assert table.acceptor.finished(account, table.now + 0.6)
        assert verdict(account).level is Level.LEGACY_CONFIRMED

    def test_with_the_option_it_is_one_payment_and_its_end_is_the_stations_word(self):
        table = Table(pause=0.5)
        table.enable()
        account = table.pay(3000)
        for _ in range(3):
            table.poll()
            table.ask(Header.SET_MASTER_INHIBIT, b"\0", wait=0.1)
            table.ask(Header.SET_MASTER_INHIBIT, b"\1", wait=0.1)
        table.ask(Header.SET_INHIBITS, b"\0\0", wait=0.1)
        rounds(table, 8)
        assert (verdict(account).credited, verdict(account).level) == (300, Level.LEGACY_CONFIRMED)

    def test_the_next_customer_comes_later(self):
        table = Table(confirm=2, patience=3.0)
        table.enable()
        account = table.pay(300)
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0")
        table.ask(Header.SET_MASTER_INHIBIT, b"\1", wait=2.1)
        rounds(table, 2)
        assert verdict(account).level is Level.LEGACY_CONFIRMED


class TestSlowHosts:
    @pytest.mark.parametrize(("interval", "enough"), [(0.5, 0.7), (1.0, 1.2)])
    def test_are_refused_with_what_was_measured_and_the_option_that_helps(self, interval, enough):
        table = Table()
        table.ask(Header.SET_INHIBITS, b"\xff\xff")
        rounds(table, 4, wait=interval)
        account = table.pay(100)
        rounds(table, 1, wait=interval)
        words = f"this host polls every {interval:.1f} s, and patience is 0.35 s: set patience to {enough:g}"
        assert isinstance(verdict(account), base.Refused)
        assert words in verdict(account).detail
        assert table.acceptor.advice == words
        helped = Table(patience=enough)
        helped.ask(Header.SET_INHIBITS, b"\xff\xff")
        rounds(helped, 4, wait=interval)
        account = helped.pay(100)
        rounds(helped, 3, wait=interval)
        assert account.delivered == 100
        assert helped.acceptor.advice == ""

    def test_that_were_silent_once_are_not_called_slow(self):
        table = Table()
        table.enable()
        rounds(table, 2, wait=3.0)
        rounds(table, 3)
        assert table.acceptor.advice == ""


class TestMasterInhibitOnly:
    def test_lets_money_in_where_the_option_says_so(self):
        table = Table(master_only=True)
        rounds(table, 2)
        assert table.acceptor.period is None
        table.ask(Header.SET_MASTER_INHIBIT, b"\1")
        rounds(table, 2)
        account = table.pay(200)
        rounds(table, 3)
        assert account.delivered == 200
        table.ask(Header.RESET)
        assert table.acceptor.period is None

    def test_else_shows_nothing_and_names_the_option_until_the_host_says_231(self):
        table = Table()
        table.ask(Header.SET_MASTER_INHIBIT, b"\1")
        assert table.acceptor.period is None
        assert "master_only" in table.acceptor.advice
        table.ask(Header.SET_INHIBITS, b"\0\0")
        assert table.acceptor.advice == ""

    def test_is_the_same_with_bills(self):
        table = Table(accepts=Accepts.BILLS, values=(1000,), address=40, check=Check.CRC, master_only=True)
        assert table.acceptor.period is None
        table.ask(Header.SET_MASTER_INHIBIT, b"\1")
        assert table.acceptor.period is not None


class TestNameOfTheBillInEscrow:
    ASKS = ((Header.SCALING, b"JP"), (Header.BILL_ID, b"\1"))

    def held(self, **settings):
        table, account = bills(**settings)
        assert table.poll()[:3] == bytes((1, 1, 1))
        return table, account

    @pytest.mark.parametrize("harmless", [False, True])
    def test_may_be_asked_before_the_host_says_that_it_wants_it(self, harmless):
        table, account = self.held()
        for header, data in self.ASKS:
            assert table.ask(header, data)
            if harmless:
                table.ask(Header.STATUS)
        table.ask(Header.ROUTE_BILL, b"\xff")
        table.ask(*self.ASKS[1])
        assert table.ask(Header.ROUTE_BILL, b"\1") == b""
        rounds(table, 2)
        assert account.delivered == 1000

    @pytest.mark.parametrize(
        ("header", "data"),
        [
            (Header.BILL_EVENTS, b""),
            (Header.ROUTE_BILL, b"\0"),
            (Header.SET_INHIBITS, b"\0\0"),
            (Header.BILL_ID, b"\2"),
            (Header.CATEGORY, b""),
        ],
    )
    def test_and_anything_else_after_that_is_a_beginning(self, header, data):
        """A host that begins anew asks for names as well, and then counts from 0 what it has counted before."""
        table, account = self.held()
        table.ask(Header.ROUTE_BILL, b"\1")
        rounds(table, 2)
        assert (account.delivered, table.acceptor.counter) == (1000, 3)
        table.ask(*self.ASKS[1])
        table.ask(header, data)
        assert table.poll() == bytes(11)
        assert [one.fate for one in account.credits] == [Fate.DELIVERED, Fate.KEPT]

    @pytest.mark.parametrize(("header", "data"), [(Header.BILL_ID, b"\2"), (Header.SCALING, b"EU")])
    def test_that_of_another_is_a_beginning_at_once(self, header, data):
        table, account = self.held()
        table.ask(header, data)
        assert [one.fate for one in account.credits] == [Fate.KEPT]

    def test_and_any_when_no_bill_waits(self):
        table, account = self.held()
        table.ask(Header.ROUTE_BILL, b"\1")
        table.ask(*self.ASKS[1])
        assert [one.fate for one in account.credits] == [Fate.UNKNOWN]


class TestTally:
    def read(self, table):
        return [
            int.from_bytes(table.ask(header), "little") for header in (Header.INSERT_COUNTER, Header.ACCEPT_COUNTER)
        ]

    def test_counts_coins_over_what_looks_like_a_loss_of_power(self):
        table = Table()
        table.enable()
        table.pay(300)
        rounds(table, 4)
        assert self.read(table) == [3, 3]
        table.ask(Header.RESET)
        assert self.read(table) == [3, 3]
        assert table.ask(Header.ACCEPT_COUNTER, b"\1") is None

    def test_counts_a_bill_as_taken_once_it_is_in_the_stacker(self):
        table, _ = bills()
        table.poll()
        assert self.read(table) == [1, 0]
        table.ask(Header.ROUTE_BILL, b"\1")
        table.poll()
        assert self.read(table) == [1, 1]
        table.poll()
        table.ask(Header.ROUTE_BILL, b"\0")
        table.poll()
        assert self.read(table) == [2, 1]

    def test_the_serial_number_is_that_of_the_option_or_one_that_stays(self):
        def serial(**options):
            return options_of(DeviceTable(id="a", family="cctalk_coin", url="nowhere", options=options)).settings.serial

        assert serial(serial=0x030201) == 0x030201
        assert serial() == serial() != 0
        assert len({serial(), serial(desk="2"), serial(accepts="bills")}) == 3
        assert Table(serial=0x030201).ask(Header.SERIAL) == b"\1\2\3"
