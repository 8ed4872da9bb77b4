"""A stay has one name, however it is typed; and one key, from which it can be read back."""

import sys
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.errors import BadMessage, Code
from parking.stay import (
    NAME_BYTES,
    NameKind,
    StayRef,
    is_plate_token,
    normalise,
    parse_key,
    plate_token,
    strike_out,
)

ENTERED = datetime(2026, 4, 1, 0, 15, tzinfo=UTC)
KINDS = st.sampled_from(NameKind)

SPELLINGS = [
    (NameKind.BAY, "7", "7"),
    (NameKind.BAY, "007", "7"),
    (NameKind.BAY, "0", "0"),
    (NameKind.BAY, "000", "0"),
    (NameKind.BAY, "１２３", "123"),
    (NameKind.BAY, "A7", "A7"),
    (NameKind.BAY, "a-7", "A7"),
    (NameKind.BAY, "Ａ－０７", "A7"),
    (NameKind.BAY, " a　07 ", "A7"),
    (NameKind.BAY, "A‐０７", "A7"),
    (NameKind.BAY, "A−07", "A7"),
    (NameKind.BAY, "Aー07", "A7"),
    (NameKind.BAY, "A100", "A100"),
    (NameKind.BAY, "B10A05", "B10A5"),
    (NameKind.BAY, "ア１", "あ1"),
    (NameKind.BAY, "ｱ1", "あ1"),
    (NameKind.BAY, "⑫", "12"),
    (NameKind.TICKET, "000123", "000123"),
    (NameKind.TICKET, "０００１２３", "000123"),
    (NameKind.TICKET, "0001-23", "000123"),
    (NameKind.PLATE, "品川 300 あ 12-34", "品川300あ1234"),
    (NameKind.PLATE, "品川３００ ア １２－３４", "品川300あ1234"),
    (NameKind.PLATE, "品川300ｱ12-34", "品川300あ1234"),
    (NameKind.PLATE, "品川 300 あ ・・・1", "品川300あ1"),
    (NameKind.PLATE, "なにわ 500 ﾊﾞ 5", "なにわ500ば5"),
]


@pytest.mark.parametrize(("kind", "typed", "name"), SPELLINGS, ids=lambda value: str(value))
def test_spellings_fold_to_one_name(kind: NameKind, typed: str, name: str) -> None:
    assert normalise(kind, typed) == name


@pytest.mark.parametrize("kind", NameKind)
@pytest.mark.parametrize(
    "typed", ["", " ", "--", "\0", "7\0", "7;", "7'", "<b>", "７\u202e", "ー", "゛", "あ" * 11, "1" * (NAME_BYTES + 1)]
)
def test_what_is_no_name_is_refused_with_its_kind_and_a_remedy(kind: NameKind, typed: str) -> None:
    with pytest.raises(BadMessage) as refused:
        normalise(kind, typed)
    assert refused.value.code is Code.BAD_NAME
    assert kind.value in refused.value.detail
    assert str(NAME_BYTES) in refused.value.remedy


def test_a_refusal_does_not_repeat_a_flood() -> None:
    with pytest.raises(BadMessage) as refused:
        normalise(NameKind.BAY, "x" * 100_000)
    assert len(str(refused.value)) < 200


def test_the_longest_name_fits_exactly() -> None:
    assert normalise(NameKind.TICKET, "1" * NAME_BYTES) == "1" * NAME_BYTES


def _stays_folded(kind: NameKind, typed: str) -> None:
    try:
        name = normalise(kind, typed)
    except BadMessage:
        return
    assert normalise(kind, name) == name
    assert name.isalnum()
    assert len(name.encode()) <= NAME_BYTES


@given(KINDS, st.text(max_size=40))
def test_folding_twice_changes_nothing(kind: NameKind, typed: str) -> None:
    _stays_folded(kind, typed)


def test_no_letter_of_any_script_folds_differently_the_second_time() -> None:
    for code in (*range(0xD800), *range(0xE000, 0x10000), *range(0x1D400, 0x1D800), sys.maxunicode):
        _stays_folded(NameKind.PLATE, f"1{chr(code)}")


@st.composite
def stays(draw: st.DrawFn) -> StayRef:
    kind = draw(KINDS)
    name = normalise(kind, draw(st.text("0123456789ABCあいうア品川", min_size=1, max_size=10)))
    entered = draw(st.none() | st.integers(1, 2**32 - 1))
    return StayRef(kind, name, None if entered is None else datetime.fromtimestamp(entered, UTC))


@given(stays())
def test_a_stay_is_read_back_from_its_key(stay: StayRef) -> None:
    assert parse_key(stay.key) == stay


