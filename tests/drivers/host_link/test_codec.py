"""The messages of the host link: golden vectors both ways, strict reading, and hostile bytes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.host_link import codec
from parking.errors import BadMessage

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "host_link" / "messages.json").read_text("utf-8"))
KINDS = (
    codec.RateRequest,
    codec.PaymentRequest,
    codec.StayList,
    codec.RateReply,
    codec.PaymentReply,
    codec.PaymentList,
    codec.BookingList,
    codec.Problem,
)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["kind"] for vector in VECTORS])
def test_golden_messages_read_and_write_alike(vector: dict[str, Any]) -> None:
    message = codec.decode(json.dumps(vector["json"]).encode(), getattr(codec, vector["kind"]))
    assert json.loads(codec.encode(message)) == vector["json"]


def test_there_is_a_golden_message_of_every_kind() -> None:
    assert {vector["kind"] for vector in VECTORS} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(
    ("kind", "change", "place"),
    [
        ("PaymentRequest", {"Amount": "600"}, "$.Amount"),
        ("PaymentRequest", {"Amount": 600.5}, "$.Amount"),
        ("PaymentRequest", {"Amount": -1}, "$.Amount"),
        ("PaymentRequest", {"Amount": 10_000_000}, "$.Amount"),
        ("PaymentRequest", {"PaymentTime": "2026-11-23T01:05:00"}, "$.PaymentTime"),
        ("PaymentRequest", {"AuthorisationCode": ""}, "$.AuthorisationCode"),
        ("PaymentRequest", {"Colour": "red"}, "Colour"),
        ("RateReply", {"Due": None}, "$.Due"),
        ("StayList", {"Stays": [{"TicketNo": 5}]}, "$.Stays[0].TicketNo"),
        ("Problem", {"Code": "bad-weather"}, "$.Code"),
    ],
)
def test_a_wrong_field_is_named(kind: str, change: dict[str, Any], place: str) -> None:
    golden = next(vector["json"] for vector in VECTORS if vector["kind"] == kind)
    with pytest.raises(BadMessage) as error:
        codec.decode(json.dumps(golden | change).encode(), getattr(codec, kind))
    assert place in error.value.detail
    assert kind in error.value.detail


@pytest.mark.parametrize("kind", ["StayList", "RateReply", "PaymentReply", "PaymentList", "BookingList", "Problem"])
def test_a_host_that_learned_more_still_speaks_to_us(kind: str) -> None:
    golden = next(vector["json"] for vector in VECTORS if vector["kind"] == kind)
    codec.decode(json.dumps(golden | {"Colour": "red"}).encode(), getattr(codec, kind))


@given(raw=st.binary(max_size=300), kind=st.sampled_from(KINDS))
def test_hostile_bytes_are_bad_messages(raw: bytes, kind: type[codec.Problem]) -> None:
    with pytest.raises(BadMessage):
        codec.decode(raw, kind)


@given(at=st.integers(0, 2000), byte=st.integers(0, 255), vector=st.sampled_from(VECTORS))
def test_one_flipped_byte_never_raises_anything_else(at: int, byte: int, vector: dict[str, Any]) -> None:
    raw = bytearray(json.dumps(vector["json"]).encode())
    raw[at % len(raw)] = byte
    kind = getattr(codec, vector["kind"])
    try:
        message = codec.decode(bytes(raw), kind)
    except BadMessage:
        return
    assert codec.decode(codec.encode(message), kind) == message


def test_what_is_nested_without_end_or_too_large_is_a_bad_message() -> None:
    for raw in (b"[" * 200_000, b'{"Code":' * 100_000, b" " * (codec.MOST_BYTES + 1)):
        with pytest.raises(BadMessage):
            codec.decode(raw, codec.Problem)


@given(ticket=st.text(min_size=1, max_size=40))
def test_no_ticket_can_break_out_of_a_request_line(ticket: str) -> None:
    ticket = ticket.encode(errors="replace").decode()
    target = codec.payments_target("F-12", ticket)
    assert target.isascii()
    assert not set(target) & set(" \r\n#")
    assert parse_qs(urlsplit(target).query, strict_parsing=True) == {"facility": ["F-12"], "ticket": [ticket]}


def test_the_journals_form_of_a_request_has_line_and_body() -> None:
    golden = next(vector["json"] for vector in VECTORS if vector["kind"] == "PaymentRequest")
    request = codec.PaymentRequest(
        facility="F-12",
        ticket_no="12345678",
        amount=600,
        authorisation_code="DK-1002-42",
        payment_time=datetime(2026, 11, 23, 1, 5, tzinfo=UTC),
    )
    raw = codec.request_bytes(codec.PAY_PATH, "127.0.0.1:7101", codec.encode(request))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /api/apply-payment HTTP/1.1"
    assert json.loads(body) == golden
