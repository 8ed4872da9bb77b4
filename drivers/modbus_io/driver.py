"""The driver of relay boards and lock-plate controllers on Modbus: exits, and stays where bays have car sensors.

A release is written once and never again, whatever happens. It is preceded by a look (already open: refused), and what
became of it is read from inputs and counter, not from the echo (facts: device-timed pulses, level reads by FC01/02).
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from drivers.base import Capabilities, ExitState, Finding, Outcome, Refused, ReleaseOrder, Retry, Role, Stay, Target
from drivers.line_settings import LineSettings
from drivers.modbus_io import proof
from drivers.modbus_io.line import Letter, Line
from drivers.modbus_io.pdu import Bits, Failure, Function, Read, Reply, Trouble, Words
from drivers.modbus_io.profiles import Framing, Profile, profile_of, seen_exits
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap
from parking.desk import Position
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain
from parking.outcome import Level
from parking.stay import NameKind, StayRef

log = logging.getLogger(__name__)

WATCH_PAUSE: Final = 0.01
"""Seconds between two looks at a moving arm; on TCP a look takes next to no time by itself."""
GAP: Final = 8
"""Inputs so near to each other are read by one request."""
SAME_BREATH: Final = 0.05
"""Seconds for which inputs count as just read: who asks for the stays, then acts, need not ask a slow line twice."""
PROBE_TIMEOUT: Final = 0.4


class ModbusIo:
    """One device on one line or connection. All calls come from the thread that owns the port."""

    def __init__(
        self,
        device: DeviceTable,
        exits: Sequence[ExitTable],
        clock: Callable[[], datetime],
        recorder: Tap | None = None,
    ) -> None:
        """`exits` may be all of the lot; `clock` returns aware UTC. Raises Environment(CONFIG); opens nothing yet."""
        self._profile = profile = profile_of(device, exits)
        self._bays = {channel: exit_.bay for channel, exit_ in seen_exits(device, exits) if exit_.bay}
        self._clock = clock
        self._line = Line(device.url, profile.framing, profile.unit, profile.line, device.timeout_seconds, recorder)
        self._entered: dict[int, datetime] = {}
        self._counts: dict[int, int] = {}
        self._glance: tuple[float, dict[int, bool]] = (float("-inf"), {})
        self._holds: dict[int, bool] = {}
        self.give_way = _nobody_waits
        self.capabilities = _capabilities(profile)

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._counts.clear()
        self._holds.clear()
        self._line.close()

    # --- reading ---------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[Stay]:
        """One stay per bay with a car; it began when this driver first saw the car.

        Raises NotSent, Environment or Uncertain.
        """
        bays, base = self._bays, self._profile.vehicle
        if base is None or not bays:
            return ()
        inputs = self._inputs(self._with_openings([base + channel for channel in bays], bays), deadline)
        self._glance = (time.monotonic(), inputs)
        now = self._clock().replace(microsecond=0)
        for channel in bays:
            if not inputs[base + channel]:
                self._entered.pop(channel, None)
            else:
                self._entered.setdefault(channel, now)
        return tuple(
            Stay(StayRef(NameKind.BAY, bays[channel], entered)) for channel, entered in sorted(self._entered.items())
        )

    def _with_openings(self, vehicles: list[int], channels: Iterable[int]) -> list[int]:
        """The inputs of cars, and those of plates with them where that takes no request more."""
        if self._profile.opened is None:
            return vehicles
        both = vehicles + [self._profile.opened + channel for channel in channels]
        return both if len(spans(both, GAP)) == len(spans(vehicles, GAP)) else vehicles

    def read(self, targets: Sequence[Target], deadline: float) -> Sequence[ExitState]:
        """The state of each target, in order, with as few requests as possible.

        Whether it is held may be from the reading before, if somebody waits for the port (base.GivesWay).

        Raises NotSent, Environment or Uncertain.
        """
        if not targets:
            return ()
        profile, channels = self._profile, [target.channel for target in targets]
        wanted = [
            base + channel for base in (profile.opened, profile.vehicle) if base is not None for channel in channels
        ]
        inputs = self._inputs(wanted, deadline)
        coils = [] if profile.hold is None else [profile.hold + channel for channel in channels]
        if not (self.give_way() and self._holds.keys() >= set(coils)):
            self._holds |= self._bits(Function.READ_COILS, coils, deadline)
            self._learn_counts(channels, deadline)
        return tuple(
            ExitState(
                position=self._position(inputs, channel),
                held=profile.hold is not None and self._holds[profile.hold + channel],
                vehicle=None if profile.vehicle is None else inputs[profile.vehicle + channel],
            )
            for channel in channels
        )

    def read_counter(self, target: Target, deadline: float) -> int | None:
        """How often the device lowered this plate by bus command, modulo 65536; None where it does not count.

        Raises NotSent, Environment or Uncertain.
        """
        if self._profile.count is None:
            return None
        return self._words(self._profile.count + target.channel, 1, deadline)[0]

    # --- acting ----------------------------------------------------------------------------------------------------

    def release(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Let one car out: look, commit the intent, write once, watch until `order.deadline`.

        Refused if the exit is already open (nobody can be let out by us) or the device says no. Raises NotSent or
        Environment only if no byte of the command left.
        """
        if (unknown := self._unknown(target)) is not None:
            return unknown
        before = self._look(target, order.deadline)
        if isinstance(before, Refused):
            return before
        letter = self._line.compose(self._profile.release(target.channel))
        order.intend(letter.raw, before)
        self._glance = (float("-inf"), {})
        reply = self._send_once(letter, order)
        if (refusal := proof.refused(reply)) is not None:
            return refusal
        sight = self._watch(target, proof.Sight(reply, before), order.deadline)
        if sight.after is not None:
            self._remember({target.channel: sight.after})
        outcome = proof.verdict(sight)
        log.info("%s: release of %s: %s", order.reference, target.exit, outcome)
        return outcome

    def hold_open(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Open and stay open. Raises as `release` does."""
        return self._set_hold(target, order, on=True)

    def end_hold(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Give closing back to the controller. Raises as `release` does."""
        return self._set_hold(target, order, on=False)

    def _set_hold(self, target: Target, order: ReleaseOrder, on: bool) -> Outcome:
        if (unknown := self._unknown(target)) is not None:
            return unknown
        letter = self._line.compose(self._profile.level(target.channel, on))
        order.intend(letter.raw, None)
        self._counts.pop(target.channel, None)  # some controllers count a hold as well
        self._holds.clear()
        self._glance = (float("-inf"), {})
        reply = self._send_once(letter, order)
        if (refusal := proof.refused(reply)) is not None:
            return refusal
        coil: bool | None = None
        opened: bool | None = None
        while True:
            coil = _known(self._coil(target, order.deadline), coil)
            opened = _known(self._opened(target, order.deadline), opened)
            seen = coil is on and (not on or bool(opened) or self._profile.opened is None)
            if seen or time.monotonic() + WATCH_PAUSE >= order.deadline:
                return proof.hold_verdict(reply, on, coil, opened)
            time.sleep(WATCH_PAUSE)

    def _unknown(self, target: Target) -> Refused | None:
        if self._profile.hold is None:
            return Refused(Code.EXIT_UNKNOWN, f"the device has inputs alone, it cannot move {target.exit}")
        if target.channel < self._profile.channels:
            return None
        return Refused(Code.EXIT_UNKNOWN, f"the device has no channel {target.channel} ({target.exit})")

    def _look(self, target: Target, deadline: float) -> int | Refused | None:
        """The counter before the act, or why there must be none. Nothing was commanded yet, so NotSent is certain."""
        try:
            if self._profile.opened is not None:
                address = self._profile.opened + target.channel
                at, seen = self._glance
                if address not in seen or time.monotonic() - at > SAME_BREATH:
                    seen = self._inputs([address], deadline)
                if seen[address]:
                    if self._profile.is_stay_feed:
                        return Refused(Code.ALREADY_PAID, "plate is already down")
                    return Refused(Code.CONFLICT, "the arm is already up")
            if target.channel in self._counts:
                return self._counts[target.channel]
            return self.read_counter(target, deadline)
        except Uncertain as error:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"no answer before the command: {error.detail}") from error

    def _send_once(self, letter: Letter, order: ReleaseOrder) -> Reply | None:
        try:
            return self._line.send(letter, order.deadline)
        except Uncertain as error:
            log.warning("%s: command without an answer, not repeated: %s", order.reference, error.detail)
            return None

    def _watch(self, target: Target, sight: proof.Sight, deadline: float) -> proof.Sight:
        if self._profile.opened is None and sight.before is None:
            return sight  # there is nothing to see, and somebody waits for the word
        while True:
            sight = sight.with_reading(self._opened(target, deadline), self._count_now(target, deadline))
            if proof.complete(sight) or time.monotonic() + WATCH_PAUSE >= deadline:
                return sight
            time.sleep(WATCH_PAUSE)

    # --- looks that may fail without harm: None then ---------------------------------------------------------------

    def _opened(self, target: Target, deadline: float) -> bool | None:
        base = self._profile.opened
        return None if base is None else self._bit_or_none(Function.READ_INPUTS, base + target.channel, deadline)

    def _coil(self, target: Target, deadline: float) -> bool | None:
        return self._bit_or_none(Function.READ_COILS, (self._profile.hold or 0) + target.channel, deadline)

    def _bit_or_none(self, function: Function, address: int, deadline: float) -> bool | None:
        try:
            return self._bits(function, [address], deadline)[address]
        except DaikoError as error:
            log.debug("not readable just now: %s", error)
            return None

    def _count_now(self, target: Target, deadline: float) -> int | None:
        try:
            return self.read_counter(target, deadline)
        except DaikoError as error:
            log.debug("not readable just now: %s", error)
            return None

    # --- requests --------------------------------------------------------------------------------------------------

    def _position(self, inputs: dict[int, bool], channel: int) -> Position:
        if self._profile.opened is None:
            return Position.UNKNOWN
        return Position.OPEN if inputs[self._profile.opened + channel] else Position.CLOSED

    def _learn_counts(self, channels: Sequence[int], deadline: float) -> None:
        """Read the counters ahead, so that a release on a slow line need not ask first."""
        base = self._profile.count
        if base is None or self._profile.framing is not Framing.RTU or all(one in self._counts for one in channels):
            return
        low, high = min(channels), max(channels)
        words = self._words(base + low, high - low + 1, deadline)
        self._remember({channel: words[channel - low] for channel in channels})

    def _remember(self, counts: dict[int, int]) -> None:
        """Keep counters for the next release, on a serial line alone, where nobody but us commands.

        A counter that was reset meanwhile proves nothing then, it never proves too much.
        """
        if self._profile.framing is Framing.RTU:
            self._counts.update(counts)

    def _inputs(self, addresses: Iterable[int], deadline: float) -> dict[int, bool]:
        return self._bits(Function.READ_INPUTS, addresses, deadline)

    def _bits(self, function: Function, addresses: Iterable[int], deadline: float) -> dict[int, bool]:
        found: dict[int, bool] = {}
        for start, count in spans(addresses, GAP):
            reply = self._ask(Read(function, start, count), deadline)
            if isinstance(reply, Bits):
                found.update({start + place: bit for place, bit in enumerate(reply.bits[:count])})
        return found

    def _words(self, address: int, count: int, deadline: float) -> tuple[int, ...]:
        reply = self._ask(Read(Function.READ_REGISTERS, address, count), deadline)
        return reply.words if isinstance(reply, Words) else ()

    def _ask(self, request: Read, deadline: float) -> Reply:
        try:
            reply = self._line.ask(request, deadline)
        except DaikoError:
            self._counts.clear()
            raise
        if isinstance(reply, Failure):
            self._counts.clear()
            raise _trouble(request, reply)
        return reply


