"""`--lot NAME`: one car pays by phone in one lot, whichever way that lot goes."""

from typing import Any

from demo.program import Trouble, wait_for
from demo.scenes import Stage

ASKED = 1_200
"""Yen, or a little more where the station's prices go by larger steps."""
STEP = 100


def one_car(stage: Stage, name: str) -> None:
    """A car comes, its driver pays by phone, the lot lets it go; evidence as the console shows it."""
    say, lot, table = stage.journey.step, stage.stack.lots[name], stage.stack.profile_table(name)
    spot, typed = _arrives(stage, name, table)
    wait_for("the bridge to see it", lambda: stage.stack.snapshot()["stays"])
    with stage.phone("ja-JP") as phone:
        phone.scan(stage.url(name, spot))
        phone.shot("1-lot")
        say(f"the phone shows the fee: {phone.ask_fee(typed)}")
        phone.shot("2-fee")
        phone.go_to_payment()
        phone.approve()
        say(f"the phone says: {phone.wait_stage('done')}")
        phone.shot("3-done")
    if table["lot"]["names"] == "desk":
        lot.wait_history("sold", by="line")
        say("the pay station has sold the ticket as paid by its payment line")
    else:
        if table["lot"]["names"] == "bay":
            lot.wait_history("plate_down", exit=spot)
            lot.tell("drive-out", name=typed)
        lot.wait_history("left")
        say("the car has left")
    stage.attendant.tell("shot", file=str(stage.shots / "4-console.png"))
    cases = stage.stack.cases()
    if [case["phase"] for case in cases] != ["settled"]:
        raise Trouble(f"the payment ended as {[(case['phase'], case['code']) for case in cases]}")
    stage.journey.found[name] = {"evidence": cases[0]["evidence"]}


def _arrives(stage: Stage, name: str, table: dict[str, Any]) -> tuple[str, str]:
    """What happens before the driver takes the phone out: which spot's code is scanned, and what is typed."""
    say, lot = stage.journey.step, stage.stack.lots[name]
    kind = table["lot"]["names"]
    if kind == "desk":
        device = next(one for one in table["device"] if one["id"] == table["roles"]["settle"])
        options = device.get("options", {})
        step = int(options.get("step_yen", STEP))
        asked = -(-ASKED // step) * step
        lot.tell("ask", device=device["id"], amount=asked)
        say(f"a ticket is in the pay station, which asks for {asked:,} yen")
        desk = str(options.get("desk", "1"))
        return desk, desk
    if kind == "bay":
        bay = str(table["exit"][0]["bay"])
        lot.tell("arrive", bay=bay, minutes_ago=100)
        lot.wait_history("plate_up", exit=bay)
        say(f"a car is in bay {bay} and its lock plate is up")
        return bay, bay
    car = str(lot.tell("arrive", minutes_ago=100)["name"])
    exit_ = str(table["exit"][0]["id"])
    lot.tell("drive-out", name=car, exit=exit_)
    lot.wait_history("drive_up")
    say(f"a car, {kind} {car}, stands at {exit_}")
    return exit_, car
