"""A crash at every SQL statement of an upgrade: the journal of the former version opens, whole, at the next start."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from bridge import crash_points
from bridge.journal import Journal
from bridge.schema import migrations
from demo.program import ROOT
from parking.stay import LotId
from tests.rigs.figures import FULL, count

OPEN = "import sys; from pathlib import Path; from bridge.journal import Journal; Journal(Path(sys.argv[1]))"


@pytest.fixture
def old(tmp_path: Path) -> Callable[[int], Path]:
    """A journal as the first version left it, with rows."""

    def make(number: int) -> Path:
        path = tmp_path / str(number) / "journal.db"
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as connection:
            db = Database(connection)
            steps = [migration.name for migration in migrations.pending(db)]
            migrations.apply(db, stop_before=steps[1])
            db.table("rejects").insert({"lot": 1, "number": 1, "entry": "e", "code": "c", "detail": "d", "at": "2026"})
            db.table("counters").insert({"name": "cursor:1", "value": 1})
            db.table("counters").insert({"name": "report:1:3", "value": 7})
            db.conn.commit()
        return path

    return make


def opened(path: Path, statement: int) -> int:
    """Open the journal in a process that dies at a statement; its exit status."""
    environment = {**os.environ, "DAIKO_CRASH_AT": f"migration.statement:{statement}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], cwd=ROOT, env=environment, check=False, timeout=120
    ).returncode


@pytest.mark.timeout(900)
def test_an_upgrade_can_be_cut_off_at_any_statement(old: Callable[[int], Path]) -> None:
    statement, crashes = 1, 0
    while True:
        path = old(statement)
        status = opened(path, statement)
        journal = Journal(path)
        assert journal.cursor(LotId(1)) == 1
        assert journal.known(LotId(1), 1)
        assert journal.generation(LotId(1)) == 3  # what the step `birth_marks` makes of the old rows
        assert journal.under_way() == []  # the last step's column is there
        journal.close()
        if status == 0:
            break
        assert status == crash_points.STATUS
        crashes += 1
        statement += 1 if FULL else 11
    assert crashes >= (30 if FULL else 3)
    count("crashes at statements of a journal's upgrade", crashes)
