"""The dialect of Qibixx' MDB-USB and MDB Pi HAT adapters, cashless slave.

Source: docs.qibixx.com, "Cashless Device - Accept a Vend Request from VMC in Always Idle", "Vending Sessions Examples"
and "Configuration". Of complaints the maker publishes `VEND 3` only. The others, and `c,STATUS,ONLINE` and `OFFLINE`,
are those that public host programs wait for; README.md names them. By these, a number below zero answers what the
adapter was just told and did not do; one above zero tells of the machine. `VEND -1` is assumed.
"""

import re
from typing import Final

from drivers.mdb_cashless.words import (
    Acknowledged,
    Approve,
    AskHardware,
    AskVersion,
    Complaint,
    Configure,
    Configured,
    Deny,
    Hardware,
    Said,
    Setting,
    Start,
    State,
    Status,
    Switch,
    Switched,
    Told,
    Trouble,
    VendAsked,
    VendDone,
    Version,
    Word,
)

YEN: Final = "0x1392"
"""Currency of the reader's configuration: 1, then ISO 4217's number (MDB/ICP 4.2, section 7.4.2 and appendix A1)."""

_AMOUNT: Final = r"\d{1,9}(?:\.\d{1,3})?"
_VERSION: Final = re.compile(r"v,([\w.-]{1,32}),([\w-]{1,40})", re.ASCII)
_HARDWARE: Final = re.compile(r"h,([!-~][ -~]{0,59})")
_STATUS: Final = re.compile(rf"c,STATUS,(INACTIVE|DISABLED|ENABLED|IDLE)(?:,-?{_AMOUNT})?", re.ASCII)
_ASKED: Final = re.compile(rf"c,STATUS,VEND,({_AMOUNT}),(-?\w{{1,10}})", re.ASCII)
_ERROR: Final = re.compile(r'c,ERR,(?:"([ !#-~]{1,40})"|([ !#-~]{1,40}))')
_CONFIGURE: Final = re.compile(r"C,SETCONF,([a-z-]{1,32})=(\w{1,16})", re.ASCII)
_START: Final = re.compile(rf"C,START,({_AMOUNT})(?:,\w{{1,10}})?", re.ASCII)
_APPROVE: Final = re.compile(rf"C,VEND,({_AMOUNT})(?:,\w{{1,10}})?", re.ASCII)

_SAID: Final[dict[str, Said]] = {
    "c,1": Switched(True),
    "c,0": Switched(False),
    "c,VEND,SUCCESS": VendDone(),
    "r,ACK": Acknowledged(),
    "c,SET,OK": Configured(),
    "c,STATUS,ONLINE": Switched(True),
    "c,STATUS,OFFLINE": Switched(False),
}
_TOLD: Final[dict[str, Told]] = {
    "V": AskVersion(),
    "H": AskHardware(),
    "C,1": Switch(True),
    "C,0": Switch(False),
    "C,STOP": Deny(),
    "C,VEND,-1": Deny(),
}
_WRITTEN: Final[dict[Word, str]] = {word: line for line, word in reversed([*_SAID.items(), *_TOLD.items()])}
_TROUBLES: Final = {
    "VEND 1": Trouble.CANCELLED,
    "VEND 3": Trouble.VEND_FAILED,
    "VEND 5": Trouble.RESET,
    "VEND -1": Trouble.NO_VEND,
    "VEND -2": Trouble.NOT_TAKEN,
    "VEND -3": Trouble.NO_VEND,
    "cashless is on": Trouble.IS_ON,
    "cashless is off": Trouble.IS_OFF,
}


class Qibixx:
    """Words and numbers between commas, a line feed at the end; capitals to the adapter, small letters from it."""

    def read_said(self, line: str) -> Said | None:
        """What the adapter says; None for anything that is not a whole line of its own."""
        if (known := _SAID.get(line)) is not None:
            return known
        if found := _ASKED.fullmatch(line):
            return VendAsked(found[1], found[2])
        if found := _STATUS.fullmatch(line):
            return Status(State(found[1]))
        if found := _ERROR.fullmatch(line):
            text = found[1] or found[2]
            return Complaint(_TROUBLES.get(text, Trouble.OTHER), text)
        if found := _VERSION.fullmatch(line):
            return Version(found[1], found[2])
        return Hardware(found[1]) if (found := _HARDWARE.fullmatch(line)) else None

    def read_told(self, line: str) -> Told | None:
        """What the adapter is told; None for what it would not understand."""
        if (known := _TOLD.get(line)) is not None:
            return known
        if found := _APPROVE.fullmatch(line):
            return Approve(found[1])
        if found := _START.fullmatch(line):
            return Start(found[1])
        return Configure(found[1], found[2]) if (found := _CONFIGURE.fullmatch(line)) else None

    def write(self, word: Word) -> str:
        """The line, without its end."""
        match word:
            case Version(firmware, serial):
                return f"v,{firmware},{serial}"
            case Hardware(text):
                return f"h,{text}"
            case Status(state):
                return f"c,STATUS,{state}"
            case VendAsked(amount, item):
                return f"c,STATUS,VEND,{amount},{item}"
            case Complaint(_, text):
                return f'c,ERR,"{text}"'
            case Configure(name, value):
                return f"C,SETCONF,{name}={value}"
            case Start(credit):
                return f"C,START,{credit}"
            case Approve(amount):
                return f"C,VEND,{amount}"
            case _:
                return _WRITTEN[word]

    def set_up(self, setting: Setting) -> tuple[Told, ...]:
        """Ask who it is, set it up and switch it on. An adapter that is on already complains of the settings only."""
        return (
            AskVersion(),
            AskHardware(),
            Configure("mdb-currency-code", YEN),
            Configure("mdb-decimal-places", str(setting.decimals)),
            Configure("mdb-scale-factor", str(setting.scale)),
            Configure("mdb-always-idle", str(int(setting.always_idle))),
            Switch(True),
        )
