"""An installer is led through the first time on site: what moved is seen by eyes, and a wrong wire is found."""

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from console.words import CODES as CONSOLE_CODES
from drivers import profile
from drivers.__main__ import main
from drivers.base import Uncertain
from drivers.conform.attended import Attended
from drivers.conform.codes import CODES
from drivers.conform.report import Report, Result, Verdict, summary
from drivers.conform.run import run
from drivers.conform.sheet import sheet
from drivers.conform.simulated import Simulated
from drivers.conform.subject import subjects
from drivers.conform.trial import trials
from drivers.conform.words import LEVELS, Words, told
from parking.errors import Code
from parking.outcome import Level
from tests.rigs.conformance import LOTS, hurried


def silent(_):
    """Nobody is told."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return hurried("gated-plates", tmp_path_factory.mktemp("lot"), timeout_seconds=0.5, observe=2.0)


def test_an_exercise_with_the_simulated_lot_ends_with_a_sheet(path, tmp_path, capsys):
    words = ["commission", "--profile", str(path), "--sim", "--quick", "--lang", "ja"]
    assert main([*words, "--report", str(tmp_path / "sheet.json")]) == 0
    out = capsys.readouterr().out
    assert "すべて合格 (動作確認 2 件中 2 件合格)" in out
    assert 0 < out.index("gate (modbus_io): 機器が名乗った [Modbus TCP, unit 1]") < out.index("出口 1/1: OUT1")
    report = msgspec.json.decode((tmp_path / "sheet.json").read_bytes(), type=Report)
    assert [(one.exit, one.right, one.by_sensor) for one in report.trials] == [("", True, False), ("OUT1", True, True)]
    assert 0.4 < report.trials[1].seconds < 2.5  # the arm's own travel is 0.8 s
    assert [(one.device, one.named) for one in report.identities] == [("host", True), ("gate", True)]
    html = sheet(report, "ja")
    assert html.startswith("<!doctype html><html lang=ja>")
    for words in (
        "立会者署名",
        "出口 1/1: OUT1（出口1、チャンネル 0）",
        "gate",
        "機器が名乗った",
        "Modbus TCP, unit 1",
    ):
        assert words in html


class Person:
    """Answers by words of the question; keeps what was asked. `then` happens at each question."""

    def __init__(self, answers, then=silent):
        self.answers, self.asked, self.then = answers, [], then

    def __call__(self, text):
        self.asked.append(text)
        self.then(text)
        return next((said for word, said in self.answers.items() if word in text), "")


@pytest.fixture(scope="module")
def lot(path, tmp_path_factory):
    made = Simulated(path, tmp_path_factory.mktemp("run"))
    yield made
    made.close()


def at(path, lot, device, change=lambda real: real):
    """The subject of a device of a lot, as if it stood at these addresses in the profile."""
    urls = {one.id: lot.url(one.id) for one in profile.load(path).device}
    real = change(profile.load(path, urls))
    return real, next(one for one in subjects(real, device) if one.device.id == device)


@pytest.mark.parametrize(
    ("said", "moved"),
    [
        ("OUT1", ("OUT1",)),
        ("ｏｕｔ１", ("OUT1",)),
        ("出口1", ("OUT1",)),
        ("exit 1", ("OUT1",)),
        ("", ()),
    ],
)
def test_the_right_exit_and_no_other_must_be_seen_to_open(path, lot, tmp_path, said, moved):
    real, subject = at(path, lot, "gate")
    person = Person({"Which exits": said})
    told = []
    car = lot.car(subject)
    (trial,) = trials(subject, Attended(real, person, "en"), tmp_path, told.append)
    lot.tidy(subject, car)
    assert (trial.right, trial.moved, told) == (bool(moved), moved, [trial])
    assert all("Exit 1 of 1: OUT1 (Exit 1, channel 0)" in text for text in person.asked)


def test_a_name_that_no_exit_has_is_asked_again_with_those_that_there_are(path, lot, tmp_path):
    real, subject = at(path, lot, "gate")
    said = iter(("OUT7", "OUT1 OUT1"))
    person = Person({})
    car = lot.car(subject)
    attended = Attended(real, lambda text: next(said) if "Which exits" in text else person(text), "en")
    (trial,) = trials(subject, attended, tmp_path, silent)
    lot.tidy(subject, car)
    assert (trial.right, trial.moved) == (True, ("OUT1",))


def test_an_exit_opens_only_after_the_person_has_read_that_it_will(path, lot, tmp_path):
    real, subject = at(path, lot, "gate")
    before = lot.taken(subject, "", now=True)
    counts = []

    def think(text):
        if "Enter gives the order" in text:
            time.sleep(0.4)
            counts.append(lot.taken(subject, "", now=True))

    person = Person({"Which exits": "OUT1"}, think)
    car = lot.car(subject)
    (trial,) = trials(subject, Attended(real, person, "en"), tmp_path, silent)
    lot.tidy(subject, car)
    assert trial.right
    assert counts == [before]


SECOND = """[[exit]]
id = "OUT2"
kind = "gate"
label = { ja = "出口2", en = "Exit 2" }
device = "relay"
channel = 1
seen_by = { device = "inputs", channel = 1 }

