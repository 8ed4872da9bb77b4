"""The uplink over real sockets: what comes in is journaled before anything else, what goes out is never lost."""

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.config import FeedWay
from bridge.uplink.cloud_line import CloudLine, Unreachable
from bridge.uplink.feed import Intake
from bridge.uplink.pace import Backoff, Pace
from bridge.uplink.uplink import Uplink
from parking.errors import Code, Environment
from parking.reports import DeviceHealth, Received
from parking.signing import SigningKey
from parking.stay import NameKind
from parking.wire import Accepted, Answer, Ask, Entry, NotFound, encode

LOT = 1001

pytestmark = pytest.mark.usefixtures("threads_clean")


def now():
    return datetime.now(UTC)


def received(number):
    return Received(number=number, at=now())


@pytest.fixture
def connect(real_cloud, inbox, bridge_config, identity, quick):
    """Start an uplink to the real cloud; all are stopped at the end, each within its promise of two seconds."""
    key = SigningKey.generate(1)
    real_cloud.public_keys["B-7"] = key.private.public_key()
    started = []

    def start(feed=FeedWay.AUTO, clock=now, pace=quick, inbox=inbox, key=key):
        config = bridge_config(real_cloud.url, feed)
        uplink = Uplink(config, identity(real_cloud.url), key, inbox, LOT, clock, pace)
        started.append(uplink)
        uplink.start()
        return uplink

    yield start
    for uplink in started:
        began = time.monotonic()
        uplink.stop()
        assert time.monotonic() - began < 2.2


# --- the feed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [FeedWay.SSE, FeedWay.POLL])
def test_completions_arrive_in_order_under_verified_signatures(real_cloud, inbox, connect, until, way):
    real_cloud.add(1, 2, 3)
    connect(way)
    until(lambda: inbox.cursor(LOT) == 3)
    real_cloud.add(4)
    until(lambda: inbox.cursor(LOT) == 4)
    assert real_cloud.forgeries == []
    assert inbox.up
    assert inbox.links[-1][1] == ""


def test_what_arrives_while_a_commit_runs_becomes_one_group(real_cloud, inbox, connect, until, monkeypatch):
    real, committing, go_on = inbox.accept, threading.Event(), threading.Event()

    def accept(lot, entries):
        committing.set()
        assert go_on.wait(5)
        real(lot, entries)

    monkeypatch.setattr(inbox, "accept", accept)
    real_cloud.add(1)
    uplink = connect()
    until(committing.is_set)
    real_cloud.add(*range(2, 252))
    until(lambda: uplink._feed.intake._entries.qsize() == 250)
    go_on.set()
    until(lambda: inbox.cursor(LOT) == 251)
    assert [len(group) for group in inbox.groups] == [1, 100, 100, 50]  # a group is bounded


def test_a_dropped_connection_resumes_after_what_is_journaled(real_cloud, inbox, connect, until, to_entry_event):
    real_cloud.add(1, 2, 3, 4)

    async def two_and_gone(after):
        yield to_entry_event(real_cloud.entries[1])
        yield to_entry_event(real_cloud.entries[2])
        until_journaled = time.monotonic() + 3
        while inbox.cursor(LOT) < 2 and time.monotonic() < until_journaled:  # noqa: ASYNC110  # another thread's state
            await asyncio.sleep(0.005)
        raise ConnectionResetError("power cut")

    real_cloud.plans.append(two_and_gone)
    connect()
    until(lambda: inbox.cursor(LOT) == 4)
    assert [query["after"] for kind, query in real_cloud.requests if kind == "feed"] == ["0", "2"]
    assert real_cloud.heads["feed"][1]["last-event-id"] == "2"
    assert all(link[0] for link in inbox.links)  # one cut that is mended at once is no news


def test_repeats_and_reordering_cost_nothing(real_cloud, inbox, connect, until, to_entry_event):
    real_cloud.add(1, 2, 3, 4)

    async def shuffled(after):
        for number in (2, 2, 1, 4, 3, 1):
            yield to_entry_event(real_cloud.entries[number])
        async for chunk in real_cloud.live(4):
            yield chunk

    real_cloud.plans.append(shuffled)
    connect()
    until(lambda: sum(map(len, inbox.groups)) == 6)
    assert inbox.cursor(LOT) == 4


