"""Modbus protocol data units: what is asked and answered, whatever the line. Pure; never raises on foreign bytes.

Modbus Application Protocol Specification V1.1b3; functions 01–06, 0F, 10 and exceptions.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

COIL_ON: Final = 0xFF00
COIL_OFF: Final = 0x0000
FAILED: Final = 0x80
MOST_BITS: Final = 2000
MOST_WORDS: Final = 125
MOST_PDU: Final = 253


class Function(IntEnum):
    """The functions that this codec knows."""

    READ_COILS = 0x01
    READ_INPUTS = 0x02
    READ_HOLDING = 0x03
    READ_REGISTERS = 0x04
    WRITE_COIL = 0x05
    WRITE_REGISTER = 0x06
    WRITE_COILS = 0x0F
    WRITE_REGISTERS = 0x10


KNOWN: Final = frozenset(function.value for function in Function)
READS: Final = frozenset(Function(code) for code in (1, 2, 3, 4))
BIT_READS: Final = frozenset((Function.READ_COILS, Function.READ_INPUTS))


class Trouble(IntEnum):
    """Exception codes (V1.1b3, section 7)."""

    ILLEGAL_FUNCTION = 0x01
    ILLEGAL_ADDRESS = 0x02
    ILLEGAL_VALUE = 0x03
    DEVICE_FAILURE = 0x04
    ACKNOWLEDGED = 0x05
    BUSY = 0x06
    PARITY = 0x08
    GATEWAY_PATH = 0x0A
    GATEWAY_TARGET = 0x0B


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for `count` coils, inputs or registers from `address`."""

    function: Function
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class WriteOne:
    """Write one coil (value: COIL_ON, COIL_OFF, or what the device gives a meaning to) or one register.

    The answer is the same again.
    """

    function: Function
    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteMany:
    """Write coils (values 0 and 1) or registers from `address`."""

    function: Function
    address: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bits:
    """The answer to a read of coils or inputs, in whole bytes: always a multiple of eight."""

    function: Function
    bits: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The answer to a read of registers."""

    function: Function
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wrote:
    """The answer to a WriteMany."""

    function: Function
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception answer: `function` without its mark, and the code."""

    function: int
    code: int

    def __str__(self) -> str:
        name = next((f" ({trouble.name.lower()})" for trouble in Trouble if trouble == self.code), "")
        return f"exception {self.code:02X}{name}"


@dataclass(frozen=True, slots=True)
class Foreign:
    """A request that is not understood: another function, or a known one that does not add up."""

    function: int
    data: bytes


Request = Read | WriteOne | WriteMany | Foreign
Reply = Bits | Words | WriteOne | Wrote | Failure
Pdu = Request | Reply


def pack(pdu: Pdu) -> bytes:
    """The bytes of a request or an answer."""
    match pdu:
        case Read(function, address, count) | Wrote(function, address, count):
            return bytes((function,)) + _word(address) + _word(count)
        case WriteOne(function, address, value):
            return bytes((function,)) + _word(address) + _word(value)
        case WriteMany(Function.WRITE_COILS, address, values):
            body = _bytes_of_bits(values)
            return bytes((pdu.function,)) + _word(address) + _word(len(values)) + bytes((len(body),)) + body
        case WriteMany(function, address, values):
            return bytes((function,)) + _word(address) + _word(len(values)) + bytes((2 * len(values),)) + _words(values)
        case Bits(function, bits):
            body = _bytes_of_bits(bits)
            return bytes((function, len(body))) + body
        case Words(function, words):
            return bytes((function, 2 * len(words))) + _words(words)
        case Failure(function, code):
            return bytes((function | FAILED, code))
        case Foreign(function, data):
            return bytes((function,)) + data


