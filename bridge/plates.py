"""Number plates in the lot office: known by their tokens everywhere, in plain text only to machines and to eyes.

What a driver of a machine reports is turned into tokens before anything else sees it (`LotPlates.learn`), and back
right before a machine is asked. Beside the tokens the journal keeps each plate once, sealed (bridge.plate_book), and
forgets it a while after its stay has ended (ADR 0033).
"""

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import unquote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bridge.stays import KnownStay
from drivers import base
from parking.errors import BadMessage, Code, DaikoError, Environment, NotSent
from parking.outcome import Evidence
from parking.stay import LotId, NameKind, StayRef, normalise, plate_token, strike_out
from parking.wire import FeeLine

REMEMBERED: Final = 100
"""Plates of stays that have ended which are still struck out of texts."""

LONGEST: Final = 64
"""Signs of a plate as a machine may spell it; more is cut off."""

LEAST: Final = 4
"""Signs of a plate that is struck out of texts: a machine that reports less has not read one."""

_NONCE: Final = 12
_SEAL: Final = b"daiko-plate-seal-v1"
_ATTRIBUTE: Final = b"daiko-plate-attribute-v1"


class Kept(Protocol):
    """Where sealed plates are."""

    def sealed_plate(self, lot: LotId, token: str) -> bytes | None:
        """A plate as it was sealed; None if it is not known or erased. Raises Environment."""
        ...


