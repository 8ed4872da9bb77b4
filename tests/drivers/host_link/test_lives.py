"""Random lives of a host: payments under mishaps, by each way in; a checker that reads the host's own books alone."""

import contextlib
import gc
import queue
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base, profile
from drivers.host_link.driver import create
from drivers.simlot.world import World
from parking.errors import Environment, NotSent, Refused, Uncertain
from parking.money import Yen
from parking.outcome import Level
from parking.stay import NameKind, StayRef
from tests.drivers.host_link.hosts import SERVERS, host_of
from tests.drivers.host_link.trouble import DEEDS, Trouble
from tests.rigs.figures import SEED, count, size

LOT = profile.load(Path(__file__).parents[3] / "seeds" / "lots" / "gated-host.toml")
LIFE = 20
"""Payments after which a fresh world begins."""
AT_ONCE = {"http": 8, "sqlite": 8, "folder": 8, "postgresql": 6, "firebird": 4}
"""Lives that are lived side by side: they wait more than they compute. Each has a database server for itself."""
PAYMENTS = {
    "http": (60, 3_000),
    "sqlite": (60, 2_500),
    "folder": (60, 2_000),
    "postgresql": (40, 1_500),
    "firebird": (40, 1_000),
}
"""Payments by each way: a slice, and at full size; there 10,000 together, fewer where each takes longer."""
PATIENCE = {"http": 0.12, "sqlite": 0.12, "folder": 0.12, "postgresql": 0.2, "firebird": 0.3}
"""Seconds of the device's time-out. An order has twice as long."""


def now() -> datetime:
    return datetime.now(UTC)


def _http(rng: random.Random) -> dict[str, Any]:
    once = ("drop_reply_once", "drop_request_once", "error_500_once", "error_500_booked_once", "unplugged")
    return {rng.choice(once): True} if rng.random() < 0.8 else {"delay_ms": rng.choice([20, 150])}


def _orders(rng: random.Random) -> dict[str, Any]:
    kinds = ("stopped", "refuse_once", "no_export", "unplugged", "locked", "half_once", "silent", "slow_ms")
    kind = rng.choice(kinds)
    return {kind: rng.choice([5, 60, 200]) if kind == "slow_ms" else True}


def _tables(rng: random.Random) -> dict[str, Any]:
    """The clerk's mishaps that a server's tables can have, or what happens to the server and in it."""
    if rng.random() < 0.3:
        return {rng.choice(("stopped", "refuse_once", "no_export", "locked")): True}
    return {rng.choice(DEEDS): (rng.uniform(0.0, 0.04), rng.choice([0.01, 0.05, 0.2, 0.5]))}


MISHAPS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "http": _http,
    "sqlite": _orders,
    "folder": _orders,
    "postgresql": _tables,
    "firebird": _tables,
}


@dataclass
class Life:
    """A host and its driver, until the next fresh world; `trouble` is its database server's, if it has one."""

    way: str
    world: World
    served: Any
    driver: Any
    trouble: Trouble | None

    def strike(self, mishap: dict[str, Any], payment: "Payment") -> None:
        for name, value in mishap.items():
            if self.trouble is not None and name in DEEDS:
                self.trouble.begin(name, *value, payment)
            else:
                setattr(self.served.faults, name, value)

    def clear(self) -> None:
        for name, value in (("delay_ms", 0), ("slow_ms", 0)):
            if hasattr(self.served.faults, name):
                setattr(self.served.faults, name, value)
        for name in ("unplugged", "silent", "stopped", "no_export", "locked"):
            if hasattr(self.served.faults, name):
                setattr(self.served.faults, name, False)
        if self.trouble is not None:
            self.trouble.end()


@contextlib.contextmanager
def life(way: str, run_dir: Path, rng: random.Random, server: Any) -> Iterator[Life]:
    with contextlib.ExitStack() as stack:
        world = World(LOT, run_dir, now, seed=rng.randrange(1 << 30))
        stack.callback(world.close)
        served, device = host_of(way, world, LOT, run_dir, server)
        stack.callback(served.stop)
        trouble = None
        if server is not None:
            served.pause = 0.04  # several of them at once would leave no time to the driver
            trouble = Trouble(way, server, device.url, wired=rng.random() < 0.7, strict=rng.random() < 0.4)
            stack.callback(trouble.close)
            device = msgspec.structs.replace(device, url=trouble.address)
        driver = create(msgspec.structs.replace(device, timeout_seconds=PATIENCE[way]), (), now)
        stack.callback(driver.close)
        made = Life(way, world, served, driver, trouble)
        stack.callback(made.clear)
        yield made


