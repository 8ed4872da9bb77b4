"""What stands in the machine's commands, and whether it may be done. Pure.

Source: PA00P015; where published clients differ from it (the tag in front of the registration's currency), both.
"""

from dataclasses import dataclass
from typing import Final

from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Bmp, Control, Result
from drivers.zvt_terminal.fields import field as bmp
from drivers.zvt_terminal.settings import Options
from parking.money import MOST

PASSWORD: Final = 3
"""Bytes of the password in front of most commands."""

INTERMEDIATE: Final = 0x08
"""Bit of the registration's config byte: the machine wants intermediate status information."""

GUARDED: Final = frozenset(
    {
        Control.REGISTRATION,
        Control.REPEAT_RECEIPT,
        Control.REVERSAL,
        Control.REFUND,
        Control.END_OF_DAY,
        Control.INITIALISATION,
    }
)
"""Commands that begin with the password; a status enquiry does so if it says anything."""


ABORTS: Final = frozenset({Control.ABORT, Control.ABORTED})
"""Commands that end what is going on: 06 B0, and what kotlin-zvt-library says for it, which is a terminal's to say."""

TELLING: Final = frozenset({Control.REPEAT_RECEIPT, Control.END_OF_DAY, Control.REVERSAL, Control.REFUND})
"""Commands that make us the master until we have told what came of them, as an authorisation does."""

SIMPLE: Final = frozenset(
    {
        Control.DIAGNOSIS,
        Control.INITIALISATION,
        Control.PRINT_CONFIGURATION,
        Control.RESET,
        Control.SELECT_LANGUAGE,
        Control.SELFTEST,
        Control.SET_TIME,
    }
)
"""Commands of which nothing is to be done here but to say that it is done: machines begin their day with them."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What the machine wants from now on; `currency` in digits, empty where it names none."""

    wants_status: bool
    currency: str


def registration_of(data: bytes) -> Registration:
    """What a registration (06 00) says: password, config byte, currency, of which each may be missing.

    A BMP 49 in front of the currency is no digits of one: there is none above 0999.
    """
    config, rest = data[PASSWORD : PASSWORD + 1], data[PASSWORD + 1 :]
    currency = rest.removeprefix(bytes((Bmp.CURRENCY,)))[:2]
    return Registration(bool(config and config[0] & INTERMEDIATE), currency.hex() if len(currency) == 2 else "")


def registered(wanted: Registration, options: Options) -> bytes:
    """What the completion (06 0F) of a registration tells."""
    state = bmp(Bmp.STATUS, b"\0") + bmp(Bmp.TERMINAL, bytes.fromhex(options.tid))
    return state + (bmp(Bmp.CURRENCY, bytes.fromhex(options.currency)) if wanted.currency else b"")


def password_holds(apdu: Apdu, options: Options) -> bool:
    """Whether the password is right, where one is asked for."""
    guarded = apdu.control in GUARDED or (apdu.control == Control.STATUS_ENQUIRY and bool(apdu.data))
    return not guarded or options.password is None or apdu.data[:PASSWORD] == bytes.fromhex(options.password)


def refusal_of(told: dict[int, bytes], units: int | None, options: Options) -> Result | None:
    """Why an authorisation cannot be; None if it can."""
    currency = told.get(Bmp.CURRENCY)
    if currency is not None and currency.hex() != options.currency:
        return Result.WRONG_CURRENCY
    if units is None or units % options.scale or units // options.scale > MOST:
        return Result.NOT_POSSIBLE
    return Result.AMOUNT_TOO_SMALL if units == 0 else None