def test_a_number_that_the_feed_left_out_is_asked_for_again(real_cloud, inbox, connect, until, to_entry_event):
    real_cloud.add(1, 2, 3)

    async def without_two(after):
        yield to_entry_event(real_cloud.entries[1])
        yield to_entry_event(real_cloud.entries[3])
        while real_cloud.active:
            yield real_cloud.beat()
            await asyncio.sleep(0.02)

    real_cloud.plans.append(without_two)
    connect()
    until(lambda: inbox.cursor(LOT) == 3)
    assert any("[sequence-gap]" in detail for _, detail, _ in inbox.links)
    until(lambda: inbox.up)


def test_a_cloud_that_restarts_is_found_again(real_cloud, inbox, connect, until):
    connect()
    until(lambda: inbox.up)
    real_cloud.stop()
    until(lambda: not inbox.up)
    assert "[link-down]" in inbox.links[-1][1]
    real_cloud.add(1)
    real_cloud.start()
    until(lambda: inbox.cursor(LOT) == 1 and inbox.up)
    assert len(inbox.links) <= 4  # told on changes only, not at each try


def test_nothing_is_journaled_while_the_disk_is_full_and_nothing_is_lost(real_cloud, inbox, connect, until, disk_full):
    inbox.sick = disk_full
    real_cloud.add(1, 2)
    connect()
    until(lambda: "[disk] journal.db: disk full — make room" in [detail for _, detail, _ in inbox.links])
    until(lambda: real_cloud.count("feed", after="0") >= 3)
    told = len(inbox.links)
    time.sleep(0.2)
    assert len(inbox.links) == told  # no flapping between heartbeat and failure
    assert not inbox.up
    inbox.sick = None
    until(lambda: inbox.cursor(LOT) == 2 and inbox.up)


def test_a_bug_in_the_journal_is_logged_and_survived(real_cloud, inbox, connect, until, caplog):
    inbox.sick = ZeroDivisionError("a bug")
    real_cloud.add(1)
    connect()
    until(lambda: any("[bug]" in detail for _, detail, _ in inbox.links))
    inbox.sick = None
    until(lambda: inbox.cursor(LOT) == 1 and inbox.up)
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


# --- streams that do not pass ----------------------------------------------------------------------------------------


def test_a_silent_stream_gives_way_to_long_poll_and_is_tried_again_later(real_cloud, inbox, connect, until):
    real_cloud.add(1)

    async def stall(after):
        await real_cloud.quiet()
        yield b""

    real_cloud.plans.append(stall)
    connect()
    until(lambda: inbox.cursor(LOT) == 1)
    assert real_cloud.count("feed", wait="1") >= 1
    until(lambda: any("wait" not in query for kind, query in real_cloud.requests[2:] if kind == "feed"))
    real_cloud.add(2)
    until(lambda: inbox.cursor(LOT) == 2)


def test_a_stream_that_loses_its_heartbeat_is_dropped(real_cloud, inbox, connect, until):
    async def one_beat(after):
        yield real_cloud.beat()
        await real_cloud.quiet()

    real_cloud.plans.append(one_beat)
    connect()
    until(lambda: inbox.up)
    until(lambda: any("silent for 0.5 s" in detail for _, detail, _ in inbox.links))
    until(lambda: inbox.up)
    assert real_cloud.count("feed", wait="1") == 0  # streams do pass here: that one was heard


def test_three_streams_that_end_empty_lead_to_long_poll(real_cloud, inbox, connect, until):
    async def empty(after):
        return
        yield

    real_cloud.plans.extend([empty] * 3)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.cursor(LOT) == 1)
    kinds = ["wait" in query for kind, query in real_cloud.requests if kind == "feed"]
    assert kinds[:4] == [False, False, False, True]


def test_a_proxy_page_instead_of_a_stream_leads_to_long_poll(real_cloud, inbox, connect, until):
    async def page(after):
        yield b"<html>your office proxy greets you</html>"

    page.media = "text/html"
    real_cloud.plans.extend([page] * 3)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.cursor(LOT) == 1)
    assert any("no event stream" in detail for _, detail, _ in inbox.links)


