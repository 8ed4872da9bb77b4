"""A pay station's software towards its card terminal, with the time-outs and the mistakes that such software has.

Used by drivers.zvt_terminal.sim only. What it believes is what counts: it sells a ticket by its own rules.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from drivers.simlot.mishaps import Mishaps
from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Bmp, Control, Result, bcd, fields, unbcd
from drivers.zvt_terminal.fields import field as bmp
from drivers.zvt_terminal.line import ANSWERS, Line
from drivers.zvt_terminal.settings import Options

log = logging.getLogger(__name__)

T3: Final = 5.0
"""Seconds that the terminal may take to answer a command."""

T4: Final = 180.0
"""Seconds after the terminal's last message at which the machine gives a payment up."""

KEEP_ALIVE: Final = 0.5
"""Seconds between two status enquiries of a machine that enquires all the time."""

STARTING_UP: Final = (
    Apdu(Control.INITIALISATION, bytes(3)),
    Apdu(Control.SET_TIME, bytes.fromhex("aa2611290c120000")),
    Apdu(Control.SELECT_LANGUAGE, b"\x01"),
    Apdu(Control.SELFTEST),
    Apdu(Control.RESET),
    Apdu(Control.PRINT_CONFIGURATION),
)
"""What some machines say before they register."""

STEP: Final = 0.005
AGAIN: Final = 2
"""How often a payment is tried again, if at all."""


class LongApdu(Apdu):
    """A message whose length is in three bytes although one would do, low byte first."""

    @property
    def raw(self) -> bytes:
        """Control field, FF and the length, data."""
        return self.control.to_bytes(2, "big") + b"\xff" + len(self.data).to_bytes(2, "little") + self.data


class Station(Protocol):
    """The pay station (drivers.simlot.station.Station)."""

    @property
    def asked(self) -> int:
        """What it wants for the ticket in it."""
        ...

    @property
    def ticket(self) -> int:
        """Counts what it has asked for."""
        ...

    @property
    def open(self) -> bool:
        """Whether it waits for money."""
        ...

    def paid(self, amount: int) -> bool:
        """Its payment line says that this was paid."""
        ...

    def cancel(self) -> bool:
        """The customer gets the ticket back."""
        ...


class Wire(Protocol):
    """Bytes to and from the terminal. All raise OSError when the line breaks."""

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        ...

    def write(self, data: bytes) -> None:
        """Send."""
        ...

    def renew(self) -> None:
        """Hang up, and dial anew if that can be done."""
        ...


@dataclass
class Faults(Mishaps):
    """What is wrong with the machine; set at any time. Those with `…_once` are used up when they strike.

    `raises_after_t4`: has the result, ignores the end, prints "failed". `books_on_result`: sells before the end has
    come. `repeats`: asks again when it does not know what became of a payment; `enquires`: asks for the receipt.
    `t3_ms` and `t4_ms`: its time-outs, 0 for the usual ones. `never_answers_end`: reads 06 0F and 06 1E, and sells by
    the result, as kotlin-zvt-library does. `takes_any_end`: sells on any 06 0F, as Portalum.Zvt does. `keeps_alive`:
    sends status enquiries in mid-payment. `aborts_as_terminals_do`: says 06 1E for 06 B0, as kotlin-zvt-library does.
    `yes_is_84_00`: says so for 80 00. `starts_up`, `tagged_currency`, `long_lengths`: begins its day, registers and
    counts as some do.
    """

    unplugged: bool = False
    silent: bool = False
    garbage: bool = False
    xor_lrc: bool = False
    repeats: bool = False
    enquires: bool = False
    raises_after_t4: bool = False
    books_on_result: bool = False
    never_answers_end: bool = False
    takes_any_end: bool = False
    keeps_alive: bool = False
    aborts_as_terminals_do: bool = False
    yes_is_84_00: bool = False
    starts_up: bool = False
    tagged_currency: bool = False
    long_lengths: bool = False
    lose_result_once: bool = False
    lose_result_answer_once: bool = False
    lose_end_once: bool = False
    lose_end_answer_once: bool = False
    hang_up_on_result_once: bool = False
    hang_up_once: bool = False
    refuse_goods_once: bool = False
    refuse_result_once: bool = False
    please_wait_once: bool = False
    nak_once: bool = False
    spoil_once: bool = False
    abort_ms: int = 0
    t3_ms: int = 0
    t4_ms: int = 0


class _FailedError(Exception):
    """The machine prints "failed", or does not know."""


class StoppedError(Exception):
    """The simulator ends."""


