"""Whoever changes the record of what people did is found."""

import sqlite3
import time
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import audit
from bridge.audit import GENESIS, Broken, Entry, Head, verify
from bridge.journal import Journal
from parking.errors import BadMessage, Code, Environment
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import AuditHead, Override, OverrideMatched, Received, Redeemed, Refused, Settled, Way, Whose
from parking.stay import LotId, NameKind, StayRef

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LOT = LotId(1001)
STAY = StayRef(NameKind.BAY, "7", NOW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path):
    journal = Journal(path)
    yield journal
    journal.close()


def override(actor="田中", **changes):
    given = {"command_id": "c-1", "verb": "release", "exit": "A", "reason": "lost ticket", "at": NOW, "stay": STAY}
    return Override(actor=actor, outcome="confirmed", **(given | changes))


def chain_of(journal):
    return list(audit.entries(journal._db))


def made(count):
    entries, prev = [], GENESIS
    for number in range(1, count + 1):
        body = audit.canonical({"n": number, "why": "理由"})
        at = (NOW + timedelta(seconds=number)).isoformat()
        digest = audit.digest(number, at, "田中", "release", body, prev)
        entries.append(Entry(number, at, "田中", "release", body, prev, digest))
        prev = digest
    return entries


# --- the chain -------------------------------------------------------------------------------------------------------


def test_an_untouched_chain_is_whole():
    chain = made(5)
    assert verify(chain) == Head(5, chain[-1].hash)
    assert verify([]) == Head(0, GENESIS)
    for entry in chain:
        assert verify(chain, [Head(entry.entry, entry.hash)]) == Head(5, chain[-1].hash)
    assert verify(chain, [Head(0, GENESIS)]) == Head(5, chain[-1].hash)


def other(value):
    """Something else of the same kind, and as close to it as can be."""
    if isinstance(value, int):
        return value + 1
    return value[:-1] + chr(ord(value[-1]) ^ 1)


@pytest.mark.parametrize("field", [field.name for field in fields(Entry)])
@pytest.mark.parametrize("at", range(6))
def test_a_change_of_any_field_of_any_entry_is_found_at_its_place(field, at):
    chain = made(6)
    chain[at] = replace(chain[at], **{field: other(getattr(chain[at], field))})
    found = verify(chain)
    assert isinstance(found, Broken)
    assert found.entry == at + 1


@pytest.mark.parametrize("field", ["at", "actor", "what", "body"])
def test_a_change_with_a_new_hash_is_found_at_the_next_entry(field):
    chain = made(4)
    forged = replace(chain[1], **{field: other(getattr(chain[1], field))})
    again = audit.digest(forged.entry, forged.at, forged.actor, forged.what, forged.body, forged.prev)
    chain[1] = replace(forged, hash=again)
    assert verify(chain) == Broken(3, "does not follow on its predecessor")


@pytest.mark.parametrize("at", range(4))
def test_a_deleted_entry_is_found(at):
    chain = made(5)
    del chain[at]
    found = verify(chain)
    assert isinstance(found, Broken)
    assert found.entry == at + 1
    assert "missing" in found.why


def test_entries_in_another_order_are_found_even_with_their_numbers_swapped():
    chain = made(5)
    chain[1], chain[2] = chain[2], chain[1]
    assert isinstance(verify(chain), Broken)
    chain[1], chain[2] = replace(chain[1], entry=2), replace(chain[2], entry=3)
    assert isinstance(verify(chain), Broken)


def test_a_cut_off_end_is_found_against_an_anchored_head():
    chain = made(5)
    anchor = Head(5, chain[-1].hash)
    for left in range(5):
        found = verify(chain[:left], [anchor])
        assert found == Broken(left + 1, "is missing: the chain once reached entry 5")


