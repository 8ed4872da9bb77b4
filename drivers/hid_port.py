"""The second door to the wire: a HID device (a USB relay board), report by report. The only module that imports hidapi.

    hid://16c0:05df            the device of these USB numbers, if there is one only
    hid://16c0:05df/ABCDE      that of them which calls itself ABCDE (HidPort's `number_of` reads it)
    hid:///dev/hidraw3         a device node; Linux only, and the next time it may have another number

Errors are those of drivers.transport, as is the Tap. Two differences, both hidapi's. It does not say why a report was
not taken, so each that fails is Uncertain, even if no byte left. And `set_feature`, `get_feature` and `write` have no
time-out of their own: the kernel ends a control transfer after 5 s; the deadline only forbids to begin. Reading input
reports keeps it.

hidapi is loaded when the first port opens: a bridge without HID devices never has it. Its open and close keep all other
threads of Python waiting, and the kernel sleeps 50 ms in the first open of a USB device. Under POSIX the node is
therefore opened by us first, which also tells what is wrong, and locked: hidraw itself lets any number of programs in.
"""

import contextlib
import errno
import logging
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from drivers.recorder import Direction
from drivers.transport import Tap
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

MOST: Final = 256
"""Bytes of the longest input report that is taken."""
NUMBERED: Final = 8
"""Bytes of the feature report in which a device tells its own number."""
DESKTOP: Final = b"\x05\x01"
"""How the descriptor of a keyboard, a mouse or a joystick begins: usage page 1 (HID Usage Tables, Generic Desktop)."""
RULE_FILE: Final = "/etc/udev/rules.d/60-daiko-hid.rules"

_URL: Final = re.compile(r"hid://(?:([0-9a-f]{4}):([0-9a-f]{4})(?:/([!-~]+))?|(/[!-~]+))", re.IGNORECASE)
_FAILURES: Final = (OSError, ValueError)
_one_at_a_time: Final = threading.Lock()  # hidapi's list and open share an error text


class _Device(Protocol):
    """hidapi's device, as far as it is used."""

    def open_path(self, path: bytes) -> None: ...
    def close(self) -> None: ...
    def set_nonblocking(self, on: int) -> int: ...
    def send_feature_report(self, data: bytes) -> int: ...
    def get_feature_report(self, number: int, most: int) -> Sequence[int]: ...
    def write(self, data: bytes) -> int: ...
    def read(self, most: int, timeout_ms: int) -> Sequence[int]: ...
    def get_report_descriptor(self) -> Sequence[int]: ...
    def error(self) -> str: ...


@dataclass(frozen=True, slots=True)
class HidDevice:
    """A HID device that is plugged in. `usb` is its numbers, like `16c0:05df`; `path` what opens it."""

    path: str
    usb: str
    name: str = ""


def devices(usb: str = "") -> list[HidDevice]:
    """The HID devices of this computer, or those of these USB numbers; none where hidapi is not installed."""
    vendor, product = (int(part, 16) for part in usb.split(":")) if usb else (0, 0)
    try:
        with _one_at_a_time:
            rows = _hidapi().enumerate(vendor, product)
    except Environment as error:
        log.info("no HID device can be listed: %s", error)
        return []
    found = {
        os.fsdecode(row["path"]): (f"{row['vendor_id']:04x}:{row['product_id']:04x}", str(row["product_string"] or ""))
        for row in rows  # one for each collection in a device's descriptor
    }
    return [HidDevice(path, *rest) for path, rest in sorted(found.items())]


def udev_rule(usb: str) -> str:
    """What lets the group `dialout` open a device under Linux, for a file in /etc/udev/rules.d."""
    vendor, _, product = usb.partition(":")
    match = f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"'
    return f'SUBSYSTEM=="hidraw", {match}, GROUP="dialout", MODE="0660"'


def number_at(path: str, number_of: Callable[[bytes], str]) -> tuple[str, str]:
    """The own number of the device at a path, and else why it shows none. Asks beside a program that holds it."""
    try:
        node = _Node(path, path, exclusive=False)
    except DaikoError as error:
        return "", error.detail
    with contextlib.closing(node):
        try:
            return number_of(node.feature(NUMBERED)), ""
        except _FAILURES as error:
            return "", str(error)


