"""The door for HID devices: the real hidapi at real device nodes of simulated boards.

Which devices are plugged in hidapi learns from udev, which knows nothing of those nodes; so the list alone is put in
its place. Whether a real system lists a real board so is not tried here.
"""

import os
import threading
import time
from pathlib import Path

import pytest

from drivers import hid_port
from drivers.hid_port import HidDevice, HidPort, udev_rule
from drivers.hidraw_node import HidrawNode
from drivers.language import Phrases
from drivers.ports import hid_boards
from drivers.tools.finding import port_lines
from drivers.tools.texts import TEXTS
from drivers.usb_relay.links import number_of
from drivers.usb_relay.plugged import plugged_boards
from parking.errors import Code, Environment, NotSent, Uncertain

DESCRIPTOR = bytes.fromhex("0600ff0901a101150026ff00750895080900b20201c0")
USB = "16c0:05df"


class Board(threading.Thread):
    """Shows `report`, and takes down what it is told."""

    def __init__(self, folder: Path, report: bytes = b"6QHXB\0\0\x05") -> None:
        super().__init__(daemon=True)
        try:
            self.node = HidrawNode(folder, DESCRIPTOR, USB)
        except OSError as error:
            pytest.skip(str(error))
        self.report, self.told, self.ended = report, [], threading.Event()
        self.path = str(self.node.path)
        self.start()

    def run(self) -> None:
        while not self.ended.is_set():
            packet = self.node.request(0.02)
            if packet[:1] == b"G":
                self.node.answer(b"\0" + self.report) if self.report else self.node.refuse(32)
            elif packet:
                self.told.append(packet)
                self.node.answer()

    def plug(self, there: bool) -> None:
        (self.node.plug if there else self.node.unplug)()
        end = time.monotonic() + 5
        while os.path.lexists(self.path) is not there:
            assert time.monotonic() < end
            time.sleep(0.002)

    def close(self) -> None:
        self.ended.set()
        self.join()
        self.node.close()


@pytest.fixture
def boards(tmp_path):
    made = []

    def build(*reports):
        made.extend(Board(tmp_path / f"board{at}", report) for at, report in enumerate(reports))
        return made

    yield build
    for board in made:
        board.close()


@pytest.fixture
def plugged(monkeypatch):
    """Says which devices hidapi lists."""

    def list_(*found):
        monkeypatch.setattr(hid_port, "devices", lambda usb="": [one for one in found if usb in ("", one.usb)])

    return list_


def soon(seconds=1.0):
    return time.monotonic() + seconds


def device(board, usb=USB, name="USBRelay2"):
    return HidDevice(board.path, usb, name)


