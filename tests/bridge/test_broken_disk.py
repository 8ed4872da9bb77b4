"""A full, read-only, damaged or missing journal: the bridge runs, says so, opens by hand, heals and loses nothing.

Real disks (a small tmpfs), a simulated lot as a process, a real HTTP cloud; what was done is in the lot's own record.
"""

import contextlib
import errno
import os
import subprocess

import pytest

from parking.desk import CasePhase, CommandState
from parking.errors import Code, Environment

CHUNK = 64 * 1024


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, timeout=10)


@pytest.fixture
def small_disk(plates_office):
    """The bridge's directory on a disk of 4 MB of its own."""
    data = plates_office.data
    kept = {file.name: file.read_bytes() for file in data.iterdir()}
    done = mount("-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", data)
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not possible here: {done.stderr.strip()}")
    for name, content in kept.items():
        (data / name).write_bytes(content)
        (data / name).chmod(0o600)
    yield plates_office
    plates_office.stop()
    subprocess.run(["umount", str(data)], check=True, timeout=10)


def fill(data):
    """Leave not a byte."""
    with (data / "ballast").open("ab", buffering=0) as file:
        size = CHUNK
        while size:
            try:
                file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def open_by_hand(office, bay):
    office.park(bay)
    assert office.bridge.command(office.order(bay)).accepted
    office.lot.wait_history("plate_down", exit=bay)
    confirmed = lambda: office.bridge._board.exit_view(f"1001/{bay}").command.state is CommandState.CONFIRMED  # noqa: E731 - one short question, asked twice
    office.until(confirmed)


def test_a_full_disk_accepts_nothing_keeps_opening_by_hand_and_heals(small_disk):
    office = small_disk
    office.start()
    for bay in ("7", "8"):
        office.park(bay)
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.until(lambda: office.received(1))
    stay = office.stay_of("7").key
    fill(office.data)
    office.pay("8")
    alarm = office.until(lambda: office.alarm(Code.DISK))
    assert "room" in alarm.detail
    open_by_hand(office, "9")
    fallback = office.data / "fallback.jsonl"
    office.until(lambda: fallback.exists() and b'"confirmed"' in fallback.read_bytes())
    assert not office.received(2)
    assert office.releases("8") == 0
    assert [line.what for line in office.bridge.timeline(1001, stay).entries][-1] == "settled"
    (office.data / "ballast").unlink()
    office.ends(2, CasePhase.SETTLED)
    office.until(lambda: office.alarm(Code.DISK) is None)
    office.until(lambda: not fallback.exists(), 10)
    assert [office.releases(bay) for bay in ("7", "8", "9")] == [1, 1, 1]


def test_a_bridge_that_starts_on_a_full_disk_serves_the_office_and_heals(small_disk):
    office = small_disk
    office.start()
    office.park("7")
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.park("8")
    office.until(lambda: office.stay_of("8"))
    office.stop()
    fill(office.data)
    office.start()
    assert (office.data / "api.json").exists()
    assert office.case(1).phase is CasePhase.SETTLED
    assert office.until(lambda: office.alarm(Code.DISK))
    office.pay("8")
    open_by_hand(office, "3")
    assert not office.received(2)
    (office.data / "ballast").unlink()
    office.ends(2, CasePhase.SETTLED)
    assert (office.releases("7"), office.releases("8")) == (1, 1)


def test_a_read_only_disk_keeps_the_feed_shut_and_nothing_else(small_disk):
    office = small_disk
    office.start()
    office.park("7")
    office.until(lambda: office.stay_of("7"))
    office.stop()
    assert mount("-o", "remount,ro", office.data).returncode == 0
    feeds = office.cloud.count("feed")
    office.start()
    assert office.until(lambda: office.alarm(Code.DISK))
    open_by_hand(office, "3")
    assert office.cloud.count("feed") == feeds
    assert mount("-o", "remount,rw", office.data).returncode == 0
    office.until(lambda: office.alarm(Code.DISK) is None)
    office.ends(office.pay("7"), CasePhase.SETTLED)
    assert office.releases("7") == 1


