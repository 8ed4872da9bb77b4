"""How a board is told and asked: frames on a serial line or in HID reports, or HID feature reports."""

from collections.abc import Collection
from typing import Final, Protocol

from drivers.hid_port import HidPort
from drivers.profile import DeviceTable
from drivers.transport import Tap, Transport
from drivers.usb_relay import codec, reports
from drivers.usb_relay.codec import Ask, HostEar, Switch
from drivers.usb_relay.options import BoardProfile, Options
from parking.errors import Code, Environment, Uncertain

HID: Final = "hid://"
OFF_TIMES: Final = 2


class Link(Protocol):
    """One board on its port, whichever it is. For one thread at a time."""

    off_times: int
    """How often an `off` is written to be heard once: on a serial line half an `on` may swallow the first."""
    crossing: float
    """Seconds that so many commands take to cross."""

    @property
    def url(self) -> str:
        """Where the board is."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the port is open as far as known."""
        ...

    def encode(self, word: Switch) -> bytes:
        """The exact bytes of a command."""
        ...

    def tell(self, word: Switch, deadline: float) -> None:
        """Write a command. Raises Environment or NotSent if no byte left, Uncertain if it may have been heard."""
        ...

    def ask(self, relays: Collection[int], deadline: float) -> dict[int, bool]:
        """How relays stand, by the board; changes nothing. Raises Environment, NotSent or Uncertain."""
        ...

    def drain(self) -> None:
        """Throw away what has arrived; finds out on the way whether the board has gone."""
        ...

    def close(self) -> None:
        """Give the port back; idempotent."""
        ...


class _FrameLink:
    """A board of the LCUS kind."""

    def __init__(self, port: Transport | HidPort, question: Ask, off_times: int = 1, crossing: float = 0.0) -> None:
        self._port, self._question = port, question
        self.off_times, self.crossing = off_times, crossing
        self.url, self.drain, self.close = port.url, port.drain, port.close
        self._ear = HostEar()

    @property
    def is_open(self) -> bool:
        return self._port.is_open

    def encode(self, word: Switch) -> bytes:
        return codec.encode(word)

    def tell(self, word: Switch, deadline: float) -> None:
        self._port.write(codec.encode(word), deadline)

    def ask(self, relays: Collection[int], deadline: float) -> dict[int, bool]:
        self._port.drain()
        self._ear.reset()
        self._port.write(codec.encode(self._question), deadline)
        found: dict[int, bool] = {}
        while chunk := self._port.read_some(deadline):
            found |= {word.relay: word.on for word in self._ear.feed(chunk)}
            if found.keys() >= set(relays):
                return found
        raise Uncertain(Code.NO_REPLY, f"{self.url}: the board does not say how its relays stand")


class _FeatureLink:
    """A board of the DCTTech kind. A report is heard whole or not at all."""

    off_times = 1
    crossing = 0.0

    def __init__(self, port: HidPort) -> None:
        self._port = port
        self.url, self.drain, self.close = port.url, port.drain, port.close

    @property
    def is_open(self) -> bool:
        return self._port.is_open

    def encode(self, word: Switch) -> bytes:
        return reports.encode(word)

    def tell(self, word: Switch, deadline: float) -> None:
        self._port.set_feature(reports.encode(word), deadline)

    def ask(self, relays: Collection[int], deadline: float) -> dict[int, bool]:
        shown = reports.shown(self._port.get_feature(reports.SIZE, deadline))
        if shown is None:
            raise Uncertain(Code.NO_REPLY, f"{self.url}: what it shows is not the report of a relay board")
        return {relay: relay in shown.on for relay in relays}


def number_of(report: bytes) -> str:
    """A board's own number in its feature report, "" if that is no such board's."""
    shown = reports.shown(report)
    return shown.number if shown else ""


def link_of(device: DeviceTable, options: Options, recorder: Tap | None = None) -> Link:
    """The link to a device; opens nothing yet. Raises Environment(CONFIG) if address and profile do not go together."""
    is_hid, profile = device.url.lower().startswith(HID), options.profile
    if is_hid is (profile is BoardProfile.LCUS):
        what = "a HID board's" if is_hid else "not a HID board's"
        remedy = (
            'a HID board has `profile = "dcttech"` or "lcus_hid" and an address like hid://16c0:05df, others neither'
        )
        problem = f'device {device.id!r}: {device.url} is {what} address, and `profile` is "{profile}"'
        raise Environment(Code.CONFIG, problem, f"{remedy}; see drivers/usb_relay/README.md")
    if profile is BoardProfile.DCTTECH:
        return _FeatureLink(HidPort(device.url, recorder, number_of))
    if profile is BoardProfile.LCUS_HID:
        return _FrameLink(HidPort(device.url, recorder), Ask(frame=True))
    crossing = OFF_TIMES * codec.SIZE * options.line.seconds_per_char
    return _FrameLink(Transport(device.url, options.line, recorder), Ask(), OFF_TIMES, crossing)
