"""Pairs the bridge with the cloud: a one-time code, a key which the bridge makes for itself, and a person's approval.

The private key never leaves the lot. The operator approves by the fingerprint that is shown here, and only then do the
lots change hands. An enrolment that waits is kept on disk, so that the wait may be interrupted.
"""

import logging
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bridge import keys, owner_files
from bridge.await_approval import ApprovalWait, CloudTime, Patience
from bridge.config import BridgeConfig
from bridge.journal import Journal
from bridge.keys import Identity, Pending
from bridge.secret_store import open_store
from bridge.uplink.cloud_line import CloudLine, Refusal
from bridge.uplink.cloud_link import MOST_SKEW
from bridge.uplink.pace import Pace
from parking.errors import Code, DaikoError, Environment, Refused
from parking.signing import SigningKey, fingerprint, to_text
from parking.stay import LotId
from parking.wire import EnrolPending, EnrolRequest

PATH = "/bridge/v1/enrol"

log = logging.getLogger(__name__)


def enrol(
    config: BridgeConfig,
    code: str | None,
    say: Callable[[str], None],
    *,
    again: bool = False,
    patience: Patience | None = None,
) -> Identity:
    """Trade `code` for an enrolment, wait until a person approves it, store who we are; without a code, go on waiting.

    `say` gets lines for the installer. Raises Refused: CONFLICT if there is an identity and not `again`, FINGERPRINT if
    the cloud has another key, NOT_APPROVED when patience ends; Refusal with the cloud's own words,
    Environment(LINK_DOWN | NOT_ENROLLED | CONFIG | DISK), BadMessage.
    """
    clock = CloudTime()
    if code is not None:
        _check_first(config, again=again)
        with closing(_journal(config.data)):
            pass  # a disk that takes no journal is found before the code is spent
        key = keys.make_key(config.data, open_store(config.data, config.store))
        waiting = _ask(config, code, key, clock, say)
    else:
        waiting = _waiting(config)
        key = keys.load_key(config.data, open_store(config.data, config.store))
    _show(waiting, say)
    try:
        reply = ApprovalWait(config, key, waiting, clock, patience or Patience(), say).run()
    except Refusal as refusal:
        if refusal.code in (Code.NOT_ENROLLED, Code.STALE_GENERATION):
            keys.forget_pending(config.data)
        raise
    identity = Identity(
        cloud_url=config.cloud_url,
        bridge_id=reply.bridge_id,
        generation=reply.generation,
        lots=reply.lots,
        completion_keys=reply.completion_keys,
        feed_after=reply.feed_after,
    )
    identity.key_ring()  # a key that cannot be read is found now, not at the first payment
    adopt(config.data, identity)
    keys.forget_pending(config.data)
    for line in _result(config, identity):
        say(line)
    return identity


def _ask(config: BridgeConfig, code: str, key: SigningKey, clock: CloudTime, say: Callable[[str], None]) -> Pending:
    """Use the code. Used once more by the same key, it leads to the same enrolment."""
    request = EnrolRequest(
        code=code.strip(), public_key=to_text(key.public_bytes), name=config.name, software=software()
    )
    line = CloudLine(config, None, Pace())
    try:
        reply = line.call(PATH, EnrolPending, request).reply
    finally:
        line.release()
    ours = fingerprint(key.public_bytes)
    if reply.fingerprint != ours:
        detail = f"the cloud was given another key than this bridge's, {ours}"
        raise Refused(Code.FINGERPRINT, detail, "somebody changes what is sent: tell the operator, approve nothing")
    skew = clock.hear(reply.server_time).total_seconds()
    if abs(skew) > MOST_SKEW:
        say(f"注意 / warning: 時計のずれ / this computer's clock is {skew:+.0f} s off; set it")
    waiting = Pending(cloud_url=config.cloud_url, bridge_id=reply.bridge_id, fingerprint=ours)
    keys.save_pending(config.data, waiting)
    return waiting


def _waiting(config: BridgeConfig) -> Pending:
    waiting = keys.load_pending(config.data)
    if waiting is None:
        raise Environment(Code.NOT_ENROLLED, "no enrolment waits here", "give --code, with a code from the operator")
    if waiting.cloud_url != config.cloud_url:
        detail = f"the enrolment waits at {waiting.cloud_url}, but [cloud] url is {config.cloud_url}"
        raise Environment(Code.CONFIG, detail, "correct the url, or give a new --code")
    return waiting


def _show(waiting: Pending, say: Callable[[str], None]) -> None:
    rule = f"  +{'-' * (len(waiting.fingerprint) + 8)}+"
    say("この機器の鍵の指紋 / fingerprint of this bridge's key:")
    for line in (rule, f"  |    {waiting.fingerprint}    |", rule):
        say(line)
    say("事業者に読み上げて伝え、承認を待ちます / read it out to the operator, who approves it by")
    say(f"  python -m cloud bridge approve {waiting.bridge_id}")
    say("承認待ちです (Ctrl-C で中断) / waiting for the approval (Ctrl-C stops the wait)")


def enrolled(config: BridgeConfig) -> tuple[Identity, SigningKey] | None:
    """The bridge's identity and key, or None if it has not been paired with a cloud yet. Raises Environment."""
    try:
        return keys.load_identity(config.data), keys.load_key(config.data, open_store(config.data, config.store))
    except Environment as error:
        if error.code is not Code.NOT_ENROLLED:
            raise
        log.warning("%s", error)
        return None


def advice(data: Path) -> str:
    """What a bridge without an identity says of its lines: why, and what to do."""
    try:
        keys.load_identity(data)
    except DaikoError as error:
        return str(error)
    return "restart the bridge: it has been enrolled meanwhile"


def adopt(data: Path, identity: Identity) -> None:
    """Store who we are, and give the journal there the birth mark of this enrolment.

    Raises Environment(DISK | JOURNAL). The mark comes first: an identity without it would only have the bridge say
    that its journal is lost.
    """
    with closing(_journal(data)) as journal, journal.transaction() as tx:
        for lot in identity.lots:
            tx.mark(LotId(lot), identity.generation)
    keys.save_identity(data, identity)


def _journal(data: Path) -> Journal:
    """A journal that works; a damaged one is kept aside."""
    owner_files.directory(data)
    journal = Journal(data / "journal.db", patient=True)
    if not journal.mend(datetime.now(UTC)) and journal.trouble is not None:
        journal.close()
        raise journal.trouble
    return journal


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


def _result(config: BridgeConfig, identity: Identity) -> list[str]:
    lots = ", ".join(map(str, identity.lots)) or "–"
    said = [f"登録しました / enrolled as {identity.bridge_id}, generation {identity.generation}, lots {lots}"]
    missing = [str(lot) for lot in config.lots if lot not in identity.lots]
    if missing:
        which = ", ".join(missing)
        said.append(f"注意 / warning: この登録に含まれない駐車場 / lots not in this enrolment: {which}")
    return said
