"""Runs a simulated lot: every device of a profile served by URL, a ticking world, and a control port for the demo.

The control port is HTTP with JSON on 127.0.0.1. It plays people (cars, cash, hands) and mishaps (faults), never our
own programs:

    POST /arrive {bay?, plate?, minutes_ago?}      POST /pay-cash {name}       POST /drive-out {name, exit?}
    POST /strike-booking {reference}
    POST /ask {device, amount}                     POST /cancel {device}       POST /insert-cash {device}
    POST /hand-release {exit}                      POST /fault {device, fault, on?, value?, act?}
    POST /clear-faults                             GET /world                  GET /history?after=N
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from drivers.cctalk_coin import sim as cctalk_coin
from drivers.host_link import sim as host_link
from drivers.mdb_cashless import sim as mdb_cashless
from drivers.modbus_io import sim as modbus_io
from drivers.osdp import sim as osdp
from drivers.profile import DeviceTable, ExitTable, LotProfile
from drivers.simlot.faults import switches
from drivers.simlot.http import JsonServer, Request, Response
from drivers.simlot.world import World
from drivers.usb_relay import sim as usb_relay
from drivers.zvt_terminal import sim as zvt_terminal
from parking.errors import BadMessage, Code, DaikoError, Environment, Refused
from parking.wire import Part, Problem

log = logging.getLogger(__name__)

TICK: Final = 0.01
RUN_FILE: Final = "sim.json"


class Served(Protocol):
    """A simulated device that listens. `faults` is a dataclass whose flags and numbers may be set at any time."""

    @property
    def url(self) -> str:
        """Where it is reached."""
        ...

    @property
    def faults(self) -> Any:
        """What is wrong with it."""
        ...

    def stop(self) -> None:
        """End it; idempotent."""
        ...


class Serve(Protocol):
    """Starts a family's simulator."""

    def __call__(self, world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path) -> Served:
        """Raises Environment(CONFIG) for bad options, OSError if it cannot listen."""
        ...


SIMULATORS: Final[Mapping[str, Serve]] = MappingProxyType(
    {
        "modbus_io": modbus_io.serve,
        "host_link": host_link.serve,
        "mdb_cashless": mdb_cashless.serve,
        "zvt_terminal": zvt_terminal.serve,
        "cctalk_coin": cctalk_coin.serve,
        "usb_relay": usb_relay.serve,
        "osdp": osdp.serve,
    }
)


class RunFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `sim.json` says once everything listens: the address of each device, the control port, the process."""

    urls: dict[str, str]
    control: str
    pid: int


class Arrive(Part, frozen=True, kw_only=True):
    """A car comes in."""

    bay: str = ""
    plate: str = ""
    minutes_ago: float = 0.0


class Named(Part, frozen=True, kw_only=True):
    """A car by its bay or ticket."""

    name: str


class DriveOut(Part, frozen=True, kw_only=True):
    """A car wants out, at a gate if there are several."""

    name: str
    exit: str = ""


class Struck(Part, frozen=True, kw_only=True):
    """Somebody takes a booking out of the host's books."""

    reference: str


class HandRelease(Part, frozen=True, kw_only=True):
    """Somebody turns the key at the machine."""

    exit: str


class AtDevice(Part, frozen=True, kw_only=True):
    """The pay station in which a device is built."""

    device: str


class Asked(Part, frozen=True, kw_only=True):
    """A customer puts a ticket into a pay station, which asks for money."""

    device: str
    amount: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class SetFault(Part, frozen=True, kw_only=True):
    """A mishap begins or ends; `value` for those with a number, `act` for those that leave it open who acted."""

    device: str
    fault: str
    on: bool = True
    value: int | None = None
    act: bool | None = None


class Nothing(Part, frozen=True, kw_only=True):
    """No particulars."""


P = TypeVar("P", bound=Part)


