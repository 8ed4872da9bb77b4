"""The phone carries the completion, through the whole cloud: payment, keys of the lot's bridge, page."""

import hashlib
import hmac
import re
import sqlite3
import struct
from datetime import UTC, datetime, timedelta

import pytest
import requests

from cloud.receipt import shown
from parking.completion import Completion, from_digits
from parking.money import yen
from parking.reports import Received, Refused
from parking.signing import from_text, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import LotKeys, decode

LOT = 1001
PAID_AT = datetime(2026, 11, 24, 3, 4, 5, tzinfo=UTC)
STAY = StayRef(NameKind.BAY, "7", PAID_AT - timedelta(minutes=65))
KEY = bytes(range(32))
SIX_HOURS = timedelta(hours=6)
DAMM = (
    "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
    "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
)  # fmt: skip


def completion_of(amount: int = 700, number: int = 130) -> Completion:
    return Completion(1, LotId(LOT), number, STAY, yen(amount), PAID_AT, PAID_AT + timedelta(minutes=20))


def by_the_book(completion: Completion, kid: int, key: bytes) -> str:
    """A typed code worked out anew from its description, sharing nothing with the product."""
    minute = int(completion.paid_at.timestamp()) // 60
    stated = struct.pack(">4I", completion.lot, completion.number, minute, completion.amount)
    stay = f"bay:{completion.stay.name}@{int(completion.stay.entered_at.timestamp())}"
    mac = hmac.new(key, b"daiko-code-v1\x00" + stated + stay.encode(), hashlib.sha256).hexdigest()
    bits = f"{kid:02b}{completion.number % 128:07b}{minute % 1024:010b}{completion.amount // 10:013b}"
    bits += f"{int(mac, 16):0256b}"[:34]
    digits = f"{int(bits, 2):020d}"
    check = 0
    for digit in digits:
        check = int(DAMM[check][int(digit)])
    return digits + str(check)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_typed_code_is_the_one_of_the_description_in_three_groups_of_seven():
    for amount in (0, 10, 700, 81_910):
        for kid in range(4):
            found = shown(completion_of(amount), "123", (kid, KEY), SIX_HOURS, PAID_AT)
            assert [len(group) for group in found.typed] == [7, 7, 7]
            assert "".join(found.typed) == by_the_book(completion_of(amount), kid, KEY)


@pytest.mark.parametrize("amount", [5, 705, 81_920, 470_000])
def test_an_amount_that_does_not_fit_has_the_qr_code_alone(amount):
    found = shown(completion_of(amount), "123", (0, KEY), SIX_HOURS, PAID_AT)
    assert found.qr == "123"
    assert found.typed == ()


def test_without_a_key_there_is_the_qr_code_alone():
    found = shown(completion_of(), "123", None, SIX_HOURS, PAID_AT)
    assert (found.qr, found.typed) == ("123", ())


def test_each_code_goes_when_it_is_over():
    def at(seconds: float) -> tuple[bool, bool]:
        found = shown(completion_of(), "123", (0, KEY), SIX_HOURS, PAID_AT + timedelta(seconds=seconds))
        return bool(found.qr), bool(found.typed)

    assert at(20 * 60 - 1) == (True, True)
    assert at(20 * 60) == (False, True)
    assert at(6 * 3600 - 1) == (False, True)
    assert at(6 * 3600) == (False, False)
    assert not shown(completion_of(), "123", (0, KEY), SIX_HOURS, PAID_AT + SIX_HOURS)


# --- through the cloud -----------------------------------------------------------------------------------------------


def typed_on(cloud, token: str) -> str:
    page = requests.get(f"{cloud.url}/p/{token}", timeout=5)
    found = re.search(r'<p class="typed">(.*?)</p>', page.text, re.DOTALL)
    return "".join(re.findall(r"<span>(\d{7})</span>", found[1])) if found else ""


@pytest.fixture
def bridge(cloud):
    made = cloud.bridge(LOT)
    made.car(LOT, "7")
    return made


