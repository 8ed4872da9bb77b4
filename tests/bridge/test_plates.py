"""Number plates in the office: tokens everywhere, plain text to machines and eyes, forgotten in time."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlite_utils import Database

from bridge.app import Bridge
from bridge.case import Step, open_case
from bridge.config import load
from bridge.enrol import adopt
from bridge.journal import Journal
from bridge.keys import Identity, make_key
from bridge.machines import LotMachines
from bridge.plate_book import KEY as SECRET
from bridge.plate_book import PlateBook, open_plates
from bridge.plates import LotPlates, Seal
from bridge.schema import migrations
from bridge.secret_store import FileStore
from bridge.stays import KnownStay
from demo.program import ROOT
from demo.stack import Stack
from drivers import base, profile
from parking.commands import Command, Verb
from parking.completion import Completion
from parking.errors import Code, Environment, NotSent, Refused
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.signing import SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef, plate_token
from parking.wire import Ask, CodeKey, CompletionKey, LotKeys, encode

LOT = LotId(1003)
KEY = bytes(range(32))
PLATE = "品川330あ7391"
SPELLED = "品川 ３３０ ｱ 73-91"
TOKEN = plate_token(KEY, PLATE)
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
KEYS = LotKeys(
    code_keys=(CodeKey(kid=1, key=to_text(bytes(32))),), code_seconds=21_600, plate_key=to_text(KEY), server_time=NOW
)


def car(name=PLATE, kind=NameKind.PLATE, **more):
    return base.Stay(StayRef(kind, name, NOW), **more)


def stay(token=TOKEN):
    return StayRef(NameKind.PLATE, token, NOW)


def plates(key=KEY, names=NameKind.PLATE, kept=None):
    return LotPlates(LOT, names, Seal(b"s" * 32), lambda: key, kept)


@dataclass
class Host:
    """A legacy host that goes by plates: what it was asked, and what it says."""

    asked: list = field(default_factory=list)
    says: object = None

    def stays(self, deadline):
        return [car()]

    def quote(self, ref, at, deadline):
        self.asked.append(ref)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says or base.Quote(StayRef(ref.kind, ref.name, NOW), yen(600), (), at + timedelta(minutes=3))

    def settle(self, order):
        self.asked.append(order.stay)
        order.intend(f'{{"TicketNo":"{order.stay.name}"}}'.encode(), None)
        return self.says

    def who_settled(self, ref, reference, deadline):
        self.asked.append(ref)
        return self.says


@pytest.fixture
def lot(tmp_path):
    """The machines of the seed lot, with this host in the place of its driver."""
    seed = profile.load(ROOT / "seeds" / "lots" / "gated-plates.toml")
    made = LotMachines(seed, lambda: NOW, plates=plates())
    made.host = Host()
    made.machines["host"] = replace(made.machines["host"], driver=made.host)
    return made


def case():
    paid = Completion(1, LOT, 7, stay(), yen(600), NOW, NOW + timedelta(minutes=20), "OUT1")
    return msgspec.structs.replace(open_case(paid, NOW), step=Step.SETTLE, attempt=1)


# --- tokens and plain text --------------------------------------------------------------------------------------------


def test_what_a_machine_reports_bears_tokens_from_the_first_moment():
    known = plates()
    assert known.learn([car()]) == [base.Stay(StayRef(NameKind.PLATE, TOKEN, NOW), plate=TOKEN)]
    assert known.of(stay()) == PLATE


def test_a_plate_beside_a_ticket_is_a_token_too_and_needs_no_key_of_the_cloud():
    known = plates(key=None, names=NameKind.TICKET)
    (seen,) = known.learn([car("12345678", NameKind.TICKET, plate="品川 330 あ 73-91")])
    assert seen.ref.name == "12345678"
    assert "品川" not in seen.plate
    assert known.text(seen.plate) == "品川 330 あ 73-91"
    assert not known.keyless


def test_a_machine_that_names_stays_otherwise_than_the_lot_is_refused_so_that_no_plate_passes_as_a_ticket():
    for kind, names in ((NameKind.TICKET, NameKind.PLATE), (NameKind.PLATE, NameKind.TICKET)):
        with pytest.raises(Environment) as caught:
            plates(names=names).learn([car(kind=kind)])
        assert caught.value.code is Code.CONFIG
        assert PLATE not in str(caught.value)


def test_without_the_lots_key_no_stay_is_named():
    known = plates(key=None)
    with pytest.raises(Environment) as caught:
        known.learn([car()])
    assert (caught.value.code, known.keyless) == (Code.PLATE_KEY, True)


def test_machines_are_asked_by_plate_and_their_words_come_back_without(lot):
    lot.seen_stays(0.0)
    intents = []
    lot.host.says = base.Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.RECEIPT, f"R1 for {SPELLED}"),))
    outcome = lot.act(case(), {}, lambda raw, counter: intents.append(raw))
    assert lot.host.asked == [StayRef(NameKind.PLATE, PLATE, NOW)]
    assert intents == [b'{"TicketNo":"***"}']
    assert outcome.evidence[0].text == "R1 for ***"
    for said in (base.Refused(Code.ALREADY_PAID, f"{SPELLED} is paid"), base.Uncertain(f"no word on {PLATE}")):
        lot.host.says = said
        assert "***" in lot.act(case(), {}, lambda raw, counter: None).detail


def test_a_witness_is_asked_by_plate_and_quoted_without(lot):
    lot.seen_stays(0.0)
    lot.host.says = base.Cash(f"{SPELLED} paid by cash")
    proof = lot.look(case(), NOW)
    assert lot.host.asked == [StayRef(NameKind.PLATE, PLATE, NOW)]
    assert (proof.detail, proof.evidence[0].text) == ("*** paid by cash", "host: *** paid by cash")


def ask(token):
    return Ask(ask_id="a", kind=NameKind.PLATE, name=token, at=NOW, expires_at=NOW + timedelta(seconds=8))


def test_a_fee_is_asked_for_a_car_that_is_inside_and_answered_by_token(lot):
    assert lot.answer(ask(TOKEN)).result.code == Code.DEVICE_UNAVAILABLE  # nobody has looked yet
    lot.seen_stays(0.0)
    assert lot.answer(ask(TOKEN)).result.stay == stay()
    lot.host.says = Refused(Code.ALREADY_PAID, f"ticket {PLATE} is paid")
    assert lot.answer(ask(TOKEN)).result.detail == "ticket *** is paid"


def test_a_car_that_left_and_one_that_never_came_are_answered_alike_and_the_host_is_not_asked(lot):
    lot.seen_stays(0.0)
    lot.host.stays = lambda deadline: []
    lot.seen_stays(0.0)
    gone, never = lot.answer(ask(TOKEN)), lot.answer(ask(plate_token(KEY, "横浜301む9528")))
    assert gone == never
    assert gone.result.code == Code.STAY_UNKNOWN
    assert lot.host.asked == []


def test_a_stay_whose_plate_is_erased_is_acted_on_by_nobody(lot):
    with pytest.raises(NotSent) as caught:
        lot.act(case(), {}, lambda raw, counter: None)
    assert caught.value.code is Code.STAY_UNKNOWN
    assert lot.host.asked == []


@pytest.mark.parametrize("text", [PLATE, SPELLED, "品川330ｱ・７３－９１", "%E5%93%81%E5%B7%9D330%E3%81%827391"])
def test_a_plate_is_struck_out_of_words_however_it_is_spelled(text):
    known = plates()
    known.learn([car()])
    assert known.scrub(f"car {text} is out") == "car *** is out"
    assert known.scrub("other 品川330あ7392 ％ stays") == "other 品川330あ7392 ％ stays"


# --- the journal ------------------------------------------------------------------------------------------------------


@dataclass
class Room:
    """A journal and a book over one directory; `again` is the same after a restart."""

    data: object
    journal: object = None
    book: object = None

    def again(self):
        self.close()
        self.journal = Journal(self.data / "journal.db")
        self.book = PlateBook(
            store=FileStore(self.data), journal=self.journal, keys=lambda lot: KEYS, keep=timedelta(days=30)
        )
        return self.book.of(LOT, NameKind.PLATE)

    def close(self):
        if self.journal is not None:
            self.journal.close()

    def keep(self, known, *, left=None):
        (seen,) = known.learn([car()])
        stored = KnownStay(ref=seen.ref, seen_at=NOW, plate=seen.plate)
        with self.journal.transaction() as tx:
            for token, sealed in known.sealed([stored]):
                tx.put_plate(LOT, token, sealed)
            tx.put_stay(LOT, stored, still_open=left is None)
            if left is not None:
                tx.end_plate(LOT, seen.ref.name, left)

    def bytes(self):
        return b"".join(path.read_bytes() for path in self.data.glob("journal.db*"))


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.close()


def test_the_journal_keeps_a_plate_sealed_and_the_next_run_knows_it(room):
    room.keep(room.again())
    assert PLATE.encode() not in room.bytes()
    assert room.again().of(stay()) == PLATE


def test_a_sealed_plate_is_of_no_use_without_the_bridges_own_secret_or_under_another_token(room):
    room.keep(room.again())
    sealed = room.journal.sealed_plate(LOT, TOKEN)
    secret = (room.data / SECRET).read_bytes()
    assert Seal(secret).open(LOT, TOKEN, sealed) == PLATE
    assert Seal(secret).open(LOT, TOKEN[::-1], sealed) == ""
    assert Seal(bytes(32)).open(LOT, TOKEN, sealed) == ""
    (room.data / SECRET).unlink()
    assert room.again().of(stay()) == ""


def test_a_plate_is_erased_so_many_days_after_its_stay_and_not_before(room):
    room.keep(room.again(), left=NOW)
    sealed = room.journal.sealed_plate(LOT, TOKEN)
    room.book.tend(NOW + timedelta(days=30), [LOT])
    assert room.journal.sealed_plate(LOT, TOKEN) == sealed
    room.book.tend(NOW + timedelta(days=31, seconds=1), [LOT])
    assert room.journal.sealed_plate(LOT, TOKEN) is None
    assert sealed not in room.bytes()
    assert room.again().of(stay()) == ""


def test_erasing_is_done_once_a_day_and_at_each_start(room):
    room.keep(room.again(), left=NOW)
    room.book.tend(NOW + timedelta(days=29), [LOT])
    room.book.tend(NOW + timedelta(days=29, hours=23), [LOT])
    room.book.tend(NOW + timedelta(days=30, minutes=1), [LOT])
    assert room.journal.sealed_plate(LOT, TOKEN) is None


def test_a_car_that_is_still_inside_keeps_its_plate_and_one_that_came_back_too(room):
    known = room.again()
    room.keep(known, left=NOW)
    room.keep(known)
    room.book.tend(NOW + timedelta(days=400), [LOT])
    assert room.journal.sealed_plate(LOT, TOKEN) is not None


def test_the_plates_of_a_lot_that_is_served_here_no_more_are_erased_as_if_all_had_left(room):
    room.keep(room.again())
    room.book.tend(NOW, [LotId(1)])
    room.book.tend(NOW + timedelta(days=31), [LotId(1)])
    assert room.journal.sealed_plate(LOT, TOKEN) is None


def test_a_secret_that_cannot_be_kept_costs_the_journal_the_plates_and_nothing_else(room):
    class Shut(FileStore):
        def create(self, name, make):
            raise Environment(Code.DISK, "read-only")

    room.again()
    book = PlateBook(store=Shut(room.data), journal=room.journal, keys=lambda lot: KEYS, keep=timedelta(days=30))
    room.keep(known := book.of(LOT, NameKind.PLATE))
    assert known.of(stay()) == PLATE
    assert room.journal.sealed_plate(LOT, TOKEN) is None


def test_plates_of_a_journal_from_before_are_dropped_by_its_migration(room):
    path = room.data / "journal.db"
    db = Database(path)
    migrations.apply(db, stop_before="plates")
    assert "plates" not in db.table_names()
    old = msgspec.json.encode(KnownStay(ref=StayRef(NameKind.TICKET, "123"), seen_at=NOW, plate=PLATE)).decode()
    with db.conn:
        db.execute("insert into stays (lot, key, open, body) values (?,?,1,?)", (LOT, "ticket:123", old))
    db.close()
    room.again()
    (kept,) = room.journal.open_stays(LOT)
    assert kept.plate == ""


# --- a whole bridge ---------------------------------------------------------------------------------------------------


@pytest.fixture
def office(tmp_path):
    """The seed lot as a process, and a bridge that has never reached a cloud."""
    stack = Stack(tmp_path, lots=("gated-plates",), speed=5)
    stack.lots["gated-plates"].start()
    stack.write_bridge_config()
    running = []

    def start():
        for bridge in running:
            bridge.stop()
        running[:] = [Bridge(load(stack.bridge_config))]
        running[0].start()
        return running[0]

    stack.start = start
    yield stack
    for bridge in running:
        bridge.stop()
    stack.abandon()


def until(check, seconds=15.0):
    end = time.monotonic() + seconds
    while not (seen := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return seen


def test_before_the_key_has_come_a_bridge_says_so_and_opens_by_hand_and_with_it_the_line_is_not_needed(office):
    sim = office.lots["gated-plates"]
    sim.tell("arrive", plate=SPELLED)
    bridge = office.start()
    alarm = until(lambda: next((one for one in bridge.snapshot().alarms if one.code == Code.PLATE_KEY), None))
    assert alarm.lot == LOT
    host = until(lambda: next((one for one in bridge.snapshot().links if one.link == "1003/host"), None))
    assert (host.up, Code.PLATE_KEY in host.detail, bridge.snapshot().stays) == (False, True, ())
    order = Command(command_id="1", lot=LOT, verb=Verb.RELEASE, actor="Sato", reason=f"no key: {SPELLED}", exit="OUT1")
    assert bridge.command(order).accepted
    sim.wait_history("release", exit="OUT1")

    config = load(office.bridge_config)
    make_key(config.data)
    signed = (CompletionKey(key_id=1, public_key=to_text(SigningKey.generate(1).public_bytes)),)
    adopt(
        config.data,
        Identity(cloud_url=config.cloud_url, bridge_id="b", generation=1, lots=(LOT,), completion_keys=signed),
    )
    FileStore(config.data).replace(f"lot-{LOT}.keys", encode(KEYS))
    bridge = office.start()
    (view,) = until(lambda: bridge.snapshot().stays)
    assert (view.stay.name, view.plate) == (TOKEN, PLATE)
    assert not [one for one in bridge.snapshot().alarms if one.code == Code.PLATE_KEY]

    order = msgspec.structs.replace(order, command_id="2", reason=f"{SPELLED} paid in cash", stay=view.stay)
    assert bridge.command(order).accepted
    told = until(lambda: [one for one in bridge.timeline(LOT, view.stay.key).entries if "paid in cash" in one.detail])
    assert "OUT1: *** paid in cash" in {one.detail for one in told}


def test_plates_are_kept_as_long_as_the_configuration_says(tmp_path):
    class Config:
        data, store, plate_days = tmp_path, FileStore(tmp_path).kind, 7

    journal = Journal(tmp_path / "journal.db")
    room = Room(tmp_path, journal, open_plates(Config, journal, lambda lot: KEYS))
    room.keep(room.book.of(LOT, NameKind.PLATE), left=NOW)
    room.book.tend(NOW + timedelta(days=7, seconds=1), [LOT])
    assert journal.sealed_plate(LOT, TOKEN) is None
    room.close()
