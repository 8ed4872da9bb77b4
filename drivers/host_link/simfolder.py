"""A simulated first management server behind a folder: its snapshots and its answers, from the books of a `World`."""

import contextlib
import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from drivers.host_link import codec, files, rows
from drivers.host_link.simclerk import Clerk, word
from drivers.simlot.books import Booking
from drivers.simlot.world import World

EXPORT_EVERY: Final = timedelta(seconds=0.5)
DONE: Final = "done"
AT_WORK: Final = "at-work"


class Folder(Clerk):
    """Keeps the files of one folder as the world's books are."""

    def __init__(self, world: World, folder: Path) -> None:
        """`folder` is made."""
        super().__init__(world)
        self._folder, self._away = folder, folder.with_suffix(".away")
        for each in (folder, folder / DONE, folder / AT_WORK):
            each.mkdir(parents=True, exist_ok=True)
        self.url = f"folder://{folder.absolute().as_posix()}"
        self._said: dict[str, Any] = {}
        self._began = world.lot_time()
        self._exported = datetime.min.replace(tzinfo=UTC)

    def round(self) -> None:
        """Take up orders, then show the books."""
        if self.faults.unplugged != self._away.exists():
            self._folder.rename(self._away) if self.faults.unplugged else self._away.rename(self._folder)
        if self.faults.unplugged:
            return
        for order in () if self.faults.stopped else sorted(self._folder.glob(f"*{files.ORDER}")):
            if self.faults.silent:
                order.rename(self._folder / AT_WORK / order.name)
                continue
            self.dawdle()
            self._take_up(order)
        for order in () if self.faults.silent else sorted((self._folder / AT_WORK).iterdir()):
            self._take_up(order)
        if not self.faults.no_export:
            self._export()

    def leave(self) -> None:
        """Put the folder back."""
        if self._away.exists():
            self._away.rename(self._folder)

    def _take_up(self, file: Path) -> None:
        order = msgspec.json.decode(file.read_bytes(), type=files.Order)
        answer = self.judge(order.ticket_no, order.amount, order.authorisation_code)
        stem = file.name.removesuffix(files.ORDER)
        if isinstance(answer, Booking):
            self._export()  # whoever sees the answer sees the books as well
            reply = codec.PaymentReply(
                receipt_no=answer.receipt,
                ticket_no=answer.ticket,
                amount=answer.amount,
                authorisation_code=answer.reference,
            )
            self._put(stem + files.OK, codec.encode(reply))
        else:
            no = files.Refusal(authorisation_code=order.authorisation_code, code=word(answer), message=answer.detail)
            self._put(stem + files.ERR, msgspec.json.encode(no))
        file.rename(self._folder / DONE / file.name)

    def _put(self, name: str, raw: bytes) -> None:
        """Write a file as a whole; with the fault `half_once` in two pieces, for everybody to see."""
        if self.faults.half_once and name.endswith((files.OK, files.ERR)):
            self.faults.half_once = False
            with (self._folder / name).open("wb") as file:
                file.write(raw[: len(raw) // 2])
                file.flush()
                self._over.wait(0.3)
                file.write(raw[len(raw) // 2 :])
            return
        fresh = self._folder / f"{name}.new"
        fresh.write_bytes(raw)
        fresh.replace(self._folder / name)

    def _export(self) -> None:
        """Rewrite the snapshots if something has changed, or from time to time."""
        now = self.world.lot_time()
        books = [
            (one.receipt, one.ticket, one.amount, one.means.value, one.at.isoformat(), one.reference)
            for one in self.world.host_booked()
        ]
        plates = {stay.ticket: stay.plate for stay in self.world.host_stays()}
        stays = [
            (
                *(rate.ticket, rate.entered_at.isoformat(), plates.get(rate.ticket, ""), rate.paid),
                *(paid[-1].means.value if paid else "", rate.at.isoformat(), rate.valid_until.isoformat(), rate.due),
            )
            for rate, paid in self.world.host_books()
        ]
        said = {"books": books, "stays": [(*row[:5], row[7]) for row in stays]}
        if said == self._said and now - self._exported < EXPORT_EVERY:
            return
        self._put(files.BOOKS, _csv(rows.BOOKS, books, now, self._began))
        self._put(files.STAYS, _csv(files.STAYS_COLUMNS, stays, now))
        self._said, self._exported = said, now


def _csv(head: tuple[str, ...], lines: list[tuple[Any, ...]], *times: datetime) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([head, *lines, (files.END, len(lines), *(at.isoformat() for at in times))])
    return text.getvalue().encode()


def serve(world: World, folder: Path) -> Folder:
    """Share a folder and keep it."""
    with contextlib.suppress(FileNotFoundError):
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
    clerk = Folder(world, folder)
    clerk.start()
    return clerk
