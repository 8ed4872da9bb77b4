"""The codes on the driver's receipt: the signed completion as a QR code and as a typed code, and how long each is good.

Both open the way without any line: the QR code by its signature, the typed code by a key that the lot's bridge shares
(see `parking.completion`, ADR 0022). They are shown from the moment the payment is authorized.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cloud.code_keys import LotSecrets
from cloud.store import Store
from cloud.views import PaymentPage, PaymentStage
from parking.completion import Completion, from_digits, typed_code, verify
from parking.errors import BadMessage, Environment
from parking.signing import KeyRing

log = logging.getLogger(__name__)

KEPT_FOR: Final = timedelta(days=7)
"""How long a phone keeps a receipt after its last change."""
GROUP: Final = 7
_WITH_CODES: Final = (PaymentStage.RELEASING, PaymentStage.ATTENDANT, PaymentStage.DONE)


@dataclass(frozen=True, slots=True)
class ShownCodes:
    """What a phone shows.

    `qr`: decimal digits, empty once `qr_until` is over; `typed`: three groups of seven digits, empty if the amount has
    no typed code, the lot's bridge has no key yet, or `typed_until` is over.
    """

    qr: str
    qr_until: datetime
    typed: tuple[str, ...]
    typed_until: datetime

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.qr or self.typed)


class Codes(Protocol):
    """Finds the codes of a payment."""

    async def of(self, payment: PaymentPage) -> ShownCodes | None:
        """The codes of a payment that is authorized and not given back; None if there is nothing to show."""
        ...


@dataclass(frozen=True, slots=True)
class PhoneCodes:
    """Implements `Codes` on the store; `ring` holds the keys under which completions were signed."""

    store: Store
    secrets: LotSecrets
    ring: KeyRing
    clock: Callable[[], datetime]

    async def of(self, payment: PaymentPage) -> ShownCodes | None:
        """See `Codes.of`. What cannot be shown for want of a key is left out: the page has to come all the same."""
        if not payment.completion or payment.stage not in _WITH_CODES:
            return None
        try:
            completion = verify(from_digits(payment.completion), self.ring)
        except BadMessage as error:
            log.warning("the completion %s is not shown: %s", payment.reference, error)
            return None
        now = self.clock()
        key = await self._key(completion.lot, now)
        return shown(completion, payment.completion, key, timedelta(seconds=self.secrets.code_seconds), now) or None

    async def _key(self, lot: int, now: datetime) -> tuple[int, bytes] | None:
        try:
            async with self.store.read() as db:
                return await self.secrets.showing(db, lot, now)
        except Environment as error:
            log.error("lot %d has no typed codes: %s", lot, error)
            return None


def shown(
    completion: Completion, digits: str, key: tuple[int, bytes] | None, good_for: timedelta, now: datetime
) -> ShownCodes:
    """The codes of a completion; `key` (number, secret) makes the typed one, which is good for `good_for`. Pure."""
    until = completion.paid_at + good_for
    typed = _typed(completion, key) if key is not None and now < until else ""
    groups = tuple(typed[at : at + GROUP] for at in range(0, len(typed), GROUP))
    return ShownCodes(digits if now < completion.valid_until else "", completion.valid_until, groups, until)


def _typed(completion: Completion, key: tuple[int, bytes]) -> str:
    try:
        return typed_code(completion, *key)
    except BadMessage:
        return ""  # an amount that has none: the QR code alone
