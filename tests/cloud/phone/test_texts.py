"""What drivers read exists in every language, for everything that can happen to them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud import texts, views
from cloud.claims import ClaimState
from cloud.phone_errors import STATUS
from cloud.policy import WhenDown
from cloud.texts import CATALOGUES, Texts, choose
from cloud.views import Cashier, PaymentStage
from parking.errors import Code
from parking.stay import NameKind

ROOT = Path(views.__file__).parent


def fields(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def test_all_languages_say_the_same_things_and_leave_nothing_empty():
    ja, en = CATALOGUES["ja"], CATALOGUES["en"]
    assert ja.keys() == en.keys()
    for key in ja:
        assert ja[key].strip(), key
        assert en[key].strip(), key
        assert fields(ja[key]) == fields(en[key]), key


def test_japanese_is_japanese_and_english_is_english():
    kana = re.compile(r"[぀-ヿ一-鿿]")
    for key, text in CATALOGUES["ja"].items():
        assert kana.search(text), f"{key} is not in Japanese"
    for key, text in CATALOGUES["en"].items():
        assert not kana.search(text), f"{key} is not in English"


def promised_codes() -> set[str]:
    """Every code that the Cashier's own documentation says it raises."""
    documented = " ".join(method.__doc__ or "" for method in vars(Cashier).values() if callable(method))
    return {word for word in re.findall(r"\b[A-Z][A-Z_]{3,}\b", documented) if word in Code.__members__}


@pytest.mark.parametrize("language", list(CATALOGUES))
def test_every_error_that_reaches_a_driver_says_what_to_do(language):
    codes = {Code[name] for name in promised_codes()} | set(STATUS)
    assert len(codes) >= 12
    for code in codes:
        title, remedy = Texts(language).problem(code)
        assert code in STATUS, f"{code} has no HTTP status"
        assert (title, remedy) != Texts(language).problem("bug"), f"{code} reads as a defect of ours"


@pytest.mark.parametrize("language", list(CATALOGUES))
def test_every_way_to_end_uncharged_has_its_reason(language):
    t = Texts(language)
    codes = (
        Code.ALREADY_PAID, Code.STAY_UNKNOWN, Code.STAY_CHANGED, Code.WRONG_AMOUNT, Code.EXPIRED, Code.DEVICE_REFUSED,
        Code.DEVICE_UNAVAILABLE, Code.EXIT_UNKNOWN, Code.OVERRIDDEN, Code.NOT_SETTLED, Code.QUOTE_EXPIRED,
        Code.LOT_OFFLINE, Code.PROVIDER, Code.NOT_OBSERVED,
    )  # fmt: skip
    for code in codes:
        assert t.reason(code, "bay") != t.reason("anything else", "bay"), code


def test_templates_ask_only_for_texts_that_exist():
    for template in (ROOT / "templates").rglob("*.html"):
        for key in re.findall(r"\bt\(\"([a-z_.]+)\"", template.read_text(encoding="utf-8")):
            begins = key.endswith(".") and any(known.startswith(key) for known in CATALOGUES["ja"])
            assert key in CATALOGUES["ja"] or begins, f"{template.name}: {key}"
    for kind in NameKind:
        for group in ("lot.name", "lot.hint", "quote.since"):
            assert f"{group}.{kind.value}" in CATALOGUES["ja"]
    for stage in PaymentStage:
        assert stage is PaymentStage.DONE or f"pay.{stage.value}" in CATALOGUES["ja"]
    for state in ("over", "paying", *ClaimState):
        assert f"claim.is.{state}" in CATALOGUES["ja"]
        assert f"claim.do.{state}" in CATALOGUES["ja"]
    for policy in WhenDown:
        assert f"down.{policy.value}" in CATALOGUES["ja"]
    for way in ("paid", "claim", "free"):
        assert f"pay.releasing_do.{way}" in CATALOGUES["ja"]
        assert f"pay.attendant_do.{way}" in CATALOGUES["ja"]


def test_no_text_promises_an_open_way_except_when_done():
    for key, text in CATALOGUES["en"].items():
        if not key.startswith("pay.done"):
            assert "is opening" not in text, key
            assert "is down" not in text, key


@pytest.mark.parametrize(
    ("asked", "remembered", "accept", "chosen"),
    [
        ("en", "ja", "ja", "en"),
        ("xx", "en", "ja", "en"),
        ("", "", "", "ja"),
        ("", "", "en-GB,en;q=0.9,ja;q=0.8", "en"),
        ("", "", "zh-CN, ja;q=0.3", "ja"),
        ("", "", "zh-CN,ko", "en"),
        ("", "", "ja;q=0, en;q=0.1", "en"),
        ("", "", ";;;,q=1,ja;q=x", "en"),
    ],
)
def test_the_language_is_asked_for_then_remembered_then_preferred(asked, remembered, accept, chosen):
    assert choose(asked, remembered, accept) == chosen


def test_times_are_written_in_the_lots_own_zone():
    at = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
    ja, en = Texts("ja"), Texts("en")
    assert ja.clock(at, "Asia/Tokyo", at + timedelta(hours=2)) == "00:30"
    assert ja.clock(at, "Asia/Tokyo", at - timedelta(hours=2)) == "2026年11月24日 00:30"
    assert en.date(at, "Asia/Tokyo") == "24 Nov 2026 00:30"
    assert en.duration(timedelta(minutes=59, seconds=59)) == "59 min"
    assert ja.duration(timedelta(hours=25)) == "25時間0分"
    assert ja.duration(timedelta(seconds=-5)) == "0分"


def test_a_lots_own_name_falls_back_to_english_then_to_anything():
    assert Texts("ja").pick({"en": "Lot"}) == "Lot"
    assert Texts("en").pick({"ja": "駐車場"}) == "駐車場"
    assert Texts("en").pick({}) == ""


def test_the_languages_are_offered_by_their_own_names():
    assert {tag: Texts(tag)("language.name") for tag in texts.CATALOGUES} == {"ja": "日本語", "en": "English"}


def test_distances_are_said_in_metres_or_kilometres():
    assert [Texts("ja").distance(metres) for metres in (0, 350, 999, 1000, 2573)] == [
        "0 m", "350 m", "999 m", "1.0 km", "2.6 km",
    ]  # fmt: skip


@pytest.mark.parametrize("language", list(CATALOGUES))
def test_at_a_pay_station_nobody_is_told_of_a_car(language):
    t = Texts(language)
    for code in (Code.STAY_UNKNOWN, Code.STAY_CHANGED):
        assert t.reason(code, "desk") != t.reason(code, "bay"), code
    assert t.problem(Code.STAY_UNKNOWN, "desk") != t.problem(Code.STAY_UNKNOWN, "bay") == t.problem(Code.STAY_UNKNOWN)