def test_a_chain_written_anew_is_found_against_an_anchored_head():
    old = made(3)
    anew, prev = [], GENESIS
    for entry in old:
        digest = audit.digest(entry.entry, entry.at, "somebody else", entry.what, entry.body, prev)
        anew.append(replace(entry, actor="somebody else", prev=prev, hash=digest))
        prev = digest
    assert isinstance(verify(anew), Head)
    found = verify(anew, [Head(3, old[-1].hash)])
    assert isinstance(found, Broken)
    assert "written anew" in found.why


def test_values_of_another_type_are_found_even_if_they_hash_alike():
    chain = made(1)
    blob = replace(chain[0], actor=b"data")
    text = replace(chain[0], actor="ZGF0YQ==")  # what JSON makes of the bytes
    same = audit.digest(1, text.at, text.actor, text.what, text.body, text.prev)
    assert same == audit.digest(1, blob.at, blob.actor, blob.what, blob.body, blob.prev)
    assert isinstance(verify([replace(text, hash=same)]), Head)
    assert isinstance(verify([replace(blob, hash=same)]), Broken)


def test_no_two_entries_are_hashed_alike():
    assert audit.digest(1, "a", "b", "c", "d", "e") != audit.digest(1, "a", "bc", "", "d", "e")
    assert audit.digest(1, "a", '","', "c", "d", "e") != audit.digest(1, "a", "", '","c', "d", "e")
    assert audit.canonical({"b": 1, "a": 2}) == audit.canonical({"a": 2, "b": 1}) == '{"a":2,"b":1}'


def test_a_hundred_thousand_entries_are_verified_in_seconds():
    chain, shown = made(100_000), []
    began = time.monotonic()
    assert isinstance(verify(chain, progress=shown.append), Head)
    assert time.monotonic() - began < 5
    assert shown == list(range(10_000, 100_001, 10_000))


@pytest.mark.parametrize("text", ["", "5", "5:", "x:" + "0" * 64, "5:" + "g" * 64, "-1:" + "0" * 64, "5:" + "0" * 63])
def test_what_is_no_head_is_told(text):
    with pytest.raises(BadMessage) as caught:
        audit.parse_head(text)
    assert caught.value.code is Code.AUDIT


def test_a_head_is_read_as_it_is_written():
    head = Head(12, "ab" * 32)
    assert audit.parse_head(f" {str(head).upper()}\n") == head


# --- in the journal --------------------------------------------------------------------------------------------------


