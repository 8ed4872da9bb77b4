"""Pairs the bridge with the cloud: a one-time code from the operator, and a key which the bridge makes for itself.

The private key never leaves the lot. The fingerprint is shown before and after, so that a person can compare it with
what the cloud shows.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from bridge import keys
from bridge.config import BridgeConfig
from bridge.keys import Identity
from bridge.uplink.cloud_line import CloudLine
from bridge.uplink.cloud_link import MOST_SKEW
from bridge.uplink.pace import Pace
from parking.errors import Code, DaikoError, Refused
from parking.signing import fingerprint, to_text
from parking.wire import EnrolReply, EnrolRequest

PATH = "/bridge/v1/enrol"


def enrol(
    config: BridgeConfig, code: str, say: Callable[[str], None], *, again: bool = False, now: datetime | None = None
) -> Identity:
    """Make a key if there is none, trade `code` for an identity, store it; `say` gets lines for the installer.

    Raises Refused(CONFLICT) if there is an identity and not `again`, Refusal with the cloud's own words,
    Environment(LINK_DOWN | DISK), BadMessage.
    """
    _check_first(config, again=again)
    key = keys.make_key(config.data)
    shown = fingerprint(key.public_bytes)
    say(f"この機器の鍵 / this bridge's key: {shown}")
    request = EnrolRequest(
        code=code.strip(), public_key=to_text(key.public_bytes), name=config.name, software=software()
    )
    line = CloudLine(config, None, Pace())
    try:
        reply = line.call(PATH, EnrolReply, request).reply
    finally:
        line.release()
    identity = Identity(
        cloud_url=config.cloud_url,
        bridge_id=reply.bridge_id,
        generation=reply.generation,
        lots=reply.lots,
        completion_keys=reply.completion_keys,
        feed_after=reply.feed_after,
    )
    identity.key_ring()  # a key that cannot be read is found now, not at the first payment
    keys.save_identity(config.data, identity)
    for line_ in _result(config, identity, reply, now or datetime.now(UTC)):
        say(line_)
    return identity


def software() -> str:
    """What this program is, for the cloud's records."""
    try:
        return f"daiko-bridge {version('daiko')}"
    except PackageNotFoundError:  # run from a clone
        return "daiko-bridge (source)"


def _check_first(config: BridgeConfig, *, again: bool) -> None:
    try:
        identity = keys.load_identity(config.data)
    except DaikoError as error:
        if error.code is Code.NOT_ENROLLED or again:
            return
        raise
    if not again:
        raise Refused(
            Code.CONFLICT,
            f"this bridge is {identity.bridge_id} already (generation {identity.generation})",
            "give --again to enrol anew; the old identity is of no use afterwards",
        )


def _result(config: BridgeConfig, identity: Identity, reply: EnrolReply, now: datetime) -> list[str]:
    lots = ", ".join(map(str, identity.lots)) or "–"
    said = [
        f"登録しました / enrolled as {identity.bridge_id}, generation {identity.generation}, lots {lots}",
        "鍵の指紋を管理画面と照合してください / compare the fingerprint with the one that the cloud shows",
    ]
    missing = [str(lot) for lot in config.lots if lot not in identity.lots]
    if missing:
        which = ", ".join(missing)
        said.append(f"注意 / warning: この登録に含まれない駐車場 / lots not in this enrolment: {which}")
    skew = (now - reply.server_time).total_seconds()
    if abs(skew) > MOST_SKEW:
        said.append(
            f"注意 / warning: 時計のずれ / this computer's clock is {skew:+.0f} s off; set it, or requests are refused"
        )
    return said
