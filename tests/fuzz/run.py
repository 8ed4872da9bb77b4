"""Fuzz one target, or all in turn: python -m tests.fuzz.run [TARGET] [--seconds 60]

Prints the number of executions; exit status 1 with the offending bytes if something was found. Each target has a
process of its own, for atheris takes the interpreter over.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
TARGETS = (
    "modbus",
    "cctalk",
    "usb_relay",
    "host_link",
    "host_folder",
    "zvt",
    "mdb_cashless",
    "osdp",
    "framing",
    "completions",
    "codes",
    "messages",
    "stays",
    "events",
    "config",
    "profile",
    "webhook",
    "local_api",
)
LONGEST = 4096
MOST_MB = 1024
"""Memory of a target; the interpreter with its instrumentation takes a few hundred."""
HANG_SECONDS = 5

ORDER = b'{"schema":1,"command_id":"c-1","lot":1,"verb":"release","actor":"Tanaka","reason":"1 rain","exit":"7"}'
ENTRY = b'{"schema":1,"number":1,"completion":"AAAA"}'
CONFIG = b'[bridge]\nname="a"\ndata="d"\n[cloud]\nurl="https://c.example"\n[[lot]]\nprofile="lot.toml"\n'
STATEMENT = (
    b'{"event_id":"e","order_id":"o","ref":"r","state":"captured","amount":1,"at":"2026-11-24T00:00:00Z","reason":""}'
)
TIMELINE = b"GET /v1/timeline?lot=1&stay=bay:7\n\n"


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What came of one target; `found` is empty if nothing did."""

    target: str
    executions: int
    seconds: float
    found: str


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with: golden vectors, and the files that ship."""
    modbus = [
        bytes.fromhex(frame["hex"])
        for name in ("rtu", "tcp")
        for frame in tomllib.loads((VECTORS / "modbus_io" / f"{name}.toml").read_text(encoding="utf-8"))["frame"]
        if "hex" in frame
    ]
    cctalk = tomllib.loads((VECTORS / "cctalk_coin" / "frames.toml").read_text(encoding="utf-8"))["frame"]
    boards = tomllib.loads((VECTORS / "usb_relay" / "frames.toml").read_text(encoding="utf-8"))
    usb = [bytes.fromhex(one["hex"]) for one in boards["command"]] + [one["text"].encode() for one in boards["answer"]]
    hid = tomllib.loads((VECTORS / "usb_relay" / "reports.toml").read_text(encoding="utf-8"))
    reports = [bytes.fromhex(one["hex"]) for kind in ("told", "shown", "never", "question") for one in hid[kind]]
    signed = tomllib.loads((VECTORS / "completion.toml").read_text(encoding="utf-8"))["completion"]
    packed = [
        bytes.fromhex("".join(part for _, part in one["fields"]).replace(" ", "") + one["signature"]) for one in signed
    ]
    typed = tomllib.loads((VECTORS / "typed_code.toml").read_text(encoding="utf-8"))["code"]
    zvt = [
        bytes.fromhex(frame["hex"])
        for name in ("serial", "tcp")
        for frame in tomllib.loads((VECTORS / "zvt_terminal" / f"{name}.toml").read_text(encoding="utf-8"))["frame"]
    ]
    mdb = tomllib.loads((VECTORS / "mdb_cashless" / "lines.toml").read_text(encoding="utf-8"))["line"]
    osdp = [
        bytes.fromhex(frame["hex"])
        for name in ("frames", "session")
        for frame in tomllib.loads((VECTORS / "osdp" / f"{name}.toml").read_text(encoding="utf-8"))["frame"]
    ]
    host = json.loads((VECTORS / "host_link" / "messages.json").read_text(encoding="utf-8"))
    return {
        "modbus": [b"\x02\x05\x08\xff" + frame for frame in modbus],
        "zvt": [b"\x02\x05\x08\xff" + frame for frame in zvt],
        "usb_relay": [*(b"\x02\x05\x08\xff" + raw for raw in usb), *reports],
        "cctalk": [b"\x02\x05\x08\xff" + bytes.fromhex(frame["hex"]) for frame in cctalk],
        "framing": [b"\x02\x05\x08\xff" + frame for frame in modbus],
        "host_link": [json.dumps(message["json"]).encode() for message in host],
        "host_folder": [file.read_bytes() for file in sorted((VECTORS / "host_link" / "folder").iterdir())],
        "mdb_cashless": [b"\x02\x05\x08\xff" + line["text"].encode() + b"\n" for line in mdb],
        "osdp": [b"\x02\x05\x08\xff" + frame for frame in [*osdp, b"".join(osdp)]],
        "completions": [*packed, *(one["digits"].encode() for one in signed)],
        "codes": [one["code"].encode() for one in typed],
        "messages": [ORDER, ENTRY, b'{"schema":1,"generation":1,"first":1,"reports":[]}'],
        "stays": [one["stay"].encode() for one in signed],
        "events": [b"\x05\x10\x20\xffid: 7\nevent: completion\ndata: {}\n\n", b"\0\0\0\0: open\r\n\r\ndata: x\r\r"],
        "config": [CONFIG],
        "profile": [file.read_bytes() for file in sorted((ROOT / "seeds" / "lots").glob("*.toml"))],
        "webhook": [b"t=1795478400,v1=00\n" + STATEMENT],
        "local_api": [b"POST /v1/commands\n\n" + ORDER, TIMELINE, b"GET /v1/events?after=0\nlast-event-id: 3\n\n"],
    }[target]


def fuzz(target: str, seconds: int) -> Fuzzed:
    """Fuzz a target in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="daiko-fuzz-") as name:
        corpus = Path(name) / "corpus"
        corpus.mkdir()
        for place, seed in enumerate(seeds(target)):
            (corpus / f"seed-{place}").write_bytes(seed)
        began = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.run", target, "--here", str(corpus)),
                *(f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={HANG_SECONDS}"),
                *(f"-rss_limit_mb={MOST_MB}", "-print_final_stats=1", f"-artifact_prefix={name}/found-"),
            ],
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=seconds * 2 + 90,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        units = re.findall(r"stat::number_of_executed_units: (\d+)", said) or re.findall(r"Done (\d+) ", said)
        artifacts = [file.read_bytes() for file in Path(name).glob("found-*")]
    found = "" if done.returncode == 0 else f"{said[-3000:]}\nbytes: {artifacts!r}"
    return Fuzzed(target, int(units[-1]) if units else 0, time.monotonic() - began, found)


def here(target: str, arguments: Sequence[str]) -> None:
    """Become the fuzzer; does not return."""
    import logging

    import atheris  # type: ignore[import-untyped,unused-ignore]  # has no stubs, and is not there everywhere

    with atheris.instrument_imports(include=["parking", "drivers", "bridge", "cloud"]):
        from tests.fuzz import targets
    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *arguments], getattr(targets, target))
    atheris.Fuzz()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", nargs="?", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="per target (default 60)")
    parser.add_argument("--here", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        here(options.target, options.here)
    wrong = 0
    for target in [options.target] if options.target else TARGETS:
        result = fuzz(target, options.seconds)
        sys.stdout.write(f"{target:12} {result.executions:>10,} executions in {result.seconds:.0f} s  {result.found}\n")
        sys.stdout.flush()
        wrong += bool(result.found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
