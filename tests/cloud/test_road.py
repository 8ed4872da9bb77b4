"""The road through the cloud: fee, authorization, completion, settled, captured; and each way it can fail."""

from datetime import UTC, datetime

from parking.outcome import Evidence, EvidenceKind, Level
from parking.wire import FeedBatch, Received, Settled, decode

WAKABA = 1001


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int, by: str = "relay") -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen, by=by)


def feed(bridge, lot: int, after: int = 0) -> FeedBatch:
    return decode(bridge.get(f"/bridge/v1/lots/{lot}/feed?after={after}&wait=0").content, FeedBatch)


def test_a_paid_stay_is_captured_once_the_lot_has_settled_it(cloud):
    bridge = cloud.bridge(WAKABA)
    stay = bridge.car(WAKABA, "7")
    token, order = cloud.pay("WAKABA1", "７番".replace("番", ""))
    cloud.approve(order)
    entry = feed(bridge, WAKABA).entries[0]
    completion = bridge.completion(entry.completion)
    assert (completion.lot, completion.number, completion.stay) == (WAKABA, 1, stay)
    assert cloud.stage(token) == "releasing"
    assert ("capture", order) not in cloud.provider.calls
    assert bridge.report(WAKABA, Received(number=1, at=now()), settled(1)).ok
    cloud.until(lambda: cloud.stage(token) == "done" and ("capture", order) in cloud.provider.calls)
    assert ("void", order) not in cloud.provider.calls
