"""What stands behind a simulated machine's Modbus addresses: the lot's exits, as coils, inputs and registers.

Used by drivers.modbus_io.sim only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from drivers.modbus_io.pdu import (
    COIL_OFF,
    COIL_ON,
    KNOWN,
    MOST_BITS,
    MOST_WORDS,
    Bits,
    Failure,
    Function,
    Read,
    Reply,
    Request,
    Trouble,
    Words,
    WriteMany,
    WriteOne,
    Wrote,
)
from drivers.modbus_io.profiles import FLASH_ON, Profile
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

    def release_count(self, exit_id: str) -> int:
        """How often it was released by the bus."""
        ...


class _Denied(Exception):
    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class _Coil:
    read: Callable[[], bool]
    write: Callable[[bool], None]
    flash: Callable[[], None] | None = None


def _off() -> bool:
    return False


def _no_effect(_on: bool) -> None:
    """A coil with nothing wired to it."""


class Board:
    """The device's memory map over the world: what each coil, input and register means."""

    def __init__(self, world: World, profile: Profile, moved: Mapping[int, str], seen: Mapping[int, str]) -> None:
        """`moved` are the exits that it moves, `seen` those that its inputs show, each by its channel."""
        self._world = world
        self._profile = profile
        self._exits = moved
        self._eyes = seen
        self._idle: set[int] = set()  # relays that are on with nothing wired to them
        channels = range(profile.channels)
        self._coils: dict[int, _Coil] = {}
        for channel in channels if profile.hold is not None else ():
            self._coils[(profile.hold or 0) + channel] = self._hold_coil(channel)
            if profile.pulse is None:
                self._coils[channel] = self._lowering_coil(channel)
            else:
                self._coils[FLASH_ON + channel] = self._flash_coil(channel)
        plates = profile.hold is not None and profile.pulse is None  # their inputs lie in blocks, one for each plate
        self._inputs: dict[int, Callable[[], bool]] = {} if plates else dict.fromkeys(channels, _off)
        for channel in channels if plates else self._eyes:
            if profile.opened is not None:
                self._inputs[profile.opened + channel] = self._seen(channel, self._is_open)
            if profile.vehicle is not None:
                self._inputs[profile.vehicle + channel] = self._seen(channel, world.vehicle)
        self._registers: dict[int, Callable[[], int]] = {}
        if profile.count is not None:
            self._registers = {profile.count + channel: self._counted(channel) for channel in channels}

    def answer(self, request: Request) -> Reply:
        """Carry a request out; exceptions as the Modbus specification has them."""
        try:
            match request:
                case Read():
                    return self._read(request)
                case WriteOne(Function.WRITE_COIL):
                    return self._write_one(request)
                case WriteMany(Function.WRITE_COILS):
                    return self._write_many(request)
                case WriteOne() | WriteMany():
                    return Failure(request.function, Trouble.ILLEGAL_ADDRESS)
            known = request.function in KNOWN
            return Failure(request.function, Trouble.ILLEGAL_VALUE if known else Trouble.ILLEGAL_FUNCTION)
        except _Denied as denied:
            return Failure(request.function, denied.trouble)

    def _read(self, request: Read) -> Reply:
        bits = request.function in (Function.READ_COILS, Function.READ_INPUTS)
        if not 0 < request.count <= (MOST_BITS if bits else MOST_WORDS):
            raise _Denied(Trouble.ILLEGAL_VALUE)
        addresses = range(request.address, request.address + request.count)
        if bits:
            inputs = {address: coil.read for address, coil in self._coils.items()}
            values = self._values(self._inputs if request.function is Function.READ_INPUTS else inputs, addresses)
            padding = (False,) * (-len(values) % 8)
            return Bits(request.function, tuple(map(bool, values)) + padding)
        registers = self._registers if request.function is Function.READ_REGISTERS else {}
        return Words(request.function, self._values(registers, addresses))

    @staticmethod
    def _values(table: Mapping[int, Callable[[], int]], addresses: range) -> tuple[int, ...]:
        if not all(address in table for address in addresses):
            raise _Denied(Trouble.ILLEGAL_ADDRESS)
        return tuple(table[address]() for address in addresses)

    def _write_one(self, request: WriteOne) -> Reply:
        coil = self._coils.get(request.address)
        if coil is None:
            raise _Denied(Trouble.ILLEGAL_ADDRESS)
        if coil.flash is not None and 0 < request.value < 0x8000:
            coil.flash()
        elif request.value in (COIL_ON, COIL_OFF) and coil.flash is None:
            coil.write(request.value == COIL_ON)
        else:
            raise _Denied(Trouble.ILLEGAL_VALUE)
        return request

    def _write_many(self, request: WriteMany) -> Reply:
        coils = [self._coils.get(request.address + place) for place in range(len(request.values))]
        wired = [coil for coil in coils if coil is not None and coil.flash is None]
        if len(wired) < len(coils):
            raise _Denied(Trouble.ILLEGAL_ADDRESS)
        for coil, value in zip(wired, request.values, strict=True):
            coil.write(bool(value))
        return Wrote(request.function, request.address, len(request.values))

    def _hold_coil(self, channel: int) -> _Coil:
        exit_id = self._exits.get(channel)
        if exit_id is None:
            change = {True: self._idle.add, False: self._idle.discard}
            return _Coil(lambda: channel in self._idle, lambda on: change[on](channel))
        return _Coil(lambda: self._world.held(exit_id), lambda on: self._world.hold(exit_id, on, BUS))

    def _lowering_coil(self, channel: int) -> _Coil:
        """Writing ON lowers the plate; it reads ON until the controller has raised the plate again."""
        exit_id = self._exits.get(channel)
        if exit_id is None:
            return _Coil(_off, _no_effect)
        return _Coil(
            lambda: self._world.position(exit_id) is not Position.CLOSED,
            lambda on: self._world.release(exit_id, BUS) if on else None,
        )

    def _flash_coil(self, channel: int) -> _Coil:
        exit_id = self._exits.get(channel)
        flash = (lambda: None) if exit_id is None else (lambda: self._world.release(exit_id, BUS))
        return _Coil(_off, _no_effect, flash)

    def _seen(self, channel: int, look: Callable[[str], bool]) -> Callable[[], bool]:
        exit_id = self._eyes.get(channel)
        return (lambda: False) if exit_id is None else (lambda: look(exit_id))

    def _is_open(self, exit_id: str) -> bool:
        return self._world.position(exit_id) is Position.OPEN

    def _counted(self, channel: int) -> Callable[[], int]:
        exit_id = self._exits.get(channel)
        return (lambda: 0) if exit_id is None else (lambda: self._world.release_count(exit_id) & 0xFFFF)
