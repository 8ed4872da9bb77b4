"""The serial ports and HID relay boards of this computer: what is plugged in, who has it, and whether we may open it.

Opening a serial port moves its control lines, and some adapters reset what hangs on them; so this looks from the
outside. Of a HID board that has a number of its own, that is read, which changes nothing.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serial.tools import list_ports

from drivers.hid_port import RULE_FILE, HidDevice, udev_rule
from drivers.usb_relay.plugged import PluggedBoard, plugged_boards

_BY_ID: Final = Path("/dev/serial/by-id")
_PROCESSES: Final = Path("/proc")
_BRIDGE: Final = "bridge"


@dataclass(frozen=True, slots=True)
class SerialPort:
    """One port, or one HID board. `url` is what a lot profile takes; `stable` another name that survives replugging.

    `vid_pid` is empty for ports that are not USB; `held_by` names the program that has it open, as far as may be seen,
    and `by_bridge` says that it is our own bridge; `hint` says what to do where we may not open it, and `group` which
    group of users may.
    """

    url: str
    description: str
    vid_pid: str = ""
    serial_number: str = ""
    stable: str = ""
    held_by: str = ""
    hint: str = ""
    by_bridge: bool = False
    group: str = ""


def ports(found: Iterable[Any] | None = None) -> list[SerialPort]:
    """All ports of this computer, by name; `found` are pyserial's ListPortInfo, asked for if not given."""
    known = list_ports.comports() if found is None else found
    return [_described(one) for one in sorted(known, key=lambda one: str(one.device))]


def hid_boards(found: Iterable[HidDevice] | None = None) -> list[SerialPort]:
    """All HID relay boards of this computer, in the same words; `found` are its HID devices, listed if not given."""
    return [_board(one) for one in plugged_boards(found)]


def _board(one: PluggedBoard) -> SerialPort:
    device = one.device
    program, process = _holder(device.path)
    rule = f"put this line into {RULE_FILE}, then plug it in anew: {udev_rule(device.usb)}"
    return SerialPort(
        url=one.url,
        description=f"{device.name or 'USB relay'}, HID board at {device.path}",
        vid_pid=device.usb,
        serial_number=one.number,
        held_by=f"{program} (process {process})" if process else "",
        hint=f"this user may not open it: {rule}" if _hint(device.path)[0] else "",
        by_bridge=program == _BRIDGE,
    )


def _described(one: Any) -> SerialPort:
    device = str(one.device)
    usb = one.vid is not None and one.pid is not None
    text = one.description if one.description not in (None, "n/a") else "serial port"
    program, process = _holder(device)
    hint, group = _hint(device)
    return SerialPort(
        url=device,
        description=str(text),
        vid_pid=f"{one.vid:04x}:{one.pid:04x}" if usb else "",
        serial_number=str(one.serial_number or ""),
        stable=_stable(device),
        held_by=f"{program} (process {process})" if process else "",
        hint=hint,
        by_bridge=program == _BRIDGE,
        group=group,
    )


def _stable(device: str) -> str:
    """The name under which udev keeps a USB adapter, whichever socket it is in (Linux)."""
    if not _BY_ID.is_dir():
        return ""
    real = os.path.realpath(device)
    return next((str(link) for link in sorted(_BY_ID.iterdir()) if os.path.realpath(link) == real), "")


def _holder(device: str) -> tuple[str, str]:
    """Which program has the port open, and its process (Linux); only root sees those of other users."""
    real = os.path.realpath(device)
    for process in sorted(_PROCESSES.glob("[0-9]*")) if _PROCESSES.is_dir() else ():
        try:
            if any(os.path.realpath(handle) == real for handle in (process / "fd").iterdir()):
                return _program(process), process.name
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return "", ""


def _program(process: Path) -> str:
    """A process's own name; that of the module where Python runs one: `python` alone would say nothing."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    module = words[words.index("-m") + 1] if name.startswith("python") and "-m" in words[:-1] else ""
    return module or name


def _hint(device: str) -> tuple[str, str]:
    if sys.platform == "win32" or os.access(device, os.R_OK | os.W_OK):
        return "", ""
    try:
        group = Path(device).group()
    except (OSError, KeyError, NotImplementedError):
        return "this user may not open it", ""
    who = os.environ.get("USER", "$USER")
    return f"this user may not open it: sudo usermod -aG {group} {who}, then sign in again", group
