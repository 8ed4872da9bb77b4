"""The wizard that connects a machine, driven by keys and clicks: the real tools, and machines of a simulated lot."""

import json
import os
import socket
import subprocess
import sys
import time
import tomllib
import tty
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QLabel, QWidget, QWizard
from shiboken6 import isValid

from console.connect_wizard import ConnectWizard
from console.connecting import Job
from console.i18n import Language
from console.toolbox import Failure
from console.workbench import ToolRun, Workbench
from drivers.profile import DeviceTable
from drivers.registry import FAMILIES, families_for
from drivers.transport import Transport
from parking.commands import OperatorRole, SignedIn

ROOT = Path(__file__).parents[2]
NEXT, BACK, CANCEL = (getattr(QWizard.WizardButton, f"{kind}Button") for kind in ("Next", "Back", "Cancel"))
PATIENCE = 20_000
"""Milliseconds: two programs start one after the other, which takes a second where nothing else does."""

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


@pytest.fixture(scope="module")
def lot(tmp_path_factory):
    """The addresses of a simulated lot's machines, and its run folder."""
    yield from simulated("gated-host", tmp_path_factory.mktemp("lot"))


@pytest.fixture
def tables(tmp_path):
    """The same of a lot whose host is reached by its tables."""
    yield from simulated("gated-sql", tmp_path)


@pytest.fixture
def plates(tmp_path):
    """The same of a lot whose plates hang on a serial line."""
    yield from simulated("bay-plates", tmp_path)


