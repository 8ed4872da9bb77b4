"""How fast the drivers are, beside their floors from the same run: `python3 dev.py bench drivers [--runs N] [--json]`.

1. Serial exchange: a question and its answer at 9600 baud on a pty whose other end takes as long as a wire would, over
   what the bytes and the machine's silence need at least. The simulator adds nothing; ours is what is above 1.
2. A release that comes while a poll is under way: from the order to its first byte, over the poll's exchange.
3. Codecs: bytes in and frames out, per second, each way; one thread. The lines carry a thousandth of that.

Medians of several runs; what else the machine does falls on all of them.
"""

import argparse
import contextlib
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from msgspec.structs import replace

from bridge.worker import PortWorker, Urgency
from drivers.base import ReleaseOrder, Target
from drivers.cctalk_coin import codec as cctalk
from drivers.line_settings import LineSettings
from drivers.mdb_cashless import block as mdb_bus
from drivers.mdb_cashless import codec as mdb
from drivers.mdb_cashless import words
from drivers.mdb_cashless.qibixx import Qibixx
from drivers.modbus_io import driver as modbus_driver
from drivers.modbus_io import sim as modbus_sim
from drivers.modbus_io.codec import Frame, RtuCodec, Side, TcpCodec
from drivers.modbus_io.line import Line, silence
from drivers.modbus_io.pdu import Bits, Function, Read, Request, WriteOne
from drivers.modbus_io.profiles import Framing
from drivers.osdp import codec as osdp
from drivers.osdp.words import Command, Reply
from drivers.profile import DeviceTable, ExitTable
from drivers.recorder import Direction
from drivers.usb_relay import codec as usb
from drivers.zvt_terminal import codec as zvt
from parking.desk import ExitKind, Position

BAUD: Final = 9600
CHUNK: Final = 4096
GOAL: Final = 1.05
MEGABYTES: Final = 20.0
FRAMES: Final = 50_000


class Plates:
    """As much of a lot as the simulated controller asks for: a plate is down from its release on until it is raised."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.released: dict[str, int] = {}

    def release(self, exit_id: str, _by: str, _reference: str = "") -> None:
        """Down at once."""
        self.down.add(exit_id)
        self.released[exit_id] = self.release_count(exit_id) + 1

    def hold(self, _exit_id: str, _on: bool, _by: str) -> None:
        """Nothing here holds."""

    def position(self, exit_id: str) -> Position:
        """Up or down."""
        return Position.OPEN if exit_id in self.down else Position.CLOSED

    def held(self, _exit_id: str) -> bool:
        """No."""
        return False

    def vehicle(self, _exit_id: str) -> bool:
        """No."""
        return False

    def release_count(self, exit_id: str) -> int:
        """By the bus."""
        return self.released.get(exit_id, 0)


EXITS: Final = tuple(
    ExitTable(id=f"{bay}", kind=ExitKind.PLATE, label={}, device="io", channel=bay - 1, bay=f"{bay}")
    for bay in range(1, 21)
)


@contextlib.contextmanager
def controller(run: Path) -> Iterator[tuple[DeviceTable, Plates]]:
    """Twenty lock plates on a pty at 9600 baud."""
    plates = Plates()
    options = {"profile": "lock_plate", "framing": "rtu", "channels": 20, "car_base": 20, "baud": BAUD}
    table = DeviceTable(id="io", family="modbus_io", timeout_seconds=0.5, options=options)
    served = modbus_sim.serve(plates, table, EXITS, run)
    try:
        yield replace(table, url=served.url), plates
    finally:
        served.stop()


def exchanges(run: Path, times: int) -> dict[str, Any]:
    """Single requests, and a poll of two: milliseconds and the ratio to the wire's floor."""
    settings = LineSettings(BAUD)
    found: dict[str, Any] = {}
    requests: dict[str, tuple[Request, int]] = {
        "20 plates (FC02)": (Read(Function.READ_INPUTS, 0, 20), 8 + 3 + 3 + 2),
        "one counter (FC04)": (Read(Function.READ_REGISTERS, 0, 1), 8 + 3 + 2 + 2),
        "release (FC05)": (WriteOne(Function.WRITE_COIL, 0, 0xFF00), 8 + 8),
    }
    with controller(run) as (table, _):
        line = Line(table.url, Framing.RTU, 1, settings, 0.5)
        for name, (request, characters) in requests.items():
            floor = characters * settings.seconds_per_char
            took = []
            for _ in range(times):
                time.sleep(2 * silence(settings))
                began = time.perf_counter()
                line.ask(request, time.monotonic() + 1, tries=1)
                took.append(time.perf_counter() - began)
            found[name] = ratio(took, floor)
        floor = 2 * 16 * settings.seconds_per_char + silence(settings)
        took = []
        for _ in range(times):
            time.sleep(2 * silence(settings))
            began = time.perf_counter()
            for _ in range(2):
                line.ask(Read(Function.READ_INPUTS, 0, 20), time.monotonic() + 1, tries=1)
            took.append(time.perf_counter() - began)
        found["two of them, with 3.5 characters between"] = ratio(took, floor)
        line.close()
    return found


