"""One thread per port: urgent jobs first, rounds in between, and no job can stop it."""

import threading
import time

import pytest

from bridge.worker import PortWorker, Urgency
from parking.errors import Code, NotSent, Uncertain


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


def test_what_waits_behind_a_hung_job_is_withdrawn_and_not_run_when_the_port_comes_back() -> None:
    worker, hold, ran, said = PortWorker("test", 0.05), threading.Event(), [], []
    worker.submit(Urgency.ACT, lambda: hold.wait(5) and None, stuck=lambda: said.append("stuck"))
    worker.start()
    worker.submit(Urgency.BY_HAND, lambda: ran.append("order"), withdrawn=lambda: said.append("order"))
    worker.submit(Urgency.LOOK, lambda: ran.append("kept"))
    worker.withdraw()
    assert (worker.hung(), said) == (None, [])
    time.sleep(0.1)
    assert (worker.hung() or 0) > 0.05
    worker.withdraw()
    worker.withdraw()
    assert said == ["stuck", "order"]
    worker.submit(Urgency.ACT, lambda: ran.append("late"), withdrawn=lambda: said.append("late"))
    assert said == ["stuck", "order", "late"]
    back = threading.Event()
    hold.set()
    worker.submit(Urgency.ASK, back.set)
    assert back.wait(5)
    assert (worker.hung(), ran) == (None, ["kept"])
    assert worker.stop(5)


def test_a_round_that_hangs_holds_up_its_own_port_only() -> None:
    hung, other, hold, ran = PortWorker("a", 0.05), PortWorker("b", 0.05), threading.Event(), threading.Event()
    hung.every(1.0, lambda: hold.wait(5) and None)
    hung.start()
    other.start()
    time.sleep(0.1)
    assert hung.hung() is not None
    other.submit(Urgency.BY_HAND, ran.set)
    assert ran.wait(5)
    assert other.hung() is None
    hold.set()
    assert hung.stop(5)
    assert other.stop(5)


def test_it_says_when_a_job_waits_so_that_a_reading_can_give_way() -> None:
    worker, hold, seen = PortWorker("test"), threading.Event(), []
    worker.every(60, lambda: seen.append(worker.is_wanted()) or (hold.wait(5) and seen.append(worker.is_wanted())))
    worker.start()
    while not seen:
        time.sleep(0.001)
    worker.submit(Urgency.ACT, lambda: None)
    hold.set()
    worker.ask(Urgency.ASK, lambda: None, time.monotonic() + 5)
    assert seen == [False, True]
    assert not worker.is_wanted()
    assert worker.stop(5)


class TestAsk:
    """One port asks another for something, and waits for it."""

    @pytest.fixture
    def worker(self):
        made = PortWorker("eyes", 0.05)
        made.start()
        yield made
        assert made.stop(5)

    def test_is_done_on_the_workers_own_thread(self, worker) -> None:
        name = worker.ask(Urgency.LOOK, lambda: threading.current_thread().name, time.monotonic() + 5)
        assert name == "port-eyes"

    def test_of_itself_is_done_at_once(self, worker) -> None:
        deep = worker.ask(
            Urgency.LOOK, lambda: worker.ask(Urgency.LOOK, lambda: "there", time.monotonic()), time.monotonic() + 5
        )
        assert deep == "there"

    def test_brings_back_what_the_job_raises(self, worker) -> None:
        def silent() -> None:
            raise Uncertain(Code.NO_REPLY, "no answer")

        with pytest.raises(Uncertain, match="no answer"):
            worker.ask(Urgency.LOOK, silent, time.monotonic() + 5)

    def test_that_was_not_begun_in_time_never_is(self) -> None:
        worker, hold, ran = PortWorker("eyes"), threading.Event(), []
        worker.submit(Urgency.ACT, lambda: hold.wait(5))
        worker.start()
        with pytest.raises(NotSent) as busy:
            worker.ask(Urgency.LOOK, lambda: ran.append(1), time.monotonic() + 0.05)
        hold.set()
        worker.ask(Urgency.ASK, lambda: None, time.monotonic() + 5)
        assert (busy.value.code, ran) == (Code.DEVICE_UNAVAILABLE, [])
        assert worker.stop(5)

    def test_behind_a_port_that_hangs_is_answered_when_that_is_noticed(self) -> None:
        worker, hold = PortWorker("eyes", 0.05), threading.Event()
        worker.submit(Urgency.ACT, lambda: hold.wait(5))
        worker.start()
        threading.Timer(0.15, worker.withdraw).start()
        began = time.monotonic()
        with pytest.raises(NotSent) as hung:
            worker.ask(Urgency.LOOK, lambda: None, began + 5)
        assert (hung.value.code, time.monotonic() - began < 2) == (Code.PORT_HUNG, True)
        hold.set()
        assert worker.stop(5)
