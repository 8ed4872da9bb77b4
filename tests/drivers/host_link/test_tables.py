"""Hosts behind tables: what only databases do, asked of real ones, and mistakes that a person must mend."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base
from drivers.host_link import simtables
from drivers.host_link.driver import create, probe
from drivers.host_link.tables import Statement
from drivers.profile import DeviceTable
from parking.errors import Code, Environment, NotSent, Uncertain
from parking.money import Yen
from parking.outcome import Level
from tests.drivers.host_link.mishaps import brief, soon, until
from tests.drivers.host_link.wire import COMMITS, Wire
from tests.rigs.databases import PASSWORD

ROOT = Path(__file__).parents[3]
NOW = datetime.now(UTC)


def at(lane: Any, **change: Any) -> Any:
    """A driver for the same host with something else in its profile; closed with the lane."""
    lane.driver.close()
    options = lane.device.options | change.pop("options", {})
    lane.driver = create(msgspec.structs.replace(lane.device, options=options, **change), (), lambda: NOW)
    return lane.driver


def mishap(lane: Any, **change: Any) -> Environment:
    """What the driver says that a person must mend: the same for reading and for writing, and nothing is written."""
    driver = at(lane, **change)
    for deed in (lambda: driver.stays(soon()), lane.settle):
        with pytest.raises(Environment) as error:
            deed()
        assert error.value.remedy
    assert lane.journal.intents == []
    return error.value


@pytest.fixture
def losing() -> Iterator[Callable[[str, int], tuple[Wire, threading.Event]]]:
    """Makes wires on which the answer to the first commit gets lost."""
    with contextlib.ExitStack() as stack:

        def make(way: str, port: int) -> tuple[Wire, threading.Event]:
            wire = stack.enter_context(contextlib.closing(Wire(port, COMMITS[way])))
            return wire, wire.lose_answer(0.15)  # long enough for the server to commit

        yield make


class TestTheAnswerToACommitIsLost:
    """The row was written, and we were not told: looking on a new connection tells, and nothing is written again."""

    @pytest.mark.parametrize("way", ["postgresql", "firebird"])
    def test_and_the_row_itself_tells_that_it_was_ours(self, lane_of: Any, losing: Any, way: str) -> None:
        lane = lane_of(way)
        line, passed = losing(way, lane.server.port)
        outcome = at(lane, url=lane.device.url.replace(f":{lane.server.port}", f":{line.port}")).settle(
            lane.order(seconds=3)
        )
        assert passed.is_set()
        assert line.inserts == 1
        assert isinstance(outcome, base.Applied), outcome
        assert outcome.level is Level.LEGACY_CONFIRMED
        assert (lane.references(), len(lane.journal.intents)) == (["DK-1002-1"], 1)

    def test_and_the_server_is_gone_for_good_leaves_a_doubt_that_ends_when_it_is_back(self, lane_of: Any) -> None:
        lane = lane_of("postgresql")
        lane.server.do(*SLEEPY)
        stop = threading.Timer(0.2, lane.server.stop)
        lane.journal.meanwhile = stop.start
        outcome = lane.settle(seconds=0.8)
        stop.join()
        assert isinstance(outcome, base.Uncertain), outcome
        lane.server.start()
        lane.server.do("DROP TRIGGER sleepy ON daiko_payments")
        lane.journal.meanwhile = None
        assert isinstance(lane.who(), base.Nobody)  # it was killed before it could commit
        assert isinstance(until(lambda: lane.settle()), base.Applied)
        assert lane.references() == ["DK-1002-1"]

    def test_and_a_server_that_restarts_while_we_wait_for_the_host_costs_nothing(self, lane_of: Any) -> None:
        lane = lane_of("postgresql")
        lane.served.faults.stopped = True

        def again() -> None:
            lane.server.stop()
            lane.server.start()
            lane.served.faults.stopped = False

        restart = threading.Timer(0.3, again)
        lane.journal.meanwhile = restart.start
        outcome = lane.settle(seconds=5)
        restart.join()
        assert isinstance(outcome, base.Applied), outcome
        assert outcome.level is Level.LEGACY_CONFIRMED
        assert lane.references() == ["DK-1002-1"]


OP_ATTACH, OP_ROLLBACK = b"\x00\x00\x00\x13", b"\x00\x00\x00\x1f"


class TestAFirebirdServer:
    """Its library waits for each answer without end; we do not."""

    @pytest.fixture
    def driver_on(self, lane_of: Any) -> Iterator[Callable[[bytes], Any]]:
        """A driver on a wire that loses the answer to the next packet of a kind, and stays open for long."""
        with contextlib.ExitStack() as stack:

            def make(operation: bytes) -> Any:
                lane = lane_of("firebird")
                wire = stack.enter_context(contextlib.closing(Wire(lane.server.port, operation)))
                wire.lose_answer(5.0)
                return at(lane, url=lane.device.url.replace(f":{lane.server.port}", f":{wire.port}"))

            yield make

    def test_that_does_not_answer_a_goodbye_holds_up_nobody_and_what_was_read_is_good(self, driver_on: Any) -> None:
        driver, began = driver_on(OP_ROLLBACK), time.monotonic()
        assert driver.stays(soon(0.6))
        assert 0.5 < time.monotonic() - began < 2

    def test_that_never_lets_us_in_is_not_reached(self, driver_on: Any) -> None:
        driver, began = driver_on(OP_ATTACH), time.monotonic()
        with pytest.raises(NotSent):
            driver.stays(soon(0.6))
        assert time.monotonic() - began < 2  # it is waited for in whole seconds


SLEEPY = (
    """CREATE OR REPLACE FUNCTION sleepy() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$""",
    "CREATE TRIGGER sleepy BEFORE INSERT ON daiko_payments FOR EACH ROW EXECUTE FUNCTION sleepy()",
)


class TestTheHostsOwnRules:
    def test_a_trigger_that_says_already_paid_is_heard(self, lane_of: Any) -> None:
        for way, statements in NO.items():
            lane = lane_of(way)
            _as_vendor(lane, *statements)
            outcome = lane.settle()
            assert isinstance(outcome, base.Refused), (way, outcome)
            assert (outcome.code, "already-paid" in outcome.detail) == (Code.ALREADY_PAID, True), way
            assert lane.references() == []
            assert isinstance(lane.who(), base.Nobody)

    @pytest.mark.parametrize("way", ["sqlite", "postgresql", "firebird"])
    def test_a_key_of_the_hosts_own_refuses_and_is_no_doubt(self, lane_of: Any, way: str) -> None:
        """One order a ticket: what is there already under another reference is not ours."""
        lane = lane_of(way)
        lane.served.faults.stopped = True
        _as_vendor(lane, "CREATE UNIQUE INDEX one_order ON daiko_payments (ticket_no)")
        assert lane.settle(seconds=brief(lane)).level is Level.LINK_ACKED
        outcome = lane.settle(reference="DK-1002-2", seconds=brief(lane))
        assert isinstance(outcome, base.Refused), outcome
        assert isinstance(lane.who("DK-1002-2"), base.Nobody)
        lane.served.faults.stopped = False
        assert isinstance(until(lambda: lane.settle()), base.Applied)
        assert lane.references() == ["DK-1002-1"]

    @pytest.mark.parametrize("way", ["sqlite", "postgresql", "firebird"])
    def test_a_row_under_our_reference_is_never_overwritten(self, lane_of: Any, way: str) -> None:
        lane = lane_of(way)
        lane.served.faults.stopped = True
        lane.journal.meanwhile = lambda: _as_vendor(
            lane,
            "INSERT INTO daiko_payments (authorisation_code, ticket_no, amount, payment_time)"
            " VALUES ('DK-1002-1', '99999999', 100, '2026-11-23 10:00:00')",
        )
        outcome = lane.settle(seconds=brief(lane))
        assert isinstance(outcome, base.Refused), outcome
        assert outcome.code is Code.CONFLICT
        (row,) = _as_vendor(lane, "SELECT ticket_no, amount FROM daiko_payments")
        assert tuple(row) == ("99999999", 100)

    def test_tables_that_are_locked_are_waited_for_and_leave_no_order_behind(self, lane_of: Any) -> None:
        for way in ("sqlite", "postgresql"):
            lane = lane_of(way)

            def lock(lane: Any = lane) -> None:
                lane.served.faults.locked = True
                time.sleep(0.1)

            lane.journal.meanwhile = lock
            with contextlib.suppress(NotSent):  # SQLite tells before anything is written; else it is a doubt
                assert isinstance(lane.settle(seconds=0.5), base.Uncertain)
                assert way == "postgresql"
            lane.served.faults.locked = False
            time.sleep(0.2)
            assert lane.references() == []
            lane.journal.meanwhile = None
            assert isinstance(until(lambda lane=lane: lane.settle()), base.Applied)
            assert lane.references() == ["DK-1002-1"]


NO = {
    "sqlite": (
        "CREATE TRIGGER says_no BEFORE INSERT ON daiko_payments BEGIN SELECT RAISE(ABORT, 'already-paid: cash'); END",
    ),
    "postgresql": (
        """CREATE OR REPLACE FUNCTION says_no() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'already-paid: cash'; END $$""",
        "CREATE TRIGGER says_no BEFORE INSERT ON daiko_payments FOR EACH ROW EXECUTE FUNCTION says_no()",
    ),
    "firebird": (
        "CREATE EXCEPTION says_no 'already-paid: cash'",
        "CREATE TRIGGER says_no FOR daiko_payments BEFORE INSERT AS BEGIN EXCEPTION says_no; END",
    ),
}


def _as_vendor(lane: Any, *statements: str) -> list[Any]:
    """What the host's vendor does in its own database."""
    if lane.way == "postgresql":
        return list(lane.server.do(*statements))
    if lane.way == "firebird":
        return list(lane.server.do(lane.device.url, *statements))
    with contextlib.closing(sqlite3.connect(file_of(lane), timeout=5)) as database:
        for statement in statements:
            found = database.execute(statement).fetchall()
        database.commit()
        return found


