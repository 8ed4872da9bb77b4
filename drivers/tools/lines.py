"""`python -m drivers sniff | record | replay`: what goes by on a line, heard, written down, shown and played."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from drivers.decode import Blackout, decoder
from drivers.language import Phrases
from drivers.recorder import Chunk, Direction, Recorder, check_free, read_back
from drivers.replay import is_pseudo_terminal, play, said_by, told
from drivers.sniff import Overheard, listen
from drivers.tools.arguments import add_codec, add_language, add_line, positive, settings_of
from drivers.tools.texts import TEXTS
from drivers.transport import Transport
from parking.errors import Code, Environment

NOTHING_HEARD: Final = 1
SIGN_OF_LIFE: Final = 5.0
BLACKED_OUT: Final = ("zvt", "zvt-tcp", "osdp", "cctalk", "cctalk-crc")
"""Codecs that know of secrets."""
WITHOUT_SECRETS: Final = ("modbus", "modbus-tcp", "mdb", "lcus")
MASKING: Final = (
    f"With --codec {', '.join(BLACKED_OUT)} passwords, keys, PINs and card data are blacked out in the recording, "
    "with zvt and osdp also what is no whole message. Without it, and with raw, ALL BYTES ARE WRITTEN AS THEY ARE: "
    "keep such a recording like a password. Printed receipt lines and keys in HTTP are never blacked out here."
)


def _now() -> datetime:
    return datetime.now(UTC)


class Watch:
    """Says every few seconds how it stands on a line, so that a wrong setting does not look like a dead line."""

    def __init__(self, tell: Callable[[str], None], say: Phrases, codec: str) -> None:
        """`tell` takes a line for people; `codec` is what messages are looked for in."""
        self.count = 0
        self.decoded = 0
        self._tell, self._say, self._codec = tell, say, codec
        self._since, self._heard = time.monotonic(), 0

    def heard(self, count: int, decoded: int = 0) -> None:
        """So many bytes came, and so many messages were made of what there is."""
        self.count += count
        self.decoded += decoded

    def look(self, news: str = "") -> None:
        """Tell, if it is time; `news` is what there is to say while all is well."""
        if time.monotonic() - self._since < SIGN_OF_LIFE:
            return
        silent, self._heard = self.count == self._heard, self.count
        self._since = time.monotonic()
        if silent:
            self._tell(self._say("line.silent", seconds=SIGN_OF_LIFE))
        elif news:
            self._tell(news)
        elif not self.decoded:
            self.complain()

    def complain(self) -> None:
        """Tell that nothing was made of what came."""
        self._tell(self._say("line.undecoded", count=self.count, codec=self._codec))


def _aside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def sniff(arguments: argparse.Namespace) -> int:
    """Show what goes by on a line, without a word of our own, until Ctrl-C or `--seconds`."""
    codec = arguments.codec or "modbus"
    say, ear = Phrases(TEXTS, arguments.lang), decoder(codec)
    watch = Watch(_aside, say, codec)

    def show(data: bytes) -> None:
        pieces = ear.feed(data, Direction.LINE) if data else ear.silence()
        for piece in pieces:
            print(f"{_now():%H:%M:%S.%f}  {piece}", flush=True)
        watch.heard(len(data), sum(bool(piece.words) for piece in pieces))
        watch.look()

    with _listening(arguments, arguments.record) as heard, contextlib.suppress(KeyboardInterrupt):
        for data in heard:
            show(data)
    show(b"")
    if watch.count and not watch.decoded:
        watch.complain()
    return 0 if watch.decoded else NOTHING_HEARD


def record(arguments: argparse.Namespace) -> int:
    """Write down every byte that goes by, with its time, until Ctrl-C or `--seconds`; without a word of our own."""
    say = Phrases(TEXTS, arguments.lang)
    watch = Watch(_aside, say, "")
    with _listening(arguments, arguments.recording) as heard, contextlib.suppress(KeyboardInterrupt):
        for data in heard:
            watch.heard(len(data))
            watch.look(say("record.far", count=watch.count))
    print(say("record.done", count=watch.count, path=arguments.recording), flush=True)
    return 0 if watch.count else NOTHING_HEARD


@contextlib.contextmanager
def _listening(arguments: argparse.Namespace, path: Path | None) -> Iterator[Iterator[bytes]]:
    """What goes by, written to `path` if there is one. The port is opened first: a mistyped one leaves no file."""
    if path is None:
        yield listen(Transport(arguments.url, settings_of(arguments)), arguments.seconds)
        return
    check_free(path, arguments.append)
    if arguments.codec not in (*BLACKED_OUT, *WITHOUT_SECRETS):
        _aside(Phrases(TEXTS, arguments.lang)("line.unmasked", named=", ".join(BLACKED_OUT)))
    masking = partial(Blackout, arguments.codec) if arguments.codec in BLACKED_OUT else None
    tap = Overheard(lambda: Recorder(path, _now, masking=masking))
    transport = Transport(arguments.url, settings_of(arguments), tap)

    def heard() -> Iterator[bytes]:
        for data in listen(transport, arguments.seconds):
            if not data:
                tap.silence()
            yield data

    try:
        yield heard()
    finally:
        transport.close()
        tap.close()


def replay(arguments: argparse.Namespace) -> int:
    """Show a recording, or play what one side said in it to a simulator or a test at a port."""
    chunks = read_back(arguments.recording)
    ear = decoder(arguments.codec or "raw")
    if arguments.to is None:
        for chunk, piece in told(chunks, ear):
            print(f"{chunk.at:%H:%M:%S.%f}  {piece}")
        return 0
    side, say = Direction(arguments.side), Phrases(TEXTS, arguments.lang)
    said = said_by(side, chunks, ear)
    if not arguments.yes and not _agreed(arguments.to, side, said, say):
        _aside(say("replay.not_sent"))
        return NOTHING_HEARD
    transport = Transport(arguments.to, settings_of(arguments))
    try:
        count = sum(len(one.data) for one in play(said, transport, arguments.speed))
    finally:
        transport.close()
    print(say("replay.played", count=count))
    return 0


def _agreed(url: str, side: Direction, said: list[Chunk], say: Phrases) -> bool:
    """Whether a person wants it sent where something real may hang, or what both sides said. Raises Environment."""
    if is_pseudo_terminal(url) and side is not Direction.LINE:
        return True
    if not sys.stdin.isatty():
        remedy = "play it at a terminal to be asked, or name --yes if you are certain"
        raise Environment(Code.CONFIG, f"{url} may be a machine, and there is nobody to ask", remedy)
    _aside(say("replay.warning", url=url, count=sum(len(one.data) for one in said)))
    if side is Direction.LINE:
        _aside(say("replay.both"))
    try:
        return input(say("replay.sure")).strip().lower() == "yes"
    except EOFError:
        return False


def add_sniff(command: argparse.ArgumentParser) -> None:
    """The command line of `sniff`."""
    command.epilog = MASKING
    command.add_argument("url", help="COM3, /dev/ttyUSB0, or socket://host:port of a serial server")
    add_line(command)
    add_codec(command, "modbus")
    command.add_argument("--record", type=Path, metavar="FILE", help="also write every byte down, with its time")
    _add_listening(command)
    command.set_defaults(run=sniff)


def add_record(command: argparse.ArgumentParser) -> None:
    """The command line of `record`."""
    command.epilog = MASKING
    command.add_argument("url", help="COM3, /dev/ttyUSB0, or socket://host:port of a serial server")
    command.add_argument("recording", type=Path, help="the file to write; one that is there already is refused")
    add_line(command)
    add_codec(command, "nothing is blacked out", "how the line speaks, to black its secrets out: ")
    _add_listening(command)
    command.set_defaults(run=record)


def _add_listening(command: argparse.ArgumentParser) -> None:
    command.add_argument("--append", action="store_true", help="go on with a recording that is there already")
    command.add_argument("--seconds", type=positive, help="stop after so long (default: at Ctrl-C)")
    add_language(command)


def add_replay(command: argparse.ArgumentParser) -> None:
    """The command line of `replay`."""
    command.add_argument(
        "recording", type=Path, help="a file that `record`, `sniff --record` or the bridge has written"
    )
    command.add_argument("--to", metavar="URL", help="play it there; without this it is shown")
    command.add_argument(
        "--side",
        choices=tuple(Direction),
        default=Direction.RX.value,
        help="what the machine said, who answers (rx, default); our program, who asks (tx); or both (line). "
        "Of what was overheard --codec has to tell which is which",
    )
    command.add_argument("--yes", action="store_true", help="do not ask before playing to what is no pty")
    command.add_argument("--speed", type=positive, default=1.0, help="2 is twice as fast (default 1)")
    add_codec(command, "raw")
    add_line(command)
    add_language(command)
    command.set_defaults(run=replay)