def test_sse_alone_never_polls(real_cloud, inbox, connect, until):
    async def empty(after):
        return
        yield

    real_cloud.plans.extend([empty] * 5)
    real_cloud.add(1)
    connect(FeedWay.SSE)
    until(lambda: inbox.cursor(LOT) == 1)
    assert real_cloud.count("feed", wait="1") == 0


def test_a_cloud_that_does_not_wait_is_not_asked_in_a_busy_loop(real_cloud, inbox, connect, until, to_problem):
    body = json.dumps({"schema": 1, "entries": [], "asks": [], "server_time": now().isoformat()})
    real_cloud.force["feed"] = (200, body)
    connect(FeedWay.POLL)
    until(lambda: inbox.up)
    before = real_cloud.count("feed")
    time.sleep(0.3)
    assert real_cloud.count("feed") - before <= 8  # idle is 0.05 s here


# --- what a cloud should not say -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"event: completion\ndata: {]\n\n", "[bad-message] feed, completion"),
        (b'event: completion\ndata: {"number":0,"completion":""}\n\n', "$.number"),
        (b'event: completion\ndata: {"number":1,"completion":"","more":1}\n\n', "more"),
        (b'event: heartbeat\ndata: {"schema":2,"server_time":"2026-01-01T00:00:00Z"}\n\n', "[wrong-schema]"),
        (b"event: heartbeat\ndata: \xff\n\n", "not UTF-8"),
        (b"data: " + b"x" * 70_000 + b"\n\n", "beyond 65,536 bytes"),
    ],
)
def test_a_garbled_feed_is_shown_once_and_survived(real_cloud, inbox, connect, until, caplog, sent, told):
    caplog.set_level(logging.INFO)

    async def garbled(after):
        yield real_cloud.beat()
        yield sent
        await real_cloud.quiet(0.1)

    real_cloud.plans.extend([garbled] * 4)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.cursor(LOT) == 1 and inbox.up)
    assert sum(told in detail for _, detail, _ in inbox.links) == 1
    assert sum(told in record.getMessage() for record in caplog.records) == 1


def test_an_unknown_kind_of_event_is_passed_over_and_logged_once(real_cloud, inbox, connect, until, caplog):
    async def newer(after):
        for _ in range(3):
            yield b": hello\nevent: fireworks\ndata: {}\n\n"
        async for chunk in real_cloud.live(after):
            yield chunk

    real_cloud.plans.append(newer)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.cursor(LOT) == 1)
    assert sum("fireworks" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("status", "code", "slow"),
    [(401, "unauthorized", True), (403, "stale-generation", True), (500, "bug", False), (429, "rate-limited", False)],
)
def test_a_refusal_is_shown_with_its_remedy_and_ends_by_itself(
    real_cloud, inbox, connect, until, to_problem, status, code, slow
):
    real_cloud.force["feed"] = (status, to_problem(code, "no entry", "ring the bell"))
    inbox.report(received(1))
    connect()
    until(lambda: inbox.links)
    assert inbox.links[-1][:2] == (False, f"[{code}] no entry (HTTP {status}) — ring the bell")
    until(lambda: real_cloud.reports)  # a feed that is refused does not hold up reports
    del real_cloud.force["feed"]
    until(lambda: inbox.up)


def test_an_error_page_that_is_no_problem_is_shown_all_the_same(real_cloud, inbox, connect, until):
    real_cloud.force["feed"] = (502, b"<html>bad gateway</html>")
    connect()
    until(lambda: inbox.links)
    assert "HTTP 502" in inbox.links[-1][1]


def test_a_redirect_is_not_followed(real_cloud, inbox, connect, until):
    real_cloud.force["feed"] = (307, b"", {"Location": f"{real_cloud.url}/bridge/v1/enrol"})
    connect()
    until(lambda: inbox.links)
    assert "HTTP 307" in inbox.links[-1][1]
    assert real_cloud.count("enrol") == 0


def test_a_key_that_the_cloud_does_not_know_gets_401_and_nothing_else(real_cloud, inbox, connect, until):
    real_cloud.add(1)
    inbox.report(received(1))
    connect(key=SigningKey.generate(1))
    until(lambda: len(real_cloud.forgeries) >= 2 and inbox.links)
    assert inbox.cursor(LOT) == 0
    assert real_cloud.reports == []
    assert "[unauthorized]" in inbox.links[-1][1]


