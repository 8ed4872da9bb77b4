"""What stands before the pages: limits on wrong numbers, doubtful fees, and ways out where paying is impossible."""

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud.clock import utc_now
from cloud.config import PhonePages
from cloud.guard import Guard
from cloud.views import PaymentStage
from parking.errors import Code, Environment, Refused

LANGUAGES = ("ja", "en")


def ask(phone, name: str, **headers: str):
    return phone.post("/l/WAKABA1/fee", data={"name": name}, headers=headers)


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_too_many_wrong_numbers_are_told_kindly_and_when_to_come_back(strict, language):
    bay = strict.park()
    with strict.browser(language) as phone:
        assert [ask(phone, f"9990{n}").status_code for n in range(5)] == [404] * 5
        told = ask(phone, "99906")
        right = ask(phone, bay)
    for answer in (told, right):
        assert answer.status_code == 429
        assert 100 <= int(answer.headers["retry-after"]) <= 120
        assert ("しばらくお待ちください" if language == "ja" else "Please wait a little") in answer.text
        assert ("約2分後" if language == "ja" else "about 2 min") in answer.text
        assert ("係員" if language == "ja" else "attendant") in answer.text, "who stands at the exit needs a way out"
        assert f'<html lang="{language}">' in answer.text
    assert 'value="99906"' in told.text


def test_right_numbers_are_never_limited(strict):
    with strict.browser() as phone:
        for _ in range(30):
            assert ask(phone, strict.park()).status_code == 303


