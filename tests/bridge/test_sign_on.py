"""From PIN to order: over the real files, journal and hashes."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import audit, keys, operators, pins
from bridge.case import Case
from bridge.journal import Journal
from bridge.operators import OperatorFile, Roster
from bridge.permits import NOT_SIGNED_IN
from bridge.secret_store import FileStore
from bridge.sign_on import SignOn
from parking.commands import Command, OperatorRole, Redeem, RedeemReply, SignIn, SignOut, Verb, Verdict
from parking.desk import CasePhase
from parking.errors import Code, Environment, Refused
from parking.reports import Whose
from parking.stay import LotId, NameKind, StayRef

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LOT = LotId(1001)
STAY = StayRef(NameKind.BAY, "7", NOW)
PINS = {"佐藤": "483920", "田中": "739104", "鈴木": "205871", "見学": "917350"}
ROLES = {
    "佐藤": OperatorRole.ATTENDANT,
    "田中": OperatorRole.SUPERVISOR,
    "鈴木": OperatorRole.SUPERVISOR,
    "見学": OperatorRole.VIEWER,
}


class Office:
    """A bridge's data directory, its journal and its door; `now` is the clock."""

    def __init__(self, data):
        self.data, self.now, self.sick = data, NOW, None
        self.file, self.store = OperatorFile(data), FileStore(data)
        self.journal = Journal(data / "journal.db")
        self.door = self.open()

    def open(self):
        return SignOn(
            data=self.data,
            store=self.store,
            journal=self.journal,
            write=self.write,
            two_persons_above={LOT: 10_000},
            idle=timedelta(minutes=5),
            clock=lambda: self.now,
        )

    def write(self, write):
        if self.sick is not None:
            raise self.sick
        with self.journal.transaction() as tx:
            write(tx)

    def hire(self, *names):
        pepper = keys.make_pepper(self.store)
        roster = self.file.load() or Roster()
        for name in names:
            kept = pins.hash_pin(PINS[name], name, pepper)
            roster = operators.add(roster, name, ROLES[name], kept, self.now - timedelta(days=1))
        self.file.save(roster)

    def sign_in(self, name, pin=None):
        return self.door.sign_in(SignIn(operator=name, pin=PINS[name] if pin is None else pin)).session

    def refusal(self, name, pin="000000"):
        with pytest.raises(Refused) as caught:
            self.door.sign_in(SignIn(operator=name, pin=pin))
        return caught.value

    def order(self, session="", second="", verb=Verb.RELEASE, **changes):
        """The refusal's code, or the order as it would be carried out."""
        command = Command(
            command_id="c", lot=LOT, verb=verb, actor="typed", reason="r", exit="A", session=session, second=second
        )
        named = self.door.named(replace(command, **changes))
        denied = self.door.permit(named)
        return named if denied is None else denied.code

    def case(self, number, amount, phase):
        case = Case(
            lot=LOT, number=number, reference="r", stay=STAY, exit="A", amount=amount, paid_at=NOW,
            valid_until=NOW, since=NOW, phase=phase,
        )  # fmt: skip
        with self.journal.transaction() as tx:
            tx.put_case(case, b"packed")

    def chained(self):
        return [(entry.what, entry.actor) for entry in audit.entries(self.journal._db)]


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    yield office
    office.journal.close()


@pytest.fixture
def staffed(office):
    office.hire("佐藤", "田中", "鈴木", "見学")
    office.door.look()
    return office


def test_until_somebody_has_a_pin_orders_carry_the_name_that_was_typed(office):
    assert not office.door.needed
    done = office.order(verb=Verb.RESOLVE, verdict=Verdict.SETTLED, case=1)
    assert done.actor == "typed"
    assert office.refusal("佐藤").code is Code.SIGN_IN


def test_from_the_first_pin_on_orders_need_one_without_a_restart(office):
    assert office.order().actor == "typed"
    office.hire("佐藤")
    assert office.order() == Code.SIGN_IN
    assert office.door.needed
    assert office.order(office.sign_in("佐藤")).actor == "佐藤"


