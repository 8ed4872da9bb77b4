"""What relay, cloud and attendants have done on the ports: each job with what is to be said if its port hangs."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from bridge import crash_points, events
from bridge.case import Case
from bridge.core import INTEND_SECONDS, Core
from bridge.machines import LotMachines
from bridge.messages import ForCase
from bridge.watch import LotWatch
from bridge.worker import PortWorker, Urgency
from drivers.base import GivesWay, Role, Uncertain
from drivers.profile import DeviceTable
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.stay import LotId
from parking.wire import Answer, Ask, NotFound

T = TypeVar("T")

log = logging.getLogger(__name__)

HUNG: Final = "the port hangs; certainly nothing was sent"
SPARE_SECONDS: Final = 5.0


class PortJobs:
    """Hands jobs to the ports' workers. Thread-safe."""

    def __init__(
        self,
        *,
        lots: Mapping[LotId, LotMachines],
        watches: Mapping[LotId, LotWatch],
        core: Core,
        clock: Callable[[], datetime],
    ) -> None:
        """Make a worker for each port: devices that share an address share its worker."""
        self._lots, self._watches, self._core, self._clock = lots, watches, core, clock
        self.workers: dict[tuple[LotId, str], PortWorker] = {}
        for lot, machines in lots.items():
            ports: dict[str, PortWorker] = {}
            for machine in machines.machines.values():
                table = machine.table
                worker = ports.setdefault(table.url, PortWorker(f"{lot}-{table.id}", 0.0))
                longest = longest_job(table, machines.profile.times.observe) + machines.sight_seconds(machine)
                worker.limit = max(worker.limit, longest)
                self.workers[(lot, table.id)] = worker
                if isinstance(machine.driver, GivesWay):
                    machine.driver.give_way = worker.is_wanted
                if machine.exits:
                    worker.every(table.poll_seconds, partial(watches[lot].read_exits, machine))
                if table.id == machines.profile.roles.stays:
                    worker.every(table.poll_seconds, partial(watches[lot].read_stays, table.id, table.timeout_seconds))
            machines.on_port = partial(self._on_port, lot)

    def _on_port(self, lot: LotId, device: str, job: Callable[[], T], deadline: float) -> T:
        return self.workers[(lot, device)].ask(Urgency.LOOK, job, deadline)

    def start(self) -> None:
        """Start all workers."""
        for worker in set(self.workers.values()):
            worker.start()

    def stop(self) -> None:
        """Finish what is under way on each port, then close the drivers; one that does not return is left alone."""
        busy = {worker for worker in set(self.workers.values()) if not worker.stop(3.0)}
        if busy:
            log.warning("a port is still busy; its intent will be in doubt at the next start")
        for lot, machines in self._lots.items():
            for machine in machines.machines.values():
                if self.workers[(lot, machine.table.id)] not in busy:
                    machine.driver.close()

    def perform(self, case: Case, effect: events.Act | events.Look) -> None:
        """Queue what the relay wants done."""
        machines = self._lots[case.lot]
        if isinstance(effect, events.Act):
            self._submit_act(machines, case)
            return

        def look() -> None:
            self._core.put(ForCase(case.key, machines.look(case, self._clock())))

        unseen = events.Proof(case.attempt, events.Finding.UNKNOWN, (), "")
        worker = self.workers[(case.lot, machines.witness_of(case))]
        worker.submit(Urgency.LOOK, look, withdrawn=lambda: self._core.put(ForCase(case.key, unseen)))

    def ask(self, lot: LotId, ask: Ask, answer: Callable[[Answer], None]) -> None:
        """Have the legacy asked for a fee."""
        machines = self._lots[lot]
        device = machines.profile.roles.fee

        def nobody(detail: str) -> None:
            answer(Answer(ask_id=ask.ask_id, result=NotFound(code=Code.DEVICE_UNAVAILABLE, detail=detail)))

        if not device or Role.FEES not in machines.machines[device].driver.capabilities.roles:
            nobody("no device of this lot knows the fee")
            return
        self.workers[(lot, device)].submit(
            Urgency.ASK, lambda: answer(machines.answer(ask)), withdrawn=lambda: nobody("the device's port hangs")
        )

    def _submit_act(self, machines: LotMachines, case: Case) -> None:
        intended = False
        table = machines.machines[machines.device_of(case)].table

        def intend(intent: bytes, counter: int | None) -> None:
            nonlocal intended
            self._core.intend(case.key, case.attempt, intent, counter)
            intended = True
            crash_points.intended()

        def tell(event: events.Event) -> None:
            self._core.put(ForCase(case.key, event))

        def act() -> None:
            event: events.Event
            try:
                self._watches[case.lot].know_the_cars(table.id, table.timeout_seconds)
                event = events.Finished(case.attempt, machines.act(case, self._watches[case.lot].known, intend))
            except (NotSent, Environment) as error:
                event = events.NothingSent(case.attempt, error.code, error.detail)
            except DaikoError as error:
                if intended:
                    event = events.Finished(case.attempt, Uncertain(error.detail, error.code))
                else:  # what was asked before the intent changes nothing, answered or not
                    event = events.NothingSent(case.attempt, error.code, error.detail)
            except Exception as error:
                log.exception("bug in the driver that acts on %s", case.reference)
                event = events.failed(case.attempt, intended, error)
            tell(event)

        def stuck() -> None:
            """Evidence or its own late word decides once it is in doubt. Before the intent it is halted there."""
            if intended:
                tell(events.Finished(case.attempt, Uncertain("the port hangs in the midst of it", Code.PORT_HUNG)))
            else:
                tell(events.NothingSent(case.attempt, Code.PORT_HUNG, HUNG))

        worker = self.workers[(case.lot, table.id)]
        nothing = events.NothingSent(case.attempt, Code.PORT_HUNG, HUNG)
        worker.submit(Urgency.ACT, act, withdrawn=lambda: tell(nothing), stuck=stuck)


def longest_job(table: DeviceTable, observe: float) -> float:
    """Seconds that no job of a device takes unless its port hangs: status, act and read-back, watching, the intent."""
    return 3 * table.timeout_seconds + observe + INTEND_SECONDS + SPARE_SECONDS
