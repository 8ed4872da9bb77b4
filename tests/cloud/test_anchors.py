"""Whoever changes a lot's record of what people did is found, by the cloud as the bridge reports and by the command."""

import json
import secrets
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge import audit, keys
from bridge.__main__ import main as bridge_main
from bridge.anchor import Anchor
from bridge.core import Core
from bridge.journal import Journal
from bridge.keys import Identity
from cloud import alarms, anchors, day_report
from cloud.__main__ import main as cloud_main
from cloud.days import DayReport
from parking.errors import Code
from parking.reports import AuditHead, DeviceHealth, Override, Whose, day_of
from parking.signing import KeyRing
from parking.stay import LotId
from parking.wire import Problem, decode

LOT = LotId(1001)
PLATES = Path(__file__).parents[2] / "seeds" / "lots" / "bay-plates.toml"


def now():
    return datetime.now(UTC)


class Office:
    """A real journal with its chain, and the real anchor; its reports go out signed, under the bridge's own numbers."""

    def __init__(self, folder, cloud):
        self.folder, self.cloud = folder / "office", cloud
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        self.path = self.data / "journal.db"
        self.bridge = cloud.bridge(LOT)
        self.adopt()

    def adopt(self):
        reply = self.bridge.reply
        self.generation = reply.generation
        names = {"bridge_id": reply.bridge_id, "generation": reply.generation, "lots": reply.lots}
        identity = Identity(cloud_url=self.cloud.url, completion_keys=reply.completion_keys, **names)
        keys.save_identity(self.data, identity)
        self.write(lambda tx: tx.carry_over(LOT, self.generation))

    def enrol_again(self):
        """The same key under a new generation."""
        assert self.bridge.enrol(self.cloud.code(LOT)).ok
        self.cloud.let_in(self.bridge)
        assert self.bridge.fetch().ok
        self.adopt()

    def write(self, write):
        with closing(Journal(self.path)) as journal, journal.transaction() as tx:
            write(tx)

    def run(self, until=lambda: True):
        """The bridge starts, chains it, and anchors; then it stops."""
        with closing(Journal(self.path)) as journal:
            parts = {"scene": lambda *_: None, "perform": lambda *_: None, "show": lambda _: None}
            core = Core(journal=journal, keys=KeyRing({}), generation=self.generation, clock=now, **parts)
            core.start()
            lots = {"lots": (LOT,), "generation": self.generation}
            anchor = Anchor(core=core, clock=now, start={}, look=lambda: None, every=60, **lots)
            before = journal.audit_head().entry
            anchor.start()
            self.cloud.until(lambda: journal.audit_head().entry > before)
            anchor.stop()
            core.stop()

    def open_by_hand(self, actor="Tanaka"):
        self.write(lambda tx: tx.report(LOT, self.generation, an_override(actor)))

    def send(self):
        """Send what is queued; the last answer."""
        with closing(Journal(self.path)) as journal:
            first, reports = journal.reports(LOT, self.generation, 3)
            answer = self.bridge.report(LOT, *reports, first=first)
            while reports and answer.ok:
                through = json.loads(answer.content)["accepted_through"]
                with journal.transaction() as tx:
                    tx.accepted(LOT, self.generation, through)
                first, reports = journal.reports(LOT, self.generation, 3)
                answer = self.bridge.report(LOT, *reports, first=first) if reports else answer
            return answer

    def head(self):
        with closing(Journal(self.path)) as journal:
            return journal.audit_head()

    def tamper(self, script, *values):
        with closing(sqlite3.connect(self.path)) as raw:
            raw.executescript("drop trigger audit_no_update; drop trigger audit_no_delete;")
            raw.execute(script, values)
            raw.commit()

    def write_anew(self):
        """All entries by somebody else, all hashes right."""
        with closing(sqlite3.connect(self.path)) as raw:
            raw.executescript("drop trigger audit_no_update; drop trigger audit_no_delete;")
            prev = audit.GENESIS
            for one in list(audit.entries(raw)):
                new = audit.digest(one.entry, one.at, "nobody", one.what, one.body, prev)
                raw.execute("update audit set actor='nobody', prev=?, hash=? where entry=?", (prev, new, one.entry))
                prev = new
            raw.commit()

    def copy(self):
        """All files of the journal, as they are."""
        shutil.copytree(self.data, self.folder / "copy")

    def put_back(self):
        shutil.rmtree(self.data)
        shutil.copytree(self.folder / "copy", self.data)

    def alarms(self):
        async def read():
            async with self.cloud.cloud.store.read() as db:
                return await alarms.alarms_of(db, LOT)

        return [(row["code"], row["detail"]) for row in self.cloud.do(read())]

    def kept(self):
        async def read():
            async with self.cloud.cloud.store.read() as db:
                return (await anchors.of_lot(db, LOT)).anchors

        return [(one.generation, one.entry, one.head) for one in self.cloud.do(read())]