def file_of(lane: Any) -> Path:
    return Path(lane.device.url.removeprefix("sqlite://"))


class TestViews:
    """A vendor need not keep our tables: views over its own will do, and a rule that says who may be booked."""

    @pytest.fixture
    def vendors(self, postgresql: Any) -> Iterator[Any]:
        url = postgresql.empty()
        postgresql.do(VENDOR)
        device = DeviceTable(
            id="host", family="host_link", url=url, options={"password": PASSWORD, "prefix": "handover.daiko_"}
        )
        driver = create(device, (), lambda: NOW)
        yield driver
        driver.close()

    def test_over_a_vendors_own_tables_serve_as_well(self, vendors: Any, postgresql: Any) -> None:
        (stay,) = vendors.stays(soon())
        assert (stay.ref.name, stay.plate, stay.paid) == ("0042", "品川 330 あ 73-91", 0)
        quote = vendors.quote(stay.ref, NOW, soon())
        assert (quote.amount, quote.valid_until - NOW) == (600, timedelta(minutes=10))
        order = base.SettleOrder(stay.ref, Yen(600), "DK-7-1", NOW, 1, soon(), lambda raw, counter: None)
        assert vendors.settle(order).level is Level.LEGACY_CONFIRMED
        assert postgresql.do("SELECT betrag, herkunft FROM zahlung") == [(600, "DK-7-1")]
        (booking,) = vendors.bookings(NOW - timedelta(hours=1), NOW + timedelta(hours=1), soon())
        assert (booking.reference, booking.amount, booking.receipt) == ("DK-7-1", 600, "B1")
        again = base.SettleOrder(stay.ref, Yen(600), "DK-7-2", NOW, 1, soon(), lambda raw, counter: None)
        assert vendors.settle(again).code is Code.ALREADY_PAID


