"""The bridges' door: only the enrolled bridge, only now, only once, and only for its own lot."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from parking.errors import Code
from parking.outcome import Level
from parking.reports import DeviceHealth, ReportBatch, ReportReply, Settled
from parking.wire import Accepted, Answer, FeedBatch, Message, NotFound, Problem, decode, encode

WAKABA, GATED = 1001, 1002
FEED, REPORTS = f"/bridge/v1/lots/{WAKABA}/feed?after=0&wait=0", f"/bridge/v1/lots/{WAKABA}/reports"


def now() -> datetime:
    return datetime.now(UTC)


def health(text: str = "ok") -> DeviceHealth:
    return DeviceHealth(device="plates", up=True, detail=text, at=now())


def refused(answer: requests.Response, status: int, code: Code) -> Problem:
    problem = decode(answer.content, Problem)
    assert (answer.status_code, problem.code) == (status, code)
    return problem


def test_a_signed_request_is_served(cloud):
    bridge = cloud.bridge(WAKABA)
    answer = bridge.get(FEED)
    assert answer.status_code == 200
    assert decode(answer.content, FeedBatch).entries == ()


def test_an_unsigned_request_is_not(cloud):
    refused(requests.get(cloud.url + FEED, timeout=5), 401, Code.BAD_SIGNATURE)


def test_a_request_signed_with_another_key_is_not(cloud):
    bridge = cloud.bridge(WAKABA)
    bridge.key = Ed25519PrivateKey.generate()
    refused(bridge.get(FEED), 401, Code.BAD_SIGNATURE)


def test_a_bridge_that_nobody_knows_is_told_to_enrol(cloud):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.send(bridge.signed("GET", FEED, key_id="b00")), 401, Code.NOT_ENROLLED)


def test_an_altered_body_is_caught_by_its_digest(cloud):
    bridge = cloud.bridge(WAKABA)
    prepared = bridge.signed("POST", REPORTS, encode(ReportBatch(generation=1, first=1, reports=(health("up"),))))
    prepared.body = prepared.body.replace(b'"up"', b'"no"')
    refused(bridge.send(prepared), 401, Code.BAD_SIGNATURE)


def test_an_altered_body_with_its_own_digest_is_caught_by_the_signature(cloud):
    bridge = cloud.bridge(WAKABA)
    honest = bridge.signed("POST", REPORTS, encode(ReportBatch(generation=1, first=1, reports=(health("up"),))))
    forged = bridge.signed("POST", REPORTS, encode(ReportBatch(generation=1, first=1, reports=(health("no"),))))
    honest.body, honest.headers["Content-Digest"] = forged.body, forged.headers["Content-Digest"]
    refused(bridge.send(honest), 401, Code.BAD_SIGNATURE)


def test_a_signature_is_good_for_its_own_address_only(cloud):
    bridge = cloud.bridge(WAKABA)
    prepared = bridge.signed("GET", FEED)
    prepared.url = prepared.url.replace("after=0", "after=9")
    refused(bridge.send(prepared), 401, Code.BAD_SIGNATURE)


@pytest.mark.parametrize("missing", ["@method", "@authority", "@target-uri", "content-digest"])
def test_a_signature_must_cover_everything(cloud, missing):
    bridge = cloud.bridge(WAKABA)
    covered = tuple(name for name in ("@method", "@authority", "@target-uri", "content-digest") if name != missing)
    refused(bridge.send(bridge.signed("GET", FEED, covered=covered)), 401, Code.BAD_SIGNATURE)


def test_a_signature_made_for_another_purpose_is_not_taken(cloud):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.send(bridge.signed("GET", FEED, tag="something-else")), 401, Code.BAD_SIGNATURE)


@pytest.mark.parametrize("off", [timedelta(seconds=-125), timedelta(seconds=125)], ids=["behind", "ahead"])
def test_a_clock_that_is_off_is_named(cloud, off):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.send(bridge.signed("GET", FEED, created=now() + off)), 401, Code.CLOCK)


def test_a_clock_within_two_minutes_is_good_enough(cloud):
    bridge = cloud.bridge(WAKABA)
    assert bridge.send(bridge.signed("GET", FEED, created=now() - timedelta(seconds=110))).ok


def test_a_request_replayed_is_refused(cloud):
    bridge = cloud.bridge(WAKABA)
    prepared = bridge.signed("GET", FEED)
    assert bridge.send(prepared).ok
    refused(bridge.send(prepared), 401, Code.REPLAYED)


def test_a_bridge_serves_its_own_lots_only(cloud):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.get(FEED.replace("1001", "1002")), 403, Code.STALE_GENERATION)
    for number in (0, 2**32, 2**63, 10**30):  # more than a database holds
        refused(bridge.get(FEED.replace("1001", str(number))), 403, Code.STALE_GENERATION)


def test_one_bridge_may_serve_several_lots(cloud):
    bridge = cloud.bridge(WAKABA, GATED)
    assert bridge.reply.lots == (WAKABA, GATED)
    assert bridge.get(FEED).ok
    assert bridge.get(FEED.replace("1001", "1002")).ok


def test_a_replaced_bridge_is_fenced_off(cloud):
    old, new = cloud.bridge(WAKABA), cloud.bridge(WAKABA)
    assert (old.generation, new.generation) == (1, 2)
    refused(old.get(FEED), 403, Code.STALE_GENERATION)
    refused(old.report(WAKABA, health()), 403, Code.STALE_GENERATION)
    assert new.report(WAKABA, health()).ok


def test_a_report_under_a_former_generation_is_refused_even_from_the_new_key(cloud):
    cloud.bridge(WAKABA)
    new = cloud.bridge(WAKABA)
    answer = new.post(REPORTS, ReportBatch(generation=1, first=1, reports=(health(),)))
    refused(answer, 403, Code.STALE_GENERATION)


def test_what_a_predecessor_may_have_acted_on_is_in_doubt_and_not_sent_again(cloud):
    old = cloud.bridge(WAKABA)
    old.car(WAKABA, "7")
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    new = cloud.bridge(WAKABA)
    assert cloud.stage(token) == "attendant"
    assert new.reply.feed_after == (1,)
    assert decode(new.get(FEED).content, FeedBatch).entries == ()
    new.car(WAKABA, "8")
    cloud.approve(cloud.pay("WAKABA1", "8")[1])
    assert [entry.number for entry in decode(new.get(FEED).content, FeedBatch).entries] == [2]
    person = Settled(number=1, at=now(), level=Level.LEGACY_CONFIRMED, evidence=(), by="Sato")
    assert new.report(WAKABA, person).ok
    cloud.until(lambda: ("capture", order) in cloud.provider.calls)


def test_a_gap_in_the_reports_is_refused_with_where_to_go_on(cloud):
    bridge = cloud.bridge(WAKABA)
    assert bridge.report(WAKABA, health("1"), health("2")).ok
    problem = refused(bridge.report(WAKABA, health("4"), first=4), 409, Code.SEQUENCE_GAP)
    assert "accepted_through=2" in problem.detail


def test_reports_sent_again_change_nothing_and_an_overlap_adds_what_is_new(cloud):
    bridge = cloud.bridge(WAKABA)
    first, second, third = health("1"), health("2"), health("3")
    for _ in range(2):
        answer = bridge.report(WAKABA, first, second, first=1)
        assert decode(answer.content, ReportReply).accepted_through == 2
    assert decode(bridge.report(WAKABA, second, third, first=2).content, ReportReply).accepted_through == 3


def test_a_report_of_a_completion_that_never_was_does_not_block_the_lot(cloud):
    bridge = cloud.bridge(WAKABA)
    ghost = Settled(number=99, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=())
    assert decode(bridge.report(WAKABA, ghost, health()).content, ReportReply).accepted_through == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.BAD_MESSAGE),
        (b"\xff\xfe", Code.BAD_MESSAGE),
        (b'{"schema":7}', Code.WRONG_SCHEMA),
        (b'{"schema":1,"generation":1,"first":1,"reports":[],"more":1}', Code.BAD_MESSAGE),
        (b'{"schema":1,"generation":1,"first":0,"reports":[]}', Code.BAD_MESSAGE),
    ],
)
def test_a_garbled_batch_is_refused_and_says_where(cloud, body, code):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.send(bridge.signed("POST", REPORTS, body)), 400, code)


def test_a_cursor_that_is_no_number_is_refused(cloud):
    bridge = cloud.bridge(WAKABA)
    refused(bridge.get(FEED.replace("after=0", "after=-1")), 400, Code.BAD_MESSAGE)


def events(answer: requests.Response, most: int) -> list[str]:
    """The first server-sent blocks of a stream."""
    blocks, lines = [], []
    for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            lines.append(line)
            continue
        blocks.append("\n".join(lines))
        lines = []
        if len(blocks) == most:
            break
    return blocks


def test_the_stream_shows_life_at_once_then_completions_as_they_are_paid(cloud):
    bridge = cloud.bridge(WAKABA)
    bridge.car(WAKABA, "7")
    with bridge.get(f"/bridge/v1/lots/{WAKABA}/feed?after=0", stream=True) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-cache", "no")
        lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
        assert next(lines) == "event: heartbeat"
        cloud.approve(cloud.pay("WAKABA1", "7")[1])
        seen = []
        while "event: completion" not in seen or seen[-1]:
            seen.append(next(lines))
    event, number, data = seen[seen.index("event: completion") :][:3]
    assert (event, number) == ("event: completion", "id: 1")
    assert data.startswith('data: {"number":1,"completion":"')


def test_an_idle_stream_beats(cloud):
    bridge = cloud.bridge(WAKABA)
    with bridge.get(f"/bridge/v1/lots/{WAKABA}/feed", stream=True) as stream:
        beats = events(stream, 3)
    assert all(beat.startswith("event: heartbeat\ndata: ") for beat in beats)
    told = [decode(beat.partition("data: ")[2], Accepted).server_time for beat in beats]
    assert told == sorted(told)
    assert now() - told[0] < timedelta(seconds=5)


def test_a_stream_resumes_behind_the_last_event_id(cloud):
    bridge = cloud.bridge(WAKABA)
    for bay in ("7", "8"):
        bridge.car(WAKABA, bay)
        cloud.approve(cloud.pay("WAKABA1", bay)[1])
    prepared = bridge.signed("GET", f"/bridge/v1/lots/{WAKABA}/feed?after=0", headers={"Last-Event-ID": "1"})
    with bridge.send(prepared, stream=True) as stream:
        assert "id: 2" in events(stream, 2)[1]


def test_a_stream_ends_when_its_bridge_is_replaced(cloud):
    old = cloud.bridge(WAKABA)
    with old.get(f"/bridge/v1/lots/{WAKABA}/feed", stream=True) as stream:
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        cloud.bridge(WAKABA)
        assert b"event: completion" not in list(lines)


def test_a_long_poll_returns_as_soon_as_there_is_something(cloud):
    bridge = cloud.bridge(WAKABA)
    bridge.car(WAKABA, "7")
    order = cloud.pay("WAKABA1", "7")[1]
    timer = threading.Timer(0.3, cloud.approve, (order,))
    timer.start()
    began = now()
    answer = bridge.get(FEED.replace("wait=0", "wait=4"))
    assert decode(answer.content, FeedBatch).entries[0].number == 1
    assert now() - began < timedelta(seconds=3)
    timer.join()


def test_a_long_poll_without_news_returns_empty_in_time(cloud):
    bridge = cloud.bridge(WAKABA)
    assert decode(bridge.get(FEED.replace("wait=0", "wait=1")).content, FeedBatch).entries == ()


def test_a_late_answer_is_accepted_and_forgotten(cloud):
    bridge = cloud.bridge(GATED)
    answer = bridge.post(f"/bridge/v1/lots/{GATED}/answers", _not_found("nobody-asked"))
    assert answer.status_code == 200


def _not_found(ask_id: str) -> Message:
    return Answer(ask_id=ask_id, result=NotFound(code=Code.STAY_UNKNOWN, detail="no such ticket"))


def test_a_lot_is_online_while_its_bridge_is_heard(cloud):
    page = lambda: cloud.do(cloud.cloud.cashier.lot("WAKABA1"))  # noqa: E731 - asked three times
    assert not page().online
    bridge = cloud.bridge(WAKABA)
    assert not page().online
    assert bridge.get(FEED).ok
    assert page().online


def test_an_unknown_path_is_a_problem_too(cloud):
    refused(requests.get(cloud.url + "/bridge/v1/lots/x/feed", timeout=5), 404, Code.NOT_FOUND)
