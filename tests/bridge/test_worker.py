"""One thread per port: urgent jobs first, rounds in between, and no job can stop it."""

import threading

import pytest

from bridge.worker import PortWorker, Urgency


def test_an_order_by_hand_goes_before_acts_looks_and_asks() -> None:
    worker, order, hold = PortWorker("test"), [], threading.Event()
    worker.submit(Urgency.ACT, lambda: hold.wait(5) and None)
    worker.start()
    done = threading.Event()
    for urgency in (Urgency.ASK, Urgency.LOOK, Urgency.ACT, Urgency.BY_HAND):
        worker.submit(urgency, lambda urgency=urgency: order.append(urgency))
    worker.submit(Urgency.ASK, done.set)
    hold.set()
    assert done.wait(5)
    assert worker.stop(5)
    assert order == [Urgency.BY_HAND, Urgency.ACT, Urgency.LOOK, Urgency.ASK]


def test_rounds_go_on_and_a_failing_job_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    worker, rounds = PortWorker("test"), threading.Semaphore(0)

    def bad() -> None:
        raise RuntimeError("a defect")

    worker.every(0.01, rounds.release)
    worker.submit(Urgency.ACT, bad)
    worker.start()
    for _ in range(3):
        assert rounds.acquire(timeout=5)
    assert worker.stop(5)
    assert "a defect" in caplog.text


def test_a_busy_port_is_reported_when_stopping() -> None:
    worker, hold, begun = PortWorker("test"), threading.Event(), threading.Event()
    worker.submit(Urgency.ACT, lambda: begun.set() or (hold.wait(5) and None))
    worker.start()
    assert begun.wait(5)
    assert not worker.stop(0.05)
    hold.set()
    assert worker.stop(5)