VENDOR = Path(__file__).with_name("vendor.sql").read_text(encoding="utf-8")


class TestWhatAPersonMustMend:
    @pytest.mark.parametrize("way", ["postgresql", "firebird"])
    def test_a_wrong_password_or_user(self, lane_of: Any, way: str) -> None:
        lane = lane_of(way)
        assert mishap(lane, options={"password": "wrong"}).code is Code.UNAUTHORIZED
        assert "password" in mishap(lane, options={"password": ""}).remedy

    def test_a_password_may_stand_in_a_file(self, lane_of: Any, tmp_path: Path) -> None:
        lane = lane_of("postgresql")
        secret = tmp_path / "secret"
        secret.write_text(f"{PASSWORD}\nand a remark\n")
        assert at(lane, options={"password": "", "password_file": str(secret)}).stays(soon())
        secret.unlink()
        lane.driver.close()
        with pytest.raises(Environment, match="cannot be read"):
            lane.driver.stays(soon())

    @pytest.mark.parametrize("way", ["sqlite", "postgresql", "firebird"])
    def test_tables_that_are_not_there_or_lack_a_column(self, lane_of: Any, way: str) -> None:
        lane = lane_of(way)
        lane.served.faults.no_export = True
        assert "README" in mishap(lane, options={"prefix": "other_"}).remedy
        at(lane, options={"prefix": "daiko_"})
        _as_vendor(lane, "DROP TABLE daiko_payments", "CREATE TABLE daiko_payments (authorisation_code VARCHAR(64))")
        with pytest.raises(Environment) as error:
            lane.settle()
        assert error.value.code is Code.CONFIG

    @pytest.mark.parametrize("way", ["postgresql", "firebird"])
    def test_a_database_that_is_not_there(self, lane_of: Any, way: str) -> None:
        lane = lane_of(way)
        assert mishap(lane, url=lane.device.url + "x").code is Code.CONFIG

    def test_no_right_to_write(self, lane_of: Any) -> None:
        lane = lane_of("postgresql")
        lane.server.do(
            "DROP ROLE IF EXISTS reader",
            f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
            "GRANT USAGE ON SCHEMA public TO reader",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        )
        driver = at(lane, url=lane.device.url.replace("daiko@", "reader@"))
        assert driver.stays(soon())
        with pytest.raises(Environment, match="permission denied"):
            lane.settle()
        assert lane.references() == []

    def test_a_file_that_is_none_or_not_there(self, lane_of: Any, tmp_path: Path) -> None:
        lane = lane_of("sqlite")
        other = tmp_path / "notes.txt"
        other.write_text("milk, eggs\n" * 1000)
        assert mishap(lane, url=f"sqlite://{other}").code is Code.CONFIG
        assert mishap(lane, url=f"sqlite://{tmp_path}/none.db").code is Code.PORT_MISSING
        assert not (tmp_path / "none.db").exists()

    def test_more_rows_than_any_lot_has_are_not_read(self, lane_of: Any) -> None:
        for way, many in (
            ("sqlite", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50001)"),
            ("postgresql", "WITH n(i) AS (SELECT generate_series(1, 50001))"),
        ):
            lane = lane_of(way)
            lane.served.faults.no_export = True
            _as_vendor(
                lane,
                f"INSERT INTO daiko_stays (ticket_no, entry_time, paid_amount) {many}"
                " SELECT CAST(i AS VARCHAR(9)), CURRENT_TIMESTAMP, 0 FROM n"
                if way == "sqlite"
                else "INSERT INTO daiko_stays (ticket_no, entry_time, paid_amount)"
                " SELECT i::text, now(), 0 FROM generate_series(1, 50001) i",
            )
            with pytest.raises(Exception, match="more than 50000 rows"):
                lane.driver.stays(soon())


