"""The payment terminal that we are: a pure state machine over `line.Line` (drivers.peripheral.Peripheral).

The machine commands; from its authorisation (06 01) until our completion (06 0F) or abort (06 1E) the terminal is the
master, and each of its messages is answered with 80 00 (PA00P015). Rules of ours, for the money's sake:

* Nothing is said while an answer is outstanding, so that each answer belongs to the one message before it.
* A command, or a line that breaks, ends the dialogue: what is not said yet never will be. A result that was said and
  not completed is said again only if the machine asks: by 06 20, or by 06 01 with the same amount within
  `repeat_seconds`.
* After 06 20 a charge that was not approved is answered with failure, never with the success of an older one.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from drivers.zvt_terminal.approval import (
    UNDELIVERED,
    Approval,
    Charge,
    Delivery,
    failure_of,
    printed,
    result_of,
    totals_of,
)
from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Bmp, Control, Result, fields, unbcd
from drivers.zvt_terminal.fields import field as bmp
from drivers.zvt_terminal.line import Line
from drivers.zvt_terminal.settings import Options
from drivers.zvt_terminal.steps import DONE, Kind, Said, Step, aborted, refused
from parking.errors import Bug
from parking.money import MOST

PASSWORD: Final = 3
"""Bytes of the password in front of most commands."""

CONFIG_INTERMEDIATE: Final = 0x08
"""Bit of the registration's config byte: the machine wants intermediate status information."""

INSERT_CARD: Final = 0x0A
"""Intermediate status: waiting for the customer."""

SILENT_AFTER: Final = 3
"""Times `answer_seconds`: how long one answer is waited for before the machine counts as gone."""

WAIT: Final = 1.0
"""Seconds after which a result is said again that the machine has answered with "please wait" (84 9C)."""

CROSSING: Final = 0.3
"""Seconds for which an answer may still be under way that was meant for a message from before a command."""

KEPT: Final = 500
"""Approvals that are remembered for the witness."""


