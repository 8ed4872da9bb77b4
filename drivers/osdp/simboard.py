"""A simulated reader with outputs and inputs: a PD whose outputs open the world's exits.

Used by drivers.osdp.sim only.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from drivers.osdp.codec import MARK, Codec, Frame, decode, encode
from drivers.osdp.options import Outputs, Settings
from drivers.osdp.pd import Answer, Identity, Pd, nak
from drivers.osdp.simwire import TICK as WAIT
from drivers.osdp.simwire import Faults, Wire
from drivers.osdp.words import TICK, Command, Control, Nak, Out, Reply, outs
from drivers.profile import ExitTable
from parking.desk import Position

BUS: Final = "bus"
"""Who releases, as the world hears it."""


class World(Protocol):
    """The simulated lot as its machines see it (drivers.simlot)."""

    def release(self, exit_id: str, by: str, reference: str = "") -> None:
        """Let one car out."""
        ...

    def hold(self, exit_id: str, on: bool, by: str) -> None:
        """Hold open, or end a hold."""
        ...

    def position(self, exit_id: str) -> Position:
        """Where the arm or plate is."""
        ...

    def held(self, exit_id: str) -> bool:
        """Whether it is held open."""
        ...

    def vehicle(self, exit_id: str) -> bool:
        """Whether a car stands on the loop or in the bay."""
        ...


class Board:
    """What the device does (drivers.osdp.pd.Answers): outputs over exits, inputs from their contacts."""

    def __init__(self, world: World, options: Outputs, exits: Sequence[ExitTable]) -> None:
        """`exits` are those of this device."""
        self._world, self._options = world, options
        self._exits = {exit_.channel: exit_.id for exit_ in exits}
        self._until: dict[int, float] = {}
        self.refuses = False

    def poll(self, now: float) -> Answer:
        """Nothing is new."""
        del now
        return Reply.ACK, b""

    def heard(self, now: float) -> None:
        """Nothing waits for that."""

    def broken(self, now: float) -> None:
        """Outputs stay as they are."""

    def answer(self, code: int, data: bytes, now: float) -> Answer:
        """Carry out a command."""
        match code:
            case Command.ID:
                return Reply.PDID, bytes.fromhex("5c2623 19 02 0a0b0c0d 01 02 03")
            case Command.CAP:
                return Reply.PDCAP, bytes((1, 1, 8, 2, 2, self._options.channels, 8, 1, 0, 9, 1, 0))
            case Command.LSTAT:
                return Reply.LSTATR, bytes(2)
            case Command.ISTAT:
                return Reply.ISTATR, self._inputs()
            case Command.OSTAT:
                return Reply.OSTATR, bytes(self._is_on(number, now) for number in range(self._options.channels))
            case Command.OUT:
                return self._switch(data, now)
        return nak(Nak.UNKNOWN)

    def _inputs(self) -> bytes:
        count = max(self._options.open_base, self._options.vehicle_base, 0) + self._options.channels
        found = bytearray(count)
        for channel, exit_id in self._exits.items():
            if self._options.open_base >= 0:
                found[self._options.open_base + channel] = self._world.position(exit_id) is Position.OPEN
            if self._options.vehicle_base >= 0:
                found[self._options.vehicle_base + channel] = self._world.vehicle(exit_id)
        return bytes(found)

    def _is_on(self, number: int, now: float) -> bool:
        exit_id = self._exits.get(number)
        return now < self._until.get(number, now) or (exit_id is not None and self._world.held(exit_id))

    def _switch(self, data: bytes, now: float) -> Answer:
        orders = outs(data)
        if orders is None:
            return nak(Nak.LENGTH)
        if self.refuses or any(order.number >= self._options.channels for order in orders):
            return nak(Nak.RECORD)
        for order in orders:
            self._carry_out(order, now)
        return Reply.ACK, b""

    def _carry_out(self, order: Out, now: float) -> None:
        exit_id = self._exits.get(order.number)
        if order.control == Control.ON_FOR:
            self._until[order.number] = now + order.timer * TICK
            if exit_id is not None:
                self._world.release(exit_id, BUS)
        elif order.control in (Control.ON, Control.OFF):
            self._until.pop(order.number, None)
            if exit_id is not None:
                self._world.hold(exit_id, order.control == Control.ON, BUS)


class _Pd(Pd):
    """One that can be made to keep no answers."""

    def forget(self) -> None:
        """Take the next command as new, although it bears the last one's number."""
        if self._sequence:
            self._sequence = (self._sequence - 2) % 3 + 1


class SimReader:
    """The device at its wire, as far as its faults let it."""

    def __init__(self, world: World, settings: Settings, options: Outputs, exits: Sequence[ExitTable]) -> None:
        """`exits` are those of this device."""
        identity = Identity(options.address, settings.scbk, settings.default_key)
        self._board = Board(world, options, exits)
        self._pd = _Pd(identity, self._board, os.urandom)
        self._codec = Codec()
        self._last = -1

    def reset(self) -> None:
        """It starts anew."""
        self._codec.reset()
        self._pd.reset(0.0)

    def work(self, wire: Wire, faults: Faults, clock: Callable[[], float]) -> None:
        """Answer what comes within a tick."""
        data = wire.read(WAIT)
        for frame in self._codec.feed(data):
            faults.pace(encode(frame))
            raw = self._respond(frame, faults, clock())
            if raw and not faults.unplugged:
                raw = bytes(byte ^ 0x5A for byte in raw) if faults.garbage else raw
                faults.pace(raw)
                wire.write(MARK + raw)

    def _respond(self, frame: Frame, faults: Faults, now: float) -> bytes:
        """The bytes of the answer; none if there is silence."""
        before, self._last = self._last, frame.sequence
        repeated = frame.sequence > 0 and before == frame.sequence
        if faults.silent:
            return b""
        acts = frame.code == Command.OUT
        if acts and faults.take("drop_request_once"):
            self._last = before
            return b""
        if repeated and faults.no_repeat:
            return _reply(frame, Reply.NAK, bytes((Nak.SEQUENCE,)))
        if acts and faults.take("busy_once"):
            self._last = before
            return _reply(frame, Reply.BUSY)
        if acts and (faults.restart_once or faults.unplug_on_act):
            if faults.act:
                self._pd.hear(encode(frame), now)
            faults.unplugged = faults.take("unplug_on_act")
            faults.take("restart_once")
            self.reset()
            return b""
        self._board.refuses = acts and faults.take("refuse_once")
        if repeated and faults.acts_again:
            self._pd.forget()
        raw = self._pd.hear(encode(frame), now)
        if acts and faults.take("drop_reply_once"):
            return b""
        if acts and faults.take("bad_mac_once"):
            raw = _spoilt(raw)
        return raw + raw if acts and faults.take("reply_twice_once") else raw


def _reply(frame: Frame, code: Reply, data: bytes = b"") -> bytes:
    """An answer outside of the secure channel."""
    return encode(replace(frame, code=code, data=data, is_reply=True, block=None, mac=b""))


def _spoilt(raw: bytes) -> bytes:
    """The same with another MAC and a check that fits."""
    frame = decode(raw)
    return raw if frame is None or not frame.mac else encode(replace(frame, mac=bytes(4)))