@pytest.mark.parametrize("way", ["sqlite", "postgresql", "firebird"])
def test_what_is_read_cannot_be_written_by_the_reading(lane_of: Any, way: str) -> None:
    """The database itself sees to it."""
    lane = lane_of(way)
    database = lane.driver._host._database
    with pytest.raises((Environment, NotSent, Uncertain)):
        database.rows(Statement(WRITES[way]), soon())
    assert _as_vendor(lane, "SELECT authorisation_code FROM daiko_payments") == []


ROW = """INSERT INTO daiko_payments (authorisation_code, ticket_no, amount, payment_time)
    VALUES ('x', 'y', 1, '2026-11-23')"""
WRITES = {
    "sqlite": ROW,
    "postgresql": f"WITH written AS ({ROW} RETURNING 1) SELECT * FROM written",  # with a LIMIT behind it
    "firebird": f"{ROW} RETURNING ticket_no",
}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://daiko:secret@host/db", "host/db"),
        ("postgresql://daiko@host/db?password=secret", "host/db"),
        ("postgresql://host", "host"),
        ("postgresql://host:99999/db", "99999"),
        ("firebird://sysdba:secret@host/lot", "host/lot"),
        ("firebird://host:3050", "host:3050"),
        ("firebird://host:0/lot", "host:0"),
        ("sqlite://", "sqlite://"),
        ("sqlite://server/share/lot.db", "server"),
        ("folder:///", "folder:///"),
        ("ftp://host/x", "ftp://host"),
    ],
)
def test_an_address_that_is_none_is_told_without_its_secret(url: str, place: str) -> None:
    with pytest.raises(Environment) as mistake:
        create(DeviceTable(id="host", family="host_link", url=url), (), lambda: NOW)
    assert mistake.value.code is Code.CONFIG
    assert place in mistake.value.detail
    assert "secret" not in str(mistake.value)
    assert mistake.value.remedy
    assert not probe(url, soon()).answered


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"prefix": "x; DROP TABLE y"}, "prefix"),
        ({"time_zone": "Asia/Tokio"}, "time_zone"),
        ({"names": "colour"}, "names"),
        ({"colour": "red"}, "colour"),
        ({"password": "a", "password_file": "b"}, "password_file"),
    ],
)
def test_a_mistake_in_the_options_names_its_place(options: dict[str, str], place: str) -> None:
    device = DeviceTable(id="host", family="host_link", url="sqlite:///srv/lot.db", options=options)
    with pytest.raises(Environment) as mistake:
        create(device, (), lambda: NOW)
    assert place in str(mistake.value)