def test_what_a_client_claims_about_its_address_counts_for_nothing(strict):
    with strict.browser() as phone:
        codes = [ask(phone, f"9991{n}", **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(7)]
    assert codes == [404] * 5 + [429] * 2


def test_behind_a_proxy_each_client_has_its_own_limit(strict):
    strict.guard = Guard.of(PhonePages(client_header="X-Forwarded-For"), utc_now)
    with strict.browser() as phone:
        for client in range(3):
            via = {"X-Forwarded-For": f"6.6.6.{client}, 203.0.113.{client}"}
            assert [ask(phone, f"9992{n}", **via).status_code for n in range(6)] == [404] * 5 + [429]


def test_a_legacy_that_does_not_answer_is_no_wrong_number(strict):
    bay = strict.park(error=Environment(Code.DEVICE_UNAVAILABLE, "down"))
    with strict.browser() as phone:
        assert [ask(phone, bay).status_code for _ in range(8)] == [503] * 8


def test_unknown_gone_and_not_yet_seen_look_the_same(strict):
    """Nothing tells a stranger whether a car was here, and no answer is quicker than the others."""
    gone = strict.park(error=Refused(Code.STAY_UNKNOWN, "left at 14:03"))
    pages, times = [], []
    with strict.browser("en") as phone:
        for name in (gone, "88801", "88802"):
            began = time.monotonic()
            answer = ask(phone, name)
            times.append(time.monotonic() - began)
            assert answer.status_code == 404
            pages.append(answer.text.replace(f'value="{name}"', 'value=""'))
    assert len(set(pages)) == 1
    assert min(times) >= 0.3
    assert not re.search(r"\d\d:\d\d", pages[0]), "no time before a match"


# --- a fee that cannot well be this driver's -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stay", "doubtful"),
    [
        ({"ago": timedelta(hours=47)}, False),
        ({"ago": timedelta(hours=49)}, True),
        ({"amount": 30_000}, False),
        ({"amount": 470_000}, True),
    ],
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_inherited_stay_is_not_paid_in_silence(site, stay, doubtful, language):
    """A sensor that keeps an earlier car's stay has cost a driver 470,000 yen: here a person looks first."""
    token = site.quote(**stay)
    with site.browser(language) as phone:
        page = phone.get(f"/q/{token}")
        pressed = phone.post(f"/q/{token}/pay")
        later = phone.post(f"/q/{token}/claim")
    assert (page.status_code, pressed.status_code) == ((409, 409) if doubtful else (200, 303))
    if doubtful:
        assert later.status_code == 409
        assert ("ご連絡ください" if language == "ja" else "Please call before you pay") in page.text
        assert f"/q/{token}/pay" not in page.text
        assert token not in site.till.payments
        assert ("若葉町第1駐車場" if language == "ja" else "Wakaba-cho Lot 1") in page.text


def test_before_paying_a_driver_sees_lot_address_bay_and_since_when(site):
    token = site.quote(name="69")
    with site.browser("en") as phone:
        page = phone.get(f"/q/{token}").text
    button = page.index(f'action="/q/{token}/pay"')
    for said in ("Wakaba-cho Lot 1", "1-2-3 Wakaba-cho", "Bay 69 has been occupied since", "Is this you?"):
        assert page.index(said) < button


# --- payment is impossible -------------------------------------------------------------------------------------------

POLICIES = {
    "hold": ("精算機でお支払い", "pay at the machine on site"),
    "claim": ("後払いで出庫できる場合", "allowed to leave now and pay later"),
    "attendant": ("インターホンを押すか", "Press the call button"),
}


@pytest.fixture(params=POLICIES)
def policy(request, site, lots):
    """The lot of bays under each policy; afterwards as it was."""
    site.till.lots["WAKABA1"] = replace(lots["bays"], when_down=request.param)
    yield request.param
    site.till.lots["WAKABA1"] = lots["bays"]
    site.till.provider_down = False


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lot_that_is_offline_says_what_its_policy_is(site, lots, policy, language, offline_error):
    site.till.lots["WAKABA1"] = replace(site.till.lots["WAKABA1"], online=False)
    bay = site.park(error=offline_error)
    with site.browser(language) as phone:
        pages = [phone.get("/l/WAKABA1").text, ask(phone, bay).text]
    for page in pages:
        assert [name for name, said in POLICIES.items() if said[language == "en"] in page] == [policy]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_provider_that_is_down_says_what_the_lots_policy_is(site, policy, language):
    token = site.quote()
    site.till.provider_down = True
    with site.browser(language) as phone:
        answer = phone.post(f"/q/{token}/pay")
    assert answer.status_code == 502
    asked = [name for name, said in POLICIES.items() if said[language == "en"] in answer.text]
    assert asked == ([] if policy == "claim" else [policy]), "who can help himself need not ask"
    assert (f'action="/q/{token}/claim"' in answer.text) is (policy == "claim")
    assert f'action="/q/{token}/pay"' in answer.text, "it can be tried again"


@pytest.mark.parametrize(("language", "said"), [("en", "not known here yet"), ("ja", "まだ届いていません")])
def test_a_claim_of_a_lot_without_a_line_is_said_to_come_later(site, language, said):
    with site.browser(language) as phone:
        answer = phone.get("/c/01KB3J7Z5Q8W9X2Y4V6T0R1S2N")
        assert (answer.status_code, said in answer.text) == (404, True)
        assert said not in phone.get("/c/nothing-like-a-claim").text


@pytest.mark.parametrize("policy", ["claim"], indirect=True)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_driver_leaves_now_and_pays_later(site, policy, language):
    token = site.quote()
    site.till.provider_down = True
    with site.browser(language) as phone:
        offer = phone.post(f"/q/{token}/pay").text
        assert ("700円" if language == "ja" else "¥700") in offer
        left = phone.post(f"/q/{token}/claim")
        assert left.headers["location"] == f"{site.url}/p/{token}"
        telling = phone.get(f"/p/{token}").text
        assert ("支払いを確認" if language == "ja" else "payment was accepted") not in telling
        name = site.till.payments[token].claim
        assert f"/c/{name}" in telling
        assert 'class="typed"' in telling, "its codes open the exit like those of a payment"
        site.stage(token, PaymentStage.DONE)
        done = phone.get(f"/p/{token}").text
        assert f"/c/{name}" in done
        assert ("ご利用明細" if language == "ja" else ">Receipt<") not in done, "nothing has been paid yet"
        held = phone.get(f"/c/{name}").text
        assert f"/c/{name}/pay" not in held
        site.till.claims[name] = replace(site.till.claims[name], state="due")
        site.till.provider_down = False
        due = phone.get(f"/c/{name}").text
        assert ("未払い" if language == "ja" else "still to be paid") in due
        hosted = phone.post(f"/c/{name}/pay")
        assert hosted.headers["location"].startswith(site.sandbox.url + "/pay/")
        assert ("お支払いの手続きを待って" if language == "ja" else "Waiting for your payment") in phone.get(
            f"/c/{name}"
        ).text
        site.till.claims[name] = replace(site.till.claims[name], state="paid", paying=False)
        paid = phone.get(f"/c/{name}").text
        assert ("お支払いが済みました" if language == "ja" else "It is paid") in paid
        again = phone.post(f"/c/{name}/pay")
    assert again.status_code == 409
    assert f'action="/c/{name}/pay"' not in paid + again.text


@pytest.mark.parametrize("policy", ["claim"], indirect=True)
def test_a_claim_that_is_over_sends_to_the_operator(site, policy):
    token = site.quote()
    site.till.provider_down = True
    with site.browser("en") as phone:
        phone.post(f"/q/{token}/claim")
        name = site.till.payments[token].claim
        for values in ({"state": "expired"}, {"state": "due", "until": datetime.now(UTC) - timedelta(seconds=1)}):
            site.till.claims[name] = replace(site.till.claims[name], **values)
            page = phone.get(f"/c/{name}").text
            assert "contact the operator" in page
            assert "/pay" not in page.replace("Pay for parking", "")


@pytest.mark.parametrize("policy", ["claim"], indirect=True)
def test_a_claim_whose_provider_is_down_stays_payable(site, policy):
    token = site.quote()
    site.till.provider_down = True
    with site.browser("en") as phone:
        phone.post(f"/q/{token}/claim")
        name = site.till.payments[token].claim
        site.till.claims[name] = replace(site.till.claims[name], state="due")
        answer = phone.post(f"/c/{name}/pay")
    assert answer.status_code == 502
    assert "cannot be reached" in answer.text
    assert f'action="/c/{name}/pay"' in answer.text


@pytest.mark.parametrize("policy", ["hold"], indirect=True)
def test_where_the_policy_is_to_hold_nobody_leaves_against_a_claim(site, policy):
    token = site.quote()
    site.till.provider_down = True
    with site.browser("en") as phone:
        answer = phone.post(f"/q/{token}/claim")
        assert answer.status_code == 409
        assert "does not let you pay later" in answer.text
        assert phone.get("/c/0123456789").status_code == 404
        assert phone.get(f"/q/{token}/claim").headers["location"] == f"/q/{token}"
