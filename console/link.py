"""The one class that crosses threads: it talks to the bridge on two threads of its own and speaks to the UI in signals.

The stream thread takes a snapshot and follows the events; after any break it starts with a new snapshot, because a
restarted bridge counts its events anew and a resumed number could match by accident. The errand thread carries orders
and questions. What arrives is handed over in batches, at most 30 a second.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event as Flag
from typing import Final

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal

from console.client import Address, Client
from console.inputs import Input, LinkLost, OrderAnswered, OrderFailed, SnapshotTaken
from parking.commands import Command, CommandReply, Redeem, SignIn, SignOut
from parking.errors import Bug, Code, DaikoError, Environment, NotSent, Refused, Uncertain

log = logging.getLogger(__name__)

Source = Callable[[], Address]

FRAME_SECONDS: Final = 1 / 30
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
REPEAT_WITHIN: Final = 2.0
"""An order without an answer is posted once more if it is not older than this: later a driver may have given up."""


class Link(QObject):
    """Bridge ⇄ UI thread. `arrived` carries a tuple of state inputs; `timeline` a stay's key and Timeline or error.

    `signed` carries SignedIn or the error, `redeemed` the redeem_id and RedeemReply or the error.
    """

    arrived = Signal(object)
    timeline = Signal(str, object)
    signed = Signal(object)
    redeemed = Signal(str, object)
    _waiting = Signal()

    def __init__(self, source: Source, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: deque[Input] = deque()
        self._flush = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._flush.timeout.connect(self._deliver)
        self._waiting.connect(self._schedule, Qt.ConnectionType.QueuedConnection)
        self._delivered = 0.0
        self._stream = _Stream(source, self._push, self)
        self._errands = _Errands(source, self._push, self)
        self._errands.answered.connect(self.timeline, Qt.ConnectionType.QueuedConnection)
        self._errands.signed.connect(self.signed, Qt.ConnectionType.QueuedConnection)
        self._errands.redeemed.connect(self.redeemed, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin to connect, and go on for ever."""
        self._stream.start()
        self._errands.start()

    def stop(self) -> None:
        """End both threads; returns when they are gone (a call under way may take its time-out)."""
        self._stream.halt()
        self._errands.halt()
        for thread in (self._stream, self._errands):
            thread.wait()
        self._flush.stop()

    def refresh(self) -> None:
        """Take a new snapshot."""
        self._stream.refresh()

    def command(self, command: Command) -> None:
        """Give an order; what becomes of it arrives as OrderAnswered or OrderFailed, and then as events."""
        self._errands.order(command)

    def redeem(self, redeem: Redeem) -> None:
        """Have a code checked; the answer arrives as `redeemed`."""
        self._errands.hand_in(redeem)

    def sign_in(self, request: SignIn) -> None:
        """Ask whether a PIN is right; the answer arrives as `signed`."""
        self._errands.hand_in(request)

    def sign_out(self, request: SignOut) -> None:
        """End a session; nobody waits for the answer, for the bridge ends it by itself too."""
        self._errands.hand_in(request)

    def ask_timeline(self, lot: int, stay_key: str) -> None:
        """Ask for a stay's timeline; only the latest question is answered."""
        self._errands.ask(lot, stay_key)

    def _push(self, item: Input) -> None:
        first = not self._queue
        self._queue.append(item)
        if first:
            self._waiting.emit()

    def _schedule(self) -> None:
        if not self._flush.isActive():
            pause = FRAME_SECONDS - (time.monotonic() - self._delivered)
            self._flush.start(max(0, int(pause * 1000)))

    def _deliver(self) -> None:
        batch = []
        while self._queue:
            batch.append(self._queue.popleft())
        self._delivered = time.monotonic()
        if batch:
            self.arrived.emit(tuple(batch))


