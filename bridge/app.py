"""The bridge's composition root: builds the parts, joins them, starts and stops them in the right order."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from bridge.anchor import Anchor, fingerprints
from bridge.board import Board
from bridge.by_hand import ByHand
from bridge.config import BridgeConfig
from bridge.core import Core
from bridge.day_rounds import DayRounds
from bridge.enrol import advice, enrolled, software
from bridge.fallback import FallbackLog
from bridge.journal import Journal
from bridge.lines import Lines
from bridge.local_api.api import LocalApi
from bridge.lookout import RECOVERY_SECONDS, Lookout, kept_time
from bridge.lot_keys import keys_for
from bridge.lot_page.server import open_lot_page
from bridge.machines import LotMachines, Tapping
from bridge.offline import Offline, open_offline
from bridge.orders import Orders
from bridge.plate_book import open_plates
from bridge.port_jobs import PortJobs
from bridge.ports import Desk, Inbox
from bridge.recordings import Recordings
from bridge.reserve import Reserve
from bridge.secret_store import open_store
from bridge.sign_on import SignOn
from bridge.stays import KnownStay
from bridge.steady_clock import SteadyClock
from bridge.views import case_view, exit_views, lot_views
from bridge.watch import LotWatch
from parking.commands import Command, CommandReply, Redeem, RedeemReply, SignedIn, SignIn, SignOut
from parking.desk import CaseView, Event, LinkView, Snapshot, Timeline
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.reports import Report
from parking.signing import KeyRing
from parking.stay import LotId
from parking.wire import Answer, Ask, Entry

log = logging.getLogger(__name__)

COMMIT_SECONDS = 10.0
SIGN_ON_SECONDS = 1.0
"""How long signing in waits for the journal; it goes on without."""

RECENT_CASES = 300


class Bridge(Inbox, Desk):
    """The running bridge. Implements what the uplink and the local API ask of it."""

    def __init__(
        self,
        config: BridgeConfig,
        clock: Callable[[], datetime] | None = None,
        tapping: Tapping | None = None,
    ) -> None:
        """Make the drivers; raises Environment with a remedy if that cannot be done. A bad disk keeps nobody from it.

        `clock` is a SteadyClock by default. `tapping` sees the bytes of the devices; by default a recorder does, if the
        configuration wants one.
        """
        clock = SteadyClock() if clock is None else clock
        self._config, self._clock = config, clock
        config.data.mkdir(parents=True, exist_ok=True)
        self._enrolled = enrolled(config)
        self._recordings = Recordings(config, clock)
        self._reserve = Reserve(config.data)
        self._journal = Journal(config.data / "journal.db", patient=True)
        self._keys = keys_for(config, self._enrolled, clock)
        self._plates = open_plates(config, self._journal, self._keys.of)
        self._lots = self._make_lots(tapping)
        self._open_journal()
        self._keep_up_with_cloud_time()
        self._board = Board(lot_views(config.lots), exit_views(config.lots), clock())
        identity = self._enrolled[0] if self._enrolled else None
        self._generation = identity.generation if identity else 1
        self._core = Core(
            journal=self._journal,
            keys=identity.key_ring() if identity else KeyRing({}),
            generation=self._generation,
            clock=clock,
            scene=lambda case, rival: self._lots[case.lot].scene(case, rival),
            perform=lambda case, effect: self._jobs.perform(case, effect),
            show=self._show,
        )
        self._sign_on = self._make_sign_on()
        self._anchor = Anchor(
            core=self._core,
            lots=tuple(self._lots),
            generation=self._generation,
            clock=clock,
            start=fingerprints(config, software()),
            look=self._look,
        )
        self._watches: dict[LotId, LotWatch] = {}
        for lot, machines in self._lots.items():
            known = self._open_stays(lot)
            self._watches[lot] = LotWatch(lot=machines, known=known, core=self._core, board=self._board, clock=clock)
        self._jobs = PortJobs(lots=self._lots, watches=self._watches, core=self._core, clock=clock)
        self._by_hand = self._make_by_hand()
        self._orders = self._make_orders()
        self._saw_past = self._journal.readable
        if self._saw_past:
            self._show_the_past()
        self._lines = self._make_lines()
        self._lookout = self._make_lookout()
        self._offline = self._make_offline()
        self._days = DayRounds(self._core, self._journal, self._by_hand, self._lots, self._jobs.workers, clock)
        self._api = LocalApi(self, config.data, config.api_host, config.api_port)
        self._lot_page = open_lot_page(config, self._board.phase_of)

    def _make_lots(self, tapping: Tapping | None) -> dict[LotId, LotMachines]:
        return {
            lot: LotMachines(
                profile,
                self._clock,
                tapping or partial(self._recordings.tap, lot),
                self._plates.of(lot, profile.lot.names),
            )
            for lot, profile in self._config.lots.items()
        }

    def _open_journal(self) -> None:
        """Mend the journal if it can be; the bridge starts without one, too."""
        journal = self._journal
        if not journal.mend(self._clock()):
            self._reserve.free()  # the files beside the journal are needed for reading it, and for what is done by hand
            journal.mend(self._clock())
        if journal.trouble is not None:
            log.error("nothing can be journaled, and no payment is accepted: %s", journal.trouble)

    def _make_sign_on(self) -> SignOn:
        config = self._config
        return SignOn(
            data=config.data,
            store=open_store(config.data, config.store),
            journal=self._journal,
            write=lambda write: self._core.write(write, SIGN_ON_SECONDS),
            two_persons_above={lot: profile.policy.two_persons_above for lot, profile in config.lots.items()},
            idle=timedelta(seconds=config.idle_seconds),
            clock=self._clock,
        )

    def _make_by_hand(self) -> ByHand:
        return ByHand(
            core=self._core,
            journal=self._journal,
            board=self._board,
            clock=self._clock,
            fallback=FallbackLog(self._config.data),
        )

    def _make_orders(self) -> Orders:
        return Orders(
            core=self._core,
            journal=self._journal,
            board=self._board,
            lots=self._lots,
            workers=self._jobs.workers,
            clock=self._clock,
            by_hand=self._by_hand,
            cloud_url=self._config.cloud_url,
        )

    def _make_lookout(self) -> Lookout:
        return Lookout(
            journal=self._journal,
            core=self._core,
            board=self._board,
            lines=self._lines,
            reserve=self._reserve,
            alarm_seconds={lot: profile.policy.alarm_seconds for lot, profile in self._config.lots.items()},
            workers=self._jobs.workers,
            clock=self._clock,
            usable=self._recall,
            keyless=lambda lot: self._lots[lot].plates.keyless,
        )

    def _look(self) -> None:
        """Every few seconds: look after operators, the fallback log, and plates that are to be erased."""
        self._sign_on.look()
        try:
            self._by_hand.bring_in()
        except DaikoError as error:
            log.warning("the fallback log is not journaled yet: %s", error)
        if self._journal.trouble is None:
            self._plates.tend(self._clock(), self._lots)

    def _make_lines(self) -> Lines:
        if self._enrolled is None:
            for lot in self._lots:
                self.cloud_link(lot, False, advice(self._config.data), None)
        else:
            for lot in set(self._lots) - set(self._enrolled[0].lots):
                self.cloud_link(LotId(lot), False, "this bridge is not enrolled for this lot", None)
        return Lines(
            config=self._config,
            enrolled=self._enrolled,
            lots=tuple(self._lots),
            journal=self._journal,
            core=self._core,
            inbox=self,
            clock=self._clock,
            hear=self._clock.hear if isinstance(self._clock, SteadyClock) else None,
        )

    def _make_offline(self) -> Offline:
        return open_offline(
            config=self._config,
            enrolled=self._enrolled,
            keys=self._keys,
            core=self._core,
            journal=self._journal,
            check=self._lines.check,
            clock=self._clock,
        )

    def _keep_up_with_cloud_time(self) -> None:
        if not isinstance(self._clock, SteadyClock):
            return
        if self._journal.readable and (kept := kept_time(self._journal)) is not None:
            self._clock.not_before(kept)

    def _clock_moved(self, by: timedelta) -> None:
        log.warning("the clock was wrong by %.0f s and goes by the cloud's now", by.total_seconds())
        self._core.clock_moved(by)

    def _open_stays(self, lot: LotId) -> dict[str, KnownStay]:
        return {stay.ref.key: stay for stay in self._journal.open_stays(lot)} if self._journal.readable else {}

    def _recall(self) -> None:
        """The journal can be read for the first time in this run: what it knows goes before what was seen meanwhile."""
        self._bring_in_first()
        if self._saw_past:
            return
        self._saw_past = True
        self._keep_up_with_cloud_time()
        for lot, watch in self._watches.items():
            watch.recall(self._open_stays(lot))
        self._show_the_past()

    def _bring_in_first(self) -> None:
        """What was opened by hand without a journal is known before any payment of a former run is taken up again."""
        try:
            self._by_hand.bring_in(running=False)
            self._by_hand.end_interrupted()
        except DaikoError as error:
            log.warning("orders by hand of a former run are not journaled yet: %s", error)

    def _show_the_past(self) -> None:
        for case in reversed(self._journal.recent_cases(RECENT_CASES)):
            self._show(case_view(case))
        for row in self._journal.unmatched():
            self._board.unmatched(row)
        for lot in self._lots:
            for exit_, command in self._journal.last_commands(lot).items():
                self._board.command(f"{lot}/{exit_}", command)

    def start(self) -> None:
        """Start the ports, recover, open the local API, then the feed (P4); the feed stays shut without a journal."""
        if isinstance(self._clock, SteadyClock):
            self._clock.moved = self._clock_moved
        self._jobs.start()
        if self._journal.trouble is None:
            self._bring_in_first()
        self._core.start()
        self._anchor.start()
        self._offline.start()
        self._api.start()
        if self._lot_page is not None:
            self._lot_page.start()
        if self._core.loaded.is_set() and not self._core.wait_recovered(RECOVERY_SECONDS):
            log.warning("doubts of the last run are not all looked into yet; the feed opens in a moment all the same")
        self._lookout.round()
        self._lookout.start()
        self._days.start()
        if not self._sign_on.needed:
            log.warning("no operator has a PIN: whoever sits at the console may give orders (docs/operators.md)")
        log.info("bridge %s serves %s", self._config.name, ", ".join(str(lot) for lot in self._lots))

    def stop(self) -> None:
        """Stop in the reverse order; what is under way on a port is finished first."""
        self._board.close()
        self._lookout.stop()
        self._days.stop()
        self._lines.stop()
        self._offline.stop()
        if self._lot_page is not None:
            self._lot_page.stop()
        self._api.stop()
        self._jobs.stop()
        self._anchor.stop()
        self._core.stop()
        self._recordings.close()
        self._journal.close()

    def _show(self, view: CaseView) -> None:
        self._watches[LotId(view.lot)].case_changed(view)

    # --- Inbox -------------------------------------------------------------------------------------------------------

    def cursor(self, lot: LotId) -> int:
        """See bridge.ports.Inbox."""
        self._lines.admit(lot)
        return self._journal.cursor(lot)

    def accept(self, lot: LotId, entries: Sequence[Entry]) -> None:
        """See bridge.ports.Inbox."""
        self._lines.check(lot)
        try:
            self._core.accept(lot, entries, COMMIT_SECONDS)
        except NotSent as error:
            raise Environment(Code.JOURNAL, error.detail) from error

    def ask(self, lot: LotId, ask: Ask, answer: Callable[[Answer], None]) -> None:
        """See bridge.ports.Inbox."""
        self._jobs.ask(lot, ask, answer)

    def reports(self, lot: LotId, limit: int) -> tuple[int, tuple[Report, ...]]:
        """See bridge.ports.Inbox."""
        if self._lines.lost(lot):  # the cloud counts on from those of the former journal
            return 0, ()
        return self._journal.reports(lot, self._generation, limit)

    def accepted(self, lot: LotId, through: int) -> None:
        """See bridge.ports.Inbox."""
        self._core.write(lambda tx: tx.accepted(lot, self._generation, through), COMMIT_SECONDS)
        self._lines.reported(lot)

    def disowned(self, lot: LotId) -> None:
        """See bridge.ports.Inbox."""
        self._core.write(lambda tx: tx.mark(lot, 0), COMMIT_SECONDS)
        self._lines.disowned(lot)

    def wait_for_reports(self, lot: LotId, seconds: float) -> None:
        """See bridge.ports.Inbox."""
        with self._core.news:
            if not self.reports(lot, 1)[1]:
                self._core.news.wait(seconds)

    def cloud_link(self, lot: LotId, up: bool, detail: str, latency_ms: float | None) -> None:
        """See bridge.ports.Inbox."""
        if up:
            self._offline.connected(lot)
        self._board.link(
            LinkView(
                link=f"{lot}/cloud", kind="cloud", up=up, since=self._clock(), detail=detail, latency_ms=latency_ms
            )
        )

    # --- Desk --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """See bridge.ports.Desk."""
        return replace(self._board.snapshot(self._clock()), sign_in=self._sign_on.needed)

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
        named = self._sign_on.named(command)
        if (lot := self._lots.get(LotId(command.lot))) is not None:
            named = replace(named, reason=lot.plates.scrub(named.reason))
        return self._sign_on.permit(named) or self._orders.command(named)

    def redeem(self, redeem: Redeem) -> RedeemReply:
        """See bridge.ports.Desk."""
        admitted = self._sign_on.admit(redeem)
        return admitted if isinstance(admitted, RedeemReply) else self._offline.redeem(admitted)

    def sign_in(self, request: SignIn) -> SignedIn:
        """See bridge.ports.Desk."""
        return self._sign_on.sign_in(request)

    def sign_out(self, request: SignOut) -> CommandReply:
        """See bridge.ports.Desk."""
        return self._sign_on.sign_out(request)