def paid(cloud) -> tuple[str, str]:
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    return token, order


def test_the_code_on_the_phone_is_made_with_the_key_that_the_lots_bridge_has(cloud, bridge):
    keys = decode(bridge.get(f"/bridge/v1/lots/{LOT}/keys").content, LotKeys)
    token, _ = paid(cloud)
    page = cloud.do(cloud.cloud.cashier.payment(token))
    completion = bridge.completion(to_text(from_digits(page.completion)))
    key = keys.code_keys[0]
    assert typed_on(cloud, token) == by_the_book(completion, key.kid, from_text(key.key))


def test_before_the_bridge_has_a_key_the_phone_shows_the_qr_code_alone(cloud, bridge):
    token, _ = paid(cloud)
    page = requests.get(f"{cloud.url}/p/{token}", timeout=5).text
    assert 'class="qr"' in page
    assert typed_on(cloud, token) == ""
    assert bridge.get(f"/bridge/v1/lots/{LOT}/keys").ok
    assert len(typed_on(cloud, token)) == 21


def test_a_refused_payment_takes_its_codes_along(cloud, bridge):
    bridge.get(f"/bridge/v1/lots/{LOT}/keys")
    token, _ = paid(cloud)
    assert typed_on(cloud, token)
    no = Refused(number=1, at=datetime.now(UTC), code="already-paid", detail="cash was faster")
    assert bridge.report(LOT, Received(number=1, at=datetime.now(UTC)), no).ok
    page = requests.get(f"{cloud.url}/p/{token}", timeout=5).text
    assert "codes" not in page.partition("<main")[2]


def test_after_twenty_seconds_the_page_says_what_to_do_with_its_codes_open(cloud, bridge):
    bridge.get(f"/bridge/v1/lots/{LOT}/keys")
    token, _ = paid(cloud)
    headers = {"accept-language": "en"}
    assert 'id="codes" open' not in requests.get(f"{cloud.url}/p/{token}", headers=headers, timeout=5).text
    cloud.clock.ahead = timedelta(seconds=21)
    cloud.until(lambda: cloud.stage(token) == "attendant")
    page = requests.get(f"{cloud.url}/p/{token}", headers=headers, timeout=5).text
    assert "Show this page to the attendant" in page
    assert 'id="codes" open' in page


def test_with_a_foreign_key_file_the_page_comes_with_its_qr_code_alone(cloud, bridge, config):
    bridge.get(f"/bridge/v1/lots/{LOT}/keys")
    token, _ = paid(cloud)
    with sqlite3.connect(config.database_url.removeprefix("sqlite+aiosqlite:///")) as db:
        db.execute("UPDATE lot_secrets SET sealed = zeroblob(62)")
    db.close()
    page = requests.get(f"{cloud.url}/p/{token}", timeout=5)
    assert page.status_code == 200
    assert 'class="qr"' in page.text
    assert typed_on(cloud, token) == ""
    assert bridge.get(f"/bridge/v1/lots/{LOT}/keys").json()["code"] == "config"


def test_codes_and_tokens_stay_out_of_the_log(cloud, bridge, caplog):
    caplog.set_level(0)
    bridge.get(f"/bridge/v1/lots/{LOT}/keys")
    token, _ = paid(cloud)
    typed = typed_on(cloud, token)
    qr = cloud.do(cloud.cloud.cashier.payment(token)).completion
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("cloud"))
    for secret in (typed, qr, token):
        assert secret
        assert secret not in ours


def test_the_program_itself_believes_no_header_about_an_address(cloud, bridge):
    """uvicorn would, from loopback: whoever is behind our own proxy could then pass for anybody."""
    with requests.Session() as phone:
        codes = [
            phone.post(
                f"{cloud.url}/l/WAKABA1/fee", data={"name": f"9{n}"}, headers={"X-Forwarded-For": f"203.0.113.{n}"},
                timeout=5,
            ).status_code
            for n in range(6)
        ]  # fmt: skip
    assert codes == [404] * 5 + [429]
