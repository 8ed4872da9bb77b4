"""What a message on a wire says, in plain words for the person at the machine. Pure."""

import re
from dataclasses import fields as parts_of
from typing import Final

from drivers.cctalk_coin.headers import Header
from drivers.mdb_cashless import words as mdb_words
from drivers.modbus_io import pdu as modbus_pdu
from drivers.modbus_io.pdu import COIL_OFF, COIL_ON, Function, Pdu
from drivers.osdp.codec import Frame as OsdpFrame
from drivers.osdp.words import Command, Control, Nak, Reply, identity, outs, statuses
from drivers.usb_relay.codec import Ask, Stands, Switch
from drivers.zvt_terminal.codec import Apdu, Signal
from drivers.zvt_terminal.fields import Bmp, Result, fields, unbcd
from drivers.zvt_terminal.fields import Control as Zvt

_PLACES: Final = {
    Function.READ_COILS: "coil",
    Function.WRITE_COIL: "coil",
    Function.WRITE_COILS: "coil",
    Function.READ_INPUTS: "input",
    Function.READ_HOLDING: "holding register",
    Function.WRITE_REGISTER: "holding register",
    Function.WRITE_REGISTERS: "holding register",
    Function.READ_REGISTERS: "input register",
}
_YEN: Final = b"\x03\x92"
_ZVT: Final = {
    Zvt.COMPLETION: "completed",
    Zvt.ABORTED: "it did not work",
    Zvt.DONE: "understood",
    Zvt.ABORT: "abort what is going on",
    Zvt.INTERMEDIATE: "intermediate status",
}
_OSDP: Final = {
    Command.ID: "who are you",
    Command.CAP: "what can you do",
    Command.LSTAT: "how do you stand",
    Command.ISTAT: "how do the inputs stand",
    Command.OSTAT: "how do the outputs stand",
    Command.RSTAT: "how does the reader stand",
    Command.LED: "show a light",
    Command.BUZ: "sound the buzzer",
    Command.TEXT: "show a text",
    Command.COMSET: "change address and speed",
    Command.KEYSET: "set a new key",
    Command.CHLNG: "begin a secure channel",
    Command.SCRYPT: "secure channel, our proof",
    Command.ACURXSIZE: "our buffer's size",
    Command.KEEPACTIVE: "keep the card's channel open",
}
_OSDP_REPLIES: Final = {
    Reply.ACK: "understood",
    Reply.PDCAP: "what it can do",
    Reply.LSTATR: "how it stands",
    Reply.RSTATR: "how its reader stands",
    Reply.COM: "its address and speed",
    Reply.CCRYPT: "secure channel, its proof",
    Reply.RMAC_I: "secure channel stands",
    Reply.BUSY: "busy, ask again",
}
_CONTROLS: Final = {
    Control.OFF: "off",
    Control.ON: "on",
    Control.OFF_AFTER_TIMER: "off, but let the time run out",
    Control.ON_AFTER_TIMER: "on, but let the time run out",
    Control.ON_FOR: "on for",
    Control.OFF_FOR: "off for",
}


def modbus(pdu: Pdu, answer: bool) -> str:
    """A request, or an answer."""
    match pdu:
        case modbus_pdu.Read(function, address, count):
            return f"read {_places(function, address, count)}"
        case modbus_pdu.WriteOne(function, address, value):
            said = f"{_place(function)} {address} = {_value(function, value)}"
            return f"written: {said}" if answer else f"write {said}"
        case modbus_pdu.WriteMany(function, address, values):
            bits = function is Function.WRITE_COILS
            told = ", ".join(("off", "on")[value] if bits else str(value) for value in values)
            return f"write {_places(function, address, len(values))} = {told}"
        case modbus_pdu.Bits(function, bits):
            return f"{_place(function)}s from the first asked for: {' '.join(str(int(bit)) for bit in bits)}"
        case modbus_pdu.Words(function, words):
            return f"{_place(function)}s from the first asked for: {', '.join(map(str, words))}"
        case modbus_pdu.Wrote(function, address, count):
            return f"written: {_places(function, address, count)}"
        case modbus_pdu.Failure(function, code):
            return f"refused, {_name(modbus_pdu.Trouble, code)}: {_name(Function, function)}"
        case modbus_pdu.Foreign(function, data):
            return f"function {function}, not known here  {data.hex(' ')}".rstrip()


def _place(function: Function) -> str:
    return _PLACES[function]


def _places(function: Function, address: int, count: int) -> str:
    return f"{_place(function)} {address}" if count == 1 else f"{_place(function)}s {address}-{address + count - 1}"


def _value(function: Function, value: int) -> str:
    if function is not Function.WRITE_COIL:
        return str(value)
    return {COIL_ON: "on", COIL_OFF: "off"}.get(value, str(value))


def zvt(heard: Apdu | Signal) -> str:
    """A message of a pay station or its card terminal."""
    if isinstance(heard, Signal):
        return {Signal.ACK: "received", Signal.NAK: "not received, again", Signal.BROKEN: "a broken message"}[heard]
    if heard.control >> 8 == Zvt.REFUSED >> 8:
        return f"refused, {_name(Result, heard.control & 0xFF)}"
    if heard.control not in set(Zvt):
        return f"{heard.control:04x}  {heard.data.hex(' ')}".rstrip()
    control = Zvt(heard.control)
    name = _ZVT.get(control, _plain(control.name))
    if control is Zvt.ABORTED and heard.data:
        return f"{name}, {_name(Result, heard.data[0])}"
    with_fields = control in (Zvt.AUTHORISATION, Zvt.STATUS_INFORMATION)
    start = 3 if control in (Zvt.REVERSAL, Zvt.REFUND, Zvt.REPEAT_RECEIPT) else 0
    return " ".join((name, *(_zvt_fields(fields(heard.data[start:])) if with_fields or start else ())))