class Seal:
    """Seals plates under the bridge's own secret, bound to lot and token; a token of another one does not open them."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = ChaCha20Poly1305(hmac.digest(secret, _SEAL, hashlib.sha256))
        self._attribute = hmac.digest(secret, _ATTRIBUTE, hashlib.sha256)

    def token(self, plate: str) -> str:
        """The token of a plate that names no stay: of use in this journal alone, so no cloud is needed for it."""
        return hmac.digest(self._attribute, plate.encode(), hashlib.sha256).hex()[:32]

    def close(self, lot: LotId, token: str, plate: str) -> bytes:
        """The sealed plate."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, plate.encode(), _about(lot, token))

    def open(self, lot: LotId, token: str, sealed: bytes) -> str:
        """The plate; '' if it was not sealed here for this token."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _about(lot, token)).decode()
        except (InvalidTag, ValueError):
            return ""


class LotPlates:
    """The plates of one lot. Thread-safe: readings replace what is known as a whole."""

    def __init__(
        self, lot: LotId, names: NameKind, seal: Seal, key: Callable[[], bytes | None], kept: Kept | None
    ) -> None:
        """`names`: by what the lot names its stays; `key`: the secret that it shares with the cloud, if it has come."""
        self._lot, self._names, self._seal, self._key, self._kept = lot, names, seal, key, kept
        self._inside: dict[str, str] = {}
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self.seen = False
        """Whether a reading of this run has told which cars are there."""

    @property
    def keyless(self) -> bool:
        """Whether stays cannot be named yet: the lot goes by plates, and its secret has never come."""
        return self._names is NameKind.PLATE and self._key() is None

    # --- what machines say -------------------------------------------------------------------------------------------

    def learn(self, stays: Sequence[base.Stay]) -> list[base.Stay]:
        """A reading with tokens in the place of plates.

        Raises Environment: PLATE_KEY while they cannot be named, CONFIG if the machine names its stays otherwise.
        """
        inside: dict[str, str] = {}
        found = [self._token(stay, inside) for stay in stays]
        self._gone.extend(plate for token, plate in self._inside.items() if token not in inside)
        self._inside, self.seen = inside, True
        return found

    def _token(self, stay: base.Stay, inside: dict[str, str]) -> base.Stay:
        ref = stay.ref
        if ref.kind is not self._names:
            remedy = "set `names` in [lot] and in the device's [device.options] alike"
            detail = f"the machine names its stays by {ref.kind.value}, the lot by {self._names.value}"
            raise Environment(Code.CONFIG, detail, remedy)
        if ref.kind is NameKind.PLATE:
            token = self._named(ref.name)
            inside[token] = ref.name
            return replace(stay, ref=StayRef(ref.kind, token, ref.entered_at), plate=token)
        if not stay.plate:
            return stay
        plate = stay.plate[:LONGEST]
        token = self._seal.token(plate)
        inside[token] = plate
        return replace(stay, plate=token)

    def _named(self, plate: str) -> str:
        key = self._key()
        if key is None:
            detail = (
                f"lot {self._lot} goes by number plates, and the key that names them has not come from the cloud yet"
            )
            raise Environment(Code.PLATE_KEY, detail, "let the bridge reach the cloud once; until then open by hand")
        return plate_token(key, plate)

    # --- back to plain text ------------------------------------------------------------------------------------------

    def text(self, token: str) -> str:
        """A plate for a person's eyes; '' if it is erased, or never was known here."""
        plate = self._inside.get(token, "")
        if plate or not token or self._kept is None:
            return plate
        try:
            sealed = self._kept.sealed_plate(self._lot, token)
        except DaikoError:
            return ""  # a journal in trouble: the car is shown by its token
        return self._seal.open(self._lot, token, sealed) if sealed is not None else ""

    def of(self, stay: StayRef) -> str:
        """The plate that names a stay, for a person's eyes; '' in lots that go by bay or ticket."""
        return self.text(stay.name) if stay.kind is NameKind.PLATE else ""

    def plain(self, stay: StayRef) -> StayRef:
        """The stay as its machine knows it. Raises NotSent(STAY_UNKNOWN) if its plate is not known here."""
        if stay.kind is not NameKind.PLATE:
            return stay
        plate = self.text(stay.name)
        if not plate:
            raise NotSent(Code.STAY_UNKNOWN, "the plate of this stay is not known here, or erased already")
        if plate not in self._gone:
            self._gone.append(plate)
        return StayRef(stay.kind, plate, stay.entered_at)

    def inside(self, stay: StayRef) -> StayRef | None:
        """As `plain`, for cars that are in the lot now; None for all others, so that a car that left is as unknown."""
        if stay.kind is not NameKind.PLATE:
            return stay
        plate = self._inside.get(stay.name)
        return StayRef(stay.kind, plate, stay.entered_at) if plate else None

    # --- what is kept ------------------------------------------------------------------------------------------------

    def sealed(self, stays: Iterable[KnownStay]) -> list[tuple[str, bytes]]:
        """The plates of these stays as the journal may keep them, by token."""
        if self._kept is None:
            return []
        tokens = (token_of(stay) for stay in stays)
        return [
            (token, self._seal.close(self._lot, token, self._inside[token]))
            for token in tokens
            if token in self._inside
        ]

    # --- words without plates ----------------------------------------------------------------------------------------

    def scrub(self, text: str) -> str:
        """A machine's or a person's words without the plates that are known here."""
        folded = (_folded(plate) for plate in (*self._inside.values(), *self._gone))
        plates = [plate for plate in folded if len(plate) >= LEAST]
        if not plates or not text:
            return text
        decoded = unquote(text) if "%" in text else text
        struck = strike_out(decoded, plates)
        return text if struck == decoded else struck

    def clean(self, outcome: base.Outcome) -> base.Outcome:
        """An outcome whose words hold no plates."""
        if isinstance(outcome, base.Applied):
            return replace(outcome, evidence=self.clean_evidence(outcome.evidence))
        return replace(outcome, detail=self.scrub(outcome.detail))

    def clean_evidence(self, proofs: Iterable[Evidence]) -> tuple[Evidence, ...]:
        """Evidence whose words hold no plates."""
        return tuple(Evidence(one.kind, self.scrub(one.text)) for one in proofs)

    def clean_lines(self, lines: Iterable[FeeLine]) -> tuple[FeeLine, ...]:
        """The working of a fee whose words hold no plates."""
        return tuple(
            FeeLine(text={language: self.scrub(text) for language, text in line.text.items()}, amount=line.amount)
            for line in lines
        )

    @contextmanager
    def discreet(self) -> Iterator[None]:
        """What is raised inside says no plates."""
        try:
            yield
        except DaikoError as error:
            error.detail = self.scrub(error.detail)
            error.args = (error.detail,)
            raise

    def intend(self, intend: base.Intend) -> base.Intend:
        """An intent for the journal: the exact bytes, but for the plate where that names the stay."""
        if self._names is not NameKind.PLATE:
            return intend
        return lambda raw, counter: intend(self._struck(raw), counter)

    def _struck(self, raw: bytes) -> bytes:
        return self.scrub(raw.decode("utf-8", "replace")).encode()


def in_memory(lot: LotId, names: NameKind) -> LotPlates:
    """Plates without a cloud and without a journal: for rigs, and lots that have none."""
    return LotPlates(lot, names, Seal(secrets.token_bytes(32)), lambda: None, None)


def token_of(stay: KnownStay) -> str:
    """The token of a stay's plate; '' if none is known."""
    return stay.ref.name if stay.ref.kind is NameKind.PLATE else stay.plate


def _about(lot: LotId, token: str) -> bytes:
    return f"{lot}/{token}".encode()


def _folded(plate: str) -> str:
    try:
        return normalise(NameKind.PLATE, plate)
    except BadMessage:
        return ""
