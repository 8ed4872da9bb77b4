"""The cloud's configuration file (`cloud.toml`, see docs/cloud-config.md) and its completion keys.

Mistakes are reported with file, place and remedy. Relative paths are relative to the configuration file.
"""

import os
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from cloud.checkout import Limits
from cloud.sealing import Sealing
from parking.errors import Code, Environment
from parking.signing import SigningKey, from_text, to_text

_SEE: Final = "see docs/cloud-config.md for the keys"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the file's tables: unknown keys are mistakes."""


class Listen(_Table, frozen=True, kw_only=True):
    """Where the server listens; port 0 takes a free one (see `run_file`)."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080


class Payments(_Table, frozen=True, kw_only=True):
    """The payment provider: its name, where its API is, and the two secrets shared with it."""

    provider: Annotated[str, msgspec.Meta(pattern="^sandbox$")] = "sandbox"
    url: str
    api_key: str = ""
    webhook_secret: str


class Timing(_Table, frozen=True, kw_only=True):
    """How long things last.

    `authorization_minutes`: how long the provider keeps an authorization; `completion_valid_minutes`: how long a
    completion may release, necessarily shorter; `poll_seconds`: when an open payment is asked about, counted from its
    beginning, the last one repeating; `heartbeat_seconds`: a sign of life on every feed; `void_after_hours`: when a
    payment is voided that no bridge has received, not before its codes are over; at the end of the authorization if
    its lot has not been heard since then.
    """

    authorization_minutes: Annotated[int, msgspec.Meta(ge=2, le=60 * 24 * 30)] = 60 * 48
    completion_valid_minutes: Annotated[int, msgspec.Meta(ge=1, le=60 * 24)] = 20
    poll_seconds: Annotated[tuple[Annotated[float, msgspec.Meta(gt=0)], ...], msgspec.Meta(min_length=1)] = (
        5.0,
        15.0,
        60.0,
        300.0,
    )
    heartbeat_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 15.0
    void_after_hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 7)] = 24.0

    @property
    def authorization(self) -> timedelta:
        """How long the provider keeps an authorization."""
        return timedelta(minutes=self.authorization_minutes)

    @property
    def completion_valid(self) -> timedelta:
        """How long a completion may release."""
        return timedelta(minutes=self.completion_valid_minutes)

    @property
    def unheard(self) -> timedelta:
        """When a payment is voided that no bridge has received."""
        return timedelta(hours=self.void_after_hours)


class Codes(_Table, frozen=True, kw_only=True):
    """Typed codes: how long one is good after payment, and how old a lot's key gets before the next one."""

    good_seconds: Annotated[int, msgspec.Meta(ge=60, le=61_440)] = 21_600
    key_days: Annotated[float, msgspec.Meta(gt=0, le=366)] = 30.0

    @property
    def rotate_after(self) -> timedelta:
        """How old a key gets."""
        return timedelta(days=self.key_days)


_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class PhonePages(_Table, frozen=True, kw_only=True):
    """Guards of the driver's pages.

    `misses` wrong numbers within `miss_minutes` from one address at one lot, and `lot_misses` within an hour at the lot
    as a whole, before look-ups are slowed down. `client_header`: where the proxy in front writes the client's address
    (its last entry counts); empty: there is no proxy. A stay above `call_hours` or `call_yen` is not paid by phone.
    """

    misses: _Count = 5
    miss_minutes: Annotated[float, msgspec.Meta(gt=0, le=1440)] = 10.0
    lot_misses: _Count = 50
    client_header: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{0,64}$")] = ""
    call_hours: Annotated[float, msgspec.Meta(gt=0, le=24 * 366)] = 48.0
    call_yen: Annotated[int, msgspec.Meta(ge=1, le=9_999_999)] = 30_000


class CloudConfig(_Table, frozen=True, kw_only=True):
    """The whole file. An empty `public_url` means the address listened on; an empty `run_file` means none."""

    payments: Payments
    listen: Listen = msgspec.field(default_factory=Listen)
    timing: Timing = msgspec.field(default_factory=Timing)
    codes: Codes = msgspec.field(default_factory=Codes)
    phone: PhonePages = msgspec.field(default_factory=PhonePages)
    public_url: str = ""
    database_url: str = ""
    key_file: str = "completion-key.json"
    run_file: str = ""

    @property
    def limits(self) -> Limits:
        """How long payments may wait."""
        code_good = timedelta(seconds=self.codes.good_seconds)
        return Limits(
            self.timing.authorization, self.timing.completion_valid, unheard=self.timing.unheard, code_good=code_good
        )


T = TypeVar("T")


