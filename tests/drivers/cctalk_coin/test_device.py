"""The acceptor as its host sees it: published conversations, the counter, and when it forgets."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import base
from drivers.cctalk_coin.account import Fate, verdict
from drivers.cctalk_coin.account import testimony as said_of
from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.cctalk_coin.coins import mix, mix_text, read_mix
from drivers.cctalk_coin.coinset import coin_id
from drivers.cctalk_coin.device import Acceptor
from drivers.cctalk_coin.events import FORGET, Events
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import COINS
from drivers.cctalk_coin.settings import Settings
from parking.outcome import EvidenceKind, Level
from tests.rigs.cctalk_table import Table

TALK = tomllib.loads((Path(__file__).parents[2] / "vectors" / "cctalk_coin" / "acceptor.toml").read_text())


def outcome_of(account):
    return type(verdict(account))


class TestConversation:
    def test_with_a_published_host_is_the_published_one(self):
        table = Table(values=(20, 50, 100, 200, 0, 0, 0, 0), country="EU")
        for one in TALK["exchange"]:
            assert table.hear(bytes(one["asked"])) == bytes(one["answered"]), one["name"]

    def test_shows_credit_as_published(self):
        events = Events()
        for one in TALK["credit"]:
            events.add(tuple(one["event"]))
            raw = Codec(Check.SUM, None).encode(Frame(1, 0, events.data(), 2))
            assert raw == bytes(one["answered"])

    def test_knows_every_header_that_is_listed(self):
        asks = {
            Header.COIN_ID: b"\1",
            Header.SORTER_PATHS: b"\1",
            Header.SET_SORTER_PATHS: b"\1\3",
            Header.SET_MASTER_INHIBIT: b"\1",
            Header.SET_INHIBITS: b"\0\0",
            Header.LATCH_OUTPUTS: b"\0",
            Header.TEST_OUTPUTS: b"\0",
            Header.TEST_SOLENOIDS: b"\0",
            Header.SET_SORTER_OVERRIDE: b"\0",
            Header.SET_DEFAULT_SORTER_PATH: b"\1",
        }
        table = Table()
        for header in {*COINS.fixed, *COINS.taken, *asks, COINS.poll, *COINS.running}:
            assert table.ask(header, asks.get(header, b"")) is not None, header.name

    def test_unknown_or_senseless_requests_are_refused_or_passed_over(self):
        table, silent = Table(), Table(nak=False)
        for header, data in [(77, b""), (Header.COIN_ID, b"\0"), (Header.COIN_ID, b"\x11"), (Header.CREDIT, b"\1")]:
            raw = table.codec.encode(Frame(2, header, data))
            assert table.hear(raw) == bytes.fromhex("01 00 02 05 f8")
            assert silent.hear(raw) == b""
        assert table.hear(table.codec.encode(Frame(0, 77))) == b""
        assert table.hear(table.codec.encode(Frame(3, Header.SIMPLE_POLL))) == b""

    def test_an_address_poll_is_answered_by_one_byte_after_a_while(self):
        table = Table()
        assert table.hear(bytes.fromhex("00 00 01 fd 02")) == b""
        assert table.acceptor.due(table.now + 0.007) == b""
        assert table.acceptor.due(table.now + 0.009) == b"\x02"
        table.acceptor.written(table.now + 0.009)
        assert table.acceptor.receive(b"\x02", table.now + 0.01) == b""
        assert table.poll() is not None

    def test_is_the_same_under_crc(self):
        table = Table(check=Check.CRC)
        assert table.hear(bytes((2, 0)) + table.codec.encode(Frame(2, Header.SIMPLE_POLL))[2:]) == bytes.fromhex(
            "01 00 30 00 37"
        )
        assert table.ask(Header.MANUFACTURER) == b"DKO"

    def test_a_sorter_path_is_kept_and_told_in_the_event(self):
        table = Table()
        table.ask(Header.SET_SORTER_PATHS, b"\x03\x05")
        assert table.ask(Header.SORTER_PATHS, b"\x03") == b"\x05"
        table.enable()
        table.pay(100)
        assert table.poll()[:3] == bytes((1, 3, 5))

    def test_half_a_request_does_not_hide_the_next_after_a_stillness(self):
        table = Table()
        assert table.hear(bytes.fromhex("02 00 01")) == b""
        assert table.poll(wait=0.06) is not None
        assert table.hear(bytes.fromhex("02 00 01")) == b""
        assert table.hear(bytes.fromhex("e5 18"), wait=0.02) != b""

    def test_a_coin_is_called_by_its_value(self):
        assert [coin_id(value, "JP") for value in (100, 5, 0)] == [b"JP100A", b"JP005A", b"......"]


class TestMix:
    @pytest.mark.parametrize(
        ("amount", "values", "coins"),
        [
            (600, {500, 100, 50}, (500, 100)),
            (1050, {100, 50}, (100,) * 10 + (50,)),
            (60, {50, 20}, (20, 20, 20)),
            (30, {100, 50}, None),
            (70, set(), None),
            (55, {50, 10}, None),
        ],
    )
    def test_is_exact_or_none(self, amount, values, coins):
        assert mix(amount, frozenset(values), amount) == coins

    @given(st.integers(1, 400).map(lambda one: one * 10), st.sets(st.sampled_from([10, 20, 50, 100, 500]), min_size=1))
    def test_sums_up_and_what_is_left_of_it_is_again_its_own_mix(self, amount, values):
        coins = mix(amount, frozenset(values), amount)
        if coins is None:
            assert 10 not in values
            return
        assert sum(coins) == amount
        assert set(coins) <= values
        assert mix(amount - coins[0], frozenset(values), amount) == coins[1:]
        assert sum(value * count for value, count in read_mix(mix_text(coins)).items()) == amount


class TestCounter:
    def test_goes_from_255_to_1_and_is_0_after_power_up_only(self):
        events = Events()
        numbers = [events.add((1, 1)) for _ in range(300)]
        assert numbers == [*range(1, 256), *range(1, 46)]
        assert events.data()[0] == 45

    def test_counts_one_coin_for_each_poll_that_went_before(self):
        table = Table()
        table.enable()
        account = table.pay(300)
        assert [table.poll()[0] for _ in range(5)] == [1, 2, 3, 3, 3]
        assert account.delivered == 300
        assert [one.number for one in account.credits] == [1, 2, 3]

    def test_waits_until_as_many_polls_have_followed_as_the_host_may_lose_replies(self):
        table = Table(confirm=3)
        table.enable()
        account = table.pay(200)
        shown = [(table.poll()[0], account.delivered) for _ in range(8)]
        assert shown == [(1, 0), (1, 0), (1, 0), (2, 100), (2, 100), (2, 100), (2, 200), (2, 200)]

    def test_is_not_believed_to_be_known_when_our_reply_did_not_come_back_on_the_wire(self):
        table = Table()
        table.enable()
        account = table.pay(100)
        for _ in range(5):
            table.poll(echo=False)
        assert (account.delivered, account.open_) == (0, 100)
        table.poll()
        table.poll()
        assert account.delivered == 100

    def test_on_a_line_without_echo_the_next_poll_must_have_had_the_time_to_follow(self):
        table = Table(echo=False)
        table.enable()
        account = table.pay(200)
        assert table.poll()[0] == 1
        assert table.poll(wait=0.01)[0] == 1  # sent before our reply can have been heard
        assert account.delivered == 0
        table.poll(wait=0.1)
        assert account.delivered == 100

    def test_requests_that_come_together_are_answered_once_and_prove_nothing(self):
        table = Table()
        table.enable()
        account = table.pay(200)
        poll = table.codec.encode(Frame(2, Header.CREDIT))
        assert table.poll()[0] == 1
        said = table.hear(poll * 3)
        assert len(table.codec.feed(said)) == 1
        assert account.delivered == 0
        assert table.acceptor.counter == 1
        table.poll()
        assert account.delivered == 100

    def test_of_what_was_long_known_keeps_no_event(self):
        table = Table()
        table.enable()
        table.pay(100)
        assert table.poll()[1:3] == bytes((3, 1))
        seen = [table.poll() for _ in range(FORGET)]
        assert [one[0] for one in seen] == [1] * FORGET
        assert [one[1] for one in seen] == [3] * (FORGET - 1) + [0]


class TestForgets:
    """After each of these the counter is 0, the buffer empty, all coins inhibited; a coin under way stays unknown."""

    def paying(self, **settings):
        table = Table(**settings)
        table.enable()
        account = table.pay(300)
        table.poll()
        assert table.poll()[0] == 2
        assert account.delivered == 100
        return table, account

    def check(self, table, account):
        assert [one.fate for one in account.credits] == [Fate.DELIVERED, Fate.UNKNOWN]
        assert table.acceptor.period is None
        table.enable()
        for _ in range(5):
            assert table.poll() == bytes(11)
        assert outcome_of(account) is base.Uncertain
        assert isinstance(said_of(account), base.CannotTell)

    def test_when_the_host_was_silent_for_longer_than_its_patience(self):
        table, account = self.paying()
        assert table.poll(wait=0.4) == bytes(11)
        self.check(table, account)

    def test_not_when_it_was_silent_for_less(self):
        table, _ = self.paying()
        assert table.poll(wait=0.34)[0] == 3

    def test_when_we_did_not_serve_the_line_and_what_came_meanwhile_is_not_answered(self):
        table, account = self.paying()
        table.now += 0.4
        poll = table.codec.encode(Frame(2, Header.CREDIT))
        assert table.acceptor.receive(poll, table.now) == b""
        self.check(table, account)

    def test_when_the_host_resets_it(self):
        table, account = self.paying()
        assert table.ask(Header.RESET) == b""
        self.check(table, account)

    @pytest.mark.parametrize("header", [Header.CATEGORY, Header.MANUFACTURER, Header.COIN_ID, Header.SIMPLE_POLL])
    def test_when_the_host_identifies_it_anew(self, header):
        """Its RESET may have been lost."""
        table, account = self.paying()
        assert table.ask(header, b"\1" if header is Header.COIN_ID else b"") is not None
        self.check(table, account)

    def test_a_reset_among_requests_that_came_together(self):
        table, account = self.paying()
        reset, poll = (table.codec.encode(Frame(2, header)) for header in (Header.RESET, Header.CREDIT))
        assert table.codec.feed(table.hear(reset + poll))[0].data == bytes(11)
        self.check(table, account)

    def test_when_the_line_breaks(self):
        table, account = self.paying()
        table.acceptor.lost(table.now, certain=False)
        table.acceptor.opened(table.now)
        self.check(table, account)

    def test_when_the_line_is_opened(self):
        table, account = self.paying()
        table.acceptor.opened(table.now)
        self.check(table, account)

    def test_a_coin_that_certainly_did_not_leave_is_not_unknown(self):
        table = Table()
        table.enable()
        account = table.pay(300)
        assert table.acceptor.receive(table.codec.encode(Frame(2, Header.CREDIT)), table.now + 0.2) != b""
        table.acceptor.lost(table.now + 0.2, certain=True)
        assert [one.fate for one in account.credits] == [Fate.KEPT]
        assert outcome_of(account) is base.Refused
        assert isinstance(said_of(account), base.Nobody)

    def test_a_coin_of_which_some_bytes_left_is_unknown(self):
        table = Table()
        table.enable()
        account = table.pay(300)
        assert table.acceptor.receive(table.codec.encode(Frame(2, Header.CREDIT)), table.now + 0.2) != b""
        table.acceptor.lost(table.now + 0.2, certain=False)
        assert outcome_of(account) is base.Uncertain

    def test_not_while_it_has_nothing_to_lose(self):
        table = Table()
        table.enable()
        assert table.ask(Header.CATEGORY) == b"Coin Acceptor"
        assert table.acceptor.period is not None

    @pytest.mark.parametrize("unserved", [False, True])
    def test_not_the_inhibits_after_a_silence_in_which_no_coin_could_be_counted_again(self, unserved):
        """The host cannot see that anything happened, and says them again with the next customer only."""
        table = Table()
        table.enable()
        before = table.acceptor.period
        if unserved:
            table.now += 0.4
        assert table.poll(wait=0.4) == bytes(11)
        assert table.acceptor.period not in (None, before)  # who stands there now, nobody knows
        assert not table.acceptor.restarts
        account = table.pay(100)
        table.poll()
        assert table.poll()[0] == 1
        assert account.delivered == 100

    def test_a_payment_that_had_begun_when_the_silence_came(self):
        table = Table()
        table.enable()
        account = table.pay(300)
        table.poll(wait=0.4)
        assert outcome_of(account) is base.Refused
        for _ in range(5):
            assert table.poll() == bytes(11)

    def test_and_begins_to_credit_only_after_the_host_has_seen_counter_0(self):
        table = Table(confirm=3)
        table.ask(Header.SET_INHIBITS, b"\xff\xff")
        table.pay(100)
        assert [table.poll()[0] for _ in range(5)] == [0, 0, 0, 1, 1]


class TestPayment:
    def test_stops_when_the_station_takes_no_more_and_that_is_its_word(self):
        table = Table()
        table.enable()
        account = table.pay(3000)
        table.poll()
        table.poll()
        table.ask(Header.SET_INHIBITS, b"\0\0")
        assert [table.poll()[0] for _ in range(3)] == [2, 2, 2]
        outcome = verdict(account)
        assert (outcome.credited, outcome.level) == (200, Level.LEGACY_CONFIRMED)
        assert [one.kind for one in outcome.evidence] == [EvidenceKind.COUNTER, EvidenceKind.WITNESS]
        assert "2×100" in outcome.evidence[0].text

    def test_the_master_inhibit_stops_it_as_well(self):
        table = Table()
        table.enable()
        account = table.pay(3000)
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0")
        assert [table.poll()[0] for _ in range(3)] == [1, 1, 1]
        assert verdict(account).credited == 100

    def test_a_station_that_shuts_after_it_was_asked_whether_we_are_there_has_not_said_that_it_has_enough(self):
        """That is how hosts begin anew, and their RESET may have been lost."""
        table = Table(simple_polls=True)
        table.enable()
        account = table.pay(3000)
        table.poll()
        table.poll()
        table.ask(Header.SIMPLE_POLL)
        assert table.acceptor.period is not None
        table.ask(Header.SET_INHIBITS, b"\0\0")
        for _ in range(3):
            table.poll()
        assert (verdict(account).level, verdict(account).credited) == (Level.LINK_ACKED, 200)

    def test_that_is_full_without_a_word_of_the_station_is_known_to_have_arrived_only(self):
        table = Table(grace=1.0)
        table.enable()
        account = table.pay(200)
        for _ in range(4):
            table.poll()
        assert not table.acceptor.finished(account, table.now)
        for _ in range(6):
            table.poll()
        assert table.acceptor.finished(account, table.now)
        assert (verdict(account).level, verdict(account).credited) == (Level.LINK_ACKED, 200)
        assert isinstance(said_of(account), base.Ours)

    def test_uses_no_coin_above_the_step(self):
        table = Table(step=50)
        table.enable()
        account = table.pay(130)
        for _ in range(8):
            table.poll()
        assert [one.value for one in account.credits] == [50, 50, 10, 10, 10]

    def test_goes_on_with_the_coins_that_are_left_and_stops_where_none_make_the_rest(self):
        table = Table()
        table.enable()
        account = table.pay(200)
        table.poll()
        table.ask(Header.SET_INHIBITS, b"\x02\0")
        for _ in range(3):
            table.poll()
        assert [one.value for one in account.credits] == [100, 50, 50]
        short = Table()
        short.enable()
        account = short.pay(250)
        short.poll()
        short.ask(Header.SET_INHIBITS, b"\x04\0")
        for _ in range(3):
            short.poll()
        assert account.delivered == 100
        assert "cannot be made" in account.stopped

    def test_shows_no_coin_after_its_time_and_may_be_withdrawn(self):
        table = Table()
        table.enable()
        account = table.pay(300, until=table.now + 0.3)
        assert [table.poll()[0] for _ in range(4)] == [1, 1, 1, 1]
        assert (account.stopped, account.delivered) == ("the time was over", 100)
        other = Table()
        other.enable()
        account = other.pay(300)
        other.acceptor.withdraw(account)
        assert [other.poll()[0] for _ in range(4)] == [0, 0, 0, 0]
        assert outcome_of(account) is base.Refused

    def test_a_short_inhibit_may_be_a_pause(self):
        table = Table(pause=1.0)
        table.enable()
        account = table.pay(200)
        table.poll()
        table.ask(Header.SET_MASTER_INHIBIT, b"\0")
        assert table.poll()[0] == 1
        period = table.acceptor.period
        table.ask(Header.SET_MASTER_INHIBIT, b"\1")
        assert table.poll()[0] == 2
        assert table.acceptor.period is period
        assert not account.stopped

    def test_in_a_station_that_is_always_open_each_payment_has_its_own_stay(self):
        table = Table(always_open=True, grace=0.0)
        table.enable()
        first = table.acceptor.period
        table.pay(100)
        for _ in range(4):
            table.poll()
        assert table.acceptor.period is not first

    def test_the_letter_is_what_goes_out(self):
        table = Table()
        table.enable()
        letter = table.acceptor.letter(250)
        table.pay(250)
        said = b"".join(table.hear(table.codec.encode(Frame(2, Header.CREDIT))) for _ in range(3))
        assert said == letter
        assert table.acceptor.letter(0) is None


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(0, 1)), max_size=20), st.sampled_from(Check))
def test_hostile_bytes_never_raise(pieces, check):
    acceptor = Acceptor(Settings(check=check))
    now = 1.0
    acceptor.opened(now)
    for data, pause in pieces:
        now += pause
        if acceptor.receive(data, now) + acceptor.due(now):
            acceptor.written(now)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=4)), max_size=40))
def test_no_request_upsets_it(asks):
    table = Table()
    for header, data in asks:
        table.ask(header, data, wait=0.06)
