"""Rows and files of a host, read: what is right is understood, and whatever else there is raises one kind of error."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.host_link import codec, files, rows, tables
from drivers.host_link.host import Payment
from drivers.host_link.tables import Tables
from parking.errors import BadMessage, Code
from parking.money import Yen

VECTORS = Path(__file__).parents[2] / "vectors" / "host_link"
TOKYO = ZoneInfo("Asia/Tokyo")
NINE = datetime(2026, 11, 23, 9, 0, tzinfo=TOKYO)
PAYMENT = Payment("T-1", Yen(600), "DK-1-1", datetime(2026, 11, 23, 1, 5, tzinfo=UTC))
STAYS = """ticket_no,entry_time,plate,paid_amount,paid_by,rate_time,valid_until,due
T-1,2026-11-23 09:00:00,"品川 330 あ 73-91",0,,2026-11-23T10:05:00+09:00,2026-11-23T10:08:00+09:00,600
END,1,2026-11-23T10:05:00+09:00
"""


@pytest.mark.parametrize(
    "at",
    [
        *("2026-11-23 09:00:00", "2026-11-23T09:00:00+09:00", "2026-11-23T00:00:00Z", " 2026-11-23 00:00:00+00 "),
        *(NINE, NINE.astimezone(UTC), NINE.replace(tzinfo=None)),
    ],
)
def test_a_time_may_come_in_any_form_and_without_an_offset_is_the_hosts(at: object) -> None:
    stay = rows.read(codec.OpenStay, rows.STAYS, ("T-1", at, None, 0, None), TOKYO)
    assert stay.entry_time == NINE


@pytest.mark.parametrize("sum_", [600, "600", " 600 ", Decimal(600), Decimal("600.00"), Decimal("6E+2")])
def test_a_sum_may_come_as_any_whole_number(sum_: object) -> None:
    assert rows.read(codec.OpenStay, rows.STAYS, ("T-1", NINE, "", sum_, "cash"), TOKYO).paid_amount == 600


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("amount", Decimal("600.5")),
        ("amount", 600.0),
        ("amount", -1),
        ("amount", "-1"),
        ("amount", "６００"),
        ("amount", "9" * 30),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("1E+400")),
        ("amount", 10_000_000),
        ("amount", None),
        ("amount", True),
        ("payment_time", "yesterday"),
        ("payment_time", ""),
        ("payment_time", date(2026, 11, 23)),
        ("payment_time", None),
        ("receipt_no", ""),
        ("receipt_no", None),
        ("receipt_no", b"R1"),
        ("ticket_no", "x" * 65),
    ],
)
def test_a_wrong_value_is_named_by_its_column_alone(column: str, value: object) -> None:
    good: dict[str, Any] = dict(zip(rows.BOOKS, ("R1", "T-1", 600, "cash", NINE, None), strict=True))
    with pytest.raises(BadMessage) as error:
        rows.read(codec.Booked, rows.BOOKS, tuple((good | {column: value}).values()), TOKYO)
    name = "".join(word.capitalize() for word in column.split("_"))
    assert name in error.value.detail
    assert value is None or len(str(value)) < 4 or str(value) not in error.value.detail


def test_columns_of_fixed_width_and_of_numbers_are_understood() -> None:
    paid = rows.read(codec.Booked, rows.BOOKS, (7, "T-1" + " " * 20, 600, "cash      ", NINE, " " * 8), TOKYO)
    assert (paid.receipt_no, paid.ticket_no, paid.means, paid.authorisation_code) == ("7", "T-1", "cash", "")


def test_a_key_that_is_none_and_a_fee_of_another_are_contradictions() -> None:
    slip = ("T-1", 600, None, None, None)
    with pytest.raises(BadMessage, match="no key"):
        tables.one_slip([slip, slip])
    with pytest.raises(BadMessage, match="no whole number"):
        tables.one_slip([("T-1", None, None, None, None)])
    fee = ("T-2", NINE, NINE, NINE, 600, 0)
    for found in ([fee], [("T-1", *fee[1:]), ("T-1", *fee[1:])]):
        with pytest.raises(BadMessage) as error:
            tables.one_rate(found, "T-1", TOKYO)
        assert error.value.code is Code.CONTRADICTION


def test_the_one_statement_that_writes_names_its_key_and_overwrites_nothing() -> None:
    order = Tables("daiko_", "ON CONFLICT (authorisation_code) DO NOTHING", None).order(PAYMENT)
    assert order.text == (
        "INSERT INTO daiko_payments (authorisation_code, ticket_no, amount, payment_time) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (authorisation_code) DO NOTHING"
    )
    assert order.values == ("DK-1-1", "T-1", 600, "2026-11-23T01:05:00+00:00")
    assert Tables("daiko_", "", TOKYO).order(PAYMENT).values[3] == "2026-11-23 10:05:00"


def test_the_journals_form_of_a_statement_has_text_and_values() -> None:
    raw = (
        Tables("daiko_", "", None).order(PAYMENT).journaled(("AuthorisationCode", "TicketNo", "Amount", "PaymentTime"))
    )
    text, _, values = raw.partition(b"\n")
    assert text.startswith(b"INSERT INTO daiko_payments ")
    assert b'"AuthorisationCode":"DK-1-1","TicketNo":"T-1","Amount":600' in values


def test_a_span_of_the_books_is_asked_for_with_days_to_spare() -> None:
    """The text of a time may have any offset: what is cut to measure here must not be cut off there."""
    statement = Tables("daiko_", "", None).booked(PAYMENT.paid_at, PAYMENT.paid_at + timedelta(hours=3))
    for shown in ("2026-11-22T12:05:00-13:00", "2026-11-23T15:04:00+14:00", "2026-11-23 01:05:00"):
        assert statement.values[0] <= shown < statement.values[1]


def test_the_golden_files_are_read_and_written() -> None:
    """Those of README.md, as a host would write them."""
    raw = {file.name: file.read_bytes() for file in (VECTORS / "folder").iterdir()}
    first, second = files.stays(files.snapshot(raw["stays.csv"], files.STAYS_COLUMNS, "utf-8", TOKYO), TOKYO)
    assert (first.ticket_no, first.paid_amount, second.ticket_no, second.paid_by) == ("12345678", 0, "T-0012/A", "cash")
    shown = files.snapshot(raw["payments.csv"], rows.BOOKS, "utf-8", TOKYO)
    assert [(one.receipt_no, one.authorisation_code) for one in files.books(shown, TOKYO)] == [
        ("R000001", ""),
        ("R000002", "DK-1002-42"),
    ]
    assert shown.since == datetime(2026, 11, 9, tzinfo=TOKYO)
    payment = Payment("12345678", Yen(600), "DK-1002-42", PAYMENT.paid_at)
    assert files.order(payment) == raw["DK-1002-42.json"]
    yes = files.slip("DK-1002-42", raw["DK-1002-42.json"], raw["DK-1002-42.ok"], None)
    no = files.slip("DK-1002-43", None, None, raw["DK-1002-43.err"])
    assert yes is not None
    assert no is not None
    assert (yes.receipt, yes.booked, no.refused.code) == ("R000002", ("12345678", 600), Code.ALREADY_PAID)


def test_a_snapshot_is_read() -> None:
    shown = files.snapshot(STAYS.encode(), files.STAYS_COLUMNS, "utf-8", TOKYO)
    (stay,) = files.stays(shown, TOKYO)
    assert (stay.ticket_no, stay.entry_time, stay.plate) == ("T-1", NINE, "品川 330 あ 73-91")
    rate = files.rate(shown, "T-1", TOKYO)
    assert rate is not None
    assert (rate.due, rate.valid_until - rate.rate_time) == (600, timedelta(minutes=3))
    assert files.rate(shown, "T-2", TOKYO) is None
    assert (shown.made_at, shown.since) == (NINE + timedelta(minutes=65), None)


@pytest.mark.parametrize("change", ["\ufeff{}", "{}\r\n\r\n"])
def test_a_mark_at_the_beginning_and_empty_lines_do_no_harm(change: str) -> None:
    assert files.stays(files.snapshot(change.format(STAYS).encode(), files.STAYS_COLUMNS, "utf-8", TOKYO), TOKYO)


def test_no_beginning_of_a_snapshot_is_a_snapshot() -> None:
    raw = STAYS.encode()
    for cut in range(len(raw)):
        with pytest.raises(BadMessage):
            files.snapshot(raw[:cut], files.STAYS_COLUMNS, "utf-8", TOKYO)


@given(raw=st.binary(max_size=300), encoding=st.sampled_from(files.ENCODINGS))
def test_hostile_bytes_are_bad_messages_or_no_answer(raw: bytes, encoding: str) -> None:
    with contextlib.suppress(BadMessage):
        files.stays(files.snapshot(raw, files.STAYS_COLUMNS, encoding, TOKYO), TOKYO)
    slip = files.slip("DK-1-1", None, raw, None)
    assert slip is not None
    assert slip.waiting


@given(at=st.integers(0, 400), byte=st.integers(0, 255))
def test_one_flipped_byte_never_raises_anything_else(at: int, byte: int) -> None:
    raw = bytearray(STAYS.encode())
    raw[at % len(raw)] = byte
    with contextlib.suppress(BadMessage):
        shown = files.snapshot(bytes(raw), files.STAYS_COLUMNS, "utf-8", TOKYO)
        files.stays(shown, TOKYO)
        files.rate(shown, "T-1", TOKYO)


def test_no_part_of_an_answer_is_an_answer() -> None:
    whole = codec.encode(codec.PaymentReply(receipt_no="R1", ticket_no="T-1", amount=600, authorisation_code="DK-1-1"))
    for cut in range(len(whole)):
        slip = files.slip("DK-1-1", files.order(PAYMENT), whole[:cut], None)
        assert slip is not None
        assert slip.waiting
    slip = files.slip("DK-1-1", files.order(PAYMENT), whole, None)
    assert slip is not None
    assert (slip.receipt, slip.booked, slip.ticket) == ("R1", ("T-1", 600), "T-1")


def test_a_file_larger_than_any_lot_needs_is_not_looked_into() -> None:
    with pytest.raises(BadMessage, match="more than"):
        files.snapshot(b" " * (files.MOST_BYTES + 1), files.STAYS_COLUMNS, "utf-8", TOKYO)


@given(reference=st.text(min_size=1, max_size=20))
def test_a_references_file_name_is_a_plain_name_and_its_own(reference: str) -> None:
    reference = reference.encode(errors="replace").decode()
    name = files.stem(reference)
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-%")
    assert files.stem(name) != name or "%" not in name
