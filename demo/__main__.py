"""`python -m demo`: the whole chain on this machine. See `--help`."""

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from demo.attendant import Attendant
from demo.one_lot import one_car
from demo.phone import browsing
from demo.program import ROOT, Trouble
from demo.report import reckon, write
from demo.scenes import SCENES, Journey, Stage
from demo.stack import LOTS, PROFILES, Stack


def main() -> int:
    """Play the demo; 0 if every promise held."""
    options = _parser().parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # Ctrl-C also ends the browser; no need to hear of it
    visible = not options.headless and _has_display()
    out = options.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    run = Path(tempfile.mkdtemp(prefix="daiko-demo-"))
    journey, stack = Journey(), Stack(run / "run", lots=(options.lot,) if options.lot else LOTS)
    try:
        stack.up(journey.step)
        return _play(stack, journey, out, options.lot, visible=visible)
    except Trouble as error:
        print(f"\nThe demo failed: {error}\nLogs: {out / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        stack.abandon()
        shutil.copytree(run, out / "logs", ignore=_links, dirs_exist_ok=True)
        shutil.rmtree(run, ignore_errors=True)


def _play(stack: Stack, journey: Journey, out: Path, lot: str, *, visible: bool) -> int:
    exits = sum(len(stack.profile_table(name).get("exit", [])) for name in stack.lots)
    attendant = Attendant(stack.bridge_data, stack.run / "console.log", visible=visible, actor="田中")
    try:
        with browsing(visible=visible) as browser:
            attendant.tell("look", exits=exits)
            journey.step(f"the attendant's console is up and shows {exits} exits")
            stage = Stage(stack, browser, attendant, out, journey)
            if lot:
                one_car(stage, lot)
            else:
                stage.fill()
                for scene in SCENES:
                    scene(stage)
            report = reckon(stack, journey)
            write(report, out / "report.json")
            for problem in report["problems"]:
                print(f"PROBLEM: {problem}", file=sys.stderr)
            gaps = report["released_after_approval_ms"]  # none where a pay station opens its own gate
            print(
                f"\ncaptured {report['captured_yen']:,} yen = settled {report['settled_yen']:,} yen; "
                f"payments {report['payments']}; open doubts {report['open_doubts']}\n"
                + (f"approval → device: {gaps} ms\n" if gaps else "")
                + f"report: {out / 'report.json'}; pictures: {out}"
            )
            if visible and not report["problems"]:
                _stay_up(stack)
            return 1 if report["problems"] else 0
    finally:
        attendant.close()
        stack.down()


def _stay_up(stack: Stack) -> None:
    """With a screen the demo stays, so that a person can go on playing."""
    print("\nEverything stays up; end with Ctrl-C. Drive more cars in, then pay with your own browser:")
    for name, lot in stack.lots.items():
        print(f"  {name}: curl -X POST -d '{{}}' {lot.control}/arrive   then   {stack.cloud_url}/l/{stack.code(name)}")
    while True:
        time.sleep(1)


def _links(folder: str, names: list[str]) -> list[str]:
    """Leave out what is no log: the ends of simulated serial lines, keys and tokens."""
    secret = {"bridge.key", "api-token", "completion-key.json", "cloud.toml"}
    return [name for name in names if name in secret or (not (Path(folder) / name).is_dir() and _special(folder, name))]


def _special(folder: str, name: str) -> bool:
    path = Path(folder) / name
    return path.is_symlink() or not path.is_file()


def _has_display() -> bool:
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Two simulated lots, a payment provider, cloud, bridge and console, each a process of its own: "
        "drivers pay by phone and leave, one pays cash meanwhile, one cable is pulled, one plate is opened by hand.",
    )
    parser.add_argument("--headless", action="store_true", help="no windows: browser and console are driven unseen")
    parser.add_argument(
        "--lot",
        default="",
        choices=sorted(path.stem for path in PROFILES.glob("*.toml")),
        metavar="NAME",
        help="one car in one lot of seeds/lots, instead of the whole play: %(choices)s",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo", help="where pictures and report go")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
