"""Asks what board is at an address, and switches nothing."""

import contextlib
import time
from typing import Final

from drivers.base import Finding
from drivers.hid_port import HidPort
from drivers.transport import Transport
from drivers.usb_relay import reports
from drivers.usb_relay.codec import Ask, HostEar, encode
from drivers.usb_relay.links import HID, number_of
from drivers.usb_relay.options import BoardProfile, Options
from drivers.usb_relay.plugged import LCUS_USB
from parking.errors import NotSent, Uncertain

TIMEOUT: Final = 0.4


def probe(url: str, deadline: float) -> Finding:
    """Ask how the relays stand, which changes nothing; plain serial boards never answer. `deadline` is monotonic.

    A HID device of other USB numbers than a board's is only written to if it says that it is of no usual kind. Raises
    Environment if the port cannot be opened, if several boards go by this address, or none.
    """
    if not url.lower().startswith(HID):
        with contextlib.closing(Transport(url, Options().line)) as line:
            return _asked(line, Ask(), deadline)
    known = url.lower() == f"{HID}{LCUS_USB}"
    numbered = not (known or url.startswith(f"{HID}/"))
    with contextlib.closing(HidPort(url, None, number_of if numbered else None)) as port:
        try:
            shown = reports.shown(port.get_feature(reports.SIZE, deadline))
        except (NotSent, Uncertain):
            shown = None  # it has no such report
        if shown is not None:
            identity = f"USB relay board {shown.number} (HID), on: {_listed(shown.on)}; its name tells how many it has"
            return Finding(True, identity, (f'profile = "{BoardProfile.DCTTECH}"',))
        try:
            own_kind = known or _is_own_kind(port.descriptor(deadline))
        except (NotSent, Uncertain) as error:
            return Finding(answered=False, identity=error.detail)
        return _asked(port, Ask(frame=True), deadline) if own_kind else Finding(False, "no relay board: a usual device")


def _asked(port: Transport | HidPort, question: Ask, deadline: float) -> Finding:
    ear = HostEar()
    found: dict[int, bool] = {}
    try:
        port.write(encode(question), deadline)
        limit = min(deadline, time.monotonic() + TIMEOUT)
        while chunk := port.read_some(limit):
            found |= {word.relay: word.on for word in ear.feed(chunk)}
    except (NotSent, Uncertain) as error:
        return Finding(answered=False, identity=error.detail)
    if not found:
        return Finding(answered=False, identity="nothing answered; plain boards never do")
    identity = f"USB relay board, {len(found)} relays, on: {_listed({relay for relay, on in found.items() if on})}"
    profile = (f'profile = "{BoardProfile.LCUS_HID}"',) if question.frame else ()
    return Finding(True, identity, (*profile, f"relays = {max(found)}", "answers = true"))


def _is_own_kind(descriptor: bytes) -> bool:
    """Whether a report descriptor begins with a usage page of two bytes, as makers' own do; FIDO keys have F1D0."""
    return descriptor[:1] == b"\x06" and descriptor[1:3] != b"\xd0\xf1"


def _listed(relays: set[int] | frozenset[int]) -> str:
    return ", ".join(map(str, sorted(relays))) or "none"
