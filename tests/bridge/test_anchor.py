"""The cloud always holds a head of the audit chain that is not older than five minutes."""

from datetime import UTC, datetime

import pytest

from bridge import audit
from bridge.anchor import Anchor, fingerprints
from bridge.core import Core
from bridge.journal import Journal
from parking.reports import AuditHead
from parking.signing import KeyRing
from parking.stay import LotId

LOTS = (LotId(1001), LotId(1002))


def now():
    return datetime.now(UTC)


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.db")
    yield journal
    journal.close()


@pytest.fixture
def core(journal, threads_clean):
    core = Core(
        journal=journal,
        keys=KeyRing({}),
        generation=1,
        clock=now,
        scene=lambda case, rival: None,
        perform=lambda case, effect: None,
        show=lambda view: None,
    )
    core.start()
    yield core
    core.stop()


@pytest.fixture
def anchored(core):
    """Start an anchor that reports every 20 ms; `look` raises what it is given."""
    made = []

    def start(look=lambda: None, every=0.02):
        made.append(Anchor(core=core, lots=LOTS, generation=1, clock=now, start={"lots": {}}, look=look, every=every))
        made[-1].start()

    yield start
    for anchor in made:
        anchor.stop()


def heads(journal, lot=LOTS[0]):
    return [(one.entry, one.head) for one in journal.reports(lot, 1, 1000)[1] if isinstance(one, AuditHead)]


def test_the_start_is_chained_and_the_head_reported_for_each_lot(journal, anchored, until):
    anchored(every=60)
    until(lambda: heads(journal, LOTS[1]))
    (entry,) = audit.entries(journal._db)
    assert (entry.what, entry.actor, entry.body) == ("start", "relay", '{"lots":{}}')
    assert heads(journal, LOTS[0]) == heads(journal, LOTS[1]) == [(1, entry.hash)]


def test_the_head_is_reported_again_when_it_has_moved_and_only_then(journal, core, anchored, until):
    looks = []
    anchored(look=lambda: looks.append(1))
    until(lambda: len(looks) > 10)
    assert len(heads(journal)) == 1
    core.write(lambda tx: tx.audit(now(), "佐藤", "sign_in", {}) and None, 5)
    until(lambda: len(heads(journal)) == 2)
    assert heads(journal)[-1] == (2, journal.audit_head().hash)
    seen = len(looks)
    until(lambda: len(looks) > seen + 10)
    assert len(heads(journal)) == 2


def test_a_head_that_could_not_be_committed_is_reported_later(journal, anchored, until):
    """What was rolled back has not been reported, whatever was tried."""
    journal._db.execute("alter table reports rename to away")
    looks = []
    anchored(look=lambda: looks.append(1))
    until(lambda: len(looks) > 3)
    assert journal.audit_head().entry == 0
    journal._db.execute("alter table away rename to reports")
    until(lambda: journal.audit_head().entry >= 1 and heads(journal))
    assert heads(journal)[-1][0] == journal.audit_head().entry


def write_anew(journal):
    """Somebody else did it all, and every hash is right."""
    journal._db.execute("drop trigger audit_no_update")
    prev = audit.GENESIS
    for one in list(audit.entries(journal._db)):
        new = audit.digest(one.entry, one.at, "nobody", one.what, one.body, prev)
        journal._db.execute("update audit set actor='nobody', prev=?, hash=? where entry=?", (prev, new, one.entry))
        prev = new


def test_the_head_that_is_found_at_start_is_reported_before_anything_is_added_to_it(journal, anchored, until):
    with journal.transaction() as tx:
        tx.audit(now(), "佐藤", "sign_in", {})
    found = journal.audit_head()
    anchored(every=60)
    until(lambda: len(heads(journal)) == 2)
    assert heads(journal) == [(1, found.hash), (2, journal.audit_head().hash)]


def test_a_chain_written_anew_under_a_running_bridge_tells_the_head_that_stands_where_another_was_told(
    journal, core, anchored, until
):
    anchored()
    until(lambda: heads(journal))
    told = heads(journal)[-1]
    core.write(lambda tx: write_anew(journal) or (tx.audit(now(), "佐藤", "sign_in", {}) and None), 5)
    until(lambda: len(heads(journal)) == 3)
    (entry, forged), (last, _) = heads(journal)[1:]
    assert (entry, last) == (told[0], 2)
    assert forged != told[1]


def test_a_bug_elsewhere_does_not_stop_it(journal, core, anchored, until):
    def bug():
        raise RuntimeError("bug")

    anchored(look=bug)
    until(lambda: heads(journal))
    core.write(lambda tx: tx.audit(now(), "佐藤", "sign_in", {}) and None, 5)
    until(lambda: len(heads(journal)) == 2)


def test_an_unchanged_configuration_has_the_same_fingerprints(bridge_config):
    config = bridge_config("http://127.0.0.1:9")
    assert fingerprints(config, "s") == {"software": "s", "lots": {}}
