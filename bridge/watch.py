"""Watches a lot: periodic readings of exits and stays, turned into rows for the console and reports for the cloud.

Runs on the ports' threads, one exchange a round, so that an act never waits behind more than one reading.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge import events
from bridge.board import Board
from bridge.core import Core
from bridge.journal import Transaction
from bridge.machines import LotMachines, Machine
from bridge.messages import ForCase, Key, Write
from bridge.plates import token_of
from bridge.stays import Change, KnownStay, fold
from parking.desk import CasePhase, CaseView, ExitView, LinkView, StayState, StayView
from parking.errors import Code, DaikoError, NotSent
from parking.reports import DeviceHealth, StayClosed, StayOpened

log = logging.getLogger(__name__)

STALE_ROUNDS = 3
LEAST_FRESH = 5.0


class LotWatch:
    """The eyes on one lot."""

    def __init__(
        self,
        *,
        lot: LotMachines,
        known: Mapping[str, KnownStay],
        core: Core,
        board: Board,
        clock: Callable[[], datetime],
    ) -> None:
        """`known` are the open stays of the journal, by key."""
        self._lot, self._core, self._board, self._clock = lot, core, board, clock
        self._guard = threading.Lock()
        self._known = dict(known)
        self._first = True
        self._cases: dict[str, CaseView] = {}
        self._up: dict[str, bool] = {}
        for stay in self._known.values():
            self._show(stay)

    @property
    def known(self) -> Mapping[str, KnownStay]:
        """A copy of the open stays, by key."""
        with self._guard:
            return dict(self._known)

    def recall(self, known: Mapping[str, KnownStay]) -> None:
        """The journal can be read at last: its stays go before those seen meanwhile, which began before we looked."""
        with self._guard:
            lot, now = self._lot.lot, self._clock()
            gone = [stay for key, stay in self._known.items() if key not in known]
            self._known, self._first = dict(known), True

            def forget(tx: Transaction) -> None:
                for stay in gone:
                    tx.put_stay(lot, stay, still_open=False)
                    tx.end_plate(lot, token_of(stay), now)
                    self._core.report(tx, lot, StayClosed(stay=stay.ref, at=now))

            self._core.put(Write(forget))
            for stay in gone:
                self._board.stay_gone(f"{lot}/{stay.ref.key}")
            for stay in self._known.values():
                self._show(stay)

    def case_changed(self, view: CaseView) -> None:
        """A case has moved: the stay that it is for is shown in its light."""
        view = replace(view, plate=self._lot.plates.of(view.stay))
        self._board.case(view)
        with self._guard:  # also while showing: a car that leaves just now must not be put back on the board
            stay = next((one for one in self._known.values() if one.ref.same_as(view.stay)), None)
            if stay is None and view.phase in (CasePhase.SETTLED, CasePhase.REFUSED):
                self._cases.pop(view.stay.key, None)
                return
            self._cases[view.stay.key] = view
            if stay is None:
                return
            if view.phase is CasePhase.SETTLED and not stay.settled:
                settled = stay = self._known[stay.ref.key] = replace(stay, settled=True)
                self._core.put(Write(lambda tx: tx.put_stay(self._lot.lot, settled, still_open=True)))
            self._show(stay)

    def read_exits(self, machine: Machine) -> None:
        """One round: the state of all exits of a device."""
        started = time.monotonic()
        try:
            states = self._lot.read_exits(machine)
        except DaikoError as error:
            self._link(machine.table.id, False, str(error), None)
            return
        now = self._clock()
        for exit_, state in zip(machine.exits, states, strict=True):
            self._board.exit_read(
                ExitView(
                    lot=self._lot.lot,
                    exit=exit_.id,
                    kind=exit_.kind,
                    label=exit_.label,
                    position=state.position,
                    held=state.held,
                    vehicle=state.vehicle,
                    read_at=now,
                    fresh_for=max(LEAST_FRESH, STALE_ROUNDS * machine.table.poll_seconds),
                    device=machine.table.id,
                )
            )
        self._link(machine.table.id, True, "", (time.monotonic() - started) * 1000)

    def know_the_cars(self, device: str, timeout: float) -> None:
        """Before an act on the device that sees the bays: the first reading tells which cars are still the journal's.

        Raises NotSent if it cannot be had.
        """
        if not self._first or device != self._lot.profile.roles.stays:
            return
        self.read_stays(device, timeout)
        if self._first:
            raise NotSent(Code.DEVICE_UNAVAILABLE, "nobody knows yet which cars are there")

    def read_stays(self, device: str, timeout: float) -> None:
        """One round: which cars are there."""
        started = time.monotonic()
        try:
            seen = self._lot.seen_stays(started + timeout)
        except DaikoError as error:
            self._link(device, False, str(error), None)
            return
        self._link(device, True, "", (time.monotonic() - started) * 1000)
        now = self._clock()
        with self._guard:
            change = fold(self._known, seen, now, self._first)
            self._first = False
            for stay in change.closed:
                del self._known[stay.ref.key]
            for stay in (*change.opened, *change.updated):
                self._known[stay.ref.key] = stay
            left = [self._cases.pop(stay.ref.key, None) for stay in change.closed]
            if change.opened or change.closed or change.updated:
                plates = self._lot.plates.sealed((*change.opened, *change.updated))
                self._core.put(Write(lambda tx: self._write(tx, change, plates, now)))
            for stay in change.closed:
                self._board.stay_gone(f"{self._lot.lot}/{stay.ref.key}")
            for stay in (*change.opened, *change.updated):
                self._show(stay)
        for case in left:
            if case is not None and case.phase in (CasePhase.SENDING, CasePhase.IN_DOUBT):
                key: Key = (case.lot, case.number)
                self._core.put(ForCase(key, events.Left(f"the car of {case.stay.key} has left")))

    def _write(self, tx: Transaction, change: Change, plates: Sequence[tuple[str, bytes]], now: datetime) -> None:
        lot = self._lot.lot
        for token, sealed in plates:
            tx.put_plate(lot, token, sealed)
        for stay in change.opened:
            tx.put_stay(lot, stay, still_open=True)
            tx.note(lot, stay.ref.key, now, self._lot.profile.roles.stays, "arrived")
            self._core.report(tx, lot, StayOpened(stay=stay.ref, at=now))
        for stay in change.updated:
            tx.put_stay(lot, stay, still_open=True)
        for stay in change.closed:
            tx.put_stay(lot, stay, still_open=False)
            tx.end_plate(lot, token_of(stay), now)
            tx.note(lot, stay.ref.key, now, self._lot.profile.roles.stays, "left")
            self._core.report(tx, lot, StayClosed(stay=stay.ref, at=now))

    def _show(self, stay: KnownStay) -> None:
        case = self._cases.get(stay.ref.key)
        self._board.stay(
            StayView(
                lot=self._lot.lot,
                stay=stay.ref,
                state=_state(stay, case),
                seen_at=stay.seen_at,
                paid=case.amount if case is not None and case.phase is CasePhase.SETTLED else stay.paid or None,
                via="phone" if case is not None and case.phase is CasePhase.SETTLED else stay.paid_by,
                case=case.number if case is not None else 0,
                plate=self._lot.plates.text(token_of(stay)),
            )
        )

    def _link(self, device: str, up: bool, detail: str, latency_ms: float | None) -> None:
        now = self._clock()
        self._board.link(
            LinkView(
                link=f"{self._lot.lot}/{device}", kind="device", up=up, since=now, detail=detail, latency_ms=latency_ms
            )
        )
        if self._up.get(device) is up:
            return
        self._up[device] = up
        log.log(logging.INFO if up else logging.WARNING, "device %s is %s %s", device, "up" if up else "down", detail)
        health = DeviceHealth(device=device, up=up, detail=detail, at=now)
        self._core.put(Write(lambda tx: self._core.report(tx, self._lot.lot, health)))


def _state(stay: KnownStay, case: CaseView | None) -> StayState:
    if case is not None:
        match case.phase:
            case CasePhase.SETTLED:
                return StayState.PAID
            case CasePhase.IN_DOUBT:
                return StayState.IN_DOUBT
            case CasePhase.REFUSED:
                pass
            case _:
                return StayState.SETTLING
    return StayState.PAID if stay.paid_by or stay.settled else StayState.PARKED
