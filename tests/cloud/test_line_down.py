"""A driver pays while the lot's line is down: offered only where somebody can let him out by the code on his phone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from sqlalchemy import insert, select, update

import drivers.profile
from cloud.lots import read_profile
from cloud.policy import Policy
from cloud.schema import alarms, completions, lot_secrets, lots, payments, quotes
from parking.completion import read_code
from parking.errors import Code, Environment, Refused
from parking.outcome import Level
from parking.reports import Redeemed, Settled, StayClosed, Way
from parking.reports import Refused as LotRefused
from parking.signing import from_text
from parking.stay import LotId, StayRef
from parking.wire import LotKeys, decode

WAKABA, CODE = 1001, "WAKABA1"
SEEDS = Path(__file__).parents[2] / "seeds"


@dataclass
class Dark:
    """A cloud that has not heard the lot since it started; the process before it had."""

    cloud: Any
    bridge: Any
    stay: StayRef
    keys: LotKeys

    def policy(self, **values: Any) -> None:
        change(self.cloud, **values)

    def fee(self, name: str = "7") -> Any:
        return self.cloud.do(self.cloud.cloud.cashier.fee(CODE, name, ""))

    def pay(self, token: str, *, told: bool = True) -> str:
        self.cloud.do(self.cloud.cloud.cashier.pay(token, "en", line_down=told))
        return str(self.cloud.order(token))

    def paid(self) -> tuple[str, str]:
        """Token and order of a payment that is authorized."""
        token = self.fee().token
        order = self.pay(token)
        self.cloud.approve(order)
        return token, order

    def page(self, path: str, language: str = "en", **form: str) -> requests.Response:
        method = "POST" if form else "GET"
        headers = {"accept-language": language}
        url = self.cloud.url + path
        return requests.request(method, url, data=form, headers=headers, timeout=5, allow_redirects=False)


def change(cloud: Any, **values: Any) -> None:
    async def write() -> None:
        async with cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(lots).where(lots.c.id == WAKABA).values(**values))

    cloud.do(write())


def rows(cloud: Any, query: Any) -> list[Any]:
    async def read() -> list[Any]:
        async with cloud.cloud.store.read() as db:
            return list(await db.execute(query))

    found: list[Any] = cloud.do(read())
    return found


@pytest.fixture
def dark(run: Any) -> Iterator[Dark]:
    with run() as before:
        bridge = before.bridge(WAKABA)
        stay = bridge.car(WAKABA, "7")
        keys = decode(bridge.get(f"/bridge/v1/lots/{WAKABA}/keys").content, LotKeys)
        change(before, pay_offline_minutes=120, attended="00:00-24:00")
        before.until(lambda: rows(before, select(lots.c.heard_at).where(lots.c.id == WAKABA))[0][0] is not None)
    with run() as cloud:
        bridge.url = cloud.url
        yield Dark(cloud, bridge, stay, keys)


def settled(number: int) -> Settled:
    return Settled(number=number, at=datetime.now(UTC), level=Level.PHYSICALLY_OBSERVED, evidence=())


def test_who_was_told_pays_shows_the_code_and_is_charged_when_the_line_is_back(dark):
    token, order = dark.paid()
    shown = dark.page(f"/p/{token}").text
    assert "Show this page to the attendant" in shown
    assert "The attendant scans or types the code below" in shown
    assert "Please do not drive yet" not in shown
    text = "".join(re.findall(r"<span>(\d{7})</span>", shown))
    keys = {one.kid: from_text(one.key) for one in dark.keys.code_keys}
    typed = read_code(text, keys, LotId(WAKABA), dark.stay, 0, datetime.now(UTC))
    assert dark.cloud.standing(order) == "authorized"

    used = Redeemed(
        number=typed.number, at=datetime.now(UTC), way=Way.CODE, stay=typed.stay, amount=typed.amount, actor="Sato"
    )
    assert dark.bridge.report(WAKABA, used, settled(typed.number)).ok
    dark.cloud.until(lambda: dark.cloud.standing(order) == "captured")


def test_cash_meanwhile_or_a_car_that_has_left_is_refused_by_the_lot_and_voided(dark):
    token, order = dark.paid()
    gone = StayClosed(stay=dark.stay, at=datetime.now(UTC))
    refused = LotRefused(number=1, at=datetime.now(UTC), code=Code.ALREADY_PAID, detail="cash")
    assert dark.bridge.report(WAKABA, gone, refused).ok
    dark.cloud.until(lambda: dark.cloud.standing(order) == "voided")
    assert dark.cloud.stage(token) == "not_charged"


def test_nobody_pays_who_was_not_told_before(dark):
    token = dark.fee().token
    with pytest.raises(Environment) as caught:
        dark.pay(token, told=False)
    assert caught.value.code is Code.LOT_OFFLINE
    asked = dark.page(f"/q/{token}/pay", x="")
    assert asked.status_code == 409
    assert 'name="line_down" value="yes" required' in asked.text
    assert rows(dark.cloud, select(payments.c.order_id)) == []
    assert dark.page(f"/q/{token}/pay", line_down="yes").status_code == 303


SAID = {
    "en": ("This car park has lost its connection", "If nobody is here, do not pay by phone", "An attendant is here."),
    "ja": ("この駐車場は回線が切れています", "係員がいないときは、スマートフォンで支払わず", "係員がいます。"),
}


@pytest.mark.parametrize("language", SAID)
def test_the_pages_say_before_paying_that_somebody_must_apply_the_code(dark, language):
    title, nobody, agree = SAID[language]
    lot, fee = dark.page(f"/l/{CODE}", language), dark.page(f"/q/{dark.fee().token}", language)
    for page in (lot, fee):
        assert title in page.text
        assert nobody in page.text
    assert agree in fee.text


@pytest.mark.parametrize(("language", "said"), [("en", "you are not known here"), ("ja", "その後に入庫された車は")])
def test_a_car_that_came_in_after_the_line_died_is_told_so(dark, language, said):
    answer = dark.page(f"/l/{CODE}/fee", language, name="8")
    assert answer.status_code == 404
    assert said in answer.text


def forget_keys(dark: Dark) -> None:
    async def write() -> None:
        async with dark.cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(lot_secrets).values(given_to=0, given_at=None))

    dark.cloud.do(write())


def many_numbers(dark: Dark, count: int) -> None:
    """So many completions that the lot has not received."""
    at = datetime.now(UTC)

    async def write() -> None:
        async with dark.cloud.cloud.store.write() as tx:
            for number in range(1, count + 1):
                order, stay = f"o{number}", f"bay:X@{number}"
                common = {"lot_id": WAKABA, "stay_key": stay, "amount": 100, "token": order}
                quote = {"exit_id": "", "lines": [], "at": at, "valid_until": at, "fee_by": "cloud", "tariff": ""}
                await tx.connection.execute(insert(quotes).values(**common, **quote))
                times = {"created_at": at, "authorize_by": at, "changed_at": at, "authorized_at": at}
                flags = {"overdue": False, "ending": False, "version": 1, "polls": 0, "code": ""}
                paid = {"order_id": order, "provider": "shelf", "provider_ref": "", "page_url": ""}
                values = {**common, **times, **flags, **paid, "standing": "authorized"}
                await tx.connection.execute(insert(payments).values(**values))
                issued = {"lot_id": WAKABA, "number": number, "order_id": order, "packed": b"", "issued_at": at}
                await tx.connection.execute(insert(completions).values(**issued))
            await tx.connection.execute(update(lots).where(lots.c.id == WAKABA).values(completions=count))

    dark.cloud.do(write())


def now_elsewhere() -> str:
    """Hours of which none is now."""
    local = datetime.now(ZoneInfo("Asia/Tokyo")) + timedelta(hours=2)
    return f"{local:%H:%M}-{local + timedelta(hours=2):%H:%M}"


REFUSED = {
    "the policy does not say so": lambda dark: dark.policy(pay_offline_minutes=0),
    "nobody is ever there": lambda dark: dark.policy(attended=""),
    "nobody is there now": lambda dark: dark.policy(attended=now_elsewhere()),
    "the last contact is too old": lambda dark: setattr(dark.cloud.clock, "ahead", timedelta(minutes=121)),
    "the day's codes are used up": lambda dark: dark.policy(codes_per_day=0),
    "the day's yen are used up": lambda dark: dark.policy(code_yen_per_day=10),
    "the lot has no keys": forget_keys,
    "the lot could not complete the number": lambda dark: many_numbers(dark, 64),
}


@pytest.mark.parametrize("why", REFUSED)
def test_it_is_offered_only_where_the_code_would_be_taken(dark, why):
    REFUSED[why](dark)
    with pytest.raises(Environment) as caught:
        dark.fee()
    assert caught.value.code is Code.LOT_OFFLINE
    assert dark.page(f"/l/{CODE}/fee", name="7").status_code == 503


def test_as_many_numbers_as_the_lot_can_complete_are_sold(dark):
    many_numbers(dark, 63)
    assert dark.fee().lot.pay_offline


def test_the_days_codes_are_counted_as_they_are_sold(dark):
    dark.policy(codes_per_day=1)
    dark.paid()
    with pytest.raises(Environment) as caught:
        dark.fee()
    assert "used up" in caught.value.detail


def test_one_stay_is_paid_on_one_phone_only(dark):
    first, second = dark.fee(), dark.fee()
    dark.pay(first.token)
    with pytest.raises(Refused) as caught:
        dark.pay(second.token)
    assert caught.value.code is Code.CONFLICT


def test_an_unused_code_is_voided_in_time_if_the_lot_was_heard_since(dark):
    _, order = dark.paid()
    dark.cloud.clock.ahead = timedelta(hours=24, seconds=5)
    dark.cloud.cloud.lines.heard(WAKABA)
    dark.cloud.until(lambda: dark.cloud.standing(order) == "voided")


def test_what_a_dark_lot_may_have_used_is_kept_as_long_as_the_money_can_be_had_and_an_alarm_comes_before(dark):
    _, order = dark.paid()
    dark.cloud.clock.ahead = timedelta(hours=32, seconds=5)
    dark.cloud.until(lambda: (Code.EXPIRED,) in rows(dark.cloud, select(alarms.c.code)))
    assert dark.cloud.standing(order) == "authorized"
    dark.cloud.clock.ahead = timedelta(hours=48, seconds=5)
    dark.cloud.until(lambda: dark.cloud.standing(order) == "voided")


@pytest.mark.parametrize(
    ("hours", "clock", "there"),
    [
        ("", "12:00", False),
        ("08:00-20:00", "07:59", False),
        ("08:00-20:00", "08:00", True),
        ("08:00-20:00", "20:00", False),
        ("20:00-06:00", "05:59", True),
        ("20:00-06:00", "12:00", False),
        ("00:00-24:00", "23:59", True),
    ],
)
def test_the_hours_are_those_of_the_lots_own_clock(hours, clock, there):
    hour, minute = map(int, clock.split(":"))
    at = datetime(2026, 11, 25, hour, minute, tzinfo=ZoneInfo("Asia/Tokyo")).astimezone(UTC)
    assert Policy(attended=hours).attended_at(at, ZoneInfo("Asia/Tokyo")) is there


@pytest.mark.parametrize(
    ("lot", "policy", "place"),
    [
        ("bay-plates", 'attended = "25:00-26:00"', "$.policy.attended"),
        ("bay-plates", "pay_offline_minutes = 60", "$.policy.attended"),
        (
            "bay-plates",
            'pay_offline_minutes = 60\nattended = "08:00-20:00"\ncodes_per_day = 0',
            "$.policy.attended",
        ),
        ("gated-host", 'pay_offline_minutes = 60\nattended = "08:00-20:00"', "$.policy.pay_offline_minutes"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_at_onboarding_and_by_the_bridge(tmp_path, lot, policy, place):
    seed = SEEDS / "lots" / f"{lot}.toml"
    text = seed.read_text(encoding="utf-8").replace("../tariffs", str(SEEDS / "tariffs"))
    own = tmp_path / "lot.toml"
    own.write_text(text.replace("[roles]", f"[policy]\n{policy}\n\n[roles]"), encoding="utf-8")
    for read in (read_profile, drivers.profile.load):
        with pytest.raises(Environment) as caught:
            read(own)
        assert place in caught.value.detail
