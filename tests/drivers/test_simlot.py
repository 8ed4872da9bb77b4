"""The simulated lot: machines that move as machines do, one car per release, and a history that hides nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import profile as profiles
from drivers.profile import LotProfile
from drivers.simlot.world import HISTORY, World
from parking.desk import Position
from parking.errors import Code, Environment, Refused
from parking.money import Yen

SEEDS = Path(__file__).parents[2] / "seeds" / "lots"
START = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
WORDS = {
    *("arrive", "plate_up", "plate_down", "gate_up", "gate_down", "release", "hold", "end_hold"),
    *("cash", "host_paid", "drive_up", "left", "struck"),
}


class Stage:
    """A world with a clock in hand."""

    def __init__(self, profile: LotProfile, run_dir: Path, **choices: object) -> None:
        self.now = START
        self.run_dir = run_dir
        self.world = World(profile, run_dir, lambda: self.now, **choices)  # type: ignore[arg-type] - test's choices

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.world.step(self.now)

    def lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.run_dir / HISTORY).read_text(encoding="utf-8").splitlines()]

    def what(self) -> list[str]:
        return [line["what"] for line in self.lines()]


Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    stages: list[Stage] = []

    def build(seed_lot: str, sim: dict[str, object] | None = None, **choices: object) -> Stage:
        profile = profiles.load(SEEDS / f"{seed_lot}.toml")
        profile = msgspec.structs.replace(profile, sim=sim or {})
        run_dir = tmp_path / str(len(stages))
        stages.append(Stage(profile, run_dir, **choices))
        return stages[-1]

    yield build
    for stage in stages:
        stage.world.close()


@pytest.fixture
def plates(make: Make) -> Stage:
    return make("bay-plates")


@pytest.fixture
def gate(make: Make) -> Stage:
    return make("gated-host", seed=7)


def at_gate(stage: Stage, minutes_ago: float = 0) -> str:
    """A car stands at the exit, its fee unpaid."""
    name = stage.world.arrive(minutes_ago=minutes_ago).name
    stage.world.drive_out(name)
    return name


# --- lock plates ------------------------------------------------------------------------------------------------------


def test_a_plate_goes_up_behind_a_car_and_down_for_a_release(plates: Stage) -> None:
    world = plates.world
    world.arrive("7")
    assert (world.position("7"), world.vehicle("7")) == (Position.OPEN, True)
    plates.wait(3.1)
    assert world.position("7") is Position.MOVING
    plates.wait(0.3)
    assert world.position("7") is Position.CLOSED
    world.release("7", "bus")
    assert world.position("7") is Position.MOVING
    plates.wait(0.29)
    assert world.position("7") is Position.MOVING
    plates.wait(0.02)
    assert world.position("7") is Position.OPEN


def test_the_plate_comes_up_again_if_the_car_stays(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    plates.world.release("7", "bus")
    plates.wait(239)
    assert plates.world.position("7") is Position.OPEN
    plates.wait(2)
    assert plates.world.position("7") is Position.CLOSED
    assert plates.world.vehicle("7")


def test_a_car_leaves_its_bay_only_over_a_lowered_plate(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    plates.world.drive_out("7")
    plates.wait(600)
    assert "left" not in plates.what()
    plates.world.release("7", "bus")
    plates.wait(1)
    assert plates.what()[-1] == "left"
    assert not plates.world.vehicle("7")


@pytest.mark.parametrize(("habit", "position"), [("up", Position.CLOSED), ("down", Position.OPEN)])
def test_an_empty_bays_plate_does_what_the_profile_says(make: Make, habit: str, position: Position) -> None:
    stage = make("bay-plates", {"empty_plate": habit})
    stage.world.arrive("7")
    stage.wait(5)
    stage.world.drive_out("7")
    stage.world.release("7", "bus")
    stage.wait(1)
    assert stage.world.position("7") is Position.OPEN
    stage.wait(2.5)
    assert stage.world.position("7") is position


def test_a_release_of_an_open_plate_is_recorded_but_moves_nothing(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    plates.world.release("7", "bus", "DK-1001-1")
    plates.wait(200)
    plates.world.release("7", "bus", "DK-1001-1")
    plates.wait(41)  # the second release has not made the grace longer
    assert plates.world.position("7") is Position.CLOSED
    assert plates.what() == ["arrive", "plate_up", "release", "plate_down", "release", "plate_up"]
    assert plates.world.release_count("7") == 2


def test_cash_lowers_the_plate_and_counts_for_nobody_else(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    assert plates.world.pay_cash("7") == 0
    plates.wait(1)
    assert plates.world.position("7") is Position.OPEN
    assert plates.world.release_count("7") == 0
    release = next(line for line in plates.lines() if line["what"] == "release")
    assert (release["by"], release["exit"], release["stay"]) == ("cash", "7", "7")
    with pytest.raises(Refused) as again:
        plates.world.pay_cash("7")
    assert again.value.code is Code.ALREADY_PAID


def test_a_held_plate_stays_down_until_the_hold_ends(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    plates.world.hold("7", True, "bus")
    plates.wait(1000)
    assert (plates.world.position("7"), plates.world.held("7")) == (Position.OPEN, True)
    plates.world.hold("7", False, "bus")
    plates.wait(241)
    assert (plates.world.position("7"), plates.world.held("7")) == (Position.CLOSED, False)


def test_parking_times_run_in_lot_time_and_machines_in_real_time(make: Make) -> None:
    fast = make("bay-plates", speed=60)
    fast.world.arrive("7")
    fast.wait(0.05)
    assert fast.world.position("7") is Position.MOVING  # three lot seconds are over
    fast.wait(0.3)
    assert fast.world.position("7") is Position.CLOSED  # a plate needs 0.3 s at any speed
    assert fast.world.lot_time() - START == timedelta(seconds=0.35 * 60)


# --- gates ------------------------------------------------------------------------------------------------------------


def test_an_arm_rises_lets_one_car_out_and_falls_behind_it(gate: Stage) -> None:
    at_gate(gate)
    assert gate.world.vehicle("OUT1")
    gate.world.release("OUT1", "bus", "DK-1002-1")
    gate.wait(0.79)
    assert gate.world.position("OUT1") is Position.MOVING
    gate.wait(0.02)
    assert gate.world.position("OUT1") is Position.OPEN
    gate.wait(0.5)
    assert not gate.world.vehicle("OUT1")
    gate.wait(1.4)
    assert gate.world.position("OUT1") is Position.OPEN
    gate.wait(0.2)
    assert gate.world.position("OUT1") is Position.MOVING
    gate.wait(0.8)
    assert gate.what() == ["arrive", "drive_up", "release", "gate_up", "left", "gate_down"]


def test_an_arm_falls_after_eight_seconds_when_nobody_comes(gate: Stage) -> None:
    gate.world.release("OUT1", "hand")
    gate.wait(8.7)
    assert gate.world.position("OUT1") is Position.OPEN
    gate.wait(1)
    assert gate.world.position("OUT1") is Position.CLOSED
    assert gate.world.release_count("OUT1") == 0


def test_no_car_follows_another_through_one_release(gate: Stage) -> None:
    first, second = at_gate(gate), at_gate(gate)
    gate.world.release("OUT1", "bus")
    gate.wait(0.9)
    gate.world.release("OUT1", "bus")  # while it is open: changes nothing
    gate.wait(60)
    assert [line["stay"] for line in gate.lines() if line["what"] == "left"] == [first]
    assert [car.name for car in gate.world.cars()] == [second]
    gate.world.release("OUT1", "bus")
    gate.wait(5)
    assert gate.world.cars() == ()


def test_a_car_that_comes_while_the_arm_is_up_for_another_waits(gate: Stage) -> None:
    at_gate(gate)
    gate.world.release("OUT1", "bus")
    gate.wait(1.5)  # the first is out, the arm still up
    assert gate.world.position("OUT1") is Position.OPEN
    late = at_gate(gate)
    gate.wait(60)
    assert [car.name for car in gate.world.cars()] == [late]
    assert (gate.world.position("OUT1"), gate.world.vehicle("OUT1")) == (Position.CLOSED, True)


def test_no_arm_falls_on_a_car(gate: Stage) -> None:
    gate.world.release("OUT1", "bus")
    gate.wait(8.6)
    at_gate(gate)
    gate.wait(0.4)  # the eight seconds without a car are over, but there is one now
    assert (gate.world.position("OUT1"), gate.world.vehicle("OUT1")) == (Position.OPEN, True)
    gate.wait(0.2)
    assert (gate.world.position("OUT1"), gate.world.vehicle("OUT1")) == (Position.OPEN, False)


def test_a_held_gate_lets_everybody_out_and_closes_when_the_hold_ends(gate: Stage) -> None:
    names = [at_gate(gate) for _ in range(3)]
    gate.world.hold("OUT1", True, "bus")
    gate.wait(10)
    assert [line["stay"] for line in gate.lines() if line["what"] == "left"] == names
    assert gate.world.position("OUT1") is Position.OPEN
    gate.world.hold("OUT1", False, "bus")
    gate.wait(2.4)
    assert gate.world.position("OUT1") is Position.CLOSED


@pytest.mark.parametrize(("means", "by"), [("cash", "cash"), ("phone", "host")])
def test_the_legacy_opens_by_itself_for_a_ticket_that_its_books_call_paid(gate: Stage, means: str, by: str) -> None:
    name = gate.world.arrive(minutes_ago=65).name
    if means == "cash":
        assert gate.world.pay_cash(name) == 600
    else:
        gate.world.host_pay(name, Yen(600), "DK-1002-1")
    gate.world.drive_out(name)
    gate.wait(5)
    assert [line["by"] for line in gate.lines() if line["what"] == "release"] == [by]
    assert gate.what()[-2:] == ["left", "gate_down"]


def test_cash_at_the_lane_opens_the_gate(gate: Stage) -> None:
    name = at_gate(gate)
    gate.world.pay_cash(name)
    gate.wait(5)
    assert "left" in gate.what()
    assert gate.world.release_count("OUT1") == 0


# --- one car per release, whatever happens ----------------------------------------------------------------------------

DEEDS = st.lists(st.sampled_from(["arrive", "release", "wait 0.1", "wait 0.9", "wait 2", "wait 12"]), max_size=40)


@settings(max_examples=80, deadline=None)
@given(deeds=DEEDS)
@pytest.mark.parametrize("lot", ["bay-plates", "gated-host"])
def test_never_more_cars_leave_than_the_exit_was_opened_for(
    lot: str, deeds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = Stage(profiles.load(SEEDS / f"{lot}.toml"), tmp_path_factory.mktemp("world"), seed=1)
    world, exit_id = stage.world, next(iter(stage.world.exits())).exit
    for deed in deeds:
        word, _, seconds = deed.partition(" ")
        if word == "release":
            world.release(exit_id, "bus")
        elif word == "wait":
            stage.wait(float(seconds))
        elif lot == "gated-host":
            at_gate(stage)
        elif not world.vehicle(exit_id):
            name = world.arrive(exit_id).name
            stage.wait(4)  # the plate is up
            world.drive_out(name)
    stage.wait(30)
    world.close()
    lines = stage.lines()
    lefts = [at for at, line in enumerate(lines) if line["what"] == "left"]
    releases = [at for at, line in enumerate(lines) if line["what"] == "release"]
    for count, at in enumerate(lefts, 1):
        assert sum(release < at for release in releases) >= count, lines
    assert world.release_count(exit_id) == len(releases)


# --- the history ------------------------------------------------------------------------------------------------------


def test_every_line_of_the_history_has_all_its_fields(gate: Stage) -> None:
    name = at_gate(gate)
    gate.world.host_pay(name, Yen(200), "DK-1002-9")
    gate.world.hold("OUT1", True, "bus")
    gate.wait(3)
    gate.world.hold("OUT1", False, "bus")
    gate.wait(5)
    for line in gate.lines():
        assert list(line) == ["at", "what", "exit", "stay", "by", "reference"]
        assert line["what"] in WORDS
        assert datetime.fromisoformat(line["at"]).utcoffset() == timedelta(0)
    paid = next(line for line in gate.lines() if line["what"] == "host_paid")
    assert (paid["stay"], paid["reference"]) == (name, "DK-1002-9")
    assert gate.world.history(after=2) == tuple(gate.lines()[2:])


def test_the_size_of_the_steps_changes_nothing(make: Make) -> None:
    def play(step: float) -> list[dict[str, str]]:
        stage = make("gated-host", seed=3, traffic=True, speed=600)
        for _ in range(int(60 / step)):
            stage.wait(step)
        return stage.lines()

    coarse = play(60)
    assert coarse == play(0.5)
    assert len(coarse) > 50


def test_a_clock_that_goes_back_stops_the_world_and_breaks_nothing(plates: Stage) -> None:
    plates.world.arrive("7")
    plates.wait(5)
    plates.now -= timedelta(hours=1)
    plates.world.release("7", "bus")
    plates.now += timedelta(hours=1, seconds=1)
    assert plates.world.position("7") is Position.OPEN
    stamps = [line["at"] for line in plates.lines()]
    assert stamps == sorted(stamps)


def test_traffic_comes_pays_and_goes(make: Make) -> None:
    for lot in ("bay-plates", "gated-host"):
        stage = make(lot, seed=5, traffic=True, speed=600)
        stage.wait(60)
        assert {"arrive", "cash", "left"} <= set(stage.what())
        assert stage.what().count("left") <= stage.what().count("arrive")


# --- the books --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "fee"),
    [(0, 200), (29, 200), (31, 400), (65, 600), (300, 2000), (1439, 2000), (1441, 2200), (3 * 1440, 6000)],
)
def test_the_legacys_own_tariff(gate: Stage, minutes: float, fee: int) -> None:
    name = gate.world.arrive(minutes_ago=minutes).name
    assert gate.world.host_rate(name).due == fee


def test_a_rate_holds_until_it_says_so(gate: Stage) -> None:
    name = gate.world.arrive(minutes_ago=29).name
    rate = gate.world.host_rate(name)
    assert rate.valid_until - rate.at == timedelta(seconds=60)  # the next half hour begins then
    gate.wait(59)
    assert gate.world.host_rate(name).due == rate.due
    gate.wait(2)
    assert gate.world.host_rate(name).due == rate.due + 200


def test_after_the_grace_only_the_difference_is_due(gate: Stage) -> None:
    name = gate.world.arrive(minutes_ago=25).name
    gate.world.host_pay(name, Yen(200), "DK-1002-1")
    gate.wait(19 * 60)
    assert gate.world.host_rate(name).due == 0
    gate.wait(2 * 60)
    assert gate.world.host_rate(name).due == 200
    gate.world.host_pay(name, Yen(200), "DK-1002-2")
    assert [booking.reference for booking in gate.world.host_bookings(name)] == ["DK-1002-1", "DK-1002-2"]


@pytest.mark.parametrize(
    ("amount", "reference", "code"),
    [
        (100, "DK-1002-2", Code.WRONG_AMOUNT),
        (400, "DK-1002-1", Code.CONFLICT),
        (200, "DK-1002-1", Code.CONFLICT),
    ],
)
def test_the_books_refuse_what_does_not_add_up(gate: Stage, amount: int, reference: str, code: Code) -> None:
    first, second = (gate.world.arrive().name for _ in range(2))
    gate.world.host_pay(first, Yen(200), "DK-1002-1")
    with pytest.raises(Refused) as refusal:
        gate.world.host_pay(second, Yen(amount), reference)
    assert refusal.value.code is code
    assert gate.world.host_bookings(second) == ()


def test_the_same_reference_again_is_the_same_booking(gate: Stage) -> None:
    name = gate.world.arrive().name
    first = gate.world.host_pay(name, Yen(200), "DK-1002-1")
    assert gate.world.host_pay(name, Yen(200), "DK-1002-1") == first
    assert gate.world.host_bookings(name) == (first,)
    assert gate.what().count("host_paid") == 1


def test_cash_and_phone_at_the_same_instant_book_one_of_them(gate: Stage) -> None:
    name = gate.world.arrive().name
    begin = threading.Barrier(9)
    refusals: list[Code] = []

    def pay(deed: Callable[[], object]) -> None:
        begin.wait()
        try:
            deed()
        except Refused as refused:
            refusals.append(refused.code)

    deeds: list[Callable[[], object]] = [lambda: gate.world.pay_cash(name)]
    deeds += [lambda at=at: gate.world.host_pay(name, Yen(200), f"DK-1002-{at}") for at in range(8)]  # type: ignore[misc] - a lambda's default
    threads = [threading.Thread(target=pay, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(gate.world.host_bookings(name)) == 1
    assert refusals == [Code.ALREADY_PAID] * 8


def test_the_books_remember_a_payment_after_the_car_has_gone(gate: Stage) -> None:
    name = at_gate(gate)
    gate.world.host_pay(name, Yen(200), "DK-1002-1")
    gate.world.release("OUT1", "bus")
    gate.wait(5)
    assert gate.world.host_stays() == ()
    assert gate.world.host_bookings(name)[0].reference == "DK-1002-1"
    with pytest.raises(Refused) as unknown:
        gate.world.host_bookings("00000000")
    assert unknown.value.code is Code.STAY_UNKNOWN


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        (lambda world: world.arrive("99"), Code.NOT_FOUND),
        (lambda world: (world.arrive("3"), world.arrive("３")), Code.CONFLICT),
        (lambda world: world.pay_cash("3"), Code.STAY_UNKNOWN),
        (lambda world: world.drive_out("3"), Code.STAY_UNKNOWN),
        (lambda world: (world.arrive("3"), world.drive_out("3"), world.drive_out("3")), Code.CONFLICT),
        (lambda world: world.release("X", "bus"), Code.EXIT_UNKNOWN),
        (lambda world: [world.arrive() for _ in range(21)], Code.CONFLICT),
    ],
)
def test_what_cannot_happen_is_refused_by_name(plates: Stage, deed: Callable[[World], object], code: Code) -> None:
    with pytest.raises(Refused) as refusal:
        deed(plates.world)
    assert refusal.value.code is code


@pytest.mark.parametrize(
    ("sim", "place"),
    [
        ({"unit_yen": "200"}, "$.sim.unit_yen"),
        ({"cash_share": 1.5}, "$.sim.cash_share"),
        ({"empty_plate": "sideways"}, "$.sim.empty_plate"),
        ({"speed": 2}, "$.sim"),
    ],
)
def test_a_mistake_in_sim_names_its_place(make: Make, sim: dict[str, object], place: str) -> None:
    with pytest.raises(Environment) as mistake:
        make("bay-plates", sim)
    assert mistake.value.code is Code.CONFIG
    assert f"`{place}`" in mistake.value.detail
    assert "docs/lot-profile.md" in mistake.value.remedy


def test_a_lot_that_cannot_be_simulated_says_why(tmp_path: Path) -> None:
    profile = profiles.load(SEEDS / "gated-host.toml")
    lot = msgspec.structs.replace(profile.lot, names=profiles.NameKind.BAY)
    with pytest.raises(Environment, match="named by bay with 0 plates and 1 gates"):
        World(msgspec.structs.replace(profile, lot=lot), tmp_path, lambda: START)


def test_without_a_cash_machine_nobody_pays_cash(make: Make) -> None:
    stage = make("gated-host", {"cash_machine": False})
    name = stage.world.arrive().name
    with pytest.raises(Refused) as refusal:
        stage.world.pay_cash(name)
    assert refusal.value.code is Code.DEVICE_UNAVAILABLE