class Terminal:
    """One terminal. `receipt` is the number before its first receipt."""

    def __init__(self, options: Options, line: Line, receipt: int = 0) -> None:
        self._options, self._line, self._receipt = options, line, receipt
        self._steps: deque[Step] = deque()
        self._said: Said | None = None
        self._leaving: Approval | None = None
        self._status_at, self._quiet_until = float("inf"), float("-inf")
        self._wants_status = True
        self._total = 0
        self.charge: Charge | None = None
        """What the machine asked for last, open or not."""
        self.approval: Approval | None = None
        """That of `charge`."""
        self.approvals: OrderedDict[str, Approval] = OrderedDict()
        self.seen = False
        """Whether the line has ever been there."""
        self._commands: dict[int, Callable[[Apdu, float], None]] = {
            Control.REGISTRATION: lambda apdu, _: self._register(apdu.data),
            Control.AUTHORISATION: lambda apdu, now: self._authorise(fields(apdu.data), now),
            Control.ABORT: lambda _, now: self._abort(now),
            Control.REPEAT_RECEIPT: lambda _, __: self._repeat_receipt(),
            Control.REVERSAL: lambda apdu, _: self._reverse(apdu),
            Control.REFUND: lambda apdu, _: self._reverse(apdu),
            Control.END_OF_DAY: lambda _, __: self._end_of_day(),
            Control.STATUS_ENQUIRY: lambda _, __: self._report(),
            Control.DIAGNOSIS: lambda _, __: self._report(),
            Control.LOG_OFF: lambda _, __: self._say(DONE),
        }

    # --- drivers.peripheral.Peripheral -------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The line is there, for the first time or again."""
        del now
        self.seen, self._leaving = True, None
        self._over("the line is a new one")
        self._line.reset()

    def lost(self, now: float, certain: bool) -> None:
        """The line broke. `certain`: no byte of what was about to be said has left."""
        del now
        if self._leaving is not None and certain:
            self._leaving.state = Delivery.QUEUED  # it never left; what follows withdraws it
        self._leaving = None
        self._over("the line broke")
        self._line.reset()

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the machine says; all that is to be said comes from `due`."""
        for apdu in self._line.hear(data, now):
            if apdu.control >> 8 in (Control.DONE >> 8, Control.REFUSED >> 8):
                self._answered(apdu, now)
            else:
                self._commanded(apdu, now)
        return b""

    def due(self, now: float) -> bytes:
        """What is to be said by now."""
        self._expire(now)
        ready = self._said is None and now >= self._quiet_until and self._line.free(now)
        if ready and (step := self._next(now)) is not None:
            self._said = Said(step, self._line.say(step.apdu), now)
            if step.about is not None and step.about.state is Delivery.QUEUED:
                self._leaving, step.about.state = step.about, Delivery.SAID
        return self._line.due(now)

    def written(self, now: float) -> None:
        """All that was given out last has been handed to the line."""
        del now
        self._leaving = None

    # --- what the roles look at and change ---------------------------------------------------------------------------

    @property
    def asking(self) -> Charge | None:
        """What the machine waits to be paid for, if it does."""
        charge = self.charge
        return charge if charge is not None and not charge.ended and self.approval is None else None

    def prepare(self, reference: str, stamp: datetime, now: float) -> Approval:
        """The approval of what is asked for; nothing is said before `give`. `stamp` is local time."""
        charge = self.asking
        if charge is None:
            raise Bug("an approval of nothing")
        receipt = self._receipt % 9999 + 1
        return Approval(reference, charge, result_of(charge, receipt, stamp, self._options), receipt, now)

    def frame(self, approval: Approval) -> bytes:
        """The exact bytes with which an approval is told to the machine."""
        return self._line.frame(approval.result)

    def give(self, approval: Approval) -> None:
        """Say it as soon as the machine has answered what was said before."""
        self._receipt = approval.receipt
        self.approval = self.approvals[approval.reference] = approval
        while len(self.approvals) > KEPT:
            self.approvals.popitem(last=False)
        self._deliver(approval)

    def withdraw(self, approval: Approval) -> Approval:
        """Take an approval back if no byte of it has left; what is asked for is open again then."""
        if approval is self.approval and self._is_queued:
            approval.state, approval.note = Delivery.WITHDRAWN, "the machine did not answer in time"
            self._steps.clear()
            self.approval = None
        return approval

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answered(self, apdu: Apdu, now: float) -> None:
        said = self._said
        if said is None or not self._line.arrived(said.number):
            return  # the answer to something older, said once more
        self._said = None
        done = apdu.control == Control.DONE
        match said.step.kind:
            case Kind.RESULT:
                self._result_answered(said.step, apdu.control, now)
            case Kind.PRINT if not done:
                self._steps = deque(step for step in self._steps if step.kind is not Kind.PRINT)
            case Kind.STATUS if not done:
                self._wants_status = False
            case Kind.END:
                self._end_answered(said.step, apdu.control)
            case _:
                pass

    def _result_answered(self, step: Step, control: int, now: float) -> None:
        approval = step.about
        if approval is not None:
            approval.says.append(f"result answered with {control:04x}")
        if control == Control.DONE:
            if approval is not None and approval.state is Delivery.SAID:
                approval.state = Delivery.ACKNOWLEDGED
            return
        if control == Control.REFUSED | Result.PLEASE_WAIT:
            self._steps.appendleft(Step(step.kind, step.apdu, approval, now + WAIT))
            return
        # Goods not issued: the machine has not sold, and money must go back (PA00P015, "Reversal"). Any other "no"
        # leaves that open; and a machine that was told before may have sold then.
        if approval is not None and control == Control.REFUSED | Result.GOODS_NOT_ISSUED and approval.told == 1:
            approval.state = Delivery.REJECTED
        self._steps.clear()
        self._steps.append(aborted(Result.ABORTED))

    def _end_answered(self, step: Step, control: int) -> None:
        if step.about is not None:
            step.about.says.append(f"end answered with {control:04x}")
        if control != Control.DONE:
            return
        if step.then is not None:
            step.then()
        if step.about is not None and step.about.state is Delivery.ACKNOWLEDGED:
            step.about.state = Delivery.COMPLETED
            self._total += step.about.charge.units

    # --- commands ----------------------------------------------------------------------------------------------------

    def _commanded(self, apdu: Apdu, now: float) -> None:
        handle = self._commands.get(apdu.control)
        if handle is None or not self._password_holds(apdu):
            self._anew("the machine gave another command", now)
            self._say(refused(Result.NOT_POSSIBLE))
            return
        if apdu.control not in (Control.AUTHORISATION, Control.ABORT):
            self._anew("the machine gave another command", now)
        handle(apdu, now)

    def _say(self, answer: Apdu) -> None:
        self._line.say(answer)

    def _password_holds(self, apdu: Apdu) -> bool:
        """Whether the password is right, where one is asked for."""
        unguarded = (Control.AUTHORISATION, Control.ABORT, Control.LOG_OFF, Control.DIAGNOSIS)
        wanted = self._options.password
        if apdu.control in unguarded or wanted is None:
            return True
        return apdu.data[:PASSWORD] == bytes.fromhex(wanted) or (
            apdu.control == Control.STATUS_ENQUIRY and not apdu.data
        )

    def _register(self, data: bytes) -> None:
        config, currency = data[PASSWORD : PASSWORD + 1], data[PASSWORD + 1 : PASSWORD + 3]
        if len(currency) == 2 and currency.hex() != self._options.currency:
            self._say(refused(Result.WRONG_CURRENCY))
            return
        self._wants_status = bool(config and config[0] & CONFIG_INTERMEDIATE)
        state = bmp(Bmp.STATUS, b"\0") + bmp(Bmp.TERMINAL, bytes.fromhex(self._options.tid))
        state += bmp(Bmp.CURRENCY, bytes.fromhex(self._options.currency))
        self._say(DONE)
        self._steps.append(Step(Kind.END, Apdu(Control.COMPLETION, state)))

    def _authorise(self, told: dict[int, bytes], now: float) -> None:
        units = unbcd(told.get(Bmp.AMOUNT, b"\xff"))
        charge = self.asking or (self.charge if self._is_queued else None)
        if charge is not None and charge.units == units and now - charge.heard <= self._patience:
            self._hush(now)  # said again because our answer got lost
            self._say(DONE)
            charge.heard, self._status_at = now, now + self._options.status_seconds
            return
        approval = self.approval
        self._anew("the machine asked anew", now)
        self._say(DONE)
        if approval is not None and units == approval.charge.units and self._may_repeat(approval, now):
            self._deliver(approval)
            return
        number = self.charge.number + 1 if self.charge else 1
        self.charge = Charge(number, units or 0, (units or 0) // self._options.scale, now, now)
        self.approval = None
        self._status_at = now
        if (no := self._refusal(told, units)) is not None:
            self.charge.ended = f"refused with {no:02x}"
            self._steps.append(aborted(no))

    @property
    def _is_queued(self) -> bool:
        return self.approval is not None and self.approval.state is Delivery.QUEUED

    @property
    def _patience(self) -> float:
        return SILENT_AFTER * self._options.answer_seconds

    def _may_repeat(self, approval: Approval, now: float) -> bool:
        """Whether the same amount once more is the same sale: its result has not been completed, and is fresh."""
        return approval.state in UNDELIVERED and now - approval.given <= self._options.repeat_seconds

    def _refusal(self, told: dict[int, bytes], units: int | None) -> Result | None:
        currency = told.get(Bmp.CURRENCY)
        if currency is not None and currency.hex() != self._options.currency:
            return Result.WRONG_CURRENCY
        if units is None or units % self._options.scale or units // self._options.scale > MOST:
            return Result.NOT_POSSIBLE
        return Result.AMOUNT_TOO_SMALL if units == 0 else None

    def _abort(self, now: float) -> None:
        if self.asking is not None or self._is_queued:
            self._anew("aborted at the machine", now)
            self._say(DONE)
            self._steps.append(aborted(Result.ABORTED))
        elif self.approval is not None and self.approval.state in UNDELIVERED:
            self._say(refused(Result.NOT_POSSIBLE))  # too late: it was told yes
        else:
            self._say(DONE)

    def _repeat_receipt(self) -> None:
        self._say(DONE)
        if self.charge is None:
            self._steps.append(aborted(Result.NOT_POSSIBLE))
        elif self.approval is not None and self.approval.state in (*UNDELIVERED, Delivery.COMPLETED):
            self._deliver(self.approval)
        else:
            self._steps.append(Step(Kind.RESULT, failure_of(self.charge, self._options)))
            self._steps.append(Step(Kind.END, Apdu(Control.COMPLETION)))

    def _reverse(self, apdu: Apdu) -> None:
        """Reversal and refund: money goes back by the cloud alone."""
        receipt = unbcd(fields(apdu.data[PASSWORD:]).get(Bmp.RECEIPT, b"\xff"))
        for approval in self.approvals.values():
            if approval.receipt == receipt:
                approval.says.append(f"reversal asked for with {apdu.control:04x}")
        self._say(DONE)
        no = Result.REVERSAL_IMPOSSIBLE if apdu.control == Control.REVERSAL else Result.NOT_POSSIBLE
        self._steps.append(aborted(no))

    def _end_of_day(self) -> None:
        total = self._total

        def begin_anew() -> None:
            self._total -= total

        self._say(DONE)
        self._steps.append(Step(Kind.RESULT, totals_of(total, self._options)))
        self._steps.append(Step(Kind.END, Apdu(Control.COMPLETION), then=begin_anew))

    def _report(self) -> None:
        """Status enquiry and diagnosis: all is well."""
        self._say(DONE)
        self._steps.append(Step(Kind.END, Apdu(Control.COMPLETION)))

    # --- the dialogue ------------------------------------------------------------------------------------------------

    def _deliver(self, approval: Approval) -> None:
        options = self._options
        approval.told += 1
        lines = printed(approval.charge, approval.receipt, options) if options.print_lines else ()
        self._steps.append(Step(Kind.RESULT, approval.result, approval))
        self._steps.extend(Step(Kind.PRINT, line) for line in lines)
        self._steps.append(Step(Kind.END, Apdu(Control.COMPLETION), approval))

    def _next(self, now: float) -> Step | None:
        if self._steps:
            return self._steps.popleft() if self._steps[0].not_before <= now else None
        if self.asking is not None and self._wants_status and now >= self._status_at:
            self._status_at = now + self._options.status_seconds
            return Step(Kind.STATUS, Apdu(Control.INTERMEDIATE, bytes((INSERT_CARD,))))
        return None

    def _expire(self, now: float) -> None:
        """End what takes too long. A result and its end are waited for as long as a charge lasts, others less."""
        said, asking = self._said, self.asking
        if self._line.gone:
            self._over("the machine does not answer")
            self._line.reset()
        elif said is not None:
            money = said.step.about is not None
            if now - said.at > (self._options.charge_seconds if money else self._patience):
                self._over("the machine does not answer")
        elif asking is not None and now - asking.heard > self._options.charge_seconds:
            self._over("nobody paid in time")
            self._steps.append(aborted(Result.ABORTED))

    def _anew(self, why: str, now: float) -> None:
        """The machine has begun something else: it waits for nothing of ours any more."""
        self._hush(now)
        self._over(why)

    def _hush(self, now: float) -> None:
        """Say nothing more of the dialogue that was. An answer that crossed the command must not count for the next."""
        if self._said is not None:
            self._quiet_until = now + CROSSING
        self._said = None
        self._line.hush()

    def _over(self, why: str) -> None:
        """The dialogue is over. What is not said yet never will be."""
        self._said = None
        self._steps.clear()
        if self._is_queued and self.approval is not None:
            self.approval.state, self.approval.note = Delivery.WITHDRAWN, why
            self.approval.charge.ended = why
        if (charge := self.asking) is not None:
            charge.ended = why
