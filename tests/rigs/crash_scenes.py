"""What goes on in a lot when the bridge is made to crash: people, cars, payments; and what must have come of it.

A scene is provoked in a bridge that dies at a named place (bridge.crash_points) and goes on in the next one. The judges
are the lots' own histories, the host's books and the cloud's record of reports.
"""

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

from bridge.fallback import FallbackLog, Line
from parking.commands import Command, Verb
from parking.desk import CommandState, CommandView
from parking.reports import Override, OverrideMatched, StayClosed, StayOpened
from parking.stay import LotId, NameKind, StayRef
from tests.rigs.office import GATED, PLATES, Office, until

PATIENCE = 1.5
"""Seconds that a doubt stands before a person goes and looks."""
ENDS = 60.0
"""Seconds until all has come to its end, on a computer that is busy with other things."""
OBSERVED = 2.5
"""Seconds after which an open gate proves nothing any more: a little more than `observe` (tests.rigs.office)."""
bays = itertools.cycle(range(1, 21))


class Scene:
    """A car, and what is done about it."""

    lot: ClassVar[LotId] = PLATES
    device: ClassVar[str] = "plates"
    person: ClassVar[bool] = False
    """Whether somebody must go and look where nothing else can tell."""

    def __init__(self, office: Office, outcome: str = "acted") -> None:
        self.office, self.cloud, self.sim = office, office.cloud, office.lots[self.lot]
        self.outcome, self.id = outcome, str(uuid4())
        self.name, self.number, self.before, self._since = "", 0, 0, 0.0

    # --- what happens ------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Before the run that crashes; no bridge is running."""

    def provoke(self) -> None:
        """Begin. The bridge may die at any moment of it."""

    def poke(self) -> None:
        """Called again and again until the bridge has died, and while the end is waited for."""
        if self.person:
            self.look()

    def again(self) -> None:
        """After the restart: whoever got no answer asks once more."""

    def judge(self) -> None:
        """Once it has ended: one effect, one end."""
        raise NotImplementedError

    # --- the parts ---------------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """A car is where it can be let out, and the bridge knows its stay."""
        if self.lot == PLATES:
            self.name = str(next(bays))
            ups = self.plate_ups()
            self.sim.tell("arrive", bay=self.name)
            until("the plate to be up", lambda: self.plate_ups() > ups)
        else:
            self.name = str(self.sim.tell("arrive")["name"])
            self.sim.tell("drive-out", name=self.name, exit="OUT1")
            self.sim.wait_history("drive_up", stay=self.name)
        self.stay = self.office.stay(self.lot, self.name)
        self.before = self.office.releases(self.lot, self.name)

    def plate_ups(self) -> int:
        return sum(one["what"] == "plate_up" and one["exit"] == self.name for one in self.sim.history())

    def booked(self) -> int:
        """How often the host has this payment in its books."""
        paid = [one for one in self.sim.history() if one["what"] == "host_paid" and one["stay"] == self.name]
        return sum(f"DK-{self.lot}-{self.number}" in str(one) for one in paid)

    def strike(self) -> None:
        """From now on the next request, or the reply to it, is lost."""
        if self.outcome != "acted":
            self.sim.tell("fault", device=self.device, fault=self.outcome)

    def pay(self) -> None:
        """The driver has paid."""
        self.number = self.cloud.pay(self.lot, self.stay, exit_="" if self.lot == PLATES else "OUT1")

    @property
    def acts(self) -> int:
        """How often the device has received our release for this car."""
        return self.office.releases(self.lot, self.name) - self.before

    def order(self, **more: Any) -> dict[str, Any]:
        """An order by hand for this car; the same one, however often it is given."""
        exit_ = self.name if self.lot == PLATES else "OUT1"
        stay = {"kind": self.stay.kind.value, "name": self.stay.name, "entered_at": self.stay.entered_at}
        order = {"command_id": self.id, "verb": "release", "exit": exit_, "stay": said(stay), "whose": "stay", **more}
        return self.office.command(lot=self.lot, actor="Tanaka", reason="1 rain", **order)

    def look(self) -> None:
        """A person looks at what is in doubt for a while already, and decides."""
        if (
            not self.number
            or not self.cloud.doubted(self.lot, self.number)
            or (self.lot == GATED and not self.booked())
        ):
            self._since = 0.0  # of a booking the host itself is the witness
            return
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since < PATIENCE:
            return
        verdict = "settled" if self.acts or self.lot == GATED else "not_settled"
        with suppress(OSError, ValueError):
            self.office.command(
                command_id=str(uuid4()), lot=self.lot, verb="resolve", case=self.number, verdict=verdict,
                actor="Tanaka", reason="looked at the exit",
            )  # fmt: skip

    def wait(self, what: str, check: Callable[[], object]) -> None:
        """Wait, and poke meanwhile."""

        def poked() -> object:
            self.poke()
            return check()

        self.office.wait(what, poked, ENDS)

    def ended(self) -> str:
        """Wait for the end of the payment, which is one only."""
        self.wait(f"an end of {self.number}", lambda: self.cloud.ends(self.lot, self.number))
        time.sleep(0.3)  # whatever would act a second time has had its chance
        (end,) = self.cloud.ends(self.lot, self.number)
        assert self.cloud.contradictions == []
        assert self.number in self.cloud.received(self.lot)
        return end

    def overrides(self) -> list[Override]:
        """What the cloud was told of the order by hand."""
        return [one for one in self.cloud.said(self.lot, Override) if one.command_id == self.id]


