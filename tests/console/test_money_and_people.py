"""Overrides that leave no orphan, codes from phones, claims, alarms, and who signed in: the window's part of it."""

from datetime import timedelta

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog

from console.claim_dialog import QrCode
from console.contents import TODO
from parking.commands import CommandReply, OperatorRole, RedeemReply, SignedIn, Verb, Verdict
from parking.desk import (
    AlarmEnded,
    AlarmRaised,
    AlarmView,
    CaseChanged,
    CasePhase,
    OverrideDone,
    OverrideUnmatched,
    OverrideView,
)
from parking.reports import Whose

GATE = "1002/OUT1"
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


def dialog(console) -> QDialog:
    assert console.window.dialog is not None
    return console.window.dialog


def release(console, key: str) -> QDialog:
    console.window.rail.choose(key)
    console.window.rail.order(Verb.RELEASE)
    form = dialog(console)
    form.reasons[0].setChecked(True)
    return form


def sign_in(console, qtbot, operator: str, pin: str) -> None:
    form = dialog(console)
    form.operator.setText(operator)
    form.pin.setText(pin)
    form.confirm.click()


@pytest.fixture
def guarded(full_bridge, lot_rows):
    """A bridge that wants PINs."""
    full_bridge.pins = {"田中": ("483920", OperatorRole.ATTENDANT), "山本": ("759013", OperatorRole.SUPERVISOR)}
    return full_bridge


# --- overrides ------------------------------------------------------------------------------------------------------


def test_opening_for_a_car_settles_its_phone_payment(live, full_bridge, qtbot, lot_rows):
    form = release(live, "1001/7")
    assert form.whose.case == lot_rows.case
    assert not form.whose.keep.isHidden()
    form.confirm.click()
    qtbot.waitUntil(lambda: bool(full_bridge.commands))
    command = full_bridge.commands[0]
    assert (command.whose, command.stay, command.case) == (Whose.STAY, lot_rows.case.stay, 42)
    assert not command.give_back


def test_opening_can_give_the_phone_payment_back(live, full_bridge, qtbot):
    form = release(live, "1001/7")
    form.whose.give_back.setChecked(True)
    form.confirm.click()
    qtbot.waitUntil(lambda: bool(full_bridge.commands))
    assert full_bridge.commands[0].give_back


def test_a_car_without_a_payment_is_not_asked_about_one(live):
    form = release(live, "1001/5")
    assert form.whose.case is None
    assert form.whose.keep.isHidden()
    assert form.whose.give_back.isHidden()


def test_who_has_no_time_says_later_for_whom_it_was(live, full_bridge, qtbot):
    form = release(live, GATE)
    form.whose.stay.setCurrentIndex(form.whose.stay.findData("later"))
    form.confirm.click()
    qtbot.waitUntil(lambda: bool(full_bridge.commands))
    assert (full_bridge.commands[0].whose, full_bridge.commands[0].stay) == (Whose.LATER, None)


def test_an_unmatched_opening_waits_on_the_list_until_somebody_says_whose_it_was(live, full_bridge, qtbot, lot_rows):
    row = OverrideView(
        lot=1001, command_id="h-1", exit="7", verb="release", actor="佐藤", reason="emergency", at=lot_rows.now
    )
    full_bridge.publish(OverrideUnmatched(override=row))
    qtbot.waitUntil(lambda: bool(live.board.state.unmatched))
    assert "1" in live.window.nav[TODO].text().splitlines()[1]
    live.window.show_page(TODO)
    page = live.window.todo
    assert page.model.data(page.model.index(0, 0)) == "手動開放の対象が未記録"
    page.assign.click()
    form = dialog(live)
    assert not form.confirm.isEnabled()
    form.whose.stay.setCurrentIndex(form.whose.stay.findData(lot_rows.doubt.key))
    form.reasons[0].setChecked(True)
    form.confirm.click()
    qtbot.waitUntil(lambda: bool(full_bridge.commands))
    command = full_bridge.commands[0]
    assert (command.verb, command.override, command.whose) == (Verb.ASSIGN, "h-1", Whose.STAY)
    assert command.case == 42
    full_bridge.publish(OverrideDone(key="h-1"))
    qtbot.waitUntil(lambda: page.model.rowCount() == 0)
    assert not page.assign.isEnabled()