class Payment:
    """One payment, as the relay would go about it: told, asked about, told again only where nobody was paid."""

    def __init__(self, lived: Life, rng: random.Random, number: int) -> None:
        self.life, self.rng = lived, rng
        self.reference = f"DK-7-{number}"
        car = lived.world.arrive(minutes_ago=rng.choice([5, 65, 95]))
        self.ticket, self.stay = car.name, StayRef(NameKind.TICKET, car.name, car.entered_at)
        self.due = lived.world.host_rate(car.name).due
        self.amount = Yen(self.due if rng.random() < 0.9 else self.due + 200)
        self.intents = 0
        self.said: NotSent | Environment | None = None
        self.inserts_before = self.inserts()
        self.cash = threading.Event()
        self.mishap: dict[str, Any] = {}
        self.when = rng.choice(("never", "before", "meanwhile", "later"))
        self.shown()

    def shown(self) -> None:
        """The car is in the host's tables and files."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with contextlib.suppress(NotSent, Environment, Uncertain):
                if isinstance(self.life.driver.quote(self.stay, now(), time.monotonic() + 1), base.Quote):
                    return
            time.sleep(0.005)
        raise AssertionError("the host never showed the car")

    def inserts(self) -> int:
        """How often a row was written over the wire."""
        wire = self.life.trouble.wire if self.life.trouble else None
        return wire.inserts if wire else 0

    def strike(self) -> None:
        self.life.strike(self.mishap, self)

    def intend(self, raw: bytes, counter: int | None) -> None:
        self.intents += 1
        if self.when == "meanwhile" and self.intents == 1:
            self.strike()
        if self.rng.random() < 0.1:
            self.pay_cash()

    def pay_cash(self) -> None:
        with contextlib.suppress(Refused):
            self.life.world.pay_cash(self.ticket)

    def settle(self, seconds: float) -> base.Outcome | None:
        order = base.SettleOrder(
            self.stay, self.amount, self.reference, now(), 1, time.monotonic() + seconds, self.intend
        )
        try:
            return self.life.driver.settle(order)
        except (NotSent, Environment) as error:
            self.said = error
            return None  # certain: nothing was written

    def live(self) -> "Payment":
        if self.when != "never":
            self.mishap = MISHAPS[self.life.way](self.rng)
        if self.when == "before":
            self.strike()
        if self.rng.random() < 0.1:
            self.pay_cash()
        later = threading.Timer(self.rng.uniform(0.0, 0.1), self.strike)
        if self.when == "later":
            later.start()
        patience = PATIENCE[self.life.way]
        self.first = self.settle(2 * patience)
        if self.when == "later":
            later.join()
        self.check_claim(self.first)
        self.said_in_trouble = self.life.driver.who_settled(self.stay, self.reference, time.monotonic() + patience)
        self.check_testimony(self.said_in_trouble)
        self.life.clear()
        self.check_not_sent()
        return self.end()

    def end(self) -> "Payment":
        """The mishap is over: the doubt ends, as the relay ends it."""
        self.last = self.first
        until = time.monotonic() + 8
        while time.monotonic() < until:
            if isinstance(self.last, base.Applied) and self.last.level is Level.LEGACY_CONFIRMED:
                break
            if isinstance(self.last, base.Refused):
                break
            said = self.life.driver.who_settled(self.stay, self.reference, time.monotonic() + 1)
            self.check_testimony(said)
            if isinstance(said, base.Ours):
                break
            if self.last is None or isinstance(said, base.Nobody | base.Cash):
                self.last = self.settle(1.0)
                self.check_claim(self.last)
            time.sleep(0.005)
        else:
            raise AssertionError(f"never ended: {self.told()}")
        assert self.inserts() - self.inserts_before <= self.intents, self.told()
        return self

    def booked(self) -> list[tuple[str, int]]:
        """The host's own books for the car, ours alone."""
        found = [one for one in self.life.world.host_booked() if one.ticket == self.ticket and one.reference]
        return [(one.reference, one.amount) for one in found]

    def check_not_sent(self) -> None:
        """What is called not sent is nowhere: not booked, not written, not on its way."""
        if self.first is not None or "twin" in self.mishap:
            return
        assert self.booked() == [], self.told()
        assert self.life.trouble is None or self.life.trouble.orders(self.reference) == [], self.told()

    def check_claim(self, outcome: base.Outcome | None) -> None:
        """What the driver says of its own act is true of the host's books, now and later."""
        books = self.booked()
        match outcome:
            case base.Applied(level) if level is Level.LEGACY_CONFIRMED:
                assert books == [(self.reference, self.amount)], self.told()
            case base.Refused():
                assert books == [], self.told()

    def check_testimony(self, said: base.Testimony) -> None:
        match said:
            case base.Ours():
                assert self.booked() == [(self.reference, self.amount)], self.told()
            case base.Cash():
                assert self.booked() == [], self.told()

    def check(self) -> "Payment":
        """When all is quiet: one booking at most, and it is what was claimed to the end."""
        books = self.booked()
        assert len(books) <= 1, self.told()
        claimed = not isinstance(self.last, base.Refused)
        assert books == ([(self.reference, self.amount)] if claimed else []), self.told()
        return self

    def told(self) -> str:
        first, last = getattr(self, "first", "-") or self.said, getattr(self, "last", "-") or self.said
        return f"{self.reference} {self.life.way} {self.mishap} {self.when}: {first}; {last}; books {self.booked()}"


