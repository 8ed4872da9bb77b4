"""The bridge's command line: run, enrol, check, operator, audit, cash, simulate."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drivers.stop_signal import StopSignal
from parking.commands import OperatorRole
from parking.errors import BadMessage, Code, DaikoError
from parking.stay import LotId

if TYPE_CHECKING:
    from bridge.config import BridgeConfig

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # it has no public name

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

_CONFIG_CODES: Final = (Code.CONFIG, Code.NOT_ENROLLED, Code.ENROL_CODE)

log = logging.getLogger("bridge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong usage or configuration."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["simulate"]:  # needs no configuration, and the bridge itself never loads it
        from simulation.command import main as simulate

        return simulate(arguments[1:])
    options = _parser().parse_args(arguments)
    commands = {"run": _run, "enrol": _enrol, "check": _check, "operator": _operator, "audit": _audit, "cash": _cash}
    command = commands[options.command or "run"]
    try:
        from bridge.config import load

        return command(load(options.config), options)
    except DaikoError as error:
        print(f"bridge: {error}", file=sys.stderr)
        return USAGE if error.code in _CONFIG_CODES or isinstance(error, BadMessage) else FAILED
    except KeyboardInterrupt:
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bridge",
        description="Carries completions (決済完了信号) from the cloud into the machines of a parking lot.\n"
        "クラウドから届いた決済完了信号を、駐車場の既設機器へ渡します。",
        epilog="examples:\n"
        "  python -m bridge check --config bridge.toml              is everything in order?  設定の確認\n"
        "  python -m bridge enrol --config bridge.toml --code CODE  pair with the cloud      クラウドへの登録\n"
        "  python -m bridge --config bridge.toml                    run                      実行\n"
        "  python -m bridge operator add NAME --role attendant      who may give orders      係員の登録\n"
        "  python -m bridge simulate --seeds 10000                  promises under faults    障害下の検証\n"
        "  python -m bridge audit verify --config bridge.toml       is the record whole?     監査記録の検証\n"
        "  python -m bridge cash --counted 500=12,100=40            what is in a coin box?   硬貨の照合\n\n"
        "exit status: 0 done, 1 failed, 2 wrong usage or configuration",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    config = argparse.ArgumentParser(add_help=False)
    config.add_argument(
        "--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="bridge.toml (docs/bridge-config.md)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", default=Path("bridge.toml"), help="default: bridge.toml")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands (default: run)")
    commands.add_parser("run", parents=[config], help="run until SIGTERM or Ctrl-C")
    enrol = commands.add_parser("enrol", parents=[config], help="pair with the cloud: a one-time code, an approval")
    enrol.add_argument("--code", help="the code that the cloud showed, good for 15 minutes; without: go on waiting")
    enrol.add_argument("--again", action="store_true", help="replace the identity which this bridge has already")
    enrol.add_argument(
        "--wait", type=float, default=60, metavar="MINUTES", help="for the approval (default: 60; 0: ask once)"
    )
    commands.add_parser(
        "check", parents=[config], help="read configuration, profiles, keys and disk; say what is wrong"
    )
    _add_operator(commands, config)
    _add_audit(commands, config)
    _add_cash(commands, config)
    commands.add_parser("simulate", add_help=False, help="the relay under thousands of faults (docs/simulation.md)")
    return parser


def _add_operator(commands: "Commands", config: argparse.ArgumentParser) -> None:
    operator = commands.add_parser("operator", help="who may sign in and give orders (docs/operators.md)")
    acts = operator.add_subparsers(dest="act", metavar="ACT", required=True)
    roles = [role.value for role in OperatorRole]
    for name, text in (
        ("add", "a new operator"),
        ("pin", "a new PIN"),
        ("role", "another role"),
        ("sign-out", "end their sessions"),
        ("remove", "no more"),
    ):
        act = acts.add_parser(name, parents=[config], help=text)
        act.add_argument("name", help="as it will stand in the record")
        if name == "add":
            act.add_argument("--role", choices=roles, default=OperatorRole.ATTENDANT.value, help="default: attendant")
        if name == "role":
            act.add_argument("role", choices=roles)
        if name in ("add", "pin"):
            act.add_argument("--pin-stdin", action="store_true", help="read the PIN from standard input")
    acts.add_parser("list", parents=[config], help="names and roles")


def _add_audit(commands: "Commands", config: argparse.ArgumentParser) -> None:
    audit = commands.add_parser("audit", help="the record of what people did (docs/operators.md)")
    acts = audit.add_subparsers(dest="act", metavar="ACT", required=True)
    verify = acts.add_parser("verify", parents=[config], help="recompute the chain; says the first wrong entry")
    verify.add_argument(
        "--anchors", type=Path, metavar="FILE", help="the heads that the cloud has (`cloud anchors LOT --json`)"
    )
    verify.add_argument(
        "--since", type=int, metavar="N", help="of FILE, the heads of enrolment N and later (default: the present one)"
    )
    verify.add_argument("--head", metavar="ENTRY:HASH", help="one head, say from a printed day report")
    show = acts.add_parser("show", parents=[config], help="the latest entries")
    show.add_argument("--last", type=int, default=20, metavar="N", help="how many (default: 20)")


def _add_cash(commands: "Commands", config: argparse.ArgumentParser) -> None:
    cash = commands.add_parser("cash", parents=[config], help="what must be in the box of a coin or bill station")
    cash.add_argument("--counted", required=True, type=_counted, metavar="500=12,100=40", help="by the station's audit")
    cash.add_argument("--since", type=_moment, metavar="TIME", help="its last emptying, like 2026-11-01T09:00")
    cash.add_argument("--lot", type=int, metavar="N", help="needed where there are several stations")
    cash.add_argument("--desk", metavar="NAME", help="the same; as in the device's options")


def _counted(text: str) -> dict[int, int]:
    pairs = [pair.partition("=") for pair in text.replace(" ", "").split(",")]
    if not all(value.isdecimal() and count.isdecimal() for value, _, count in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 500=12,100=40 (value=how many)")
    return {int(value): int(count) for value, _, count in pairs}


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)  # without a zone: that of this computer
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2026-11-01T09:00") from error


def _run(config: "BridgeConfig", _: argparse.Namespace) -> int:
    from bridge.notify import notify, watchdog_seconds

    _log_to_stderr(config.log_level.value)

    from bridge.app import Bridge

    with StopSignal() as told:
        bridge = Bridge(config)
        try:
            bridge.start()
            notify("READY=1")
            log.info("%s runs: lots %s", config.name, ", ".join(map(str, config.lots)))
            pause = watchdog_seconds()
            while not told.wait(pause):
                notify("WATCHDOG=1")
        finally:
            notify("STOPPING=1")
            began = time.monotonic()
            bridge.stop()
            log.info("stopped in %.1f s", time.monotonic() - began)
    return OK


def _enrol(config: "BridgeConfig", options: argparse.Namespace) -> int:
    from bridge.await_approval import Patience
    from bridge.enrol import enrol

    def say(line: str) -> None:
        print(line, flush=True)  # who waits looks on, through a pipe too

    enrol(config, options.code, say, again=options.again, patience=Patience(wait=max(options.wait, 0) * 60))
    return OK


def _check(config: "BridgeConfig", _: argparse.Namespace) -> int:
    from bridge.check import check

    wrong = 0
    for finding in check(config):
        print(finding.line)
        wrong += not finding.good
    return FAILED if wrong else OK


def _operator(config: "BridgeConfig", options: argparse.Namespace) -> int:
    from bridge import staff_commands as staff

    match options.act:
        case "add":
            print(
                staff.add(config, options.name, OperatorRole(options.role), staff.ask_pin(from_stdin=options.pin_stdin))
            )
        case "pin":
            print(staff.new_pin(config, options.name, staff.ask_pin(from_stdin=options.pin_stdin)))
        case "role":
            print(staff.new_role(config, options.name, OperatorRole(options.role)))
        case "sign-out":
            print(staff.sign_out(config, options.name))
        case "remove":
            print(staff.remove(config, options.name))
        case _:
            print("\n".join(staff.listed(config)))
    return OK


def _audit(config: "BridgeConfig", options: argparse.Namespace) -> int:
    from bridge import staff_commands as staff
    from bridge.audit import Broken, parse_head

    if options.act == "show":
        print("\n".join(staff.shown(config, max(options.last, 0))))
        return OK

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    heads = [parse_head(options.head)] if options.head is not None else []
    if options.anchors is not None:
        heads += staff.anchored(config, options.anchors, options.since, say)
    found = staff.verify(config, heads, say)
    if isinstance(found, Broken):
        print(f"bridge: [{Code.AUDIT}] entry {found.entry} {found.why}", file=sys.stderr)
        return FAILED
    print(f"whole: {found.entry:,} entries, head {found}")
    return OK


def _cash(config: "BridgeConfig", options: argparse.Namespace) -> int:
    from bridge.cash_audit import cash_audit

    lot = None if options.lot is None else LotId(options.lot)
    japanese, english = cash_audit(config, lot, options.desk, options.since, options.counted)
    print("\n".join((*japanese, "", *english)))
    return OK


def _log_to_stderr(level: str) -> None:
    from bridge import logs

    logs.to_stderr(level.upper())
    for chatty in ("uvicorn", "urllib3", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


if __name__ == "__main__":
    sys.exit(main())