# --- clock and latency -----------------------------------------------------------------------------------------------


def test_a_wrong_clock_is_named_also_when_the_cloud_refuses_because_of_it(real_cloud, inbox, connect, until):
    connect(clock=lambda: now() + timedelta(seconds=300))
    until(lambda: any(re.search(r"\[clock\].* 30[01] s fast", detail) for _, detail, _ in inbox.links))
    assert not inbox.up  # the signature is from the future


def test_a_skew_below_the_limit_is_no_news(real_cloud, inbox, connect, until):
    real_cloud.skew = timedelta(seconds=100)
    connect()
    until(lambda: inbox.up)
    time.sleep(0.15)
    assert [detail for _, detail, _ in inbox.links] == [""]


def test_a_skew_is_told_while_the_link_is_up(real_cloud, inbox, connect, until):
    connect()
    until(lambda: inbox.up)
    real_cloud.skew = timedelta(seconds=-200)
    until(lambda: inbox.links[-1][0] and "200 s fast" in inbox.links[-1][1])
    real_cloud.skew = timedelta(0)
    until(lambda: inbox.links[-1][:2] == (True, ""))


def test_latency_is_measured(real_cloud, inbox, connect, until):
    connect()
    until(lambda: inbox.up)
    assert 0 < inbox.links[-1][2] < 2000


# --- reports ---------------------------------------------------------------------------------------------------------


def test_reports_go_out_in_bounded_batches_under_our_generation(real_cloud, inbox, connect, until):
    inbox.report(*(received(number) for number in range(1, 251)))
    connect()
    until(lambda: not inbox.pending)
    assert [report.number for report in real_cloud.reports] == list(range(1, 251))
    assert [len(batch.reports) for batch in real_cloud.batches] == [100, 100, 50]
    assert {batch.generation for batch in real_cloud.batches} == {3}


def test_a_report_leaves_at_once(real_cloud, inbox, connect, until):
    connect()
    until(lambda: inbox.up)
    inbox.report(DeviceHealth(device="gate", up=False, detail="", at=now()))
    until(lambda: real_cloud.reports, 1.0)


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 429, 500, 503])
def test_reports_are_kept_through_every_refusal(real_cloud, inbox, connect, until, to_problem, status):
    real_cloud.force["reports"] = (status, to_problem("conflict", "not now", "later"))
    inbox.report(received(1), received(2))
    connect()
    until(lambda: real_cloud.count("reports") >= 3)
    assert sorted(inbox.pending) == [1, 2]
    assert not inbox.up
    assert f"HTTP {status}" in inbox.links[-1][1]
    del real_cloud.force["reports"]
    until(lambda: not inbox.pending and inbox.up)
    assert [report.number for report in real_cloud.reports] == [1, 2]


@pytest.mark.parametrize("garbage", [b"", b"[1]", b'{"schema":2}', b'{"schema":1,"accepted_through":-1}', b"\xff"])
def test_reports_are_kept_through_every_garbled_reply(real_cloud, inbox, connect, until, garbage):
    real_cloud.force["reports"] = (200, garbage)
    inbox.report(received(1))
    connect()
    until(lambda: real_cloud.count("reports") >= 2)
    assert sorted(inbox.pending) == [1]
    del real_cloud.force["reports"]
    until(lambda: not inbox.pending and inbox.up)


def test_the_clouds_count_is_believed_where_ours_is_behind(real_cloud, inbox, connect, until):
    real_cloud.accepted = 2  # the reply was lost, and the bridge was restarted
    inbox.report(received(1), received(2), received(3))
    connect()
    until(lambda: not inbox.pending)
    assert [report.number for report in real_cloud.reports] == [3]


def test_a_cloud_that_lost_reports_is_shown_as_such(real_cloud, inbox, connect, until):
    inbox.next_report = 5
    inbox.report(received(5))
    connect()
    until(lambda: any("[sequence-gap]" in detail for _, detail, _ in inbox.links))
    assert sorted(inbox.pending) == [5]
    assert 0 in inbox.accepted_calls