def read_toml(path: Path, kind: type[T], see: str = _SEE) -> T:
    """Read a TOML file into a Struct.

    Raises Environment(CONFIG) that names the file, the place in it and the mistake.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise Environment(Code.CONFIG, f"{path}: {error.strerror}", "check the path and its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Environment(Code.CONFIG, f"{path}: not TOML: {error}", "correct the line named") from error
    except msgspec.ValidationError as error:
        raise Environment(Code.CONFIG, f"{path}: {error}", see) from error


def load(path: Path) -> CloudConfig:
    """Read and cross-check the file, with its paths made absolute.

    Raises Environment(CONFIG): malformed, an address that is none, a completion that outlives its authorization.
    """
    config = read_toml(path, CloudConfig)
    for place, problem in _mistakes(config):
        raise Environment(Code.CONFIG, f"{path}: {problem} - at `{place}`", _SEE)
    base = path.resolve().parent
    return msgspec.structs.replace(
        config,
        public_url=config.public_url.rstrip("/"),
        database_url=config.database_url or f"sqlite+aiosqlite:///{base / 'cloud.sqlite3'}",
        key_file=str(base / config.key_file),
        run_file=str(base / config.run_file) if config.run_file else "",
    )


def _mistakes(config: CloudConfig) -> list[tuple[str, str]]:
    found = [
        (place, f"{url!r} is not an http(s) address without path")
        for place, url in (("$.public_url", config.public_url),)
        if url and not _is_origin(url)
    ]
    if urlsplit(config.payments.url).scheme not in ("http", "https"):
        found.append(("$.payments.url", f"{config.payments.url!r} is not an http(s) address"))
    for place, url in (("$.public_url", config.public_url), ("$.payments.url", config.payments.url)):
        if _is_in_the_clear(url):
            found.append((place, "plain http would show the business to the network: use https"))
    if len(config.payments.webhook_secret) < 16:
        found.append(("$.payments.webhook_secret", "shorter than 16 characters"))
    if config.database_url and not config.database_url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        found.append(("$.database_url", "neither sqlite+aiosqlite:/// nor postgresql+asyncpg://"))
    if config.timing.completion_valid_minutes >= config.timing.authorization_minutes:
        found.append(("$.timing.completion_valid_minutes", "not below authorization_minutes"))
    return found + _lifetimes(config)


def _lifetimes(config: CloudConfig) -> list[tuple[str, str]]:
    """What lets a car out must not outlive the payment, nor that the provider's authorization."""
    timing, code_good = config.timing, timedelta(seconds=config.codes.good_seconds)
    if timing.unheard < timing.completion_valid:
        return [("$.timing.void_after_hours", "shorter than completion_valid_minutes: a lot could still act on it")]
    if timing.unheard < code_good:
        return [("$.timing.void_after_hours", "shorter than codes.good_seconds: a phone could still open by its code")]
    if timing.unheard > timing.authorization:
        problem = "longer than authorization_minutes: the provider would let the money go before"
        return [("$.timing.void_after_hours", problem)]
    return []


def _is_in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")


def _is_origin(url: str) -> bool:
    parts = urlsplit(url.rstrip("/"))
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.path or parts.query)


class _KeyFile(_Table, frozen=True, kw_only=True):
    """Seeds (base64url of 32 bytes) by key id; `current` signs, the others still verify."""

    current: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    seeds: dict[int, str]


@dataclass(frozen=True, slots=True)
class CompletionKeys:
    """The key that signs now, all keys under which completions may still be verified, and what seals the database."""

    current: SigningKey
    public: dict[int, bytes]
    sealing: Sealing


def completion_keys(path: Path) -> CompletionKeys:
    """Read the completion keys, or make the first one (readable by its owner only).

    Raises Environment(CONFIG): unreadable, malformed, or readable by others.
    """
    try:
        _create_keys(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise Environment(Code.CONFIG, f"{path} can be read by others", f"chmod 600 {path}")
        file = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        keys = {key_id: SigningKey.from_seed(key_id, from_text(seed)) for key_id, seed in file.seeds.items()}
        public = {key_id: key.public_bytes for key_id, key in keys.items()}
        sealing = Sealing.derive(file.current, {key_id: key.seed for key_id, key in keys.items()})
        return CompletionKeys(keys[file.current], public, sealing)
    except OSError as error:
        raise Environment(Code.CONFIG, f"{path}: {error.strerror}", "check the path and its permissions") from error
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise Environment(Code.CONFIG, f"{path}: not a key file: {error}", "restore it from its backup") from error


def _create_keys(path: Path) -> None:
    key = SigningKey.generate(1)
    # written aside and linked into place: a crash leaves no half file, and of two processes one wins
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if path.exists():
        return
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(_KeyFile(current=key.key_id, seeds={key.key_id: to_text(key.seed)})))
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
