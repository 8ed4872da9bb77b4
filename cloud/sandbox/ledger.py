"""The books of the sandbox provider: its payments, the rules of its money, and all that ever happened.

Each entry of the history is one JSON line, written and flushed before anything is answered, so that `kill -9` forgets
nothing that was promised; at start the lines are played back. A half-written last line was never answered and is cut
off. (Flushed, not synced: a sandbox need not survive a power cut.)
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from cloud.payments.base import ProviderState
from cloud.sandbox.wire import Opening, Statement
from parking.errors import Code, Environment


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened. `state` and what follows stand only where the payment changed; others are remarks."""

    seq: int
    at: datetime
    what: str
    ref: str
    order_id: str
    event_id: str = ""
    state: ProviderState | None = None
    amount: int = 0
    detail: str = ""
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Paid:
    """One payment as it stands; `amount` is what was authorized, `moved` what the last change concerned."""

    ref: str
    order_id: str
    opening: Opening
    state: ProviderState
    event_id: str
    moved: int
    at: datetime
    reason: str = ""
    challenged: bool = False

    @property
    def amount(self) -> int:
        """What is authorized, or to be authorized."""
        return self.opening.amount

    def statement(self, url: str = "") -> Statement:
        """The payment as the provider states it; `url` is its hosted page."""
        return Statement(
            event_id=self.event_id,
            order_id=self.order_id,
            ref=self.ref,
            state=self.state,
            amount=self.moved,
            at=self.at,
            reason=self.reason,
            url=url,
        )


