"""The driver's pages over plain HTTP: no JavaScript anywhere in this file."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from cloud.views import PaymentStage
from parking.errors import Code, DaikoError, Environment, Refused
from parking.stay import NameKind

LANGUAGES = ("ja", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_driver_without_javascript_pays_and_gets_a_receipt(site, language):
    bay = site.park()
    with site.browser(language) as phone:
        assert phone.get("/", params={"code": "ｗａｋａｂａ 1"}).headers["location"] == "/l/WAKABA1"
        lot = phone.get(f"/l/WAKABA1/{bay}")
        assert f'value="{bay}"' in lot.text
        quoted = phone.post("/l/WAKABA1/fee", data={"name": bay})
        assert quoted.status_code == 303
        fee = phone.get(quoted.headers["location"])
        assert ("700円" if language == "ja" else "¥700") in fee.text
        token = quoted.headers["location"].removeprefix("/q/")
        hosted = phone.post(f"/q/{token}/pay")
        assert hosted.status_code == 303
        assert hosted.headers["location"].startswith(site.sandbox.url + "/pay/")
        assert "SANDBOX" in phone.get(hosted.headers["location"]).text
        back = phone.post(hosted.headers["location"], data={"press": "approve"})
        assert back.headers["location"] == f"{site.url}/p/{token}"
        site.wait(lambda: site.till.payments[token].stage is PaymentStage.RELEASING)
        telling = phone.get(f"/p/{token}").text
        assert '<noscript><meta http-equiv="refresh"' in telling
        site.stage(token, PaymentStage.DONE)
        receipt = phone.get(f"/p/{token}").text
    assert "http-equiv" not in receipt
    for promised in ("DK-1001-42", bay, "若葉町第1駐車場" if language == "ja" else "Wakaba-cho Lot 1", 'class="qr"'):
        assert promised in receipt
    assert ("ご利用明細" if language == "ja" else "Receipt") in receipt


def test_the_return_from_the_provider_completes_nothing(site):
    token = site.quote()
    site.pay(token)
    with site.browser("en") as phone:
        page = phone.get(f"/p/{token}", params={"status": "success"}).text
    assert "Waiting for your payment" in page
    assert site.till.payments[token].stage is PaymentStage.OPEN


@pytest.mark.parametrize("stage", [PaymentStage.OPEN, PaymentStage.RELEASING, PaymentStage.ATTENDANT])
@pytest.mark.parametrize("lot", ["bays", "gated"])
def test_no_page_says_that_the_way_is_free_before_the_lot_has_acted(site, lots, lot, stage):
    token = site.quote(lots[lot], "OUT1" if lot == "gated" else "")
    site.pay(token)
    site.stage(token, stage)
    with site.browser("en") as phone:
        page = phone.get(f"/p/{token}").text
    assert "opening" not in page
    assert "plate is down" not in page
    site.stage(token, PaymentStage.DONE)
    with site.browser("en") as phone:
        page = phone.get(f"/p/{token}").text
    assert ("The gate is opening" if lot == "gated" else "The lock plate is down") in page


def test_a_ticket_paid_away_from_the_exit_promises_no_gate(site, lots):
    token = site.quote(lots["gated"])
    site.pay(token)
    site.stage(token, PaymentStage.DONE)
    with site.browser("en") as phone:
        assert "Your parking is paid" in phone.get(f"/p/{token}").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_in_doubt_sends_the_driver_to_the_attendant_with_reference_and_code(site, language):
    token = site.quote()
    site.pay(token)
    site.stage(token, PaymentStage.ATTENDANT, code=Code.NO_REPLY.value)
    with site.browser(language) as phone:
        page = phone.get(f"/p/{token}").text
    assert ("係員" if language == "ja" else "Show this page to the attendant") in page
    assert ("もう一度支払わず" if language == "ja" else "Do not pay again") in page
    assert page.count("DK-1001-42") >= 2
    assert 'role="img"' in page


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("already-paid", "had already been paid"),
        ("provider", "could not process"),
        ("expired", "not finished in time"),
        ("something-new", "cancelled"),
    ],
)
def test_not_charged_says_why(site, code, said):
    token = site.quote()
    site.pay(token)
    site.stage(token, PaymentStage.NOT_CHARGED, code=code)
    with site.browser("en") as phone:
        page = phone.get(f"/p/{token}").text
    assert "You were not charged" in page
    assert "¥700" not in page, "an amount would look like a charge"
    assert said in page


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Refused(Code.ALREADY_PAID, "cash"), 409, "Already paid"),
        (Environment(Code.LOT_OFFLINE, "down"), 503, "cannot be reached"),
        (Environment(Code.DEVICE_UNAVAILABLE, "down"), 503, "does not answer"),
        (Refused(Code.RATE_LIMITED, "slow down"), 429, "Please wait"),
        (DaikoError(Code.BUG, "secret internals"), 500, "our side"),
    ],
)
def test_a_fee_that_cannot_be_told_says_what_to_do(site, error, status, words):
    bay = site.park(error=error)
    with site.browser("en") as phone:
        answer = phone.post("/l/WAKABA1/fee", data={"name": bay})
    assert answer.status_code == status
    assert words in answer.text
    assert f'value="{bay}"' in answer.text, "what was typed must not be lost"
    assert error.detail not in answer.text


def test_a_malformed_number_is_told_as_such(site):
    with site.browser("en") as phone:
        answer = phone.post("/l/WAKABA1/fee", data={"name": "<script>alert(1)</script>"})
    assert answer.status_code == 400
    assert "not a valid number" in answer.text
    assert "<script>alert" not in answer.text


def test_unknown_lot_and_unknown_stay_answer_in_the_same_shape(site):
    with site.browser("en") as phone:
        lot, stay = phone.get("/l/NXSVCH99"), phone.post("/l/WAKABA1/fee", data={"name": "77777"})
    assert lot.status_code == stay.status_code == 404
    for answer in (lot, stay):
        assert 'class="problem" role="alert"' in answer.text
        assert "<form" in answer.text
    assert lot.headers.keys() == stay.headers.keys()


def test_an_exit_that_the_lot_does_not_have_is_refused(site):
    with site.browser("en") as phone:
        assert phone.get("/l/MNAM12K/OUT1").status_code == 200
        answer = phone.get("/l/MNAM12K/OUT9")
    assert answer.status_code == 404
    assert "Exit not found" in answer.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_expired_fee_offers_to_calculate_again(site, language):
    token = site.quote(lease=timedelta(seconds=-1))
    with site.browser(language) as phone:
        for answer in (phone.get(f"/q/{token}"), phone.post(f"/q/{token}/pay")):
            assert answer.status_code == 410
            assert ("もう一度計算する" if language == "ja" else "Calculate again") in answer.text
    again = dict(re.findall(r'name="(name|exit)" value="([^"]*)"', answer.text))
    with site.browser(language) as phone:
        assert phone.post("/l/WAKABA1/fee", data=again).status_code == 303


def test_a_fee_that_is_being_paid_leads_to_its_payment(site):
    token = site.quote()
    site.pay(token)
    with site.browser() as phone:
        assert phone.get(f"/q/{token}").status_code == 200, "an open page can be gone back to"
        site.stage(token, PaymentStage.RELEASING)
        assert phone.get(f"/q/{token}").headers["location"] == f"/p/{token}"


def test_the_guard_against_the_wrong_bay_shows_since_when_in_local_time(site):
    entered = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=92)
    token = site.quote()
    local = (entered + timedelta(hours=9)).strftime("%H:%M")
    with site.browser("en") as phone:
        page = phone.get(f"/q/{token}").text
    assert local in page
    assert "1 h 32 min" in page
    assert "Is this you?" in page
    for line in ("Day, ¥200 per 20 min × 3", "Night, ¥100 per 60 min × 1", "¥600", "¥100"):
        assert line in page


def test_a_stay_that_costs_nothing_can_leave_by_a_button(site, lots):
    for lot, exit_ in (("bays", ""), ("gated", "OUT1")):
        token = site.quote(lots[lot], exit_, amount=0)
        with site.browser("en") as phone:
            page = phone.get(f"/q/{token}").text
            assert "nothing to pay right now" in page
            assert "Leave now" in page
            went = phone.post(f"/q/{token}/pay")
            assert went.headers["location"] == f"{site.url}/p/{token}"
            telling = phone.get(f"/p/{token}").text
        assert "Please do not drive yet" in telling
        assert "payment was accepted" not in telling


def test_where_no_exit_of_ours_follows_there_is_nothing_to_press(site, lots):
    token = site.quote(lots["gated"], amount=0)
    with site.browser("en") as phone:
        page = phone.get(f"/q/{token}").text
    assert "nothing to pay right now" in page
    assert f"/q/{token}/pay" not in page


def test_a_phone_far_from_the_lot_must_confirm(site):
    bay, far = site.park(), {"lat": "35.6971", "lon": "139.4138"}
    with site.browser("en") as phone:
        assert "far from this car park" in phone.get("/l/WAKABA1", params=far).text
        refused = phone.post("/l/WAKABA1/fee", data={"name": bay, **far})
        assert refused.status_code == 409
        assert 'name="confirmed"' in refused.text
        assert phone.post("/l/WAKABA1/fee", data={"name": bay, **far, "confirmed": "yes"}).status_code == 303


def test_a_phone_at_the_lot_is_not_bothered(site):
    bay, here = site.park(), {"lat": "35.71425", "lon": "139.43310"}
    with site.browser("en") as phone:
        assert "close to this car park" in phone.get("/l/WAKABA1", params=here).text
        assert phone.post("/l/WAKABA1/fee", data={"name": bay, **here}).status_code == 303


def test_a_vague_position_is_granted_its_error_up_to_a_limit(site):
    blurred = {"lat": "35.7163", "lon": "139.4330"}  # 233 m north of a lot with a radius of 80 m
    with site.browser("en") as phone:
        assert "far from" in phone.get("/l/WAKABA1", params=blurred).text
        assert "far from" not in phone.get("/l/WAKABA1", params={**blurred, "acc": "200"}).text
        assert "far from" in phone.get("/l/WAKABA1", params={"lat": "35.8", "lon": "139.4330", "acc": "99999"}).text


def test_lots_near_the_phone_are_listed_nearest_first(site):
    with site.browser("en") as phone:
        page = phone.get("/near", params={"lat": "35.6975", "lon": "139.4140"}).text
        assert page.index("Minamiguchi") < page.index("Wakaba-cho")
        assert "None of our car parks" in phone.get("/near", params={"lat": "43", "lon": "141"}).text
        for senseless in ({}, {"lat": "x", "lon": "1"}, {"lat": "nan", "lon": "1"}, {"lat": "91", "lon": "0"}):
            assert phone.get("/near", params=senseless).status_code == 400


def test_a_plate_never_stands_in_an_address(site, lots):
    plate = site.park(lots["plates"], "品川300あ1234")
    with site.browser() as phone:
        answer = phone.post("/l/PARATE9/fee", data={"name": plate})
        page = phone.get(answer.headers["location"])
    assert plate not in page.text
    addresses = re.findall(r'(?:href|action|src)="([^"]*)"', page.text)
    assert not any("1234" in address or "%" in address for address in [*addresses, answer.headers["location"]])


def test_a_plate_is_shown_by_its_last_digits_to_the_phone_that_typed_it_and_to_no_other(site, lots):
    plate = site.park(lots["plates"], "品川300あ1234")
    with site.browser("en") as phone, site.browser("en") as other:
        where = phone.post("/l/PARATE9/fee", data={"name": "品川３００ア１２－３４"}).headers["location"]
        kept = phone.cookies["car"]
        pages = [phone.get(where).text, other.get(where).text]
        site.pay(where.removeprefix("/q/"))
        pages += [phone.get(where.replace("/q/", "/p/")).text, other.get(where.replace("/q/", "/p/")).text]
    assert kept.endswith(".34")
    for one, others in (pages[:2], pages[2:]):
        assert "plate ending in 34" in one
        assert "the plate that you typed" in others
        assert not any(plate[-4:] in page for page in (one, others))


def test_a_car_is_remembered_for_its_own_fee_only_and_nothing_is_where_lots_do_not_go_by_plates(site, lots):
    site.park(lots["plates"], "品川300あ1234")
    site.park(lots["plates"], "品川300あ5678")
    with site.browser("en") as phone:
        first = phone.post("/l/PARATE9/fee", data={"name": "品川300あ1234"}).headers["location"]
        phone.post("/l/PARATE9/fee", data={"name": "品川300あ5678"})
        assert "the plate that you typed" in phone.get(first).text
    bay = site.park()
    with site.browser("en") as phone:
        phone.get(phone.post(f"/l/{lots['bays'].code}/fee", data={"name": bay}).headers["location"])
        assert "car" not in phone.cookies


def test_an_expired_fee_of_a_plate_leads_back_to_the_form_for_nobody_knows_the_plate(site, lots):
    plate = site.park(lots["plates"], "品川300あ1234", lease=timedelta(0))
    with site.browser() as phone:
        page = phone.get(phone.post("/l/PARATE9/fee", data={"name": plate}).headers["location"])
    assert page.status_code == 410
    assert plate not in page.text
    assert 'name="name"' not in page.text
    assert 'href="/l/PARATE9"' in page.text


def test_the_language_is_asked_for_remembered_or_preferred(site):
    with site.browser("fr-FR, en;q=0.5, ja;q=0.9") as phone:
        assert '<html lang="ja">' in phone.get("/").text
        asked = phone.get("/", params={"lang": "en"})
        assert '<html lang="en">' in asked.text
        assert list(phone.cookies) == ["lang"]
        assert '<html lang="en">' in phone.get("/").text
    with site.browser("de") as phone:
        assert '<html lang="en">' in phone.get("/").text
        phone.get(f"/q/{site.quote()}")
        assert not phone.cookies, "nothing but a chosen language is remembered"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["/nothing/here", "/q/unknown", "/p/unknown", "/p/unknown/events"])
def test_dead_links_are_told_in_both_languages(site, language, path):
    with site.browser(language) as phone:
        answer = phone.get(path)
    assert answer.status_code == 404
    assert ("ページが見つかりません" if language == "ja" else "Page not found") in answer.text
    assert f'<html lang="{language}">' in answer.text


def test_a_defect_of_ours_is_a_page_without_its_trace(site):
    site.till.broken = RuntimeError("the database password is hunter2")
    try:
        with site.browser("en") as phone:
            answer = phone.get("/l/WAKABA1")
    finally:
        site.till.broken = None
    assert answer.status_code == 500
    assert "our side" in answer.text
    assert "hunter2" not in answer.text


def test_every_page_carries_its_protection(site):
    token = site.quote()
    site.pay(token)
    with site.browser() as phone:
        answers = [phone.get(path) for path in ("/", "/l/WAKABA1", f"/q/{token}", f"/p/{token}", "/l/NXSVCH99", "/x")]
        answers.append(phone.post(f"/q/{token}/pay"))
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<style|style=|\son\w+=|<script(?! src=)", answer.text), "the policy would block it"


def test_reloading_a_forms_address_leads_back_to_the_form(site):
    with site.browser() as phone:
        assert phone.get("/l/WAKABA1/fee").headers["location"] == "/l/WAKABA1"
        assert phone.get("/q/abc/pay").headers["location"] == "/q/abc"


def test_an_oversized_form_is_refused(site):
    with site.browser() as phone:
        assert phone.post("/l/WAKABA1/fee", data={"name": "1" * 20_000}).status_code == 413


def test_changes_are_streamed_as_they_happen(site):
    token = site.quote()
    site.pay(token)
    with site.browser() as phone, phone.stream("GET", f"/p/{token}/events", params={"version": 1}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        site.stage(token, PaymentStage.RELEASING)
        site.stage(token, PaymentStage.DONE)
        text = "".join(stream.iter_text())
    assert text.rstrip().endswith("data: done")
    assert "id: 3" in text


def test_a_stream_resumes_after_the_last_event_that_was_seen(site):
    token = site.quote()
    site.pay(token)
    site.stage(token, PaymentStage.RELEASING)
    site.stage(token, PaymentStage.DONE)
    with site.browser() as phone, phone.stream("GET", f"/p/{token}/events", headers={"last-event-id": "2"}) as stream:
        text = "".join(stream.iter_text())
    assert text.count("event: changed") == 1


def test_a_lot_names_its_stays_its_own_way(site, lots):
    with site.browser("en") as phone:
        for lot in lots.values():
            wanted = {NameKind.BAY: "Bay number", NameKind.TICKET: "Ticket number", NameKind.PLATE: "Number plate"}
            assert wanted[lot.names] in phone.get(f"/l/{lot.code}").text
        gated = phone.get("/l/MNAM12K/OUT1").text
    assert re.search(r'value="OUT1" checked', gated)
