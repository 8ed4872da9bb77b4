"""The sheet that an installer prints and signs: HTML of one file, for A4."""

import html
from collections.abc import Sequence
from typing import Final

from drivers.conform.cases import CASES
from drivers.conform.identity import Identity
from drivers.conform.report import WORDS, Report, Result, Trial, summary
from drivers.conform.words import Words


def sheet(report: Report, language: str) -> str:
    """The printable sheet."""
    words = WORDS[language]
    facts = (
        ("lot", report.lot),
        ("profile", report.profile),
        ("at", f"{report.at.astimezone():%Y-%m-%d %H:%M}"),
        ("on", words["real" if report.real else "simulated"]),
    )
    head = "".join(f"<dt>{words[name]}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    tables = _identities(report.identities, language) if report.identities else ""
    tables += _trials(report.trials, language) if report.trials else ""
    tables += "".join(
        _results([one for one in report.results if one.subject == subject], subject, language)
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


def _identities(identities: Sequence[Identity], language: str) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(one.device)}</td><td>{html.escape(one.family)}</td>"
        f"<td>{_text([one.words], language)}</td></tr>"
        for one in identities
    )
    return _table(WORDS[language]["identities"], ("on", "family", "detail"), rows, language)


def _trials(trials: Sequence[Trial], language: str) -> str:
    words = WORDS[language]
    rows = "".join(
        f"<tr><td>{html.escape(one.place.of(language))}</td>"
        f"<td class={'passed' if one.right else 'failed'}>{words['right' if one.right else 'wrong']}</td>"
        f"<td>{html.escape(', '.join(one.moved) or words['nothing'])}</td>"
        f"<td>{'' if one.seconds is None else f'{one.seconds:.1f} s'} {words['sensor'] if one.by_sensor else ''}</td>"
        f"<td>{_text(one.findings, language)}</td></tr>"
        for one in trials
    )
    return _table(words["trials"], ("on", "verdict", "moved", "seconds", "detail"), rows, language)


def _results(results: Sequence[Result], subject: Words, language: str) -> str:
    words = WORDS[language]
    rows = "".join(
        f"<tr><td>{CASES[one.case].title[language]}</td><td class={one.verdict.value}>{words[one.verdict.value]}</td>"
        f"<td>{_text((one.detail, *one.broken), language)}</td></tr>"
        for one in results
    )
    return _table(subject.of(language), ("case", "verdict", "detail"), rows, language, "cases")


def _table(title: str, columns: Sequence[str], rows: str, language: str, kind: str = "") -> str:
    words = WORDS[language]
    head = "".join(f"<th>{words[name]}</th>" for name in columns)
    return f"<h2>{html.escape(title)}</h2><table class='{kind}'><tr>{head}</tr>{rows}</table>"


def _text(findings: Sequence[Words], language: str) -> str:
    """Statements, and below them in small print what drivers and machines said, which is English on every sheet."""
    said = "".join(f"<small lang=en>{html.escape(one.said)}</small>" for one in findings if one.said)
    return html.escape(" / ".join(one.plain(language) for one in findings)) + said


STYLE: Final = (
    "@page{size:A4;margin:15mm}body{font:10pt/1.5 sans-serif;max-width:180mm;margin:10mm auto;color:#111}"
    "h1{font-size:16pt}h2{font-size:12pt;margin:8mm 0 2mm}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:1mm 6mm}"
    "dt{color:#555}dd{margin:0}table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:1mm 2mm;"
    "text-align:left;vertical-align:top}tr{break-inside:avoid}td:nth-child(2),th{white-space:nowrap}"
    ".cases td:first-child{width:28%}"
    "small{display:block;font:8pt/1.4 monospace;color:#555;overflow-wrap:anywhere}"
    ".failed{color:#b00020;font-weight:bold}.passed{color:#0a6b2d}p.sign{border-bottom:1px solid #111;margin-top:12mm}"
    "footer{color:#777;margin-top:8mm}"
)