def an_override(actor):
    words = {"verb": "release", "exit": "7", "reason": "1 fault", "outcome": "confirmed"}
    return Override(command_id=secrets.token_hex(8), actor=actor, at=now(), stay=None, whose=Whose.NOBODY, **words)


@pytest.fixture
def office(tmp_path, cloud, monkeypatch):
    """A bridge that ran, opened by hand three times, and told the cloud."""
    office = Office(tmp_path, cloud)
    office.run()
    for _ in range(3):
        office.open_by_hand()
    assert office.send().ok
    assert office.alarms() == []
    return office


@pytest.fixture
def commands(tmp_path, office, capsys):
    """The commands of both sides, on their own files."""
    (tmp_path / "cloud.toml").write_text(
        '[payments]\nurl = "http://127.0.0.1:1"\napi_key = "k"\nwebhook_secret = "wwwwwwwwwwwwwwwwwwww"\n'
    )
    (office.folder / "bridge.toml").write_text(
        f'[bridge]\nname = "office"\ndata = "data"\n[cloud]\nurl = "{office.cloud.url}"\n'
        f'[[lot]]\nprofile = "{PLATES.as_posix()}"\n[lot.urls]\nplates = "socket://127.0.0.1:9"\n'
    )

    class Commands:
        def cloud(self, *words):
            capsys.readouterr()
            assert cloud_main([*words, "--config", str(tmp_path / "cloud.toml")]) == 0
            return capsys.readouterr().out

        def verify(self, *words):
            """The independent copy, fetched anew, and the chain held against it."""
            file = office.folder / "anchors.json"
            file.write_text(self.cloud("anchors", "WAKABA1", "--json"))
            capsys.readouterr()
            config = ["--config", str(office.folder / "bridge.toml")]
            status = bridge_main(["audit", "verify", "--anchors", str(file), *words, *config])
            out, err = capsys.readouterr()
            return status, out + err

    return Commands()


# --- an honest chain -------------------------------------------------------------------------------------------------


def test_every_head_is_kept_once_and_an_honest_chain_holds(office, commands):
    assert [(generation, entry) for generation, entry, _ in office.kept()] == [(1, 1), (1, 2), (1, 3), (1, 4)]
    assert office.kept()[-1][2] == office.head().hash
    office.run()
    office.open_by_hand()
    assert office.send().ok
    status, said = commands.verify()
    assert (status, office.alarms()) == (0, [])
    assert "held against 6 heads of enrolment 1 and later" in said
    assert f"head {office.head()}" in said
    assert office.head().hash in commands.cloud("anchors", "WAKABA1")


def test_reports_sent_twice_and_a_new_enrolment_of_the_same_bridge_raise_nothing(office, commands):
    office.open_by_hand()
    office.run()
    office.copy()
    assert office.send().ok
    office.put_back()  # as if the answers were lost: the same reports go out again
    assert office.send().ok
    office.open_by_hand()
    office.enrol_again()  # what was never reported goes under the new number
    office.run()
    assert office.send().ok
    assert office.alarms() == []
    assert commands.verify()[0] == 0
    assert commands.verify("--since", "1")[0] == 0


def test_another_pc_begins_a_chain_of_its_own(office, cloud, tmp_path):
    other = Office(tmp_path / "other", cloud)
    other.run()
    other.open_by_hand()
    assert other.send().ok
    assert other.alarms() == []
    assert [one[:2] for one in other.kept()][-2:] == [(2, 1), (2, 2)]


# --- tampering -------------------------------------------------------------------------------------------------------


def found(office, commands):
    """What the cloud and the command say once the bridge has run and reported again."""
    office.run()
    assert office.send().ok
    [(code, detail)] = office.alarms()
    assert code == Code.AUDIT
    status, said = commands.verify()
    assert status == 1
    assert "[audit] entry" in said
    assert json.loads(commands.cloud("alarms", "WAKABA1", "--json"))[-1]["code"] == "audit"
    return detail, said


def test_a_chain_that_was_cut_off_is_found(office, commands):
    office.tamper("delete from audit where entry>2")
    detail, said = found(office, commands)
    assert "had reached entry 4 under enrolment 1, and has another entry 3" in detail
    assert "entry 3 is not the one whose hash was anchored" in said


