"""A first management server, by whatever way it is reached: what the driver asks of it (`Host`), and what it may say.

Two kinds. A host that answers by itself (HTTP) books while we wait. A host that is left an order (a row in its table, a
file in its folder) takes it up in its own time: until it says so the order is a `Slip` that waits, and no payment.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from drivers import base
from drivers.host_link import codec
from drivers.profile import DeviceTable
from parking.errors import Code, Environment
from parking.money import Yen

REFUSALS: Final = {
    codec.ProblemCode.UNKNOWN_TICKET: Code.STAY_UNKNOWN,
    codec.ProblemCode.ALREADY_PAID: Code.ALREADY_PAID,
    codec.ProblemCode.CODE_REUSED: Code.CONFLICT,
    codec.ProblemCode.AMOUNT_TOO_LOW: Code.WRONG_AMOUNT,
}
"""What a host's word for a refusal means here; every other word is DEVICE_REFUSED."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What a host is told: `amount` yen were paid for a ticket elsewhere, under `reference`, for ever."""

    ticket: str
    amount: Yen
    reference: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class Slip:
    """An order that lies with the host, and what came of it: a receipt, a refusal, or nothing yet.

    `ticket` and `amount` stand in the order, and are another's if the reference was used before; `ticket` is empty if
    only an answer is left. `booked` is what the answer says was booked, if it says so; `unread` why it does not count.
    """

    ticket: str
    amount: int
    receipt: str = ""
    refusal: str = ""
    message: str = ""
    unread: str = ""
    booked: tuple[str, int] | None = None

    @property
    def waiting(self) -> bool:
        """Whether the host has said nothing yet that counts."""
        return not self.receipt and not self.refusal

    @property
    def refused(self) -> base.Refused:
        """The refusal, as a value."""
        word = self.refusal.strip().lower()
        code = REFUSALS.get(codec.ProblemCode(word)) if word in set(codec.ProblemCode) else None
        return base.Refused(code or Code.DEVICE_REFUSED, f"{self.refusal}: {self.message}".removesuffix(": "))


class Host(Protocol):
    """One facility of a host. Calls raise NotSent, Environment, Uncertain or BadMessage as their wire does."""

    url: str
    """Where it is, without any secret."""
    takes_orders: bool
    """Whether what is written waits for the host to take it up (`slip`)."""

    def stays(self, deadline: float) -> Sequence[codec.OpenStay]:
        """All open stays."""
        ...

    def rate(self, ticket: str, deadline: float) -> codec.RateReply | base.Refused:
        """What a ticket costs now; Refused(STAY_UNKNOWN)."""
        ...

    def payments(self, ticket: str, entered_at: datetime | None, deadline: float) -> codec.PaymentList | base.Refused:
        """Who paid for the stay that began then, and what is due now; Refused(STAY_UNKNOWN)."""
        ...

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[codec.Booked]:
        """Every payment in that span of time; raises BadMessage(CONTRADICTION) if the host shows another span."""
        ...

    def slip(self, reference: str, deadline: float) -> Slip | None:
        """Our order as it lies with the host; None: none lies there, or this host takes no orders."""
        ...

    def never_left(self, reference: str) -> bool:
        """Whether, if no slip is there, it is certain that none ever was."""
        ...

    def compose(self, payment: Payment) -> bytes:
        """The exact bytes of the order, for the journal; nothing is given to the host yet."""
        ...

    def book(self, payment: Payment, deadline: float) -> codec.PaymentReply | base.Refused | None:
        """Write once. None: the order lies with the host, which answers by its slip. Uncertain: it may have arrived."""
        ...

    def close(self) -> None:
        """Give the connections back; idempotent."""
        ...


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every host's `[device.options]` may have. `names` says what its ticket numbers are."""

    names: Literal["ticket", "plate"] = "ticket"


class Zoned(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where times may come without an offset: the zone that they are in."""

    time_zone: str = "Asia/Tokyo"

    @property
    def zone(self) -> ZoneInfo:
        """The zone; raises Environment(CONFIG) if there is none of this name."""
        try:
            return ZoneInfo(self.time_zone)
        except (OSError, ValueError, KeyError) as error:
            raise Environment(
                Code.CONFIG, f"no time zone {self.time_zone!r}", "write it like Asia/Tokyo - at `$.time_zone`"
            ) from error


class Account(Zoned, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How to sign in at a database; the password stands here or, alone in its first line, in a file."""

    password: Annotated[str, msgspec.Meta(max_length=256)] = ""
    password_file: str = ""
    prefix: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z][A-Za-z0-9_]{0,30}\.)?[A-Za-z][A-Za-z0-9_]{0,30}$")] = (
        "daiko_"
    )

    def secret(self) -> str:
        """The password, read anew each time; raises Environment(CONFIG) if its file cannot be read."""
        if not self.password_file:
            return self.password
        try:
            return Path(self.password_file).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise Environment(
                Code.CONFIG, f"password_file {self.password_file}: cannot be read", "check its path and permissions"
            ) from error


O = TypeVar("O", bound=Options)  # noqa: E741 - the options of one kind of host


def options(device: DeviceTable, kind: type[O]) -> O:
    """The device's `[device.options]`; raises Environment(CONFIG) that names the device and the option at fault."""
    try:
        return msgspec.convert(device.options, kind)
    except msgspec.ValidationError as error:
        raise bad_option(device, str(error)) from error


def bad_option(device: DeviceTable, what: str) -> Environment:
    """A mistake in a device's options."""
    return Environment(
        Code.CONFIG, f"device {device.id!r}, [device.options]: {what}", "see drivers/host_link/README.md"
    )


def path_of(url: str, remedy: str) -> Path:
    """The path that an address without a server names; raises Environment(CONFIG) with `remedy` if it names none.

    `scheme:///C:/x` is a path of Windows; `scheme://server/share/x` is a share there, and nothing elsewhere.
    """
    try:
        parts = urlsplit(url)
        path, server = unquote(parts.path), parts.netloc
    except ValueError:
        path, server = "", ""
    if re.match("/[A-Za-z]:/", path):
        path = path[1:]
    if server:
        path = f"//{server}{path}" if sys.platform == "win32" else ""
    if not path.strip("/") or "\0" in path:
        raise Environment(Code.CONFIG, f"{url!r} names no path on this computer", remedy)
    return Path(path)


def as_json(**fields: Any) -> bytes:
    """Fields as they are journaled and recorded."""
    return msgspec.json.encode(fields)
