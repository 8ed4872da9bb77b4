"""The simulated bus: characters over a line of bytes, an exchange, and what an adapter repeats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mdb_cashless import words
from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.block import ACK, Block, Char, from_controller, from_peripheral
from drivers.mdb_cashless.simadapter import Adapter
from drivers.mdb_cashless.simbus import NOISE, CharCodec, exchange, to_wire
from drivers.mdb_cashless.simfaults import Faults

CHARACTERS = st.lists(st.builds(Char, st.integers(0, 255), st.booleans()), max_size=50).map(tuple)
POLL, RESET, CANCEL = b"\x12", b"\x10", b"\x13\x01"
BARE = Block(ACK, bare=True)
APPROVED, DENIED = b"\x05\x01\xc2", b"\x06"


# --- characters -------------------------------------------------------------------------------------------------------


def test_a_character_is_two_bytes_with_its_mode_bit():
    assert to_wire((Char(0x12, True), Char(0x12, False), Char(0xFF, False))).hex(" ") == "82 12 80 12 81 7f"


@given(CHARACTERS, st.integers(1, 7))
def test_characters_come_through_in_pieces_of_any_size(characters, size):
    raw, ear = to_wire(characters), CharCodec()
    assert sum((ear.feed(raw[at : at + size]) for at in range(0, len(raw), size)), ()) == characters


@given(st.binary(max_size=60), CHARACTERS)
def test_whatever_came_before_costs_no_character_that_comes_after(garbage, characters):
    ear = CharCodec()
    ear.feed(garbage)
    assert ear.feed(to_wire(characters)) == characters


@given(CHARACTERS, st.lists(st.sampled_from([b"\x00", b"\x7f", b"\x84", b"\xff\x12"])))
def test_what_is_half_a_character_or_none_is_no_character(characters, strays):
    ear, raw = CharCodec(), to_wire(characters)
    pieces = [raw[at : at + 2] + b"".join(strays) for at in range(0, len(raw), 2)]
    assert ear.feed(b"".join(pieces)) == characters


# --- an exchange ------------------------------------------------------------------------------------------------------


class Spoken:
    """A bus on which every answer is said by hand, piece by piece."""

    def __init__(self, *pieces):
        self.pieces, self.said = list(pieces), []

    def ask(self, raw, seconds):
        self.said.append(raw)

    def put(self, raw):
        self.said.append(raw)

    def hear(self):
        return self.pieces.pop(0) if self.pieces else b""


def answer(block):
    return to_wire(from_peripheral(block))


def test_silence_is_no_answer():
    bus = Spoken()
    assert exchange(bus, POLL, None) is None
    assert bus.said == [to_wire(from_controller(Block(POLL)))]


def test_data_is_acknowledged_and_a_bare_ack_is_not():
    bus = Spoken(answer(Block(APPROVED)))
    assert exchange(bus, POLL, None) == APPROVED
    assert bus.said[1:] == [to_wire(from_controller(BARE))]
    bus = Spoken(answer(BARE))
    assert exchange(bus, POLL, None) == b""
    assert bus.said[1:] == []


@pytest.mark.parametrize(
    ("block", "wanted", "late", "good"),
    [
        (RESET, b"", Block(APPROVED), BARE),
        (CANCEL, DENIED, Block(APPROVED), Block(DENIED)),
        (CANCEL, DENIED, BARE, Block(DENIED)),
    ],
)
def test_an_answer_that_is_late_is_passed_over_and_never_acknowledged(block, wanted, late, good):
    """Acknowledged, an approval of which the controller knows nothing would be a sale by the specification's words."""
    bus = Spoken(answer(late), answer(good))
    assert exchange(bus, block, wanted) == (b"" if good.bare else good.data)
    assert len(bus.said) == (1 if good.bare else 2)
    bus = Spoken(answer(late))
    assert exchange(bus, block, wanted) is None
    assert len(bus.said) == 1


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=4))
def test_garbage_on_the_bus_never_raises_and_a_whole_answer_is_heard_behind_its_end(garbage):
    """A peripheral's block ends with a mode bit; whatever it is, what comes next begins anew."""
    end = to_wire((Char(0x31, True),))
    heard = exchange(Spoken(*garbage, end, answer(Block(DENIED))), CANCEL, DENIED)
    assert heard is not None


def test_the_simulated_noise_is_no_block_to_either_side():
    assert exchange(Spoken(NOISE + answer(BARE)), RESET, b"") == b""
    adapter = switched_on()
    assert to_wire(adapter.listen(CharCodec().feed(NOISE + to_wire(from_controller(Block(RESET)))))) == answer(BARE)


# --- what an adapter repeats ------------------------------------------------------------------------------------------


def switched_on():
    made = Adapter(Amounts(), Faults())
    made.hear(words.Switch(True))
    return made


def tell(adapter, block):
    return adapter.listen(from_controller(block))


def in_a_vend():
    adapter = switched_on()
    for block in (RESET, POLL):
        tell(adapter, Block(block))
    tell(adapter, BARE)
    tell(adapter, Block(bytes.fromhex("130001c2ffff")))
    adapter.said.clear()
    return adapter


def test_a_reader_that_was_just_switched_on_says_so():
    assert tell(switched_on(), Block(POLL)) == from_peripheral(Block(b"\x00"))


def test_an_approval_is_said_at_every_poll_until_it_is_acknowledged():
    adapter = in_a_vend()
    adapter.hear(words.Approve("450"))
    assert tell(adapter, Block(POLL)) == tell(adapter, Block(POLL)) == from_peripheral(Block(APPROVED))
    assert adapter.said == []
    tell(adapter, BARE)
    assert adapter.said == [words.Acknowledged()]
    assert tell(adapter, Block(POLL)) == from_peripheral(BARE)
    tell(adapter, BARE)
    assert adapter.said == [words.Acknowledged()]


def test_an_ack_of_the_last_word_does_not_swallow_the_next():
    adapter = in_a_vend()
    adapter.hear(words.Approve("450"))
    tell(adapter, Block(POLL))
    adapter.hear(words.Deny())
    tell(adapter, BARE)
    assert tell(adapter, Block(POLL)) == from_peripheral(Block(DENIED))