def test_one_bad_report_does_not_hold_up_those_before_it(real_cloud, inbox, connect, until, monkeypatch):
    inbox.report(received(1), received(2), received(3))
    taken = real_cloud.take_reports

    async def picky(request):
        if b'"number":3' in await request.body():
            return real_cloud_problem(request)
        return await taken(request)

    def real_cloud_problem(request):
        from starlette.responses import Response

        return Response(b'{"schema":1,"code":"bad-message","detail":"number 3"}', 400, media_type="application/json")

    for route in real_cloud.server.config.app.routes:
        if route.path.endswith("/reports"):
            from starlette.routing import request_response

            route.app = request_response(picky)
    connect()
    until(lambda: sorted(inbox.pending) == [3])
    assert [report.number for report in real_cloud.reports] == [1, 2]


def test_a_kept_connection_that_died_in_the_meantime_is_no_news(real_cloud, inbox, connect, until):
    real_cloud.server.config.timeout_keep_alive = 0.05
    inbox.report(received(1))
    connect()
    until(lambda: not inbox.pending and inbox.up)
    told = len(inbox.links)
    for number in (2, 3, 4):
        time.sleep(0.1)
        inbox.report(received(number))
        until(lambda: not inbox.pending)
    assert len(inbox.links) == told


# --- asks ------------------------------------------------------------------------------------------------------------


def ask(name, seconds=5.0):
    return Ask(
        ask_id=f"ask-{name}", kind=NameKind.BAY, name=name, at=now(), expires_at=now() + timedelta(seconds=seconds)
    )


def not_found(one):
    return Answer(ask_id=one.ask_id, result=NotFound(code="stay-unknown", detail=one.name))


@pytest.mark.parametrize("way", [FeedWay.SSE, FeedWay.POLL])
def test_an_ask_is_answered(real_cloud, inbox, connect, until, way):
    inbox.answer_with = not_found
    connect(way)
    real_cloud.asks.extend([ask("7"), ask("8")])
    until(lambda: len(real_cloud.answers) == 2)
    assert {answer.ask_id for answer in real_cloud.answers} == {"ask-7", "ask-8"}


def test_an_ask_that_came_too_late_is_not_passed_on(real_cloud, inbox, connect, until):
    connect()
    real_cloud.asks.extend([ask("7", -1), ask("8")])
    until(lambda: inbox.asked)
    assert [one.name for one in inbox.asked] == ["8"]


def test_an_answer_that_the_cloud_refuses_is_not_repeated(real_cloud, inbox, connect, until, caplog):
    inbox.answer_with = not_found
    real_cloud.force["answers"] = (500, b"")
    connect()
    real_cloud.asks.append(ask("7"))
    until(lambda: any("ask-7" in record.getMessage() for record in caplog.records))
    assert real_cloud.count("answers") == 1  # the cloud has said no: a driver who waits is told at once
    assert inbox.up


def test_an_answer_waits_for_a_cloud_that_restarts(real_cloud, inbox, connect, until):
    given = []
    inbox.ask = lambda lot, one, answer: given.append(lambda: answer(not_found(one)))
    connect()
    real_cloud.asks.append(ask("7"))
    until(lambda: given)
    real_cloud.stop()
    given[0]()
    until(lambda: not inbox.up)
    real_cloud.start()
    until(lambda: real_cloud.answers)


def test_an_answer_whose_time_is_over_is_given_up(real_cloud, inbox, connect, until, caplog):
    given = []
    inbox.ask = lambda lot, one, answer: given.append(lambda: answer(not_found(one)))
    connect()
    real_cloud.asks.append(ask("7", 0.3))
    until(lambda: given)
    real_cloud.stop()
    given[0]()
    until(lambda: any("[expired]" in record.getMessage() for record in caplog.records))
    real_cloud.start()
    until(lambda: inbox.up)
    assert real_cloud.answers == []


def test_an_ask_that_cannot_be_passed_on_does_not_hold_up_completions(real_cloud, inbox, connect, until, monkeypatch):
    def full(lot, one, answer):
        raise Environment(Code.DEVICE_UNAVAILABLE, "the queue of the host is full")

    monkeypatch.setattr(inbox, "ask", full)
    connect()
    until(lambda: inbox.up)
    real_cloud.asks.append(ask("7"))
    real_cloud.add(1)
    until(lambda: inbox.cursor(LOT) == 1)
    assert all(link[0] for link in inbox.links)