[sim]"""


@pytest.fixture(scope="module")
def seen_path(tmp_path_factory):
    """Two exits that another device sees."""
    path = hurried("usb-relay", tmp_path_factory.mktemp("lot"), observe=2.0)
    path.write_text(path.read_text().replace("[sim]", SECOND))
    return path


@pytest.fixture(scope="module")
def seen_lot(seen_path, tmp_path_factory):
    made = Simulated(seen_path, tmp_path_factory.mktemp("run"))
    yield made
    made.close()


def commissioned(path, lot, folder, change, then=silent):
    """The trial of an exit that another device sees, and how often it has opened; a person saw the right one."""
    real, subject = at(path, lot, "relay", change)
    subject = replace(subject, exits=subject.exits[:1])
    before, car = lot.taken(subject, "", now=True), lot.car(subject)
    person = Person({"Which exits": "OUT1"}, then)
    (trial,) = trials(subject, Attended(real, person, "en"), folder, silent)
    opened = lot.taken(subject, "", now=True) - before
    lot.tidy(subject, car)
    return trial, opened, person


def test_a_trial_is_right_only_if_the_device_that_sees_the_exit_saw_it(seen_path, seen_lot, tmp_path):
    trial, opened, _ = commissioned(seen_path, seen_lot, tmp_path, lambda real: real)
    assert (trial.right, trial.by_sensor, opened) == (True, True, 1)
    assert trial.sight == Words("inputs（チャンネル 0）: 閉から開へ", "inputs (channel 0): closed before, open after")


def test_with_a_dead_witness_nothing_is_opened_and_the_trial_is_wrong(seen_path, seen_lot, tmp_path):
    def kill(real):
        dead = [
            msgspec.structs.replace(one, url="socket://127.0.0.1:1") if one.id == "inputs" else one
            for one in real.device
        ]
        return msgspec.structs.replace(real, device=tuple(dead))

    trial, opened, person = commissioned(seen_path, seen_lot, tmp_path, kill)
    assert (trial.right, opened, person.asked) == (False, 0, [])
    assert "inputs (channel 0), which sees this exit, cannot be read" in trial.detail.en
    assert "inputs（チャンネル 0） を読み取れない" in trial.detail.ja


def test_a_witness_on_the_wrong_channel_makes_the_trial_wrong(seen_path, seen_lot, tmp_path):
    def swap(real):
        one, other = real.exit
        swapped = (
            msgspec.structs.replace(one, seen_by=other.seen_by),
            msgspec.structs.replace(other, seen_by=one.seen_by),
        )
        return msgspec.structs.replace(real, exit=swapped)

    trial, opened, _ = commissioned(seen_path, seen_lot, tmp_path, swap)
    assert (trial.right, trial.by_sensor, opened) == (False, False, 1), trial
    assert trial.sight.en == "inputs (channel 1) did not show it open; it showed OUT2 open"
    assert "sent only" in trial.broken[0].en


def test_another_exit_that_is_seen_to_open_makes_the_trial_wrong_whatever_the_person_saw(seen_path, seen_lot, tmp_path):
    other = subjects(profile.load(seen_path), "relay")[0]
    other = replace(other, exit=other.exits[1])

    def meanwhile(text):
        if "Enter gives the order" in text:
            seen_lot.cash(other, "")

    trial, opened, _ = commissioned(seen_path, seen_lot, tmp_path, lambda real: real, meanwhile)
    assert (trial.right, trial.by_sensor, opened) == (False, True, 1)
    assert trial.sight.en == "inputs (channel 0): closed before, open after; it showed OUT2 open"


def blind(real):
    """Nobody sees the exits."""
    return msgspec.structs.replace(real, exit=tuple(msgspec.structs.replace(one, seen_by=None) for one in real.exit))


def test_a_trial_is_wrong_if_less_is_proven_than_the_profile_wants(seen_path, seen_lot, tmp_path):
    trial, opened, _ = commissioned(seen_path, seen_lot, tmp_path, blind)
    assert (trial.right, trial.moved, opened) == (False, ("OUT1",), 1)
    assert trial.broken[0].en == "proven as sent only; the profile wants physically observed"


def test_what_sees_an_exit_can_be_named_as_the_device_to_test(seen_path):
    assert [one.device.id for one in subjects(profile.load(seen_path), "inputs")] == ["relay"]


def test_a_person_counts_before_and_after_and_cannot_mistake_one_for_the_other(path, lot, tmp_path):
    real, subject = at(path, lot, "gate")
    counts, asked = iter(("x", "y", "３", "1", "4")), []

    def person(text):
        if "How often" in text or "how often" in text:
            asked.append(text)
            return next(counts)
        return ""

    car = lot.car(subject)
    (result,) = run(subject, Attended(real, person, "en"), tmp_path, ["normal"], silent, silent)
    lot.tidy(subject, car)
    assert result.verdict is Verdict.PASSED, result
    before, again, once_more, now, not_less = asked
    assert "Before this test" in before
    assert again == once_more == f"A number, please. {before}"
    assert "Now: how often" in now
    assert "your count before: 3" in now
    assert "cannot be less than 3" in not_less


def test_whether_a_machine_was_paid_is_asked_until_the_answer_is_yes_or_no():
    real = profile.load(LOTS / "mdb-station.toml")
    (subject,) = subjects(real)
    said = iter(("", "perhaps", "ｙｅｓ"))
    person = Person({})
    attended = Attended(real, lambda text: next(said) if "(y/n)" in text else person(text), "en")
    assert attended.watch(subject).moved == ("pay",)
    assert list(said) == []


@pytest.mark.parametrize("case", ["again", "late-approval", "cash-race"])
def test_what_will_be_skipped_is_skipped_before_a_person_does_anything_for_it(seen_path, seen_lot, tmp_path, case):
    real, subject = at(seen_path, seen_lot, "relay", blind)
    person = Person({})
    (result,) = run(subject, Attended(real, person, "en"), tmp_path, [case], silent, silent)
    assert (result.verdict, person.asked) == (Verdict.SKIPPED, [])


@pytest.mark.parametrize("device", ["gate", "host"])
def test_addresses_of_the_test_itself_are_not_on_the_sheet(path, lot, tmp_path, device):
    subject = next(iter(subjects(profile.load(path), device)))
    (result,) = run(subject, lot, tmp_path, ["unreachable"], silent, silent)
    assert (result.verdict, "127.0.0.1" in result.detail.of("ja")) == (Verdict.PASSED, False), result
    assert device in result.detail.said


def test_machines_are_not_touched_without_a_person_at_the_window(path, capsys):
    assert main(["commission", "--profile", str(path)]) == 2
    assert "terminal" in capsys.readouterr().err
    assert main(["conform", "--profile", str(path), "--real"]) == 2


def test_the_suite_names_its_cases_and_wants_a_profile(capsys):
    assert main(["conform", "--list", "--lang", "ja"]) == 0
    assert "雑音" in capsys.readouterr().out
    assert main(["conform"]) == 2
    assert "--profile" in capsys.readouterr().err


@pytest.mark.parametrize(("spoken", "title"), [("ja_JP.UTF-8", "雑音"), ("de_DE.UTF-8", "Garbage"), ("C", "Garbage")])
def test_the_suite_speaks_the_language_of_the_system(monkeypatch, capsys, spoken, title):
    monkeypatch.setenv("LC_ALL", spoken)
    assert main(["conform", "--list"]) == 0
    assert title in capsys.readouterr().out


def test_what_a_case_found_is_told_in_the_language_of_the_sheet():
    doubt = told(Uncertain("no answer to the command"))
    assert doubt.of("ja") == "結果不明: 応答なし [no answer to the command]"
    assert doubt.of("en") == "uncertain: No reply [no answer to the command]"
    for level in Level:
        assert LEVELS[level].ja != LEVELS[level].en


def test_each_code_of_a_driver_has_words_and_they_are_those_of_the_console():
    sources = (Path(__file__).parents[2] / "drivers").rglob("*.py")
    used = {name for file in sources for name in re.findall(r"(?<!\w)Code\.([A-Z_]+)", file.read_text())}
    assert {Code[name] for name in used if name in Code.__members__} <= CODES.keys()
    assert {code.value: words for code, words in CODES.items()}.items() <= CONSOLE_CODES.items()


def test_one_failure_makes_the_whole_fail_and_is_on_the_sheet():
    gate = Words("gate・出口", "gate as exit")
    good = Result(
        subject=gate, case="normal", verdict=Verdict.PASSED, detail=Words("実行", "applied", "it <said>"), seconds=1.0
    )
    bad = msgspec.structs.replace(good, case="garbage", verdict=Verdict.FAILED, broken=(Words("2回", "acted <twice>"),))
    at = datetime(2026, 11, 25, tzinfo=UTC)
    report = Report(lot="L", profile="p.toml", version="1", at=at, real=True, planned=2, results=(good, bad))
    assert not report.passed
    assert "Some failed" in summary(report, "en")
    assert "acted &lt;twice&gt;" in sheet(report, "en")
    assert "実行 / 2回<small lang=en>it &lt;said&gt;</small>" in sheet(report, "ja")
    assert "gate・出口" in sheet(report, "ja")
    assert msgspec.structs.replace(report, results=(good,)).passed
    assert not msgspec.structs.replace(report, results=()).passed
    cut = msgspec.structs.replace(report, results=(good,), interrupted=True)
    assert not cut.passed
    assert "Interrupted after 1 of 2" in sheet(cut, "en")
    assert "2 件中 1 件で中断" in sheet(cut, "ja")
    assert json.loads(msgspec.json.encode(report))["results"][1]["verdict"] == "failed"


@pytest.mark.parametrize("name", ["sheet.pdf", "sheet", "nowhere/sheet.html", "folder.html"])
def test_a_sheet_that_cannot_be_written_is_refused_before_anything_is_tried(path, tmp_path, capsys, name):
    (tmp_path / "folder.html").mkdir()
    for words in (["commission", "--sim", "--quick"], ["conform", "--only", "identify"]):
        assert main([*words, "--profile", str(path), "--report", str(tmp_path / name)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert name in said.err
    assert [one.name for one in tmp_path.iterdir()] == ["folder.html"]


def test_a_sheet_of_before_is_there_until_the_new_one_is(path, tmp_path):
    before = tmp_path / "sheet.html"
    before.write_text("signed")
    assert main(["conform", "--profile", str(path), "--device", "none", "--report", str(before)]) == 2
    assert before.read_text() == "signed"