@pytest.mark.parametrize(
    ("url", "library"), [("postgresql://u@h/db", "psycopg"), ("firebird://u@h/lot", "firebird.driver")]
)
def test_a_library_that_is_not_installed_is_told_with_the_extra_that_brings_it(url: str, library: str) -> None:
    """In a process of its own: there the library is not to be had."""
    code = f"""
import sys
sys.modules[{library!r}] = None
from drivers import registry
from drivers.profile import DeviceTable
try:
    registry.create_driver(DeviceTable(id="host", family="host_link", url={url!r}), (), lambda: None)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Environment [config]")
    assert "extra `hosts`" in done.stdout


def test_no_profile_without_such_a_database_needs_its_library() -> None:
    code = "import sys, drivers.registry; print([name for name in ('psycopg', 'firebird') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readme_has_the_schema_that_the_tests_use() -> None:
    page = (ROOT / "drivers" / "host_link" / "README.md").read_text(encoding="utf-8")
    assert simtables.SCHEMA.strip() in page


class TestDisk:
    """SQLite on a disk of its own, which can get full and read-only."""

    def test_that_is_full_writes_nothing_and_says_so(self, lane_of: Any, small_disk: Path) -> None:
        lane = lane_of("sqlite")
        lane.served.faults.stopped = lane.served.faults.no_export = True
        time.sleep(0.05)
        file = small_disk / "lot.db"
        file.write_bytes(file_of(lane).read_bytes())
        at(lane, url=f"sqlite://{file}")
        assert lane.driver.stays(soon())
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        with pytest.raises(Environment) as error:
            lane.settle(seconds=0.5)
        assert error.value.code is Code.DISK
        (small_disk / "filler").unlink()
        assert lane.settle(seconds=0.4).level is Level.LINK_ACKED

    def test_that_is_read_only_writes_nothing_and_says_so(self, lane_of: Any, small_disk: Path) -> None:
        lane = lane_of("sqlite")
        lane.served.faults.stopped = lane.served.faults.no_export = True
        time.sleep(0.05)
        file = small_disk / "lot.db"
        file.write_bytes(file_of(lane).read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        at(lane, url=f"sqlite://{file}")
        assert lane.driver.stays(soon())
        with pytest.raises(Environment) as error:
            lane.settle(seconds=0.5)
        assert error.value.code is Code.PORT_FORBIDDEN


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