def test_reports_go_both_ways_without_their_number_and_are_recorded(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    tape = []
    port = HidPort(f"hid://{board.path}", type("Tape", (), {"note": lambda _, *chunk: tape.append(chunk)})())
    port.set_feature(b"\xff\x01".ljust(8, b"\0"), soon())
    port.write(b"\xa0\x01\x01\xa2", soon())
    assert port.get_feature(8, soon()) == b"6QHXB\0\0\x05"
    board.node.show(b"CH1:ON \r\n")
    assert port.read_some(soon()) == b"CH1:ON \r\n"
    assert port.descriptor(soon()) == DESCRIPTOR
    port.close()
    assert board.told == [b"S\0\xff\x01" + bytes(6), b"W\0\xa0\x01\x01\xa2"]
    assert tape == [
        ("tx", b"\xff\x01" + bytes(6)),
        ("tx", b"\xa0\x01\x01\xa2"),
        ("rx", b"6QHXB\0\0\x05"),
        ("rx", b"CH1:ON \r\n"),
    ]


def test_an_input_report_is_awaited_until_the_deadline(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    port = HidPort(f"hid://{board.path}")
    assert port.read_some(soon(0.0)) == b""
    before = time.monotonic()
    assert port.read_some(soon(0.15)) == b""
    assert 0.14 < time.monotonic() - before < 1.0
    threading.Timer(0.1, board.node.show, [b"x"]).start()
    assert port.read_some(soon(5.0)) == b"x"
    port.close()


def test_what_has_arrived_is_thrown_away(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    port = HidPort(f"hid://{board.path}")
    port.read_some(soon(0.0))
    board.node.show(b"old")
    board.node.show(b"older")
    time.sleep(0.05)
    port.drain()
    assert port.read_some(soon(0.05)) == b""
    port.close()


def test_a_device_that_is_pulled_out_is_noticed_while_reading_and_opens_anew(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    port = HidPort(f"hid://{board.path}")
    threading.Timer(0.1, board.node.unplug).start()
    before = time.monotonic()
    with pytest.raises(Uncertain) as caught:
        port.read_some(soon(5.0))
    assert (caught.value.code, port.is_open) == (Code.LINK_DOWN, False)
    assert time.monotonic() - before < 2.0
    with pytest.raises(Environment) as missing:
        port.get_feature(8, soon())
    assert missing.value.code is Code.PORT_MISSING
    board.plug(True)
    assert port.get_feature(8, soon()) == b"6QHXB\0\0\x05"
    port.close()


def test_a_report_that_was_not_taken_may_have_been_heard(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    port = HidPort(f"hid://{board.path}")
    port.get_feature(8, soon())
    board.plug(False)
    with pytest.raises(Uncertain):
        port.set_feature(bytes(8), soon())
    assert not port.is_open


def test_nothing_is_written_after_the_deadline(boards):
    (board,) = boards(b"6QHXB\0\0\x05")
    port = HidPort(f"hid://{board.path}")
    port.get_feature(8, soon())
    for send in (port.set_feature, port.write):
        with pytest.raises(NotSent):
            send(bytes(8), time.monotonic())
    port.close()
    with pytest.raises(NotSent):
        port.get_feature(8, time.monotonic())
    assert board.told == []


class TestAddress:
    @pytest.mark.parametrize(
        "url",
        ["hid://", "hid://16c0", "hid://16c0:5df", "hid:/dev/hidraw0", "hid://16c0:05df/", "/dev/hidraw0", "hid:/// x"],
    )
    def test_that_is_none_is_a_mistake_in_the_profile(self, url):
        with pytest.raises(Environment) as caught:
            HidPort(url, None, number_of)
        assert (caught.value.code, "hid://16c0:05df" in caught.value.remedy) == (Code.CONFIG, True)

    def test_names_no_number_where_devices_have_none(self):
        with pytest.raises(Environment, match="do not have"):
            HidPort("hid://5131:2007/ABCDE")

    def test_finds_the_only_board_among_strangers_with_its_numbers(self, boards, plugged):
        ours, stranger, _ = boards(b"6QHXB\0\0\x05", b"\xff" * 8, b"OTHER\0\0\0")
        plugged(device(stranger), device(ours), HidDevice("/dev/null", "046d:c31c", "Keyboard"))
        port = HidPort("hid://16C0:05df", None, number_of)
        assert port.get_feature(8, soon()) == b"6QHXB\0\0\x05"
        port.close()

    def test_without_a_number_is_not_enough_where_there_are_two(self, boards, plugged):
        first, second = boards(b"6QHXB\0\0\x05", b"OTHER\0\0\0")
        plugged(device(first), device(second))
        with pytest.raises(Environment) as caught:
            HidPort("hid://16c0:05df", None, number_of).get_feature(8, soon())
        assert caught.value.code is Code.CONFIG
        for told in ("6QHXB", "OTHER", first.path, second.path):
            assert told in caught.value.detail
        assert "hid://16c0:05df/NUMBER" in caught.value.remedy

    def test_of_two_boards_without_numbers_has_to_be_a_path(self, boards, plugged):
        first, second = boards(b"", b"")
        plugged(device(first, "5131:2007"), device(second, "5131:2007"))
        with pytest.raises(Environment, match="there are 2 of them") as caught:
            HidPort("hid://5131:2007").write(b"x", soon())
        assert caught.value.remedy == f"name one by its path, like hid://{first.path}"

    def test_finds_a_board_by_its_own_number(self, boards, plugged):
        first, second = boards(b"6QHXB\0\0\x05", b"OTHER\0\0\0")
        plugged(device(first), device(second))
        port = HidPort("hid://16c0:05df/OTHER", None, number_of)
        port.set_feature(bytes(8), soon())
        port.close()
        assert (first.told, len(second.told)) == ([], 1)

    def test_of_a_board_that_is_not_there_tells_which_are(self, boards, plugged):
        (board,) = boards(b"6QHXB\0\0\x05")
        plugged(device(board))
        with pytest.raises(Environment, match="6QHXB") as caught:
            HidPort("hid://16c0:05df/OTHER", None, number_of).get_feature(8, soon())
        assert caught.value.code is Code.PORT_MISSING

    def test_of_a_path_where_another_device_hangs_now_is_a_mistake(self, boards):
        (board,) = boards(b"\xff" * 8)
        port = HidPort(f"hid://{board.path}", None, number_of)
        with pytest.raises(Environment, match="another device") as caught:
            port.set_feature(bytes(8), soon())
        assert (caught.value.code, board.told) == (Code.CONFIG, [])

    def test_of_a_file_that_is_no_device_is_told(self, tmp_path):
        (tmp_path / "x").touch()
        with pytest.raises(Environment) as caught:
            HidPort(f"hid://{tmp_path}/x").get_feature(8, soon())
        assert caught.value.code is Code.PORT_MISSING


def test_who_may_not_open_a_board_is_told_the_rule_that_lets_him(boards, plugged, monkeypatch):
    (board,) = boards(b"6QHXB\0\0\x05")
    plugged(device(board))
    opened = os.open

    def refuse(path, *rest, **more):
        if path == board.path:
            raise PermissionError(13, "Permission denied", path)  # root, who may run this, may open everything
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    for url in (f"hid://{board.path}", "hid://16c0:05df", "hid://16c0:05df/6QHXB"):
        with pytest.raises(Environment) as caught:
            HidPort(url, None, number_of).get_feature(8, soon())
        assert caught.value.code is Code.PORT_FORBIDDEN
        assert udev_rule(USB) in caught.value.remedy


def test_the_rule_names_the_device_the_group_and_nobody_else():
    assert udev_rule("16c0:05df") == (
        'SUBSYSTEM=="hidraw", ATTRS{idVendor}=="16c0", ATTRS{idProduct}=="05df", GROUP="dialout", MODE="0660"'
    )


class TestListed:
    def test_is_a_board_by_its_name_with_the_address_to_copy(self, boards):
        (board,) = boards(b"6QHXB\0\0\x05")
        (row,) = hid_boards(
            [device(board), device(board, name="V-USB thing"), HidDevice("/x", "046d:c31c", "Keyboard")]
        )
        assert (row.url, row.vid_pid, row.serial_number, row.hint) == ("hid://16c0:05df", USB, "6QHXB", "")
        assert port_lines(row, Phrases(TEXTS, "en")).startswith(
            f"hid://16c0:05df  USBRelay2, HID board at {board.path}  [16c0:05df 6QHXB]"
        )

    def test_are_two_boards_by_their_own_numbers_or_paths(self, boards):
        first, second, third = boards(b"6QHXB\0\0\x05", b"OTHER\0\0\0", b"")
        lcus = HidDevice("/dev/hidraw9", "5131:2007")
        urls = [one.url for one in plugged_boards([device(first), device(second), device(third), lcus])]
        assert urls == [
            "hid://16c0:05df/6QHXB",
            "hid://16c0:05df/OTHER",
            f"hid://{third.path}",
            "hid://5131:2007",
        ]

    def test_is_what_is_missing_to_open_it_and_who_has_it(self, boards, monkeypatch):
        (board,) = boards(b"6QHXB\0\0\x05")
        port = HidPort(f"hid://{board.path}")
        port.get_feature(8, soon())
        (row,) = hid_boards([device(board)])
        assert (f"process {os.getpid()}" in row.held_by, row.serial_number) == (True, "6QHXB")
        port.close()
        monkeypatch.setattr(os, "access", lambda *_: False)
        (row,) = hid_boards([device(board)])
        assert udev_rule(USB) in row.hint
        assert row.group == "", "a group that owns a device node is not one to join"


def test_the_devices_of_this_computer_can_be_listed():
    assert all(len(one.usb) == 9 and one.path for one in hid_port.devices())


def test_without_hidapi_a_port_says_what_to_install_and_the_list_is_empty(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "hidraw", None)
    assert hid_port.devices() == []
    with pytest.raises(Environment, match="hidapi") as caught:
        HidPort("hid:///dev/hidraw0").get_feature(8, soon())
    assert (caught.value.code, "pip install hidapi" in caught.value.remedy) == (Code.CONFIG, True)
