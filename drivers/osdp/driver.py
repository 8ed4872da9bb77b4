"""The drivers of this family by their `mode`, and the probe that tells which of them an address is for."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from drivers.base import Finding
from drivers.line_settings import LineSettings
from drivers.osdp.codec import BROADCAST, MARK, Codec, Frame, encode
from drivers.osdp.cp import Answer
from drivers.osdp.options import Outputs, settings_of
from drivers.osdp.outputs import OsdpOutputs
from drivers.osdp.reader import OsdpReader
from drivers.osdp.words import Command, Reply, identity
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap, Transport
from parking.errors import NotSent, Uncertain

BAUDS: Final = (9600, 115200)
LISTEN: Final = 0.5
"""Seconds for which a probe listens at one speed: a panel polls every 200 ms at least."""
LIKELY: Final = 8
"""How many addresses are tried where a device is known to be; a quarter of them elsewhere."""
ANSWER: Final = 0.25
"""Seconds for which a probe waits for a device (200 ms, and the bridge's own)."""


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> OsdpOutputs | OsdpReader:
    """The driver of `device`; raises Environment(CONFIG)."""
    del clock  # nothing here has a time of day
    settings = settings_of(device, [exit_ for exit_ in exits if exit_.device == device.id])
    if isinstance(settings.options, Outputs):
        return OsdpOutputs(device, settings, settings.options, recorder)
    return OsdpReader(device, settings, settings.options, recorder)


def probe(url: str, deadline: float) -> Finding:
    """Listen whether a panel polls there; if it is quiet, ask for a device's identity.

    ID changes nothing at the device. `deadline` is monotonic seconds. Raises Environment if the port cannot be opened.
    """
    last = "nothing that looks like OSDP answered or was heard"
    for baud in (BAUDS[0],) if url.startswith("socket://") else BAUDS:
        transport = Transport(url, LineSettings(baud))
        try:
            found = _listen(transport, baud, deadline) or _ask(transport, baud, deadline)
        except (NotSent, Uncertain) as error:
            found, last = None, error.detail
        finally:
            transport.close()
        if found is not None:
            return found
    return Finding(answered=False, identity=last)


def _listen(transport: Transport, baud: int, deadline: float) -> Finding | None:
    codec, until = Codec(), min(deadline, time.monotonic() + LISTEN)
    while time.monotonic() < until:
        for frame in codec.feed(transport.read_some(until)):
            if not frame.is_reply:
                return _panel(frame, baud)
    return None


def _panel(frame: Frame, baud: int) -> Finding:
    secure = "" if frame.block is None else ", over a secure channel"
    hints = ('mode = "reader"', f"address = {frame.address}", f"baud = {baud}")
    return Finding(True, f"OSDP, {baud} baud: a panel polls address {frame.address}{secure}", hints)


def _ask(transport: Transport, baud: int, deadline: float) -> Finding | None:
    """Whoever hears it says who it is; then the lowest addresses are tried, so that its own becomes known."""
    heard = _identified(transport, BROADCAST, deadline)
    for address in range(LIKELY if heard else LIKELY // 4):
        if (frame := _identified(transport, address, deadline)) is not None:
            return _device(frame, baud, (f"address = {address}",))
    return None if heard is None else _device(heard, baud, ())


def _identified(transport: Transport, address: int, deadline: float) -> Frame | None:
    transport.write(MARK + encode(Frame(address, Command.ID, b"\0")), deadline)
    codec, until = Codec(), min(deadline, time.monotonic() + ANSWER)
    while chunk := transport.read_some(until):
        for frame in codec.feed(chunk):
            if frame.is_reply and frame.address == address:
                return frame
    return None


def _device(frame: Frame, baud: int, address: tuple[str, ...]) -> Finding:
    who = identity(frame.data) if frame.code == Reply.PDID else str(Answer(frame.code, frame.data))
    return Finding(True, f"OSDP, {baud} baud: {who}", ('mode = "output"', *address, f"baud = {baud}"))


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return settings_of(device, ()).options.line