def test_an_order_carries_the_name_of_who_signed_in_not_the_typed_one(staffed):
    session = staffed.sign_in("佐藤")
    for verb in (Verb.RELEASE, Verb.HOLD_OPEN, Verb.END_HOLD):
        assert staffed.order(session, verb=verb, actor="田中").actor == "佐藤"
    assert staffed.order(session + "x") == Code.SIGN_IN


def test_a_session_ends_idle_and_by_signing_out_and_orders_prolong_it(staffed):
    session = staffed.sign_in("佐藤")
    for _ in range(3):
        staffed.now += timedelta(seconds=250)
        assert staffed.order(session).actor == "佐藤"
    staffed.now += timedelta(seconds=300)
    assert staffed.order(session) == Code.SIGN_IN
    session = staffed.sign_in("佐藤")
    assert staffed.door.sign_out(SignOut(session=session)).accepted
    assert staffed.door.sign_out(SignOut(session=session)).accepted
    assert staffed.order(session) == Code.SIGN_IN


@pytest.mark.parametrize("change", ["sign-out", "pin", "role", "remove"])
def test_a_change_of_an_operator_ends_their_sessions_and_no_others(staffed, change):
    mine, others = staffed.sign_in("佐藤"), staffed.sign_in("田中")
    staffed.now += timedelta(seconds=1)
    roster = staffed.file.load()
    if change == "remove":
        staffed.file.save(operators.remove(roster, "佐藤"))
    else:
        what = {"sign-out": {}, "pin": {"pin": "other"}, "role": {"role": OperatorRole.SUPERVISOR}}[change]
        staffed.file.save(operators.change(roster, "佐藤", staffed.now, **what))
    assert staffed.order(mine) == Code.SIGN_IN
    assert staffed.order(others).actor == "田中"


def test_a_wrong_name_and_a_wrong_pin_are_told_alike_and_take_alike(staffed):
    took = {}
    for name in ("佐藤", "nobody"):
        began = time.monotonic()
        answers = [staffed.refusal(name) for _ in range(4)]
        took[name] = time.monotonic() - began
        assert {(one.code, one.detail, one.remedy) for one in answers} == {(Code.SIGN_IN, "name or PIN is wrong", "")}
        fifth = staffed.refusal(name)
        assert (fifth.code, fifth.detail) == (Code.LOCKED_OUT, "too many wrong PINs: wait 30 s")
    assert 0.2 < took["佐藤"] / took["nobody"] < 5


def test_while_locked_not_even_the_right_pin_is_looked_at(staffed):
    for _ in range(5):
        staffed.refusal("佐藤")
    began = time.monotonic()
    refusal = staffed.refusal("佐藤", PINS["佐藤"])
    assert time.monotonic() - began < 0.02  # no hash was computed
    assert refusal.code is Code.LOCKED_OUT
    assert staffed.sign_in("田中")
    staffed.now += timedelta(seconds=30)
    assert staffed.sign_in("佐藤")


def test_a_lock_survives_a_restart(staffed):
    for _ in range(5):
        staffed.refusal("佐藤")
    staffed.door = staffed.open()
    assert staffed.refusal("佐藤", PINS["佐藤"]).code is Code.LOCKED_OUT
    staffed.now += timedelta(seconds=31)
    staffed.door = staffed.open()
    assert "60 s" in staffed.refusal("佐藤").detail
    staffed.now += timedelta(seconds=61)
    assert staffed.sign_in("佐藤")
    staffed.door = staffed.open()
    assert staffed.refusal("佐藤").code is Code.SIGN_IN


def test_a_new_pin_ends_a_lock(staffed):
    for _ in range(5):
        staffed.refusal("佐藤")
    staffed.now += timedelta(seconds=1)
    kept = pins.hash_pin("662081", "佐藤", keys.make_pepper(staffed.store))
    staffed.file.save(operators.change(staffed.file.load(), "佐藤", staffed.now, pin=kept))
    assert staffed.sign_in("佐藤", "662081")


