"""The attendant's window, driven as a person would: by keys and clicks, against a real bridge API."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QWidget,
)

from console.i18n import Language
from console.main_window import SIZE
from parking.commands import CommandReply, Verb, Verdict
from parking.desk import (
    CaseChanged,
    CasePhase,
    CaseView,
    CommandState,
    CommandView,
    ExitChanged,
    StayState,
    Timeline,
    TimelineEntry,
)
from parking.stay import NameKind, StayRef

GATE = "1002/OUT1"

# The offscreen platform says so for every window; it has no window manager to tell sizes to.
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


def activate(console, qtbot) -> None:
    """Keys reach only an active window; offscreen nobody else makes it one."""

    window = console.frame if console.window.dialog is None else console.window.dialog

    def active() -> bool:
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(active)


def press(console, qtbot, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """A key, wherever the focus is."""
    activate(console, qtbot)
    qtbot.keyClick(console.window, key, modifier)


def seen(widget: QWidget, kind: type) -> list:
    return [child for child in widget.findChildren(kind) if child.isVisible()]


def dialog(console) -> QWidget:
    assert console.window.dialog is not None
    return console.window.dialog


def tell(bridge, console, state: CommandState, *, key: str = GATE) -> None:
    """The bridge reports on the last order that it got."""
    command = bridge.commands[-1]
    told = CommandView(
        command_id=command.command_id,
        verb=command.verb,
        state=state,
        at=bridge.now(),
        actor=command.actor,
        code="not-observed" if state is CommandState.NOT_CONFIRMED else "",
    )
    bridge.publish(ExitChanged(exit=msgspec.structs.replace(bridge.exits[key], command=told)))


def order_text(console) -> str:
    return console.window.rail.card.order_text


# --- without a bridge -----------------------------------------------------------------------------------------------


def test_without_a_bridge_it_says_so_and_what_still_works(console, qtbot):
    qtbot.waitUntil(lambda: "オフライン" in console.window.banner.what.text())
    shown = " ".join(label.text() for label in seen(console.window.banner, QLabel))
    assert "現金はそのまま使えます" in shown
    assert "キースイッチ" in shown
    assert not any(choice.isEnabled() for choice in console.window.rail.card.buttons.values())
    assert "切断" in console.window.status.chips[""].text


def test_it_comes_alive_when_the_bridge_appears(console, full_bridge, qtbot):
    qtbot.waitUntil(lambda: console.board.state.live)
    assert not console.window.banner.isVisible()
    assert console.window.stays.model.rowCount() == 13
    assert "接続" in console.window.status.chips[""].text


def test_when_the_bridge_is_lost_everything_is_shown_as_stale(live, full_bridge, qtbot):
    card = live.window.rail.card
    fresh = live.frame.grab().toImage()
    full_bridge.stop()
    qtbot.waitUntil(lambda: not live.board.state.live)
    assert live.window.banner.isVisible()
    assert "不明" in card.position_text
    assert "不明" in live.window.rail.tiles[GATE].accessibleName()
    assert not card.buttons[Verb.RELEASE].isEnabled()
    at = live.window.stays.table.viewport().mapTo(live.frame, QPoint(0, 0))
    rows = [
        image.copy(at.x() + 300, at.y() + 60, 200, 100)
        for image in (fresh, live.frame.grab().toImage().copy(live.frame.rect()))
    ]
    assert rows[0] != rows[1]


# --- stays ----------------------------------------------------------------------------------------------------------


def test_f3_and_typing_finds_a_car(live, qtbot):
    press(live, qtbot, Qt.Key.Key_F3)
    qtbot.keyClicks(live.window.header.search, "481288")
    model = live.window.stays.model
    assert [model.rows[at].view.stay.name for at in range(model.rowCount())] == ["00481288"]
    assert "横浜58" in str(model.data(model.index(0, 2)))
    live.window.header.search.clear()
    assert model.rowCount() == 13


def test_a_click_on_a_header_sorts_and_a_second_one_turns_round(live, qtbot):
    table, model = live.window.stays.table, live.window.stays.model
    header = table.horizontalHeader()
    at = QPoint(header.sectionViewportPosition(4) + 10, 10)
    firsts = []
    for _ in range(2):
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=at)
        firsts.append(model.rows[0].view.stay.name)
    assert sorted(firsts) == ["16", "2"]


def test_the_chosen_stay_shows_its_timeline_and_keeps_being_chosen(live, full_bridge, qtbot, lot_rows):
    stays = live.window.stays
    assert stays.choose(lot_rows.doubt.key)
    qtbot.waitUntil(lambda: stays.timeline.model.rowCount() == 6)
    words = [stays.timeline.model.data(stays.timeline.model.index(at, 2)) for at in range(6)]
    assert words[:2] == ["入庫", "電話決済の完了を受信"]
    stays.filters[next(iter(stays.filters))].click()
    stays.search("練馬")
    assert stays.table.key == lot_rows.doubt.key
    assert stays.table.currentIndex().row() == 0


def test_an_order_by_hand_appears_in_the_timeline_of_its_stay(live, full_bridge, qtbot, lot_rows):
    stays = live.window.stays
    stays.choose(lot_rows.doubt.key)
    qtbot.waitUntil(lambda: stays.timeline.model.rowCount() == 6)
    entry = TimelineEntry(at=lot_rows.now, source="田中", what="release_confirmed", detail="7: malfunction: flap stuck")
    entries = (*lot_rows.timeline.entries, entry)
    full_bridge.timelines[lot_rows.doubt.stay.key] = Timeline(entries=entries)
    told = CommandView(command_id="c", verb="release", state=CommandState.CONFIRMED, at=lot_rows.now, actor="田中")
    full_bridge.publish(ExitChanged(exit=msgspec.structs.replace(full_bridge.exits["1001/7"], command=told)))
    qtbot.waitUntil(lambda: stays.timeline.model.rowCount() == 7)
    model = stays.timeline.model
    said = [model.data(model.index(6, at)) for at in (1, 2, 3)]
    assert said == ["田中", "開 (1回) — 確認済", "7: 機器不調: flap stuck"]


def test_choosing_a_bays_stay_brings_up_its_own_plate(live, lot_rows):
    live.window.stays.choose(lot_rows.doubt.key)
    assert live.window.rail.card.key == "1001/7"


def test_a_case_of_a_stay_named_by_plate_is_shown_by_the_plate_and_its_token_never(live):
    board, stay, at = live.board, StayRef(NameKind.PLATE, "0" * 20), live.board.state.now
    assert board.stay(1002, stay) == board.phrases("plate.erased")
    case = CaseView(lot=1002, number=9, stay=stay, amount=600, phase=CasePhase.SETTLED, since=at, plate="品川330あ7391")
    board.state = replace(board.state, cases={**board.state.cases, case.key: case})
    assert board.stay(1002, stay) == "品川330あ7391"
    assert board.stay(1001, stay) == board.phrases("plate.erased")


def test_the_keyboard_alone_chooses_no_stay_and_moves_no_exit(live, qtbot):
    live.window.rail.choose(GATE)
    live.window.header.search.setFocus()
    press(live, qtbot, Qt.Key.Key_F2)
    live.window.stays.table.setFocus()
    assert live.board.chosen == ""
    assert live.window.rail.card.key == GATE


def test_looking_at_one_lot_hides_the_other(live):
    lots = live.window.header.lots
    lots.setCurrentIndex(lots.findData(1002))
    lots.activated.emit(lots.currentIndex())
    assert live.window.rail.keys == (GATE,)
    assert live.window.stays.model.rowCount() == 3


# --- orders ---------------------------------------------------------------------------------------------------------


def test_an_order_by_keyboard_alone_and_its_way_to_confirmed(live, full_bridge, qtbot):
    live.window.rail.choose(GATE)
    press(live, qtbot, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    form = dialog(live)
    qtbot.keyClick(form, Qt.Key.Key_1)
    assert form.reasons[0].isChecked()
    assert not form.confirm.isEnabled()
    form.whose.stay.setFocus()
    for _ in range(3):  # past "choose", nobody and later
        qtbot.keyClick(form.whose.stay, Qt.Key.Key_Down)
    activate(live, qtbot)
    form.confirm.setFocus()
    qtbot.keyClick(form.confirm, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: len(full_bridge.commands) == 1)
    command = full_bridge.commands[0]
    assert (command.verb, command.exit, command.actor) == (Verb.RELEASE, "OUT1", "田中")
    assert command.reason == "malfunction"
    assert command.stay.name == "00481273"
    qtbot.waitUntil(lambda: "指令済" in order_text(live))
    tell(full_bridge, live, CommandState.CONFIRMED)
    qtbot.waitUntil(lambda: "確認済" in order_text(live))


def test_confirm_is_never_the_default_and_enter_in_a_field_sends_nothing(live, full_bridge, qtbot):
    live.window.rail.choose("1001/7")
    live.window.rail.order(Verb.RELEASE)
    form = dialog(live)
    assert not any(choice.isDefault() or choice.autoDefault() for choice in seen(form, QPushButton))
    qtbot.keyClick(form, Qt.Key.Key_3)
    assert form.confirm.isEnabled()
    qtbot.keyClick(form.note, Qt.Key.Key_Return)
    qtbot.keyClick(form.reasons[2], Qt.Key.Key_Return)
    assert form.isVisible()
    qtbot.keyClick(form, Qt.Key.Key_Escape)
    assert live.window.dialog is None
    qtbot.wait(50)
    assert full_bridge.commands == []


def test_a_plates_order_is_for_the_car_in_its_bay(live, lot_rows):
    live.window.rail.choose("1001/7")
    live.window.rail.order(Verb.RELEASE)
    assert dialog(live).whose.stay.currentData() == lot_rows.doubt.key


def test_opening_for_nobody_takes_a_reason_in_words(live, full_bridge, qtbot):
    live.window.rail.choose(GATE)
    live.window.rail.order(Verb.RELEASE)
    form = dialog(live)
    form.whose.stay.setCurrentIndex(form.whose.stay.findData(""))
    qtbot.keyClick(form, Qt.Key.Key_5)
    assert not form.confirm.isEnabled()
    qtbot.keyClicks(form.note, "dust cart 7")
    assert form.confirm.isEnabled()
    qtbot.mouseClick(form.confirm, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(full_bridge.commands) == 1)
    assert full_bridge.commands[0].stay is None
    assert full_bridge.commands[0].reason == "attendant: dust cart 7"


def test_a_name_is_required(live, qtbot):
    live.window.rail.choose("1001/7")
    live.window.rail.order(Verb.HOLD_OPEN)
    form = dialog(live)
    qtbot.keyClick(form, Qt.Key.Key_4)
    form.actor.clear()
    assert not form.confirm.isEnabled()
    form.actor.setText("佐藤")
    assert form.command().actor == "佐藤"
    assert form.command().verb is Verb.HOLD_OPEN


def test_not_confirmed_stays_on_screen_until_it_is_acknowledged(live, full_bridge, qtbot):
    live.window.notices.acknowledge()  # the one that the lot started with
    assert not live.window.notices.isVisible()
    live.window.rail.choose("1001/7")
    live.window.rail.order(Verb.RELEASE)
    form = dialog(live)
    qtbot.keyClick(form, Qt.Key.Key_1)
    qtbot.mouseClick(form.confirm, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(full_bridge.commands) == 1)
    tell(full_bridge, live, CommandState.NOT_CONFIRMED, key="1001/7")
    qtbot.waitUntil(lambda: live.window.notices.isVisible())
    assert "確認できず" in order_text(live)
    assert "7番" in live.window.notices.text.text()
    qtbot.wait(50)
    assert live.window.notices.isVisible()
    press(live, qtbot, Qt.Key.Key_F8)
    assert not live.window.notices.isVisible()


def test_a_refused_order_says_why(live, full_bridge, qtbot):
    live.window.notices.acknowledge()
    full_bridge.reply = CommandReply(accepted=False, code="device-unavailable", detail="port busy")
    live.window.rail.choose("1001/7")
    live.window.rail.order(Verb.END_HOLD)
    qtbot.keyClick(dialog(live), Qt.Key.Key_4)
    qtbot.mouseClick(dialog(live).confirm, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: live.window.notices.isVisible())
    text = live.window.notices.text.text()
    assert "拒否" in text
    assert "機器と通信できない" in text
    assert "何も動いていません" in text


def test_there_is_no_way_to_close_a_gate(live):
    assert set(live.window.rail.card.buttons) == {Verb.RELEASE, Verb.HOLD_OPEN, Verb.END_HOLD}
    assert not any(verb.value.startswith("close") for verb in Verb)


# --- in doubt -------------------------------------------------------------------------------------------------------


def test_a_case_in_doubt_shows_its_evidence_and_is_decided_with_a_reason(live, full_bridge, qtbot, lot_rows):
    assert "1" in live.window.nav[1].text()
    press(live, qtbot, Qt.Key.Key_F7)
    page = live.window.doubts
    assert page.case == lot_rows.case
    assert "channel 6: 118 before" in page.evidence_text
    qtbot.mouseClick(page.not_settled, Qt.MouseButton.LeftButton)
    qtbot.keyClick(dialog(live), Qt.Key.Key_1)
    qtbot.mouseClick(dialog(live).confirm, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(full_bridge.commands) == 1)
    command = full_bridge.commands[0]
    assert (command.verb, command.case, command.verdict) == (Verb.RESOLVE, 42, Verdict.NOT_SETTLED)
    assert command.reason == "seen_closed"
    assert not page.settled.isEnabled()
    assert page.model.rowCount() == 1
    done = msgspec.structs.replace(lot_rows.case, phase=CasePhase.REFUSED, by="田中")
    full_bridge.publish(CaseChanged(case=done))
    qtbot.waitUntil(lambda: page.model.rowCount() == 0)


# --- language, reach, size ------------------------------------------------------------------------------------------


def texts(console) -> str:
    labels = [label.text() for label in seen(console.frame, QLabel)]
    return "\n".join(labels + [choice.text() for choice in seen(console.frame, QAbstractButton)])


def test_the_language_changes_at_once_everywhere(live, qtbot):
    assert "開放固定" in texts(live)
    qtbot.mouseClick(live.window.header.languages[Language.EN], Qt.MouseButton.LeftButton)
    english = texts(live)
    assert "Hold open" in english
    own = [char for char in english.replace("田中", "") if "\u3040" <= char <= "\u9fff"]
    assert own == []
    assert live.window.stays.model.headerData(0, Qt.Orientation.Horizontal) == "Bay / ticket"
    qtbot.mouseClick(live.window.header.languages[Language.JA], Qt.MouseButton.LeftButton)
    assert "開放固定" in texts(live)


def test_everything_that_can_be_used_has_a_name_for_screen_readers(live):
    live.window.show_page(1)
    live.window.show_page(0)
    live.window.rail.order(Verb.RELEASE)
    live.window.rail.choose(GATE)
    kinds = (QAbstractButton, QLineEdit, QComboBox, QAbstractItemView)
    nameless = [
        (type(widget).__name__, widget.objectName())
        for root in (live.window, dialog(live))
        for kind in kinds
        for widget in seen(root, kind)
        if not widget.accessibleName() and not widget.objectName().startswith("qt_") and not _part_of_another(widget)
    ]
    assert nameless == []


def _part_of_another(widget: QWidget) -> bool:
    """Or a table's header, which is read with its table."""
    return isinstance(widget, QHeaderView) or isinstance(widget.parent(), QComboBox | QLineEdit | QAbstractItemView)


