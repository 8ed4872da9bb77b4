"""The driver against a host that shares no line of code with it: Starlette and uvicorn, plain dicts, its own habits.

It keeps Japanese time with fractions, spells tickets with hyphens, adds fields that we never heard of, answers in
chunks, and loses replies after it has booked.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from drivers import base
from drivers.host_link.driver import HostLink
from parking.errors import BadMessage, Code, NotSent
from parking.money import Yen
from parking.outcome import Level
from parking.stay import NameKind, StayRef

TOKYO = timezone(timedelta(hours=9))
TICKET = "T-0012/A"
REF = StayRef(NameKind.TICKET, "T0012A")


class ForeignHost:
    """One ticket, 600 yen; a list of payments; one thing that goes wrong."""

    def __init__(self) -> None:
        self.payments: list[dict[str, Any]] = []
        self.requests: list[tuple[str, bytes]] = []
        self.mishap = ""
        self.callers: dict[str, int | None] = {}
        self.app = Starlette(
            routes=[
                Route("/api/stays", self.stays),
                Route("/api/calculate-rate", self.rate, methods=["POST"]),
                Route("/api/apply-payment", self.pay, methods=["POST"]),
                Route("/api/payments", self.who),
                Route("/api/bookings", self.books),
                Route("/api/elsewhere", self.elsewhere, methods=["GET", "POST"]),
            ]
        )

    @property
    def due(self) -> int:
        return 0 if self.payments else 600

    async def elsewhere(self, request: Request) -> Response:
        self.requests.append((request.url.path, await request.body()))
        return JSONResponse({})

    def _no(self, request: Request, ticket: str | None) -> Response | None:
        self.callers[request.url.path] = request.client.port if request.client else None
        if request.headers.get("x-api-key") != "simulated-host-key":
            return JSONResponse({"Code": "bad-key", "Message": "who are you"}, 401)
        if ticket not in (None, TICKET):
            return JSONResponse({"Code": "unknown-ticket", "Message": f"{ticket}?", "Hint": "rescan"}, 404)
        return None

    async def stays(self, request: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            text = json.dumps(
                {
                    "Facility": request.query_params["facility"],
                    "Time": datetime.now(TOKYO).isoformat(),
                    "Stays": [{"TicketNo": TICKET, "EntryTime": "2026-11-23T09:00:00.123456+09:00", "Colour": "red"}],
                    "Vendor": {"Name": "Somebody Else"},
                }
            )
            for at in range(0, len(text), 7):
                yield text[at : at + 7]

        return self._no(request, None) or StreamingResponse(pieces(), media_type="application/json; charset=utf-8")

    async def rate(self, request: Request) -> Response:
        ticket = (await request.json())["TicketNo"]
        now = datetime.now(TOKYO)
        reply = {
            "TicketNo": ticket,
            "EntryTime": "2026-11-23T09:00:00.123456+09:00",
            "RateTime": now.isoformat(),
            "ValidUntil": (now + timedelta(minutes=5)).isoformat(),
            "Due": self.due,
            "Paid": sum(payment["Amount"] for payment in self.payments),
            "Currency": "JPY",
        }
        return self._no(request, ticket) or JSONResponse(reply)

    async def pay(self, request: Request) -> Response:
        raw = await request.body()
        self.requests.append((request.url.path, raw))
        asked = json.loads(raw)
        refusal = self._no(request, asked["TicketNo"]) or self._book(asked)
        if refusal is not None:
            return refusal
        if self.mishap == "crash":
            raise RuntimeError("out of paper")
        if self.mishap == "typed crash":
            return JSONResponse({"Code": "bad-request", "Message": "the printer is on fire"}, 503)
        while self.mishap == "hang":  # noqa: ASYNC110 - ended from another thread, which cannot set an asyncio.Event
            await asyncio.sleep(0.02)
        receipt = "R-ELSE" if self.mishap == "other" else f"R-{len(self.payments)}"
        code = "DK-9-9" if self.mishap == "other" else asked["AuthorisationCode"]
        return JSONResponse(
            {"ReceiptNo": receipt, "TicketNo": TICKET, "Amount": asked["Amount"], "AuthorisationCode": code}
        )

    def _book(self, asked: dict[str, Any]) -> Response | None:
        if self.mishap == "redirect":
            return RedirectResponse("/api/elsewhere", 307)
        if self.mishap == "refuse":
            return JSONResponse({"Code": "amount-too-low", "Message": "the fee went up"}, 422)
        if self.mishap == "cash first":
            self._add({"Amount": 600, "AuthorisationCode": ""}, "MONEY BOX")
        if not any(payment["AuthorisationCode"] == asked["AuthorisationCode"] for payment in self.payments):
            if self.payments:
                return JSONResponse({"Code": "already-paid", "Message": "too late"}, 409)
            self._add(asked, "THIRD PARTY")
        return None

    def _add(self, asked: dict[str, Any], means: str) -> None:
        self.payments.append(
            {
                "ReceiptNo": f"R-{len(self.payments) + 1}",
                "Amount": asked["Amount"],
                "Means": means,
                "PaymentTime": datetime.now(TOKYO).isoformat(),
                "AuthorisationCode": asked["AuthorisationCode"],
            }
        )

    async def books(self, request: Request) -> Response:
        """Its own order of fields, Japanese time, what others paid beside ours; one mishap: it gives all it has."""
        since, until = (datetime.fromisoformat(request.query_params[name]) for name in ("since", "until"))
        rows = [
            {"TicketNo": TICKET, "Cashier": 3, **payment}
            for payment in self.payments
            if since <= datetime.fromisoformat(payment["PaymentTime"]) < until
        ]
        given = timedelta(0) if self.mishap != "another day" else timedelta(days=1)
        reply = {
            "Payments": rows,
            "Until": (until - given).astimezone(TOKYO).isoformat(),
            "Since": (since - given).astimezone(TOKYO).isoformat(),
            "Facility": request.query_params["facility"],
        }
        return self._no(request, None) or JSONResponse(reply)

    async def who(self, request: Request) -> Response:
        ticket = request.query_params["ticket"]
        about = "T-0013/B" if self.mishap == "confused" else ticket
        reply = {"TicketNo": about, "Due": self.due, "Payments": self.payments}
        return self._no(request, ticket) or JSONResponse(reply)


@pytest.fixture
def host() -> ForeignHost:
    return ForeignHost()


@pytest.fixture
def driver(host: ForeignHost, driver_at: Callable[[str], HostLink]) -> Iterator[HostLink]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(host.app, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    link = driver_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
    link.stays(time.monotonic() + 5)
    yield link
    link.close()
    server.should_exit = True
    thread.join()
    listener.close()


def soon(seconds: float = 2.0) -> float:
    return time.monotonic() + seconds


def settle(driver: HostLink, amount: int = 600, reference: str = "DK-1002-1") -> base.Outcome:
    def intend(raw: bytes, counter: int | None) -> None:
        intents.append(raw)

    intents: list[bytes] = []
    order = base.SettleOrder(REF, Yen(amount), reference, datetime.now(UTC), 1, soon(), intend)
    outcome = driver.settle(order)
    assert len(intents) <= 1
    return outcome


def test_it_reads_stays_and_rates_in_another_hand(driver: HostLink) -> None:
    (stay,) = driver.stays(soon())
    assert (stay.ref.name, stay.ref.entered_at) == ("T0012A", datetime(2026, 11, 23, tzinfo=UTC))
    quote = driver.quote(stay.ref, datetime.now(UTC), soon())
    assert isinstance(quote, base.Quote)
    assert quote.amount == 600


def test_it_books_under_the_hosts_own_spelling(driver: HostLink, host: ForeignHost) -> None:
    outcome = settle(driver)
    assert isinstance(outcome, base.Applied)
    assert outcome.level is Level.LEGACY_CONFIRMED
    ((path, raw),) = host.requests
    assert path == "/api/apply-payment"
    sent = json.loads(raw)
    assert datetime.fromisoformat(sent.pop("PaymentTime")).utcoffset() == timedelta(0)
    assert sent == {"Facility": "F-12", "TicketNo": TICKET, "Amount": 600, "AuthorisationCode": "DK-1002-1"}


@pytest.mark.parametrize("mishap", ["crash", "typed crash", "hang", "other"])
def test_a_reply_that_says_nothing_is_settled_by_the_books(driver: HostLink, host: ForeignHost, mishap: str) -> None:
    host.mishap = mishap
    outcome = settle(driver)
    host.mishap = ""
    assert isinstance(outcome, base.Applied)
    assert "receipt R-1" in outcome.evidence[0].text
    assert isinstance(settle(driver), base.Applied)
    assert len(host.requests) == 1
    assert [payment["AuthorisationCode"] for payment in host.payments] == ["DK-1002-1"]


def test_a_booking_has_a_connection_of_its_own(driver: HostLink, host: ForeignHost) -> None:
    settle(driver)
    assert host.callers["/api/calculate-rate"] == host.callers["/api/payments"]
    assert host.callers["/api/apply-payment"] != host.callers["/api/calculate-rate"]


def test_a_booking_is_never_carried_elsewhere(driver: HostLink, host: ForeignHost) -> None:
    host.mishap = "redirect"
    assert isinstance(settle(driver), base.Uncertain)
    assert [path for path, _ in host.requests] == ["/api/apply-payment"]


def test_books_that_speak_of_another_ticket_are_not_believed(driver: HostLink, host: ForeignHost) -> None:
    host.mishap = "confused"
    with pytest.raises(NotSent, match="T-0013/B"):
        settle(driver)
    assert host.requests == []
    assert isinstance(driver.who_settled(REF, "DK-1002-1", soon()), base.CannotTell)


def test_cash_that_comes_first_is_a_refusal(driver: HostLink, host: ForeignHost) -> None:
    host.mishap = "cash first"
    outcome = settle(driver)
    assert isinstance(outcome, base.Refused)
    assert outcome.code is Code.ALREADY_PAID
    assert isinstance(driver.who_settled(REF, "DK-1002-1", soon()), base.Cash)


def test_a_refusal_of_the_booking_is_a_refusal(driver: HostLink, host: ForeignHost) -> None:
    host.mishap = "refuse"
    outcome = settle(driver)
    assert isinstance(outcome, base.Refused)
    assert outcome.code is Code.WRONG_AMOUNT
    assert host.payments == []


def test_its_books_are_read_in_another_hand(driver: HostLink, host: ForeignHost) -> None:
    settle(driver)
    host._add({"Amount": 300, "AuthorisationCode": ""}, "MONEY BOX")
    now = datetime.now(UTC).replace(microsecond=0)
    (booking,) = driver.bookings(now - timedelta(hours=1), now + timedelta(hours=1), soon())
    assert (booking.reference, booking.amount, booking.receipt) == ("DK-1002-1", 600, "R-1")
    assert abs(booking.booked_at - now) < timedelta(minutes=1)
    assert driver.bookings(now - timedelta(hours=2), now - timedelta(hours=1), soon()) == []


def test_the_books_of_another_day_are_not_believed(driver: HostLink, host: ForeignHost) -> None:
    host.mishap = "another day"
    now = datetime.now(UTC).replace(microsecond=0)
    with pytest.raises(BadMessage, match="asked for the books of"):
        driver.bookings(now - timedelta(hours=1), now, soon())
