"""A coin acceptor or a bill validator on a table: asked by hand, at times that we choose, on a line that echoes."""

import math
from datetime import UTC, datetime

from drivers.cctalk_coin.codec import Codec, Frame
from drivers.cctalk_coin.device import Acceptor
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.settings import Settings
from parking.stay import NameKind, StayRef

STAY = StayRef(NameKind.DESK, "1", datetime(2026, 11, 25, tzinfo=UTC))


class Table:
    """`settings` are the device's own; one poll is proof enough if they do not say otherwise."""

    def __init__(self, **settings):
        self.now = 100.0
        self.acceptor = Acceptor(Settings(**{"confirm": 1} | settings))
        self.codec = Codec(self.acceptor.settings.check, None)
        self.acceptor.opened(self.now)

    def hear(self, raw, wait=0.2, echo=True):
        """Raw bytes from the host after a pause in which the line is served; our answer, which is echoed."""
        end = self.now + wait
        while self.now < end:
            self.now += 0.01
            self.spoken(self.acceptor.due(self.now), echo)
        return self.spoken(self.acceptor.receive(raw, self.now), echo)

    def spoken(self, said, echo=True):
        if said:
            self.acceptor.written(self.now)
            if echo and self.acceptor.settings.echo:
                assert self.acceptor.receive(said, self.now) == b""
        return said

    def asks(self, header, data=b""):
        """The bytes of a request."""
        return self.codec.encode(Frame(self.acceptor.settings.address, header, data))

    def ask(self, header, data=b"", wait=0.2, echo=True):
        """The data of the answer; None if there is none, or a refusal."""
        said = self.codec.feed(self.hear(self.asks(header, data), wait, echo))
        return said[0].data if said and said[0].header == 0 else None

    def poll(self, **more):
        return self.ask(self.acceptor.settings.money().kind.poll, **more)

    def enable(self, mask=b"\xff\xff"):
        self.ask(Header.SET_INHIBITS, mask)
        for _ in range(4):
            self.poll()

    def pay(self, amount, until=math.inf):
        return self.acceptor.begin("DK-1-1", STAY, amount, until)