def test_an_alarm_is_shown_for_as_long_as_its_cause_lasts(live, full_bridge, qtbot, lot_rows):
    alarm = AlarmView(lot=1001, what="unsettled/42", code="unsettled", detail="DK-1001-42", since=lot_rows.now, case=42)
    full_bridge.publish(AlarmRaised(alarm=alarm))
    live.window.show_page(TODO)
    model = live.window.todo.model
    qtbot.waitUntil(lambda: model.rowCount() == 1)
    assert model.data(model.index(0, 0)) == "決済後、精算が終わらない"
    full_bridge.publish(AlarmEnded(key=alarm.key))
    qtbot.waitUntil(lambda: model.rowCount() == 0)


def test_a_claim_shows_where_the_driver_pays_later(live, full_bridge, qtbot):
    url = "https://cloud.example/c/" + "A" * 26
    full_bridge.reply = CommandReply(accepted=True, claim_url=url)
    form = release(live, "1001/5")
    form.claim.setText("1200")
    form.confirm.click()
    qtbot.waitUntil(lambda: live.window.dialog is not None and live.window.dialog is not form)
    assert full_bridge.commands[0].claim == 1200
    assert dialog(live).findChildren(QrCode)


# --- codes ----------------------------------------------------------------------------------------------------------


def test_a_scanned_code_is_checked_on_enter_and_names_its_own_stay(live, full_bridge, qtbot, lot_rows):
    full_bridge.code_reply = RedeemReply(accepted=True, number=43, stay=lot_rows.doubt.stay, amount=1000)
    live.board.look_at(1001)
    live.window._ask_code()
    form = dialog(live)
    form.code.setText("１２")  # what an input method makes of digits
    qtbot.keyClicks(form.code, "3" * 190)
    qtbot.keyClick(form.code, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "有効" in form.result_text.text())
    code = full_bridge.codes[0]
    assert (code.lot, code.text, code.stay) == (1001, "12" + "3" * 190, None)
    assert form.code.text() == ""


def test_a_typed_code_needs_the_car_first(live, full_bridge, qtbot, lot_rows):
    live.board.look_at(1001)
    live.window._ask_code()
    form = dialog(live)
    form.code.setText("1234567 1234567 1234567")
    assert not form.check.isEnabled()
    form.whose.stay.setCurrentIndex(form.whose.stay.findData(lot_rows.doubt.key))
    assert form.check.isEnabled()
    full_bridge.code_reply = RedeemReply(accepted=False, code="wrong-code", detail="", wait_seconds=10)
    form.check.click()
    qtbot.waitUntil(lambda: "10" in form.result_text.text())
    assert "コードが違う" in form.result_text.text()
    assert full_bridge.codes[0].stay == lot_rows.doubt.stay


def test_without_a_bridge_no_code_is_asked_for(console):
    console.window._ask_code()
    assert console.window.dialog is None


# --- people ---------------------------------------------------------------------------------------------------------


def test_opening_never_waits_for_a_pin(guarded, console, qtbot):
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    form = release(console, "1001/7")
    assert form.emergency
    form.confirm.click()
    qtbot.waitUntil(lambda: bool(guarded.commands))
    assert guarded.commands[0].emergency
    assert guarded.commands[0].session == ""