def test_what_moves_a_gate_is_large_enough_for_a_finger(live):
    for choice in live.window.rail.card.buttons.values():
        assert choice.height() >= 44
        assert choice.width() >= 44
    for tile in live.window.rail.tiles.values():
        assert min(tile.height(), tile.width()) >= 44


def test_the_tab_key_leads_to_every_order(live, qtbot):
    activate(live, qtbot)
    live.window.stays.table.setFocus()
    reached = set()
    for _ in range(80):
        focus = QApplication.focusWidget()
        reached.add(focus)
        live.window.focusNextPrevChild(True)
    wanted = {*live.window.rail.card.buttons.values(), live.window.header.search, live.window.nav[0]}
    assert {choice for choice in wanted if choice not in reached} == set()


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("page", [0, 1])
def test_nothing_is_cut_off_at_1366_by_768(live, qtbot, language, page):
    live.board.speak(language)
    live.window.rail.choose(GATE)
    live.window.show_page(page)
    live.frame.resize(*SIZE)
    assert (live.frame.width(), live.frame.height()) == SIZE
    all_fits(live.frame, qtbot)
    live.window.rail.order(Verb.RELEASE)
    all_fits(dialog(live), qtbot)


def all_fits(root: QWidget, qtbot) -> None:
    """Layouts follow a new text only after the event loop has turned."""
    with suppress(TimeoutError):
        qtbot.waitUntil(lambda: cut_off(root) == [], timeout=1000)
    assert cut_off(root) == []


def cut_off(root: QWidget) -> list[tuple[str, int, int]]:
    found = []
    for widget in seen(root, QLabel) + seen(root, QPushButton) + seen(root, QRadioButton):
        if isinstance(widget, QLabel) and widget.wordWrap():
            needed = widget.heightForWidth(widget.width())
            if needed > widget.height():
                found.append((widget.text(), needed, widget.height()))
        elif widget.text() and widget.sizeHint().width() > widget.width():
            found.append((widget.text(), widget.sizeHint().width(), widget.width()))
    return found


def test_a_crash_inside_is_said_calmly_and_goes_away_when_seen(live, qtbot):
    live.window.notices.say_crash("画面の内部で問題が起きました")
    assert "内部で問題" in live.window.notices.text.text()
    press(live, qtbot, Qt.Key.Key_F8)
    assert "内部で問題" not in live.window.notices.text.text()


def test_a_paid_stay_is_found_by_its_filter(live):
    stays = live.window.stays
    for wanted, choice in stays.filters.items():
        choice.click()
        states = {row.view.state for row in stays.model.rows}
        if wanted == "paid":
            assert states == {StayState.PAID}
    assert SimpleNamespace(rows=stays.model.rowCount()).rows == 14
