"""Errors which tell blame and certainty.

    DaikoError
      * Refused       the other side said no; nothing happened
      * NotSent       we failed before any byte left; safe to try again
      * Uncertain     bytes left, no confirmation; never repeated blindly
      * Environment   disk, port, network, configuration: the text says what to do
      * BadMessage    the peer's message is not what was agreed
      * Bug           ours; logged with a trace, never the text of a dialog

Every error carries a stable `Code`; `docs/errors.md` has a heading for each.
"""

from enum import StrEnum


class Code(StrEnum):
    """Stable identifiers of everything that can go wrong, the same in logs, on the wire and in the docs."""

    # completions and messages
    BAD_COMPLETION = "bad-completion"
    BAD_SIGNATURE = "bad-signature"
    UNKNOWN_KEY = "unknown-key"
    WRONG_LOT = "wrong-lot"
    WRONG_SCHEMA = "wrong-schema"
    BAD_MESSAGE = "bad-message"
    # names and amounts
    BAD_NAME = "bad-name"
    BAD_AMOUNT = "bad-amount"
    # refusals on the way from quote to release
    STAY_UNKNOWN = "stay-unknown"
    STAY_CHANGED = "stay-changed"
    ALREADY_PAID = "already-paid"
    WRONG_AMOUNT = "wrong-amount"
    EXPIRED = "expired"
    DEVICE_REFUSED = "device-refused"
    DEVICE_UNAVAILABLE = "device-unavailable"
    EXIT_UNKNOWN = "exit-unknown"
    OVERRIDDEN = "overridden"
    NOT_SETTLED = "not-settled"
    LOSS = "loss"
    UNMATCHED = "unmatched"
    UNSETTLED = "unsettled"
    # codes that a phone shows, checked in the lot
    WRONG_CODE = "wrong-code"
    CODE_USED = "code-used"
    CODE_LIMIT = "code-limit"
    # letting out now, paying later
    CLAIM_POLICY = "claim-policy"
    BUDGET = "budget"
    # doubts
    NO_REPLY = "no-reply"
    NOT_OBSERVED = "not-observed"
    INTERRUPTED = "interrupted"
    CONTRADICTION = "contradiction"
    # the lot's surroundings
    CONFIG = "config"
    PORT_MISSING = "port-missing"
    PORT_BUSY = "port-busy"
    PORT_FORBIDDEN = "port-forbidden"
    LINK_DOWN = "link-down"
    DISK = "disk"
    JOURNAL = "journal"
    JOURNAL_LOST = "journal-lost"
    PORT_HUNG = "port-hung"
    CLOCK = "clock"
    AUDIT = "audit"
    PLATE_KEY = "plate-key"
    # the programs' own doors
    UNAUTHORIZED = "unauthorized"
    SIGN_IN = "sign-in"
    LOCKED_OUT = "locked-out"
    ROLE = "role"
    SECOND_PERSON = "second-person"
    NOT_ENROLLED = "not-enrolled"
    NOT_APPROVED = "not-approved"
    FINGERPRINT = "fingerprint"
    ENROL_CODE = "enrol-code"
    STALE_GENERATION = "stale-generation"
    SEQUENCE_GAP = "sequence-gap"
    REPLAYED = "replayed"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    LOT_UNKNOWN = "lot-unknown"
    LOT_OFFLINE = "lot-offline"
    POSITION_MISMATCH = "position-mismatch"
    QUOTE_EXPIRED = "quote-expired"
    PROVIDER = "provider"
    RATE_LIMITED = "rate-limited"
    BUG = "bug"


class DaikoError(Exception):
    """Base of all errors that Daiko raises on purpose.

    `detail` says what happened and where; `remedy`, if any, what a person can do about it.
    """

    def __init__(self, code: Code, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        tail = f" — {self.remedy}" if self.remedy else ""
        return f"[{self.code}] {self.detail}{tail}"


class Refused(DaikoError):
    """The other side said no; nothing happened."""


class NotSent(DaikoError):
    """We failed before any byte left; safe to try again."""


class Uncertain(DaikoError):
    """Bytes left and no confirmation came back; the act may have happened."""


class Environment(DaikoError):
    """Disk, port, network or configuration; the remedy says what to do."""


class BadMessage(DaikoError):
    """A message or a completion is not what was agreed."""


class Bug(DaikoError):
    """A mistake of ours."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.BUG, detail, "please report this together with the log")


def one_line(text: str) -> str:
    """For a log: with every sign that could begin a line, move the cursor or turn the writing round spelt out."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