# --- the parts -------------------------------------------------------------------------------------------------------


def test_after_a_failed_commit_the_rest_of_the_stream_passes_unread(inbox, disk_full, until):
    failed = []
    intake = Intake(inbox, LOT, lambda: failed.append(inbox.groups[:]))
    inbox.sick = disk_full
    for number in (1, 2):
        intake.put(Entry(number=number, completion="x"))
    worker = threading.Thread(target=intake.run)
    worker.start()
    until(lambda: failed)
    inbox.sick = None
    intake._entries.put(Entry(number=3, completion="x"))  # was on its way already
    until(intake.is_idle)
    with pytest.raises(Environment, match="disk full"):
        intake.put(Entry(number=4, completion="x"))
    intake.begin()
    intake.put(Entry(number=5, completion="x"))
    until(lambda: inbox.groups)
    intake.stop()
    worker.join(2)
    assert inbox.groups == [[5]]


def test_stopping_a_full_intake_does_not_block(inbox):
    intake = Intake(inbox, LOT, lambda: None)
    for number in range(1, 1001):
        intake.put(Entry(number=number, completion="x"))
    intake.stop()
    intake.run()


@pytest.fixture
def shaky(bridge_config, quick):
    """A server that keeps a connection for `good` answers and then breaks it off; and a line to it."""
    stopped = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.02)
    state = {"connections": 0, "good": 1}

    def serve():
        while not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                one, _ = server.accept()
                state["connections"] += 1
                with one:
                    one.settimeout(2)
                    for _ in range(state["good"]):
                        one.recv(65536)
                        body = encode(Accepted(server_time=now()))
                        one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    one.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()
    line = CloudLine(bridge_config(f"http://127.0.0.1:{server.getsockname()[1]}"), None, quick)
    yield state, line
    line.close()
    line.release()
    stopped.set()
    thread.join()
    server.close()


def test_a_kept_connection_that_breaks_under_a_request_is_replaced_once(shaky):
    state, line = shaky
    for _ in range(3):
        assert line.call("/x", Accepted).reply.server_time
    assert state["connections"] == 3


def test_a_fresh_connection_that_breaks_is_not_tried_again_at_once(shaky):
    state, line = shaky
    state["good"] = 0
    with pytest.raises(Unreachable) as caught:
        line.call("/x", Accepted)
    assert state["connections"] == 1
    assert caught.value.code is Code.LINK_DOWN


def test_a_closed_line_lets_nothing_through(shaky):
    state, line = shaky
    line.close()
    with pytest.raises(Unreachable):
        line.call("/x", Accepted)
    assert state["connections"] == 0


def test_back_off_is_fast_first_then_random_up_to_a_minute_and_slow_after_a_refusal():
    pace = Pace()
    widest = Backoff(pace, lambda low, high: high)
    assert [round(widest.next(), 1) for _ in range(9)] == [0.3, 2, 4, 8, 16, 32, 60, 60, 60]
    narrowest = Backoff(pace, lambda low, high: low)
    assert {narrowest.next() for _ in range(50)} == {0.1, 0.2}
    assert 15 <= Backoff(pace).refused() <= 30
    widest.worked(lived=1.0)  # answers once and dies again: not five times a second
    assert widest.next() == 2
    widest.worked(lived=6.0)
    assert round(widest.next(), 1) == 0.3


# --- survival, stopping, the wire ------------------------------------------------------------------------------------


def test_no_thread_dies_of_a_bug(real_cloud, inbox, connect, until, monkeypatch, caplog):
    real = inbox.cursor
    bugs = iter([RuntimeError("one"), KeyError("two"), AttributeError("three")])

    def cursor(lot):
        for bug in bugs:
            raise bug
        return real(lot)

    monkeypatch.setattr(inbox, "cursor", cursor)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.numbers == {1} and inbox.up)
    traces = [record for record in caplog.records if record.exc_info]
    assert len(traces) == 3
    assert any("[bug]" in detail for _, detail, _ in inbox.links)


