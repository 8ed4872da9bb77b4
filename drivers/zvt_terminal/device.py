"""The payment terminal that we are: a pure state machine over `line.Line` (drivers.peripheral.Peripheral).

The machine commands; from its authorisation (06 01) until our completion (06 0F) or abort (06 1E) the terminal is the
master, and each of its messages is answered with 80 00 (PA00P015). Rules of ours, for the money's sake:

* While we are the master a command is refused (84 83) and changes nothing: some machines take any 06 0F for a payment.
  Only 06 B0, 06 00 and 06 02 end a charge, with 06 1E; 06 01 asks anew.
* A command in its turn, on the line on which a payment's end was said, says that the machine has read the end: some
  never answer it (`Dialogue.take_end`). Unread, a result is said again only if the machine asks: by 06 20, or by 06 01
  with the same amount within `repeat_seconds`.
* A line that breaks ends the dialogue: what is not said yet never will be.
* After 06 20 a charge that was not approved is answered with failure, never with the success of an older one.
"""

from collections import OrderedDict
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
from drivers.zvt_terminal.dialogue import Dialogue
from drivers.zvt_terminal.fields import Bmp, Control, Result, fields, unbcd
from drivers.zvt_terminal.line import Line
from drivers.zvt_terminal.requests import (
    ABORTS,
    PASSWORD,
    SIMPLE,
    TELLING,
    password_holds,
    refusal_of,
    registered,
    registration_of,
)
from drivers.zvt_terminal.settings import Options
from drivers.zvt_terminal.steps import DONE, YES, Kind, Step, aborted, completed, refused
from parking.errors import Bug

INSERT_CARD: Final = 0x0A
"""Intermediate status: waiting for the customer."""

SILENT_AFTER: Final = 3
"""Times `answer_seconds`: how long one answer is waited for before the machine counts as gone."""

WAIT: Final = 1.0
"""Seconds after which a result is said again that the machine has answered with "please wait" (84 9C)."""

KEPT: Final = 500
"""Approvals that are remembered for the witness."""