class Rejected(Exception):
    """The rules of money say no; nothing changed. `status` is the HTTP status that says so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Ledger:
    """All payments of the sandbox; one thread only."""

    def __init__(self, file: Path | None, changed: Callable[[Paid], None]) -> None:
        """Play `file` back if there is one; with None everything is forgotten at the end.

        `changed` is called after each decision about money, once it is written; not while playing back.
        Raises Environment(JOURNAL) if the file holds something else, and OSError.
        """
        self.payments: dict[str, Paid] = {}
        self.history: list[Entry] = []
        self._by_order: dict[str, str] = {}
        self._file = self._open(file) if file else None
        self._changed = changed

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def open(self, order_id: str, opening: Opening, now: datetime) -> Paid:
        """Begin a payment; the same order gets the same payment, for another amount it is Rejected(409)."""
        known = self._by_order.get(order_id)
        if known:
            paid = self.payments[known]
            if paid.amount != opening.amount:
                raise Rejected(409, f"order {order_id} was opened for {paid.amount} yen, now for {opening.amount}")
            return paid
        ref = f"sbx_{secrets.token_hex(12)}"
        self._write("opened", ref, order_id, now, state=ProviderState.PENDING, amount=opening.amount, opening=opening)
        return self.payments[ref]

    def get(self, ref: str, now: datetime) -> Paid:
        """A payment as it stands, expired if it is time; Rejected(404) if there is none."""
        paid = self.payments.get(ref)
        if paid is None:
            raise Rejected(404, "no such payment")
        if paid.state is ProviderState.PENDING and now >= paid.opening.expires_at:
            return self._change(paid, "expired", ProviderState.EXPIRED, 0, now)
        return paid

    def authorize(self, ref: str, now: datetime) -> Paid:
        """The driver approved. Repeating changes nothing; Rejected(409) when it is too late."""
        return self._decide(ref, "authorized", ProviderState.AUTHORIZED, now)

    def decline(self, ref: str, now: datetime, reason: str = "declined by the issuer") -> Paid:
        """The driver or the issuer said no. Repeating changes nothing; Rejected(409) when it is too late."""
        return self._decide(ref, "declined", ProviderState.DECLINED, now, reason)

    def challenge(self, ref: str, now: datetime) -> Paid:
        """Ask the driver for one more step before the authorization."""
        paid = self.get(ref, now)
        if paid.state is ProviderState.PENDING and not paid.challenged:
            self._write("challenged", ref, paid.order_id, now)
        return self.payments[ref]

    def capture(self, ref: str, amount: int, now: datetime) -> Paid:
        """Collect at most what was authorized, once. The same again changes nothing, anything else is Rejected(409)."""
        paid = self.get(ref, now)
        if paid.state is ProviderState.CAPTURED and paid.moved == amount:
            return paid
        if paid.state is not ProviderState.AUTHORIZED:
            raise Rejected(409, f"cannot capture {amount} yen of a payment that is {paid.state} ({paid.moved} yen)")
        if amount > paid.amount:
            raise Rejected(409, f"cannot capture {amount} yen, {paid.amount} are authorized")
        return self._change(paid, "captured", ProviderState.CAPTURED, amount, now)

    def void(self, ref: str, now: datetime) -> Paid:
        """Let an authorization go. Repeating changes nothing; Rejected(409) unless it is authorized."""
        paid = self.get(ref, now)
        if paid.state is ProviderState.VOIDED:
            return paid
        if paid.state is not ProviderState.AUTHORIZED:
            raise Rejected(409, f"cannot void a payment that is {paid.state}")
        return self._change(paid, "voided", ProviderState.VOIDED, paid.amount, now)

    def refund(self, ref: str, amount: int, now: datetime) -> Paid:
        """Give back at most what was captured, once. The same again changes nothing, else Rejected(409)."""
        paid = self.get(ref, now)
        if paid.state is ProviderState.REFUNDED and paid.moved == amount:
            return paid
        if paid.state is not ProviderState.CAPTURED or amount > paid.moved:
            raise Rejected(409, f"cannot refund {amount} yen of a payment that is {paid.state} ({paid.moved} yen)")
        return self._change(paid, "refunded", ProviderState.REFUNDED, amount, now)

    def remark(self, ref: str, what: str, now: datetime, event_id: str = "", detail: str = "") -> None:
        """Add to the history something that is not a change of a payment, such as a webhook that was lost."""
        self._write(what, ref, self.payments[ref].order_id, now, event_id=event_id, detail=detail)

    def unannounced(self) -> list[Statement]:
        """What was decided before the last stop and whose webhook came to no end, oldest first."""
        ended = {entry.event_id for entry in self.history if entry.what in ("webhook_delivered", "webhook_lost")}
        news = [entry for entry in self.history if entry.state not in (None, ProviderState.PENDING)]
        return [
            Statement(
                event_id=entry.event_id,
                order_id=entry.order_id,
                ref=entry.ref,
                state=entry.state,
                amount=entry.amount,
                at=entry.at,
                reason=entry.detail,
            )
            for entry in news
            if entry.state is not None and entry.event_id not in ended
        ]

    def _decide(self, ref: str, what: str, state: ProviderState, now: datetime, reason: str = "") -> Paid:
        paid = self.get(ref, now)
        if paid.state is state:
            return paid
        if paid.state is not ProviderState.PENDING:
            raise Rejected(409, f"the payment is {paid.state}")
        return self._change(paid, what, state, paid.amount, now, reason)

    def _change(
        self, paid: Paid, what: str, state: ProviderState, amount: int, now: datetime, reason: str = ""
    ) -> Paid:
        self._write(what, paid.ref, paid.order_id, now, state=state, amount=amount, detail=reason)
        self._changed(self.payments[paid.ref])
        return self.payments[paid.ref]

    def _write(
        self,
        what: str,
        ref: str,
        order_id: str,
        now: datetime,
        *,
        event_id: str = "",
        state: ProviderState | None = None,
        amount: int = 0,
        detail: str = "",
        opening: Opening | None = None,
    ) -> None:
        entry = Entry(
            seq=len(self.history) + 1,
            at=now,
            what=what,
            ref=ref,
            order_id=order_id,
            event_id=event_id or (f"evt_{secrets.token_hex(12)}" if state else ""),
            state=state,
            amount=amount,
            detail=detail,
            opening=opening,
        )
        if self._file:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            self._file.flush()
        self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        self.history.append(entry)
        if entry.opening and entry.state:
            self._by_order[entry.order_id] = entry.ref
            self.payments[entry.ref] = Paid(
                entry.ref, entry.order_id, entry.opening, entry.state, entry.event_id, entry.amount, entry.at
            )
        elif entry.state:
            self.payments[entry.ref] = replace(
                self.payments[entry.ref],
                state=entry.state,
                event_id=entry.event_id,
                moved=entry.amount,
                at=entry.at,
                reason=entry.detail,
            )
        elif entry.what == "challenged":
            self.payments[entry.ref] = replace(self.payments[entry.ref], challenged=True)

    def _open(self, file: Path) -> BinaryIO:
        handle = file.open("a+b")
        handle.seek(0)
        whole = 0
        for line in handle:
            if not line.endswith(b"\n"):
                break
            try:
                self._apply(msgspec.json.decode(line, type=Entry))
            except (msgspec.MsgspecError, KeyError) as error:
                handle.close()
                raise Environment(
                    Code.JOURNAL,
                    f"{file}: line {len(self.history) + 1} is not an entry of these books: {error}",
                    "restore the file, or move it away to begin new books",
                ) from error
            whole += len(line)
        handle.truncate(whole)
        handle.seek(0, 2)
        return handle