def test_a_decision_about_money_asks_for_a_pin_first_and_then_goes_out_by_itself(guarded, console, qtbot, lot_rows):
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    console.window._decide(lot_rows.case, Verdict.SETTLED)
    form = dialog(console)
    form.reasons[0].setChecked(True)
    form.confirm.click()
    assert guarded.commands == []
    sign_in(console, qtbot, "田中", "000000")
    qtbot.waitUntil(lambda: dialog(console).trouble.text() != "")
    sign_in(console, qtbot, "田中", "483920")
    qtbot.waitUntil(lambda: bool(guarded.commands))
    assert (guarded.commands[0].session, guarded.commands[0].actor) == ("session-of-田中", "田中")
    assert console.board.state.session.operator == "田中"
    assert not console.window.header.sign.isHidden()


def test_a_large_sum_is_confirmed_by_a_second_person(guarded, console, qtbot, lot_rows):
    guarded.answer = lambda command: CommandReply(
        accepted=bool(command.second), code="" if command.second else "second-person"
    )
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    console.window._sign()
    sign_in(console, qtbot, "田中", "483920")
    qtbot.waitUntil(lambda: console.board.state.session is not None)
    console.window._decide(lot_rows.case, Verdict.NOT_SETTLED)
    form = dialog(console)
    form.reasons[0].setChecked(True)
    form.confirm.click()
    qtbot.waitUntil(lambda: console.window.dialog is not None and getattr(console.window.dialog, "second", False))
    sign_in(console, qtbot, "山本", "759013")
    qtbot.waitUntil(lambda: len(guarded.commands) == 2)
    first, again = guarded.commands
    assert (again.session, again.second) == ("session-of-田中", "session-of-山本")
    assert again.command_id != first.command_id
    assert console.board.state.session.operator == "田中"
    assert first.command_id not in console.board.state.notices


def test_a_session_ends_by_itself_and_at_the_press_of_a_key(guarded, console, qtbot):
    guarded.idle_seconds = 1
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    console.window._sign()
    sign_in(console, qtbot, "田中", "483920")
    qtbot.waitUntil(lambda: console.board.state.session is not None)
    qtbot.waitUntil(lambda: console.board.state.session is None)
    guarded.idle_seconds = 300
    console.window._sign()
    sign_in(console, qtbot, "田中", "483920")
    qtbot.waitUntil(lambda: console.board.state.session is not None)
    console.window.header.sign.click()
    assert console.board.state.session is None
    qtbot.waitUntil(lambda: guarded.ended == ["session-of-田中"])


def test_who_signs_in_after_somebody_ends_that_ones_session(guarded, console, qtbot):
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    for who in ("田中", "佐藤"):
        console.board.begin_session(
            SignedIn(session=f"session-of-{who}", operator=who, role=OperatorRole.ATTENDANT, idle_seconds=300)
        )
    assert console.board.state.session.operator == "佐藤"
    qtbot.waitUntil(lambda: guarded.ended == ["session-of-田中"])


def test_the_bridge_may_end_a_session_before_the_window_does(guarded, console, qtbot, lot_rows):
    guarded.answer = lambda command: CommandReply(accepted=False, code="sign-in")
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    console.window._sign()
    sign_in(console, qtbot, "田中", "483920")
    qtbot.waitUntil(lambda: console.board.state.session is not None)
    console.window._decide(lot_rows.case, Verdict.SETTLED)
    form = dialog(console)
    form.reasons[0].setChecked(True)
    form.confirm.click()
    qtbot.waitUntil(lambda: console.board.state.session is None)
    qtbot.waitUntil(lambda: console.window.dialog is not None and console.window.dialog is not form)


def test_a_case_that_ended_in_a_refusal_is_no_payment_to_decide_about(live, full_bridge, qtbot, lot_rows):
    gone = msgspec.structs.replace(lot_rows.case, phase=CasePhase.REFUSED, since=lot_rows.now + timedelta(seconds=1))
    full_bridge.publish(CaseChanged(case=gone))
    qtbot.waitUntil(lambda: live.board.state.cases[gone.key].phase is CasePhase.REFUSED)
    assert release(live, "1001/7").whose.case is None