def ratio(took: Sequence[float], floor: float) -> dict[str, float]:
    """Milliseconds and how much above the floor."""
    middle = statistics.median(took)
    return {"ms": middle * 1000, "floor_ms": floor * 1000, "over_floor": middle / floor, "worst": max(took) / floor}


@dataclass(slots=True)
class Stopwatch:
    """When the command of a release was written."""

    written: float = 0.0

    def note(self, direction: Direction, data: bytes) -> None:
        """One chunk."""
        if direction is Direction.TX and data[1] == Function.WRITE_COIL and not self.written:
            self.written = time.perf_counter()


def behind_a_poll(run: Path, times: int) -> dict[str, float]:
    """Milliseconds from an order, in the midst of a poll with more polls due, to the first byte of its command."""
    watch, waits = Stopwatch(), []
    with controller(run) as (table, plates):
        driver = modbus_driver.create(table, EXITS, lambda: datetime.now(UTC), watch)
        targets = [Target(exit_.id, exit_.channel) for exit_ in EXITS]
        worker = PortWorker("bench")
        driver.give_way = worker.is_wanted
        worker.every(0.0, lambda: driver.read(targets, time.monotonic() + 2))
        worker.start()

        def release() -> None:
            driver.release(targets[0], ReleaseOrder("BENCH", 1, time.monotonic() + 1, lambda _raw, _counter: None))

        for at in range(times):
            plates.down.clear()
            watch.written = 0.0
            time.sleep(0.1 + 0.0037 * (at % 10))
            ordered = time.perf_counter()
            worker.ask(Urgency.ACT, release, time.monotonic() + 5)
            waits.append(watch.written - ordered)
        worker.stop(5)
        driver.close()
    poll = [characters * LineSettings(BAUD).seconds_per_char for characters in (8 + 3 + 5 + 2, 8 + 3 + 3 + 2)]
    return {
        "poll_ms": (sum(poll) + silence(LineSettings(BAUD))) * 1000,
        "exchange_ms": max(poll) * 1000,
        "wait_p50_ms": statistics.median(waits) * 1000,
        "wait_most_ms": max(waits) * 1000,
    }