def _nobody_waits() -> bool:
    return False


def _capabilities(profile: Profile) -> Capabilities:
    roles = Role.EXIT if profile.hold is not None else Role(0)
    roles |= Role.STAYS if profile.is_stay_feed else Role(0)
    return Capabilities(
        roles=roles | (Role.SIGHT if profile.opened is not None else Role(0)),
        # Only a counter can show that a command never arrived; without one a second command would be a guess.
        retry=Retry.NEVER if profile.count is None else Retry.QUERY_FIRST,
        release_level=Level.LINK_ACKED if profile.opened is None else Level.PHYSICALLY_OBSERVED,
        counts=profile.count is not None,
    )


def _known(new: bool | None, old: bool | None) -> bool | None:
    return old if new is None else new


def _trouble(request: Read, failure: Failure) -> DaikoError:
    what = f"{request.function.name.lower()} {request.address}…{request.address + request.count - 1}: {failure}"
    if failure.code in (Trouble.ILLEGAL_FUNCTION, Trouble.ILLEGAL_ADDRESS, Trouble.ILLEGAL_VALUE):
        return Environment(Code.CONFIG, what, "compare channels and bases in the lot profile with the device's manual")
    return NotSent(Code.DEVICE_UNAVAILABLE, what)


def spans(addresses: Iterable[int], gap: int) -> list[tuple[int, int]]:
    """Starts and counts of the fewest ranges that cover `addresses` without bridging more than `gap` strangers."""
    found: list[tuple[int, int]] = []
    for address in sorted(set(addresses)):
        if found and address - sum(found[-1]) <= gap:
            found[-1] = (found[-1][0], address - found[-1][0] + 1)
        else:
            found.append((address, 1))
    return found


