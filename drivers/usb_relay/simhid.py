"""The board as a HID device: a device node of drivers.hidraw_node, which hidapi opens as it opens a board's own.

What hangs on the relays and what goes wrong is as with a serial board (sim.py). A report is heard whole or not at all.
A silent board does not show its feature report, which the kernel gives up after 5 s (here at once).
"""

import errno
import threading
from pathlib import Path
from typing import Final

from drivers.hidraw_node import HidrawNode
from drivers.usb_relay import reports
from drivers.usb_relay.codec import Ask, BoardEar
from drivers.usb_relay.options import BoardProfile, Options
from drivers.usb_relay.sim import TICK, Faults, Relays
from parking.errors import Code, Environment

INPUT: Final = 64
"""Bytes of an input report of our LCUS board. Those of the makers' boards are not known."""

_FEATURE: Final = bytes.fromhex("0600ff 0901 a101 1500 26ff00 7508 9508 0900 b20201 c0")
"""The report descriptor of the open firmware for DCTTech boards: one feature report of 8 bytes, of its own kind."""
_IN_OUT: Final = bytes.fromhex("0600ff 0901 a101 1500 26ff00 7508 9540 0901 8102 9508 0902 9102 c0")
"""One of ours for LCUS boards, whose own is not known: 64 bytes in, 8 bytes out."""


class HidLine(threading.Thread):
    """Serves a board at `path`/hidraw0."""

    def __init__(self, path: Path, relays: Relays, options: Options, faults: Faults) -> None:
        """The node is there at once. Raises Environment(CONFIG) if none can be served here."""
        super().__init__(name=f"usb relay {path.name}", daemon=True)
        self.ended = threading.Event()
        self._relays, self._faults = relays, faults
        self._feature = options.profile is BoardProfile.DCTTECH
        self._number = (path.name.upper() + "00000")[: reports.NUMBER]
        self._ear = BoardEar()
        usb, descriptor = ("16c0:05df", _FEATURE) if self._feature else ("5131:2007", _IN_OUT)
        try:
            self._node = HidrawNode(path, descriptor, usb)
        except OSError as error:
            remedy = "a HID board is simulated under Linux, by root or where fusermount3 is installed"
            raise Environment(Code.CONFIG, f"device {path.name!r}: {error.strerror}", remedy) from error
        self.url = f"hid://{self._node.path}"

    def run(self) -> None:
        """Serve until stopped."""
        while not self.ended.is_set():
            wanted = not self._faults.unplugged
            if self._node.plugged and not wanted:
                self._node.unplug()
                self._relays.power_off()
            elif wanted and not self._node.plugged:
                self._node.plug()
                self._ear = BoardEar()
            self._relays.step()
            if request := self._node.request(TICK):
                self._serve(request[:1], request[2:])
        self._node.close()

    def _serve(self, kind: bytes, report: bytes) -> None:
        """Do what a request says; `report` is without its number, which is 0."""
        if self._faults.unplugged:
            self._node.refuse(errno.ENODEV)
        elif kind == b"W" and not self._feature:
            self._hear(report)
        elif kind == b"S" and self._feature:
            self._set(report)
        elif kind == b"G" and self._feature and not self._faults.silent:
            self._node.answer(b"\0" + reports.encode(reports.Shown(self._number, self._relays.on)))
        else:
            self._node.refuse(errno.ETIMEDOUT if self._faults.silent else errno.EPIPE)

    def _set(self, report: bytes) -> None:
        word = reports.told(report)
        if word is not None:
            self._relays.hear(word)
        self._acknowledge()

    def _hear(self, report: bytes) -> None:
        said = b"".join(self._relays.hear(word) for word in self._ear.feed(report) if word != Ask())
        self._acknowledge()
        for start in range(0, len(said), INPUT):
            self._node.show(said[start : start + INPUT].ljust(INPUT, b"\0"))

    def _acknowledge(self) -> None:
        """A cable that was pulled just now takes the acknowledgement along."""
        if self._faults.unplugged:
            self._node.refuse(errno.ENODEV)
        else:
            self._node.answer()