def test_tries_at_once_are_counted_one_by_one(staffed):
    """Otherwise a hundred PINs could be tried between a look at the lock and its count."""
    codes = []

    def attempt():
        codes.append(staffed.refusal("佐藤").code)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [Code.LOCKED_OUT] * 8 + [Code.SIGN_IN] * 4


def test_signing_in_locks_and_signing_out_are_on_record_but_not_what_was_typed(staffed):
    staffed.door.sign_out(SignOut(session=staffed.sign_in("佐藤")))
    for _ in range(5):
        staffed.refusal("佐藤")
        staffed.refusal("483920")  # a PIN in the wrong field
    assert staffed.chained() == [
        ("sign_in", "佐藤"),
        ("sign_out", "佐藤"),
        ("locked_out", "佐藤"),
        ("locked_out", ""),
    ]
    rows = str(list(staffed.journal._db.execute("select * from audit"))) + str(staffed.journal.counters(""))
    for pin in PINS.values():
        assert pin not in rows


def test_neither_token_nor_pin_is_ever_logged_or_kept(staffed, caplog):
    caplog.set_level("DEBUG")
    staffed.sick = Environment(Code.DISK, "disk full")
    session = staffed.sign_in("佐藤")
    staffed.refusal("佐藤", "917350")
    staffed.order(session + "x")
    staffed.sick = None
    other = staffed.sign_in("田中")
    written = b"".join(path.read_bytes() for path in staffed.data.iterdir() if path.is_file())
    for secret in (session, other, *PINS.values()):
        assert secret not in caplog.text
        assert secret.encode() not in written


def test_what_is_refused_is_logged_without_names(staffed, caplog):
    for wrong in ("000001", "000002"):
        staffed.refusal("佐藤", wrong)
    staffed.refusal("917350", "917350")  # a PIN in the wrong field
    session = staffed.sign_in("見学")
    assert staffed.order(session) is Code.ROLE
    told = [record.getMessage() for record in caplog.records if record.name == "bridge.sign_on"]
    assert told[:3] == [
        "a sign-in failed, 1 in a row under this name, 1 under all",
        "a sign-in failed, 2 in a row under this name, 2 under all",
        "a sign-in failed, 1 in a row under this name, 3 under all",
    ]
    assert "not permitted: role" in told[3]
    for secret in ("佐藤", "見学", "917350", "000001", session):
        assert secret not in caplog.text


def test_the_door_works_on_without_the_journal(staffed):
    staffed.sick = Environment(Code.DISK, "disk full")
    assert staffed.order(staffed.sign_in("佐藤")).actor == "佐藤"
    for _ in range(5):
        staffed.refusal("佐藤")
    assert staffed.refusal("佐藤", PINS["佐藤"]).code is Code.LOCKED_OUT


def test_roles_are_looked_up_at_each_order(staffed):
    session = staffed.sign_in("見学")
    assert staffed.order(session) == Code.ROLE


def test_a_high_doubt_takes_two_supervisors(staffed):
    staffed.case(1, 600, CasePhase.IN_DOUBT)
    staffed.case(2, 10_001, CasePhase.IN_DOUBT)
    attendant, first, second = (staffed.sign_in(name) for name in ("佐藤", "田中", "鈴木"))
    doubt = {"verb": Verb.RESOLVE, "verdict": Verdict.SETTLED}
    assert staffed.order(attendant, case=1, **doubt).actor == "佐藤"
    assert staffed.order(attendant, case=2, **doubt) == Code.ROLE
    assert staffed.order(first, case=2, **doubt) == Code.SECOND_PERSON
    assert staffed.order(first, first, case=2, **doubt) == Code.SECOND_PERSON
    assert staffed.order(first, staffed.sign_in("田中"), case=2, **doubt) == Code.SECOND_PERSON
    assert staffed.order(first, second, case=2, **doubt).actor == "田中"
    staffed.now += timedelta(seconds=301)
    assert staffed.order(staffed.sign_in("田中"), second, case=2, **doubt) == Code.SECOND_PERSON