def test_not_even_an_inbox_that_cannot_be_told_kills_a_thread(real_cloud, inbox, connect, until, monkeypatch):
    told = inbox.cloud_link
    broken = [True]

    def cloud_link(*args):
        if broken[0]:
            broken[0] = False
            raise OSError("no more")
        told(*args)

    monkeypatch.setattr(inbox, "cloud_link", cloud_link)
    connect()
    until(lambda: inbox.up)


def test_stopping_does_not_wait_for_a_silent_cloud(real_cloud, inbox, connect, until, quick):
    async def stall(after):
        yield real_cloud.beat()
        await real_cloud.quiet()

    real_cloud.plans.append(stall)
    patient = replace(quick, heartbeat=30.0)
    uplink = connect(pace=patient)
    until(lambda: inbox.up)
    began = time.monotonic()
    uplink.stop()
    assert time.monotonic() - began < 1.0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("uplink-")]


def test_stopping_does_not_wait_for_a_reply_that_never_comes(inbox, bridge_config, identity, quick, until):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        pace = replace(quick, heartbeat=30.0, reply=30.0)
        inbox.report(received(1))
        uplink = Uplink(bridge_config(url), identity(url), SigningKey.generate(1), inbox, LOT, now, pace)
        uplink.start()
        taken = [mute.accept()[0] for _ in range(2)]
        began = time.monotonic()
        uplink.stop()
        assert time.monotonic() - began < 1.0
        for one in taken:
            one.close()


def test_the_offices_proxy_settings_are_ignored(real_cloud, inbox, connect, until, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    real_cloud.add(1)
    connect()
    until(lambda: inbox.cursor(LOT) == 1)


def test_hostile_bytes_instead_of_http_are_survived(inbox, bridge_config, identity, quick, until):
    with socket.create_server(("127.0.0.1", 0)) as hostile:
        url = f"http://127.0.0.1:{hostile.getsockname()[1]}"
        running = [True]

        def babble():
            hostile.settimeout(0.05)
            while running[0]:
                try:
                    one, _ = hostile.accept()
                except TimeoutError:
                    continue
                with one:
                    one.sendall(b"\x00\xff" * 500 + b"\r\n\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        uplink = Uplink(bridge_config(url), identity(url), SigningKey.generate(1), inbox, LOT, now, quick)
        uplink.start()
        until(lambda: inbox.links)
        assert not inbox.up
        uplink.stop()
        running[0] = False
        thread.join()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody but its own file vouches for."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "cloud.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_is_verified_and_an_open_stream_is_cut_all_the_same(
    cloud_class, certificate, inbox, bridge_config, identity, quick, until
):
    key = SigningKey.generate(1)
    cloud = cloud_class(certificate)
    cloud.public_keys["B-7"] = key.private.public_key()
    cloud.add(1)
    cloud.start()
    try:
        config = bridge_config(cloud.url)
        stranger = Uplink(config, identity(cloud.url), key, inbox, LOT, now, quick)
        stranger.start()
        until(lambda: inbox.links)
        assert "certificate is not accepted" in inbox.links[-1][1]
        stranger.stop()
        assert inbox.cursor(LOT) == 0

        config = bridge_config(cloud.url, ca_file=certificate)
        pace = replace(quick, heartbeat=30.0)
        cloud.heartbeat = 30.0
        uplink = Uplink(config, identity(cloud.url), key, inbox, LOT, now, pace)
        uplink.start()
        until(lambda: inbox.cursor(LOT) == 1 and inbox.up)
        time.sleep(0.05)
        began = time.monotonic()
        uplink.stop()
        assert time.monotonic() - began < 1.0
    finally:
        cloud.stop()


def test_an_entry_is_handed_on_as_it_came(real_cloud, inbox, connect, until, monkeypatch):
    seen = []
    real = inbox.accept

    def accept(lot, entries):
        seen.extend(entries)
        real(lot, entries)

    monkeypatch.setattr(inbox, "accept", accept)
    real_cloud.entries[1] = Entry(number=1, completion="forged-or-not-the-inbox-judges")
    connect()
    until(lambda: seen)
    assert seen == [real_cloud.entries[1]]