def lived(way: str, run_dir: Path, numbers: range, servers: "queue.Queue[Any]") -> Counter[str]:
    """One life; returns how often the first attempt ended in which way, and what was tried."""
    rng, seen = random.Random(f"{SEED} {way} {numbers.start}"), Counter[str]()
    with contextlib.ExitStack() as stack:
        server = servers.get()
        stack.callback(servers.put, server)
        host = stack.enter_context(life(way, run_dir, rng, server))
        done = [Payment(host, rng, number).live().check() for number in numbers]
        time.sleep(0.05)
        for payment in done:
            payment.check()  # still so, after everything that was on its way has arrived
            seen[type(payment.first or payment.said).__name__] += 1
            seen[f"payments at a host by {way}, {'under a mishap' if payment.mishap else 'in peace'}"] += 1
        for what, often in host.trouble.happened.items() if host.trouble else ():
            seen[f"{way}: {what}"] += often
    return seen


@pytest.fixture
def broken_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Firebird's library complains in finalizers of objects of its own whose connection was broken under them."""
    tell = sys.unraisablehook

    def hear(told: Any) -> None:
        if getattr(told.object, "__module__", "") != "firebird.driver.core":
            tell(told)

    monkeypatch.setattr(sys, "unraisablehook", hear)
    yield
    gc.collect()


@contextlib.contextmanager
def places(way: str, lives: int) -> Iterator["queue.Queue[Any]"]:
    """As many places to live in as there are lives at once: a database server each, if the way has one."""
    free: queue.Queue[Any] = queue.Queue()
    with contextlib.ExitStack() as stack:
        for _ in range(min(AT_ONCE[way], lives)):
            begin = SERVERS.get(way)
            free.put(stack.enter_context(contextlib.contextmanager(begin)()) if begin else None)
        yield free


@pytest.mark.timeout(size(120, 1800))
@pytest.mark.filterwarnings("ignore:.* disposed (without prior|while active):ResourceWarning")
@pytest.mark.usefixtures("broken_connections")
@pytest.mark.parametrize("way", MISHAPS)
def test_a_random_life_of_a_host(tmp_path: Path, way: str) -> None:
    """No payment is booked twice; what is called booked is, what is called refused never will be; each doubt ends."""
    payments, seen = size(*PAYMENTS[way]), Counter[str]()
    begins = range(0, payments, LIFE)
    with places(way, len(begins)) as free, ThreadPoolExecutor(AT_ONCE[way]) as lives:
        begun = [
            lives.submit(lived, way, tmp_path / str(begin), range(begin, min(begin + LIFE, payments)), free)
            for begin in begins
        ]
        for one in begun:
            seen += one.result()
    for what in sorted(seen):
        count(what if " " in what else f"first attempts by {way} that ended as {what}", seen[what])
    assert seen["Applied"] > payments / 4, seen
    assert seen["Refused"] > 0, seen
