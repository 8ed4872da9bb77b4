"""Hosts behind a folder: whole files or none, answers that count, and a folder that is full, forbidden or gone."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base
from drivers.host_link import files
from drivers.host_link.driver import create
from parking.errors import BadMessage, Code, Environment, NotSent
from parking.outcome import Level
from tests.drivers.host_link.mishaps import soon, until

NOW = datetime.now(UTC)


@pytest.fixture
def lane(lane_of: Any) -> Any:
    return lane_of("folder")


def place(lane: Any) -> Path:
    return Path(lane.device.url.removeprefix("folder://"))


def still(lane: Any) -> Path:
    """Nobody but the test touches the folder from now on."""
    lane.served.faults.stopped = lane.served.faults.no_export = True
    time.sleep(0.1)
    return place(lane)


def with_options(lane: Any, **options: Any) -> Any:
    lane.driver = create(msgspec.structs.replace(lane.device, options=options), (), lambda: datetime.now(UTC))
    return lane.driver


class TestAnOrder:
    def test_appears_at_once_and_whole_after_the_intent(self, lane: Any) -> None:
        folder, seen = still(lane), []

        def look() -> None:
            seen.append((sorted(file.name for file in folder.glob("DK*")), lane.journal.intents[-1]))

        lane.journal.meanwhile = look
        lane.settle(seconds=0.3)
        names, raw = seen[0]
        assert names == ["DK-1002-1.json.tmp"]
        order = folder / "DK-1002-1.json"
        assert raw == b"DK-1002-1.json\n" + order.read_bytes()
        assert [file.name for file in folder.glob("DK*")] == ["DK-1002-1.json"]
        read = msgspec.json.decode(order.read_bytes(), type=files.Order)
        assert (read.ticket_no, read.amount, read.authorisation_code) == (lane.ticket, 600, "DK-1002-1")

    def test_that_lies_unsent_after_a_crash_was_never_told_and_goes_once_when_told_again(self, lane: Any) -> None:
        lane.journal.refuse = NotSent(Code.JOURNAL, "killed here")
        with pytest.raises(NotSent):
            lane.settle()
        assert (place(lane) / "DK-1002-1.json.tmp").exists()
        time.sleep(0.1)
        assert lane.references() == []
        assert isinstance(lane.who(), base.Nobody)
        lane.journal.refuse = None
        assert lane.settle().level is Level.LEGACY_CONFIRMED
        assert not (place(lane) / "DK-1002-1.json.tmp").exists()
        assert lane.references() == ["DK-1002-1"]

    def test_that_was_taken_away_without_a_word_is_a_doubt_until_the_host_speaks(self, lane: Any) -> None:
        lane.served.faults.silent = True
        outcome = lane.settle(seconds=0.5)
        assert isinstance(outcome, base.Uncertain), outcome
        said = lane.who()
        assert isinstance(said, base.CannotTell)
        assert "not answered" in said.detail
        lane.served.faults.silent = False
        assert isinstance(until(lambda: lane.settle() if isinstance(lane.who(), base.Ours) else None), base.Applied)
        assert lane.references() == ["DK-1002-1"]

    def test_that_waits_among_those_taken_up_lies_with_the_host(self, lane: Any) -> None:
        folder = still(lane)
        (folder / files.TAKEN).mkdir()
        lane.settle(seconds=0.3)
        (folder / "DK-1002-1.json").rename(folder / files.TAKEN / "DK-1002-1.json")
        assert lane.settle(seconds=0.3).level is Level.LINK_ACKED
        assert len(lane.journal.intents) == 1

    def test_has_a_name_that_stays_in_the_folder(self, lane: Any) -> None:
        folder = still(lane)
        for reference in ("../../etc/passwd", "a/b", "..", "CON:", "x" * 64, "金"):
            lane.settle(reference=reference, seconds=0.3)
            (order,) = [file for file in folder.iterdir() if file.name.endswith(files.ORDER)]
            assert order.parent == folder
            assert msgspec.json.decode(order.read_bytes())["AuthorisationCode"] == reference
            order.unlink()

    def test_whose_renaming_was_carried_out_and_reported_as_failed_is_found(self, lane: Any) -> None:
        """As by a file server whose answer was lost: the second try finds nothing to rename."""
        folder = place(lane)
        lane.journal.meanwhile = lambda: (folder / "DK-1002-1.json.tmp").rename(folder / "DK-1002-1.json")
        assert lane.settle().level is Level.LEGACY_CONFIRMED
        assert lane.references() == ["DK-1002-1"]


class TestAnAnswer:
    def test_that_is_half_written_is_none_yet(self, lane: Any) -> None:
        lane.served.faults.half_once = True
        assert lane.settle(seconds=3).level is Level.LEGACY_CONFIRMED
        assert lane.references() == ["DK-1002-1"]

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b'{"ReceiptNo":"R1","TicketNo":"',
            b"\xff\xfe",
            b"[]",
            b'{"ReceiptNo":"","TicketNo":"1","Amount":600,"AuthorisationCode":"DK-1002-1"}',
            b'{"ReceiptNo":"R1","TicketNo":"1","Amount":600,"AuthorisationCode":"DK-1002-2"}',
        ],
    )
    def test_that_never_gets_whole_or_is_for_another_leaves_a_doubt(self, lane: Any, answer: bytes) -> None:
        folder = still(lane)
        lane.journal.meanwhile = lambda: (folder / "DK-1002-1.ok").write_bytes(answer)
        outcome = lane.settle(seconds=0.4)
        assert isinstance(outcome, base.Uncertain), outcome
        assert outcome.code is Code.BAD_MESSAGE
        assert isinstance(lane.who(), base.CannotTell)

    def test_of_yes_and_no_is_none(self, lane: Any) -> None:
        folder = still(lane)
        yes = {"ReceiptNo": "R1", "TicketNo": lane.ticket, "Amount": 600, "AuthorisationCode": "DK-1002-1"}
        lane.settle(seconds=0.3)
        (folder / "DK-1002-1.ok").write_bytes(msgspec.json.encode(yes))
        assert isinstance(lane.who(), base.Ours)
        (folder / "DK-1002-1.err").write_bytes(b'{"AuthorisationCode":"DK-1002-1","Code":"already-paid"}')
        assert isinstance(lane.who(), base.CannotTell)

    @pytest.mark.parametrize("change", [{"Amount": 800}, {"TicketNo": "99999999"}])
    def test_about_another_amount_or_ticket_is_no_receipt_of_ours(self, lane: Any, change: dict[str, Any]) -> None:
        folder = still(lane)
        yes = {"ReceiptNo": "R1", "TicketNo": lane.ticket, "Amount": 600, "AuthorisationCode": "DK-1002-1"}
        lane.journal.meanwhile = lambda: (folder / "DK-1002-1.ok").write_bytes(msgspec.json.encode(yes | change))
        outcome = lane.settle(seconds=0.4)
        assert isinstance(outcome, base.Uncertain), outcome
        assert outcome.code is Code.CONTRADICTION
        (folder / "DK-1002-1.json").unlink()
        again = lane.settle(seconds=0.3)
        assert (type(again), again.code) == (base.Uncertain, Code.CONTRADICTION)
        if "TicketNo" in change:
            assert isinstance(lane.who(), base.CannotTell)

    def test_outlives_its_order(self, lane: Any) -> None:
        lane.served.faults.refuse_once = True
        lane.settle()
        assert not (place(lane) / "DK-1002-1.json").exists()
        assert lane.settle().code is Code.DEVICE_REFUSED
        assert lane.references() == []


def test_a_ticket_of_the_hosts_own_spelling_is_known_again_by_a_bridge_that_started_anew(lane: Any) -> None:
    """Its hyphens are known from the list of stays; once the car has left, nothing but our order and its answer is."""
    folder = still(lane)
    whole = (folder / "stays.csv").read_text().replace(lane.ticket, "T-0012/A")
    (folder / "stays.csv").write_text(whole)
    lane.ticket = "T0012A"
    lane.driver.stays(soon())
    lane.settle(seconds=0.4)
    assert msgspec.json.decode((folder / "DK-1002-1.json").read_bytes())["TicketNo"] == "T-0012/A"
    lane.driver = create(lane.device, (), lambda: datetime.now(UTC))
    assert lane.settle(seconds=0.4).level is Level.LINK_ACKED
    yes = {"ReceiptNo": "R1", "TicketNo": "T-0012/A", "Amount": 600, "AuthorisationCode": "DK-1002-1"}
    (folder / "DK-1002-1.ok").write_bytes(msgspec.json.encode(yes))
    assert isinstance(lane.who(), base.Ours)
    assert lane.settle(seconds=0.4).level is Level.LEGACY_CONFIRMED


class TestASnapshot:
    def test_that_is_old_is_a_host_that_is_not_reached(self, lane: Any) -> None:
        folder = still(lane)
        with_options(lane, max_age_seconds=60)
        assert lane.driver.stays(soon())
        for name, shift in (("stays.csv", -61), ("payments.csv", -61), ("stays.csv", 61)):
            then = time.time() + shift
            os.utime(folder / name, (then, then))
            with pytest.raises(NotSent, match="written") as error:
                lane.settle(seconds=0.5)
            assert error.value.remedy
            os.utime(folder / name)
        assert lane.journal.intents == []
        assert lane.settle(seconds=0.3).level is Level.LINK_ACKED

    @pytest.mark.parametrize("rest", ["", "END,7,2026-11-23T10:00:00+09:00\n", "END,1\n", "END,1,yesterday\n"])
    def test_without_its_last_line_is_not_whole(self, lane: Any, rest: str) -> None:
        stays = still(lane) / "stays.csv"
        whole = stays.read_text()
        stays.write_text(whole[: whole.index("END")] + rest)
        with pytest.raises(BadMessage, match=r"stays\.csv"):
            lane.driver.stays(soon(0.3))
        with pytest.raises(NotSent):
            lane.settle(seconds=0.3)
        assert lane.journal.intents == []

    def test_that_is_just_being_written_is_read_again(self, lane: Any) -> None:
        stays = still(lane) / "stays.csv"
        whole = stays.read_text()
        stays.write_text(whole[: len(whole) // 2])
        later = threading.Timer(0.2, lambda: stays.write_text(whole))
        later.start()
        assert len(lane.driver.stays(soon())) == 1
        later.join()

    def test_may_be_of_a_japanese_spreadsheet(self, lane: Any) -> None:
        stays = still(lane) / "stays.csv"
        head = ",".join(files.STAYS_COLUMNS)
        row = f'A-1,2026-11-23 09:00:00,"品川 330 あ 73-91",0,,{NOW.isoformat()},{NOW.isoformat()},600'
        stays.write_bytes(f"{head}\r\n{row}\r\nEND,1,2026-11-23 10:00:00\r\n".encode("cp932"))
        (stay,) = with_options(lane, encoding="cp932").stays(soon())
        assert (stay.ref.name, stay.plate) == ("A1", "品川 330 あ 73-91")
        assert stay.ref.entered_at == datetime(2026, 11, 23, 0, 0, tzinfo=UTC)  # nine o'clock in Tokyo

    def test_of_the_books_that_does_not_go_back_far_enough_is_no_proof_of_anything(self, lane: Any) -> None:
        for since, until_ in ((NOW - timedelta(days=1), NOW), (NOW, NOW + timedelta(days=1))):
            with pytest.raises(BadMessage) as error:
                lane.driver.bookings(since, until_, soon())
            assert error.value.code is Code.CONTRADICTION


class TestTheFolder:
    def test_that_is_full_takes_no_order_and_says_so(self, lane: Any, small_disk: Path) -> None:
        moved(lane, small_disk)
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        with pytest.raises(Environment) as error:
            lane.settle(seconds=0.5)
        assert error.value.code is Code.DISK
        assert lane.journal.intents == []
        (small_disk / "filler").unlink()
        assert lane.settle(seconds=0.3).level is Level.LINK_ACKED

    def test_that_is_read_only_takes_no_order_and_says_so(self, lane: Any, small_disk: Path) -> None:
        moved(lane, small_disk)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        assert lane.driver.stays(soon())
        with pytest.raises(Environment) as error:
            lane.settle(seconds=0.5)
        assert error.value.code is Code.PORT_FORBIDDEN
        assert lane.journal.intents == []

    def test_that_becomes_read_only_right_before_the_renaming_is_certainly_not_sent(
        self, lane: Any, small_disk: Path
    ) -> None:
        moved(lane, small_disk)
        command = ["mount", "-o", "remount,ro", str(small_disk)]
        lane.journal.meanwhile = lambda: subprocess.run(command, check=True)
        with pytest.raises(Environment) as error:
            lane.settle(seconds=0.5)
        assert error.value.code is Code.PORT_FORBIDDEN
        assert not (small_disk / "DK-1002-1.json").exists()
        assert isinstance(lane.who(), base.Nobody)

    def test_that_is_not_there_is_told(self, lane: Any) -> None:
        lane.driver = create(msgspec.structs.replace(lane.device, url=lane.device.url + "x"), (), lambda: NOW)
        with pytest.raises(Environment) as error:
            lane.driver.stays(soon())
        assert (error.value.code, bool(error.value.remedy)) == (Code.PORT_MISSING, True)


def moved(lane: Any, disk: Path) -> None:
    """The host's files on a disk of their own."""
    for file in still(lane).glob("*.csv"):
        (disk / file.name).write_bytes(file.read_bytes())
    device = msgspec.structs.replace(lane.device, url=f"folder://{disk}")
    lane.driver = create(device, (), lambda: datetime.now(UTC))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
