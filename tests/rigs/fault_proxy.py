"""A TCP proxy that does to a connection what networks do: delay, stall, lose, cut, dribble, garble, deliver late.

One proxy per link, on a thread of its own; `weather` may be changed at any time and counts for open connections too.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

CHUNK: Final = 4096
LOOK: Final = 0.02


class Way(StrEnum):
    """Which way bytes go, seen from the client."""

    UP = "up"
    DOWN = "down"


@dataclass(slots=True)
class Weather:
    """What happens to bytes. All at once is possible.

    `latency` seconds before each chunk; `dribble` bytes at a time, a pause between; `stalled` ways keep their bytes
    until the weather clears, as TCP does; `lost` ways swallow them, and the connection is dead from then on; `deaf`:
    new connections are accepted and never served; `refuse`: they are reset; `cut_after` bytes in each direction the
    connection is reset; `garble`: the share of chunks of which one byte is wrong.
    """

    latency: float = 0.0
    dribble: int = 0
    stalled: frozenset[Way] = frozenset()
    lost: frozenset[Way] = frozenset()
    deaf: bool = False
    refuse: bool = False
    cut_after: int = 0
    garble: float = 0.0


@dataclass(slots=True, eq=False)
class _Link:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    dead: bool = False
    passed: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))


class FaultProxy:
    """Listens on 127.0.0.1 and passes on to `port` there."""

    def __init__(self, port: int, seed: int = 1) -> None:
        self.target = port
        self.weather = Weather()
        self.served = 0
        self._chance = random.Random(seed)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"fault-proxy-{port}")
        self._thread.start()

    def clear(self) -> None:
        """The sun shines again. What was lost stays lost."""
        self.weather = Weather()

    def cut(self) -> None:
        """Reset all connections; bytes that are stalled on their way up are delivered late, after those of new ones."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(5)

    def stop(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._socket))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            for link in self._links:
                link.client.transport.abort()
                if link.server is not None:
                    link.server.transport.abort()
            self._loop.run_until_complete(asyncio.sleep(0.01))
            self._loop.close()

    async def _cut(self) -> None:
        for link in list(self._links):
            _reset(link.client)
            if not self.weather.stalled and link.server is not None:
                _reset(link.server)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            while self.weather.deaf:
                await asyncio.sleep(LOOK)
                link.dead = True
            if self.weather.refuse or link.dead:
                _reset(writer)
                return
            up, link.server = await asyncio.open_connection("127.0.0.1", self.target)
            self.served += 1
            await asyncio.gather(self._pump(Way.UP, reader, link.server, link), self._pump(Way.DOWN, up, writer, link))
        except OSError:
            _reset(writer)
        finally:
            self._links.discard(link)
            for end in (link.client, link.server):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, way: Way, source: asyncio.StreamReader, sink: asyncio.StreamWriter, link: _Link) -> None:
        while True:
            try:
                chunk = await source.read(CHUNK)
            except OSError:
                chunk = b""
            while way in self.weather.stalled:  # noqa: ASYNC110  # the test's thread changes the weather
                await asyncio.sleep(LOOK)
            if not chunk:
                break
            try:
                await self._pass(way, chunk, sink, link)
            except OSError:
                break
        with contextlib.suppress(OSError):
            if sink.can_write_eof() and not sink.transport.is_closing():
                sink.write_eof()

    async def _pass(self, way: Way, chunk: bytes, sink: asyncio.StreamWriter, link: _Link) -> None:
        weather = self.weather
        if way in weather.lost:
            link.dead = True
        if link.dead:
            return
        if weather.latency:
            await asyncio.sleep(weather.latency)
        if weather.garble and self._chance.random() < weather.garble:
            place = self._chance.randrange(len(chunk))
            chunk = chunk[:place] + bytes((chunk[place] ^ 1 << self._chance.randrange(8),)) + chunk[place + 1 :]
        if weather.cut_after:
            left = max(0, weather.cut_after - link.passed[way])
            chunk, over = chunk[:left], len(chunk) > left
        else:
            over = False
        link.passed[way] += len(chunk)
        step = weather.dribble or len(chunk) or 1
        for at in range(0, len(chunk), step):
            sink.write(chunk[at : at + step])
            await sink.drain()
            if weather.dribble:
                await asyncio.sleep(0.002)
        if over:
            _reset(link.client)
            if link.server is not None:
                _reset(link.server)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