def unpack_request(raw: bytes) -> Request | None:
    """Read a request; Foreign if it is none of ours; None if there is not even a function in it."""
    if not raw or not 0 < raw[0] < FAILED:
        return None
    foreign = Foreign(raw[0], raw[1:])
    if raw[0] not in KNOWN or len(raw) < 5:
        return foreign
    function, address, third = Function(raw[0]), _at(raw, 1), _at(raw, 3)
    if function in (Function.WRITE_COILS, Function.WRITE_REGISTERS):
        return _unpack_write_many(function, address, third, raw[5:]) or foreign
    if len(raw) != 5:
        return foreign
    return Read(function, address, third) if function in READS else WriteOne(function, address, third)


def unpack_reply(raw: bytes) -> Reply | None:
    """Read an answer; None if it is not one."""
    if len(raw) == 2 and raw[0] > FAILED:
        return Failure(raw[0] & 0x7F, raw[1])
    if len(raw) < 3 or raw[0] not in KNOWN:
        return None
    function = Function(raw[0])
    if function in READS:
        body = raw[2:]
        if raw[1] != len(body):
            return None
        if function in BIT_READS:
            return Bits(function, _bits(body))
        return None if len(body) % 2 else Words(function, _unwords(body))
    if len(raw) != 5:
        return None
    if function in (Function.WRITE_COILS, Function.WRITE_REGISTERS):
        return Wrote(function, _at(raw, 1), _at(raw, 3))
    return WriteOne(function, _at(raw, 1), _at(raw, 3))


def request_size(head: bytes) -> int | None:
    """How long a request that begins so is: 0 if more bytes are needed to tell, None if only its end will tell."""
    if not head:
        return 0
    if head[0] not in KNOWN:
        return None
    if head[0] in (Function.WRITE_COILS, Function.WRITE_REGISTERS):
        return 6 + head[5] if len(head) > 5 else 0
    return 5


def reply_size(head: bytes) -> int | None:
    """How long an answer that begins so is: 0 if more bytes are needed to tell, None if it is no answer."""
    if not head:
        return 0
    if head[0] > FAILED:
        return 2
    if head[0] not in KNOWN:
        return None
    if head[0] in READS:
        return 2 + head[1] if len(head) > 1 else 0
    return 5


def answer_to(request: Request, pdu: Pdu) -> Reply | None:
    """`pdu`, if it can be the answer to `request`: same function, same place, right size."""
    if isinstance(pdu, Bits | Words | WriteOne | Wrote | Failure) and _answers(request, pdu):
        return pdu
    return None


def _answers(request: Request, reply: Reply) -> bool:
    match request, reply:
        case (_, Failure(function, _)):
            return function == request.function
        case (Read(function, _, count), Bits(other, bits)):
            return function == other and len(bits) == (count + 7) // 8 * 8
        case (Read(function, _, count), Words(other, words)):
            return function == other and len(words) == count
        case (WriteMany(function, address, values), Wrote(other, there, count)):
            return (function, address, len(values)) == (other, there, count)
        case (WriteOne(), WriteOne()):
            return request == reply
    return False


def _unpack_write_many(function: Function, address: int, count: int, rest: bytes) -> WriteMany | None:
    bits = function is Function.WRITE_COILS
    size = (count + 7) // 8 if bits else 2 * count
    if not count or not rest or rest[0] != size or len(rest) != 1 + size:
        return None
    values = tuple(int(bit) for bit in _bits(rest[1:])[:count]) if bits else _unwords(rest[1:])
    return WriteMany(function, address, values)


def _word(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _at(raw: bytes, place: int) -> int:
    return int.from_bytes(raw[place : place + 2], "big")


def _words(values: tuple[int, ...]) -> bytes:
    return b"".join(_word(value) for value in values)


def _unwords(body: bytes) -> tuple[int, ...]:
    return tuple(_at(body, place) for place in range(0, len(body), 2))


def _bits(body: bytes) -> tuple[bool, ...]:
    return tuple(bool(byte >> place & 1) for byte in body for place in range(8))


def _bytes_of_bits(bits: tuple[int, ...] | tuple[bool, ...]) -> bytes:
    whole = sum(1 << place for place, bit in enumerate(bits) if bit)
    return whole.to_bytes((len(bits) + 7) // 8, "little")
