"""Random lives of a host: payments under mishaps, by each way in; a checker that reads the host's own books alone."""

import contextlib
import random
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
from drivers.host_link.sim import serve
from drivers.profile import DeviceTable
from drivers.simlot.world import World
from parking.errors import Environment, NotSent, Refused
from parking.money import Yen
from parking.outcome import Level
from parking.stay import NameKind, StayRef
from tests.rigs.figures import SEED, count, size

LOT = profile.load(Path(__file__).parents[3] / "seeds" / "lots" / "gated-host.toml")
LIFE = 20
"""Payments after which a fresh world begins."""
AT_ONCE = 8
"""Lives that are lived side by side: they wait more than they compute."""
PATIENCE = 0.12


def now() -> datetime:
    return datetime.now(UTC)


def _http(rng: random.Random) -> dict[str, Any]:
    once = ("drop_reply_once", "drop_request_once", "error_500_once", "error_500_booked_once", "unplugged")
    return {rng.choice(once): True} if rng.random() < 0.8 else {"delay_ms": rng.choice([20, 150])}


def _orders(rng: random.Random) -> dict[str, Any]:
    kinds = ("stopped", "refuse_once", "no_export", "unplugged", "locked", "half_once", "silent", "slow_ms")
    kind = rng.choice(kinds)
    return {kind: rng.choice([5, 60, 200]) if kind == "slow_ms" else True}


MISHAPS: dict[str, Callable[[random.Random], dict[str, Any]]] = {"http": _http, "sqlite": _orders, "folder": _orders}


@dataclass
class Life:
    """A host and its driver, until the next fresh world."""

    way: str
    world: World
    served: Any
    driver: Any

    def clear(self) -> None:
        for name, value in (("delay_ms", 0), ("slow_ms", 0)):
            if hasattr(self.served.faults, name):
                setattr(self.served.faults, name, value)
        for name in ("unplugged", "silent", "stopped", "no_export", "locked"):
            if hasattr(self.served.faults, name):
                setattr(self.served.faults, name, False)

    def stop(self) -> None:
        self.clear()
        self.driver.close()
        self.served.stop()
        self.world.close()


@contextlib.contextmanager
def life(way: str, run_dir: Path, seed: int) -> Iterator[Life]:
    device = LOT.device[0]
    if way != "http":
        device = DeviceTable(id="host", family="host_link", url=f"{way}:///", options={"max_age_seconds": 60})
        if way == "sqlite":
            device = msgspec.structs.replace(device, options={})
    world = World(LOT, run_dir, now, seed=seed)
    served = serve(world, device, LOT.exit, run_dir)
    device = msgspec.structs.replace(device, url=served.url, timeout_seconds=PATIENCE)
    made = Life(way, world, served, create(device, (), now))
    try:
        yield made
    finally:
        made.stop()


class Payment:
    """One payment, as the relay would go about it: told, asked about, told again only where nobody was paid."""

    def __init__(self, lived: Life, rng: random.Random, number: int) -> None:
        self.life, self.rng = lived, rng
        self.reference = f"DK-7-{number}"
        car = lived.world.arrive(minutes_ago=rng.choice([5, 65, 95]))
        self.ticket, self.stay = car.name, StayRef(NameKind.TICKET, car.name, car.entered_at)
        due = lived.world.host_rate(car.name).due
        self.amount = Yen(due if rng.random() < 0.9 else due + 200)
        self.intents = 0
        self.cash = threading.Event()
        self.mishap: dict[str, Any] = {}
        self.when = rng.choice(("never", "before", "meanwhile", "later"))
        self.shown()

    def shown(self) -> None:
        """The car is in the host's tables and files."""
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with contextlib.suppress(NotSent, Environment):
                if isinstance(self.life.driver.quote(self.stay, now(), time.monotonic() + 1), base.Quote):
                    return
            time.sleep(0.005)
        raise AssertionError("the host never showed the car")

    def strike(self) -> None:
        for name, value in self.mishap.items():
            setattr(self.life.served.faults, name, value)

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
        except (NotSent, Environment):
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
        self.first = self.settle(2 * PATIENCE)
        if self.when == "later":
            later.join()
        self.check_claim(self.first)
        self.said_in_trouble = self.life.driver.who_settled(self.stay, self.reference, time.monotonic() + PATIENCE)
        self.check_testimony(self.said_in_trouble)
        self.life.clear()
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
        return self

    def booked(self) -> list[tuple[str, int]]:
        """The host's own books for the car, ours alone."""
        found = [one for one in self.life.world.host_booked() if one.ticket == self.ticket and one.reference]
        return [(one.reference, one.amount) for one in found]

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
        first, last = getattr(self, "first", "-"), getattr(self, "last", "-")
        return f"{self.reference} {self.life.way} {self.mishap} {self.when}: {first}; {last}; books {self.booked()}"


def lived(way: str, run_dir: Path, numbers: range) -> Counter[str]:
    """One life; returns how often the first attempt ended in which way, and what was tried."""
    rng, seen = random.Random(f"{SEED} {way} {numbers.start}"), Counter[str]()
    with life(way, run_dir, rng.randrange(1 << 30)) as host:
        done = [Payment(host, rng, number).live().check() for number in numbers]
        time.sleep(0.05)
        for payment in done:
            payment.check()  # still so, after everything that was on its way has arrived
            seen[type(payment.first).__name__ if payment.first else "NotSent"] += 1
            seen[f"payments at a host by {way}, {'under a mishap' if payment.mishap else 'in peace'}"] += 1
    return seen


@pytest.mark.timeout(size(120, 7200))
@pytest.mark.parametrize("way", MISHAPS)
def test_a_random_life_of_a_host(tmp_path: Path, way: str) -> None:
    """No payment is booked twice; what is called booked is, what is called refused never will be; each doubt ends."""
    payments, seen = size(60, 10_000), Counter[str]()
    with ThreadPoolExecutor(AT_ONCE) as lives:
        begun = [
            lives.submit(lived, way, tmp_path / str(begin), range(begin, min(begin + LIFE, payments)))
            for begin in range(0, payments, LIFE)
        ]
        for one in begun:
            seen += one.result()
    for what in sorted(seen):
        count(what if " " in what else f"first attempts by {way} that ended as {what}", seen[what])
    assert seen["Applied"] > payments / 4, seen
    assert seen["Refused"] > 0, seen
