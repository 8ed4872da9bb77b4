"""The driver of the first management server, over real HTTP against our simulator: one booking per reference, ever."""

import dataclasses
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from drivers import base
from drivers.host_link import codec
from drivers.host_link.driver import HostLink, create, probe
from drivers.profile import LotProfile
from drivers.recorder import Recorder
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain
from parking.money import Yen
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR_AGO, IN_AN_HOUR = NOW - timedelta(hours=1), NOW + timedelta(hours=1)


def soon(seconds: float = 2.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def silent_port() -> Iterator[Callable[[bytes], str]]:
    """Makes servers which take a request and answer with the given bytes, then hang up."""
    listeners: list[socket.socket] = []

    def make(reply: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# --- reading ----------------------------------------------------------------------------------------------------------


def test_it_lists_the_open_stays(lane: Any) -> None:
    second = lane.world.arrive().name
    lane.world.pay_cash(second)
    found = {stay.ref.name: stay for stay in lane.driver.stays(soon())}
    assert set(found) == {lane.ticket, second}
    assert found[lane.ticket].ref.entered_at == lane.world.host_stays()[0].entered_at
    assert found[lane.ticket].plate == lane.world.host_stays()[0].plate
    assert (found[second].paid, found[second].paid_by) == (200, "cash")


def test_a_quote_is_the_hosts_fee_with_its_working(lane: Any) -> None:
    (rate, _), *_ = lane.world.host_books()
    at = rate.at - timedelta(hours=3)  # the host's clock is three hours fast
    quote = lane.driver.quote(lane.stay(), at, soon())
    assert isinstance(quote, base.Quote)
    assert (quote.stay.name, quote.stay.entered_at, quote.amount) == (lane.ticket, rate.entered_at, 600)
    assert sum(line.amount for line in quote.lines) == 600
    assert set(quote.lines[0].text) == {"ja", "en"}
    assert timedelta(0) < quote.valid_until - at <= timedelta(seconds=180)


def test_a_quote_for_a_paid_or_unknown_stay_is_refused(lane: Any) -> None:
    lane.world.pay_cash(lane.ticket)
    paid = lane.driver.quote(lane.stay(), lane.order().paid_at, soon())
    unknown = lane.driver.quote(lane.stay("00000001"), lane.order().paid_at, soon())
    assert (paid.code, unknown.code) == (Code.ALREADY_PAID, Code.STAY_UNKNOWN)


def test_another_stay_under_the_same_ticket_is_refused(lane: Any) -> None:
    entered = lane.world.host_stays()[0].entered_at - timedelta(days=1)
    yesterday = StayRef(NameKind.TICKET, lane.ticket, entered)
    quote = lane.driver.quote(yesterday, lane.order().paid_at, soon())
    assert quote.code is Code.STAY_CHANGED
    outcome = lane.driver.settle(dataclasses.replace(lane.order(), stay=yesterday))
    assert outcome.code is Code.STAY_CHANGED
    assert lane.references() == []


def test_its_books_show_what_was_booked_for_others_and_no_cash(lane: Any) -> None:
    lane.settle(600, "DK-1002-1")
    lane.world.pay_cash(lane.world.arrive().name)
    (booking,) = lane.driver.bookings(HOUR_AGO, IN_AN_HOUR, soon())
    (paid,) = lane.world.host_bookings(lane.ticket)
    assert (booking.reference, booking.amount, booking.booked_at) == ("DK-1002-1", 600, paid.at)
    assert booking.receipt == paid.receipt


def test_a_span_of_the_books_holds_its_beginning_and_not_its_end(lane: Any) -> None:
    lane.settle(600, "DK-1002-1")
    at = lane.world.host_bookings(lane.ticket)[0].at
    assert len(lane.driver.bookings(at, IN_AN_HOUR, soon())) == 1
    assert lane.driver.bookings(HOUR_AGO, at, soon()) == []


def test_a_booking_that_was_struck_is_not_in_the_books_any_more(lane: Any) -> None:
    lane.settle(600, "DK-1002-1")
    lane.world.strike_booking("DK-1002-1")
    assert lane.driver.bookings(HOUR_AGO, IN_AN_HOUR, soon()) == []


def test_books_that_cannot_be_read_are_not_empty_books(lane: Any, driver_at: Callable[[str], HostLink]) -> None:
    lane.served.faults.unplugged = True
    with pytest.raises(NotSent):
        lane.driver.bookings(HOUR_AGO, IN_AN_HOUR, soon())
    lane.served.faults.unplugged = False
    lane.served.faults.silent = True
    with pytest.raises(Uncertain):
        lane.driver.bookings(HOUR_AGO, IN_AN_HOUR, soon(0.4))


# --- booking ----------------------------------------------------------------------------------------------------------


def test_a_booking_is_confirmed_with_the_hosts_receipt(lane: Any) -> None:
    outcome = lane.settle()
    assert isinstance(outcome, base.Applied)
    assert outcome.level is Level.LEGACY_CONFIRMED
    (receipt,) = lane.world.host_bookings(lane.ticket)
    assert outcome.evidence[0].kind is EvidenceKind.RECEIPT
    assert receipt.receipt in outcome.evidence[0].text
    assert (receipt.reference, receipt.amount) == ("DK-1002-1", 600)


def test_the_intent_is_committed_before_the_booking_and_holds_its_exact_bytes(lane: Any) -> None:
    lane.settle()
    (raw,) = lane.journal.intents
    assert lane.journal.booked_before == [0]
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/apply-payment HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert codec.decode(body, codec.PaymentRequest).authorisation_code == "DK-1002-1"
    assert b"simulated-host-key" not in raw


def test_nothing_is_written_if_the_intent_cannot_be_committed(lane: Any) -> None:
    lane.journal.refuse = NotSent(Code.JOURNAL, "disk full")
    with pytest.raises(NotSent):
        lane.settle()
    assert lane.references() == []


def test_the_same_order_again_finds_its_booking_and_writes_nothing(lane: Any) -> None:
    lane.settle()
    again = lane.settle()
    assert isinstance(again, base.Applied)
    assert {proof.kind for proof in again.evidence} == {EvidenceKind.RECEIPT, EvidenceKind.WITNESS}
    assert len(lane.journal.intents) == 1
    assert lane.references() == ["DK-1002-1"]


def test_cash_wins_the_race(lane: Any) -> None:
    lane.world.pay_cash(lane.ticket)
    outcome = lane.settle()
    assert (outcome.code, lane.journal.intents) == (Code.ALREADY_PAID, [])
    assert lane.references() == [""]


def test_cash_wins_also_between_the_look_and_the_booking(lane: Any) -> None:
    commit = lane.journal.intend

    def and_meanwhile(raw: bytes, counter: int | None) -> None:
        commit(raw, counter)
        lane.world.pay_cash(lane.ticket)

    lane.journal.intend = and_meanwhile
    outcome = lane.settle()
    assert isinstance(outcome, base.Refused)
    assert outcome.code is Code.ALREADY_PAID
    assert lane.references() == [""]


def test_a_booking_of_ours_that_arrives_between_two_looks_is_ours(lane: Any) -> None:
    """An earlier request was on its way for long: what is due now is nothing, because we paid it."""
    look = lane.world.host_rate

    def and_meanwhile(ticket: str) -> Any:
        rate = look(ticket)
        lane.world.host_rate = look
        lane.world.host_pay(ticket, Yen(600), "DK-1002-1")
        return rate

    def late(ticket: str) -> Any:
        lane.world.host_bookings = ask
        found = ask(ticket)
        lane.world.host_pay(ticket, Yen(600), "DK-1002-1")
        return found

    ask = lane.world.host_bookings
    lane.world.host_rate, lane.world.host_bookings = and_meanwhile, late
    assert isinstance(lane.settle(), base.Applied)
    assert lane.references() == ["DK-1002-1"]


@pytest.mark.parametrize("amount", [400, 800])
def test_an_amount_that_is_not_due_is_not_booked(lane: Any, amount: int) -> None:
    outcome = lane.settle(amount)
    assert (outcome.code, lane.journal.intents, lane.references()) == (Code.WRONG_AMOUNT, [], [])


def test_a_ticket_that_the_host_does_not_know_is_refused(lane: Any) -> None:
    lane.ticket = "00000001"
    assert lane.settle().code is Code.STAY_UNKNOWN


def test_a_surplus_after_the_grace_is_booked_under_its_own_reference(lane: Any) -> None:
    early = lane.world.arrive(minutes_ago=10).name
    lane.world.host_pay(early, Yen(200), "DK-1002-7")
    lane.ticket = early
    assert lane.settle(0, "DK-1002-8").code is Code.ALREADY_PAID
    assert isinstance(lane.driver.who_settled(lane.stay(), "DK-1002-7", soon()), base.Ours)
    assert isinstance(lane.driver.who_settled(lane.stay(), "DK-1002-8", soon()), base.Cash)


# --- faults: a booking happens at most once, and what is claimed is true ----------------------------------------------


def test_unplugged_is_certainly_not_sent_and_works_again_when_plugged_in(lane: Any) -> None:
    url = lane.served.url
    lane.served.faults.unplugged = True
    for deed in (lane.settle, lambda: lane.driver.stays(soon())):
        with pytest.raises(NotSent) as error:
            deed()
        assert error.value.code is Code.LINK_DOWN
        assert error.value.remedy
    assert lane.journal.intents == []
    lane.served.faults.unplugged = False
    assert lane.served.url == url
    assert isinstance(lane.settle(), base.Applied)
    assert lane.references() == ["DK-1002-1"]


def test_unplugged_between_the_look_and_the_booking_is_not_sent_either(lane: Any) -> None:
    commit = lane.journal.intend

    def and_meanwhile(raw: bytes, counter: int | None) -> None:
        commit(raw, counter)
        lane.served.faults.unplugged = True

    lane.journal.intend = and_meanwhile
    with pytest.raises(NotSent):
        lane.settle()
    assert len(lane.journal.intents) == 1
    assert lane.references() == []


def test_a_lost_reply_is_settled_by_asking_who_paid(lane: Any) -> None:
    lane.served.faults.drop_reply_once = True
    outcome = lane.settle()
    assert isinstance(outcome, base.Applied)
    assert {proof.kind for proof in outcome.evidence} == {EvidenceKind.RECEIPT, EvidenceKind.WITNESS}
    assert lane.references() == ["DK-1002-1"]


def test_a_lost_request_stays_uncertain_and_is_not_sent_again(lane: Any) -> None:
    lane.served.faults.drop_request_once = True
    outcome = lane.settle()
    assert isinstance(outcome, base.Uncertain)
    assert lane.references() == []
    assert len(lane.journal.intents) == 1


@pytest.mark.parametrize(
    ("fault", "kind"), [("error_500_once", base.Uncertain), ("error_500_booked_once", base.Applied)]
)
def test_a_server_error_tells_nothing_the_books_do(lane: Any, fault: str, kind: type) -> None:
    setattr(lane.served.faults, fault, True)
    assert isinstance(lane.settle(), kind)
    assert lane.references() == (["DK-1002-1"] if kind is base.Applied else [])


def test_a_slow_reply_to_the_booking_is_settled_by_asking_who_paid(lane: Any) -> None:
    commit = lane.journal.intend

    def and_meanwhile(raw: bytes, counter: int | None) -> None:
        commit(raw, counter)
        lane.served.faults.delay_ms = 500
        threading.Timer(0.4, lambda: setattr(lane.served.faults, "delay_ms", 0)).start()

    lane.journal.intend = and_meanwhile
    began = time.monotonic()
    outcome = lane.settle(seconds=3.0)
    assert isinstance(outcome, base.Applied | base.Uncertain)
    assert lane.references() == ["DK-1002-1"]
    assert time.monotonic() - began < 3.1
    lane.served.faults.delay_ms = 0
    assert isinstance(lane.settle(seconds=3.0), base.Applied)
    assert lane.references() == ["DK-1002-1"]


def test_silence_ends_at_the_deadline(lane: Any) -> None:
    lane.served.faults.silent = True
    for deed, wanted in (
        (lambda: lane.driver.stays(soon(0.2)), Uncertain),
        (lambda: lane.settle(seconds=0.2), NotSent),
    ):
        began = time.monotonic()
        with pytest.raises(wanted):
            deed()
        assert time.monotonic() - began < 0.4
    assert isinstance(lane.driver.who_settled(lane.stay(), "DK-1002-1", soon(0.2)), base.CannotTell)
    lane.served.faults.silent = False
    assert lane.references() == []


def test_silence_after_the_booking_request_is_uncertain(lane: Any) -> None:
    commit = lane.journal.intend

    def and_meanwhile(raw: bytes, counter: int | None) -> None:
        commit(raw, counter)
        lane.served.faults.silent = True

    lane.journal.intend = and_meanwhile
    outcome = lane.settle(seconds=0.8)
    assert isinstance(outcome, base.Uncertain)
    assert "asked who paid" in outcome.detail


def test_whatever_goes_wrong_one_reference_is_booked_once(lane: Any) -> None:
    faults = ("drop_reply_once", "error_500_booked_once", "drop_request_once", "error_500_once")
    for number in range(12):
        lane.ticket = lane.world.arrive(minutes_ago=65).name
        setattr(lane.served.faults, faults[number % 4], True)
        outcomes = [lane.settle(reference=f"DK-1002-{number}") for _ in range(3)]
        assert lane.references() == [f"DK-1002-{number}"]
        assert isinstance(outcomes[-1], base.Applied)


def test_the_host_itself_books_a_reference_once(lane: Any) -> None:
    def post(amount: int, reference: str) -> requests.Response:
        body = {"Facility": "F-12", "TicketNo": lane.ticket, "Amount": amount, "AuthorisationCode": reference}
        body["PaymentTime"] = "2026-11-23T10:00:00+09:00"
        headers = {"X-Api-Key": "simulated-host-key"}
        return requests.post(lane.served.url + "/api/apply-payment", json=body, headers=headers, timeout=2)

    low = post(100, "DK-1002-1")
    assert (low.status_code, low.json()["Code"]) == (422, "amount-too-low")
    first, again = post(600, "DK-1002-1"), post(600, "DK-1002-1")
    assert (first.status_code, first.json()) == (200, again.json())
    reused, late = post(800, "DK-1002-1"), post(600, "DK-1002-2")
    assert (reused.status_code, reused.json()["Code"]) == (409, "code-reused")
    assert (late.status_code, late.json()["Code"]) == (409, "already-paid")
    assert lane.references() == ["DK-1002-1"]


# --- who paid ---------------------------------------------------------------------------------------------------------


def test_the_witness_names_who_paid(lane: Any) -> None:
    def who(reference: str = "DK-1002-1") -> base.Testimony:
        return lane.driver.who_settled(lane.stay(), reference, soon())

    assert isinstance(who(), base.Nobody)
    lane.settle()
    assert isinstance(who(), base.Ours)
    assert isinstance(who("DK-1002-2"), base.Cash)
    lane.ticket = "00000001"
    assert isinstance(who(), base.CannotTell)


# --- a host that is none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00\xff\xfe garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
)
def test_foreign_replies_raise_nothing_but_our_own_errors(
    reply: bytes, silent_port: Callable[[bytes], str], driver_at: Callable[[str], HostLink], lane: Any
) -> None:
    lane.driver = driver_at(silent_port(reply))
    with pytest.raises(DaikoError):
        lane.driver.stays(soon(0.5))
    assert isinstance(lane.driver.who_settled(lane.stay(), "DK-1002-1", soon(0.5)), base.CannotTell)
    with pytest.raises(NotSent):
        lane.settle(seconds=0.5)
    assert lane.journal.intents == []


def test_an_endless_reply_is_cut_off(silent_port: Callable[[bytes], str], driver_at: Callable[[str], HostLink]) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + b" " * 3_000_000
    with pytest.raises(Uncertain, match="more than 1000000 bytes"):
        driver_at(silent_port(endless)).stays(soon(5))


@contextmanager
def dripping() -> Iterator[str]:
    """A server which sends its body one byte at a time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    for _ in range(100):
                        connection.sendall(b" ")
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_a_dripping_reply_cannot_outlast_the_deadline(driver_at: Callable[[str], HostLink]) -> None:
    with dripping() as url:
        began = time.monotonic()
        with pytest.raises(Uncertain):
            driver_at(url).stays(soon(0.4))
        assert time.monotonic() - began < 1.0


def test_a_wrong_key_is_a_matter_of_configuration(lane: Any, lot: LotProfile) -> None:
    for change in ({"api_key": "wrong"}, {"facility": "F-99"}):
        options = lot.device[0].options | change
        device = msgspec.structs.replace(lot.device[0], url=lane.served.url, options=options)
        lane.driver = create(device, (), lambda: lane.order().paid_at)
        for deed in (lambda: lane.driver.stays(soon()), lane.settle):
            with pytest.raises(Environment) as error:
                deed()
            assert error.value.code is Code.UNAUTHORIZED
            assert "[device.options]" in error.value.remedy
        lane.driver.close()
    assert lane.journal.intents == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"url": "socket://127.0.0.1:7101"}, "socket://127.0.0.1:7101"),
        ({"url": "http://host:99999"}, "http://host:99999"),
        ({"url": "http://user:secret@host:1"}, "http://user"),
        ({"options": {"facility": "F-12"}}, "api_key"),
        ({"options": {"facility": 12, "api_key": "k"}}, "$.facility"),
        ({"options": {"facility": "F", "api_key": "k\r\nX-Evil: 1"}}, "$.api_key"),
        ({"options": {"facility": "F", "api_key": "k", "colour": "red"}}, "colour"),
    ],
)
def test_a_mistake_in_the_device_names_its_place(lot: LotProfile, change: dict[str, object], place: str) -> None:
    device = msgspec.structs.replace(lot.device[0], **change)
    with pytest.raises(Environment) as mistake:
        create(device, (), lambda: None)  # type: ignore[arg-type,return-value] - never called
    assert mistake.value.code is Code.CONFIG
    assert place in mistake.value.detail
    assert mistake.value.remedy


def test_an_exit_cannot_hang_on_a_host(lot: LotProfile) -> None:
    astray = msgspec.structs.replace(lot.exit[0], device="host")
    with pytest.raises(Environment, match="opens no exits, but 'OUT1' hangs on it"):
        create(lot.device[0], (astray,), lambda: None)  # type: ignore[arg-type,return-value] - never called


def test_a_stay_with_an_unusable_name_does_not_hide_the_others(
    silent_port: Callable[[bytes], str], driver_at: Callable[[str], HostLink], caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"TicketNo": name, "EntryTime": "2026-11-23T09:00:00+09:00"} for name in ("!!", "００1-2")]
    body = msgspec.json.encode({"Facility": "F-12", "Time": "2026-11-23T09:00:00Z", "Stays": rows})
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with caplog.at_level(logging.WARNING):
        (stay,) = driver_at(silent_port(head + body)).stays(soon())
    assert stay.ref.name == "0012"
    assert "'!!'" in caplog.text


# --- probe, proxies, recording ----------------------------------------------------------------------------------------


def test_a_probe_finds_a_host_without_a_key_and_changes_nothing(lane: Any) -> None:
    before = lane.world.host_books()[0][1]
    finding = probe(lane.served.url, soon())
    assert finding.answered
    assert 'family = "host_link"' in finding.hints
    assert lane.world.host_books()[0][1] == before


def test_a_probe_of_nothing_or_of_something_else_says_no(lane: Any, silent_port: Callable[[bytes], str]) -> None:
    lane.served.faults.unplugged = True
    web = silent_port(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    for url in (lane.served.url, web, "http://"):
        finding = probe(url, soon())
        assert not finding.answered
        assert finding.hints


def test_proxies_of_the_environment_are_not_asked(lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert lane.driver.stays(soon())


def test_a_recording_holds_the_traffic_but_no_key(lane: Any, lot: LotProfile, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "wire.jsonl", lambda: lane.order().paid_at)
    device = msgspec.structs.replace(lot.device[0], url=lane.served.url)
    lane.driver = create(device, (), lambda: lane.order().paid_at, recorder)
    lane.settle()
    lane.driver.close()
    recorder.close()
    written = b"".join(
        bytes.fromhex(msgspec.json.decode(line)["hex"]) for line in (tmp_path / "wire.jsonl").read_bytes().splitlines()
    )
    assert b"POST /api/apply-payment" in written
    assert b"ReceiptNo" in written
    assert b"simulated-host-key" not in written


def test_replies_over_a_kept_connection_do_not_wait_for_nagle(lane: Any) -> None:
    lane.driver.stays(soon())
    took = []
    for _ in range(20):
        began = time.perf_counter()
        lane.driver.stays(soon())
        took.append(time.perf_counter() - began)
    assert sorted(took)[10] < 0.03  # two writes per reply would make it 44 ms