def test_what_is_given_back_is_looked_up_not_believed(staffed):
    staffed.case(1, 600, CasePhase.SETTLED)
    attendant, supervisor = staffed.sign_in("佐藤"), staffed.sign_in("田中")
    for named in ({"case": 1}, {"stay": STAY}, {"case": 99}, {"stay": replace_bay("8")}):
        assert staffed.order(attendant, give_back=True, **named) == Code.ROLE
        assert staffed.order(supervisor, give_back=True, **named).actor == "田中"
    staffed.case(2, 20_000, CasePhase.CHECKING)
    assert staffed.order(supervisor, give_back=True, stay=STAY) == Code.SECOND_PERSON


def replace_bay(name):
    return StayRef(NameKind.BAY, name, NOW)


def test_where_the_stake_cannot_be_known_an_attendant_may_not(staffed):
    session = staffed.sign_in("佐藤")
    staffed.case(1, 600, CasePhase.RECEIVED)
    assert staffed.order(session, give_back=True, case=1).actor == "佐藤"
    staffed.journal._db.execute("alter table cases rename to gone")
    assert staffed.order(session, give_back=True, case=1) == Code.ROLE
    assert staffed.order(session).actor == "佐藤"  # a plain release needs no look


@pytest.mark.parametrize("verb", [Verb.RELEASE, Verb.HOLD_OPEN])
def test_an_emergency_opens_without_pin_journal_and_disk(staffed, verb, monkeypatch):
    def dead(*_, **__):
        raise AssertionError("an emergency must not wait for this")

    for part, names in ((staffed.door._file, ["staff"]), (staffed.journal, ["case", "cases"])):
        for name in names:
            monkeypatch.setattr(part, name, dead)
    monkeypatch.setattr(staffed.door, "_write", dead)
    done = staffed.order(verb=verb, emergency=True, stay=STAY, whose=Whose.STAY, give_back=True)
    assert done.actor == f"typed {NOT_SIGNED_IN}"
    assert (done.stay, done.give_back, done.whose) == (None, False, Whose.LATER)


def test_an_emergency_by_somebody_who_has_signed_in_carries_their_name(staffed):
    done = staffed.order(staffed.sign_in("佐藤"), emergency=True, stay=STAY, whose=Whose.STAY)
    assert (done.actor, done.stay, done.whose) == ("佐藤", STAY, Whose.STAY)


def test_to_end_a_hold_needs_a_pin_whatever_it_says_of_itself(staffed):
    assert staffed.order(verb=Verb.END_HOLD, emergency=True) == Code.SIGN_IN


def test_codes_need_an_attendant(staffed):
    code = Redeem(redeem_id="r", lot=LOT, text="1", actor="typed")
    assert staffed.door.admit(code) == RedeemReply(
        accepted=False, code=Code.SIGN_IN, detail="nobody has signed in, or the session has ended"
    )
    assert staffed.door.admit(replace(code, session=staffed.sign_in("見学"))).code == Code.ROLE
    assert staffed.door.admit(replace(code, session=staffed.sign_in("佐藤"))).actor == "佐藤"


@pytest.mark.parametrize("lost", ["operators.json", "pepper"])
def test_with_the_file_or_the_pepper_gone_nobody_gets_in_but_the_gate_opens(staffed, lost):
    session = staffed.sign_in("佐藤")
    (staffed.data / lost).unlink()
    staffed.door = staffed.open() if lost == "pepper" else staffed.door
    assert staffed.order(session) == Code.SIGN_IN
    assert "gone" in staffed.refusal("佐藤", PINS["佐藤"]).detail
    assert staffed.door.needed
    assert staffed.order(emergency=True).actor.startswith("typed")
