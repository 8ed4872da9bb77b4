"""The bridge's command line: run, enrol, check."""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from parking.errors import BadMessage, Code, DaikoError

if TYPE_CHECKING:
    from bridge.config import BridgeConfig

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

_CONFIG_CODES: Final = (Code.CONFIG, Code.NOT_ENROLLED, Code.ENROL_CODE)

log = logging.getLogger("bridge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 wrong usage or configuration."""
    options = _parser().parse_args(arguments)
    command = {"run": _run, "enrol": _enrol, "check": _check}[options.command or "run"]
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
        "  python -m bridge --config bridge.toml                    run                      実行\n\n"
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
    enrol = commands.add_parser("enrol", parents=[config], help="pair with the cloud, by a one-time code")
    enrol.add_argument("--code", required=True, help="the code that the cloud showed; good for 15 minutes")
    enrol.add_argument("--again", action="store_true", help="replace the identity which this bridge has already")
    commands.add_parser(
        "check", parents=[config], help="read configuration, profiles, keys and disk; say what is wrong"
    )
    return parser


def _run(config: "BridgeConfig", _: argparse.Namespace) -> int:
    from bridge.notify import notify, watchdog_seconds

    _log_to_stderr(config.log_level.value)
    stopped = threading.Event()

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends at once
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    from bridge.app import Bridge

    bridge = Bridge(config)
    try:
        bridge.start()
        notify("READY=1")
        log.info("%s runs: lots %s", config.name, ", ".join(map(str, config.lots)))
        pause = watchdog_seconds()
        while not stopped.wait(pause):
            notify("WATCHDOG=1")
    finally:
        notify("STOPPING=1")
        began = time.monotonic()
        bridge.stop()
        log.info("stopped in %.1f s", time.monotonic() - began)
    return OK


def _enrol(config: "BridgeConfig", options: argparse.Namespace) -> int:
    from bridge.enrol import enrol

    enrol(config, options.code, print, again=options.again)
    return OK


def _check(config: "BridgeConfig", _: argparse.Namespace) -> int:
    from bridge.check import check

    wrong = 0
    for finding in check(config):
        print(finding.line)
        wrong += not finding.good
    return FAILED if wrong else OK


def _log_to_stderr(level: str) -> None:
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for chatty in ("uvicorn", "urllib3", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))


if __name__ == "__main__":
    sys.exit(main())
