"""A port whose system call never returns: seen, shown, and nothing that waits behind it is left without an answer."""

import pytest

from parking.desk import CasePhase, CommandState
from parking.errors import Code


@pytest.fixture
def hanging(plates_office, monkeypatch, tmp_path, preload):
    """The bridge as a process on a real pty; while the file exists, no write to it returns."""
    flag, library = tmp_path / "hangs", preload("hanging_tty")
    plates_office.edit_profile("observe = 4.0", "observe = 1.0")
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("HANGING_TTY", str(flag))
        plates_office.stack.bridge.start()
    plates_office.hang = flag.touch
    plates_office.go_on = flag.unlink
    return plates_office


def hand(office, bay):
    order = office.order(bay)
    said = office.stack.command(
        command_id=order.command_id, lot=1001, verb="release", actor=order.actor, reason=order.reason, exit=bay
    )
    assert said["accepted"]


def exit_of(office, bay):
    return next(view for view in office.snapshot().exits if view.exit == bay)


def device(office):
    return next(link for link in office.snapshot().links if link.kind == "device")


def test_orders_and_payments_behind_a_hung_port_are_answered_and_it_goes_on_when_it_comes_back(hanging):
    office = hanging
    for bay in ("7", "8", "9"):
        office.park(bay)
    office.ends(office.pay("7"), CasePhase.SETTLED)
    office.hang()
    hand(office, "9")
    alarm = office.until(lambda: office.alarm(Code.PORT_HUNG), 20)
    assert "plates" in alarm.detail
    office.until(lambda: not device(office).up)
    assert Code.PORT_HUNG in device(office).detail
    office.until(lambda: exit_of(office, "9").command.state in (CommandState.REFUSED, CommandState.NOT_CONFIRMED))
    assert exit_of(office, "9").command.code == Code.PORT_HUNG
    hand(office, "9")
    office.until(lambda: exit_of(office, "9").command.state is CommandState.REFUSED, 2)
    number = office.pay("8")
    office.until(lambda: (case := office.case(number)) is not None and case.code == Code.PORT_HUNG)
    assert office.received(number)
    office.go_on()
    office.until(lambda: office.alarm(Code.PORT_HUNG) is None)
    office.ends(number, CasePhase.SETTLED)
    assert [office.releases(bay) for bay in ("7", "8", "9")] == [1, 1, 0]
