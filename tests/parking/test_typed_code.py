"""A typed code is exactly its documented digits, and fits one payment of one stay in one lot alone."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.completion import CODE_AHEAD, CODE_DIGITS, CODE_MOST_YEN, Completion, Typed, read_code, typed_code
from parking.errors import BadMessage, Code
from parking.money import Yen
from parking.stay import LotId, NameKind, StayRef, normalise, parse_key

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "vectors" / "typed_code.toml").read_text(encoding="utf-8"))
golden = pytest.mark.parametrize("vector", GOLDEN["code"], ids=lambda vector: vector["name"])

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
PAID = datetime(2026, 11, 24, 3, 4, 5, tzinfo=UTC)
BAY7 = Completion(
    1,
    LotId(1001),
    42,
    StayRef(NameKind.BAY, "7", PAID - timedelta(hours=2)),
    Yen(1200),
    PAID,
    PAID + timedelta(minutes=15),
)
CODE = typed_code(BAY7, 1, KEY)


def read(text: str = CODE, **other: Any) -> Typed:
    """By default as the lot reads BAY7's code right after the payment."""
    asked: dict[str, Any] = {"keys": {1: KEY}, "lot": BAY7.lot, "stay": BAY7.stay, "after": 41, "now": PAID} | other
    return read_code(text, **asked)


def is_wrong(text: str = CODE, **other: Any) -> bool:
    try:
        read(text, **other)
    except BadMessage as error:
        return error.code is Code.WRONG_CODE
    return False


def golden_completion(vector: dict[str, Any]) -> Completion:
    paid = vector["paid_at"]
    stay = parse_key(vector["stay"])
    return Completion(1, LotId(vector["lot"]), vector["number"], stay, Yen(vector["amount"]), paid, paid)


@golden
def test_the_code_is_the_one_worked_out_by_hand(vector: dict[str, Any]) -> None:
    assert typed_code(golden_completion(vector), vector["kid"], bytes.fromhex(vector["key"])) == vector["code"]


@golden
def test_the_code_worked_out_by_hand_is_read(vector: dict[str, Any]) -> None:
    paid = golden_completion(vector)
    keys = {vector["kid"]: bytes.fromhex(vector["key"])}
    typed = read_code(vector["code"], keys, paid.lot, paid.stay, paid.number - 1, paid.paid_at)
    assert typed == Typed(paid.number, paid.stay, paid.amount, paid.paid_at.replace(second=0))


def test_the_parts_of_the_vectors_are_the_documented_ones() -> None:
    for vector in GOLDEN["code"]:
        assert [len(part) for part in vector["bits"]] == [2, 7, 10, 13, 34]
        assert len(vector["code"]) == CODE_DIGITS


seconds = st.integers(86_400, 2**32 - 1)