def probe(url: str, deadline: float) -> Finding:
    """Ask unit 1 for one input and one coil, and nothing else: RTU at 9600 and 19200 baud, or TCP and RTU over TCP.

    `deadline` is monotonic seconds. Raises Environment if the port cannot be opened.
    """
    tcp = url.startswith("socket://")
    rtu = [(Framing.RTU, LineSettings(baud, parity)) for parity in "NE" for baud in (9600, 19200)]
    last = "nothing answered"
    for framing, settings in [(Framing.TCP, LineSettings()), rtu[0]] if tcp else rtu:
        line = Line(url, framing, 1, settings, PROBE_TIMEOUT)
        for function in (Function.READ_INPUTS, Function.READ_COILS):
            try:
                return _finding(tcp, framing, settings, line.ask(Read(function, 0, 1), deadline, tries=1))
            except (NotSent, Uncertain) as error:
                last = error.detail
            finally:
                line.close()
    return Finding(answered=False, identity=last)


def _finding(tcp: bool, framing: Framing, settings: LineSettings, reply: Reply) -> Finding:
    how = f"Modbus {framing.value.upper()}, unit 1" + ("" if tcp else f", {settings}")
    said = f"; answers {reply}" if isinstance(reply, Failure) else ""
    hints = ['profile = "input_board"', f'framing = "{framing.value}"', "unit = 1"]
    if not tcp:
        hints += [f"baud = {settings.baud}", f'parity = "{settings.parity}"']
    hints.append('profile: "input_board" only sees; "relay_board" moves gates, "lock_plate" moves plates')
    return Finding(answered=True, identity=how + said, hints=tuple(hints))


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> ModbusIo:
    """The driver of `device`; raises Environment(CONFIG)."""
    return ModbusIo(device, exits, clock, recorder)


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return profile_of(device, ()).line
