"""An installer is led through the first time on site: what moved is seen by eyes, and a wrong wire is found."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from drivers import profile
from drivers.__main__ import main
from drivers.base import Uncertain
from drivers.conform.attended import Attended
from drivers.conform.report import Report, Result, Verdict, sheet, summary
from drivers.conform.run import run
from drivers.conform.simulated import Simulated
from drivers.conform.subject import subjects
from drivers.conform.trial import trials
from drivers.conform.words import LEVELS, Words, as_is, told
from parking.outcome import Level
from tests.rigs.conformance import hurried


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return hurried("gated-plates", tmp_path_factory.mktemp("lot"), timeout_seconds=0.5, observe=2.0)


def test_an_exercise_with_the_simulated_lot_ends_with_a_sheet(path, tmp_path, capsys):
    words = ["commission", "--profile", str(path), "--sim", "--quick", "--lang", "ja"]
    assert main([*words, "--report", str(tmp_path / "sheet.json")]) == 0
    assert "すべて合格" in capsys.readouterr().out
    report = msgspec.json.decode((tmp_path / "sheet.json").read_bytes(), type=Report)
    assert [(one.exit, one.right, one.by_sensor) for one in report.trials] == [("", True, False), ("OUT1", True, True)]
    assert 0.4 < report.trials[1].seconds < 2.5  # the arm's own travel is 0.8 s
    html = sheet(report, "ja")
    assert html.startswith("<!doctype html><html lang=ja>")
    assert "立会者署名" in html
    assert "OUT1" in html


class Person:
    """Answers by the question's first words; keeps what was asked."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def __call__(self, text):
        self.asked.append(text)
        return next((said for word, said in self.answers.items() if text.startswith(word)), "")


@pytest.fixture(scope="module")
def lot(path, tmp_path_factory):
    made = Simulated(path, tmp_path_factory.mktemp("run"))
    yield made
    made.close()


def at(path, lot, device):
    """The subject of a device of a lot, as if it stood at these addresses in the profile."""
    urls = {one.id: lot.url(one.id) for one in profile.load(path).device}
    real = profile.load(path, urls)
    return real, next(iter(subjects(real, device)))


@pytest.mark.parametrize(("said", "right"), [("OUT1", True), ("OUT2", False), ("OUT1 OUT2", False), ("", False)])
def test_the_right_exit_and_no_other_must_be_seen_to_open(path, lot, tmp_path, said, right):
    real, subject = at(path, lot, "gate")
    person = Person(Which=said)
    told = []
    car = lot.car(subject)
    (trial,) = trials(subject, Attended(real, person, "en"), tmp_path, told.append)
    lot.tidy(subject, car)
    assert (trial.right, trial.moved, told) == (right, tuple(said.split()), [trial])
    assert any(text.startswith("Watch the exits") for text in person.asked)


def test_a_person_counts_what_the_machine_did(path, lot, tmp_path):
    real, subject = at(path, lot, "gate")
    counts = iter(("0", "x", "1"))

    def person(text):
        return next(counts) if "How often" in text else ""

    car = lot.car(subject)
    (result,) = run(subject, Attended(real, person, "en"), tmp_path, ["normal"], lambda result: None)
    lot.tidy(subject, car)
    assert result.verdict is Verdict.PASSED, result


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
    for language, blame in (("ja", "結果不明"), ("en", "uncertain")):
        assert told(Uncertain("no answer")).of(language) == f"{blame}: no answer"
    for level in Level:
        assert LEVELS[level].ja != LEVELS[level].en


def test_one_failure_makes_the_whole_fail_and_is_on_the_sheet(path):
    good = Result(subject="gate", case="normal", verdict=Verdict.PASSED, detail=as_is("opened"), seconds=1.0)
    bad = msgspec.structs.replace(good, case="garbage", verdict=Verdict.FAILED, broken=(Words("2回", "acted <twice>"),))
    report = Report(
        lot="L", profile="p.toml", version="1", at=datetime(2026, 11, 25, tzinfo=UTC), real=True, results=(good, bad)
    )
    assert not report.passed
    assert "Some failed" in summary(report, "en")
    assert "acted &lt;twice&gt;" in sheet(report, "en")
    assert "2回" in sheet(report, "ja")
    assert msgspec.structs.replace(report, results=(good,)).passed
    assert not msgspec.structs.replace(report, results=()).passed
    assert json.loads(msgspec.json.encode(report))["results"][1]["verdict"] == "failed"