class Terminal:
    """One terminal. `receipt` is the number before its first receipt."""

    def __init__(self, options: Options, line: Line, receipt: int = 0) -> None:
        self._options, self._line, self._receipt = options, line, receipt
        self._talk = Dialogue(line, options.charge_seconds)
        self._leaving: Approval | None = None
        self._status_at = float("inf")
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
            Control.AUTHORISATION: self._authorise,
            Control.REPEAT_RECEIPT: lambda _, __: self._repeat_receipt(),
            Control.REVERSAL: lambda apdu, _: self._reverse(apdu),
            Control.REFUND: lambda apdu, _: self._reverse(apdu),
            Control.END_OF_DAY: lambda _, __: self._end_of_day(),
            Control.STATUS_ENQUIRY: lambda _, __: self._report(b"\0"),
            Control.LOG_OFF: lambda _, __: self._talk.answer(DONE),
            **dict.fromkeys(SIMPLE, lambda _, __: self._report()),
        }

    # --- drivers.peripheral.Peripheral -------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The line is there, for the first time or again."""
        del now
        self.seen, self._leaving = True, None
        self._over("the line is a new one")
        self._talk.anew()

    def lost(self, now: float, certain: bool) -> None:
        """The line broke. `certain`: no byte of what was about to be said has left."""
        del now
        if self._leaving is not None and certain:
            self._leaving.state = Delivery.QUEUED  # it never left; what follows withdraws it
        self._leaving = None
        self._over("the line broke")
        self._talk.anew()

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
        if self._talk.may_speak(now) and (step := self._next(now)) is not None:
            self._talk.say(step, now)
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
            self._talk.steps.clear()
            self.approval = None
        return approval

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answered(self, apdu: Apdu, now: float) -> None:
        said = self._talk.take_answer(now)
        if said is None:
            return
        done = apdu.control in YES
        match said.step.kind:
            case Kind.RESULT:
                self._result_answered(said.step, apdu.control, now)
            case Kind.PRINT if not done:
                self._talk.drop(Kind.PRINT)
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
        if control in YES:
            if approval is not None and approval.state is Delivery.SAID:
                approval.state = Delivery.ACKNOWLEDGED
            return
        if control == Control.REFUSED | Result.PLEASE_WAIT:
            self._talk.steps.appendleft(Step(step.kind, step.apdu, approval, now + WAIT))
            return
        # Goods not issued: the machine has not sold, and money must go back (PA00P015, "Reversal"). Any other no leaves
        # that open until it has our abort; one that issued a part has sold. And what was told before may be sold since.
        if approval is not None and control == Control.REFUSED | Result.GOODS_NOT_ISSUED and approval.told == 1:
            approval.state = Delivery.REJECTED
        self._talk.steps.clear()
        self._talk.steps.append(aborted(Result.ABORTED, None if control & 0xFF == Result.PARTLY_ISSUED else approval))

    def _end_answered(self, step: Step, control: int) -> None:
        if step.about is not None:
            step.about.says.append(f"end answered with {control:04x}")
        if control in YES:
            if step.then is not None:
                step.then()
            self._end_seen(step, "the machine acknowledged the end of the payment (06 0F)")

    def _end_seen(self, step: Step, proof: str) -> None:
        """The machine has the end: what it tells is what the machine goes by."""
        approval = step.about
        if approval is None:
            return
        if step.apdu.control == Control.ABORTED:
            if approval.state is Delivery.SAID and approval.told == 1:
                approval.state = Delivery.REJECTED
        elif approval.state is Delivery.ACKNOWLEDGED:
            approval.state, approval.proof = Delivery.COMPLETED, proof
            self._total += approval.charge.units

    # --- commands ----------------------------------------------------------------------------------------------------

    def _commanded(self, apdu: Apdu, now: float) -> None:
        control = apdu.control
        handle = self._commands.get(control) if password_holds(apdu, self._options) else None
        if control in ABORTS:
            self._abort(now)
            return
        if self._talk.is_master and not self._is_heard_now(apdu):
            self._interrupted(control if handle else 0, now)
            return
        if (end := self._talk.take_end(control, now)) is not None:
            self._end_seen(end, f"the machine gave its next command ({control:04x}) after the end (06 0F)")
        if control != Control.AUTHORISATION:
            self._anew("the machine gave another command", now)
        if handle is None:
            self._talk.answer(refused(Result.NOT_POSSIBLE))
            return
        if control in TELLING:
            self._talk.began = apdu
        handle(apdu, now)

    def _is_heard_now(self, apdu: Apdu) -> bool:
        """Whether a command is one that may come while we are the master: asked anew, said again, "what was it?"."""
        told = self.approval is not None and self.approval.state in UNDELIVERED
        asks = apdu.control == Control.AUTHORISATION or (apdu.control == Control.REPEAT_RECEIPT and told)
        return asks or apdu == self._talk.began

    def _interrupted(self, control: int, now: float) -> None:
        """A command while we are the master: two end what is going on, the others are refused."""
        if control in (Control.REGISTRATION, Control.LOG_OFF):
            self._talk.hush(now)
            self._talk.answer(DONE)
            self._break_off("the machine broke it off")
        else:
            self._talk.interrupts = True
            self._talk.interject(refused(Result.NOT_POSSIBLE), now)

    def _register(self, data: bytes) -> None:
        wanted = registration_of(data)
        if wanted.currency not in ("", self._options.currency):
            self._talk.answer(refused(Result.WRONG_CURRENCY))
            return
        self._wants_status = wanted.wants_status
        self._talk.answer(DONE)
        self._talk.steps.append(completed(registered(wanted, self._options)))

    def _authorise(self, request: Apdu, now: float) -> None:
        told = fields(request.data)
        units = unbcd(told.get(Bmp.AMOUNT, b"\xff"))
        charge = self.asking or (self.charge if self._is_queued else None)
        if charge is not None and charge.units == units and now - charge.heard <= self._patience:
            self._talk.hush(now)  # said again because our answer got lost
            self._talk.answer(DONE)
            charge.heard, self._status_at = now, now + self._options.status_seconds
            return
        approval = self.approval
        self._anew("the machine asked anew", now)
        self._talk.began = request
        self._talk.answer(DONE)
        again = approval is not None and approval.is_said_again(now, self._options.repeat_seconds)
        if approval is not None and again and units == approval.charge.units:
            self._deliver(approval)
            return
        number = self.charge.number + 1 if self.charge else 1
        self.charge = Charge(number, units or 0, (units or 0) // self._options.scale, now, now)
        self.approval = None
        self._status_at = now
        if (no := refusal_of(told, units, self._options)) is not None:
            self.charge.ended = f"refused with {no:02x}"
            self._talk.steps.append(aborted(no))

    @property
    def _is_queued(self) -> bool:
        return self.approval is not None and self.approval.state is Delivery.QUEUED

    @property
    def _patience(self) -> float:
        return SILENT_AFTER * self._options.answer_seconds

    def _abort(self, now: float) -> None:
        if self.asking is not None or self._is_queued:
            self._talk.hush(now)
            self._talk.answer(DONE)
            self._break_off("aborted at the machine")
        elif self.approval is not None and self.approval.state in UNDELIVERED:
            self._talk.take_end(Control.ABORT, now)
            self._talk.interject(refused(Result.NOT_POSSIBLE), now)  # too late: it was told yes
        else:
            self._talk.answer(DONE)

    def _repeat_receipt(self) -> None:
        self._talk.answer(DONE)
        if self.charge is None:
            self._talk.steps.append(aborted(Result.NOT_POSSIBLE))
        elif self.approval is not None and self.approval.state in (*UNDELIVERED, Delivery.COMPLETED):
            self._deliver(self.approval)
        else:
            self._talk.steps.extend((Step(Kind.RESULT, failure_of(self.charge, self._options)), completed()))

    def _reverse(self, apdu: Apdu) -> None:
        """Reversal and refund: money goes back by the cloud alone."""
        receipt = unbcd(fields(apdu.data[PASSWORD:]).get(Bmp.RECEIPT, b"\xff"))
        for approval in self.approvals.values():
            if approval.receipt == receipt:
                approval.says.append(f"reversal asked for with {apdu.control:04x}")
        self._talk.answer(DONE)
        no = Result.REVERSAL_IMPOSSIBLE if apdu.control == Control.REVERSAL else Result.NOT_POSSIBLE
        self._talk.steps.append(aborted(no))

    def _end_of_day(self) -> None:
        total = self._total

        def begin_anew() -> None:
            self._total -= total

        self._talk.answer(DONE)
        self._talk.steps.extend((Step(Kind.RESULT, totals_of(total, self._options)), completed(then=begin_anew)))

    def _report(self, status: bytes = b"") -> None:
        """What asks whether all is well, or for something that we need not do: all is well, it is done."""
        self._talk.answer(DONE)
        self._talk.steps.append(completed(status))

    # --- the dialogue ------------------------------------------------------------------------------------------------

    def _deliver(self, approval: Approval) -> None:
        options = self._options
        approval.told += 1
        lines = printed(approval.charge, approval.receipt, options) if options.print_lines else ()
        prints = (Step(Kind.PRINT, line) for line in lines)
        self._talk.steps.extend((Step(Kind.RESULT, approval.result, approval), *prints, completed(about=approval)))

    def _next(self, now: float) -> Step | None:
        if self._talk.steps:
            return self._talk.steps.popleft() if self._talk.steps[0].not_before <= now else None
        if self.asking is not None and self._wants_status and now >= self._status_at:
            self._status_at = now + self._options.status_seconds
            return Step(Kind.STATUS, Apdu(Control.INTERMEDIATE, bytes((INSERT_CARD,))))
        return None

    def _expire(self, now: float) -> None:
        """End what takes too long. A result and its end are waited for as long as a charge lasts, others less."""
        said, asking = self._talk.said, self.asking
        late = self._line.gone
        if late:
            self._line.reset()
        elif said is not None:
            late = now - said.at > (self._patience if said.step.about is None else self._options.charge_seconds)
        if late:
            open_still = asking is not None or self._is_queued
            (self._break_off if open_still else self._over)("the machine does not answer")
        elif said is None and asking is not None and now - asking.heard > self._options.charge_seconds:
            self._break_off("nobody paid in time")

    def _anew(self, why: str, now: float) -> None:
        """The machine has begun something else: it waits for nothing of ours any more."""
        self._talk.hush(now)
        self._over(why)

    def _break_off(self, why: str) -> None:
        """The dialogue is over, and the machine is told: else it would take the next 06 0F for that of its payment."""
        began = self._talk.began
        self._over(why)
        self._talk.began = began
        self._talk.steps.append(aborted(Result.ABORTED))

    def _over(self, why: str) -> None:
        """The dialogue is over. What is not said yet never will be."""
        self._talk.over()
        if self._is_queued and self.approval is not None:
            self.approval.state, self.approval.note = Delivery.WITHDRAWN, why
            self.approval.charge.ended = why
        if (charge := self.asking) is not None:
            charge.ended = why