def test_the_key_is_the_documented_text() -> None:
    assert StayRef(NameKind.BAY, "A7", datetime.fromtimestamp(1766000000, UTC)).key == "bay:A7@1766000000"
    assert StayRef(NameKind.TICKET, "000123").key == "ticket:000123"


def test_a_stay_has_one_key_in_every_time_zone() -> None:
    tokyo = ENTERED.astimezone(timezone(timedelta(hours=9)))
    assert StayRef(NameKind.BAY, "7", tokyo).key == StayRef(NameKind.BAY, "7", ENTERED).key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "bay",
        "bay:",
        "7",
        "bay7",
        "car:7",
        "bay:7@",
        "bay:7@x",
        "bay:7@1e9",
        "bay:7@" + "9" * 30,
        "bay:7@176600001766000000",
        f"bay:7@{2**63 - 1}",
        "bay:007",
        "bay:a7",
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadMessage) as refused:
        parse_key(key)
    assert refused.value.code is Code.BAD_NAME


@given(st.text(max_size=60))
def test_a_hostile_key_is_refused_or_a_stay(key: str) -> None:
    try:
        stay = parse_key(key)
    except BadMessage:
        return
    assert parse_key(stay.key) == stay


@pytest.mark.parametrize("name", ["007", "a7", "A-7", "", "７"])
def test_a_stay_takes_folded_names_only(name: str) -> None:
    with pytest.raises(BadMessage):
        StayRef(NameKind.BAY, name)


@pytest.mark.parametrize("entered", [ENTERED.replace(tzinfo=None), ENTERED.replace(microsecond=1)])
def test_an_entry_time_is_aware_and_in_whole_seconds(entered: datetime) -> None:
    with pytest.raises(BadMessage, match="whole seconds"):
        StayRef(NameKind.BAY, "7", entered)


def test_todays_car_is_not_yesterdays() -> None:
    today, yesterday = (StayRef(NameKind.BAY, "7", ENTERED - timedelta(days=days)) for days in (0, 1))
    unknown = StayRef(NameKind.BAY, "7")
    assert today.same_as(today)
    assert not today.same_as(yesterday)
    assert today.same_as(unknown)
    assert unknown.same_as(yesterday)
    assert not unknown.same_as(StayRef(NameKind.BAY, "8"))
    assert not unknown.same_as(StayRef(NameKind.TICKET, "7"))


# --- plates -----------------------------------------------------------------------------------------------------------

KEY = bytes(range(32))


def test_a_token_is_the_same_for_every_spelling_and_known_to_who_has_the_key_only():
    token = plate_token(KEY, "品川 330 あ 73-91")
    assert token == plate_token(KEY, "品川３３０ｱ７３・９１")
    assert token != plate_token(bytes(32), "品川 330 あ 73-91")
    assert token != plate_token(KEY, "品川 330 あ 73-92")


def test_the_token_of_a_plate_is_pinned_for_both_sides_must_make_the_same():
    assert plate_token(KEY, "品川330あ7391") == "DC9T1SZT9GYF5ADK7HWJ"


@given(st.text("0123456789ABCあいう品川", min_size=1, max_size=10))
def test_a_token_is_a_name_fits_where_plates_fit_and_is_told_from_them(plate):
    token = plate_token(KEY, plate)
    assert StayRef(NameKind.PLATE, token).name == token
    assert len(token.encode()) == 20
    assert is_plate_token(token)
    assert not is_plate_token(plate)


@pytest.mark.parametrize("make", [
    lambda text: normalise(NameKind.PLATE, text), lambda text: StayRef(NameKind.PLATE, text),
    lambda text: parse_key(f"plate:{text}"), lambda text: parse_key(f"plate:{text}@soon"),
    lambda text: plate_token(KEY, text),
])  # fmt: skip
def test_no_error_repeats_what_may_be_a_plate(make):
    with pytest.raises(BadMessage) as caught:
        make("品川 330 あ 73-91!")
    assert "73-91" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "struck"),
    [
        ("車は品川330あ7391です", "車は***です"),
        ("品川 330 ｱ 73-91, 横浜 301 む 95-28 both", "***, *** both"),
        ("（品川３３０あ・・７３９１）", "(***)"),
        ("nothing ｏｆ it", "nothing ｏｆ it"),
        ("品川330あ739", "品川330あ739"),
        ("", ""),
    ],
)
def test_plates_are_struck_out_of_texts_in_every_spelling(text, struck):
    assert strike_out(text, ["品川330あ7391", "横浜301む9528"]) == struck


@given(st.text(), st.lists(st.text("0123456789あいう", min_size=1, max_size=6)), st.text())
def test_after_striking_out_no_plate_can_be_read_any_more(before, plates, after):
    text = strike_out(before + "".join(plates) + after, plates)
    folded = unicodedata.normalize("NFKC", text).upper()
    assert not any(plate in folded for plate in plates)
