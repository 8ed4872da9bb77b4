"""What a run of the suite found: on the screen, and as JSON; `sheet` makes paper of it."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from drivers.conform.cases import CASES
from drivers.conform.identity import Identity
from drivers.conform.words import Words


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One case at one subject. `detail` says what happened, or why it was skipped; `broken` what was not held."""

    subject: Words
    case: str
    verdict: Verdict
    detail: Words
    seconds: float
    broken: tuple[Words, ...] = ()


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One order that somebody watched. `exit` is empty where a machine books; `moved` is what was seen to move.

    `place` names it with all its names. `seconds` from the first byte until it was seen; `by_sensor`: a device showed
    it as well; `sight`: what another device showed that sees the exit. `broken`: what was not as the profile wants it.
    """

    subject: Words
    place: Words
    exit: str
    right: bool
    moved: tuple[str, ...] = ()
    seconds: float | None = None
    by_sensor: bool = False
    detail: Words
    broken: tuple[Words, ...] = ()
    sight: Words | None = None

    @property
    def findings(self) -> tuple[Words, ...]:
        """All that is to be said of it."""
        return (self.detail, *((self.sight,) if self.sight is not None else ()), *self.broken)


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole run. `real`: with the machines themselves, and a person who watched them.

    `planned` trials and cases together; `interrupted`: the person broke it off before they were done.
    """

    lot: str
    profile: str
    version: str
    at: datetime
    real: bool
    planned: int
    interrupted: bool = False
    identities: tuple[Identity, ...] = ()
    trials: tuple[Trial, ...] = ()
    results: tuple[Result, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed, something was tried, and nobody broke it off."""
        verdicts = [one.verdict for one in self.results]
        tried = Verdict.PASSED in verdicts or bool(self.trials)
        whole = Verdict.FAILED not in verdicts and all(one.right for one in self.trials)
        return tried and whole and not self.interrupted


WORDS: Final = {
    "ja": {
        "title": "ドライバー適合試験 記録票",
        "passed": "合格", "failed": "不合格", "skipped": "対象外",
        "case": "試験", "verdict": "結果", "detail": "内容", "lot": "駐車場", "profile": "設定ファイル", "at": "日時",
        "on": "対象", "real": "実機", "simulated": "模擬機",
        "all": "すべて合格", "some": "不合格あり。このまま使わないでください。",
        "interrupted": "{planned} 件中 {done} 件で中断。合格ではありません。",
        "tried": "動作確認 {tried} 件中 {right} 件合格", "suite": "適合試験: ",
        "identities": "機器の名乗り", "family": "種別",
        "trials": "動作確認", "moved": "動いたもの", "nothing": "なし", "seconds": "所要時間",
        "sensor": "センサーで確認",
        "right": "合格", "wrong": "不合格",
        "written": "{path} に書きました", "sign": "立会者署名", "date": "日付", "note": "備考",
    },
    "en": {
        "title": "Driver conformance record",
        "passed": "passed", "failed": "FAILED", "skipped": "not applicable",
        "case": "Case", "verdict": "Verdict", "detail": "What happened", "lot": "Lot", "profile": "Profile",
        "at": "Time", "on": "Machines", "real": "the real ones", "simulated": "simulated",
        "all": "All passed", "some": "Some failed. Do not use it like this.",
        "interrupted": "Interrupted after {done} of {planned}. This is not a pass.",
        "tried": "{right} of {tried} trials right", "suite": "conformance: ",
        "identities": "Who they say they are", "family": "Family",
        "trials": "What moved", "moved": "Seen to move", "nothing": "nothing", "seconds": "Time",
        "sensor": "sensor agrees",
        "right": "right", "wrong": "WRONG",
        "written": "{path} written", "sign": "Signature of who watched", "date": "Date", "note": "Notes",
    },
}  # fmt: skip


def identity_line(identity: Identity, language: str) -> str:
    """What a device says it is, for the screen."""
    return f"  {identity.device} ({identity.family}): {identity.words.of(language)}"


def line(result: Result, language: str) -> str:
    """One case for the screen."""
    title, mark = CASES[result.case].title[language], WORDS[language][result.verdict.value]
    text = f"  {mark:<7} {title}  {result.seconds:.1f} s  {result.detail.of(language)}"
    return "\n".join((text, *(f"          ! {one.of(language)}" for one in result.broken)))


def trial_line(trial: Trial, language: str) -> str:
    """One trial for the screen."""
    words = WORDS[language]
    took = "" if trial.seconds is None else f"  {trial.seconds:.1f} s"
    seen = ", ".join(trial.moved) or words["nothing"]
    name, verdict = trial.place.of(language), words["right" if trial.right else "wrong"]
    text = f"  {verdict:<7} {name}: {words['moved']} {seen}{took}"
    return "\n".join((text, *(f"          {one.of(language)}" for one in trial.findings)))


def summary(report: Report, language: str) -> str:
    """The last line for the screen."""
    words = WORDS[language]
    verdict = words["all"] if report.passed else words["some"]
    if report.interrupted:
        done = len(report.trials) + len(report.results)
        verdict = words["interrupted"].format(done=done, planned=report.planned)
    shown = []
    if report.trials:
        right = sum(one.right for one in report.trials)
        shown.append(words["tried"].format(right=right, tried=len(report.trials)))
    if report.results:
        counts = {verdict: sum(one.verdict is verdict for one in report.results) for verdict in Verdict}
        text = ", ".join(f"{words[verdict.value]} {counts[verdict]}" for verdict in Verdict)
        shown.append(f"{words['suite'] if report.trials else ''}{text}")
    return f"{verdict} ({'; '.join(shown)})" if shown else verdict
