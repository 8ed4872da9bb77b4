"""The programs' logs: whatever strangers type, a record is one line of its own."""

import io
import logging
import re

import pytest

from bridge import logs as bridge_logs
from cloud import logs as cloud_logs
from parking.errors import one_line

LOGS = [bridge_logs, cloud_logs]
FORGED = "x\n2026-11-24T03:00:00.000Z WARNING cloud: all is well\r\x1b[2J\u2028\u202e\x00\x85"


@pytest.fixture(params=LOGS, ids=lambda module: module.__name__)
def written(request, monkeypatch):
    """What a record looks like, and the logger that writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param.Lines())
    log = logging.getLogger("cloud")
    monkeypatch.setattr(log, "handlers", [handler])
    monkeypatch.setattr(log, "level", logging.INFO)
    return log, stream


def test_nobody_can_write_a_line_of_the_log(written):
    log, stream = written
    log.warning("no lot %s", FORGED)
    lines = stream.getvalue().split("\n")
    assert len(lines) == 2
    assert lines[0].isprintable()
    assert r"\n2026-11-24" in lines[0]


def test_nobody_can_write_a_line_by_way_of_an_error(written):
    log, stream = written
    try:
        raise ValueError(FORGED)
    except ValueError:
        log.exception("failed")
    first, *trace = stream.getvalue().rstrip("\n").split("\n")
    assert first.endswith("failed")
    assert len(trace) >= 3
    assert all(line.startswith("    ") for line in trace)
    assert not any("\x1b" in line or "\r" in line for line in trace)


def test_times_are_utc_and_say_so(written):
    log, stream = written
    log.info("begun")
    log.error("begun")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \w+ +cloud: begun\n", stream.getvalue())


def test_japanese_stays_as_it_is():
    assert one_line("若葉町第1駐車場 – ok") == "若葉町第1駐車場 – ok"