def _zvt_fields(found: dict[int, bytes]) -> list[str]:
    told = []
    if (amount := unbcd(found.get(Bmp.AMOUNT, b"\xff"))) is not None:
        currency = found.get(Bmp.CURRENCY, _YEN)
        told.append(f"{amount} {'yen' if currency == _YEN else f'of currency {currency.hex()}'}")
    if (receipt := unbcd(found.get(Bmp.RECEIPT, b"\xff"))) is not None:
        told.append(f"receipt {receipt}")
    if result := found.get(Bmp.RESULT):
        told.append(f"result {_name(Result, result[0])}")
    return told


def osdp(frame: OsdpFrame) -> str:
    """A command of a panel, or the answer of a reader; what is sealed is named, not read."""
    who = f"address {frame.address} #{frame.sequence}:"
    known: type[Command | Reply] = Reply if frame.is_reply else Command
    if frame.code not in {one.value for one in known}:
        return f"{who} {frame.code:02x}  {frame.data.hex(' ')}".rstrip()
    if frame.sealed and frame.data:
        return f"{who} {_osdp_name(known(frame.code))}, sealed"
    told = _reply(Reply(frame.code), frame.data) if frame.is_reply else _command(Command(frame.code), frame.data)
    return f"{who} {told}"


def _osdp_name(code: Command | Reply) -> str:
    known = _OSDP.get(code) if isinstance(code, Command) else _OSDP_REPLIES.get(code)
    return known or code.name.lower()


def _command(code: Command, data: bytes) -> str:
    orders = outs(data) if code is Command.OUT else None
    if not orders:
        return _osdp_name(code)
    told = []
    for order in orders:
        how = _CONTROLS.get(Control(order.control), "") if order.control in set(Control) else f"control {order.control}"
        seconds = f" {order.timer / 10:g} s" if order.control in (Control.ON_FOR, Control.OFF_FOR) else ""
        told.append(f"output {order.number} {how}{seconds}")
    return "; ".join(told)


def _reply(code: Reply, data: bytes) -> str:
    match code:
        case Reply.PDID:
            return identity(data)
        case Reply.NAK:
            return f"refused, {_name(Nak, data[0]) if data else 'without a reason'}"
        case Reply.ISTATR | Reply.OSTATR:
            place = "inputs" if code is Reply.ISTATR else "outputs"
            return f"{place}: {' '.join(str(int(one)) for one in statuses(data))}"
        case Reply.RAW:
            return f"a card was read, {int.from_bytes(data[2:4], 'little')} bits"
    return _osdp_name(code)


def cctalk(header: int, data: bytes, asked: int | None) -> str:
    """A command (`asked` is None), or the answer to `asked`."""
    name = _name(Header, header if asked is None else asked)
    shown = f"  {data.hex(' ')}" if data else ""
    if asked is None:
        return f"{name}{shown}"
    if asked in (Header.CREDIT, Header.BILL_EVENTS) and len(data) == 11:
        return f"answer to {name}: {_money(asked, data)}"
    text = f' "{data.decode()}"' if len(data) > 2 and data.isascii() else ""
    return f"answer to {name}{shown}{text if text.isprintable() else ''}"


def _money(asked: int, data: bytes) -> str:
    """Five events, the newest first, behind their counter (ccTalk part 3, headers 229 and 159)."""
    kind = "coin" if asked == Header.CREDIT else "bill"
    pairs = [(data[at], data[at + 1]) for at in range(1, 11, 2)]
    told = ", ".join(f"{kind} {one} ({two})" if one else f"event {two}" for one, two in pairs if one or two)
    return f"counter {data[0]}, newest first: {told or 'nothing yet'}"


def mdb(word: mdb_words.Word) -> str:
    """A line of an MDB adapter, or to it."""
    match word:
        case mdb_words.VendAsked(amount, item):
            return f"the pay station asks for {amount} (item {item})"
        case mdb_words.VendDone():
            return "sold: the pay station gave what was paid for"
        case mdb_words.Approve(amount):
            return f"{amount} are paid"
        case mdb_words.Deny():
            return "no payment"
        case mdb_words.Start(credit):
            return f"a customer has {credit} to spend"
        case mdb_words.Switched(on) | mdb_words.Switch(on):
            return f"reader {'on' if on else 'off'}"
        case mdb_words.Status(state):
            return f"reader {state.value.lower()}"
        case mdb_words.Complaint(_, text):
            return f"complains: {text}"
    told = [f"{_plain(part.name)} {getattr(word, part.name)}" for part in parts_of(word)]
    return ", ".join((_plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(word).__name__)), *told))


def lcus(word: Switch | Ask | Stands) -> str:
    """An order to a USB relay board, or what it says."""
    match word:
        case Switch(relay, on):
            return f"switch relay {relay} {'on' if on else 'off'}"
        case Stands(relay, on):
            return f"relay {relay} is {'on' if on else 'off'}"
    return "how do the relays stand"


def _name(known: type[Function | modbus_pdu.Trouble | Result | Nak | Header], code: int) -> str:
    """`illegal address`, or the number."""
    return _plain(known(code).name) if code in {one.value for one in known} else f"{code:02x}"


def _plain(name: str) -> str:
    return name.lower().replace("_", " ")
