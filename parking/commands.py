"""What the console orders of the bridge: acts by hand, codes from phones, signing in. See parking.desk for the API."""

from enum import StrEnum

from parking.reports import Whose
from parking.stay import StayRef
from parking.wire import Amount, Message, Number, NumberOrNone


class Verb(StrEnum):
    """What an attendant can order. There is no close: closing belongs to the legacy controller."""

    RELEASE = "release"
    HOLD_OPEN = "hold_open"
    END_HOLD = "end_hold"
    RESOLVE = "resolve"
    ASSIGN = "assign"
    """Say afterwards for whom an override was."""


class Verdict(StrEnum):
    """What a person decided about a case in doubt."""

    SETTLED = "settled"
    NOT_SETTLED = "not_settled"


class Command(Message, frozen=True, kw_only=True):
    """An order by hand, with its author and reason; `command_id` (a UUID) makes a repeated POST harmless.

    release and hold_open name an `exit` and `whose` stay it is for; end_hold names an `exit`; resolve names a `case`
    and a `verdict`; assign names an `override` (the `command_id` of a release) and `whose` it was.

    With a stay, its pending phone payment (`case`, or the one that the bridge finds) is settled by the release, or
    given back if `give_back` says that it is not wanted. `claim` lets the driver out against a claim of so many yen, to
    be paid later. `session` is the token of who signed in, `second` that of the second person where two are needed;
    an `emergency` release needs neither.
    """

    command_id: str
    lot: Number
    verb: Verb
    actor: str
    reason: str
    exit: str = ""
    stay: StayRef | None = None
    case: NumberOrNone = 0
    verdict: Verdict | None = None
    whose: Whose = Whose.LATER
    give_back: bool = False
    override: str = ""
    claim: Amount | None = None
    emergency: bool = False
    session: str = ""
    second: str = ""


class CommandReply(Message, frozen=True, kw_only=True):
    """Whether the bridge took the order on; a refusal has a code and says why.

    `claim_url` is where the driver pays later, if the order was against a claim.
    """

    accepted: bool
    code: str = ""
    detail: str = ""
    claim_url: str = ""


class Redeem(Message, frozen=True, kw_only=True):
    """A code that a driver showed: `text` as scanned (a long run of digits) or as typed.

    A typed code is checked against the `stay` that the attendant chose; `exit` is where the car stands, where the code
    does not say so.
    """

    redeem_id: str
    lot: Number
    text: str
    actor: str
    stay: StayRef | None = None
    exit: str = ""
    session: str = ""


class RedeemReply(Message, frozen=True, kw_only=True):
    """What a code was worth. `number` is its completion, whose case is under way; `wait_seconds`: locked that long."""

    accepted: bool
    number: int = 0
    stay: StayRef | None = None
    amount: int = 0
    code: str = ""
    detail: str = ""
    wait_seconds: int = 0


class OperatorRole(StrEnum):
    """What a person may do, from least to most; a supervisor may all that an attendant may."""

    VIEWER = "viewer"
    ATTENDANT = "attendant"
    SUPERVISOR = "supervisor"
    INSTALLER = "installer"


class SignIn(Message, frozen=True, kw_only=True):
    """An operator's name and PIN."""

    operator: str
    pin: str


class SignedIn(Message, frozen=True, kw_only=True):
    """A session: its token goes into every order; it ends after `idle_seconds` without one."""

    session: str
    operator: str
    role: OperatorRole
    idle_seconds: int


class SignOut(Message, frozen=True, kw_only=True):
    """End a session now."""

    session: str
