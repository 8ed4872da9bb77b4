"""The bridge's composition root: builds the parts, joins them, starts and stops them in the right order."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from bridge import relay
from bridge.board import Board
from bridge.case import Case
from bridge.config import BridgeConfig
from bridge.core import Core
from bridge.journal import Journal
from bridge.keys import Identity, load_identity, load_key
from bridge.local_api.api import LocalApi
from bridge.machines import LotMachines, Tapping
from bridge.messages import ForCase
from bridge.orders import Orders
from bridge.ports import Desk, Inbox
from bridge.uplink.uplink import Uplink
from bridge.views import case_view
from bridge.watch import LotWatch
from bridge.worker import PortWorker, Urgency
from drivers.base import Role
from drivers.profile import DeviceTable
from drivers.recorder import Recorder
from drivers.transport import Tap
from parking.desk import CaseView, Command, CommandReply, Event, ExitView, LinkView, LotView, Snapshot, Timeline
from parking.errors import Code, Environment, NotSent
from parking.signing import KeyRing, SigningKey
from parking.stay import LotId
from parking.wire import Answer, Ask, Entry, NotFound, Report

log = logging.getLogger(__name__)

RECOVERY_SECONDS = 5.0
"""How long the feed stays shut at start for doubts of the last run to be looked into."""

COMMIT_SECONDS = 10.0
RECENT_CASES = 300
SECRET_OPTIONS = ("api_key", "password", "secret")
"""Driver options whose values never go into a recording."""


class Bridge(Inbox, Desk):
    """The running bridge. Implements what the uplink and the local API ask of it."""

    def __init__(
        self,
        config: BridgeConfig,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tapping: Tapping | None = None,
    ) -> None:
        """Open the journal and make the drivers; raises Environment with a remedy if that cannot be done.

        `tapping` sees the bytes of the devices; by default a recorder does, if the configuration wants one.
        """
        self._config, self._clock = config, clock
        config.data.mkdir(parents=True, exist_ok=True)
        self._enrolled = enrolled(config)
        self._recorders: list[Recorder] = []
        self._lots = {
            lot: LotMachines(profile, clock, tapping or partial(self._record, lot))
            for lot, profile in config.lots.items()
        }
        self._journal = Journal(config.data / "journal.db")
        self._board = Board(_lot_views(config), _exit_views(config), clock())
        identity = self._enrolled[0] if self._enrolled else None
        self._generation = identity.generation if identity else 1
        self._core = Core(
            journal=self._journal,
            keys=identity.key_ring() if identity else KeyRing({}),
            generation=self._generation,
            clock=clock,
            scene=lambda case, rival: self._lots[case.lot].scene(case, rival),
            perform=self._perform,
            show=self._show,
        )
        self._workers: dict[tuple[LotId, str], PortWorker] = {}
        self._watches: dict[LotId, LotWatch] = {}
        for lot, machines in self._lots.items():
            known = {stay.ref.key: stay for stay in self._journal.open_stays(lot)}
            self._watches[lot] = LotWatch(lot=machines, known=known, core=self._core, board=self._board, clock=clock)
            self._make_workers(machines, self._watches[lot])
        self._orders = Orders(
            core=self._core,
            journal=self._journal,
            board=self._board,
            lots=self._lots,
            workers=self._workers,
            clock=clock,
            fallback=config.data / "fallback.jsonl",
        )
        self._show_the_past()
        self._uplinks = self._make_uplinks()
        self._api = LocalApi(self, config.data, config.api_host, config.api_port)

    def _make_workers(self, machines: LotMachines, watch: LotWatch) -> None:
        ports: dict[str, PortWorker] = {}
        for machine in machines.machines.values():
            table = machine.table
            worker = ports.setdefault(table.url, PortWorker(f"{machines.lot}-{table.id}"))
            self._workers[(machines.lot, table.id)] = worker
            if machine.exits:
                worker.every(table.poll_seconds, partial(watch.read_exits, machine))
            if table.id == machines.profile.roles.stays:
                worker.every(table.poll_seconds, partial(watch.read_stays, table.id, table.timeout_seconds))

    def _make_uplinks(self) -> list[Uplink]:
        if self._enrolled is None:
            for lot in self._lots:
                self.cloud_link(lot, False, "not enrolled: run `python -m bridge enrol`", None)
            return []
        identity, key = self._enrolled
        for lot in set(self._lots) - set(identity.lots):
            self.cloud_link(LotId(lot), False, "this bridge is not enrolled for this lot", None)
        begins = dict(zip(identity.lots, identity.feed_after, strict=False))
        with self._journal.transaction() as tx:
            for lot in self._lots:
                tx.carry_over(lot, identity.generation)
                tx.begin_feed(lot, begins.get(lot, 0))
        return [
            Uplink(self._config, identity, key, self, lot, self._clock) for lot in self._lots if lot in identity.lots
        ]

    def _show_the_past(self) -> None:
        for case in reversed(self._journal.recent_cases(RECENT_CASES)):
            self._show(case_view(case))
        for lot in self._lots:
            for exit_, command in self._journal.last_commands(lot).items():
                self._board.command(f"{lot}/{exit_}", command)

    def _record(self, lot: LotId, table: DeviceTable) -> Tap | None:
        if not self._config.record:
            return None
        wires = self._config.data / "wires"
        wires.mkdir(parents=True, exist_ok=True)
        secrets = [str(value).encode() for name, value in table.options.items() if name in SECRET_OPTIONS]
        self._recorders.append(Recorder(wires / f"{lot}-{table.id}.jsonl", self._clock, secrets))
        return self._recorders[-1]

    def start(self) -> None:
        """Start the ports, recover, open the local API, then the feed (P4)."""
        for worker in set(self._workers.values()):
            worker.start()
        self._core.start()
        self._api.start()
        if not self._core.wait_recovered(RECOVERY_SECONDS):
            log.warning("doubts of the last run are not all looked into yet; the feed opens all the same")
        for uplink in self._uplinks:
            uplink.start()
        log.info("bridge %s serves %s", self._config.name, ", ".join(str(lot) for lot in self._lots))

    def stop(self) -> None:
        """Stop in the reverse order; what is under way on a port is finished first."""
        self._board.close()
        for uplink in self._uplinks:
            uplink.stop()
        self._api.stop()
        for worker in set(self._workers.values()):
            if not worker.stop(3.0):
                log.warning("a port is still busy; its intent will be in doubt at the next start")
        self._core.stop()
        for machines in self._lots.values():
            for machine in machines.machines.values():
                machine.driver.close()
        for recorder in self._recorders:
            recorder.close()
        self._journal.close()

    # --- effects of the relay ----------------------------------------------------------------------------------------

    def _perform(self, case: Case, effect: relay.Act | relay.Look) -> None:
        machines = self._lots[case.lot]
        if isinstance(effect, relay.Act):
            worker = self._workers[(case.lot, machines.device_of(case))]
            worker.submit(Urgency.ACT, lambda: self._act(machines, case))
        else:
            worker = self._workers[(case.lot, machines.witness_of(case))]
            worker.submit(Urgency.LOOK, lambda: self._core.put(ForCase(case.key, machines.look(case, self._clock()))))

    def _act(self, machines: LotMachines, case: Case) -> None:
        intended = False

        def intend(intent: bytes, counter: int | None) -> None:
            nonlocal intended
            self._core.intend(case.key, case.attempt, intent, counter)
            intended = True

        event: relay.RelayEvent
        try:
            event = relay.Finished(case.attempt, machines.act(case, self._watches[case.lot].known, intend))
        except (NotSent, Environment) as error:
            event = relay.NothingSent(case.attempt, error.code, error.detail)
        except Exception as error:
            log.exception("bug in the driver that acts on %s", case.reference)
            event = relay.failed(case.attempt, intended, error)
        self._core.put(ForCase(case.key, event))

    def _show(self, view: CaseView) -> None:
        self._watches[LotId(view.lot)].case_changed(view)

    # --- Inbox -------------------------------------------------------------------------------------------------------

    def cursor(self, lot: LotId) -> int:
        """See bridge.ports.Inbox."""
        return self._journal.cursor(lot)

    def accept(self, lot: LotId, entries: Sequence[Entry]) -> None:
        """See bridge.ports.Inbox."""
        try:
            self._core.accept(lot, entries, COMMIT_SECONDS)
        except NotSent as error:
            raise Environment(Code.JOURNAL, error.detail) from error

    def ask(self, lot: LotId, ask: Ask, answer: Callable[[Answer], None]) -> None:
        """See bridge.ports.Inbox."""
        machines = self._lots[lot]
        device = machines.profile.roles.fee
        if not device or Role.FEES not in machines.machines[device].driver.capabilities.roles:
            nobody = NotFound(code=Code.DEVICE_UNAVAILABLE, detail="no device of this lot knows the fee")
            answer(Answer(ask_id=ask.ask_id, result=nobody))
            return
        self._workers[(lot, device)].submit(Urgency.ASK, lambda: answer(machines.answer(ask)))

    def reports(self, lot: LotId, limit: int) -> tuple[int, tuple[Report, ...]]:
        """See bridge.ports.Inbox."""
        return self._journal.reports(lot, self._generation, limit)

    def accepted(self, lot: LotId, through: int) -> None:
        """See bridge.ports.Inbox."""
        self._core.write(lambda tx: tx.accepted(lot, self._generation, through), COMMIT_SECONDS)

    def wait_for_reports(self, lot: LotId, seconds: float) -> None:
        """See bridge.ports.Inbox."""
        with self._core.news:
            if not self.reports(lot, 1)[1]:
                self._core.news.wait(seconds)

    def cloud_link(self, lot: LotId, up: bool, detail: str, latency_ms: float | None) -> None:
        """See bridge.ports.Inbox."""
        self._board.link(
            LinkView(
                link=f"{lot}/cloud", kind="cloud", up=up, since=self._clock(), detail=detail, latency_ms=latency_ms
            )
        )

    # --- Desk --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """See bridge.ports.Desk."""
        return self._board.snapshot(self._clock())

    def events(self, after: int) -> Sequence[Event] | None:
        """See bridge.ports.Desk."""
        return self._board.events(after)

    def wait_for_event(self, after: int, seconds: float) -> None:
        """See bridge.ports.Desk."""
        self._board.wait(after, seconds)

    def timeline(self, lot: LotId, stay_key: str) -> Timeline:
        """See bridge.ports.Desk."""
        return Timeline(entries=self._journal.timeline(lot, stay_key))

    def command(self, command: Command) -> CommandReply:
        """See bridge.ports.Desk."""
        return self._orders.command(command)


def enrolled(config: BridgeConfig) -> tuple[Identity, SigningKey] | None:
    """The bridge's identity and key, or None if it has not been paired with a cloud yet."""
    try:
        return load_identity(config.data), load_key(config.data)
    except Environment as error:
        if error.code is not Code.NOT_ENROLLED:
            raise
        log.warning("%s", error)
        return None


def _lot_views(config: BridgeConfig) -> list[LotView]:
    return [
        LotView(lot=lot, name=profile.lot.name, time_zone=profile.lot.time_zone) for lot, profile in config.lots.items()
    ]


def _exit_views(config: BridgeConfig) -> list[ExitView]:
    return [
        ExitView(lot=lot, exit=exit_.id, kind=exit_.kind, label=exit_.label, device=exit_.device)
        for lot, profile in config.lots.items()
        for exit_ in profile.exit
    ]
