"""What a run of the suite found: on the screen, as JSON, and as a sheet that an installer can print and sign."""

import html
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from drivers.conform.cases import CASES
from drivers.conform.words import Words


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One case at one subject. `detail` says what happened, or why it was skipped; `broken` what was not held."""

    subject: str
    case: str
    verdict: Verdict
    detail: Words
    seconds: float
    broken: tuple[Words, ...] = ()


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One order that somebody watched. `exit` is empty where a machine books; `moved` is what was seen to move.

    `seconds` from the first byte until it was seen; `by_sensor`: the device itself showed it as well.
    """

    subject: str
    exit: str
    right: bool
    moved: tuple[str, ...] = ()
    seconds: float | None = None
    by_sensor: bool = False
    detail: Words


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole run. `real`: with the machines themselves, and a person who watched them."""

    lot: str
    profile: str
    version: str
    at: datetime
    real: bool
    results: tuple[Result, ...] = ()
    trials: tuple[Trial, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and something was tried."""
        verdicts = [one.verdict for one in self.results]
        tried = Verdict.PASSED in verdicts or bool(self.trials)
        return tried and Verdict.FAILED not in verdicts and all(one.right for one in self.trials)


MARKS: Final = {Verdict.PASSED: "ok", Verdict.FAILED: "FAILED", Verdict.SKIPPED: "-"}
WORDS: Final = {
    "ja": {
        "title": "ドライバー適合試験 記録票",
        "passed": "合格", "failed": "不合格", "skipped": "対象外",
        "case": "試験", "verdict": "結果", "detail": "内容", "lot": "駐車場", "profile": "設定ファイル", "at": "日時",
        "on": "対象", "real": "実機", "simulated": "模擬機",
        "all": "すべて合格", "some": "不合格あり。このまま使わないでください。",
        "trials": "動作確認", "moved": "動いたもの", "nothing": "なし", "seconds": "所要時間",
        "sensor": "センサーで確認",
        "right": "合格", "wrong": "不合格",
        "sign": "立会者署名", "date": "日付", "note": "備考",
    },
    "en": {
        "title": "Driver conformance record",
        "passed": "passed", "failed": "FAILED", "skipped": "not applicable",
        "case": "Case", "verdict": "Verdict", "detail": "What happened", "lot": "Lot", "profile": "Profile",
        "at": "Time", "on": "Machines", "real": "the real ones", "simulated": "simulated",
        "all": "All passed", "some": "Some failed. Do not use it like this.",
        "trials": "What moved", "moved": "Seen to move", "nothing": "nothing", "seconds": "Time",
        "sensor": "sensor agrees",
        "right": "right", "wrong": "WRONG",
        "sign": "Signature of who watched", "date": "Date", "note": "Notes",
    },
}  # fmt: skip


def line(result: Result, language: str) -> str:
    """One case for the screen."""
    title = CASES[result.case].title[language]
    text = f"  {MARKS[result.verdict]:<7} {title}  {result.seconds:.1f} s  {result.detail.of(language)}"
    return "\n".join((text, *(f"          ! {one.of(language)}" for one in result.broken)))


def trial_line(trial: Trial, language: str) -> str:
    """One trial for the screen."""
    words = WORDS[language]
    took = "" if trial.seconds is None else f"  {trial.seconds:.1f} s"
    seen = ", ".join(trial.moved) or words["nothing"]
    name, detail = trial.exit or trial.subject, trial.detail.of(language)
    return f"  {words['right' if trial.right else 'wrong']:<7} {name}: {words['moved']} {seen}{took}  {detail}"


def summary(report: Report, language: str) -> str:
    """The last line for the screen."""
    words = WORDS[language]
    counts = {verdict: sum(one.verdict is verdict for one in report.results) for verdict in Verdict}
    shown = ", ".join(f"{words[verdict.value]} {counts[verdict]}" for verdict in Verdict)
    return f"{words['all'] if report.passed else words['some']} ({shown})"


def sheet(report: Report, language: str) -> str:
    """The printable sheet: HTML of one file, for A4."""
    words = WORDS[language]
    facts = (
        ("lot", report.lot),
        ("profile", report.profile),
        ("at", f"{report.at.astimezone():%Y-%m-%d %H:%M}"),
        ("on", words["real" if report.real else "simulated"]),
    )
    head = "".join(f"<dt>{words[name]}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    tables = _trials(report.trials, language) if report.trials else ""
    tables += "".join(
        _table([one for one in report.results if one.subject == subject], subject, language)
        for subject in dict.fromkeys(one.subject for one in report.results)
    )
    signs = "".join(f"<p class=sign>{words[name]}</p>" for name in ("note", "sign", "date"))
    return (
        f"<!doctype html><html lang={language}><meta charset=utf-8><title>{words['title']}</title>"
        f"<style>{STYLE}</style>"
        f"<h1>{words['title']}</h1><dl>{head}</dl>{tables}"
        f"<p class={'passed' if report.passed else 'failed'}>{html.escape(summary(report, language))}</p>"
        f"{signs}<footer>Daiko {html.escape(report.version)}</footer></html>\n"
    )


def _trials(trials: Sequence[Trial], language: str) -> str:
    words = WORDS[language]
    rows = "".join(
        f"<tr><td>{html.escape(one.exit or one.subject)}</td>"
        f"<td class={'passed' if one.right else 'failed'}>{words['right' if one.right else 'wrong']}</td>"
        f"<td>{html.escape(', '.join(one.moved) or words['nothing'])}</td>"
        f"<td>{'' if one.seconds is None else f'{one.seconds:.1f} s'} {words['sensor'] if one.by_sensor else ''}</td>"
        f"<td>{html.escape(one.detail.of(language))}</td></tr>"
        for one in trials
    )
    head = "".join(f"<th>{words[name]}</th>" for name in ("on", "verdict", "moved", "seconds", "detail"))
    return f"<h2>{words['trials']}</h2><table><tr>{head}</tr>{rows}</table>"


def _table(results: Sequence[Result], subject: str, language: str) -> str:
    words = WORDS[language]
    rows = "".join(
        f"<tr><td>{CASES[one.case].title[language]}</td><td class={one.verdict.value}>{words[one.verdict.value]}</td>"
        f"<td>{html.escape(' / '.join(said.of(language) for said in (one.detail, *one.broken)))}</td></tr>"
        for one in results
    )
    head = "".join(f"<th>{words[name]}</th>" for name in ("case", "verdict", "detail"))
    return f"<h2>{html.escape(subject)}</h2><table><tr>{head}</tr>{rows}</table>"


STYLE: Final = (
    "@page{size:A4;margin:15mm}body{font:10pt/1.5 sans-serif;max-width:180mm;margin:10mm auto;color:#111}"
    "h1{font-size:16pt}h2{font-size:12pt;margin:8mm 0 2mm}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:1mm 6mm}"
    "dt{color:#555}dd{margin:0}table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:1mm 2mm;"
    "text-align:left;vertical-align:top}tr{break-inside:avoid}td:nth-child(-n+2){white-space:nowrap}"
    ".failed{color:#b00020;font-weight:bold}.passed{color:#0a6b2d}p.sign{border-bottom:1px solid #111;margin-top:12mm}"
    "footer{color:#777;margin-top:8mm}"
)