def simulated(name: str, folder: Path):
    command = [sys.executable, "-m", "drivers", "sim", f"seeds/lots/{name}.toml", "--run-dir", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield {**json.loads(process.stdout.readline())["urls"], "history": folder / "history.jsonl"}
        finally:
            process.terminate()


@pytest.fixture
def silent():
    """A machine that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed():
    """An address at which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture
def wizard(console, qtbot):
    """The wizard, once the ports are listed."""
    press_f10(console, qtbot)
    it = console.window.dialog
    assert isinstance(it, ConnectWizard)
    settle(it, qtbot)
    yield it
    if isValid(it):
        it.done(0)


def activate(window: QWidget, qtbot) -> None:
    """Keys reach only an active window; offscreen nobody else makes it one."""

    def active() -> bool:
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(active)


def press_f10(console, qtbot) -> None:
    activate(console.frame, qtbot)
    qtbot.keyClick(console.window, Qt.Key.Key_F10)


def settle(it: ConnectWizard, qtbot) -> None:
    """Wait until the ports are listed and keys reach it."""
    qtbot.waitUntil(lambda: it.bench.state.job is None and it.bench.state.ports is not None, timeout=PATIENCE)

    activate(it, qtbot)


def aim(wizard, qtbot, address: str) -> None:
    """Type an address and go to the page that asks."""
    wizard.ports.by_address.click()
    wizard.ports.address.clear()
    qtbot.keyClicks(wizard.ports.address, address)
    qtbot.keyClick(wizard.ports.address, Qt.Key.Key_Return)
    assert wizard.currentPage() is wizard.probe


def ask(wizard, qtbot) -> None:
    """Press Enter on the page that asks, and wait for what comes of it."""
    qtbot.keyClick(wizard, Qt.Key.Key_Return)
    assert wizard.bench.state.job is Job.PROBE
    qtbot.waitUntil(lambda: wizard.bench.state.job is None, timeout=PATIENCE)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


# --- a machine that is there ----------------------------------------------------------------------------------------


def test_a_machine_is_found_by_its_address_with_the_lines_for_the_profile(wizard, lot, qtbot):
    before = lot["history"].read_bytes()
    aim(wizard, qtbot, lot["gate"].removeprefix("socket://"))
    ask(wizard, qtbot)
    page = wizard.outcome
    assert wizard.currentPage() is page
    assert page.title_text.text() == "見つかりました"
    assert "Modbus TCP, unit 1" in page.identity.text()
    assert "ロック板コントローラー" in page.identity.text()
    (table,) = tomllib.loads(page.lines.toPlainText())["device"]
    device = msgspec.convert(table, DeviceTable)
    assert (device.family, device.url, device.options) == (
        "modbus_io",
        lot["gate"],
        {"profile": "input_board", "framing": "tcp", "unit": 1},
    )
    FAMILIES[device.family].module().line(device)  # what is pasted loads, and moves nothing yet
    assert "relay_board" in page.steps.text()
    assert "commission --profile" in page.steps.text()
    qtbot.keyClick(wizard.focusWidget(), Qt.Key.Key_Return)  # one Enter too many copies, and closes nothing
    assert wizard.currentPage() is page
    assert QGuiApplication.clipboard().text() == page.lines.toPlainText()
    assert page.copied.text() == "コピーしました。"
    assert lot["history"].read_bytes() == before  # asking has moved nothing


def test_a_hosts_tables_are_found_by_their_file(wizard, tables, qtbot):
    aim(wizard, qtbot, tables["host"])
    ask(wizard, qtbot)
    assert "[host_link]" in wizard.probe.kinds.itemText(1)
    (table,) = tomllib.loads(wizard.outcome.lines.toPlainText())["device"]
    assert (table["family"], table["url"]) == ("host_link", tables["host"])
    assert "password_file" in wizard.outcome.steps.text()


def test_a_server_is_found_as_the_one_kind_that_is_asked_for(wizard, lot, qtbot):
    aim(wizard, qtbot, lot["host"])
    kinds = wizard.probe.kinds
    assert [kinds.itemData(at) for at in range(kinds.count())] == ["", "host_link"]
    qtbot.keyClick(kinds, Qt.Key.Key_Down)
    assert wizard.bench.state.family == "host_link"
    ask(wizard, qtbot)
    assert "# facility and api_key" in wizard.outcome.lines.toPlainText()


def test_plates_are_found_on_their_serial_line(wizard, plates, qtbot):
    line = os.path.realpath(plates["plates"])
    aim(wizard, qtbot, line)
    ask(wizard, qtbot)
    assert "9600 baud" in wizard.outcome.identity.text()
    (table,) = tomllib.loads(wizard.outcome.lines.toPlainText())["device"]
    assert (table["url"], table["options"]["baud"]) == (line, 9600)


def test_trying_again_asks_anew(wizard, lot, qtbot):
    aim(wizard, qtbot, lot["gate"])
    for _ in range(2):
        ask(wizard, qtbot)
        assert wizard.currentPage() is wizard.outcome
        wizard.button(BACK).click()
        assert wizard.currentPage() is wizard.probe
        assert wizard.bench.state.findings is None


# --- one that is not ------------------------------------------------------------------------------------------------


def test_where_nothing_answers_it_says_what_to_check(wizard, closed, qtbot):
    aim(wizard, qtbot, closed)
    ask(wizard, qtbot)
    page = wizard.outcome
    assert page.title_text.text() == "何も応答しません"
    assert "電源" in page.steps.text()
    assert "nothing listens there" in page.lines.toPlainText()


def test_a_bad_address_is_told_at_the_place_and_goes_nowhere(wizard, qtbot):
    wizard.ports.by_address.click()
    for typed, word in (("192.168.1.20", "ポート番号"), ("ftp://x:1", "socket://"), ("", "入力して")):
        wizard.ports.address.clear()
        qtbot.keyClicks(wizard.ports.address, typed)
        assert word in wizard.ports.address_note.text()
        assert not wizard.button(NEXT).isEnabled()
        qtbot.keyClick(wizard.ports.address, Qt.Key.Key_Return)
        assert wizard.currentPage() is wizard.ports


def test_while_it_asks_it_says_who_is_asked_and_esc_ends_the_process(wizard, silent, qtbot):
    aim(wizard, qtbot, silent)
    qtbot.keyClick(wizard, Qt.Key.Key_Return)
    qtbot.waitUntil(
        lambda: f"1/{len(families_for(f'socket://{silent}'))}" in wizard.probe.status.text(), timeout=PATIENCE
    )
    assert "Modbus" in wizard.probe.status.text()
    assert wizard.probe.bar.isVisible()
    assert not wizard.button(NEXT).isEnabled()
    process = wizard.bench.run.process
    assert not gone(process)
    qtbot.keyClick(wizard.focusWidget(), Qt.Key.Key_Return)  # of somebody who cannot wait
    assert (wizard.currentPage(), wizard.bench.state.job) == (wizard.probe, Job.PROBE)
    qtbot.keyClick(wizard, Qt.Key.Key_Escape)
    assert (wizard.bench.state.job, wizard.bench.run) == (None, None)
    assert wizard.isVisible()  # the first Esc ends the asking, the next one the wizard
    assert wizard.button(NEXT).isEnabled()
    qtbot.waitUntil(lambda: gone(process))
    qtbot.keyClick(wizard, Qt.Key.Key_Escape)
    assert not wizard.isVisible()


def test_no_process_outlives_its_page_or_the_wizard(wizard, silent, qtbot):
    processes = []
    for end in (wizard.button(BACK).click, lambda: wizard.done(0)):
        aim(wizard, qtbot, silent)
        began = time.monotonic()
        qtbot.keyClick(wizard, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: wizard.bench.run.process != 0)
        processes.append(wizard.bench.run.process)
        assert not gone(processes[-1])
        end()
        assert time.monotonic() - began < 4  # nothing has waited for the tool: it asks for longer
    assert not wizard.isVisible()
    qtbot.waitUntil(lambda: all(map(gone, processes)))


def test_a_port_that_turns_out_to_be_taken_is_told_as_such_and_taken_from_nobody(wizard, qtbot):
    near, far = os.openpty()
    tty.setraw(far)
    bridge = Transport(os.ttyname(far))
    try:
        bridge.read_some(time.monotonic() + 0.01)
        aim(wizard, qtbot, os.ttyname(far))
        ask(wizard, qtbot)
        assert wizard.currentPage() is wizard.probe
        assert "この画面はそれを止めません" in wizard.probe.status.text()
        assert "ポート使用中" in wizard.probe.status.text()
        bridge.write(b"still ours", time.monotonic() + 1)
        assert os.read(near, 100) == b"still ours"
    finally:
        bridge.close()
        os.close(near)
        os.close(far)


# --- ports ----------------------------------------------------------------------------------------------------------


def test_the_ports_are_those_that_the_tool_tells(wizard):
    done = subprocess.run(
        [sys.executable, "-m", "drivers", "ports", "--json"], cwd=ROOT, capture_output=True, check=False
    )
    told = [port["url"] for port in json.loads(done.stdout)]
    table = wizard.ports.table
    assert [table.item(at, 0).text() for at in range(table.rowCount())] == told


def tools(tmp_path: Path, ports: str) -> tuple[str, ...]:
    """The real tools, but with this list of ports: what is plugged into this computer is not for a test to say."""
    script = tmp_path / "tools.py"
    script.write_text(f"import sys\nfrom drivers.__main__ import main\nif 'ports' in sys.argv: print({ports!r})\n")
    with script.open("a") as more:
        more.write("else: sys.exit(main())\n")
    return sys.executable, str(script)


@pytest.fixture
def bench(console, tmp_path, monkeypatch):
    """Workbenches whose tool tells these ports."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return lambda ports: Workbench(console.window, tools(tmp_path, ports))


def begin(console, qtbot, bench) -> ConnectWizard:
    it = ConnectWizard(console.board, console.window, bench)
    console.window._open(it)
    qtbot.waitUntil(lambda: it.bench.state.job is None, timeout=PATIENCE)
    return it


def test_a_port_of_the_bridge_is_left_alone_and_the_reason_given(console, bench, qtbot):
    held = [
        {"url": "/dev/ttyUSB0", "description": "CH340", "held_by": "bridge (process 7)", "by_bridge": True},
        {"url": "/dev/ttyUSB1", "held_by": "minicom (process 8)"},
        {"url": "/dev/ttyUSB2", "hint": "this user may not open it", "group": "dialout", "vid_pid": "1a86:7523"},
        {"url": "/dev/ttyUSB3", "stable": "/dev/serial/by-id/usb-x"},
    ]
    wizard = begin(console, qtbot, bench(json.dumps(held)))
    page, table = wizard.ports, wizard.ports.table
    assert table.item(0, 3).text() == "ブリッジが使用中"
    assert table.item(2, 2).text() == "1a86:7523"
    shown = []
    for row in range(4):
        table.selectRow(row)
        shown.append(page.port_note.text())
        assert wizard.button(NEXT).isEnabled() is (row == 3)
    assert "ブリッジを止めることはありません" in shown[0]
    assert "minicom (process 8)" in shown[1]
    assert "sudo usermod -aG dialout $USER" in shown[2]
    assert "/dev/serial/by-id/usb-x" in shown[3]
    page.by_address.click()
    assert not wizard.button(NEXT).isEnabled()
    cell = table.visualItemRect(table.item(3, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell)  # it is selected already
    assert wizard.button(NEXT).isEnabled()
    page.by_address.click()
    qtbot.keyClicks(page.address, "/dev/ttyUSB0")
    assert "ブリッジを止めることはありません" in page.address_note.text()
    assert not wizard.button(NEXT).isEnabled()


def test_without_a_port_it_says_what_to_do_and_refresh_looks_again(console, bench, qtbot, tmp_path):
    wizard = begin(console, qtbot, bench("[]"))
    assert "USBアダプターを挿し" in wizard.ports.port_note.text()
    tools(tmp_path, '[{"url": "COM3"}]')
    wizard.ports.refresh.click()
    qtbot.waitUntil(lambda: wizard.ports.table.rowCount() == 1, timeout=PATIENCE)
    assert wizard.ports.port_note.text() == "調べる相手: COM3"
    assert wizard.button(NEXT).isEnabled()


@pytest.mark.parametrize(
    ("command", "failure", "word"),
    [
        ((sys.executable, "-m", "drivers"), Failure.ABSENT, "ブリッジ部分も入れてください"),
        (("/nowhere/python",), Failure.NOT_STARTED, "入れ直して"),
        ((sys.executable, "-c", "print('hello')"), Failure.UNREADABLE, "版が違います"),
        ((sys.executable, "-c", "1/0"), Failure.BROKEN, "途中で止まりました"),
        ((sys.executable, "-c", "import os; os.abort()"), Failure.BROKEN, "途中で止まりました"),
        ((sys.executable, "-c", "print('[' * 3_000_000)"), Failure.UNREADABLE, "版が違います"),
    ],
    ids=["absent", "no-program", "other-words", "crash", "killed", "endless"],
)
def test_without_the_tools_it_says_so_and_what_to_do(console, qtbot, tmp_path, command, failure, word):
    """As on a PC that has the console alone: a folder without `drivers`."""
    wizard = begin(console, qtbot, Workbench(console.window, command, tmp_path))
    assert wizard.bench.state.trouble.failure is failure
    assert word in wizard.ports.port_note.text()
    assert not wizard.button(NEXT).isEnabled()
    assert wizard.ports.refresh.isEnabled()


def test_a_tool_that_hangs_is_given_up(qapp, console, qtbot):
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    run = ToolRun(sleeper, ROOT, 0.5, console.window)
    with qtbot.waitSignal(run.happened, timeout=5000) as told:
        run.start()
    process = run.process
    assert told.args[0].failure is Failure.TIMED_OUT
    run.stop()
    qtbot.waitUntil(lambda: gone(process))


# --- who may, and in which words ------------------------------------------------------------------------------------


@pytest.fixture
def guarded(full_bridge):
    """A bridge that wants PINs."""
    full_bridge.pins = {"田中": ("483920", OperatorRole.ATTENDANT)}


def test_where_operators_are_only_an_installer_may(guarded, console, qtbot):
    qtbot.waitUntil(lambda: console.board.state.sign_in)
    entry = console.window.connect_machine
    for role in (None, OperatorRole.ATTENDANT, OperatorRole.SUPERVISOR, OperatorRole.INSTALLER):
        if role is not None:
            signed = SignedIn(session=f"s-{role}", operator="田中", role=role, idle_seconds=300)
            console.board.begin_session(signed)
        assert entry.isVisible() is (role is OperatorRole.INSTALLER)
        press_f10(console, qtbot)
        assert (console.window.dialog is not None) is (role is OperatorRole.INSTALLER)
    console.window.dialog.done(0)
    console.board.end_session()
    assert not entry.isVisible()


def test_where_nobody_has_a_pin_everybody_may(live, qtbot):
    live.window.connect_machine.click()
    assert isinstance(live.window.dialog, ConnectWizard)
    live.window.dialog.done(0)


@pytest.mark.parametrize("language", Language)
def test_it_speaks_the_language_of_the_window_and_every_part_has_a_name(console, lot, qtbot, language):
    console.board.speak(language)
    press_f10(console, qtbot)
    wizard = console.window.dialog
    settle(wizard, qtbot)
    aim(wizard, qtbot, lot["gate"])
    ask(wizard, qtbot)
    said = [wizard.windowTitle()]
    for page in (wizard.ports, wizard.probe, wizard.outcome):
        said += [label.text() for label in page.findChildren(QLabel) if label.text()]
        said += [choice.text() for choice in page.findChildren(QAbstractButton) if choice.text()]
        for part in (page, *page.findChildren(QAbstractButton)):
            named = part.accessibleName() or getattr(part, "text", str)()
            assert named or part.metaObject().className() == "QTableCornerButton", part
    said += [wizard.button(kind).text() for kind in (NEXT, BACK, CANCEL)]
    texts = [text for text in said if lot["gate"] not in text]
    if language is Language.JA:
        assert [text for text in texts if text.isascii()] == []
    else:
        assert [text for text in texts if any("\u3040" <= sign <= "\u9fff" for sign in text)] == []
    for part in (wizard.ports.table, wizard.ports.address, wizard.probe.kinds, wizard.outcome.lines):
        assert part.accessibleName()
        assert "&" not in part.accessibleName()


def test_tab_reaches_everything_in_the_order_of_the_page(wizard, qtbot):
    wizard.ports.by_port.setFocus()
    order = []
    for _ in range(5):
        order.append(wizard.focusWidget())
        qtbot.keyClick(wizard.focusWidget(), Qt.Key.Key_Tab)
    page = wizard.ports
    assert page.by_port in order
    assert {page.refresh, page.table, page.address} <= set(order)
    assert order.index(page.refresh) < order.index(page.table) < order.index(page.address)


def test_a_window_that_is_torn_down_leaves_no_process(console, qapp, qtbot):
    sleeper = (sys.executable, "-c", "import time; time.sleep(60)")
    wizard = ConnectWizard(console.board, console.window, Workbench(console.window, sleeper))
    wizard.open()
    qtbot.waitUntil(lambda: wizard.bench.run.process != 0)
    process = wizard.bench.run.process
    wizard.bench.deleteLater()
    wizard.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.waitUntil(lambda: gone(process))
