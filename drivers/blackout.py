"""What of a message no recording may hold: passwords, keys, card data and PINs become zeros. Pure.

The message stays as long as it was, so that a recording is still read and played frame by frame.
"""

from dataclasses import replace
from typing import Final

from drivers.cctalk_coin.codec import Frame as CctalkFrame
from drivers.osdp.codec import Frame as OsdpFrame
from drivers.osdp.words import Command, Reply
from drivers.zvt_terminal.codec import Apdu, Signal
from drivers.zvt_terminal.fields import Bmp, Control, blackened

PASSWORD: Final = 3
"""Bytes of a ZVT password, with which most commands of the machine begin (PA00P015, chapter 2)."""
_NO_PASSWORD: Final = frozenset(
    (
        Control.AUTHORISATION,
        Control.LOG_OFF,
        Control.COMPLETION,
        Control.ABORTED,
        0x0622,  # reservation
        Control.DIAGNOSIS,
        Control.ABORT,
        0x06C0,  # read card
    )
)
_AHEAD: Final = {Control.REGISTRATION: PASSWORD + 3, Control.STATUS_ENQUIRY: PASSWORD, Control.ABORTED: 1}
"""Bytes before the fields: password, configuration and currency; password; result."""
_WITHOUT_FIELDS: Final = frozenset((Control.INTERMEDIATE, Control.PRINT_LINE, 0x06D3, Control.DONE))
_CARD: Final = frozenset((0x0E, 0x22, 0x23, 0x24, 0x2D, 0x3B, Bmp.TLV))
"""Expiry date, card number, tracks 2, 3 and 1, what the card's issuer said, and the container that may hold any."""

_KEYS: Final = frozenset((Command.KEYSET, Command.CHLNG, Command.SCRYPT, 0x73, 0x74, 0x80, 0xA1, 0xA4, 0xA5))
"""And BIOREAD, BIOMATCH, MFG, XWR, GENAUTH, CRAUTH. Who knows the first key can read a channel by the first three."""
_READ: Final = frozenset(
    (Reply.RAW, Reply.CCRYPT, Reply.RMAC_I, 0x51, 0x53, 0x57, 0x58, *range(0x80, 0x84), 0x90, 0xB1)
)
"""And FMT, KEYPAD (a PIN), BIOREADR, BIOMATCHR, PIVDATAR to CRAUTHR, MFGREP, XRD."""
_RAW_HEAD: Final = 4
"""Reader, format and number of bits of a card are no secret."""

_PINS: Final = frozenset((110, 136, 137, 218, 219))
"""ccTalk: switch key, store and switch encryption code, enter PIN (old and new)."""


def zvt(heard: Apdu | Signal) -> Apdu | Signal:
    """Without password and card data. Lines that are printed stay: a receipt shows of a card what it may."""
    if isinstance(heard, Signal) or heard.control in _WITHOUT_FIELDS or heard.control >> 8 == Control.REFUSED >> 8:
        return heard
    asked = heard.control >> 8 in (0x05, 0x06) and heard.control not in _NO_PASSWORD
    secret = PASSWORD if asked else 0
    ahead = max(secret, _AHEAD.get(Control(heard.control), 0)) if heard.control in set(Control) else secret
    head = bytes(len(heard.data[:secret])) + heard.data[secret:ahead]
    return Apdu(heard.control, head + blackened(heard.data[ahead:], _CARD))


def osdp(frame: OsdpFrame) -> OsdpFrame:
    """Without keys, and without what a reader read."""
    if frame.code not in (_READ if frame.is_reply else _KEYS):
        return frame
    shown = _RAW_HEAD if frame.is_reply and frame.code == Reply.RAW and frame.block is None else 0
    block = None if frame.block is None else replace(frame.block, data=bytes(len(frame.block.data)))
    return replace(frame, data=frame.data[:shown] + bytes(len(frame.data[shown:])), block=block)


def cctalk(frame: CctalkFrame) -> CctalkFrame:
    """Without PINs and keys."""
    return replace(frame, data=bytes(len(frame.data))) if frame.header in _PINS else frame