class HidPort:
    """A HID device by URL. Not for several threads at a time: a port belongs to one.

    Opens when first used; after an error it closes, and opens again when next used.
    """

    def __init__(self, url: str, recorder: Tap | None = None, number_of: Callable[[bytes], str] | None = None) -> None:
        """Nothing is opened yet. Raises Environment(CONFIG) if `url` is no address of a HID device.

        `number_of` finds the device's own number in its feature report, "" if the report is not that of such a device;
        what shows such a one is not opened. Without it, keyboards and the like are not.
        """
        match = _URL.fullmatch(url)
        if match is None or (match[3] and number_of is None):
            words = (
                "write hid://16c0:05df, the USB numbers as `python -m drivers ports` shows them, or hid:///dev/hidraw0"
            )
            what = (
                "is no address of a HID device" if match is None else "names a number, which such devices do not have"
            )
            raise Environment(Code.CONFIG, f"{url!r} {what}", words)
        self.url = url
        self._path = match[4] or ""
        self._usb = f"{match[1]}:{match[2]}".lower() if match[1] else ""
        self._number = match[3] or ""
        self._tap, self._number_of = recorder, number_of
        self._node: _Node | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port is open as far as known."""
        return self._node is not None

    def set_feature(self, report: bytes, deadline: float) -> None:
        """Send a feature report. Raises Environment or NotSent if nothing left, Uncertain if it may have."""
        self._send(lambda node: node.device.send_feature_report(b"\0" + report), report, deadline)

    def write(self, data: bytes, deadline: float) -> None:
        """Send an output report. Raises as `set_feature` does."""
        self._send(lambda node: node.device.write(b"\0" + data), data, deadline)

    def get_feature(self, size: int, deadline: float) -> bytes:
        """The feature report, `size` bytes. Raises Environment, NotSent or Uncertain; asking changes nothing."""
        node = self._opened(deadline)
        try:
            report = node.feature(size)
        except _FAILURES as error:
            raise self._broken("it does not show its report", error) from error
        return self._heard(report)

    def read_some(self, deadline: float) -> bytes:
        """The next input report, as soon as there is one; b"" at the deadline.

        Raises Environment or NotSent if the port cannot be opened, Uncertain(LINK_DOWN) if the device has gone.
        """
        node = self._opened(math.inf)
        wait = math.ceil(max(0.0, deadline - time.monotonic()) * 1000)
        try:
            report = bytes(node.device.read(MOST, wait))
        except _FAILURES as error:
            raise self._broken("the line broke", error) from error
        return self._heard(report)

    def drain(self) -> None:
        """Throw away what has arrived and nobody waited for; finds out on the way whether the device has gone."""
        with contextlib.suppress(DaikoError):
            while self._node is not None and self.read_some(time.monotonic()):
                pass

    def descriptor(self, deadline: float) -> bytes:
        """The report descriptor, by which a device says what it is. Raises as `get_feature` does."""
        node = self._opened(deadline)
        try:
            return bytes(node.device.get_report_descriptor())
        except _FAILURES as error:
            raise self._broken("it does not say what it is", error) from error

    def close(self) -> None:
        """Give the port back; idempotent."""
        node, self._node = self._node, None
        if node is not None:
            node.close()

    def _send(self, send: Callable[["_Node"], int], report: bytes, deadline: float) -> None:
        node = self._opened(deadline)
        if time.monotonic() >= deadline:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self.url}: no time left to write")
        if self._tap:
            self._tap.note(Direction.TX, report)  # before: one that fails may have been heard all the same
        try:
            if send(node) < 0:
                raise OSError(errno.EIO, node.device.error())
        except _FAILURES as error:
            raise self._broken("the report was not taken", error) from error

    def _heard(self, report: bytes) -> bytes:
        if report and self._tap:
            self._tap.note(Direction.RX, report)
        return report

    def _broken(self, what: str, error: Exception) -> Uncertain:
        self.close()
        return Uncertain(Code.LINK_DOWN, f"{self.url}: {what}: {getattr(error, 'strerror', None) or error}")

    def _opened(self, deadline: float) -> "_Node":
        if self._node is None:
            if time.monotonic() >= deadline:
                raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self.url}: no time left to open it")
            self._node = self._open(self._path or self._found())
        return self._node

    def _open(self, path: str) -> "_Node":
        node = _Node(path, self.url, exclusive=True)
        try:
            ours = self._is_ours(node)
        except _FAILURES as error:
            node.close()
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self.url}: it does not show its report: {error}") from error
        if ours:
            return node
        node.close()
        raise Environment(
            Code.CONFIG, f"{self.url}: what is plugged in there is another device", "see `python -m drivers ports`"
        )

    def _is_ours(self, node: "_Node") -> bool:
        """Whether a device may be written to: by its own number, or else because it is no keyboard or the like."""
        if self._number_of is None:
            return not bytes(node.device.get_report_descriptor()).startswith(DESKTOP)
        number = self._number_of(node.feature(NUMBERED))
        return bool(number) and self._number in ("", number)

    def _found(self) -> str:
        """The path of the one device that is meant."""
        fitting: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        unseen: list[str] = []
        for one in devices(self._usb):
            number, trouble = number_at(one.path, self._number_of) if self._number_of else ("", "")
            if self._number_of and not (number or trouble):
                continue  # the numbers 16c0:05df belong to many makers
            unseen += [one.path] if trouble else []
            told = f"{number or trouble or 'no number'} at {one.path}"
            (fitting if self._number in ("", number) else others).append((one.path, told))
        if len(fitting) == 1:
            return fitting[0][0]
        if fitting:
            texts = "; ".join(told for _, told in fitting)
            by_number = f"by its number, hid://{self._usb}/NUMBER, or " if self._number_of else ""
            remedy = f"name one {by_number}by its path, like hid://{fitting[0][0]}"
            raise Environment(Code.CONFIG, f"{self.url}: there are {len(fitting)} of them: {texts}", remedy)
        if unseen:
            return unseen[0]  # opening it will say what is wrong
        found = "; ".join(told for _, told in others) or "none"
        remedy = "plug the board in; see `python -m drivers ports` and the address in the lot profile"
        raise Environment(Code.PORT_MISSING, f"{self.url}: no such HID device; found: {found}", remedy)


class _Node:
    """An open device."""

    def __init__(self, path: str, url: str, exclusive: bool) -> None:
        """Raises Environment."""
        made = _hidapi()
        self._held = _hold(path, url, exclusive)
        self.device: _Device = made.device()
        try:
            with _one_at_a_time:
                self.device.open_path(os.fsencode(path))
            self.device.set_nonblocking(1)
        except _FAILURES as error:
            self.close()
            remedy = "check the address in the lot profile; under Windows also whether another program holds the device"
            raise Environment(Code.PORT_MISSING, f"{url}: no HID device can be opened there", remedy) from error

    def feature(self, size: int) -> bytes:
        """The feature report without a number; hidapi puts that number, 0, in front. Raises OSError."""
        return bytes(self.device.get_feature_report(0, size + 1))[1:]

    def close(self) -> None:
        """Give it back: hidapi's handle first, so that the last close is ours and stops nobody else."""
        with contextlib.suppress(*_FAILURES):
            self.device.close()
        held, self._held = self._held, -1
        if held >= 0:
            os.close(held)