class SimHost:
    """A whole simulated lot. Start it with `start`, end it with `stop`."""

    def __init__(self, profile: LotProfile, world: World, run_dir: Path, clock: Callable[[], datetime]) -> None:
        """Nothing listens yet."""
        self._profile = profile
        self._world = world
        self._run_dir = run_dir
        self._clock = clock
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="sim-tick", daemon=True)
        self._served: dict[str, Served] = {}
        self._control: JsonServer | None = None
        self._orders: Mapping[tuple[str, str], Callable[[Request], Any]] = {
            ("POST", "/arrive"): self._arrive,
            ("POST", "/pay-cash"): self._pay_cash,
            ("POST", "/drive-out"): self._drive_out,
            ("POST", "/hand-release"): self._hand_release,
            ("POST", "/strike-booking"): self._strike_booking,
            ("POST", "/ask"): self._ask,
            ("POST", "/cancel"): self._cancel,
            ("POST", "/insert-cash"): self._insert_cash,
            ("POST", "/fault"): self._fault,
            ("POST", "/clear-faults"): self._clear_faults,
            ("GET", "/world"): self._show_world,
            ("GET", "/history"): self._show_history,
        }

    def start(self) -> RunFile:
        """Serve every device, open the control port, write the run file. Raises Environment."""
        (self._run_dir / RUN_FILE).unlink(missing_ok=True)
        try:
            for device in self._profile.device:
                self._served[device.id] = self._serve(device)
            self._control = JsonServer(self._answer)
        except OSError as error:
            raise Environment(
                Code.PORT_BUSY, f"a simulator cannot listen: {error}", "free a port, try again"
            ) from error
        self._ticker.start()
        urls = {device: served.url for device, served in self._served.items()}
        run_file = RunFile(urls, self._control.url, os.getpid())
        fresh = self._run_dir / f".{RUN_FILE}.new"
        fresh.write_bytes(msgspec.json.encode(run_file))
        fresh.replace(self._run_dir / RUN_FILE)
        return run_file

    def stop(self) -> None:
        """End everything; idempotent."""
        with contextlib.suppress(OSError):
            (self._run_dir / RUN_FILE).unlink(missing_ok=True)
        self._over.set()
        if self._ticker.is_alive():
            self._ticker.join()
        if self._control is not None:
            self._control.stop()
        for served in self._served.values():
            served.stop()
        self._world.close()

    def break_(self, device: str, fault: str, value: int | None = None) -> None:
        """Begin a mishap at a device, as the control port does. Raises Refused or BadMessage that say why not."""
        _set_fault(self._faulty(device), fault, True if value is None else value)

    def _faulty(self, device: str) -> Any:
        served = self._served.get(device)
        if served is None:
            raise Refused(Code.NOT_FOUND, f"no device {device!r}", f"one of {', '.join(self._served)}")
        return served.faults

    def _serve(self, device: DeviceTable) -> Served:
        serve = SIMULATORS.get(device.family)
        if serve is None:
            known = ", ".join(sorted(SIMULATORS))
            raise Environment(
                Code.CONFIG, f"device {device.id!r}: no simulator for family {device.family!r}", f"known: {known}"
            )
        return serve(self._world, device, self._profile.exit, self._run_dir)

    def _tick(self) -> None:
        while not self._over.wait(TICK):
            self._world.step(self._clock())

    # --- the control port ---------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Response:
        path = urlsplit(request.target).path
        order = self._orders.get((request.method, path))
        try:
            if order is None:
                raise Refused(Code.NOT_FOUND, f"nothing under {request.method} {path}", "see drivers/simlot/host.py")
            return Response(HTTPStatus.OK, msgspec.json.encode(order(request)))
        except DaikoError as error:
            body = msgspec.json.encode(Problem(code=error.code.value, detail=error.detail, remedy=error.remedy))
            return Response(_status(error), body)

    def _arrive(self, request: Request) -> object:
        order = _read(request, Arrive)
        return self._world.arrive(order.bay, order.plate, order.minutes_ago)

    def _pay_cash(self, request: Request) -> object:
        name = _read(request, Named).name
        return {"name": name, "amount": self._world.pay_cash(name)}

    def _drive_out(self, request: Request) -> object:
        order = _read(request, DriveOut)
        self._world.drive_out(order.name, order.exit)
        return {"name": order.name}

    def _hand_release(self, request: Request) -> object:
        exit_id = _read(request, HandRelease).exit
        self._world.release(exit_id, "hand")
        return {"exit": exit_id}

    def _strike_booking(self, request: Request) -> object:
        reference = _read(request, Struck).reference
        self._world.strike_booking(reference)
        return {"reference": reference}

    def _ask(self, request: Request) -> object:
        order = _read(request, Asked)
        return {"ticket": self._world.station(order.device).ask(order.amount)}

    def _cancel(self, request: Request) -> object:
        return {"cancelled": self._world.station(_read(request, AtDevice).device).cancel()}

    def _insert_cash(self, request: Request) -> object:
        return {"amount": self._world.station(_read(request, AtDevice).device).pay_cash()}

    def _fault(self, request: Request) -> object:
        order = _read(request, SetFault)
        faults = self._faulty(order.device)
        if order.act is not None:
            _set_fault(faults, "act", order.act)
        _set_fault(faults, order.fault, order.on if order.value is None else order.value)
        return self._faults()

    def _clear_faults(self, request: Request) -> object:
        _read(request, Nothing)
        for served in self._served.values():
            for name, at_rest in switches(served.faults).items():
                setattr(served.faults, name, at_rest)
        return self._faults()

    def _faults(self) -> dict[str, dict[str, bool | int]]:
        return {
            device: {name: getattr(served.faults, name) for name in switches(served.faults)}
            for device, served in self._served.items()
        }

    def _show_world(self, request: Request) -> object:
        del request
        world = self._world
        return {
            "lot_time": world.lot_time(),
            "exits": {reading.exit: reading for reading in world.exits()},
            "cars": world.cars(),
            "stations": {name: station.shown() for name, station in list(world.stations.items())},
            "books": [{"rate": rate, "payments": payments} for rate, payments in world.host_books()],
            "faults": self._faults(),
        }

    def _show_history(self, request: Request) -> object:
        query = parse_qs(urlsplit(request.target).query)
        try:
            after = int(query.get("after", ["0"])[0])
        except ValueError:
            raise BadMessage(Code.BAD_MESSAGE, "`after` is a number of lines") from None
        entries = self._world.history(after)
        return {"entries": entries, "next": max(0, after) + len(entries)}


def _read(request: Request, kind: type[P]) -> P:
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{urlsplit(request.target).path}: {error}") from error


def _set_fault(faults: Any, name: str, value: bool | int) -> None:
    known = switches(faults)
    if name not in known:
        raise Refused(Code.NOT_FOUND, f"no fault {name!r} here", f"one of {', '.join(known)}")
    if type(known[name]) is not type(value):
        wanted = "a `value`" if type(known[name]) is int else "`on`, not a `value`"
        raise BadMessage(Code.BAD_MESSAGE, f"the fault {name!r} takes {wanted}")
    setattr(faults, name, value)


def _status(error: DaikoError) -> HTTPStatus:
    if isinstance(error, BadMessage):
        return HTTPStatus.BAD_REQUEST
    missing = (Code.NOT_FOUND, Code.STAY_UNKNOWN, Code.EXIT_UNKNOWN)
    return HTTPStatus.NOT_FOUND if error.code in missing else HTTPStatus.CONFLICT