@st.composite
def paid_stays(draw: st.DrawFn) -> Completion:
    kind = draw(st.sampled_from(NameKind))
    entered = draw(st.none() | seconds)
    paid = datetime.fromtimestamp(draw(seconds), UTC)
    return Completion(
        key_id=1,
        lot=LotId(draw(st.integers(1, 2**32 - 1))),
        number=draw(st.integers(1, 2**32 - 1)),
        stay=StayRef(
            kind,
            normalise(kind, draw(st.text("0123456789ABあい品", min_size=1, max_size=10))),
            None if entered is None else datetime.fromtimestamp(entered, UTC),
        ),
        amount=Yen(10 * draw(st.integers(0, CODE_MOST_YEN // 10))),
        paid_at=paid,
        valid_until=paid,
    )


kids = st.integers(0, 3)
keys = st.binary(min_size=32, max_size=32)
codes = st.builds(typed_code, paid_stays(), kids, keys)


@given(paid_stays(), kids, keys, st.integers(-64, 63), st.integers(-300, 17 * 3600 - 600))
def test_what_was_paid_is_read_back(paid: Completion, kid: int, key: bytes, ahead: int, later: int) -> None:
    code = typed_code(paid, kid, key)
    assert len(code) == CODE_DIGITS
    typed = read_code(
        code, {kid: key}, paid.lot, paid.stay, paid.number + ahead, paid.paid_at + timedelta(seconds=later)
    )
    assert typed == Typed(paid.number, paid.stay, paid.amount, paid.paid_at.replace(second=0))


@given(codes, st.integers(0, CODE_DIGITS - 1), st.integers(1, 9))
def test_any_single_wrong_digit_is_caught_by_the_check_digit(code: str, at: int, more: int) -> None:
    slipped = code[:at] + str((int(code[at]) + more) % 10) + code[at + 1 :]
    with pytest.raises(BadMessage, match="mistyped") as caught:
        read(slipped)
    assert caught.value.code is Code.WRONG_CODE


@given(codes, st.integers(0, CODE_DIGITS - 2))
def test_any_swap_of_neighbours_is_caught_by_the_check_digit(code: str, at: int) -> None:
    swapped = code[:at] + code[at + 1] + code[at] + code[at + 2 :]
    if swapped != code:
        with pytest.raises(BadMessage, match="mistyped"):
            read(swapped)


@pytest.mark.parametrize(
    "spelling",
    [
        " ".join((CODE[:7], CODE[7:14], CODE[14:])),
        "-".join((CODE[:7], CODE[7:14], CODE[14:])),
        CODE.translate({ord("0") + digit: ord("０") + digit for digit in range(10)}),
        f"　{CODE[:7]}ー{CODE[7:]}\t",
    ],
    ids=ascii,
)
def test_spaces_hyphens_and_full_width_digits_do_not_matter(spelling: str) -> None:
    assert read(spelling) == read()


@pytest.mark.parametrize(
    "other",
    [
        {"lot": LotId(1002)},
        {"stay": replace(BAY7.stay, name="8")},
        {"stay": replace(BAY7.stay, kind=NameKind.TICKET)},
        {"stay": replace(BAY7.stay, entered_at=PAID - timedelta(hours=2, seconds=1))},
        {"stay": replace(BAY7.stay, entered_at=None)},
        {"keys": {1: OTHER_KEY}},
        {"keys": {0: KEY, 2: KEY, 3: KEY}},
        {"keys": {}},
        {"after": 41 + 128},
        {"after": 42 + 64},
        {"now": PAID + timedelta(minutes=1024)},
    ],
    ids=str,
)
def test_a_code_opens_no_other_lot_or_stay_nor_under_another_key(other: dict[str, Any]) -> None:
    assert is_wrong(**other)
    assert read().number == 42


@given(
    st.sampled_from(
        [
            {"number": 43},
            {"amount": Yen(1210)},
            {"paid_at": PAID + timedelta(minutes=1)},
            {"lot": LotId(7)},
            {"stay": replace(BAY7.stay, name="8")},
        ]
    )
)
def test_the_proof_of_one_payment_is_none_for_another(change: dict[str, Any]) -> None:
    """The stated parts of one code with the MAC of the other: what a forger would try first."""
    other = int(typed_code(replace(BAY7, **change), 1, KEY)[:-1])
    mac = 1 << 34
    forged = f"{int(CODE[:-1]) // mac * mac + other % mac:020d}"
    assert all(is_wrong(forged + str(check)) for check in range(10))


def test_every_other_value_of_the_stated_parts_breaks_the_proof() -> None:
    """All one-bit changes of the 66 bits, each with a right check digit."""
    for bit in range(66):
        flipped = f"{int(CODE[:-1]) ^ 1 << bit:020d}"
        assert all(is_wrong(flipped + str(check)) for check in range(10))


def test_the_number_is_found_around_what_the_lot_has() -> None:
    for after in range(42 - 64, 42 + 64):
        assert read(after=after).number == 42
    assert is_wrong(after=42 - 65)
    assert is_wrong(after=42 + 64)


def test_numbers_begin_with_one() -> None:
    zero = typed_code(replace(BAY7, number=0), 1, KEY)
    assert is_wrong(zero, after=0)
    assert read(typed_code(replace(BAY7, number=1), 1, KEY), after=0).number == 1


def test_a_clock_in_the_lot_that_is_a_little_behind_is_forgiven() -> None:
    assert read(now=PAID - CODE_AHEAD).paid_at == PAID.replace(second=0)
    assert is_wrong(now=PAID - CODE_AHEAD - timedelta(minutes=1))


@pytest.mark.parametrize("amount", [5, 1201, CODE_MOST_YEN + 10, 9_999_999])
def test_an_amount_that_does_not_fit_has_no_typed_code(amount: int) -> None:
    with pytest.raises(BadMessage) as refused:
        typed_code(replace(BAY7, amount=Yen(amount)), 1, KEY)
    assert refused.value.code is Code.BAD_COMPLETION


@pytest.mark.parametrize("kid", [-1, 4])
def test_there_are_four_key_numbers(kid: int) -> None:
    with pytest.raises(BadMessage):
        typed_code(BAY7, kid, KEY)


@pytest.mark.parametrize(
    "text", ["", "0", CODE[:-1], CODE + "0", "x" * 21, "٣" * 21, "9" * 21, "1" * 5000, CODE[:-1] + "²x"], ids=ascii
)
def test_what_is_no_code_is_wrong(text: str) -> None:
    assert is_wrong(text)


@given(st.text(max_size=60))
def test_hostile_text_is_wrong_and_nothing_worse(text: str) -> None:
    assert is_wrong(text)


@given(st.integers(0, 2**66 - 1))
def test_digits_made_up_with_a_right_check_digit_open_nothing(value: int) -> None:
    assert all(is_wrong(f"{value:020d}{check}") for check in range(10))


def test_a_refusal_does_not_tell_which_part_was_wrong() -> None:
    """Nobody learns from the answer whether lot, stay, key or number was right."""
    told = set()
    for other in ({"stay": replace(BAY7.stay, name="8")}, {"keys": {}}, {"keys": {1: OTHER_KEY}}, {"lot": LotId(2)}):
        with pytest.raises(BadMessage) as refused:
            read(**other)
        told.add(str(refused.value))
    assert len(told) == 1