def spoil_the_middle(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(os.urandom(path.stat().st_size // 3))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path):
    path.write_bytes(b"once upon a time " * 1000)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("spoil", [spoil_the_middle, cut, overwrite, remove])
def test_a_lost_journal_shuts_the_feed_until_the_bridge_is_enrolled_again(plates_office, spoil):
    office = plates_office
    office.start()
    office.park("7")
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.stop()
    journal = office.data / "journal.db"
    spoil(journal)
    spoiled = journal.read_bytes() if journal.exists() else None
    office.cloud.reports.clear()
    feeds, batches = office.cloud.count("feed"), len(office.cloud.batches)
    office.start()
    alarm = office.until(lambda: office.alarm(Code.JOURNAL_LOST))
    kept = list(office.data.glob("journal.corrupt-*Z.db"))
    assert [file.read_bytes() for file in kept] == ([] if spoiled is None else [spoiled])
    assert all(file.name in alarm.detail for file in kept)
    with pytest.raises(Environment) as caught:
        office.bridge.accept(1001, [office.cloud.entries[1]])
    assert caught.value.code is Code.JOURNAL_LOST
    assert "enrol --again" in caught.value.remedy
    open_by_hand(office, "3")
    assert (office.cloud.count("feed"), len(office.cloud.batches)) == (feeds, batches)
    assert office.releases("7") == 1
    office.stop()
    office.cloud.generation, office.cloud.feed_after, office.cloud.accepted = 4, (1,), 0
    office.enrol(again=True)
    office.start()
    office.park("8")
    office.ends(office.pay("8"), CasePhase.SETTLED)
    assert office.alarm(Code.JOURNAL_LOST) is None
    office.until(lambda: any(getattr(one, "actor", "") == "Tanaka" for one in office.cloud.reports))
    assert (office.releases("7"), office.releases("8")) == (1, 1)


def test_a_journal_removed_under_a_running_bridge_is_noticed_and_the_feed_cut(plates_office):
    office = plates_office
    office.start()
    office.park("7")
    office.ends(office.pay("7"), CasePhase.SETTLED)
    (office.data / "journal.db").unlink()
    office.until(lambda: office.alarm(Code.JOURNAL_LOST))
    office.cloud.entries[2] = office.cloud.entries[1]
    asked = office.cloud.count("feed")
    open_by_hand(office, "3")
    with contextlib.suppress(AssertionError):
        office.until(lambda: office.cloud.count("feed") > asked, 1.5)
    assert office.cloud.count("feed") == asked
    assert office.releases("7") == 1


def test_an_older_copy_of_the_journal_is_found_by_the_reports_that_it_does_not_know(plates_office):
    office = plates_office
    office.start()
    office.park("7")
    office.until(lambda: office.stay_of("7"))
    office.stop()
    copy = {file: file.read_bytes() for file in office.data.glob("journal.db*")}
    office.start()
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.until(lambda: office.received(1))
    office.stop()
    for file in office.data.glob("journal.db*"):
        file.unlink()
    for file, content in copy.items():
        file.write_bytes(content)
    office.start()
    office.until(lambda: office.alarm(Code.JOURNAL_LOST))
    assert (office.case(1), office.releases("7")) == (None, 1)


def test_a_cloud_that_has_other_reports_under_our_numbers_shuts_the_feed_at_any_time(plates_office, to_problem):
    """The journal is an older copy which has made more since than was lost: its own count shows nothing."""
    office = plates_office
    office.start()
    office.park("7")
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.until(lambda: office.received(1))
    office.cloud.force["reports"] = (409, to_problem(Code.JOURNAL_LOST, "report 3/2 is another one"))
    open_by_hand(office, "3")
    office.until(lambda: office.alarm(Code.JOURNAL_LOST))
    with pytest.raises(Environment) as caught:
        office.bridge.accept(1001, [office.cloud.entries[1]])
    assert caught.value.code is Code.JOURNAL_LOST