def test_the_database_refuses_to_change_delete_or_replace(journal, path):
    with journal.transaction() as tx:
        for number in range(3):
            tx.audit(NOW, "田中", "release", {"n": number})
    before = chain_of(journal)
    with sqlite3.connect(path) as raw:
        for statement in (
            "update audit set actor='x' where entry=1",
            "delete from audit where entry=3",
            "delete from audit",
            "insert or replace into audit select 2, at, 'x', what, body, prev, hash from audit where entry=1",
            "insert into audit select 9, at, 'x', what, body, prev, hash from audit where entry=1",
            "insert into audit select 0, at, 'x', what, body, prev, hash from audit where entry=1",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                raw.execute(statement)
    raw.close()
    assert chain_of(journal) == before
    assert verify(before) == journal.audit_head() == Head(3, before[-1].hash)


def test_what_the_triggers_cannot_hinder_is_found(journal, path):
    with journal.transaction() as tx:
        for number in range(4):
            tx.audit(NOW, "田中", "release", {"n": number})
    anchor = journal.audit_head()
    with sqlite3.connect(path) as raw:
        raw.executescript("drop trigger audit_no_update; drop trigger audit_no_delete;")
        raw.execute("update audit set actor='佐藤' where entry=2")
    assert verify(chain_of(journal)) == Broken(2, "has been changed")
    with sqlite3.connect(path) as raw:
        raw.execute("delete from audit where entry>1")
    raw.close()
    assert isinstance(verify(chain_of(journal)), Head)
    assert isinstance(verify(chain_of(journal), [anchor]), Broken)


def test_an_act_and_its_entry_are_committed_together_or_not_at_all(journal):
    def cut_short():
        with journal.transaction() as tx:
            tx.report(LOT, 1, override())
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        cut_short()
    assert journal.reports(LOT, 1, 10) == (0, ())
    assert chain_of(journal) == []
    with journal.transaction() as tx:
        tx.report(LOT, 1, override())
    assert len(chain_of(journal)) == 1


def test_each_override_carries_the_head_to_the_cloud(journal):
    with journal.transaction() as tx:
        tx.report(LOT, 1, override())
    first, reports = journal.reports(LOT, 1, 10)
    head = journal.audit_head()
    assert first == 1
    assert reports == (override(), AuditHead(entry=1, head=head.hash, at=NOW))


@pytest.mark.parametrize(
    ("report", "actor", "what"),
    [
        (override(verb="hold_open"), "田中", "hold_open"),
        (override(verb="end_hold", stay=None), "田中", "end_hold"),
        (
            OverrideMatched(command_id="c", actor="佐藤", reason="r", at=NOW, whose=Whose.STAY, stay=STAY),
            "佐藤",
            "assign",
        ),
        (Redeemed(number=3, at=NOW, way=Way.CODE, actor="佐藤", stay=STAY, amount=600), "佐藤", "code"),
        (Refused(number=3, at=NOW, code="not-settled", detail="plate is up", by="佐藤"), "佐藤", "resolve"),
        (
            Settled(number=3, at=NOW, level=Level.SENT, evidence=(Evidence(EvidenceKind.PERSON, "saw it"),), by="佐藤"),
            "佐藤",
            "resolve",
        ),
    ],
)
def test_what_a_person_did_is_chained_with_who_and_why(journal, report, actor, what):
    with journal.transaction() as tx:
        tx.report(LOT, 1, report)
    (entry,) = chain_of(journal)
    assert (entry.actor, entry.what) == (actor, what)
    assert '"lot":1001' in entry.body
    if isinstance(report, Settled):
        assert "saw it" in entry.body
    if isinstance(report, Refused):
        assert "plate is up" in entry.body


@pytest.mark.parametrize(
    "report",
    [
        Received(number=3, at=NOW),
        Settled(number=3, at=NOW, level=Level.SENT, evidence=()),
        Refused(number=3, at=NOW, code="expired", detail=""),
    ],
)
def test_what_no_person_did_is_not_chained(journal, report):
    with journal.transaction() as tx:
        tx.report(LOT, 1, report)
    assert chain_of(journal) == []


def test_reports_that_a_new_enrolment_carries_over_are_not_chained_twice(journal):
    with journal.transaction() as tx:
        tx.report(LOT, 1, override())
    with journal.transaction() as tx:
        tx.carry_over(LOT, 2)
    assert len(journal.reports(LOT, 2, 10)[1]) == 2
    assert len(chain_of(journal)) == 1


def test_a_number_plate_never_enters_the_chain(journal):
    with journal.transaction() as tx:
        tx.report(LOT, 1, override(stay=StayRef(NameKind.PLATE, "品川300あ1234", NOW)))
    (entry,) = chain_of(journal)
    assert "1234" not in entry.body
    assert '"stay":{"kind":"plate"}' in entry.body
    assert '"command_id":"c-1"' in entry.body


def test_two_writers_of_one_journal_keep_one_chain(journal, path):
    second = Journal(path)
    for number in range(10):
        for writer in (journal, second):
            with writer.transaction() as tx:
                tx.audit(NOW, "田中", "sign_in", {"n": number})
    second.close()
    assert verify(chain_of(journal)) == journal.audit_head()
    assert journal.audit_head().entry == 20


def test_a_writer_waits_for_the_other_instead_of_failing(journal, path):
    """A transaction that begins by reading would fail at its first write, had another written meanwhile."""
    second = Journal(path)
    second._db.execute("pragma busy_timeout=50")
    with journal.transaction() as tx:
        assert journal.audit_head().entry == 0
        with pytest.raises(Environment, match="locked"), second.transaction() as other_tx:
            other_tx.audit(NOW, "a", "b", {})
        tx.audit(NOW, "田中", "release", {})
    second.close()
    assert journal.audit_head().entry == 1
