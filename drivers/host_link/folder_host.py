"""A host that shares a folder with us: `folder:///srv/handover`; on Windows `folder:///C:/…`, `folder://server/share`.

It rewrites two snapshots, takes up our orders, and answers each by a file (drivers.host_link.files). An order is
written beside, synced to the disk, and renamed: the rename is the act. Before it nothing has left; after it the files
tell what became of it, also to a bridge that has started anew.
"""

import contextlib
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from drivers import base
from drivers.host_link import codec, files, rows
from drivers.host_link.host import Payment, Slip, Zoned, options, path_of
from drivers.profile import DeviceTable
from drivers.recorder import Direction
from drivers.transport import Tap
from parking.errors import BadMessage, Code, DaikoError, Environment, NotSent, Uncertain

log = logging.getLogger(__name__)

READ_AGAIN: Final = 0.05
"""Seconds until a snapshot that is not whole is read again."""
REMEDY: Final = "write it like folder:///srv/handover or folder:///C:/handover"


class FolderOptions(Zoned, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`max_age_seconds`: an older snapshot counts as a host that is not reached; `encoding`: that of its CSV files."""

    max_age_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0
    encoding: Literal["utf-8", "cp932"] = "utf-8"


class FolderHost:
    """One facility of a host behind a folder."""

    takes_orders = True

    def __init__(self, device: DeviceTable, recorder: Tap | None, clock: Callable[[], datetime]) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) that names the option or the address at fault."""
        self._options = options(device, FolderOptions)
        self._zone = self._options.zone
        self._folder = path_of(device.url, REMEDY)
        self.url = device.url
        self._clock = clock
        self._recorder = recorder
        self._blacken = codec.Blackener(tickets=self._options.names == "plate")

    def close(self) -> None:
        """Nothing to give back."""

    # --- reading ------------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[codec.OpenStay]:
        """All open stays."""
        return files.stays(self._snapshot(files.STAYS, files.STAYS_COLUMNS, deadline), self._zone)

    def rate(self, ticket: str, deadline: float) -> codec.RateReply | base.Refused:
        """What a ticket costs by the latest snapshot."""
        shown = self._snapshot(files.STAYS, files.STAYS_COLUMNS, deadline)
        rate = files.rate(shown, ticket, self._zone)
        return rate or base.Refused(Code.STAY_UNKNOWN, "the host's stays do not have this one")

    def payments(self, ticket: str, entered_at: datetime | None, deadline: float) -> codec.PaymentList | base.Refused:
        """Who paid for the stay, and what is due. A plate comes again: what it paid for earlier stays is left out."""
        rate = files.rate(self._snapshot(files.STAYS, files.STAYS_COLUMNS, deadline), ticket, self._zone)
        shown = self._snapshot(files.BOOKS, rows.BOOKS, deadline)
        begun = entered_at or (rate.entry_time if rate else None)
        found = files.books(shown, self._zone, ticket)
        paid = tuple(one for one in found if begun is None or one.payment_time >= begun)
        if rate is None and not paid:
            return base.Refused(Code.STAY_UNKNOWN, "neither the host's stays nor its books have this one")
        return codec.PaymentList(ticket_no=ticket, due=rate.due if rate else 0, payments=paid)

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[codec.Booked]:
        """Every payment in a span of time."""
        shown = self._snapshot(files.BOOKS, rows.BOOKS, deadline)
        if shown.since is None or shown.since > since or shown.made_at < until:
            spoke = f"{shown.since.isoformat() if shown.since else 'nobody knows when'} to {shown.made_at.isoformat()}"
            raise BadMessage(
                Code.CONTRADICTION, f"asked for the books from {since.isoformat()} to {until.isoformat()}, got {spoke}"
            )
        return [one for one in files.books(shown, self._zone) if since <= one.payment_time < until]

    def slip(self, reference: str, deadline: float) -> Slip | None:
        """What became of our order, by the files that are there: it goes after its answer came, so it is read first."""
        del deadline
        name = files.stem(reference)
        order = self._content(name + files.ORDER)
        if order is None:
            order = self._content(f"{files.TAKEN}/{name}{files.ORDER}")
        ok, err = self._content(name + files.OK), self._content(name + files.ERR)
        for answer in (ok, err):
            if answer is not None:
                self._note(Direction.RX, b"answer\n" + answer)
        return files.slip(reference, order, ok, err)

    def never_left(self, reference: str) -> bool:
        """Whether our order lies there still unsent; else a host may have taken it away without a word yet."""
        return (self._folder / (files.stem(reference) + files.UNSENT)).exists()

    # --- writing ------------------------------------------------------------------------------------------------------

    def compose(self, payment: Payment) -> bytes:
        """Write the order beside, where no host looks for one, down to the disk. Raises Environment."""
        raw = files.order(payment)
        unsent = self._folder / (files.stem(payment.reference) + files.UNSENT)
        try:
            with unsent.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                unsent.unlink(missing_ok=True)
            raise self._trouble(error) from error
        return f"{files.stem(payment.reference)}{files.ORDER}\n".encode() + raw

    def book(self, payment: Payment, deadline: float) -> None:
        """Give the order to the host. Raises Environment if it certainly still lies beside, else Uncertain."""
        del deadline
        name = files.stem(payment.reference)
        unsent, order = self._folder / (name + files.UNSENT), self._folder / (name + files.ORDER)
        self._note(Direction.TX, f"{name}{files.ORDER}\n".encode() + files.order(payment))
        try:
            unsent.rename(order)
        except OSError as error:
            # A file server may have renamed all the same, and its answer was lost: only what lies there counts.
            if unsent.exists() and not order.exists():
                raise self._trouble(error) from error
            raise Uncertain(Code.NO_REPLY, f"{self.url}: renaming failed: {error.strerror}") from error
        self._sync()

    def _sync(self) -> None:
        """Bring the renaming itself to the disk; the host sees it already, so a failure changes nothing."""
        if sys.platform == "win32":
            return  # there a folder cannot be opened for that
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            log.warning("%s: the folder was not synced: %s", self.url, error.strerror)

    # --- helpers of both ----------------------------------------------------------------------------------------------

    def _snapshot(self, name: str, columns: Sequence[str], deadline: float) -> files.Snapshot:
        """A whole and fresh snapshot. Raises NotSent if there is none, BadMessage if it never gets whole."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotSent(Code.NO_REPLY, f"{self.url}: no time left")
            raw = self._content(name)
            if raw is None:
                remedy = "see whether the host's export runs, and into this folder"
                raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self.url}: no {name} there", remedy)
            try:
                shown = files.snapshot(raw, columns, self._options.encoding, self._zone)
                break
            except BadMessage as error:
                if left < 2 * READ_AGAIN:
                    raise BadMessage(error.code, f"{name}: {error.detail}") from error
                time.sleep(READ_AGAIN)  # perhaps it is just being written
        self._fresh(name)
        self._note(Direction.RX, b"%b\n%b" % (name.encode(), _as_json(shown)))
        return shown

    def _fresh(self, name: str) -> None:
        try:
            changed = (self._folder / name).stat().st_mtime
        except OSError as error:
            raise self._trouble(error) from error
        age = self._clock().timestamp() - changed
        if abs(age) > self._options.max_age_seconds:
            raise NotSent(
                Code.DEVICE_UNAVAILABLE,
                f"{self.url}: {name} was written {age:.0f} s ago, more than {self._options.max_age_seconds:.0f}",
                "see whether the host's export runs, and whether both clocks are right",
            )

    def _content(self, name: str) -> bytes | None:
        """A file, at most a little more than may be in it; None if it is not there. Raises Environment."""
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(files.MOST_BYTES + 1)
        except FileNotFoundError as error:
            if not self._folder.is_dir():
                raise self._trouble(error) from error
            return None
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> DaikoError:
        what = f"{self.url}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            return Environment(Code.DISK, what, "make room on the disk that holds the folder, or see to it")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return Environment(Code.PORT_FORBIDDEN, what, "let this user read and write in the folder")
        return Environment(Code.PORT_MISSING, what, "check the folder's path in the lot profile, and the share")

    def _note(self, direction: Direction, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.note(direction, self._blacken(data))


def probe(url: str, deadline: float) -> base.Finding:
    """Look, without changing anything, whether a host's snapshots are in the folder."""
    device = DeviceTable(id="probe", family="host_link", url=url, options={"max_age_seconds": 86_400})
    try:
        host = FolderHost(device, None, lambda: datetime.now(UTC))
        cars = len(host.stays(deadline))
    except DaikoError as error:
        return base.Finding(False, "", (str(error),))
    return base.Finding(
        True,
        f"first management server (host link), {cars} stays in its file",
        ('family = "host_link"', f'url = "{url}"'),
    )


def _as_json(shown: files.Snapshot) -> bytes:
    """A snapshot with the names of fields by which plates are struck out."""
    return msgspec.json.encode([{rows.field(key): value for key, value in row.items()} for row in shown.rows])