Hear = Callable[[bytes], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """A codec and a frame as it is usual on its line; `ear` makes a fresh codec's `feed`."""

    name: str
    say: Callable[[], bytes]
    ear: Callable[[], Hear]


def cases() -> list[Case]:
    """Every family's codec; those of the host link are msgspec's own."""
    bits = Frame(1, Bits(Function.READ_INPUTS, (False, True) * 12))
    credit = cctalk.Frame(1, 0, bytes(range(11)), 2)
    status = zvt.Apdu(0x040F, bytes.fromhex("2700040000000012000b0000420c1234560d11252912345678490392871001"))
    text = zvt.Apdu(0x06D1, b"\0" + b"TOTAL 1200 JPY  " * 15)
    vend, stands, switch = words.VendAsked("450", "12"), usb.Stands(1, True), usb.Switch(1, True)
    act = osdp.Frame(1, Command.OUT, bytes((0, 5, 30, 0)), 3)
    inputs = osdp.Frame(1, Reply.ISTATR, bytes(8), 3, is_reply=True)
    rtu, tcp = RtuCodec(Side.MASTER, 1), TcpCodec(Side.MASTER)
    summed, checked = cctalk.Codec(cctalk.Check.SUM, None), cctalk.Codec(cctalk.Check.CRC, None)
    serial, network, lines = zvt.SerialFraming(), zvt.TcpFraming(), mdb.LineCodec(Qibixx(), mdb.Side.READER)
    return [
        Case("modbus rtu", lambda: rtu.encode(bits), lambda: RtuCodec(Side.MASTER, 1).feed),
        Case("modbus tcp", lambda: tcp.encode(bits), lambda: TcpCodec(Side.MASTER).feed),
        Case("mdb lines", lambda: lines.encode(vend), lambda: mdb.LineCodec(Qibixx(), mdb.Side.READER).feed),
        Case("mdb bus (simulator)", lambda: on_the_bus(mdb_bus.Block(SELECTION)), bus_ear),
        Case("cctalk, sum", lambda: summed.encode(credit), lambda: cctalk.Codec(cctalk.Check.SUM, None).feed),
        Case("cctalk, crc", lambda: checked.encode(credit), lambda: cctalk.Codec(cctalk.Check.CRC, None).feed),
        Case("zvt serial, a result", lambda: serial.encode(status), lambda: zvt.SerialFraming().feed),
        Case("zvt serial, a long text", lambda: serial.encode(text), lambda: zvt.SerialFraming().feed),
        Case("zvt tcp, a result", lambda: network.encode(status), lambda: zvt.TcpFraming().feed),
        Case("osdp, an act", lambda: osdp.encode(act), lambda: osdp.Codec().feed),
        Case("osdp, inputs", lambda: osdp.encode(inputs), lambda: osdp.Codec().feed),
        Case("usb relay, commands", lambda: usb.encode(switch), lambda: usb.BoardEar().feed),
        Case("usb relay, answers", lambda: usb.encode(stands), lambda: usb.HostEar().feed),
    ]


SELECTION: Final = bytes((0x13, 0x00, 0x01, 0xC2, 0xFF, 0xFF))
"""VEND REQUEST for 450."""


def on_the_bus(block: mdb_bus.Block) -> bytes:
    """The bytes alone, without their mode bits."""
    return bytes(one.byte for one in mdb_bus.from_controller(block))


def bus_ear() -> Hear:
    """Hears blocks of the same length; the mode bit is put back on the first byte of each."""
    codec, size = mdb_bus.BlockCodec(mdb_bus.Side.PERIPHERAL), len(SELECTION) + 1

    def hear(data: bytes) -> Sequence[Any]:
        return codec.feed(tuple(mdb_bus.Char(byte, at % size == 0) for at, byte in enumerate(data)))

    return hear


def decoding(case: Case, seconds: float) -> float:
    """Frames a second, heard in chunks as a busy port gives them."""
    frame = case.say()
    chunks = max(1, CHUNK // len(frame))
    data = frame * chunks
    hear = case.ear()
    if len(hear(data)) != chunks:
        raise SystemExit(f"{case.name}: not all frames were heard")
    frames, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        frames += len(hear(data))
    return frames / took


def one_by_one(case: Case, seconds: float) -> float:
    """Frames a second, each in a chunk of its own, as lines really bring them."""
    hear, frame = case.ear(), case.say()
    frames, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(100):
            frames += len(hear(frame))
    return frames / took


def encoding(case: Case, seconds: float) -> float:
    """Frames a second, said."""
    frames, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(100):
            case.say()
        frames += 100
    return frames / took


def throughput(runs: int, seconds: float) -> dict[str, dict[str, float]]:
    """Frames and megabytes a second of every codec: the slowest way of three decides."""
    found: dict[str, dict[str, float]] = {}
    gc.collect()
    for case in cases():
        rates = {
            way.__name__: statistics.median(way(case, seconds) for _ in range(runs))
            for way in (decoding, one_by_one, encoding)
        }
        size = len(case.say())
        found[case.name] = {"bytes": size, **rates, "megabytes": rates["decoding"] * size / 1e6}
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs per codec (default 5)")
    parser.add_argument("--times", type=int, default=60, help="exchanges per figure (default 60)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="daiko-bench-") as folder:
        serial = exchanges(Path(folder), options.times)
        behind = behind_a_poll(Path(folder), options.times)
    codecs = throughput(options.runs, 0.1)
    if options.json:
        print(json.dumps({"exchange": serial, "release_behind_poll": behind, "codecs": codecs}, indent=2))
        return 0
    print(f"serial exchange at {BAUD} baud, goal ≤ {GOAL} × the wire's floor")
    for name, row in serial.items():
        print(f"  {name:42} {row['ms']:7.2f} ms   floor {row['floor_ms']:6.2f} ms   ÷ {row['over_floor']:.3f}")
    poll = f"{behind['poll_ms']:.1f} ms, the longer of its exchanges {behind['exchange_ms']:.1f} ms"
    waited = f"p50 {behind['wait_p50_ms']:.1f} ms   most {behind['wait_most_ms']:.1f} ms"
    print(f"release ordered in the midst of a poll: {poll}")
    print(f"  to its command's first byte   {waited}   (with a look, where the poll did not just look)")
    print(f"codecs, goal ≥ {MEGABYTES:.0f} MB/s or ≥ {FRAMES:,} frames/s")
    print(f"  {'':25} {'frame':>6}{'heard':>14}{'one by one':>14}{'said':>14}{'MB/s heard':>13}")
    for name, row in codecs.items():
        rates = "   ".join(f"{row[way]:>9,.0f}/s" for way in ("decoding", "one_by_one", "encoding"))
        slow = min(row["decoding"], row["one_by_one"], row["encoding"]) < FRAMES and row["megabytes"] < MEGABYTES
        print(f"  {name:25} {row['bytes']:>4.0f} B   {rates}   {row['megabytes']:>10.2f}{'   below' if slow else ''}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
