"""Holds the records of provider, cloud, bridge and lots against each other, and writes the report."""

import json
import statistics
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.program import wait_for
from demo.scenes import Journey
from demo.stack import Stack

OVER = ("captured", "voided", "declined", "expired", "refunded")


def reckon(stack: Stack, journey: Journey) -> dict[str, Any]:
    """Wait until all money has come to rest, and compare. The key `problems` is empty if all promises held."""
    wait_for("all money to come to rest", lambda: _at_rest(stack), 30.0, 0.2)
    provider, cases = stack.provider_payments(), stack.cases()
    states = Counter(payment["state"] for payment in provider)
    settled = [case for case in cases if case["phase"] == "settled"]
    captured = sum(payment["amount"] for payment in provider if payment["state"] == "captured")
    left = {
        name: [line.get("stay", "") for line in lot.history() if line["what"] in ("left", "sold")]
        for name, lot in stack.lots.items()
    }
    gaps = approvals_to_releases(stack)
    report = {
        "steps": journey.steps,
        "scenes": journey.found,
        "cars_out": left,
        "payments": dict(states),
        "captured_yen": captured,
        "settled_yen": sum(case["amount"] for case in settled),
        "open_doubts": sum(case["phase"] == "in_doubt" for case in cases),
        "released_after_approval_ms": _spread(gaps),
        "memory_mb": {program.name: round(program.rss_mb(), 1) for program in stack.programs},
    }
    report["problems"] = problems(report, len(settled), states)
    return report


def problems(report: dict[str, Any], settled: int, states: Counter[str]) -> list[str]:
    """What is not as it must be."""
    found = []
    if report["captured_yen"] != report["settled_yen"] or states["captured"] != settled:
        found.append(f"captured {report['captured_yen']} yen, settled {report['settled_yen']} yen")
    if report["open_doubts"]:
        found.append(f"{report['open_doubts']} doubts are open")
    if "cash_race" in report["scenes"] and not states["voided"]:
        found.append("the cash race was not voided")
    if not all(report["cars_out"].values()):
        found.append("a lot has let no car out")
    return found


def approvals_to_releases(stack: Stack) -> list[float]:
    """Milliseconds from the provider's approval to the device receiving the release, for each payment that had one."""
    approved = {
        line["order_id"]: _moment(line["at"]) for line in stack.provider_history() if line["what"] == "authorized"
    }
    ids = dict(zip(stack.lot_ids(), stack.lots.values(), strict=True))
    gaps = []
    for payment in stack.payments():
        name = payment["stay"].partition(":")[2].partition("@")[0]
        began = approved.get(payment["order_id"], float("inf"))
        released = [
            moment
            for line in ids[payment["lot"]].history()
            if line["what"] == "release" and line["by"] == "bus" and line.get("stay") == name
            if (moment := _moment(line["at"])) >= began
        ]
        gaps += [(min(released) - began) * 1000] if released else []
    return gaps


def _spread(gaps: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(gaps), 1), "most": round(max(gaps), 1)} if gaps else {}


def write(report: dict[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _at_rest(stack: Stack) -> bool:
    payments = stack.provider_payments()
    return bool(payments) and all(payment["state"] in OVER for payment in payments)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
