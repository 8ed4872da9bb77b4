"""Every word in both languages, and every word that the program uses is there."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter

import pytest

from console.i18n import Language, Phrases, elapsed, zone_of
from console.inputs import Progress
from console.texts import TEXTS
from console.words import CODES, HAPPENINGS, SOURCES
from parking.commands import Verb
from parking.desk import CasePhase, CommandState, ExitKind, Position, StayState
from parking.errors import Code
from parking.outcome import EvidenceKind

CONSOLE = Path(__file__).resolve().parents[2] / "console"


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("table", [TEXTS, CODES, HAPPENINGS, SOURCES], ids=["texts", "codes", "happenings", "sources"])
def test_both_languages_say_the_same_things(table):
    for key, (japanese, english) in table.items():
        assert japanese.strip(), key
        assert english.strip(), key
        assert fields(japanese) == fields(english), key
        assert not re.search("[\u3040-\u9fff]", english), key


def test_every_error_code_has_words():
    assert set(CODES) == {code.value for code in Code}


def test_every_word_of_the_wire_has_words():
    wanted = {f"state.{state}" for state in StayState} | {f"evidence.{kind}" for kind in EvidenceKind}
    wanted |= {f"verb.{verb}" for verb in Verb} | {f"outcome.{state}" for state in (*CommandState, *Progress)}
    wanted |= {f"position.{kind}.{position}" for kind in ExitKind for position in Position}
    assert wanted - set(TEXTS) == set()
    assert {phase.value for phase in CasePhase} - set(HAPPENINGS) == set()


def test_every_key_that_the_program_asks_for_exists_and_none_is_left_over():
    programs = [path for path in CONSOLE.glob("*.py") if not path.name.endswith("texts.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in programs)
    asked = set(re.findall(r'phrases\(\s*["\']([a-z_.]+)["\']', source)) | set(
        re.findall(r'TEXTS\["([a-z_.]+)"\]', source)
    )
    assert asked - set(TEXTS) == set()
    literals = set(re.findall(r'["\']([A-Za-z0-9_.]+)["\']', source))
    families = set(re.findall(r'f["\']((?:[a-z_]+\.)+)\{', source))
    unused = {key for key in TEXTS if key not in literals and not any(key.startswith(name) for name in families)}
    assert unused == set()


def test_words_of_orders_are_put_together():
    say = Phrases(Language.JA)
    assert say.happening("release_not_confirmed") == "開 (1回) — 確認できず"
    assert say.happening("something_new") == "something_new"
    assert say.particular("malfunction") == "機器不調"
    assert say.cause("no-reply", "0.5 s") == "応答なし — 0.5 s"


def test_amounts_ages_and_times_are_written_as_people_write_them():
    ja, en = Phrases(Language.JA), Phrases(Language.EN)
    assert (ja.amount(1200), en.amount(1200), en.amount(None)) == ("1,200円", "¥1,200", "–")
    assert [ja.age(timedelta(seconds=at)) for at in (48, 95, 7500, 90000)] == ["48秒", "1分", "2時間05分", "1日1時間"]
    at, tokyo = datetime(2026, 11, 23, 5, 2, 31, tzinfo=UTC), zone_of("Asia/Tokyo")
    assert (ja.day(at, tokyo), en.day(at, tokyo)) == ("11/23(月) 14:02:31", "11/23(Mon) 14:02:31")
    assert ja.moment(at, at + timedelta(hours=9), tokyo) == "14:02:31"
    assert ja.moment(at, at + timedelta(hours=10), tokyo, seconds=False) == "11/23 14:02"
    assert elapsed(at, at + timedelta(minutes=261)) == "4:21"


def test_an_unknown_time_zone_does_not_stop_the_window():
    assert datetime.now(zone_of("Mars/Olympus")).tzinfo is not None
