"""A completion is exactly its documented bytes, and opens nothing unless every bit of it is as it was signed (P7)."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.completion import DOMAIN, EXIT_BYTES, MOST_BYTES, Completion, from_digits, sign, to_digits, verify
from parking.errors import BadMessage, Code
from parking.money import MOST, Yen
from parking.signing import SIGNATURE_BYTES, KeyRing, SigningKey
from parking.stay import LotId, NameKind, StayRef, normalise, parse_key

GOLDEN = tomllib.loads((Path(__file__).parents[1] / "vectors" / "completion.toml").read_text(encoding="utf-8"))
SECRET, PUBLIC = bytes.fromhex(GOLDEN["secret"]), bytes.fromhex(GOLDEN["public"])
golden = pytest.mark.parametrize("vector", GOLDEN["completion"], ids=lambda vector: vector["name"])

KEY = SigningKey.from_seed(1, SECRET)
RING = KeyRing({1: PUBLIC})
PAID = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
BAY7 = Completion(
    1,
    LotId(1001),
    42,
    StayRef(NameKind.BAY, "7", PAID - timedelta(hours=2)),
    Yen(1200),
    PAID,
    PAID + timedelta(minutes=15),
)


def golden_bytes(vector: dict[str, Any]) -> bytes:
    return bytes.fromhex("".join(text for _, text in vector["fields"]) + vector["signature"])


def golden_completion(vector: dict[str, Any]) -> Completion:
    plain = {name: vector[name] for name in ("key_id", "number", "paid_at", "valid_until", "exit")}
    return Completion(lot=LotId(vector["lot"]), stay=parse_key(vector["stay"]), amount=Yen(vector["amount"]), **plain)


def refusal(packed: bytes, ring: KeyRing = RING) -> Code:
    with pytest.raises(BadMessage) as refused:
        verify(packed, ring)
    return refused.value.code


@golden
def test_signing_gives_the_bytes_written_by_hand(vector: dict[str, Any]) -> None:
    assert sign(golden_completion(vector), SigningKey.from_seed(vector["key_id"], SECRET)) == golden_bytes(vector)


@golden
def test_the_bytes_written_by_hand_are_read(vector: dict[str, Any]) -> None:
    assert verify(golden_bytes(vector), KeyRing({vector["key_id"]: PUBLIC})) == golden_completion(vector)


@golden
def test_digits_are_those_of_the_vector(vector: dict[str, Any]) -> None:
    assert to_digits(golden_bytes(vector)) == vector["digits"]
    assert from_digits(vector["digits"]) == golden_bytes(vector)


seconds = st.integers(1, 2**32 - 1)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    kind = draw(st.sampled_from(NameKind))
    entered = draw(st.none() | seconds)
    name = normalise(kind, draw(st.text("0123456789ABあい品", min_size=1, max_size=10)))
    return Completion(
        key_id=1,
        lot=LotId(draw(st.integers(1, 2**32 - 1))),
        number=draw(st.integers(1, 2**32 - 1)),
        stay=StayRef(kind, name, None if entered is None else datetime.fromtimestamp(entered, UTC)),
        amount=Yen(draw(st.integers(0, MOST))),
        paid_at=datetime.fromtimestamp(draw(seconds), UTC),
        valid_until=datetime.fromtimestamp(draw(seconds), UTC),
        exit=draw(st.text("OUT-12_", max_size=EXIT_BYTES)),
    )


@given(completions())
def test_what_is_signed_is_read_back_unchanged(completion: Completion) -> None:
    packed = sign(completion, KEY)
    assert verify(packed, RING) == completion
    assert len(packed) <= MOST_BYTES
    assert from_digits(to_digits(packed)) == packed


def test_one_flipped_bit_anywhere_is_enough_to_be_refused() -> None:
    packed = sign(BAY7, KEY)
    for bit in range(len(packed) * 8):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert refusal(bytes(flipped)) in {Code.BAD_COMPLETION, Code.BAD_SIGNATURE, Code.UNKNOWN_KEY}, bit


def test_a_completion_cut_short_anywhere_is_refused() -> None:
    packed = sign(BAY7, KEY)
    assert {refusal(packed[:length]) for length in range(len(packed))} == {Code.BAD_COMPLETION}


@given(st.binary(min_size=1, max_size=80))
def test_bytes_behind_a_completion_are_refused(tail: bytes) -> None:
    assert refusal(sign(BAY7, KEY) + tail) is Code.BAD_COMPLETION


@given(st.binary(max_size=200))
def test_hostile_bytes_are_refused(raw: bytes) -> None:
    assert refusal(raw) is Code.BAD_COMPLETION or raw[0] == 1


@given(st.binary(max_size=60), st.binary(min_size=SIGNATURE_BYTES, max_size=SIGNATURE_BYTES))
def test_hostile_fields_behind_a_right_head_are_refused(fields: bytes, signature: bytes) -> None:
    head = sign(BAY7, KEY)[:28]
    assert refusal(head + fields + signature) in {Code.BAD_COMPLETION, Code.BAD_SIGNATURE}


@pytest.mark.parametrize(
    ("at", "field"),
    [
        (0, "02"),  # version
        (11, "04"),  # kind
        (16, "00989680"),  # amount: one yen too many
        (28, "ff"),  # the name runs out of the message
        (28, "00"),  # no name
        (29, "30"),  # the name is not folded: bay 07
        (29, "ff"),  # the name is not UTF-8
        (31, "01ff"),  # the exit is not ASCII
    ],
)
def test_fields_that_cannot_be_are_refused_even_if_signed(at: int, field: str) -> None:
    stay = StayRef(NameKind.BAY, "A7")
    fields = bytearray(sign(replace(BAY7, stay=stay, exit="X"), KEY)[:-SIGNATURE_BYTES])
    fields[at : at + len(field) // 2] = bytes.fromhex(field)
    assert refusal(bytes(fields) + KEY.sign(DOMAIN, bytes(fields))) is Code.BAD_COMPLETION


def test_a_signature_for_another_purpose_does_not_count() -> None:
    packed = sign(BAY7, KEY)
    fields = packed[:-SIGNATURE_BYTES]
    assert refusal(fields + KEY.sign(b"daiko-receipt-v1", fields)) is Code.BAD_SIGNATURE
    assert refusal(fields + KEY.sign(b"", fields)) is Code.BAD_SIGNATURE


def test_anothers_key_does_not_count() -> None:
    assert refusal(sign(BAY7, SigningKey.generate(1))) is Code.BAD_SIGNATURE


def test_a_key_that_is_not_known_is_named() -> None:
    with pytest.raises(BadMessage, match="id 9") as refused:
        verify(sign(replace(BAY7, key_id=9), SigningKey.from_seed(9, SECRET)), RING)
    assert refused.value.code is Code.UNKNOWN_KEY
    assert refused.value.remedy


def test_old_and_new_keys_hold_while_keys_change() -> None:
    new = SigningKey.generate(2)
    ring = KeyRing({1: PUBLIC, 2: new.public_bytes})
    assert verify(sign(BAY7, KEY), ring) == BAY7
    assert verify(sign(replace(BAY7, key_id=2), new), ring).key_id == 2


def test_the_lot_and_the_stay_are_under_the_signature() -> None:
    packed = sign(BAY7, KEY)
    signature = packed[-SIGNATURE_BYTES:]
    for other in (replace(BAY7, lot=LotId(1002)), replace(BAY7, stay=StayRef(NameKind.BAY, "8", BAY7.stay.entered_at))):
        assert refusal(sign(other, KEY)[:-SIGNATURE_BYTES] + signature) is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"key_id": 2},
        {"key_id": 65536},
        {"lot": LotId(2**32)},
        {"lot": LotId(-1)},
        {"number": 2**32},
        {"amount": Yen(MOST + 1)},
        {"amount": Yen(-1)},
        {"exit": "x" * (EXIT_BYTES + 1)},
        {"exit": "出口1"},
        {"paid_at": PAID.replace(tzinfo=None)},
        {"valid_until": PAID.replace(microsecond=5)},
        {"valid_until": datetime(2107, 1, 1, tzinfo=UTC)},
        {"paid_at": datetime(1969, 12, 31, tzinfo=UTC)},
    ],
    ids=str,
)
def test_what_does_not_fit_is_not_signed(change: dict[str, Any]) -> None:
    completion = replace(BAY7, **change)
    key = SigningKey.from_seed(completion.key_id, SECRET) if completion.key_id == 65536 else KEY
    with pytest.raises(BadMessage):
        sign(completion, key)


def test_times_keep_their_instant_in_any_time_zone() -> None:
    tokyo = replace(BAY7, paid_at=PAID.astimezone(timezone(timedelta(hours=9))))
    assert sign(tokyo, KEY) == sign(BAY7, KEY)


@pytest.mark.parametrize(
    "digits", ["", " ", "-1", "+1", "1.0", "1_000", "0x10", "12a", "１２３", "٣", "9" * 400, "1\n"]
)
def test_a_code_of_anything_but_digits_is_refused(digits: str) -> None:
    with pytest.raises(BadMessage) as refused:
        from_digits(digits)
    assert refused.value.code is Code.BAD_COMPLETION


@given(st.text("0123456789", min_size=1, max_size=355))
def test_hostile_digits_open_nothing(digits: str) -> None:
    with pytest.raises(BadMessage):
        verify(from_digits(digits), RING)


def test_the_longest_completion_is_still_a_code_that_can_be_read() -> None:
    longest = replace(BAY7, stay=StayRef(NameKind.TICKET, "9" * 32), exit="x" * EXIT_BYTES)
    packed = sign(longest, KEY)
    assert len(packed) == MOST_BYTES
    assert verify(from_digits(to_digits(packed)), RING) == longest


def test_the_reference_is_what_the_legacy_books() -> None:
    assert BAY7.reference == "DK-1001-42"