class _Stream(QThread):
    """Snapshot, then events, again and again."""

    def __init__(self, source: Source, push: Callable[[Input], None], parent: QObject) -> None:
        super().__init__(parent)
        self._source = source
        self._push = push
        self._halted = Flag()
        self._renew = Flag()
        self._wake = Flag()
        self._client: Client | None = None

    def halt(self) -> None:
        self._halted.set()
        self.refresh()

    def refresh(self) -> None:
        self._renew.set()
        self._wake.set()
        client = self._client
        if client is not None:
            client.stop()

    def run(self) -> None:
        pause = FIRST_PAUSE
        while not self._halted.is_set():
            self._wake.clear()
            followed = self._follow()
            if self._halted.is_set():
                return
            if self._renew.is_set() and followed:
                continue
            pause = FIRST_PAUSE if followed else min(pause * 2, LONGEST_PAUSE)
            self._wake.wait(pause)

    def _follow(self) -> bool:
        """Whether a snapshot was taken; ends when the stream does."""
        followed = False
        try:
            self._client = client = Client(self._source())
            self._renew.clear()
            try:
                snapshot = client.snapshot()
                self._push(SnapshotTaken(snapshot, datetime.now(UTC)))
                followed = True
                for event in client.events(snapshot.seq):
                    self._push(event)
            finally:
                client.close()
            if not self._renew.is_set():
                self._lose(DaikoError(Code.LINK_DOWN, "the bridge ended the event stream"))
        except DaikoError as error:
            if error.code is Code.SEQUENCE_GAP:
                self._renew.set()
            elif not self._halted.is_set():
                self._lose(error)
        except Exception as error:
            log.exception("the event stream failed")
            self._lose(Bug(repr(error)))
        return followed

    def _lose(self, error: DaikoError) -> None:
        log.warning("bridge: %s", error)
        self._push(LinkLost(datetime.now(UTC), error.code, error.detail, error.remedy))


class _Errands(QThread):
    """Orders, codes and PINs as they come, then questions, of which only the latest is asked."""

    answered = Signal(str, object)
    signed = Signal(object)
    redeemed = Signal(str, object)

    def __init__(self, source: Source, push: Callable[[Input], None], parent: QObject) -> None:
        super().__init__(parent)
        self._source = source
        self._push = push
        self._orders: deque[Command | Redeem | SignIn | SignOut] = deque()
        self._question: tuple[int, str] | None = None
        self._halted = Flag()
        self._wake = Flag()
        self._client: Client | None = None

    def order(self, command: Command) -> None:
        self._orders.append(command)
        self._wake.set()

    def hand_in(self, message: Redeem | SignIn | SignOut) -> None:
        self._orders.append(message)
        self._wake.set()

    def ask(self, lot: int, stay_key: str) -> None:
        self._question = (lot, stay_key)
        self._wake.set()

    def halt(self) -> None:
        self._halted.set()
        self._wake.set()

    def run(self) -> None:
        while not self._halted.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._orders:
                self._next(self._orders.popleft())
            question, self._question = self._question, None
            if question is not None and not self._halted.is_set():
                self._ask(*question)
        self._drop()

    def _next(self, message: Command | Redeem | SignIn | SignOut) -> None:
        if isinstance(message, Command):
            self._order(message)
            return
        answer = self._handed_in(message)
        if isinstance(message, Redeem):
            self.redeemed.emit(message.redeem_id, answer)
        elif isinstance(message, SignIn):
            self.signed.emit(answer)

    def _handed_in(self, message: Redeem | SignIn | SignOut) -> object:
        try:
            client = self._connected()
            match message:
                case Redeem():
                    return client.redeem(message)
                case SignIn():
                    return client.sign_in(message)
                case SignOut():
                    return client.sign_out(message)
        except DaikoError as error:
            self._drop()
            return error
        except Exception as error:
            log.exception("an errand failed")
            return Bug(repr(error))

    def _order(self, command: Command) -> None:
        try:
            reply = self._posted(command)
        except (NotSent, Uncertain) as error:
            self._push(OrderFailed(command.command_id, error.code, error.detail, isinstance(error, NotSent)))
        except Refused as error:
            reply = CommandReply(accepted=False, code=error.code, detail=error.detail)
            self._push(OrderAnswered(command.command_id, reply))
        except DaikoError as error:
            certain = error.code is Code.LINK_DOWN
            self._push(OrderFailed(command.command_id, error.code, error.detail, certain))
        except Exception as error:
            log.exception("an order failed")
            self._push(OrderFailed(command.command_id, Code.BUG, repr(error), certain=False))
        else:
            self._push(OrderAnswered(command.command_id, reply))

    def _posted(self, command: Command) -> CommandReply:
        """Post it; once more if the first try certainly failed, or may have failed a moment ago (same command_id)."""
        started = time.monotonic()
        try:
            return self._connected().command(command)
        except NotSent:
            self._drop()  # a restarted bridge may listen at another port
            return self._connected().command(command)
        except Uncertain as first:
            self._drop()
            if time.monotonic() - started > REPEAT_WITHIN:
                raise
            try:
                return self._connected().command(command)
            except (NotSent, Environment):  # nothing left this time; the first time something may have
                raise first from None

    def _ask(self, lot: int, stay_key: str) -> None:
        try:
            self.answered.emit(stay_key, self._connected().timeline(lot, stay_key))
        except DaikoError as error:
            self._drop()
            self.answered.emit(stay_key, error)
        except Exception as error:
            log.exception("a question failed")
            self.answered.emit(stay_key, Bug(repr(error)))

    def _connected(self) -> Client:
        if self._client is None:
            self._client = Client(self._source())
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
