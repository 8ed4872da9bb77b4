"""Power cuts: the real bridge at work under strace, its disk rebuilt at thousands of instants, judged by its own words.

What was acknowledged is there, what was ordered is known, nothing is ordered again; and with `synchronous=NORMAL` this
very rig finds what gets lost (docs/decisions/0028).
"""

import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.config import load
from parking.stay import NameKind, StayRef
from tests.rigs.feed_cloud import KEY
from tests.rigs.figures import SEED, count, size
from tests.rigs.office import PLATES, RUN, WITHOUT_FULL_SYNC, Office, until
from tests.rigs.power_cut import Disk, Happening, SyncEnds, Told, cuts, read_log, tracer
from tests.rigs.promised import Promised, broken, listen

IMAGES = size(150, 4000)
BAYS = size(10, 20)

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="no strace: `python3 dev.py setup` installs it"),
    pytest.mark.timeout(size(240, 1800)),
]


class Recording:
    """One run of the bridge: the disk before it, and all that happened."""

    def __init__(self, run: Path, how: Sequence[str]) -> None:
        self.office = office = Office(run, lots=[PLATES])
        log = run / "strace.log"
        try:
            for bay in range(1, BAYS + 1):
                office.lots[PLATES].tell("arrive", bay=str(bay))
            self.start = Disk(office.data)
            office.start(before=tracer(log), how=how)
            work_a_day(office)
            office.stop()
        finally:
            office.close()
        self.tape: list[Happening] = read_log(log, office.data)
        self.profiles = list(load(office.config).lots.values())
        self.contradictions = office.cloud.contradictions

    def judge(self, count: int, seed: int) -> list[str]:
        """What `count` power cuts break."""
        found: list[str] = []
        promised, heard = Promised(), 0
        for place, image in enumerate(cuts(self.start, self.tape, count, seed)):
            listen(promised, self.tape, heard, image.at)
            heard = max(heard, image.at)
            folder = Path(tempfile.mkdtemp(prefix="daiko-image-", dir=memory()))
            image.lay_out(folder)
            found += [f"image {place}, event {image.at}: {one}" for one in broken(folder, promised, self.profiles, KEY)]
            shutil.rmtree(folder)
        return found


def memory() -> str | None:
    """Images need no disk that syncs."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def work_a_day(office: Office) -> None:
    """Each car is paid for and let out; between them payments for no car, forgeries, orders by hand."""
    chance = random.Random(SEED)
    stays = {bay: office.stay(PLATES, str(bay)) for bay in range(1, BAYS + 1)}
    numbers = []
    for bay, stay in stays.items():
        if bay % 7 == 0:
            office.command(
                command_id=f"by-hand-{bay}", lot=PLATES, verb="release", exit=str(bay), actor="Tanaka", reason="1 rain"
            )
            continue
        for _ in range(chance.randrange(4)):
            gone = StayRef(NameKind.BAY, "99", stay.entered_at)
            numbers.append(office.cloud.pay(PLATES, gone))
        if chance.random() < 0.2:
            numbers.append(office.cloud.forge(PLATES))
        numbers.append(office.cloud.pay(PLATES, stay))
        if chance.random() < 0.5:
            until("the last payment to end", lambda: office.cloud.ends(PLATES, numbers[-1]), 20)
    until("all payments to end", lambda: all(office.cloud.ends(PLATES, number) for number in numbers), 60)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(tmp_path_factory.mktemp("cut"), RUN)


def test_no_power_cut_loses_what_was_acknowledged_or_acts_again(recording: Recording) -> None:
    found = recording.judge(IMAGES, SEED)
    assert found == []
    count("power cut: images of a disk, nothing lost, nothing acts again", IMAGES)


def test_the_recording_shows_work_worth_cutting(recording: Recording) -> None:
    promised = Promised()
    listen(promised, recording.tape, 0, len(recording.tape))
    assert len(promised.acknowledged[PLATES]) >= BAYS
    assert sum(promised.orders.values()) >= 0.6 * BAYS  # on a busy computer some are not done in time
    assert sum(isinstance(event, SyncEnds) for event in recording.tape) >= 3 * BAYS
    assert sum(isinstance(event, Told) for event in recording.tape) >= 5 * BAYS
    assert recording.contradictions == []


def test_without_full_sync_the_same_rig_finds_lost_payments(tmp_path: Path) -> None:
    found = Recording(tmp_path, WITHOUT_FULL_SYNC).judge(200, SEED)
    assert any("acknowledged and is gone" in one for one in found), found
    assert any("was ordered down" in one or "acted" in one for one in found), found
    images = {one.partition(",")[0] for one in found}
    count("power cut: the rig's own test, of 200 images without a full sync lose something", len(images))
