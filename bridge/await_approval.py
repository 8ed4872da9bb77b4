"""Asks the cloud again and again whether a person has approved this bridge; lines and clocks may be bad meanwhile."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.config import BridgeConfig
from bridge.keys import Pending
from bridge.uplink.cloud_line import CloudLine, Refusal, Stalled, Unreachable
from bridge.uplink.pace import Pace
from bridge.uplink.signatures import RequestSignature
from parking.errors import Code, Refused
from parking.signing import SigningKey
from parking.wire import EnrolReply

PATH: Final = "/bridge/v1/enrolment"
SERVER_TROUBLE: Final = 500
GO_ON: Final = "the same command goes on from here, without a new code"
_INTERRUPTED: Final = f"中断しました。同じコマンドで続きから待てます / stopped; {GO_ON}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the approval (0: ask once), how often to ask, how often to say so; in seconds."""

    wait: float = 3600.0
    every: float = 2.0
    tell: float = 30.0


def utc_now() -> datetime:
    """The system's time."""
    return datetime.now(UTC)


class CloudTime:
    """The clock of this computer, put right by what the cloud says: an installer may not have set it yet."""

    def __init__(self, ours: Callable[[], datetime] = utc_now) -> None:
        self._ours, self._off = ours, timedelta()

    def __call__(self) -> datetime:
        """The time by which requests are signed."""
        return self._ours() + self._off

    def hear(self, theirs: datetime) -> timedelta:
        """What the cloud's clock says now; returns how far ours is ahead of it."""
        self._off = theirs - self._ours()
        return -self._off


class ApprovalWait:
    """One enrolment's wait. `run` says for the installer how it goes."""

    def __init__(
        self,
        config: BridgeConfig,
        key: SigningKey,
        waiting: Pending,
        clock: CloudTime,
        patience: Patience,
        say: Callable[[str], None],
    ) -> None:
        self._waiting, self._clock, self._patience, self._say = waiting, clock, patience, say
        self._line = CloudLine(config, RequestSignature(waiting.bridge_id, key, clock), Pace())
        self._trouble = ""

    def run(self) -> EnrolReply:
        """Wait until a person has approved.

        Raises Refused(NOT_APPROVED) when patience ends, Refusal if the cloud turned us down, BadMessage;
        KeyboardInterrupt, having said how it goes on.
        """
        began = told = time.monotonic()
        try:
            while (reply := self._ask()) is None:
                now = time.monotonic()
                if now - began >= self._patience.wait:
                    raise Refused(Code.NOT_APPROVED, f"nobody has approved {self._waiting.bridge_id} yet", GO_ON)
                if now - told >= self._patience.tell:
                    told = now
                    minutes, seconds = divmod(int(now - began), 60)
                    self._say(f"承認待ち / waiting for the approval … {minutes}:{seconds:02}")
                time.sleep(self._patience.every)
        except KeyboardInterrupt:
            self._say(_INTERRUPTED)
            raise
        finally:
            self._line.release()
        return reply

    def _ask(self) -> EnrolReply | None:
        try:
            return self._line.call(PATH, EnrolReply).reply
        except Refusal as refusal:
            if refusal.code is Code.CLOCK and refusal.date is not None:
                self._clock.hear(refusal.date)
            elif refusal.code is not Code.NOT_APPROVED and refusal.status < SERVER_TROUBLE:
                raise
        except (Unreachable, Stalled) as error:
            if error.detail != self._trouble:
                self._say(str(error))
            self._trouble = error.detail
        return None