class Plate(Scene):
    """A payment for a bay with lock plate and counter."""

    def provoke(self) -> None:
        self.arrive()
        self.strike()
        self.pay()

    def judge(self) -> None:
        assert self.ended() == "settled", self.office.case(self.lot, self.number).get("detail")
        assert self.acts == 1 or (self.acts == 0 and self.person)
        assert self.lot != GATED or self.booked() == 1


class Host(Plate):
    """A payment that the host books under its reference, then the gate opens."""

    lot, device = GATED, "host"


class Gate(Host):
    """The same; nothing counts at the gate, so whether a command that vanished acted only a person can tell."""

    device, person = "gate", True


class Early(Plate):
    """The payment is there already when the bridge starts."""

    def prepare(self) -> None:
        self.office.start()
        self.arrive()
        self.office.kill()
        self.pay()

    def provoke(self) -> None:
        pass


class NoCar(Scene):
    """A payment for a car that is not there."""

    def provoke(self) -> None:
        self.number = self.cloud.pay(PLATES, StayRef(NameKind.BAY, "99", datetime(2026, 11, 24, tzinfo=UTC)))

    def judge(self) -> None:
        assert self.ended() == "refused"


class Deaf(Host):
    """The gate does not answer before anything was sent: nothing was, and it is tried again."""

    def provoke(self) -> None:
        self.arrive()
        self.sim.tell("fault", device="gate", fault="silent")
        self.pay()

    def again(self) -> None:
        self.sim.tell("clear-faults")


class Leaves(Gate):
    """The command was lost; somebody turns the key, and the car leaves, which ends the doubt.

    Not before an open gate has stopped to prove our own command: else it may be that which ends it.
    """

    def __init__(self, office: Office, outcome: str = "acted") -> None:
        super().__init__(office, "drop_request_once")
        self.turned = False
        self.since = float("inf")

    def poke(self) -> None:
        if self.number and self.cloud.doubted(self.lot, self.number):
            self.since = min(self.since, time.monotonic())
        if not self.turned and time.monotonic() > self.since + OBSERVED:
            self.turned = True
            self.sim.tell("hand-release", exit="OUT1")


class ByHand(Scene):
    """With the line down a person opens for a car that has paid; the payment comes when the line is up again."""

    person = True

    def provoke(self) -> None:
        self.arrive()
        self.cloud.down = True
        self.pay()
        self.strike()
        self.order()

    def again(self) -> None:
        self.order()
        self.cloud.down = False

    def judge(self) -> None:
        self.wait("the order's end", self.overrides)
        end = self.ended()
        assert len(self.overrides()) == 1
        assert (end, self.acts) in (("settled", 1), ("refused", 0)), (end, self.acts)


class ByHandTold(ByHand):
    """The same, and the line comes back while the bridge still runs."""

    def provoke(self) -> None:
        super().provoke()
        self.cloud.down = False


class OverDoubt(Gate):
    """A command was lost, and a person opens by hand for the car whose payment is in doubt."""

    def __init__(self, office: Office, outcome: str = "acted") -> None:
        super().__init__(office, "drop_request_once")

    def poke(self) -> None:
        if self.number and self.cloud.doubted(self.lot, self.number):
            with suppress(OSError, ValueError):
                self.order(case=self.number)

    def judge(self) -> None:
        super().judge()
        self.wait("the order's end", self.overrides)
        assert len(self.overrides()) == 1


class Claimed(Scene):
    """A car leaves against a claim, to be paid later."""

    def provoke(self) -> None:
        self.arrive()
        self.order(claim=300)

    def again(self) -> None:
        self.order(claim=300)

    def judge(self) -> None:
        self.wait("the order's end", self.overrides)
        (told,) = self.overrides()
        assert told.claim is not None
        assert told.claim.amount == 300
        assert self.acts == 1


