"""The event stream's parser: any cut, any line end, never more than its bounds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.uplink.sse import MOST_BYTES, EventParser, StreamEvent
from parking.errors import BadMessage

TEXT = (
    b'\xef\xbb\xbf: hi\nevent: ask\ndata: {"a":\ndata: 1}\n\n'
    b"id: 4\r\ndata:x\r\n\r\n"
    b"future: y\rdata\rid\r\r\nevent: lost\n\n"
)
EVENTS = [StreamEvent("ask", '{"a":\n1}', ""), StreamEvent("message", "x", "4"), StreamEvent("message", "", "")]


def parse(*chunks):
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_fields_comments_names_and_every_line_end():
    assert parse(TEXT) == EVENTS


@given(st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_cuts_change_nothing(cuts):
    edges = [0, *sorted(cuts), len(TEXT)]
    assert parse(*(TEXT[a:b] for a, b in pairwise(edges))) == EVENTS


def test_byte_by_byte():
    assert parse(*(bytes([byte]) for byte in TEXT)) == EVENTS


@given(st.binary(max_size=300))
def test_hostile_bytes_are_events_or_a_bad_message(raw):
    try:
        events = parse(raw, b"\n\n")
    except BadMessage:
        return
    assert all(isinstance(event, StreamEvent) for event in events)


@pytest.mark.parametrize("flood", [b"x" * (MOST_BYTES + 1), b"data: y\n" * MOST_BYTES])
def test_a_flood_is_a_bad_message(flood):
    with pytest.raises(BadMessage):
        parse(flood)


def test_days_of_comments_are_no_flood():
    parser = EventParser()
    for _ in range(20_000):
        assert parser.feed(b": still here\n") == []
    assert parser.feed(b"data: 1\n\n") == [StreamEvent("message", "1", "")]