@dataclass
class Ecr:
    """One machine. `said` remembers what it was told, newest last."""

    station: Station
    options: Options
    faults: Faults
    line: Line
    wire: Wire
    stopped: Callable[[], bool]
    said: deque[Apdu] = field(default_factory=lambda: deque(maxlen=200))
    _inbox: deque[Apdu] = field(default_factory=deque)
    _handled: int = 0
    _booked: bool = False
    """Whether the ticket was sold when the result came, before the end."""
    _asks: bool = False
    """Whether it asks what became of a payment."""
    _aborting: bool = False
    _enquire_at: float = 0.0

    def work(self) -> None:
        """Take a ticket to be paid, if there is one. Raises OSError when the line breaks."""
        if not self.station.open or self.station.ticket == self._handled:
            self._pump(STEP)
            self._inbox.clear()
            return
        ticket, amount = self.station.ticket, self.station.asked
        for attempt in range(AGAIN + 1):
            if attempt and not (self._wants(ticket) and (self.faults.repeats or self.faults.enquires)):
                break
            if self._try(ticket, amount, again=attempt > 0):
                break
        self._handled = ticket
        if self._wants(ticket):
            self.station.cancel()

    def _try(self, ticket: int, amount: int, again: bool) -> bool:
        """Whether it is known what became of the payment."""
        self._booked, self._asks = False, again and self.faults.enquires
        try:
            if self._asks:
                self._command(Apdu(Control.REPEAT_RECEIPT, bytes(3) + bmp(Bmp.SERVICE, b"\x03")))
            else:
                self._pay(amount)
            return self._obey(ticket, amount)
        except _FailedError as error:
            log.info("machine: ticket %d failed: %s", ticket, error)
        except OSError:
            self._anew()
        return False

    def _anew(self) -> None:
        """Dial anew. Raises OSError if the line is away altogether; a terminal that is away is one more failure."""
        self._inbox.clear()
        self.line.reset()
        try:
            self.wire.renew()
        except OSError as error:
            if self.faults.unplugged or self.stopped():
                raise
            log.info("machine: not connected: %s", error)

    def _pay(self, amount: int) -> None:
        currency = bytes.fromhex(self.options.currency)
        tag = bytes((Bmp.CURRENCY,)) if self.faults.tagged_currency else b""
        register = Apdu(Control.REGISTRATION, bytes(3) + b"\x8e" + tag + currency)
        for command in (*(STARTING_UP if self.faults.starts_up else ()), register):
            if not (self._do(command) or self._do(command)):  # the first ends what the terminal was at
                raise _FailedError(f"{command.control:04x} aborted")
        data = bmp(Bmp.AMOUNT, bcd(amount * self.options.scale, 6)) + bmp(Bmp.CURRENCY, currency)
        self._command(Apdu(Control.AUTHORISATION, data))
        if self.faults.take("hang_up_once"):
            raise ConnectionResetError("hung up by order")

    def _do(self, command: Apdu) -> bool:
        """Give a command that costs nothing; whether it was done. Raises _FailedError if refused or not answered."""
        self._command(command)
        end = self._heard(self._t3)
        self._answer_to_end()
        return end.control == Control.COMPLETION

    def _command(self, apdu: Apdu) -> None:
        """Say a command; the terminal must say yes within T3."""
        self._inbox.clear()
        self._say(apdu)
        until = time.monotonic() + self._t3
        while (answer := self._heard(until - time.monotonic())).control >> 8 not in ANSWERS:
            log.debug("machine: %04x before the answer", answer.control)
        if answer.control != Control.DONE:
            raise _FailedError(f"{apdu.control:04x} answered with {answer.control:04x}")

    def _say_yes(self) -> None:
        self._say(Apdu(Control.REFUSED if self.faults.yes_is_84_00 else Control.DONE))

    def _answer_to_end(self) -> None:
        if not self.faults.never_answers_end:
            self._say_yes()

    # --- the terminal is the master ----------------------------------------------------------------------------------

    def _obey(self, ticket: int, amount: int) -> bool:
        """Until completion or abort. True: sold, or certainly not. Raises _FailedError when it takes too long."""
        began, result = time.monotonic(), False
        until = began + self._t4
        self._aborting, self._enquire_at = False, began
        while True:
            if not result:
                self._speak_unasked(ticket, began)
            apdu = self._maybe(STEP)
            if apdu is None:
                self._give_up_at(until)
                continue
            if apdu.control >> 8 not in ANSWERS:
                until = time.monotonic() + self._t4
            match apdu.control:
                case Control.STATUS_INFORMATION:
                    result = self._take_result(apdu, ticket, amount)
                case Control.COMPLETION if not self.faults.raises_after_t4 and not self.faults.take("lose_end_once"):
                    return self._take_end(result, ticket, amount)
                case Control.COMPLETION:
                    log.info("machine: the end was not heard")
                case Control.ABORTED:
                    self._answer_to_end()
                    return True
                case Control.INTERMEDIATE | Control.PRINT_LINE:
                    self._say_yes()
                case _:
                    log.debug("machine: %04x passed over", apdu.control)

    def _give_up_at(self, until: float) -> None:
        if time.monotonic() > until:
            raise _FailedError("T4")

    def _speak_unasked(self, ticket: int, began: float) -> None:
        """What the machine says while the terminal is the master, and has no result yet."""
        if not self._aborting and self._wants_out(ticket, began):
            self._aborting = True
            self._say(Apdu(Control.ABORTED if self.faults.aborts_as_terminals_do else Control.ABORT))
        if self.faults.keeps_alive and time.monotonic() >= self._enquire_at:
            self._enquire_at = time.monotonic() + KEEP_ALIVE
            self._say(Apdu(Control.STATUS_ENQUIRY))

    def _wants(self, ticket: int) -> bool:
        return self.station.open and self.station.ticket == ticket

    def _wants_out(self, ticket: int, began: float) -> bool:
        abort_ms = self.faults.abort_ms
        return not self._wants(ticket) or (abort_ms > 0 and time.monotonic() - began > abort_ms / 1000)

    def _take_result(self, apdu: Apdu, ticket: int, amount: int) -> bool:
        """Whether the terminal says that it was paid, and the machine takes it."""
        faults, told = self.faults, fields(apdu.data)
        if faults.take("lose_result_once"):
            return False
        good = told.get(Bmp.RESULT) == b"\0" and unbcd(told.get(Bmp.AMOUNT, b"\xff")) == amount * self.options.scale
        if good and faults.take("please_wait_once"):
            self._say(Apdu(Control.REFUSED | Result.PLEASE_WAIT))
            return False
        if good and faults.take("refuse_result_once"):
            self._say(Apdu(Control.REFUSED | Result.NOT_POSSIBLE))
            return False
        if good and (not self._wants(ticket) or faults.take("refuse_goods_once")):
            self._say(Apdu(Control.REFUSED | Result.GOODS_NOT_ISSUED))
            return False
        if good and (faults.books_on_result or faults.never_answers_end):
            self._booked = self.station.paid(amount)
            good = self._booked
            if not good:
                self._say(Apdu(Control.REFUSED | Result.GOODS_NOT_ISSUED))
                return False
        if faults.take("hang_up_on_result_once"):
            raise ConnectionResetError("hung up by order")
        if not faults.take("lose_result_answer_once"):
            self._say_yes()
        return good

    def _take_end(self, result: bool, ticket: int, amount: int) -> bool:
        """The end of the dialogue: paid if the result said so."""
        paid = result or (self.faults.takes_any_end and not self._asks)
        if paid and not self._booked and not (self._wants(ticket) and self.station.paid(amount)):
            self._say(Apdu(Control.REFUSED | Result.GOODS_NOT_ISSUED))
            raise _FailedError("the ticket was taken back")
        if not self.faults.take("lose_end_answer_once"):
            self._answer_to_end()
        return True

    # --- the line ----------------------------------------------------------------------------------------------------

    @property
    def _t3(self) -> float:
        return self.faults.t3_ms / 1000 or T3

    @property
    def _t4(self) -> float:
        return self.faults.t4_ms / 1000 or T4

    def _heard(self, seconds: float) -> Apdu:
        """The next message. Raises _FailedError if none comes in time."""
        until = time.monotonic() + seconds
        while (apdu := self._maybe(STEP)) is None:
            if time.monotonic() > until:
                raise _FailedError("no answer")
        return apdu

    def _maybe(self, seconds: float) -> Apdu | None:
        if not self._inbox:
            self._pump(seconds)
        return self._inbox.popleft() if self._inbox else None

    def _say(self, apdu: Apdu) -> None:
        if self.faults.silent:
            return
        self.line.say(LongApdu(apdu.control, apdu.data) if self.faults.long_lengths else apdu)
        self._pump(0)

    def _pump(self, seconds: float) -> None:
        """Write what is due, read what comes. Raises OSError when the line breaks, StoppedError at the end."""
        if self.stopped():
            raise StoppedError
        if self.faults.unplugged:
            raise ConnectionResetError("unplugged")
        if raw := self.line.due(time.monotonic()):
            self.wire.write(raw)
        heard = self.line.hear(self.wire.read(seconds), time.monotonic())
        self.said.extend(heard)
        self._inbox.extend(heard)
        if heard and (raw := self.line.due(time.monotonic())):
            self.wire.write(raw)