class Assigned(Scene):
    """An opening of which somebody says afterwards for whom it was."""

    def provoke(self) -> None:
        self.arrive()
        self.order(stay=None, whose="later")

    def poke(self) -> None:
        if self.overrides() and not self.matched():
            with suppress(OSError, ValueError):
                self.order(command_id=str(uuid4()), verb="assign", exit="", override=self.id)

    def matched(self) -> list[OverrideMatched]:
        return [one for one in self.cloud.said(self.lot, OverrideMatched) if one.command_id == self.id]

    def judge(self) -> None:
        self.wait("the opening to be matched", self.matched)
        time.sleep(0.3)
        assert (len(self.overrides()), len(self.matched()), self.acts) == (1, 1, 1)


class Typed(Scene):
    """With the line down a driver shows a code, which is typed; the same payment comes by the line later."""

    def text(self) -> str:
        return self.cloud.typed(self.lot, self.number)

    def provoke(self) -> None:
        self.arrive()
        self.cloud.down = True
        self.pay()
        self.strike()
        self.show()

    def show(self, text: str = "") -> dict[str, Any]:
        """Put the code in."""
        stay = {"kind": self.stay.kind.value, "name": self.stay.name, "entered_at": self.stay.entered_at}
        return self.office.ask(
            "codes", redeem_id=str(uuid4()), lot=self.lot, text=text or self.text(), actor="Tanaka", stay=said(stay)
        )

    def again(self) -> None:
        def done() -> bool:
            with suppress(OSError, ValueError):
                reply = self.show()
                return bool(reply["accepted"]) or reply["code"] == "code-used"
            return False

        self.office.wait("the code to be taken, or known", done, ENDS)
        self.cloud.down = False

    def judge(self) -> None:
        assert self.ended() == "settled"
        assert self.acts == 1


class Scanned(Typed):
    """The same, by its QR code."""

    def text(self) -> str:
        return self.cloud.digits(self.lot, self.number)


class TypedTold(Typed):
    """The same, and the line comes back while the bridge still runs."""

    def provoke(self) -> None:
        super().provoke()
        self.cloud.down = False


class WrongCode(Typed):
    """A wrong code is typed before the right one."""

    def provoke(self) -> None:
        self.arrive()
        self.cloud.down = True
        self.pay()
        self.show("0" * 21)


class Forged(Scanned):
    """A forged QR code is shown before the right one."""

    def provoke(self) -> None:
        self.arrive()
        self.cloud.down = True
        self.pay()
        good = self.text()
        self.show(good[:-1] + str((int(good[-1]) + 1) % 10))


class Traffic(Scene):
    """A car comes and goes."""

    def prepare(self) -> None:
        self.name = str(next(bays))
        self.told = (self.count(StayOpened), self.count(StayClosed))
        self.left = False

    def count(self, kind: type[StayOpened] | type[StayClosed]) -> int:
        return sum(one.stay.name == self.name for one in self.cloud.said(self.lot, kind))

    def provoke(self) -> None:
        self.sim.tell("arrive", bay=self.name)

    def poke(self) -> None:
        shown = [one["stay"]["name"] for one in self.office.snapshot().get("stays", []) if one["lot"] == self.lot]
        if self.name in shown and not self.left:
            self.left = True
            self.sim.tell("drive-out", name=self.name)
            self.sim.tell("hand-release", exit=self.name)

    def judge(self) -> None:
        self.wait("the car to be gone", lambda: self.count(StayClosed) > self.told[1])
        assert (self.count(StayOpened), self.count(StayClosed)) == (self.told[0] + 1, self.told[1] + 1)


class Fallback(Scene):
    """A former run could write its last order by hand to the fallback log only, and never its outcome."""

    def prepare(self) -> None:
        self.write()

    def write(self) -> None:
        now = datetime.now(UTC)
        command = Command(
            command_id=self.id, lot=self.lot, verb=Verb.RELEASE, actor="Tanaka", reason="1 rain", exit="20"
        )
        view = CommandView(command_id=self.id, verb="release", state=CommandState.COMMANDED, at=now, actor="Tanaka")
        FallbackLog(self.office.data).append(Line(command=command, view=view, intent=b"\x01\x05"))

    def judge(self) -> None:
        self.wait("the order's end", self.overrides)
        time.sleep(0.3)
        (told,) = self.overrides()
        assert told.outcome == "not_confirmed"
        assert not FallbackLog(self.office.data).waiting


class LateFallback(Fallback):
    """An order that went to the fallback log is brought in while the bridge runs."""

    def prepare(self) -> None:
        pass

    def provoke(self) -> None:
        self.write()


def said(stay: dict[str, Any]) -> dict[str, Any]:
    """As JSON."""
    at = stay["entered_at"]
    return {**stay, "entered_at": None if at is None else at.isoformat()}