def _hold(path: str, url: str, exclusive: bool) -> int:
    """Open the node ourselves and lock it, so that two bridges never share a board. -1 where there are no nodes."""
    if sys.platform == "win32":
        return -1
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        if exclusive:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise _trouble(path, url, error) from error
    return descriptor


def _trouble(path: str, url: str, error: OSError) -> Environment:
    if error.errno in (errno.EACCES, errno.EPERM):
        usb = next((one.usb for one in devices() if one.path == path), "VENDOR:PRODUCT")
        remedy = f"put this line into {RULE_FILE}, then plug the board in anew: {udev_rule(usb)}"
        return Environment(Code.PORT_FORBIDDEN, f"{url}: this user may not open {path}", remedy)
    if error.errno in (errno.EBUSY, errno.EWOULDBLOCK):
        remedy = "end the other program, or choose another board"
        return Environment(Code.PORT_BUSY, f"{url}: another program holds {path}", remedy)
    remedy = "plug the board in; check its address in the lot profile"
    return Environment(Code.PORT_MISSING, f"{url}: no such device: {error.strerror}", remedy)


def _hidapi() -> Any:
    """The library, by way of the kernel's hidraw under Linux. Raises Environment(CONFIG) if it is not installed."""
    try:
        if sys.platform.startswith("linux"):
            import hidraw as library
        else:
            import hid as library
    except ImportError as error:
        remedy = "install it into the bridge's environment: pip install hidapi"
        raise Environment(Code.CONFIG, f"HID devices need hidapi, which is not there: {error}", remedy) from error
    return library