def test_a_chain_that_was_cut_off_and_has_not_grown_since_is_found_by_the_command(office, commands):
    office.tamper("delete from audit where entry>2")
    status, said = commands.verify()
    assert status == 1
    assert "entry 3 is missing: the chain once reached entry 4" in said


def test_a_chain_that_was_written_anew_is_found(office, commands):
    office.write_anew()
    assert isinstance(audit.verify(audit.entries(sqlite3.connect(office.path))), audit.Head)  # whole in itself
    detail, said = found(office, commands)
    assert "had reached entry 4 under enrolment 1, and has another entry 4" in detail
    assert "written anew" in said


def test_a_chain_that_begins_anew_under_the_same_key_is_found(office, commands):
    office.path.unlink()
    office.enrol_again()
    office.run()
    assert office.send().ok
    office.run()
    assert office.send().ok
    [(code, detail)] = office.alarms()  # once, then the new chain is followed
    assert code == Code.AUDIT
    assert "under enrolment 1, and has another entry 1" in detail
    assert commands.verify()[0] == 0
    assert commands.verify("--since", "1")[0] == 1


def test_a_journal_put_back_from_an_older_copy_is_found_however_much_it_has_made_since(office, commands):
    office.copy()
    for _ in range(3):
        office.open_by_hand("Sato")
    office.run()
    assert office.send().ok
    office.put_back()
    office.run()
    for _ in range(9):  # it has more reports now than the cloud: its count alone shows nothing
        office.open_by_hand("Suzuki")
    answer = office.send()
    assert (answer.status_code, decode(answer.content, Problem).code) == (409, Code.JOURNAL_LOST)
    assert office.send().status_code == 409
    [(code, detail)] = office.alarms()
    assert code == Code.JOURNAL_LOST
    assert "older copy" in detail
    assert commands.verify()[0] == 1

    office.enrol_again()  # the remedy: nothing that it has made since is lost
    office.run()
    assert office.send().ok
    assert [code for code, _ in office.alarms()] == [Code.JOURNAL_LOST, Code.AUDIT]
    rows = json.loads(commands.cloud("overrides", "WAKABA1", "--json"))
    assert [row["actor"] for row in rows].count("Suzuki") == 9


def test_a_report_altered_after_it_was_accepted_takes_nothing_of_its_batch(office):
    bridge = office.bridge
    honest = DeviceHealth(device="plates", up=True, detail="ok", at=now())
    through = json.loads(bridge.report(LOT, first=1).content)["accepted_through"]
    assert bridge.report(LOT, honest, first=through + 1).ok
    assert bridge.report(LOT, honest, honest, first=through + 1).ok
    forged = DeviceHealth(device="plates", up=False, detail="ok", at=now())
    assert bridge.report(LOT, forged, honest, honest, first=through + 1).status_code == 409
    assert bridge.report(LOT, honest, honest, first=through + 2).ok
    assert json.loads(bridge.report(LOT, first=1).content)["accepted_through"] == through + 3


# --- what the operator reads -----------------------------------------------------------------------------------------


def test_the_days_report_ends_with_the_days_last_head(office, commands, cloud):
    first = office.kept()[-1]
    today = commands.cloud("day", "show", "WAKABA1", str(day_of(now(), ZoneInfo("Asia/Tokyo"), 0)), "--language", "en")
    assert f"head of the audit record  {first[1]}:{first[2]}" in today
    yesterday = commands.cloud("day", "show", "WAKABA1", "2020-01-01")
    assert yesterday.endswith("監査記録の先端  -\n")
    empty = DayReport(LOT, now().date(), None, None, (), "", None)
    assert day_report.render(empty, "Wakaba", "en", None).endswith("head of the audit record  -")


def test_a_file_without_heads_of_this_enrolment_or_of_another_kind_proves_nothing(office, commands, capsys):
    status, said = commands.verify("--since", "2")
    assert status == 2
    assert "no heads of enrolment 2" in said
    other = office.folder / "other.json"
    for content in (b"[]", b'{"schema":2}', None):
        if content is not None:
            other.write_bytes(content)
        else:
            other.unlink()
        config = ["--config", str(office.folder / "bridge.toml")]
        assert bridge_main(["audit", "verify", "--anchors", str(other), *config]) == 2


def test_what_is_no_hash_is_refused_at_the_door(office):
    assert office.bridge.report(LOT, AuditHead(entry=9, head="x", at=now())).status_code == 400
